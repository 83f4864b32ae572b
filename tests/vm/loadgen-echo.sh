#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# echotest against echo servers that others wrote: socat, an inetd and one in Python.

here=$(dirname "$0")
. "$here/common"
. "$here/loadgen"

cat >"$loadgen_work/inetd.conf" <<-'END'
	echo stream tcp6 nowait root internal
	echo dgram  udp6 wait   root internal
END

# start NAME PORT PROTOCOLS COMMAND...
start() {
	local name=$1 port=$2 protocols=$3 protocol
	start_server "$name" "${@:4}"
	for protocol in $protocols; do
		await_server "$name" is_bound "$protocol" "$port" || return
	done
}

start_inetd() {
	start inetd 7 "tcp udp" inetutils-inetd --foreground --rate=100000 "$loadgen_work/inetd.conf"
}

start_python() {
	start python 7001 "tcp udp" python3 "$here/echo-server.py" 7001
}

# What it forks for each connection copies with a process of its own, or itself.
start_socat_cat() {
	start socat 7002 tcp socat "TCP6-LISTEN:7002,fork,backlog=64" EXEC:cat
}

start_socat_pipe() {
	start socat 7002 tcp socat "TCP6-LISTEN:7002,fork,backlog=64" PIPE
}

# What it forks for each client goes on with its datagrams. They pass through a pipe, which would make one of two.
start_socat_listen() {
	start socat 7002 udp socat "UDP6-LISTEN:7002,fork" PIPE
}

# It forks for each datagram.
start_socat_recvfrom() {
	start socat 7002 udp socat "UDP6-RECVFROM:7002,fork" PIPE
}

stop_server() {
	kill_server "$1"
}

ktap_begin
ktap_check "Python's echo server starts" start_python
ktap_check "one at a time over TCP to Python" answers_all 1000 echotest -c 1000 127.0.0.1:7001
ktap_check "8 connections, 16 in flight on each" answers_all 4000 echotest -j 2 --connections 8 -a 16 -c 500 127.0.0.1:7001
ktap_check "messages of 1 MiB, 4 in flight, over IPv6" answers_all 32 echotest -l 1m -a 4 -c 16 --connections 2 "[::1]:7001"
ktap_check "one at a time over UDP to Python" answers_all 1000 echotest -u -c 1000 127.0.0.1:7001
ktap_check "8 sockets, 4 in flight on each, over IPv6" answers_all 2000 \
	echotest -u -j 2 --connections 8 -a 4 -c 250 --timeout 10 "[::1]:7001"
ktap_check "the largest datagrams" answers_all 50 echotest -u -l 65507 -c 50 --timeout 10 127.0.0.1:7001
ktap_check "Python's server dies in the middle of a run" tells_of_the_end python \
	echotest --connections 4 -a 4 -c 1000M 127.0.0.1:7001
ktap_check "it starts again" start_python
ktap_check "it dies in the middle of a run over UDP" tells_of_the_end python \
	echotest -u --connections 4 -a 4 -c 1000M 127.0.0.1:7001
ktap_check "nobody listens any more" fails_with "Connection refused" echotest -c 1 127.0.0.1:7001

ktap_check "an inetd starts" start_inetd
ktap_check "one at a time over TCP to inetd" answers_all 1000 echotest -c 1000 127.0.0.1:7
ktap_check "8 connections to it, 16 in flight on each, over IPv6" answers_all 4000 \
	echotest -j 2 --connections 8 -a 16 -c 500 "[::1]:7"
ktap_check "one at a time over UDP to inetd" answers_all 1000 echotest -u -c 1000 127.0.0.1:7
ktap_check "8 sockets to it, 4 in flight on each" answers_all 2000 \
	echotest -u -j 2 --connections 8 -a 4 -c 250 --timeout 10 127.0.0.1:7
ktap_check "it dies in the middle of a run" tells_of_the_end inetd \
	echotest --connections 4 -a 4 -c 1000M 127.0.0.1:7
ktap_check "it starts again" start_inetd
ktap_check "it dies in the middle of a run over UDP" tells_of_the_end inetd \
	echotest -u --connections 4 -a 4 -c 1000M 127.0.0.1:7

for kind in cat pipe; do
	ktap_check "socat starts, with a $kind" "start_socat_$kind"
	ktap_check "one at a time over TCP" answers_all 1000 echotest -c 1000 127.0.0.1:7002
	ktap_check "8 connections, 16 in flight on each" answers_all 4000 \
		echotest -j 2 --connections 8 -a 16 -c 500 "[::1]:7002"
	ktap_check "it dies in the middle of a run" tells_of_the_end socat \
		echotest --connections 4 -a 4 -c 1000M 127.0.0.1:7002
done
ktap_check "socat starts, with a process for each peer" start_socat_listen
ktap_check "one at a time over UDP" answers_all 1000 echotest -u -c 1000 --timeout 10 127.0.0.1:7002
ktap_check "it dies in the middle of a run over UDP" tells_of_the_end socat echotest -u -c 1000M --timeout 10 127.0.0.1:7002
ktap_check "socat starts, with a process for each datagram" start_socat_recvfrom
ktap_check "4 sockets, 4 in flight on each" answers_all 200 \
	echotest -u --connections 4 -a 4 -c 50 --timeout 20 "[::1]:7002"
ktap_check "it ends" stop_server socat
ktap_end
