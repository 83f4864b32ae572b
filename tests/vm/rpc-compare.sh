#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The same requests to the kernel's NFS server and to krpc: the same replies, but for differences that have a reason.

here=$(dirname "$0")
. "$here/common"
. "$here/loadgen"
. "$here/knfsd"
. "$here/rpc"

requests=${KSF_COMPARED:-10000}

# One thread, so that replies over UDP come in the order of their requests.
start_both() {
	start_rpcbind && start_mountd && start_knfsd 1 && until_true rpcinfo -T tcp 127.0.0.1 nfs 4 &&
		load_krpc udp_errors_per_peer=0
}

# Most are equal, and krpc has answered most.
compare() { # OPTION...
	local figures answered equal
	peers rpc compare --count "$requests" "$@" 127.0.0.1:2049 "127.0.0.1:$krpc_port" >"$loadgen_work/compare" || {
		cat "$loadgen_work/compare"
		return 1
	}
	figures=$(head -n 1 "$loadgen_work/compare")
	answered=${figures#* answered=} equal=${figures#* equal=}
	[ "${answered%% *}" -gt $((requests / 2)) ] && [ "${equal%% *}" -gt $((requests / 2)) ]
}

# The figures, and each kind of difference without its example.
show() {
	note "$(sed 's/; seed .*//' "$loadgen_work/compare")"
}

ktap_begin
ktap_check "knfsd and krpc are there" start_both
ktap_check "$requests requests over TCP get equal replies" compare
show
ktap_check "$requests requests over UDP get equal replies" compare --udp
show
ktap_check "knfsd ends" stop_server knfsd
ktap_check "no connection is left" until_true has_krpc_connections 0
ktap_check "the modules can be unloaded" unload_krpc
ktap_end
