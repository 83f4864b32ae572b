#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Peers that have so much memory held for them, and get nowhere, that others could not be served, beside good clients that connect
# again and again.

. "$(dirname "$0")/common"

# Of which seven eighths may be used before it is short.
memory_bytes=8388608

# begin_attack NAME SERVICE PORT CONNECTIONS OPTION...: of those who hold memory and get nowhere. Together they hold more than may be
# held, and come back when they are closed.
begin_attack() {
	local name=$1 service=$2 port=$3 connections=$4
	shift 4
	closed_before=$(sum services closed_memory "service=$service")
	start_peer attack peers hoard --until-told --connections "$connections" "$@" "127.0.0.1:$port"
	limit=60 ktap_check "$name: more are closed than there were at first" until_true has_closed "$service" "$connections"
	ktap_check "there is room again, while they come back" until_true has_room
}

has_closed() { # SERVICE NUMBER
	[ "$(sum services closed_memory "service=$1")" -gt $((closed_before + $2)) ]
}

end_attack() {
	ktap_check "they end when they are told" stop_peer attack
	note "$(peer_output attack)"
	ktap_check "nothing is held then but by good clients" until_true eval '[ "$(used memory_bytes)" -lt 100000 ]'
}

# As much as those who hold much need to go on.
has_room() {
	[ "$(used memory_bytes)" -lt $((memory_bytes / 8 * 7)) ]
}

# A good client waits whenever memory is short, but never for long.
large_records() {
	timeout 60 python3 "$(dirname "$0")/client.py" records 127.0.0.1 60009
}

nothing_is_used() {
	has_connections 0 && [ "$(sum limits used)" = 0 ]
}

ktap_begin
# Without time limits, which would help after a while.
ktap_check "ksf can be loaded with little memory" insmod "$KSF_MODULES/ksf.ko" "memory_bytes=$memory_bytes"
ktap_check "kecho can be loaded" load send_timeout_ms=0
ktap_check "krecord can be loaded" insmod "$KSF_MODULES/krecord.ko" request_timeout_ms=0
# Each of them connects again and again. What the attacks leave of the processors is little.
start_good --reconnect 3 --limit 5
start_peer parts python3 "$(dirname "$0")/client.py" two-parts 127.0.0.1 60009
begin_attack "incomplete records, from three addresses" krecord 60009 900 --source 127.0.0.2 --sources 3
ktap_check "large records of a good client are served" large_records
end_attack
begin_attack "incomplete records, from 900 addresses, a byte more now and then" \
	krecord 60009 900 --source 127.1.0.1 --sources 900 --interval 0.2
end_attack
begin_attack "large incomplete records" krecord 60009 200 --source 127.0.0.2 --announce 200k --bytes 100k
ktap_check "large records of a good client are served" large_records
end_attack
begin_attack "replies that nobody takes" kecho 60007 900 --source 127.0.0.2 --sources 3 --buffers 1
end_attack
ktap_check "a good client of records in two parts has lost nothing and was always let in" stop_peer parts
note "$(peer_output parts)"
check_good
ktap_check "krecord can be unloaded" rmmod krecord
ktap_check "nothing is left of what was used" until_true nothing_is_used
ktap_check "the modules can be unloaded" unload
ktap_end
