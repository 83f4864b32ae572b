#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Unloading in every situation: it succeeds, at once, and leaves nothing.

. "$(dirname "$0")/common"

# Each test stands alone, whatever the one before it left.
load_afresh() {
	[ ! -e /sys/module/kecho ] || rmmod kecho || return
	load
}

nothing_left() {
	[ ! -e /sys/module/kecho ] && [ ! -e /sys/module/ksf ] && ! pgrep '^ksf/' &&
		[ -z "$(ss -tlnH '( sport = :60007 )')" ]
}

# What the peers do has no say in how long it takes.
unloads_cleanly() {
	timeout 2 rmmod kecho && timeout 2 rmmod ksf && nothing_left
}

with_idle_connections() {
	load_afresh || return
	local client clients=()
	for _ in $(seq 30); do
		exec {client}<>/dev/tcp/127.0.0.1/60007
		clients+=("$client")
	done
	echo >&"$client"
	read -r -t 20 -u "$client" || return
	unloads_cleanly || return
	for client in "${clients[@]}"; do
		# The other end is closed, so reading ends, and not because the time is over.
		read -r -t 20 -u "$client"
		[ $? = 1 ] || return
		exec {client}>&-
	done
}

under_traffic() {
	load_afresh || return
	local client status=0
	echotest --jobs 4 --in-flight 32 --count 100000000 127.0.0.1 >/dev/null 2>/tmp/echotest.err &
	client=$!
	until_true traffic || return
	unloads_cleanly || status=1
	if wait "$client"; then
		echo "echotest did not notice"
		return 1
	fi
	grep -q '^echotest: ' /tmp/echotest.err || status=1
	return "$status"
}

traffic() {
	[ "$(ss -tniH '( dport = :60007 )' | grep -oP 'bytes_received:\K[0-9]+' | sort -n | tail -n 1)" -gt 100000 ]
}

with_a_stalled_peer() {
	load_afresh || return
	socat -u OPEN:/dev/zero TCP:127.0.0.1:60007 &
	local held=$! status=0
	until_true stalled && unloads_cleanly || status=1
	kill "$held" 2>/dev/null
	wait "$held" 2>/dev/null
	return "$status"
}

stalled() {
	ss -tnH '( dport = :60007 )' | awk '$3 > 500000 { found = 1 } END { exit !found }'
}

# Connections that the kernel has completed and nobody has accepted yet must go, too.
while_connecting() {
	load_afresh || return
	local status=0
	(while :; do (exec 5<>/dev/tcp/127.0.0.1/60007) 2>/dev/null; done) &
	local connector=$!
	until_true connecting && unloads_cleanly || status=1
	kill "$connector"
	wait "$connector" 2>/dev/null
	return "$status"
}

connecting() {
	[ -n "$(ss -tnaH '( dport = :60007 )')" ]
}

in_a_loop_under_traffic() {
	local status=0
	(while :; do echotest --jobs 2 --in-flight 8 --count 1000 127.0.0.1 >/dev/null 2>&1; done) &
	local client=$!
	for _ in $(seq 20); do
		load_afresh && unloads_cleanly || {
			status=1
			break
		}
	done
	kill "$client"
	wait "$client" 2>/dev/null
	return "$status"
}

# Sockets of the kernel that nobody closed would stay for ever.
nothing_leaked() {
	echo 1 >/proc/sys/net/ipv4/tcp_fin_timeout
	until_true no_tcp_socket
}

no_tcp_socket() {
	[ "$(awk '$1 == "TCP:" { print $9 }' /proc/net/sockstat)" = 0 ]
}

ktap_begin
ktap_check "right after loading" eval 'load_afresh && unloads_cleanly'
ktap_check "with idle connections, whose peers see the end" with_idle_connections
ktap_check "under traffic, which the client notices" under_traffic
ktap_check "with a peer that never reads" with_a_stalled_peer
ktap_check "while clients connect" while_connecting
ktap_check "20 times in a loop under traffic" in_a_loop_under_traffic
ktap_check "no socket is left" nothing_leaked
ktap_end
