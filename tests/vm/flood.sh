#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Floods over TCP and over UDP cost others little: the system answers a ping, and kecho a good client, within a second.

. "$(dirname "$0")/common"

seconds=${KSF_FLOOD_SECONDS:-4}

# Counts the replies that came within a second.
ping_is_answered() {
	local output
	output=$(<"$peers_work/ping.out")
	# rtt min/avg/max/mdev = 0.1/0.2/0.3/0.1 ms
	awk '
		/ packets transmitted, / { sent = $1; received = $4 }
		/^rtt / { split($4, times, "/"); longest = times[3] }
		END { exit !(sent > 0 && received == sent && longest < 1000) }' <<<"$output" || {
		echo "$output"
		return 1
	}
}

flood() { # NAME OPTION...
	# UDP may lose what comes when there is no room; a good client asks again, for as long as a reply may take.
	start_peer good_tcp peers good --until-told 127.0.0.1
	start_peer good_udp peers good --udp --wait 0.05 --resends 19 --until-told 127.0.0.1
	start_peer ping ping -i 0.2 -w $((seconds - 1)) -W 1 127.0.0.1
	ktap_check "$1: the flood goes on for $seconds s" peers flood --seconds "$seconds" "${@:2}" 127.0.0.1
	ktap_check "$1: the ping ends" eval 'peer_says ping "rtt" >/dev/null; await_peer ping'
	ktap_check "$1: each ping was answered within a second" ping_is_answered
	check_good
}

ktap_begin
for serve in auto inline worker; do
	ktap_check "the modules can be loaded with serve=$serve" load "serve=$serve"
	flood "serve=$serve, TCP" --connections 8
	flood "serve=$serve, UDP" --udp --connections 4
	ktap_check "no connection is left" until_true has_connections 0
	ktap_check "the modules can be unloaded" unload
done
ktap_end
