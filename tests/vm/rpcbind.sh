#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# krpc and rpcbind: what is registered, by whom it is found, and that krpc neither waits for rpcbind nor takes what is others'.

here=$(dirname "$0")
. "$here/common"
. "$here/loadgen"
. "$here/rpc"

start_rpcbind() { # [COMMAND-BEFORE...]
	start_server rpcbind "$@" rpcbind -f
	await_server rpcbind "$@" rpcinfo -p
}

# shellcheck disable=SC2120
load_registered() { # [PARAMETER...]
	mark_log
	[ -e /sys/module/ksf ] || insmod "$KSF_MODULES/ksf.ko" || return
	insmod "$KSF_MODULES/krpc.ko" "$@"
}

logged() { # TEXT
	log_since_mark | grep -F "krpc: $1" || {
		log_since_mark
		return 1
	}
}

# registered [PROGRAM]: version, netid, and address of each registration, as rpcbind tells them.
# shellcheck disable=SC2120
registered() {
	rpcinfo | awk -v program="${1:-100003}" '$1 == program { print $2, $3, $4 }' | sort
}

is_registered() { # LINE...
	[ "$(registered)" = "$(printf '%s\n' "$@" | sort)" ] || {
		registered
		return 1
	}
}

# everywhere NETID ADDRESS [NETID ADDRESS]...: the lines of all versions.
everywhere() {
	local version
	for version in 2 3 4; do
		printf "$version %s %s\n" "$@"
	done
}

is_everywhere() {
	is_registered "$(everywhere "$@")"
}

nothing_is_registered() {
	[ -z "$(registered)" ] || {
		registered
		return 1
	}
}

# within MILLISECONDS COMMAND...: by the guest's clock, which its host's other work does not change much.
within() {
	local limit=$1 from to
	shift
	from=$(date +%s%N)
	"$@" || return
	to=$(date +%s%N)
	[ $(((to - from) / 1000000)) -le "$limit" ] || {
		echo "took $(((to - from) / 1000000)) ms: $*"
		return 1
	}
}

serves() {
	answers_all 100 rpctest -c 100 127.0.0.1:62049
}

# The forms of rpcinfo: by name of the transport, by its older options, which call version 0 first, and without rpcbind.
rpcinfo_finds() { # OPTION...
	local version
	for version in 2 3 4; do
		rpcinfo "$@" 100003 "$version" | grep -qx "program 100003 version $version ready and waiting" || return
	done
}

rpcinfo_lists() { # tcp|udp
	[ "$(rpcinfo -p | awk -v proto="$1" '$1 == 100003 && $3 == proto && $4 == 62049 { print $2, $5 }')" = "$(printf '%s nfs\n' 2 3 4)" ]
}

rpcinfo_tries_all_versions() { # -t|-u
	[ "$(rpcinfo "$1" 127.0.0.1 100003)" = "$(printf 'program 100003 version %s ready and waiting\n' 2 3 4)" ]
}

rpcinfo_misses() { # OPTION...
	fails_with "$1" rpcinfo "${@:2}"
}

stop_in_time() { # a rpcbind that does not answer
	signal_server rpcbind STOP
	within 2000 load_registered && logged "not registered with rpcbind: ETIMEDOUT" && serves
}

unload_in_time() {
	within 2000 rmmod krpc
	local status=$?
	signal_server rpcbind CONT
	return "$status"
}

# register_other PORT [ADDRESS]: as a server would that is not ours, for version 3 over TCP.
register_other() {
	python3 "$here/rpcbind-set.py" 100003 3 tcp "${2:-0.0.0.0}.$(($1 / 256)).$(($1 % 256))"
}

takes_over_what_nobody_serves() {
	register_other 2049 && load_registered && logged "registered with rpcbind" && is_everywhere "${all[@]}" && rmmod krpc &&
		nothing_is_registered
}

leaves_others_alone() {
	start_peer other socat TCP4-LISTEN:2049,fork,reuseaddr PIPE
	until_true listens 2049 && register_other 2049 && load_registered &&
		logged "1 registrations of others, who are running, were left alone: program 100003 version 3 over tcp is at port 2049" &&
		is_registered "$(everywhere "${all[@]}" | sed 's/^3 tcp 0.0.0.0.242.97$/3 tcp 0.0.0.0.8.1/')" && serves && rmmod krpc &&
		is_registered "3 tcp 0.0.0.0.8.1"
	local status=$?
	kill_peer other
	return "$status"
}

# The port is somebody's on another address than krpc's.
leaves_others_alone_elsewhere() {
	start_peer other socat TCP4-LISTEN:2049,bind=127.0.0.9,fork,reuseaddr PIPE
	until_true listens 2049 && register_other 2049 127.0.0.9 && load_registered bind=127.0.0.1 &&
		logged "1 registrations of others, who are running, were left alone" && rmmod krpc && is_registered "3 tcp 127.0.0.9.8.1"
	local status=$?
	kill_peer other
	return "$status"
}

# What anybody may register is no reason to lose sight of ours: an address longer than addresses are, and many of them.
in_a_long_list() {
	register_long && load_registered && logged "registered with rpcbind" && is_everywhere "${all[@]}" && rmmod krpc && nothing_is_registered
}

register_long() {
	local program
	cp "$here/rpcbind-set.py" "$loadgen_work/set.py" && chmod 755 "$loadgen_work" "$loadgen_work/set.py" || return
	for program in $(seq 536880000 536880009); do
		setpriv --reuid 65534 --regid 65534 --clear-groups python3 "$loadgen_work/set.py" "$program" 1 tcp "$(printf '%0300d' 0)" || return
	done
}

# Who registers over ours has it, and keeps it.
keeps_its_hands_off() {
	load_registered && rpcinfo -d 100003 3 && register_other 2049 && rmmod krpc && is_registered "3 tcp 0.0.0.0.8.1"
}

in_namespace() {
	ip netns exec ksf-test "$@"
}

# There, neither the path nor the abstract name leads to a rpcbind of this network: only its TCP port does.
registers_over_tcp() {
	ip netns add ksf-test && in_namespace ip link set lo up && rm -f /run/rpcbind.sock &&
		start_rpcbind ip netns exec ksf-test && mark_log && in_namespace insmod "$KSF_MODULES/krpc.ko" && logged "registered with rpcbind" &&
		[ "$(in_namespace rpcinfo -p 127.0.0.1 | grep -c '100003.*62049')" = 6 ]
}

withdraws_over_tcp() {
	rmmod krpc && [ "$(in_namespace rpcinfo -p 127.0.0.1 | grep -c 100003)" = 0 ]
}

# A registration in a namespace that is gone is nobody's.
unloads_after_its_namespace() {
	in_namespace insmod "$KSF_MODULES/krpc.ko" && kill_server rpcbind && ip netns delete ksf-test && until_true namespace_is_gone &&
		within 2000 rmmod krpc
}

# Its last reference goes first, and it is taken apart much later, behind others: between the two it is of no use any more.
unloads_while_its_namespace_ends() {
	local name
	start_rpcbind ip netns exec ksf-test && in_namespace insmod "$KSF_MODULES/krpc.ko" || return
	for name in $(seq 40); do
		ip netns add "ksf-test-$name" || return
	done
	kill_server rpcbind
	for name in $(seq 40) ; do
		umount -l "/run/netns/ksf-test-$name" || return
	done
	umount -l /run/netns/ksf-test && within 2000 rmmod krpc
	local status=$?
	rm -f /run/netns/ksf-test*
	return "$status"
}

namespace_is_gone() {
	dmesg | grep -qF "krpc: stopped, for its network namespace ends"
}

all=(tcp 0.0.0.0.242.97 tcp6 ::.242.97 udp 0.0.0.0.242.97 udp6 ::.242.97)

ktap_begin
ktap_check "without rpcbind krpc is loaded at once, and says so" eval 'within 2000 load_registered && logged "not registered with rpcbind"'
ktap_check "it serves all the same" serves
ktap_check "it can be unloaded" within 2000 rmmod krpc

ktap_check "rpcbind starts" start_rpcbind
ktap_check "krpc is loaded, and registers" eval 'within 2000 load_registered && logged "registered with rpcbind"'
ktap_check "all versions are registered, over TCP and UDP, IPv4 and IPv6" is_everywhere "${all[@]}"
ktap_check "rpcinfo -p lists it over TCP" rpcinfo_lists tcp
ktap_check "rpcinfo -p lists it over UDP" rpcinfo_lists udp
for netid in tcp udp; do
	ktap_check "rpcinfo -T $netid finds it over IPv4" rpcinfo_finds -T "$netid" 127.0.0.1
	ktap_check "rpcinfo -T ${netid}6 finds it over IPv6" rpcinfo_finds -T "${netid}6" ::1
	ktap_check "rpcinfo -a finds it over $netid" rpcinfo_finds -a 127.0.0.1.242.97 -T "$netid"
done
ktap_check "rpcinfo -t finds out which versions there are" rpcinfo_tries_all_versions -t
ktap_check "rpcinfo -u finds out which versions there are" rpcinfo_tries_all_versions -u
ktap_check "rpcinfo is told of a version that there is not" rpcinfo_misses "low version = 2, high version = 4" -a 127.0.0.1.242.97 -T tcp 100003 5
ktap_check "rpcinfo is told of a program that there is not" rpcinfo_misses "program 100005 version 3 is not available" -a 127.0.0.1.242.97 -T udp 100005 3
ktap_check "krpc can be unloaded" within 2000 rmmod krpc
ktap_check "nothing is registered then" nothing_is_registered

ktap_check "register=0 registers nothing" eval 'load_registered register=0 && nothing_is_registered && serves && rmmod krpc'
ktap_check "proto=tcp registers TCP" eval 'load_registered proto=tcp && is_everywhere tcp 0.0.0.0.242.97 tcp6 ::.242.97 && rmmod krpc'
ktap_check "proto=udp registers UDP" eval 'load_registered proto=udp && is_everywhere udp 0.0.0.0.242.97 udp6 ::.242.97 && rmmod krpc'
ktap_check "bind=127.0.0.1 and port=1234 are registered so" eval \
	'load_registered bind=127.0.0.1 port=1234 && is_everywhere tcp 127.0.0.1.4.210 udp 127.0.0.1.4.210 && rmmod krpc'
ktap_check "bind=::1 is registered over IPv6" eval 'load_registered bind=::1 && is_everywhere tcp6 ::1.242.97 udp6 ::1.242.97 && rmmod krpc'
ktap_check "echo=1 registers the program to test with" eval 'load_registered echo=1 && [ "$(registered $echo_program | wc -l)" = 4 ] && rmmod krpc'
ktap_check "nothing of all that is left" eval 'nothing_is_registered && [ -z "$(registered $echo_program)" ]'

ktap_check "a registration that nobody serves is replaced" takes_over_what_nobody_serves
ktap_check "one that somebody serves is left alone, and the log says so" leaves_others_alone
ktap_check "it can be taken back by who made it" rpcinfo -d 100003 3
ktap_check "so is one on another address than krpc's" leaves_others_alone_elsewhere
ktap_check "that can be taken back, too" rpcinfo -d 100003 3
ktap_check "what others have registered may be of any length" in_a_long_list
ktap_check "what others have registered since is not taken away" keeps_its_hands_off
ktap_check "a rpcbind that does not answer is not waited for, and krpc serves" stop_in_time
ktap_check "nor does unloading wait for it" unload_in_time
ktap_check "a rpcbind that ends does not keep krpc" eval 'load_registered && kill_server rpcbind && within 2000 rmmod krpc'

ktap_check "in a network namespace krpc registers over TCP" registers_over_tcp
ktap_check "and withdraws over TCP" withdraws_over_tcp
ktap_check "when the namespace has gone, krpc can be unloaded" unloads_after_its_namespace
ktap_check "a namespace is made again" eval 'ip netns add ksf-test && in_namespace ip link set lo up'
ktap_check "while a namespace ends, krpc can be unloaded" unloads_while_its_namespace_ends
ktap_check "ksf can be unloaded" until_true rmmod ksf
ktap_end
