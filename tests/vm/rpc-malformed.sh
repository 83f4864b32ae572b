#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Records of all kinds, most of them wrong, to each of which an oracle knows krpc's answer, beside good clients.

here=$(dirname "$0")
. "$here/common"
. "$here/loadgen"
. "$here/rpc"

server=127.0.0.1:$krpc_port
records=${KSF_MALFORMED:-1000000}
datagrams=${KSF_MALFORMED_DATAGRAMS:-100000}
few=$((records / 50))

malformed() { # MODE OPTION...
	krpc_parameter serve "$1" && peers rpc malformed --timeout 30 "${@:2}" "$server" >"$loadgen_work/malformed"
}

# Whatever the next ones are: a failure tells the seed.
seed=${KSF_SEED:-1}

ktap_begin
ktap_check "the modules can be loaded" load_krpc echo=1 udp_errors_per_peer=0
start_good_rpc
for mode in inline worker; do
	ktap_check "serve=$mode: $few records over TCP" malformed "$mode" --count "$few" --seed "$((seed + 1))" -c 16
	ktap_check "serve=$mode: $few datagrams" malformed "$mode" --udp --count "$few" --seed "$((seed + 1))"
done
ktap_check "$records records over TCP" malformed auto --count "$records" --seed "$seed"
note "$(cat "$loadgen_work/malformed")"
ktap_check "$datagrams datagrams" malformed auto --udp --count "$datagrams" --seed "$seed"
note "$(cat "$loadgen_work/malformed")"
check_good_rpc
ktap_check "no connection is left" until_true has_krpc_connections 0
ktap_check "the modules can be unloaded" unload_krpc
ktap_end
