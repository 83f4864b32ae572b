#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Peers that behave badly over TCP, each beside the same good clients.

. "$(dirname "$0")/common"

resets=${KSF_RESETS:-10000}
mebibytes=${KSF_HALF_CLOSE:-1m,10m,100m}

# They stay during all that follows. What all of them may hold together is bounded by the system, for all sockets there
# are: they take less.
stall() {
	peer_says stalled "never-read: stalled"
}

# The end of kecho has replies that cannot be sent, and requests that it does not receive for that reason.
still_stalled() {
	[ "$(ss -tnH state established "( sport = :60007 )" | awk '$1 > 0 && $2 > 0' | wc -l)" = 20 ]
}

late_readers() {
	peers late --connections 4 --bytes 3m 127.0.0.1 && peers late --connections 2 --bytes 24m 127.0.0.1
}

ktap_begin
# How long those who never read may stay is tested with the limits.
ktap_check "the modules can be loaded" load send_timeout_ms=0
start_good
start_peer stalled peers never-read --connections 20 --buffers 64k --until-told 127.0.0.1
ktap_check "20 peers that never read are stopped" stall
start_peer slow peers slow --connections 10 --bytes 10 127.0.0.1
ktap_check "$resets connections go away at any point, most with a reset" peers reset --connections "$resets" 127.0.0.1
ktap_check "$mebibytes bytes come back after the end of what was sent" peers half-close --bytes "$mebibytes" 127.0.0.1
ktap_check "those who read late get all they sent" late_readers
ktap_check "a byte a second comes back at once, on ten connections" await_peer slow
ktap_check "those who never read are still stopped" still_stalled
ktap_check "and were not closed" stop_peer stalled
check_good
ktap_check "no connection is left" until_true has_connections 0
ktap_check "the modules can be unloaded" unload
ktap_end
