#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A service with a protocol of its own: bursts of datagrams, whose they are, timers and limits, by kburst.

. "$(dirname "$0")/common"
. "$(dirname "$0")/bursts"

# Nine segments are one packet on the way through IP, or eight if one of them is in two pieces.
packets_are_few() {
	local sends datagrams
	sends=$(of_kburst sends) datagrams=$(of_kburst datagrams_out)
	bursts_over_the_cable --peers 1 --count 180 || return
	sends=$(($(of_kburst sends) - sends)) datagrams=$(($(of_kburst datagrams_out) - datagrams))
	echo "$datagrams datagrams in $sends packets"
	[ "$datagrams" -ge 360 ] && [ $((sends * 7)) -le "$datagrams" ]
}

# The device is to do without, so the kernel cuts the packets, and computes the checksums of the segments, which the other end
# looks at.
without_offload() {
	asks offload ksf-outside --number 0 && bursts_over_the_cable --count 200 && asks offload ksf-outside --number 1
}

# How many UDP datagrams the other end has dropped for their checksum.
checksum_errors() {
	client cat /proc/net/snmp /proc/net/snmp6 | awk '
		$1 == "Udp:" && !column { for (i = 1; i <= NF; i++) if ($i == "InCsumErrors") column = i; next }
		$1 == "Udp:" { sum += $column }
		$1 == "Udp6InCsumErrors" { sum += $2 }
		END { print sum + 0 }'
}

no_checksum_was_wrong() {
	[ "$(checksum_errors)" = 0 ]
}

with_few_segments() {
	ip link set ksf-outside gso_max_segs 4 && bursts_over_the_cable && ip link set ksf-outside gso_max_segs 65535
}

# What does not fit into a packet is fragmented, and not combined.
with_a_small_mtu() {
	ip link set ksf-outside mtu 1300 && client ip link set ksf-inside mtu 1300 &&
		bursts_over_the_cable --sizes 1412,1000,8000 --count 20 &&
		ip link set ksf-outside mtu 1500 && client ip link set ksf-inside mtu 1500
}

# The device is slower than the core, which has to wait for room: nothing is lost.
waits_for_room() {
	local before status=0
	before=$(of_kburst send_blocked)
	tc qdisc add dev ksf-outside root tbf rate 20mbit burst 256k limit 64m || return
	client_asks bursts 198.51.100.1 --peers 1 --count 3600 || status=1
	tc qdisc del dev ksf-outside root || return
	is_at_least send_blocked $((before + 1)) && return "$status"
}

# Each change makes the routes that were kept invalid.
with_other_routes() {
	local status=0
	start_client routed until-told 198.51.100.1 --count 20
	peer_says routed "good: goes on" || status=1
	for _ in 1 2 3; do
		ip route add 203.0.113.0/24 dev ksf-outside && ip route del 203.0.113.0/24 dev ksf-outside || status=1
	done
	stop_peer routed || status=1
	return "$status"
}

# The same number is the same core, from wherever it is asked, and the core remembers.
keeps_to_its_core() { # NUMBER
	local number first second cores=() handed
	handed=$(of_kburst handed_over)
	for number in "$1" $(($1 + 1)); do
		first=$(taskset -c $((number % 2)) python3 -S burst.py belongs 127.0.0.1 --number "$number") &&
			second=$(taskset -c $(((number + 1) % 2)) python3 -S burst.py belongs 127.0.0.1 --number "$number") || return
		echo "$number: $first, $second"
		[ "${first% *}" = "${second% *}" ] && [ $((${first##* } + 1)) = "${second##* }" ] || return
		cores+=("${first% requests*}")
	done
	[ "${cores[0]}" != "${cores[1]}" ] && is_at_least handed_over $((handed + 2))
}

# What nobody takes is dropped in the end.
is_not_handed_over_for_ever() {
	local before
	before=$(of_kburst dropped_service)
	fails_with "no H came" timeout 30 python3 -S burst.py belongs 127.0.0.1 --number 100 --patience 1 || return
	echo "$(($(of_kburst dropped_service) - before)) dropped"
	[ $(($(of_kburst dropped_service) - before)) = 1 ]
}

# More than may wait is dropped and counted, and others are served afterwards.
drops_what_is_too_much() { # PARAMETER VALUE
	local parameter=/sys/module/kburst/parameters/$1 before status=0
	local value
	value=$(cat "$parameter")
	before=$(of_kburst dropped_queue)
	echo "$2" >"$parameter" || return
	start_asking flood flood 127.0.0.1
	limit=60 until_true is_at_least dropped_queue $((before + 100)) || status=1
	stop_peer flood || status=1
	echo "$value" >"$parameter"
	asks bursts 127.0.0.1 --peers 1 || status=1
	# Nothing is left that counts.
	until_true nothing_waits || status=1
	return "$status"
}

nothing_waits() {
	[ "$(sum cores queued)" = 0 ] && [ "$(sum cores queued_bytes)" = 0 ]
}

served_only_by() { # KEY OTHER
	local before other
	before=$(of_kburst "$1") other=$(of_kburst "$2")
	asks bursts 127.0.0.1 --peers 2 && asks timers 127.0.0.1 --count 20 && [ "$(of_kburst "$1")" -gt "$before" ] &&
		[ "$(of_kburst "$2")" = "$other" ]
}

# In softirq as long as it has budget, then in the workers.
floods_go_to_the_workers() {
	local before status=0
	before=$(of_kburst turns_worker)
	echo 1 >/sys/module/ksf/parameters/budget
	start_asking flood flood 127.0.0.1
	limit=60 until_true is_at_least turns_worker $((before + 10)) || status=1
	stop_peer flood || status=1
	echo 64 >/sys/module/ksf/parameters/budget
	asks bursts 127.0.0.1 --peers 1 && return "$status"
}

check_serving() { # NUMBER
	start_client good until-told 198.51.100.1 --number 5 --count 20
	ktap_check "a client is served" peer_says good "good: goes on"
	ktap_check "bursts of all sizes are right over the loopback" asks bursts 127.0.0.1 --peers 2 --sizes 0,1,700,1412,8000 --count 60
	ktap_check "bursts of all sizes are right over the cable" bursts_over_the_cable --peers 2 --sizes 0,1,700,1412 --count 60
	ktap_check "who has not proved its address, or asks nonsense, gets nothing" asks refused 127.0.0.1
	ktap_check "answers come in time, in order, and not before" asks timers 127.0.0.1 --count 50
	ktap_check "datagrams are kept as they are" asks kept 127.0.0.1 --peers 20
	ktap_check "what has the same number belongs to the same core" keeps_to_its_core "$1"
	ktap_check "what belongs to no core is dropped" is_not_handed_over_for_ever
	ktap_check "a good client has lost nothing" stop_peer good
	note "$(peer_output good)"
	ktap_check "no more datagrams wait than may" drops_what_is_too_much queue_packets 1
}

ktap_begin
ktap_check "there is another host" set_up
ktap_check "the modules can be loaded" load_kburst
check_serving 10
ktap_check "nine datagrams are one packet" packets_are_few
ktap_check "bursts are right where the kernel cuts and sums them" without_offload
ktap_check "bursts are right where the kernel cuts them" with_few_segments
ktap_check "bursts are right where they do not fit" with_a_small_mtu
ktap_check "no checksum was wrong" no_checksum_was_wrong
ktap_check "a core waits for room" waits_for_room
ktap_check "routes may change meanwhile" with_other_routes
ktap_check "what is too much in one run of softirq is the workers'" floods_go_to_the_workers
echo inline >/sys/module/kburst/parameters/serve
check_serving 20
ktap_check "nothing is served by the workers" served_only_by turns_inline turns_worker
echo worker >/sys/module/kburst/parameters/serve
check_serving 30
ktap_check "nothing is served in softirq" served_only_by turns_worker turns_inline
ktap_check "the modules can be unloaded" unload_kburst
ip netns delete ksf-client
ktap_end
