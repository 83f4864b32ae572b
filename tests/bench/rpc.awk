# SPDX-License-Identifier: GPL-2.0
# Makes Markdown tables of what tests/bench/rpc prints: scripts/bench calls it, with table.awk.

BEGIN {
	FS = "\t"
	number_of_servers = split("knfsd,rpcd epoll,rpcd io_uring,krpc inline,krpc worker,krpc auto", servers, ",")
	split("1,16,64", connections, ",")
}

$1 == "note" { notes = notes "- " $2 ".\n" }
$1 == "count" {
	put(key($2, $4, $5, $6, $3, "all"), $7)
	put(key($2, $4, $5, $6, $3, "own"), $8)
	put(key($2, $4, $5, $6, $3, "switches"), $9)
	put(key($2, $4, $5, $6, $3, "softirqs"), $10)
}

function put(row, figure) {
	count[row, ++runs[row]] = figure
}

function key(protocol, connections, in_flight, batch, server, part) {
	return protocol SUBSEP connections SUBSEP in_flight SUBSEP batch SUBSEP server SUBSEP part
}

# The median of a row, or nothing if there is none; $least and $most are set too.
function figure(protocol, connections, in_flight, batch, server, part,    row) {
	row = key(protocol, connections, in_flight, batch, server, part)
	return row in runs ? median(row, runs[row]) : ""
}

# print_counts TITLE, PROTOCOL, in flight with 1, 16 and 64 connections, BATCH
function print_counts(title, protocol, in_flight, batch,    c, s, each, n, all, own, spread, knfsd, epoll) {
	print title "\n"
	add("connections|server|instructions of all|spread|of the client|of knfsd|of rpcd epoll|switches|softirqs")
	split(in_flight, each, ",")
	for (c = 1; c <= 3; c++) {
		n = connections[c]
		knfsd = figure(protocol, n, each[c], batch, "knfsd", "all")
		epoll = figure(protocol, n, each[c], batch, "rpcd epoll", "all")
		for (s = 1; s <= number_of_servers; s++) {
			all = figure(protocol, n, each[c], batch, servers[s], "all")
			if (all == "")
				continue
			spread = 100 * (most - least) / all
			own = figure(protocol, n, each[c], batch, servers[s], "own")
			add(sprintf("%d|%s|%d|%.1f %%|%d|%s|%s|%.2f|%.2f", n, servers[s], all, spread, own, ratio(all, knfsd), ratio(all, epoll), figure(protocol, n, each[c], batch, servers[s], "switches"), figure(protocol, n, each[c], batch, servers[s], "softirqs")))
		}
	}
	print_table(2)
}

# one LOAD WHAT, with one connection over TCP: the ratio of two servers.
function one(in_flight, batch, server, other) {
	return ratio(figure("TCP", 1, in_flight, batch, server, "all"), figure("TCP", 1, in_flight, batch, other, "all"))
}

END {
	print notes
	print_counts("TCP, 1 in flight on each connection:", "TCP", "1,1,1", 1)
	print_counts("TCP, 128 in flight on each connection, one call per send:", "TCP", "128,128,128", 1)
	print_counts("TCP, 32 in flight on each connection, 32 calls per send:", "TCP", "32,32,32", 32)
	print_counts("TCP, 128 in flight on each connection, 32 calls per send:", "TCP", "128,128,128", 32)
	print_counts("UDP, 1 in flight on each socket:", "UDP", "1,1,1", 1)
	print_counts("UDP, 128 in flight on all sockets together:", "UDP", "128,8,2", 1)
	print "Limits, with one connection over TCP:\n"
	add("what|at most|measured|")
	limit("1 in flight, inline: of knfsd", "0.48", one(1, 1, "krpc inline", "knfsd"))
	limit("1 in flight, inline: of rpcd epoll", "0.62", one(1, 1, "krpc inline", "rpcd epoll"))
	limit("1 in flight, worker: of knfsd", "0.75", one(1, 1, "krpc worker", "knfsd"))
	limit("128 in flight, one call per send, auto: of knfsd", "0.72", one(128, 1, "krpc auto", "knfsd"))
	limit("128 in flight, 32 calls per send, auto: of knfsd", "0.20", one(128, 32, "krpc auto", "knfsd"))
	print_table(1)
}
