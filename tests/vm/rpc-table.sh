#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# krpc's answers, byte by byte: each row of the table in rust/wire/tests/table, over TCP and UDP, wherever turns are had;
# and those of its user-space twin.

here=$(dirname "$0")
. "$here/common"
. "$here/loadgen"
. "$here/rpc"

server=127.0.0.1:$krpc_port

errors="runt not_a_call short_header rpc_mismatch auth_badcred auth_badverf auth_tooweak prog_unavail prog_mismatch
	proc_unavail garbage_args system_err record_too_long too_many_fragments"

table() { # MODE OPTION...
	krpc_parameter serve "$1" && peers rpc table "${@:2}"
}

splits() { # MODE ADDRESS
	krpc_parameter serve "$1" && peers rpc splits "$2"
}

# From a port that is privileged, the table is that of anybody: root's clients may ask for one.
too_weak() {
	krpc_parameter privileged_port 1 && peers rpc table --unprivileged "$server" && peers rpc table --unprivileged --udp "$server"
	local status=$?
	krpc_parameter privileged_port 0 && return "$status"
}

all_are_counted() {
	local name
	for name in $errors; do
		[ "$(faults "$name")" -gt 0 ] || {
			echo "no $name: $(cat "$debugfs/rpc_errors")"
			return 1
		}
	done
}

without_echo() {
	load_krpc udp_errors_per_peer=0 && peers rpc table --no-echo "$server" && peers rpc table --no-echo --udp "$server" &&
		fails_with "ksf_echo NULL: sent" peers rpc table "$server"
}

# twin ENGINE: the server in user space that has the same codec, and no program but NFS.
twin() {
	local at=127.0.0.1:62050
	start_server rpcd rpcd --port 62050 --engine "$1" && start_server rpcd_udp rpcd --udp --port 62050 --engine "$1" &&
		await_server rpcd is_bound tcp 62050 && await_server rpcd_udp is_bound udp 62050 &&
		peers rpc table --no-echo "$at" && peers rpc table --no-echo --udp "$at" && peers rpc splits --no-echo "$at" &&
		peers rpc malformed --no-echo --count 10000 "$at" && peers rpc malformed --no-echo --udp --count 10000 "$at"
	local status=$?
	kill_server rpcd && kill_server rpcd_udp && return "$status"
}

ktap_begin
ktap_check "the modules can be loaded" load_krpc echo=1 udp_errors_per_peer=0
start_good_rpc
for mode in inline worker auto; do
	ktap_check "serve=$mode: each row of the table over TCP" table "$mode" "$server"
	ktap_check "serve=$mode: each row of the table over UDP" table "$mode" --udp "$server"
	ktap_check "serve=$mode: each valid call cut at every byte, and byte by byte" splits "$mode" "$server"
done
ktap_check "each row of the table over TCP and IPv6" table auto "[::1]:$krpc_port"
ktap_check "each row of the table over UDP and IPv6" table auto --udp "[::1]:$krpc_port"
ktap_check "ports that are not privileged may call NULL only, with privileged_port=1" too_weak
ktap_check "each kind of error is counted" all_are_counted
check_good_rpc
ktap_check "no connection is left" until_true has_krpc_connections 0
ktap_check "krpc can be unloaded" rmmod krpc
ktap_check "without echo=1, there is no program but NFS" without_echo
ktap_check "the modules can be unloaded" unload_krpc
ktap_check "the user-space twin on epoll says the same as krpc" twin epoll
ktap_check "the user-space twin on io_uring says the same as krpc" twin io_uring
ktap_end
