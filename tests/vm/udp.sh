#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Echo over UDP: all sizes, all addresses, and what gets no reply.
#
#     here                                          ns ksf-client
#     ksf0: 192.0.2.1, 192.0.2.2 (dummy)
#     ksf-outside: 198.51.100.1 and .2 ------------ ksf-inside: 198.51.100.9
#                  2001:db8::1 and ::2                          2001:db8::9

. "$(dirname "$0")/common"

work=$(mktemp -d)
head -c 1000 /dev/urandom >"$work/1000"
head -c 65507 /dev/urandom >"$work/65507"

client() {
	ip netns exec ksf-client "$@"
}

set_up() {
	modprobe --quiet dummy numdummies=0
	ip link add ksf0 type dummy && ip address add 192.0.2.1/24 dev ksf0 && ip address add 192.0.2.2/24 dev ksf0 &&
		ip link set ksf0 up || return
	ip netns add ksf-client && client ip link set lo up &&
		ip link add ksf-outside type veth peer name ksf-inside netns ksf-client || return
	local address
	for address in 198.51.100.1/24 198.51.100.2/24 2001:db8::1/64 2001:db8::2/64; do
		# shellcheck disable=SC2046
		ip address add "$address" dev ksf-outside $([[ $address != *:* ]] || echo nodad) || return
	done
	client ip address add 198.51.100.9/24 dev ksf-inside && client ip address add 2001:db8::9/64 dev ksf-inside nodad &&
		ip link set ksf-outside up && client ip link set ksf-inside up && until_true client ping -c 1 -W 1 198.51.100.1
}

tear_down() {
	ip netns delete ksf-client && ip link delete ksf0
}

# The client's system takes the replies of whom it asked only; with --unconnected, the client looks itself.
all_sizes() { # ADDRESS [OPTION...]
	peers datagrams "${@:2}" "$1" && peers datagrams --unconnected --seed 2 "${@:2}" "$1"
}

from_the_address_that_was_asked() {
	local address
	for address in 192.0.2.1 192.0.2.2 198.51.100.2; do
		peers datagrams --sizes 1,1000,65507 --random 0 "$address" &&
			peers datagrams --sizes 1,1000,65507 --random 0 --unconnected --source 192.0.2.1 "$address" || return
	done
}

from_the_address_that_was_asked_outside() {
	local address
	for address in 198.51.100.1 198.51.100.2 2001:db8::1 2001:db8::2; do
		client peers datagrams --unconnected "$address" || return
	done
}

# gets_no_reply PORT...: and others do, at the same time; each datagram is counted.
get_no_reply() {
	local port address before
	for port; do
		for address in 198.51.100.1 2001:db8::1; do
			before=$(counter dropped_source) || return
			client peers datagrams --no-reply --source-port "$port" --sizes 0,1,1472,8192 --random 0 --wait 0.2 "$address" &&
				grows_to dropped_source $((before + 4)) || return
		done
	done
}

gets_replies() { # PORT
	client peers datagrams --source-port "$1" --sizes 0,1,1472,8192 --random 0 198.51.100.1
}

# What was sent to many gets no reply from any of them.
sent_to_many() { # SOCAT-ADDRESS
	local before answer
	before=$(counter dropped_multicast) || return
	answer=$(client socat -t 0.3 - "$1" <"$work/1000" | wc -c)
	[ "$answer" = 0 ] && until_true counter_is_at_least dropped_multicast $((before + 1)) || {
		echo "a reply of $answer bytes, and dropped_multicast is $(counter dropped_multicast)"
		return 1
	}
}

socat_gets() { # ADDRESS SIZE
	socat -b 65536 -t 1 - "$1" <"$work/$2" | cmp - "$work/$2"
}

nc_gets() {
	timeout 20 nc -u -w 1 127.0.0.1 60007 <"$work/1000" | cmp - "$work/1000"
}

bash_gets() {
	local answer
	exec 5<>/dev/udp/127.0.0.1/60007
	echo "one line" >&5
	# bash itself reads bytes, and a datagram is gone when it was read in part.
	answer=$(timeout 20 dd bs=64k count=1 status=none <&5)
	exec 5>&-
	[ "$answer" = "one line" ]
}

# Who is gone when the reply comes has the system say so, which is an error on kecho's socket.
gone_before_the_reply() {
	for _ in $(seq 50); do
		echo x >/dev/udp/127.0.0.1/60007
	done
	peers datagrams --sizes 1,2,3 --random 0 --resends 0 127.0.0.1
}

all_are_counted() {
	until_true counts_agree || {
		grep -H . "$debugfs/services"
		return 1
	}
}

counts_agree() {
	local dropped=0 key
	for key in source multicast size memory route service; do
		dropped=$((dropped + $(counter "dropped_$key")))
	done
	[ "$(counter dropped_source)" -gt 0 ] && [ "$(counter datagrams_in)" = $(($(counter datagrams_out) + dropped)) ]
}

ktap_begin
ktap_check "there is another host, and a second address" set_up
ktap_check "the modules can be loaded" load
start_good
ktap_check "all sizes come back over IPv4" all_sizes 127.0.0.1
ktap_check "all sizes come back over IPv6" all_sizes ::1
ktap_check "all sizes come back to another host, in fragments, over IPv4" client peers datagrams 198.51.100.1
ktap_check "all sizes come back to another host, in fragments, over IPv6" client peers datagrams 2001:db8::1
ktap_check "replies come from the address that was asked" from_the_address_that_was_asked
ktap_check "replies to another host come from the address that it asked" from_the_address_that_was_asked_outside
ktap_check "kecho's own port gets no reply" get_no_reply 60007
ktap_check "ports below 1024 get no reply" get_no_reply 1 7 1023
ktap_check "port 1024 does" gets_replies 1024
ktap_check "what was sent to the broadcast address gets no reply" sent_to_many \
	UDP4-DATAGRAM:198.51.100.255:60007,broadcast
ktap_check "what was sent to an IPv6 multicast address gets no reply" sent_to_many \
	'UDP6-DATAGRAM:[ff02::1%ksf-inside]:60007'
ktap_check "socat gets what it sent" socat_gets UDP:127.0.0.1:60007 1000
ktap_check "socat gets the largest datagram over IPv6" socat_gets 'UDP6:[::1]:60007' 65507
ktap_check "nc gets what it sent" nc_gets
ktap_check "bash gets what it sent" bash_gets
ktap_check "clients that are gone cost others nothing" gone_before_the_reply
check_good
ktap_check "each datagram is counted once" all_are_counted
ktap_check "kecho can be unloaded" rmmod kecho
# The system itself gives no IPv4 multicast to a socket of IPv6 that has not asked for it.
ktap_check "kecho can be loaded for IPv4" load bind=0.0.0.0
ktap_check "what was sent to an IPv4 multicast address gets no reply" sent_to_many \
	UDP4-DATAGRAM:224.0.0.1:60007,ip-multicast-if=198.51.100.9
ktap_check "replies come from the address that was asked, there too" from_the_address_that_was_asked
ktap_check "the modules can be unloaded" unload
ktap_check "nothing keeps the namespace" tear_down
ktap_end
