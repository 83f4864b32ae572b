#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What kecho sends back, with clients that others wrote and with ours.

. "$(dirname "$0")/common"

work=$(mktemp -d)
head -c 1 /dev/urandom >"$work/byte"
head -c 8388608 /dev/urandom >"$work/8M"

nc_echoes() {
	nc -N -w 20 127.0.0.1 60007 <"$work/8M" | cmp - "$work/8M"
}

bash_echoes() {
	local answer
	exec 5<>/dev/tcp/127.0.0.1/60007
	echo "one line" >&5
	read -r -t 20 answer <&5
	exec 5>&-
	[ "$answer" = "one line" ]
}

# Closing without sending anything must be answered by closing.
closes_when_asked() {
	local answer
	answer=$(timeout 10 socat -t 20 - TCP:127.0.0.1:60007 </dev/null) && [ -z "$answer" ]
}

many_at_once() {
	local clients=() client status=0
	for _ in $(seq 20); do
		socat_echoes TCP:127.0.0.1:60007 "$work/byte" &
		clients+=($!)
	done
	for client in "${clients[@]}"; do
		wait "$client" || status=1
	done
	return "$status"
}

# A peer that sends for ever and reads nothing must be stopped by its window, and cost no one else anything.
stalled_peer() {
	local held good sent
	socat -u OPEN:/dev/zero TCP:127.0.0.1:60007 &
	held=$!
	# It stalls when its socket takes nothing any more.
	until_true stalled || return
	sent=$(unsent_bytes)
	echotest --count 500 --in-flight 4 127.0.0.1
	good=$?
	[ "$sent" = "$(unsent_bytes)" ] || good=1
	kill "$held"
	wait "$held" 2>/dev/null
	return "$good"
}

unsent_bytes() {
	ss -tnH "( dport = :60007 )" | awk '$3 > 100000 { print $3 }'
}

stalled() {
	local before
	before=$(unsent_bytes)
	[ -n "$before" ] && sleep 0.3 && [ "$before" = "$(unsent_bytes)" ]
}

# A peer that sends all it has before it reads anything fills the way back, and then only its reading makes room there: no
# byte of its own tells kecho to go on.
reads_late() {
	local status=0
	head -c 3200000 "$work/8M" >"$work/late"
	exec 5<>/dev/tcp/127.0.0.1/60007
	timeout 20 cat "$work/late" >&5 && until_true way_back_is_full &&
		timeout 20 head -c 3200000 <&5 | cmp - "$work/late" || status=1
	exec 5>&-
	return "$status"
}

# The end of kecho has replies that cannot be sent and requests that it does not receive for that reason.
way_back_is_full() {
	local before
	before=$(ss -tnH "( sport = :60007 )" | awk '$2 > 0 && $3 > 0 { print $2, $3 }')
	[ -n "$before" ] && sleep 0.3 &&
		[ "$before" = "$(ss -tnH "( sport = :60007 )" | awk '$2 > 0 && $3 > 0 { print $2, $3 }')" ]
}

# Peers that go away in the middle, with a reset.
resets() {
	for _ in $(seq 50); do
		head -c 200000 "$work/8M" | timeout 5 socat -u - TCP:127.0.0.1:60007,linger=0 || true
	done
	until_true no_connection_left && echotest --count 100 127.0.0.1
}

# What "ss --kill" does to the listeners ends neither the machine nor the service: there are new ones, for each core.
killed_listeners() {
	local before
	before=$(listeners)
	mark_log
	ss --kill -tlnH '( sport = :60007 )' && until_true as_many_listeners "$before" &&
		log_since_mark | grep -qF "a listener was closed by somebody else, and is opened again" &&
		echotest --count 10 --iterations 20 127.0.0.1 && until_true workers_sleep
}

listeners() {
	ss -tlnH '( sport = :60007 )' | wc -l
}

as_many_listeners() { # COUNT
	[ "$(listeners)" = "$1" ]
}

workers_sleep() {
	! ps -o stat= -C ksf/0,ksf/1 | grep -q R
}

no_connection_left() {
	[ -z "$(connections 60007)" ]
}

workers_are_bound() {
	local cpu thread
	for cpu in $(seq 0 $(($(nproc) - 1))); do
		thread=$(pgrep -x "ksf/$cpu") || return
		grep -qxP "Cpus_allowed_list:\t$cpu" "/proc/$thread/status" || return
	done
}

ktap_begin
ktap_check "the modules can be loaded" load
ktap_check "there is a worker bound to each CPU" workers_are_bound
ktap_check "one byte comes back" socat_echoes TCP:127.0.0.1:60007 "$work/byte"
ktap_check "8 MiB come back after a half-close" socat_echoes TCP:127.0.0.1:60007 "$work/8M"
ktap_check "8 MiB come back over IPv6" socat_echoes "TCP6:[::1]:60007" "$work/8M"
ktap_check "8 MiB come back to nc" nc_echoes
ktap_check "a line comes back to bash" bash_echoes
ktap_check "a peer that sends nothing is closed when it closes" closes_when_asked
ktap_check "20 clients at once get what they sent" many_at_once
ktap_check "echotest, one message in flight" echotest --count 1000 127.0.0.1
ktap_check "echotest, 128 messages in flight on 4 connections, IPv6" echotest --jobs 4 --in-flight 128 --count 1000 "[::1]:60007"
ktap_check "echotest, 1 MiB messages, 8 in flight" echotest --length 1m --in-flight 8 --count 16 127.0.0.1
ktap_check "a peer that never reads is stopped, and a good client is served" stalled_peer
ktap_check "a peer that reads late gets all it sent" reads_late
ktap_check "resets end their own connection only" resets
ktap_check "no connection is left" until_true no_connection_left
ktap_check "listeners that are killed are opened again, and workers rest" killed_listeners
ktap_check "the modules can be unloaded" unload
ktap_check "the modules can be loaded again" load
ktap_check "one byte comes back again" socat_echoes TCP:127.0.0.1:60007 "$work/byte"
ktap_check "the modules can be unloaded again" unload
ktap_end
