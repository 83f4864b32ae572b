#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The load generators agree with a capture of the packets of the same run: see capture.py.

here=$(dirname "$0")
. "$here/common"
. "$here/loadgen"
. "$here/capture"
. "$here/knfsd"

# agrees STATUS "OPTION..." TOOL [OPTION...]: the options are those of capture.py.
agrees() {
	local expected=$1 options=$2 status
	shift 2
	start_capture || return
	"$@" --json="$loadgen_work/json" >"$loadgen_work/out" 2>"$loadgen_work/errors"
	status=$?
	end_capture || status=
	kill_server capture
	[ "$status" = "$expected" ] && compare "$options" >"$loadgen_work/comparison" 2>&1 || {
		cat "$loadgen_work"/{comparison,errors,out}
		return 1
	}
}

compare() { # "OPTION..."
	# shellcheck disable=SC2086
	python3 "$here/capture.py" $1 "$loadgen_work/capture" "$loadgen_work/json"
}

# with_a_stall TOOL [OPTION...]: the quick server does nothing for half a second in the middle.
with_a_stall() {
	local client
	"$@" &
	client=$!
	until_true has_carried $(($(packets) + 200))
	signal_server quick STOP
	pause 0.5
	signal_server quick CONT
	wait "$client"
}

# check NAME ...: agrees, and what was compared.
check() {
	: >"$loadgen_work/comparison"
	ktap_check "$1" agrees "${@:2}"
	note "$(cat "$loadgen_work/comparison")"
}

start_echo() { # NAME PORT [OPTION...]
	start_server "$1" python3 "$here/echo-server.py" "${@:3}" "$2"
	await_server "$1" is_bound tcp "$2" && await_server "$1" is_bound udp "$2"
}

ktap_begin
ktap_check "an echo server starts" start_echo quick 7001
ktap_check "one that waits for 20 ms does, too" start_echo waiting 7002 --delay 0.02
ktap_check "one that drops every tenth datagram does, too" start_echo dropping 7003 --drop 10
ktap_check "rpcbind starts" start_rpcbind
echo_32="--port 7001 --echo 32"
check "echotest over TCP, one at a time" 0 "$echo_32" echotest -c 1000 127.0.0.1:7001
check "echotest over UDP, one at a time" 0 "$echo_32" echotest -u -c 1000 127.0.0.1:7001
check "echotest over TCP and IPv6, messages of 10000 bytes" 0 "--port 7001 --echo 10000" \
	echotest -l 10000 -c 500 "[::1]:7001"
check "echotest over UDP and IPv6, messages of 10000 bytes" 0 "--port 7001 --echo 10000" \
	echotest -u -l 10000 -c 500 "[::1]:7001"
check "echotest over TCP, 8 in flight on 4 connections" 0 "$echo_32 --in-flight 8" \
	echotest -j 2 --connections 4 -a 8 -c 500 127.0.0.1:7001
check "echotest over TCP, 8 at once" 0 "$echo_32 --in-flight 8" echotest --batch 8 -a 8 -c 1000 127.0.0.1:7001
check "echotest over UDP, 8 at once" 0 "$echo_32 --in-flight 8" echotest -u --batch 8 -a 8 -c 1000 127.0.0.1:7001
check "echotest over TCP, replies after 20 ms" 0 "--port 7002 --echo 32 --delay 20" echotest -c 100 127.0.0.1:7002
check "echotest over UDP, replies after 20 ms" 0 "--port 7002 --echo 32 --delay 20" echotest -u -c 100 127.0.0.1:7002
check "echotest over UDP, every tenth datagram dropped" 1 "--port 7003 --echo 32 --in-flight 8" \
	echotest -u -a 8 -c 400 127.0.0.1:7003
check "echotest over TCP, 250 a second" 0 "$echo_32 --rate 250" echotest --rate 250 -c 750 127.0.0.1:7001
check "echotest over UDP, 250 a second, replies after 20 ms" 0 "--port 7002 --echo 32 --rate 250 --delay 20" \
	echotest -u --rate 250 -c 750 127.0.0.1:7002
check "echotest over TCP, 250 a second, and the server stalls for 500 ms" 0 "$echo_32 --rate 250 --stall 490" \
	with_a_stall echotest --rate 250 -c 750 127.0.0.1:7001
check "echotest over UDP, 250 a second, and the server stalls for 500 ms" 0 "$echo_32 --rate 250 --stall 490" \
	with_a_stall echotest -u --rate 250 -c 750 127.0.0.1:7001
check "rpctest over TCP, one at a time" 0 "--port 111" rpctest --program rpcbind --prog-version 2 -c 1000 127.0.0.1
check "rpctest over UDP, one at a time" 0 "--port 111" rpctest -u --program rpcbind --prog-version 2 -c 1000 127.0.0.1
check "rpctest over TCP and IPv6, 16 in flight on 4 connections" 0 "--port 111 --in-flight 16" \
	rpctest -j 2 --connections 4 -a 16 --program rpcbind --prog-version 2 -c 500 ::1
check "rpctest over TCP, 250 a second" 0 "--port 111 --rate 250" \
	rpctest --rate 250 --program rpcbind --prog-version 2 -c 750 127.0.0.1
ktap_end
