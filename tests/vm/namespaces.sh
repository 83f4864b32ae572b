#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The service is in the network namespace of the process that loads it, and in no other; and it goes with it.
#
#     ns ksf-test                                   initial namespace
#     lo: kecho on port 60007                       lo: nothing on port 60007
#     ksf-inside: 192.0.2.2, 2001:db8::2 ---------- ksf-outside: 192.0.2.1, 2001:db8::1
#
# The end of the cable outside goes when the namespace has really gone.

. "$(dirname "$0")/common"

inside() {
	ip netns exec ksf-test "$@"
}

set_up() {
	ip netns add ksf-test && inside ip link set lo up &&
		ip link add ksf-outside type veth peer name ksf-inside netns ksf-test &&
		ip address add 192.0.2.1/24 dev ksf-outside && ip address add 2001:db8::1/64 dev ksf-outside nodad &&
		inside ip address add 192.0.2.2/24 dev ksf-inside && inside ip address add 2001:db8::2/64 dev ksf-inside nodad &&
		ip link set ksf-outside up && inside ip link set ksf-inside up && until_true ping -c 1 -W 1 192.0.2.2 &&
		until_true ping -c 1 -W 1 2001:db8::2
}

load_inside() {
	[ -e /sys/module/ksf ] || insmod "$KSF_MODULES/ksf.ko" || return
	inside insmod "$KSF_MODULES/kecho.ko"
}

is_gone() {
	! ip link show ksf-outside
}

exists() {
	ip link show ksf-outside
}

# The modules stay: what is gone is the service.
service_is_closed() {
	[ -e /sys/module/kecho ] && [ -e /sys/module/ksf ] && ! listens 60007 && [ -z "$(connections 60007)" ] &&
		[ "$(counter conns)" = 0 ] && [ "$(sum limits used)" = 0 ]
}

goes_away() {
	ip netns delete ksf-test && until_true is_gone || return
	until_true service_is_closed || {
		ss -tan '( sport = :60007 )'
		cat /sys/kernel/debug/ksf/{services,conns,limits}
		return 1
	}
}

unloads_at_once() {
	timeout 2 rmmod kecho && timeout 2 rmmod ksf
}

# The kernel counts the sockets of a namespace as long as it exists. Those of kecho are IPv6 sockets; its clients here
# are not.
ipv6_sockets() {
	shrink_slabs
	awk '$1 == "TCPv6" || $1 == "UDPv6" { sum += $2 } END { print sum + 0 }' /proc/slabinfo
}

no_socket_is_left() {
	[ "$(ipv6_sockets)" -le "$sockets_before" ]
}

works_here() {
	load && peers many --connections 10 127.0.0.1 && peers datagrams --random 0 127.0.0.1 && unload
}

# Clients outside are still connected when the namespace goes. They will never hear of the other end again.
with_clients() {
	until_true inside_has_connections 121 && peer_says stalled "never-read: stalled"
}

inside_has_connections() {
	[ "$(counter conns)" -ge "$1" ]
}

ktap_begin
sockets_before=$(ipv6_sockets)
ktap_check "a network namespace can be made" set_up
ktap_check "kecho can be loaded inside" load_inside
ktap_check "it answers inside" inside echotest --count 100 127.0.0.1
ktap_check "it answers inside over IPv6" inside echotest --count 100 ::1
ktap_check "it answers datagrams inside" inside peers datagrams --random 0 127.0.0.1
ktap_check "it answers from inside over the cable" peers many --connections 20 192.0.2.2
ktap_check "it answers datagrams over the cable, IPv6" peers datagrams --random 0 2001:db8::2
ktap_check "it is not reached from outside" fails_with "refused" echotest --count 1 127.0.0.1
ktap_check "nor by datagrams" fails_with "refused" peers datagrams 127.0.0.1
ktap_check "the namespace goes at once, and its service with it" goes_away
ktap_check "the modules can be unloaded after it" unloads_at_once
ktap_check "they can be loaded here after that" works_here

ktap_check "a network namespace can be made again" set_up
ktap_check "kecho can be loaded inside again" load_inside
start_peer good_tcp peers good --until-told 192.0.2.2
start_peer good_udp peers good --udp --until-told 192.0.2.2
start_peer held peers many --connections 100 --rounds 1 --hold 192.0.2.2
start_peer stalled peers never-read --connections 20 --buffers 64k --until-told 192.0.2.2
ktap_check "100 clients are connected, and 20 that never read" with_clients
ktap_check "a good client over the cable has lost nothing" stop_peer good_tcp
ktap_check "a good client over the cable has lost no datagram" stop_peer good_udp
start_peer flood peers flood --connections 4 --until-told 192.0.2.2
start_peer udp_flood peers flood --udp --until-told 192.0.2.2
ktap_check "the namespace goes at once, in the middle of all that" goes_away
for name in held stalled flood udp_flood; do
	kill_peer "$name"
done
ktap_check "the modules can be unloaded after it" unloads_at_once
ktap_check "they can be loaded here after that" works_here

ktap_check "a network namespace can be made a third time" set_up
ktap_check "kecho can be loaded inside a third time" load_inside
ktap_check "kecho can be unloaded while its namespace exists" unloads_at_once
ktap_check "which does not take it away" exists
ktap_check "nor keep it" eval 'ip netns delete ksf-test && until_true is_gone'
ktap_check "no socket of kecho is left" until_true no_socket_is_left
ktap_end
