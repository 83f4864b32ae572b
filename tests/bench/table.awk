# SPDX-License-Identifier: GPL-2.0
# What the tables of all benchmarks share. Figures are in count[ROW, 1] to count[ROW, runs[ROW]].

# The place in the middle of the n sorted values of a row, or a value between two.
function median(row, n,    i, j, value) {
	for (i = 1; i <= n; i++) {
		value = count[row, i]
		for (j = i; j > 1 && sorted[j - 1] > value; j--)
			sorted[j] = sorted[j - 1]
		sorted[j] = value
	}
	least = sorted[1]
	most = sorted[n]
	return (sorted[int((n + 1) / 2)] + sorted[int(n / 2) + 1]) / 2
}

function ratio(a, b) {
	return a == "" || b == "" ? "" : sprintf("%.3f", a / b)
}

# Tables are kept until their columns' widths are known.
function add(line,    cells, i, n) {
	lines++
	n = split(line, cells, "|")
	for (i = 1; i <= n; i++) {
		cell[lines, i] = cells[i]
		if (length(cells[i]) > width[i])
			width[i] = length(cells[i])
	}
	if (n > columns)
		columns = n
}

# Prints the table, with the first so many columns of words and the others of figures.
function print_table(words,    i, j, line) {
	for (i = 1; i <= lines; i++) {
		line = "|"
		for (j = 1; j <= columns; j++)
			line = line sprintf(j > words ? " %" width[j] "s |" : " %-" width[j] "s |", cell[i, j])
		print line
		if (i > 1)
			continue
		line = "|"
		for (j = 1; j <= columns; j++)
			line = line (j > words ? dashes(width[j] + 1) ":|" : dashes(width[j] + 2) "|")
		print line
	}
	print ""
	for (i in cell)
		delete cell[i]
	for (i in width)
		delete width[i]
	lines = columns = 0
}

function dashes(n,    line) {
	while (n-- > 0)
		line = line "-"
	return line
}

# limit WHAT, MOST, MEASURED: a row of the table of limits.
function limit(what, most_allowed, measured) {
	add(what "|" most_allowed "|" (measured == "" ? "n/a" : measured) "|" (measured == "" ? "" : measured + 0 <= most_allowed + 0 ? "kept" : "**exceeded**"))
}
