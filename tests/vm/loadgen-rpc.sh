#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# rpctest against RPC servers that others wrote: rpcbind, the kernel's NFS server, rpc.mountd and NFS-Ganesha.

here=$(dirname "$0")
. "$here/common"
. "$here/loadgen"
. "$here/knfsd"

# Where rpcbind says that it is: with each transport and each version of IP, that is somewhere else.
mountd_port() {
	rpcinfo -p 127.0.0.1 | awk '$1 == 100005 && $2 == 3 && $3 == "tcp" { print $4 }'
}

# Over UDP, Ganesha 6.5 answers the first datagram that a socket of it receives, and no other; rpcinfo sees the same.
start_ganesha() {
	start_server ganesha ganesha.nfsd -F -x -f "$loadgen_work/ganesha.conf" -p "$loadgen_work/ganesha.pid" -L STDOUT
	limit=60 await_server ganesha is_bound tcp 2049
}

cat >"$loadgen_work/ganesha.conf" <<-'END'
	NFS_CORE_PARAM {
		Protocols = 3, 4;
		Enable_UDP = false;
		Enable_NLM = false;
		Enable_RQUOTA = false;
		Plugins_Dir = /usr/lib/x86_64-linux-gnu/ganesha;
	}
	NFSv4 {
		Graceless = true;
	}
	EXPORT {
		Export_ID = 1;
		Path = /memory;
		Pseudo = /memory;
		Access_Type = RW;
		FSAL {
			Name = MEM;
		}
	}
END

# check_tcp NAME OPTION...: NULL in all ways that the server should take.
check_tcp() {
	ktap_check "$1: one at a time over TCP" answers_all 1000 rpctest -c 1000 "${@:2}" 127.0.0.1
	ktap_check "$1: 8 connections, 16 in flight on each, over IPv6" answers_all 2000 \
		rpctest -j 2 --connections 8 -a 16 -c 250 "${@:2}" ::1
	ktap_check "$1: by a Unix user, 16 at once" answers_all 1000 rpctest -A sys -a 16 --batch 16 -c 1000 "${@:2}" 127.0.0.1
	ktap_check "$1: 500 a second in open loop" answers_all 500 rpctest --rate 500 -c 500 "${@:2}" 127.0.0.1
}

check_udp() { # NAME OPTION...
	ktap_check "$1: one at a time over UDP" answers_all 1000 rpctest -u -c 1000 --timeout 10 "${@:2}" 127.0.0.1
	ktap_check "$1: 8 sockets, 4 in flight on each, over UDP and IPv6" answers_all 1000 \
		rpctest -u -j 2 --connections 8 -a 4 -c 125 --timeout 10 "${@:2}" ::1
}

# check_no_fragments NAME OPTION...: with a reset if the server has not read all of them.
check_no_fragments() {
	ktap_check "$1: it takes no fragments, and closes" fails_with "0 answered, 1 lost" rpctest -f "${@:2}" 127.0.0.1
}

# check_wrong NAME PROGRAM VERSION PORT: what the server has not is told.
check_wrong() {
	ktap_check "$1: a program that it has not" fails_with "PROG_UNAVAIL" rpctest --program 99 "127.0.0.1:$4"
	ktap_check "$1: a version that it has not" fails_with "PROG_MISMATCH" \
		rpctest --program "$2" --prog-version 9 "127.0.0.1:$4"
	ktap_check "$1: a procedure that it has not" fails_with "PROC_UNAVAIL" \
		rpctest --program "$2" --prog-version "$3" --procedure 99 "127.0.0.1:$4"
}

# check_end SERVER NAME OPTION...
check_end() {
	ktap_check "$2: it ends in the middle of a run over TCP" tells_of_the_end "$1" \
		rpctest --connections 4 -a 4 -c 1000M "${@:3}" 127.0.0.1
}

check_end_udp() {
	ktap_check "$2: it ends in the middle of a run over UDP" tells_of_the_end "$1" \
		rpctest -u --connections 4 -a 4 -c 1000M "${@:3}" 127.0.0.1
}

ktap_begin
ktap_check "rpcbind starts" start_rpcbind
check_tcp "rpcbind" --program rpcbind --prog-version 2
check_udp "rpcbind" --program rpcbind --prog-version 2
check_no_fragments "rpcbind" --program rpcbind --prog-version 2
check_wrong "rpcbind" rpcbind 2 111
ktap_check "rpcbind: results, which DUMP has" answers_all 1000 \
	rpctest --program rpcbind --prog-version 2 --procedure 4 -a 4 -c 1000 127.0.0.1
ktap_check "rpcbind: a program that is not registered" fails_with "knows no " rpctest --program mount 127.0.0.1
check_end rpcbind "rpcbind" --program rpcbind --prog-version 2
ktap_check "rpcbind starts again" start_rpcbind
check_end_udp rpcbind "rpcbind" --program rpcbind --prog-version 2

ktap_check "rpcbind starts for the others" start_rpcbind
ktap_check "rpc.mountd starts" start_mountd
check_tcp "rpc.mountd, found by rpcbind" --program mount
check_udp "rpc.mountd, found by rpcbind" --program mount
check_no_fragments "rpc.mountd" --program mount
check_wrong "rpc.mountd" mount 3 "$(mountd_port)"

ktap_check "knfsd starts" start_knfsd
check_tcp "knfsd"
check_udp "knfsd"
ktap_check "knfsd: calls in fragments" answers_all 1000 rpctest -f -a 4 -c 1000 127.0.0.1
ktap_check "knfsd: calls in as many fragments as there are bytes" answers_all 500 rpctest -f=40 -a 4 -c 500 127.0.0.1
check_wrong "knfsd" nfs 3 2049
ktap_check "knfsd: a procedure that has arguments" fails_with "GARBAGE_ARGS" rpctest --procedure 1 127.0.0.1
check_end knfsd "knfsd"
ktap_check "knfsd starts again" start_knfsd
check_end_udp knfsd "knfsd"

ktap_check "rpc.mountd: results, which EXPORT has" answers_all 500 \
	rpctest --program mount --procedure 5 -a 4 -c 500 127.0.0.1
check_end mountd "rpc.mountd" --program mount
ktap_check "nobody is where rpcbind says" fails_with "Connection refused" rpctest --program mount 127.0.0.1

ktap_check "Ganesha starts" start_ganesha
check_tcp "Ganesha"
check_tcp "Ganesha, NFSv4" --prog-version 4
check_no_fragments "Ganesha"
check_wrong "Ganesha" nfs 3 2049
check_end ganesha "Ganesha"
ktap_end
