#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Loading and unloading many times under traffic: each time at once, and with nothing left in the end.
#
# On an emulated processor, 200 cycles take from 2 to 4 minutes.

. "$(dirname "$0")/common"

cycles=${KSF_CYCLES:-200}
slowest=0

# Objects that would be left over if a cycle lost one each time: sockets, and memory of all small sizes.
watched='^(sock_inode_cache|TCP|TCPv6|UDP|UDPv6|request_sock_TCPv?6?|kmalloc-(cg-)?[0-9]+k?|task_struct|filp|pid) '

# A cycle: loads, waits until clients are served, and unloads.
cycle() {
	load && until_true served && unload_at_once kecho && unload_at_once ksf
}

# A module that waits for its peers would take 10 s and more.
unload_at_once() {
	local begun=${EPOCHREALTIME/./} took
	rmmod "$1" || return
	took=$((${EPOCHREALTIME/./} - begun))
	[ "$took" -le "$slowest" ] || slowest=$took
	[ "$took" -lt 2000000 ] || {
		echo "unloading $1 took $took us"
		return 1
	}
}

served() {
	[ "$(counter requests)" -gt 0 ] && [ "$(counter datagrams_out)" -gt 0 ]
}

run_cycles() { # NUMBER
	local number
	for number in $(seq "$1"); do
		cycle || {
			echo "in cycle $number"
			return 1
		}
	done
	echo "$slowest" >"$peers_work/slowest"
}

# A listener that is just being closed may drop a SYN, which TCP sends again after 1 s, and once more after 2 s.
start_traffic() {
	start_peer tcp peers good --restarts --limit 4 --interval 0.01 --reconnect 7 --length 20k --until-told 127.0.0.1
	start_peer udp peers good --udp --restarts --interval 0.01 --wait 0.05 --until-told 127.0.0.1
}

stop_traffic() {
	local status=0
	stop_peer tcp || status=1
	stop_peer udp || status=1
	return "$status"
}

# What is still in use of each kind, when what can be freed is freed.
objects() {
	shrink_slabs
	grep -E "$watched" /proc/slabinfo | awk '{ print $1, $2 }' | sort
}

sockets() {
	sed -E 's/ (tw|mem) [0-9]+//g' /proc/net/sockstat /proc/net/sockstat6
}

as_many_sockets() {
	until_true sockets_are_as_before || {
		diff <(echo "$sockets_before") <(sockets)
		return 1
	}
}

sockets_are_as_before() {
	[ "$(sockets)" = "$sockets_before" ]
}

# Sockets that wait for their peer's last word are nobody's fault, and go when they had it.
no_socket_waits() {
	[ "$(awk '$1 == "TCP:" { print $5 + $9 }' /proc/net/sockstat)" = 0 ]
}

# One object that is lost in each cycle is more than what may vary for other reasons.
more_objects() {
	objects | join "$peers_work/objects" - |
		awk -v most=$((cycles / 2)) '$3 - $2 > most { print $1 ": " $2 " before, " $3 " after" }'
}

no_more_objects() {
	[ -z "$(more_objects)" ]
}

as_many_objects() {
	until_true no_more_objects || {
		more_objects
		return 1
	}
}

ktap_begin
echo 1 >/proc/sys/net/ipv4/tcp_fin_timeout
ktap_check "no socket is open at first" until_true no_socket_waits
# What is made once, such as the files of sysfs, is made in these.
start_traffic
ktap_check "5 cycles" run_cycles 5
ktap_check "clients get right replies while kecho comes and goes" stop_traffic
until_true no_socket_waits
objects >"$peers_work/objects"
sockets_before=$(sockets)
start_traffic
started=$SECONDS
ktap_check "$cycles cycles, unloading at once in each" run_cycles "$cycles"
note "$cycles cycles took $((SECONDS - started)) s; the slowest unloading of a module took $(cat "$peers_work/slowest") us"
ktap_check "clients get right replies while kecho comes and goes $cycles times" stop_traffic
note "$(peer_output tcp)"
note "$(peer_output udp)"
ktap_check "no socket is open or waits" until_true no_socket_waits
ktap_check "/proc/net/sockstat is as before" as_many_sockets
ktap_check "as many objects are in use as before" as_many_objects
ktap_end
