#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# As many connections as a service is meant for, all open at once and all in use, and what an idle one costs.

. "$(dirname "$0")/common"

count=${KSF_CONNECTIONS:-10000}

slabs() { # NAME...: how many objects of each are in use
	local name
	for name; do
		awk -v name="$name" '$1 == name { print name, $2; found = 1 } END { if (!found) print name, 0 }' /proc/slabinfo
	done
}

# Memory that the peers' processes have is theirs. What else is gone, the kernel has for both ends of the connections.
measure() {
	shrink_slabs
	awk '$1 == "MemAvailable:" { print "available", $2 }' /proc/meminfo
	[ ! -e "$peers_work/many.pid" ] || awk '{ print "peers", $2 * 4 }' "/proc/$(cat "$peers_work/many.pid")/statm"
	slabs TCP TCPv6 sock_inode_cache filp kmalloc-64 kmalloc-96 kmalloc-128 kmalloc-192 kmalloc-256 kmalloc-512 \
		kmalloc-1k kmalloc-2k kmalloc-4k kmalloc-8k
}

all_are_open() {
	limit=120 peer_says many "many: holding" && until_true has_connections $((count + 1))
}

cost() { # BEFORE AFTER
	join -a 2 -e 0 -o 0,1.2,2.2 "$1" "$2" | awk -v count="$count" '
		{ grown[$1] = $3 - $2 }
		!/^(available|peers) / && grown[$1] > count / 2 { slabs = slabs sprintf(", %s %.1f", $1, grown[$1] / count) }
		END {
			kib = -grown["available"] - grown["peers"]
			printf "an idle connection, both ends of it: %d bytes of memory; objects: %s\n", kib * 1024 / count, substr(slabs, 3)
		}'
}

ktap_begin
ktap_check "the modules can be loaded" load
start_peer good_tcp peers good --until-told 127.0.0.1
ktap_check "the good client is served" until_true has_connections 1
measure | sort >"$peers_work/before"
start_peer many peers many --connections "$count" --source 127.0.0.1 --sources 10 --rounds 3 --timeout 60 --hold 127.0.0.1
ktap_check "$count connections from ten addresses, with three echoes on each" all_are_open
measure | sort >"$peers_work/after"
note "$(grep round=3 "$peers_work/many.out")"
note "$(cost "$peers_work/before" "$peers_work/after")"
ktap_check "each of them has another echo, and ends" eval 'limit=120 stop_peer many'
ktap_check "a good client beside them has lost nothing and waited for nothing" stop_peer good_tcp
note "$(peer_output good_tcp)"
ktap_check "no connection is left" until_true has_connections 0
ktap_check "the modules can be unloaded" unload
ktap_end
