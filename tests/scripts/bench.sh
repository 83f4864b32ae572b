#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What scripts/bench makes of figures, and what it measures them with.

top=$(cd "$(dirname "$0")/../.." && pwd -P)
. "$top/tests/ktap.sh"
cd "$top" || exit
mkdir -p build
work=$(mktemp -d "$top/build/test.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Words for lines of cells.
figures() {
	tr ' _' '\t ' <<'EOF'
cpus 1
note a_note
missing UDP kecho_worker it_has_none
count TCP epoll 1 1 1000 2.0 2.0
count TCP epoll 1 1 1200 2.0 2.0
count TCP epoll 1 1 900 2.0 2.0
count TCP bare_2 1 1 800 2.0 2.0
count TCP kecho_worker 1 1 900 2.0 2.0
count TCP kecho_worker 1 1 920 2.2 2.4
count TCP kecho_inline 1 1 610 0.0 1.0
count TCP kecho_inline 1 128 500 0.0 1.0
count TCP kecho_inline 1 128 520 0.0 1.0
count TCP kecho_worker 1 128 480 0.0 1.0
count TCP kecho_worker 1 128 500 0.0 1.0
count TCP kecho_auto 1 128 501 0.0 1.0
count TCP epoll 1000 1 700 0.5 2.0
count TCP kecho_worker 1000 1 1092 0.5 2.0
count TCP kecho_worker 1_and_1000_idle 1 910 2.0 2.0
count UDP epoll 1 1 700 2.0 2.0
memory after_one_echo epoll kmalloc-64 128
memory after_one_echo epoll filp 192
memory after_one_echo kecho_worker kmalloc-64 64
memory after_one_echo kecho_worker kmalloc-4k 4096
memory after_one_echo kecho_worker ksf_connections 100
memory after_one_echo kecho_worker TCP 2432
EOF
}

calls() {
	tr ' ~' '\t ' <<'END'
note a~note
count TCP knfsd 1 1 1 50000 18000 2.0 2.0
count TCP knfsd 1 1 1 51000 18000 2.0 2.0
count TCP knfsd 1 1 1 49000 18000 2.0 2.0
count TCP rpcd~epoll 1 1 1 40000 18000 2.0 2.0
count TCP krpc~inline 1 1 1 25000 24900 0.01 1.0
count TCP krpc~worker 1 1 1 37000 18000 2.0 2.0
count TCP krpc~worker 1 1 1 37500 18500 2.1 2.0
count TCP knfsd 64 1 1 30000 18000 0.5 1.0
count TCP rpcd~io_uring 64 1 1 24000 18000 0.5 1.0
count TCP knfsd 1 128 32 20000 800 0.5 0.5
count TCP krpc~auto 1 128 32 5000 800 0.5 0.5
count UDP rpcd~epoll 16 8 1 20000 9000 0.5 1.0
END
}

# row WORD...: the tables have a row of these words.
row() {
	tr -s ' ' <"$work/tables" | grep -qxF "| $* |" || {
		cat "$work/tables"
		return 1
	}
}

makes_tables() { # KIND FIGURES
	"$2" | awk -f tests/bench/table.awk -f "tests/bench/$1.awk" >"$work/tables"
}

# bare, with clients that all get what they sent until it is unloaded under them.
# shellcheck disable=SC2016
bare='
	set -e
	bare=$1
	for mode in 2 3; do
		for udp in 0 1; do
			option=$([ "$udp" = 0 ] || echo -u)
			insmod "$bare" mode="$mode" udp="$udp" port=7000
			echotest $option -c 500 -a 8 -l 4000 -i 3 127.0.0.1:7000
			echotest $option -c 50 -l 65507 127.0.0.1:7000
			echotest $option -c 10M --timeout 5 127.0.0.1:7000 >/tmp/client 2>&1 &
			until ss -tuanH state connected "( dport = :7000 )" | grep -q .; do sleep 0.05; done
			rmmod bare
			if wait $!; then exit 1; fi
			grep -E "closed by the server|Connection refused|reset by peer" /tmp/client
		done
	done
	! insmod "$bare" mode=1'

ktap_begin
ktap_check "figures of echoes become tables" makes_tables echo figures
ktap_check "the middle one of three is shown, and how far they spread" row 'TCP | epoll | 1000 | 30.0 % | 1.000 | 1.250 | 2.0 | 2.0'
ktap_check "of two it is the one between" row 'TCP | kecho worker | 910 | 2.2 % | 0.910 | 1.137 | 2.1 | 2.2'
ktap_check "what cannot be had is n/a" row 'UDP | kecho worker | n/a | | | | |'
ktap_check "a reason is given" grep -qxF -- '- n/a: UDP, kecho worker: it has none.' "$work/tables"
ktap_check "1,000 connections are compared with one" row 'kecho worker | 910 | 1092 | 1.200 | 910 | 1.000'
ktap_check "our part of the memory is beyond epoll's" row "**our part**: kmalloc and vmalloc beyond epoll's | | **4132**"
ktap_check "a limit that is exceeded is named" row 'TCP, inline: of epoll | 0.60 | 0.610 | **exceeded**'
ktap_check "a limit of bytes is one" row 'kecho worker: bytes of an idle connection, our part | 4095 | 4132 | **exceeded**'
ktap_check "a limit that is kept is named" row 'TCP, worker: of epoll | 0.92 | 0.910 | kept'
ktap_check "auto is compared with the better one, and its spread" row 'TCP, 128 in flight, auto: of the better of the two | 1.020 | 1.022 | **exceeded**'
ktap_check "a limit without a figure is neither" row 'UDP, inline: of epoll | 0.50 | n/a |'
ktap_check "figures of calls become tables" makes_tables rpc calls
ktap_check "all servers are compared with knfsd and rpcd" row '1 | krpc inline | 25000 | 0.0 % | 24900 | 0.500 | 0.625 | 0.01 | 1.00'
ktap_check "the middle of knfsd's is what they are compared with" row '1 | knfsd | 50000 | 4.0 % | 18000 | 1.000 | 1.250 | 2.00 | 2.00'
ktap_check "of two calls it is the one between" row '1 | krpc worker | 37250 | 1.3 % | 18250 | 0.745 | 0.931 | 2.05 | 2.00'
ktap_check "what was not measured has no ratio" row '64 | rpcd io_uring | 24000 | 0.0 % | 18000 | 0.800 | | 0.50 | 1.00'
ktap_check "of datagrams there are 128 on all sockets together" row '16 | rpcd epoll | 20000 | 0.0 % | 9000 | | 1.000 | 0.50 | 1.00'
ktap_check "a limit of calls is exceeded" row '1 in flight, inline: of knfsd | 0.48 | 0.500 | **exceeded**'
ktap_check "a limit of calls is kept" row '1 in flight, worker: of knfsd | 0.75 | 0.745 | kept'
ktap_check "a limit of batches is one" row '128 in flight, 32 calls per send, auto: of knfsd | 0.20 | 0.250 | **exceeded**'
ktap_check "a limit of calls without a figure is neither" row '128 in flight, one call per send, auto: of knfsd | 0.72 | n/a |'
ktap_check "what it does not know is refused" says "say what to measure: echo" scripts/bench nosuch
ktap_check "an option without its value is refused" says "needs a value" scripts/bench echo --repetitions
ktap_check "it counts" scripts/bench --cpus 2 --repetitions 1 echo
ktap_check "it counted epoll, bare and kecho" [ "$(grep -cE '^\| (TCP|UDP) .* \| +(epoll|bare 2|bare 3|kecho worker) +\| +[0-9]{5} ' build/bench/echo.md)" -ge 7 ]
ktap_check "bare can be unloaded while it serves" scripts/vm -- bash -c "$bare" bash "build/bench/$(cat "$(scripts/kernel)/release")/bare.ko"
ktap_end
