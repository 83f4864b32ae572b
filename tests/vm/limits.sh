#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Limits: each refuses or closes those who exceed it, says so in its counter, and costs nobody else anything.

. "$(dirname "$0")/common"

# Those who are within the limits, while others are not. One connection each, from an address of its own.
begin() { # NAME-OF-THE-LIMITS PARAMETER...
	ktap_check "the modules can be loaded with $1" load "${@:2}"
	start_peer good_tcp peers good --until-told 127.0.0.1
	ktap_check "the good client is served" until_true has_connections 1
}

end() {
	ktap_check "a good client beside it has lost nothing and waited for nothing" stop_peer good_tcp
	note "$(peer_output good_tcp)"
	ktap_check "nothing is left of what was used" until_true nothing_is_used
	ktap_check "the modules can be unloaded" unload
}

nothing_is_used() {
	has_connections 0 && [ "$(sum limits used)" = 0 ]
}

# refuses NUMBER KEY OPTION...: so many of 12 connections are refused, and counted.
refuses() {
	local refused=$1 key=$2 before
	shift 2
	before=$(counter "$key") || return
	peers many --connections 12 --refused "$refused" "$@" "${server:-127.0.0.1}" && grows_to "$key" $((before + refused)) &&
		until_true has_connections 1
}

limit_is_reached() { # LIMIT
	[ "$(sum limits hits "limit=$1")" -gt 0 ] || {
		grep . "$debugfs/limits"
		return 1
	}
}

# closes KEY OPTION...: five silent connections are closed in time, and counted.
closes() {
	local key=$1 before
	shift
	before=$(counter "$key") || return
	peers idle --connections 5 "$@" 127.0.0.1 && grows_to "$key" $((before + 5))
}

# of_record NUMBER KEY CLIENT: so many connections of a client of krecord are closed, and counted.
of_record() {
	local number=$1 key=$2 before
	before=$(sum services "$key" service=krecord) || return
	timeout 60 python3 "$(dirname "$0")/client.py" "$3" 127.0.0.1 60009 &&
		until_true eval '[ "$(sum services conns service=krecord)" = 0 ]' &&
		[ "$(sum services "$key" service=krecord)" = $((before + number)) ] || {
		grep -o "^service=krecord\| closed_[^ ]*" "$debugfs/services" | xargs
		return 1
	}
}

# never_reads OPTION...: five connections whose replies nobody takes.
never_reads() {
	peers never-read --connections 5 --buffers 64k "$@" 127.0.0.1
}

stays_open() { # OPTION...
	fails_with "5 of 5 connections failed; connection 1: not closed" peers idle --connections 5 --latest 1.5 "$@" 127.0.0.1
}

# What kecho keeps for a connection is what its line says, and no more than it may be.
within_conn_bytes() {
	local most
	[ "$(counter send_blocked)" -gt 0 ] || {
		echo "send_blocked $(counter send_blocked)"
		return 1
	}
	most=$(grep -oP '(^| )memory=\K[0-9]+' "$debugfs/conns" | sort -n | tail -n 1)
	[ "$most" -gt 0 ] && [ "$most" -le "$(parameter conn_bytes)" ] || {
		cat "$debugfs/conns"
		return 1
	}
}

peers_are() { # NUMBER
	[ "$(grep -c . "$debugfs/peers")" = "$1" ]
}

within_memory_bytes() {
	local used
	used=$(used memory_bytes) && [ "$used" -gt 0 ] && [ "$used" -le "$(sum limits value limit=memory_bytes)" ] &&
		limit_is_reached memory_bytes || {
		cat "$debugfs/limits"
		return 1
	}
}

# Two networks of IPv6. Nobody else is to find that there is IPv6 here.
addresses_of_ipv6() { # add|del
	local address
	for address in 2001:db8:0:{1,2}::{1..6}; do
		ip address "$1" "$address/128" dev lo
	done
}

# Connections that stay are told of in debugfs, with so many addresses of one network of IPv6 as one peer.
peer_of_ipv6_is() { # PEER CONNECTIONS
	grep -qx "service=kecho peer=$1 conns=$2 refused=.*" "$debugfs/peers" || {
		cat "$debugfs/peers"
		return 1
	}
}

ktap_begin
begin "max_conns" max_conns=9
ktap_check "4 of 12 connections are refused" refuses 4 refused_conns
ktap_check "the limit says that it was reached" limit_is_reached max_conns
ktap_check "the limit can be raised" parameter max_conns 13
ktap_check "none of 12 connections is refused then" refuses 0 refused_conns
ktap_check "the limit can be lowered while there are more" eval 'parameter max_conns 1 && [ "$(parameter max_conns)" = 1 ]'
ktap_check "all of 12 connections are refused then" refuses 12 refused_conns
end

begin "max_conns_per_peer" max_conns_per_peer=4
ktap_check "8 of 12 connections from one address are refused" refuses 8 refused_peer_conns --source 127.0.0.2
ktap_check "the limit says that it was reached" limit_is_reached max_conns_per_peer
ktap_check "none of 12 connections from three addresses is refused" refuses 0 refused_peer_conns --source 127.0.0.2 --sources 3
ktap_check "nor are they the next time" refuses 0 refused_peer_conns --source 127.0.0.2 --sources 3
ktap_check "the limit can be lowered" parameter max_conns_per_peer 2
ktap_check "6 of 12 connections from three addresses are refused then" refuses 6 refused_peer_conns --source 127.0.0.2 --sources 3
ktap_check "no peer is remembered but the good one" until_true peers_are 1
addresses_of_ipv6 add
ktap_check "the limit can be raised" parameter max_conns_per_peer 4
server="[2001:db8:0:1::1]"
ktap_check "8 of 12 connections from six addresses of one /64 of IPv6 are refused" \
	refuses 8 refused_peer_conns --source 2001:db8:0:1::1 --sources 6
ktap_check "as many are from another one" refuses 8 refused_peer_conns --source 2001:db8:0:2::1 --sources 6
start_peer many peers many --connections 4 --source 2001:db8:0:2::1 --sources 4 --hold "$server"
ktap_check "four of them stay" peer_says many "many: holding"
ktap_check "they are one peer, which is their prefix" peer_of_ipv6_is 2001:db8:0:2::/64 4
ktap_check "they end" stop_peer many
server="[::1]"
ktap_check "8 of 12 connections from ::1 are refused" refuses 8 refused_peer_conns --source ::1
unset server
ktap_check "no peer is remembered but the good one, again" until_true peers_are 1
addresses_of_ipv6 del
end

begin "timeouts" first_byte_timeout_ms=700 idle_timeout_ms=1200
ktap_check "who sends nothing is closed" closes closed_first_byte --earliest 0.6 --latest 5
ktap_check "who falls silent is closed later" closes closed_idle --length 10 --earliest 1.1 --latest 6
ktap_check "who sends a byte now and then is not" peers slow --connections 5 --interval 0.5 --bytes 5 127.0.0.1
ktap_check "the time for the first byte can be longer" parameter first_byte_timeout_ms 2000
ktap_check "it is, then" closes closed_first_byte --earliest 1.8 --latest 8
ktap_check "both can be switched off" eval 'parameter first_byte_timeout_ms 0 && parameter idle_timeout_ms 0'
ktap_check "who sends nothing stays, then" stays_open
ktap_check "who falls silent stays, then" stays_open --length 10
end

begin "request_timeout_ms"
ktap_check "krecord can be loaded with it" insmod "$KSF_MODULES/krecord.ko" request_timeout_ms=1500
for serve in inline worker; do
	ktap_check "serve=$serve" eval "echo $serve >/sys/module/krecord/parameters/serve"
	ktap_check "who sends a byte of a request now and then is closed, and nobody whose requests are complete" \
		of_record 1 closed_request dripped-record
done
ktap_check "who then takes no answers, and sends on, does not stay either" of_record 1 closed_request sends-on
ktap_check "it can be switched off" eval 'echo 0 >/sys/module/krecord/parameters/request_timeout_ms'
ktap_check "who sends a byte now and then stays, then" of_record 0 closed_request endless-record
ktap_check "krecord can be unloaded" rmmod krecord
end

begin "send_timeout_ms" send_timeout_ms=1500
ktap_check "who never reads is closed" eval 'never_reads --closed --seconds 20 && grows_to closed_send 5'
ktap_check "who reads late, but in time, gets all it sent" peers late --quiet 0.3 --connections 5 --bytes 3m 127.0.0.1
ktap_check "it can be switched off" parameter send_timeout_ms 0
ktap_check "who never reads stays, then" eval 'never_reads --seconds 4 && grows_to closed_send 5'
ktap_check "krecord can be loaded with it" insmod "$KSF_MODULES/krecord.ko" send_timeout_ms=1500
ktap_check "who is silent, and leaves replies for which there is room, is closed" of_record 1 closed_send unread-answers
ktap_check "krecord can be unloaded" rmmod krecord
end

begin "conn_bytes" conn_bytes=131072
start_peer stalled peers never-read --connections 5 --buffers 64k --until-told 127.0.0.1
ktap_check "peers that never read are stopped" peer_says stalled "never-read: stalled"
ktap_check "kecho keeps no more for each than it may" within_conn_bytes
ktap_check "they are not closed" stop_peer stalled
ktap_check "one that reads late gets all it sent" peers late --connections 5 --bytes 3m 127.0.0.1
end

ktap_check "ksf can be loaded with memory_bytes" insmod "$KSF_MODULES/ksf.ko" memory_bytes=2097152
begin "that"
# Whether those who exceed it are stopped or closed is for kecho to choose.
start_peer stalled peers never-read --connections 30 --buffers 16k --seconds 60 127.0.0.1
ktap_check "what all connections use stays within it" until_true within_memory_bytes
kill_peer stalled
end
ktap_end
