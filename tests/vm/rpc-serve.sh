#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# krpc as clients see it: NULL in all ways, batches, its parameters, its limits, and what it counts.

here=$(dirname "$0")
. "$here/common"
. "$here/loadgen"
. "$here/capture"
. "$here/rpc"

tcp=TCP:127.0.0.1:$krpc_port
udp=UDP:127.0.0.1:$krpc_port
server=127.0.0.1:$krpc_port

refused() { # NAME VALUE
	mark_log
	fails_with "Invalid parameters" insmod "$KSF_MODULES/krpc.ko" "$1=$2" && [ ! -e /sys/module/krpc ] &&
		log_since_mark | grep -F "krpc: parameter $1 must be"
}

cannot_be_changed() { # NAME
	fails_with "Permission denied" krpc_parameter "$1" 0
}

# null OPTION...: NULL of all versions, in whatever way the options say, and each is counted.
null() {
	local version before
	for version in 2 3 4; do
		before=$(calls program=100003 "version=$version") || return
		answers_all 200 rpctest --prog-version "$version" "$@" && [ "$(calls program=100003 "version=$version")" = $((before + 200)) ] || return
	done
}

all_ways() {
	null -c 200 "$server" && null -j 2 --connections 8 -a 16 -c 25 "[::1]:$krpc_port" &&
		null -A sys -a 16 --batch 16 -c 200 "$server" && null --rate 2000 -c 200 "$server" &&
		null -f -a 4 -c 200 "$server" && null -f=40 -a 4 -c 200 "$server"
}

all_ways_over_udp() {
	null -u -c 200 --timeout 10 "$server" && null -u -j 2 --connections 8 -a 4 -c 25 --timeout 10 "[::1]:$krpc_port" &&
		null -u -A sys -a 4 -c 200 --timeout 10 "$server"
}

served_by() { # MODE COUNTER: all turns are had there
	local before
	krpc_parameter serve "$1" && before=$(sum services "$2" service=krpc) && all_ways && all_ways_over_udp &&
		[ "$(sum services "$2" service=krpc)" -gt $((before + 500)) ]
}

# Replies of calls that come at once leave in a few sends.
replies_leave_together() { # MODE
	local sends
	krpc_parameter serve "$1" && sends=$(sum services sends service=krpc) &&
		answers_all 3200 rpctest -a 32 --batch 32 -c 3200 "$server" && sends=$(($(sum services sends service=krpc) - sends)) || return
	echo "3,200 replies in $sends sends"
	[ "$sends" -le 400 ]
}

# The xids of 50 calls in one segment, and of their replies.
replies_are_in_order() {
	local i calls='' replies=''
	for ((i = 0; i < 50; i++)); do
		calls+=$(record_hex "$(printf %08x "$i")$(call_hex 100003 3 0 | cut -c 9-)")
		replies+=80000018$(printf '%08x%08x%032x' "$i" 1 0)
	done
	answers_hex "$calls" "$replies" "$tcp"
}

# A call that has so many bytes of arguments, which NULL does not look at.
long_call_hex() { # BYTES
	call_hex 100003 3 0 "$(printf '%0*d' "$((2 * ($1 - 40)))" 0)"
}

closes() { # MESSAGE REPLIES: the server does, while this client would still send
	local reply
	# shellcheck disable=SC2059
	reply=$(printf "$(sed 's/../\\x&/g' <<<"$1")" | timeout 20 socat -t 0.1 -,ignoreeof "$tcp" | od -An -v -tx1 | tr -d ' \n')
	[ "$reply" = "$2" ] || {
		echo "received ${reply:-nothing}, not ${2:-nothing}"
		return 1
	}
}

null_reply=80000018$(printf '%08x%08x%032x' 7 1 0)

longest_record() {
	krpc_parameter max_record_bytes 2048 && answers_hex "$(record_hex "$(long_call_hex 2048)")" "$null_reply" "$tcp" &&
		answers_hex "$(record_hex "$(call_hex 100003 3 0)")$(record_hex "$(long_call_hex 2052)")" "$null_reply" "$tcp" &&
		[ "$(faults record_too_long)" = 1 ] && krpc_parameter max_record_bytes 65536 &&
		answers_hex "$(record_hex "$(long_call_hex 65536)")" "$null_reply" "$tcp"
}

# Only the mark comes, and nothing of what it announces.
announces_too_much() {
	local before
	before=$(faults record_too_long)
	closes "$(record_hex "$(call_hex 100003 3 0)")ffffffff" "$null_reply" && closes 7fffffff "" &&
		[ "$(faults record_too_long)" = $((before + 2)) ]
}

# echo_hex PORT PROTOCOL: the source port, and the reply to a call that is not NULL.
echo_from() {
	exchange_hex "$(record_hex "$(call_hex $echo_program 1 1 0000000461626364)")" "$tcp,sourceport=$1,reuseaddr"
}

echoed=80000020$(printf '%08x%08x%032x' 7 1 0)0000000461626364
too_weak=80000014$(printf '%08x%08x%08x%08x%08x' 7 1 1 1 5)

privileged_ports_only() {
	krpc_parameter privileged_port 1 && [ "$(echo_from 1023)" = "$echoed" ] && [ "$(echo_from 1024)" = "$too_weak" ] &&
		[ "$(faults auth_tooweak)" = 1 ] && answers_all 10 rpctest -c 10 "$server" && krpc_parameter privileged_port 0 &&
		[ "$(echo_from 1025)" = "$echoed" ]
}

# 40 bad datagrams of one socket, of which as many are answered as the limit says, in each second that this takes.
few_errors() {
	local before limited i socket call seconds=$SECONDS
	call=$(call_hex 99 1 0 | sed 's/../\\x&/g')
	krpc_parameter udp_errors_per_peer 5 && before=$(faults udp_limited) || return
	exec {socket}<>"/dev/udp/127.0.0.1/$krpc_port"
	for ((i = 0; i < 40; i++)); do
		# shellcheck disable=SC2059
		printf "$call" >&"$socket"
	done
	exec {socket}>&-
	seconds=$((SECONDS - seconds))
	until_true has_faults prog_unavail 40 || return
	limited=$(($(faults udp_limited) - before))
	echo "$limited of 40 errors were not told, in $seconds s"
	[ "$limited" -ge $((40 - 5 * (seconds + 2))) ] && [ "$limited" -gt 0 ] && [ "$limited" -le 35 ] &&
		answers_all 100 rpctest -u -c 100 --timeout 10 "$server" && krpc_parameter udp_errors_per_peer 0
}

has_faults() { # NAME NUMBER
	[ "$(faults "$1")" -ge "$2" ]
}

# More than it may be, and more than was asked with.
short_replies_over_udp() {
	wait=0.3 answers_hex "$(call_hex $echo_program 1 1 0000000461626364)" "$(printf '%08x%08x%032x' 7 1 0)0000000461626364" "$udp" &&
		wait=0.3 answers_hex "$(call_hex $echo_program 1 1 000000086162636465666768)" "$(printf '%08x%08x%024x%08x' 7 1 0 5)" "$udp"
}

# On one address only, so that the port is free on another one.
no_reply_to_its_own_port() {
	local before
	load_krpc bind=127.0.0.1 && before=$(sum services dropped_source service=krpc) &&
		wait=0.3 answers_hex "$(call_hex 100003 3 0)" "" "$udp,bind=127.0.0.2:$krpc_port" &&
		[ "$(sum services dropped_source service=krpc)" = $((before + 1)) ]
}

counts_agree() {
	local calls failed
	calls=$(calls) && failed=$(sum rpc_procedures failed) && [ "$failed" -gt 0 ] && [ "$calls" -gt "$failed" ] &&
		[ "$(sum services requests service=krpc)" -ge "$calls" ]
}

end_and_close_capture() {
	end_capture && kill_server capture
}

# dissected FILTER: how many packets of the capture have that, with all that port is taken for RPC.
dissected() {
	tshark -r "$loadgen_work/capture" -d "tcp.port==$krpc_port,rpc" -d "udp.port==$krpc_port,rpc" -o rpc.dissect_unknown_programs:TRUE \
		-Y "$1" -T fields -e rpc.xid | tr ',' '\n' | grep -c .
}

# Without fragments: tshark does not know a call whose first bytes are torn.
whole_run() {
	null -c 200 "$server" && null -A sys -a 8 --batch 8 -c 200 "$server" &&
		null -u -a 4 -c 200 --timeout 10 "$server" && short_replies_over_udp && [ "$(echo_from 1025)" = "$echoed" ]
}

no_packet_is_malformed() {
	local malformed replies
	malformed=$(dissected '_ws.malformed || _ws.expert.severity == error')
	replies=$(dissected 'rpc.msgtyp == 1')
	echo "$malformed are malformed, and there are $replies replies"
	[ "$malformed" = 0 ] && [ "$replies" = $((3 * 3 * 200 + 3)) ]
}

# Each kind of reply. What they answer is malformed itself, most of it.
whole_table() {
	peers rpc table "$server" && peers rpc table --udp "$server"
}

no_reply_is_malformed() {
	local from="(tcp.srcport == $krpc_port || udp.srcport == $krpc_port)" malformed replies
	malformed=$(dissected "$from && _ws.malformed")
	replies=$(dissected "$from && rpc.msgtyp == 1")
	echo "$malformed are malformed, and there are $replies replies"
	[ "$malformed" = 0 ] && [ "$replies" -gt 300 ]
}

# Who has a file open reads no more, and closes it when the code that was behind it has been overwritten.
with_open_files() {
	local errors procedures line
	exec {errors}<"$debugfs/rpc_errors" {procedures}<"$debugfs/rpc_procedures"
	read -r -u "$errors" line && [[ $line == service=krpc* ]] && rmmod krpc && ! cat <&"$procedures" || return
	for _ in $(seq 10); do
		insmod "$KSF_MODULES/kecho.ko" && rmmod kecho || return
	done
	fails_with "Module ksf is in use" rmmod ksf || return
	exec {errors}<&- {procedures}<&-
}

ktap_begin
for value in 1023 16777217 -1 x; do
	ktap_check "max_record_bytes=$value is refused with EINVAL, and a line in the log" eval "insmod $KSF_MODULES/ksf.ko; refused max_record_bytes $value && rmmod ksf"
done
for change in register=2 privileged_port=2 echo=2 udp_errors_per_peer=1000001 port=0; do
	ktap_check "$change is refused with EINVAL, and a line in the log" eval "insmod $KSF_MODULES/ksf.ko; refused ${change%=*} ${change#*=} && rmmod ksf"
done
ktap_check "krpc can be loaded, with the program to test with" load_krpc echo=1
ktap_check "its port is 62049" [ "$(krpc_parameter port)" = 62049 ]
for name in port bind proto register echo; do
	ktap_check "$name cannot be changed" cannot_be_changed "$name"
done
for mode in inline worker auto; do
	case $mode in
	worker) counter=turns_worker ;;
	*) counter=turns_inline ;;
	esac
	ktap_check "serve=$mode: all versions, over TCP and UDP, IPv4 and IPv6, in batches and in fragments" served_by $mode $counter
	ktap_check "serve=$mode: replies leave together" replies_leave_together $mode
	ktap_check "serve=$mode: replies are in the order of the calls" replies_are_in_order
done
ktap_check "a record is as long as max_record_bytes, and no longer" longest_record
ktap_check "who announces more is disconnected at once, and what came before is answered" announces_too_much
ktap_check "with privileged_port=1 other ports may call NULL, and no more" privileged_ports_only
ktap_check "a peer is told of so many errors over UDP, and served all the same" few_errors
ktap_check "over UDP no reply is longer than 32 bytes" short_replies_over_udp
ktap_check "calls and errors are counted" counts_agree
ktap_check "a capture begins" start_capture
ktap_check "a whole run passes" whole_run
ktap_check "the capture ends" end_and_close_capture
ktap_check "tshark finds no malformed packet, and each reply" no_packet_is_malformed
ktap_check "another capture begins" start_capture
ktap_check "each row of the table is asked" whole_table
ktap_check "that capture ends" end_and_close_capture
ktap_check "tshark finds no malformed reply in it" no_reply_is_malformed
ktap_check "krpc can be unloaded while somebody has its files open" with_open_files
ktap_check "over UDP its own port gets no reply" no_reply_to_its_own_port
ktap_check "the modules can be unloaded" unload_krpc
ktap_end
