#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# rxtest against the Rx server that others wrote: the kernel's own rxperf.

here=$(dirname "$0")
. "$here/common"
. "$here/loadgen"

start_rxperf() {
	local module=$KSF_MODULES/rxperf/rxperf.ko
	[ -e "$module" ] || {
		echo "scripts/rxperf-module builds it"
		return 1
	}
	modprobe rxrpc && insmod "$module" && is_bound udp 7009
}

clients() { # NAME: what the client's document says
	jq ".servers[0].clients.$1" "$loadgen_work/json"
}

# The server says which program it is.
says_version() { # HOST
	[ "$(timeout 60 rxtest version "$1")" = "linux-$(uname -r) AF_RXRPC" ]
}

# All calls are answered although the network loses packets, and it is seen that it does.
answers_despite_loss() { # MESSAGES TOOL [OPTION...]
	local status=0
	tc qdisc add dev lo root netem loss 2% seed 1 || return
	answers_all "$@" || status=1
	tc qdisc del dev lo root || status=1
	[ "$status" = 0 ] && [ "$(clients packets_reordered)" -gt 0 ] || {
		jq .servers[0].clients "$loadgen_work/json"
		return 1
	}
}

# tells_of_removal TOOL...: a run without end, whose server goes in the middle, ends with a clear line and an exit status.
tells_of_removal() {
	local client status=0
	timeout 120 "$@" --json="$loadgen_work/json" >"$loadgen_work/out" 2>"$loadgen_work/errors" &
	client=$!
	until_true has_carried $(($(packets) + 2000)) && rmmod rxperf || status=1
	wait "$client"
	[ $? = 1 ] && [ "$status" = 0 ] && adds_up && [ "$(wc -l <"$loadgen_work/errors")" = 1 ] &&
		grep -qE ': run 1, connection .*(aborted by the server with code|Connection refused)' "$loadgen_work/errors" || {
		cat "$loadgen_work/errors" "$loadgen_work/out"
		return 1
	}
}

ktap_begin
ktap_check "rxperf.ko starts" start_rxperf
ktap_check "it says what it is" says_version 127.0.0.1
ktap_check "it says what it is over IPv6" says_version ::1
ktap_check "small calls, one at a time" answers_all 500 rxtest rpc -c 500 127.0.0.1
ktap_check "small calls of 8 clients with 3 at a time, over IPv6" answers_all 800 rxtest rpc -j 2 --clients 8 --streams 3 -c 100 ::1
ktap_check "calls without a byte" answers_all 100 rxtest rpc -s 0 -r 0 -c 100 127.0.0.1
# No more: whose next packet of a request is not there for 250 ms is aborted by this server.
ktap_check "calls that send 20 kB" answers_all 10 rxtest rpc -s 20000 -r 5 -c 10 127.0.0.1
ktap_check "files of 1 MiB" answers_all 10 rxtest fetch --files 10 127.0.0.1
ktap_check "files of 100 kB, by 8 clients with 2 streams each, over IPv6" answers_all 32 \
	rxtest fetch -j 2 --clients 8 --streams 2 --files 4 --size 100000 ::1
ktap_check "files of one packet" answers_all 100 rxtest fetch --size 1408 -c 100 127.0.0.1
ktap_check "empty files" answers_all 100 rxtest fetch --size 0 -c 100 127.0.0.1
ktap_check "50 calls a second in open loop" answers_all 100 rxtest rpc --rate 50 -c 100 127.0.0.1
ktap_check "zeros are what it sends" answers_all 10 rxtest fetch --content zeros -s 5000 -c 10 127.0.0.1
ktap_check "other content is told" fails_with "request 1: byte 1 of 5004 is 0x00 instead of 0xaf" \
	rxtest fetch --content pattern -s 5000 -c 10 127.0.0.1
ktap_check "files over a network that loses packets" answers_despite_loss 10 rxtest fetch -c 5 --clients 2 127.0.0.1
ktap_check "it goes in the middle of a run" tells_of_removal rxtest rpc --clients 4 --streams 2 -c 1000M 127.0.0.1
ktap_check "nobody is there" fails_with "Connection refused" rxtest rpc 127.0.0.1
ktap_end
