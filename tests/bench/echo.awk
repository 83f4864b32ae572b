# SPDX-License-Identifier: GPL-2.0
# Makes Markdown tables of what tests/bench/echo prints: scripts/bench calls it, with table.awk.

BEGIN {
	FS = "\t"
	split("epoll,bare 2,bare 3,kecho inline,kecho worker,kecho auto", servers, ",")
}

$1 == "cpus" { cpus = $2 }
$1 == "note" { notes[cpus] = notes[cpus] "- " $2 ".\n" }
$1 == "missing" { missing[$2, $3] = $4 }
$1 == "count" {
	row = cpus SUBSEP $4 SUBSEP $5 SUBSEP $2 SUBSEP $3
	n = ++runs[row]
	count[row, n] = $6
	switches[row] += $7
	for (i = 8; i <= NF; i++)
		softirqs[row, i - 8] += $i
}
$1 == "memory" {
	bytes[$2, $3, $4] = $5
	memory_of[$3] = 1
	if (!($4 in caches)) {
		caches[$4] = 1
		cache[++number_of_caches] = $4
	}
}

function key(cpus, connections, in_flight, protocol, server) {
	return cpus SUBSEP connections SUBSEP in_flight SUBSEP protocol SUBSEP server
}

# The median of a row, or nothing if there is none; $least and $most are set too.
function figure(cpus, connections, in_flight, protocol, server,    row) {
	row = key(cpus, connections, in_flight, protocol, server)
	return row in runs ? median(row, runs[row]) : ""
}

function print_counts(title, cpus, connections, in_flight, with_bare,    p, protocols, s, i, row, middle, epoll, bare, line) {
	print title "\n"
	line = "protocol|server|instructions|spread|of epoll"
	if (with_bare)
		line = line "|of bare 2"
	line = line "|switches"
	for (i = 0; i < cpus; i++)
		line = line (cpus == 1 ? "|softirqs" : "|softirqs on CPU " i)
	add(line)
	split("TCP,UDP", protocols, ",")
	for (p = 1; p <= 2; p++) {
		epoll = figure(cpus, connections, in_flight, protocols[p], "epoll")
		bare = figure(cpus, connections, in_flight, protocols[p], "bare 2")
		if (epoll == "")
			continue
		for (s = 1; s <= 6; s++) {
			row = key(cpus, connections, in_flight, protocols[p], servers[s])
			if (!(row in runs)) {
				if ((protocols[p], servers[s]) in missing)
					add(protocols[p] "|" servers[s] "|n/a")
				continue
			}
			middle = median(row, runs[row])
			line = sprintf("%s|%s|%d|%.1f %%|%s", protocols[p], servers[s], middle, 100 * (most - least) / middle, ratio(middle, epoll))
			if (with_bare)
				line = line "|" ratio(middle, bare)
			line = line sprintf("|%.1f", switches[row] / runs[row])
			for (i = 0; i < cpus; i++)
				line = line sprintf("|%.1f", softirqs[row, i] / runs[row])
			add(line)
		}
	}
	print_table(2)
}

# Instructions with many connections, against those with one.
function print_crowd(    s, one, all, idle) {
	print "### 1,000 connections\n"
	print "TCP, one CPU. All at work: one message in flight on each. Idle: one connection at work beside 1,000 that are not.\n"
	add("server|1 connection|1,000 at work|of 1|1 beside 1,000 idle|of 1")
	for (s = 1; s <= 6; s++) {
		one = figure(1, 1, 1, "TCP", servers[s])
		all = figure(1, 1000, 1, "TCP", servers[s])
		idle = figure(1, "1 and 1000 idle", 1, "TCP", servers[s])
		if (all != "")
			add(sprintf("%s|%d|%d|%s|%s|%s", servers[s], one, all, ratio(all, one), idle == "" ? "" : int(idle), ratio(idle, one)))
		else if (("TCP", servers[s]) in missing)
			add(servers[s] "|n/a")
	}
	print_table(1)
}

function sum(state, server, pattern,    i, total) {
	for (i = 1; i <= number_of_caches; i++)
		if (cache[i] ~ pattern)
			total += bytes[state, server, cache[i]]
	return total
}

# What a connection of kecho has that one of epoll has not, beside its socket: the kernel's own is the same for both.
function our_part(state, server) {
	return sum(state, server, OURS) - sum(state, "epoll", OURS)
}

function print_memory(state,    s, i, line, largest) {
	print "### Memory of a connection: " state "\n"
	line = "bytes"
	for (s = 1; s <= 6; s++)
		if (servers[s] in memory_of)
			line = line "|" servers[s]
	add(line)
	memory_row(state, "all slab caches, with both ends of the connection", SLABS)
	memory_row(state, "of these kmalloc", "^kmalloc")
	line = "**our part**: kmalloc and vmalloc beyond epoll's"
	for (s = 1; s <= 6; s++)
		if (servers[s] in memory_of)
			line = line "|" (servers[s] == "epoll" ? "" : sprintf("**%d**", our_part(state, servers[s])))
	add(line)
	memory_row(state, "all memory, with both ends of the connection and the processes' own", "^Taken$")
	for (i = 1; i <= number_of_caches; i++) {
		largest = 0
		for (s = 1; s <= 6; s++)
			if (bytes[state, servers[s], cache[i]] > largest)
				largest = bytes[state, servers[s], cache[i]]
		if (cache[i] ~ SLABS && largest >= 32)
			memory_row(state, "`" cache[i] "`", "^" cache[i] "$")
	}
	print_table(1)
}

function memory_row(state, title, pattern,    s, line) {
	line = title
	for (s = 1; s <= 6; s++)
		if (servers[s] in memory_of)
			line = line sprintf("|%d", sum(state, servers[s], pattern))
	add(line)
}

function print_limits(    s, mode, better, best, best_most, auto, p, protocols, state) {
	print "### Limits\n"
	add("what|at most|measured|")
	limit("TCP, inline: of epoll", "0.60", ratio(figure(1, 1, 1, "TCP", "kecho inline"), figure(1, 1, 1, "TCP", "epoll")))
	limit("UDP, inline: of epoll", "0.50", ratio(figure(1, 1, 1, "UDP", "kecho inline"), figure(1, 1, 1, "UDP", "epoll")))
	limit("TCP, worker: of epoll", "0.92", ratio(figure(1, 1, 1, "TCP", "kecho worker"), figure(1, 1, 1, "TCP", "epoll")))
	limit("UDP, worker: of epoll", "0.92", ratio(figure(1, 1, 1, "UDP", "kecho worker"), figure(1, 1, 1, "UDP", "epoll")))
	limit("TCP, worker: of bare 2", "1.03", ratio(figure(1, 1, 1, "TCP", "kecho worker"), figure(1, 1, 1, "TCP", "bare 2")))
	limit("UDP, worker: of bare 2", "1.03", ratio(figure(1, 1, 1, "UDP", "kecho worker"), figure(1, 1, 1, "UDP", "bare 2")))
	split("TCP,UDP", protocols, ",")
	for (p = 1; p <= 2; p++) {
		best = figure(1, 1, 128, protocols[p], "kecho inline")
		best_most = most
		better = figure(1, 1, 128, protocols[p], "kecho worker")
		if (best != "" && better != "" && better < best) {
			best = better
			best_most = most
		}
		auto = figure(1, 1, 128, protocols[p], "kecho auto")
		# No worse: by no more than 1 %, or than what the better one itself was once.
		limit(protocols[p] ", 128 in flight, auto: of the better of the two", best == "" || best_most < 1.01 * best ? "1.010" : ratio(best_most, best), best == "" ? "" : ratio(auto, best))
	}
	for (s = 4; s <= 6; s++) {
		limit("TCP, " servers[s] ": 1,000 connections at work, of one", "1.10", ratio(figure(1, 1000, 1, "TCP", servers[s]), figure(1, 1, 1, "TCP", servers[s])))
		limit("TCP, " servers[s] ": one beside 1,000 idle, of one", "1.10", ratio(figure(1, "1 and 1000 idle", 1, "TCP", servers[s]), figure(1, 1, 1, "TCP", servers[s])))
	}
	for (s = 4; s <= 6; s++)
		if (servers[s] in memory_of)
			limit(servers[s] ": bytes of an idle connection, our part", "4095", int(our_part("after one echo", servers[s])))
	print_table(1)
}

END {
	OURS = "^(kmalloc|ksf|kecho|VmallocUsed|Percpu)"
	SLABS = "^[^A-Z]|^(TCP|UDP|RAW)"
	if (1 in notes) {
		print "### One CPU\n"
		print notes[1]
		print_counts("One connection, one message in flight:", 1, 1, 1, 1)
		print_counts("One connection, 128 messages in flight:", 1, 1, 128, 0)
		print_crowd()
	}
	if (2 in notes) {
		print "### Two CPUs\n"
		print notes[2]
		print_counts("One connection, one message in flight:", 2, 1, 1, 1)
	}
	if ("epoll" in memory_of) {
		print_memory("never used")
		print_memory("after one echo")
	}
	if (1 in notes)
		print_limits()
	for (s = 1; s <= 6; s++) {
		if (("TCP", servers[s]) in missing)
			print "- n/a: TCP, " servers[s] ": " missing["TCP", servers[s]] "."
		if (("UDP", servers[s]) in missing)
			print "- n/a: UDP, " servers[s] ": " missing["UDP", servers[s]] "."
	}
}
