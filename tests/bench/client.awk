# SPDX-License-Identifier: GPL-2.0
# Makes Markdown tables of what tests/bench/client prints: scripts/bench calls it, with table.awk.

BEGIN {
	FS = "\t"
	split("NULL,echo", protocols, ",")
	split("C|C, timeout|plain|io_uring", clients, "|")
	server["NULL"] = "nulld"
	server["echo"] = "kecho"
}

$1 == "note" { notes = notes "- " $2 ".\n" }
$1 == "count" {
	put(key($2, $4, $5, "all"), $6)
	put(key($2, $4, $5, "own"), $7)
}
$1 == "recording" { put("recording", $2) }

function put(row, figure) {
	count[row, ++runs[row]] = figure
}

function key(protocol, in_flight, client, part) {
	return protocol SUBSEP in_flight SUBSEP client SUBSEP part
}

# The median of a row, or nothing if there is none; $least and $most are set too.
function figure(row) {
	return row in runs ? median(row, runs[row]) : ""
}

function own(protocol, in_flight, client) {
	return figure(key(protocol, in_flight, client, "own"))
}

function print_counts(in_flight,    p, c, all, mine, spread, yardstick) {
	print "One connection, " in_flight " in flight:\n"
	add("request|server|client|instructions of all|of the client|spread|of C")
	for (p = 1; p <= 2; p++) {
		yardstick = own(protocols[p], in_flight, "C")
		for (c = 1; c <= 4; c++) {
			all = figure(key(protocols[p], in_flight, clients[c], "all"))
			mine = own(protocols[p], in_flight, clients[c])
			if (mine == "")
				continue
			spread = 100 * (most - least) / mine
			add(sprintf("%s|%s|%s|%d|%d|%.1f %%|%s", protocols[p], server[protocols[p]], clients[c], all, mine, spread, ratio(mine, yardstick)))
		}
	}
	print_table(3)
}

END {
	print notes
	print_counts(1)
	print_counts(128)
	print "Limits:\n"
	add("what|at most|measured|")
	limit("rpctest, 128 in flight, plain: of C", "1.000", ratio(own("NULL", 128, "plain"), own("NULL", 128, "C")))
	limit("echotest, 128 in flight, plain: of C", "1.000", ratio(own("echo", 128, "plain"), own("echo", 128, "C")))
	# Fewer.
	limit("rpctest, 128 in flight, io_uring: of plain", "0.999", ratio(own("NULL", 128, "io_uring"), own("NULL", 128, "plain")))
	limit("echotest, 128 in flight, io_uring: of plain", "0.999", ratio(own("echo", 128, "io_uring"), own("echo", 128, "plain")))
	limit("instructions to record a latency, without reading the clock", "50", sprintf("%.1f", figure("recording")))
	print_table(1)
}
