#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What one sees of a running ksf: trace events, and ksfstat with the kernel's own files.

. "$(dirname "$0")/common"
. "$(dirname "$0")/debugfs"

tracing=/sys/kernel/tracing

trace_on() {
	echo >"$tracing/trace"
	echo 1 >"$tracing/events/ksf/enable"
}

trace_has() { # REGULAR-EXPRESSION
	grep -qE "$1" "$tracing/trace" || {
		tail -n 5 "$tracing/trace"
		return 1
	}
}

one_echo() {
	echotest --count 5 --iterations 1 127.0.0.1 && until_true trace_has 'conn_close: service=kecho'
}

blocked() {
	timeout 2 socat -u OPEN:/dev/zero TCP:127.0.0.1:60007
	until_true trace_has 'send_blocked: service=kecho peer=127\.0\.0\.1:[0-9]+ unsent='
}

refused() {
	echo 0 >/sys/module/kecho/parameters/max_conns
	echotest --count 1 127.0.0.1
	echo 16384 >/sys/module/kecho/parameters/max_conns
	trace_has 'limit_hit: service=kecho limit=max_conns value=0'
}

nothing_when_off() {
	echo 0 >"$tracing/events/ksf/enable"
	echo >"$tracing/trace"
	echotest --count 5 --iterations 1 127.0.0.1 && ! grep -q 'service=kecho' "$tracing/trace"
}

table() {
	ksfstat | grep -E '^kecho +tcp,udp +\*:60007' && ksfstat | grep -E '^ *0 +running'
}

all_tables() {
	local output
	exec 5<>/dev/tcp/127.0.0.1/60007
	echo hello >&5
	output=$(ksfstat -a)
	exec 5>&-
	grep -qF "127.0.0.1" <<<"$output" && grep -qF max_conns_per_peer <<<"$output" || {
		echo "$output"
		return 1
	}
}

# Each key that the files have is in the JSON, and no column is a dash for want of a key.
json() {
	ksfstat --json -a | python3 -c '
import json, sys
text = sys.stdin.read()
json.loads(text)
keys = open("/sys/kernel/debug/ksf/services").readline().split()
missing = [key.split("=")[0] for key in keys if "\"" + key.split("=")[0] + "\"" not in text]
assert not missing, missing
assert len(keys) > 30, keys'
}

rates() {
	echotest --count 100000000 127.0.0.1 >/dev/null 2>&1 &
	local client=$! output
	output=$(ksfstat -y 1 2)
	kill "$client"
	wait "$client" 2>/dev/null
	# The requests of a second, which are some hundreds at least.
	grep -E '^kecho .* [0-9.]+k ' <<<"$output" || {
		echo "$output"
		return 1
	}
}

ktap_begin
ktap_check "the modules can be loaded" load
ktap_check "trace events can be switched on" trace_on
ktap_check "an echo is traced" one_echo
ktap_check "conn_open has the peer" trace_has 'conn_open: service=kecho peer=127\.0\.0\.1:[0-9]+'
ktap_check "turn has what was done, and where" trace_has 'turn: service=kecho what=stream inline=[01] bytes_in=32 bytes_out=32 delay_ns=[0-9]+ time_ns=[1-9]'
ktap_check "conn_close has the reason" trace_has 'conn_close: service=kecho peer=127\.0\.0\.1:[0-9]+ reason=closed_peer bytes_in=160 bytes_out=160'
ktap_check "a peer that does not read is traced" blocked
ktap_check "a refusal is traced" refused
ktap_check "nothing is traced when it is switched off" nothing_when_off
ktap_check "ksfstat shows services and workers" table
ktap_check "ksfstat shows all tables" all_tables
ktap_check "ksfstat --json has each key" json
ktap_check "ksfstat shows rates" rates
ktap_check "the modules can be unloaded" unload
ktap_end
