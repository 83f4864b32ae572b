#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A service with a protocol of its own while CPUs go, while it is unloaded, and when its network namespace goes, by kburst.

. "$(dirname "$0")/common"
. "$(dirname "$0")/bursts"

cpu1=/sys/devices/system/cpu/cpu1/online
# shellcheck disable=SC2154
trap 'echo 1 >"$cpu1"; end_peers' EXIT

worker_is() { # CPU STATE
	[ "$(grep -cE "(^| )cpu=$1 (.* )?state=$2( |\$)" "$debugfs/workers")" = 1 ]
}

goes() {
	echo 0 >"$cpu1" && until_true worker_is 1 parked
}

comes_back() {
	echo 1 >"$cpu1" && until_true worker_is 1 running
}

# The numbers of both cores are answered, with their timers and all that they knew.
without_cpu_1() {
	local number before=() after status=0
	for number in 20 21; do
		before[number]=$(taskset -c $((number % 2)) python3 -S burst.py belongs 127.0.0.1 --number "$number") || return
	done
	[ "${before[20]%% r*}" = "core 0" ] && [ "${before[21]%% r*}" = "core 1" ] && goes || return
	for number in 20 21; do
		after=$(asks belongs 127.0.0.1 --number "$number")
		echo "$number: ${before[number]}, then $after"
		[ "${before[number]% *}" = "${after% *}" ] && [ $((${before[number]##* } + 1)) = "${after##* }" ] || status=1
	done
	asks timers 127.0.0.1 --peers 22 --count 10 || status=1
	comes_back || status=1
	asks timers 127.0.0.1 --peers 22 --count 10 && return "$status"
}

goes_and_comes() {
	for _ in 1 2 3; do
		goes && comes_back || return
	done
}

# Unloading sends a last datagram to who waits.
says_goodbye() {
	start_client waiting1 waits 198.51.100.1 --number 1
	start_client waiting2 waits 2001:db8::1 --number 2
	peer_says waiting1 waits && peer_says waiting2 waits && unload_kburst && await_peer waiting1 && await_peer waiting2
}

unloads_under_traffic() {
	local status=0
	load_kburst "serve=$1" || return
	# One after the other: beside a flood it takes a while to begin.
	local limit=60
	start_client endless1 endless 198.51.100.1 --count 1000 --number 1
	peer_says endless1 "endless: goes on" || status=1
	start_client endless2 endless 2001:db8::1 --count 1000 --number 2
	peer_says endless2 "endless: goes on" || status=1
	start_asking endless3 flood 127.0.0.1
	peer_says endless3 "flood: goes on" && until_true is_at_least datagrams_out 5000 || status=1
	unload_kburst || status=1
	for name in endless1 endless2 endless3; do
		kill_peer "$name"
	done
	return "$status"
}

# Both cores have what the other one gets.
loads_and_unloads() {
	local status=0
	start_asking flood flood 127.0.0.1 --until-there
	for _ in 1 2 3 4 5; do
		load_kburst && until_true is_at_least datagrams_in 50 && unload_kburst || {
			status=1
			break
		}
	done
	kill_peer flood
	return "$status"
}

load_inside() {
	[ -e /sys/module/ksf ] || insmod "$KSF_MODULES/ksf.ko" || return
	client insmod "$KSF_MODULES/kburst.ko"
}

is_gone() {
	! ip link show ksf-outside
}

# The end of the namespace closes the service in it, while somebody asks it.
namespace_goes() {
	local status=0 limit=60
	start_asking endless1 endless 198.51.100.9 --count 1000
	peer_says endless1 "endless: goes on" && until_true is_at_least datagrams_out 1000 || status=1
	ip netns delete ksf-client && until_true is_gone || status=1
	kill_peer endless1
	[ -z "$(ss -ulnH '( sport = :60010 )')" ] && [ -z "$(cat "$debugfs/cores")" ] && unload_kburst && return "$status"
}

ktap_begin
ktap_check "there is another host" set_up
ktap_check "the modules can be loaded" load_kburst
ktap_check "cores whose CPU has gone are served elsewhere" without_cpu_1
start_client good until-told 198.51.100.1 --number 5 --count 20
ktap_check "a client is served" peer_says good "good: goes on"
ktap_check "CPU 1 goes and comes back meanwhile" goes_and_comes
ktap_check "the client has lost nothing" stop_peer good
note "$(peer_output good)"
ktap_check "unloading says goodbye" says_goodbye
for serve in auto inline worker; do
	ktap_check "the modules can be unloaded under traffic, serve=$serve" unloads_under_traffic "$serve"
done
ktap_check "they can be loaded and unloaded under traffic" loads_and_unloads
ktap_check "they can be loaded in a namespace" load_inside
ktap_check "which goes, and the service with it" namespace_goes
ktap_end
