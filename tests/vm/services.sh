#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The services besides kecho: the one of docs/writing-a-service.md, and the one that has large records.

. "$(dirname "$0")/common"
. "$(dirname "$0")/debugfs"

load_service() { # NAME [PARAMETER...]
	[ -e /sys/module/ksf ] || insmod "$KSF_MODULES/ksf.ko" || return
	insmod "$KSF_MODULES/$1.ko" "${@:2}"
}

# A client in Python, for what it does with sockets no shell can.
client() {
	timeout 60 python3 "$(dirname "$0")/client.py" "$@"
}

counts() { # SERVICE KEY
	[ "$(sum services "$2" "service=$1")" -gt 0 ]
}

lines() {
	[ "$(printf 'hello\nWorld 1\n\n' | socat -t 20 - TCP:127.0.0.1:60008)" = "$(printf 'HELLO\nWORLD 1\n\n')" ]
}

datagram() {
	[ "$(echo datagram | socat -t 1 - "UDP4:127.0.0.1:60008")" = DATAGRAM ] &&
		[ "$(echo datagram | socat -t 1 - "UDP6:[::1]:60008")" = DATAGRAM ]
}

closes_after_max_lines() {
	local answer
	echo 3 >/sys/module/kupper/parameters/max_lines || return
	answer=$(printf 'a\nb\nc\nd\n' | socat -t 20 - TCP:127.0.0.1:60008 2>/dev/null)
	echo 1000 >/sys/module/kupper/parameters/max_lines
	[ "$answer" = "$(printf 'A\nB\nC')" ] && counts kupper closed_service
}

ktap_begin
ktap_check "kupper can be loaded" load_service kupper
for serve in auto inline worker; do
	ktap_check "serve=$serve" eval "echo $serve >/sys/module/kupper/parameters/serve"
	ktap_check "lines come back in upper case" lines
	ktap_check "a datagram, too, over IPv4 and IPv6" datagram
	ktap_check "lines that are cut anywhere, one byte at a time" client lines 127.0.0.1 60008
done
ktap_check "a line that is too long ends its connection alone" client long-line 127.0.0.1 60008
ktap_check "a connection is closed after max_lines, with all answers" closes_after_max_lines
ktap_check "a datagram that is too long is dropped, and counted" eval 'client long-datagram 127.0.0.1 60008 && counts kupper dropped_service'
ktap_check "kecho can be loaded beside it" load_service kecho
ktap_check "both answer" eval 'lines && echotest --count 10 127.0.0.1'
ktap_check "both can be unloaded" rmmod kecho kupper

ktap_check "krecord can be loaded" load_service krecord
for serve in auto inline worker; do
	ktap_check "serve=$serve" eval "echo $serve >/sys/module/krecord/parameters/serve"
	ktap_check "records of 0 bytes to 512 KiB, many at once, cut anywhere" client records 127.0.0.1 60009
done
ktap_check "records that softirq may not sum were deferred" eval 'counts krecord turns_inline && counts krecord turns_worker'
# How long that takes is the machine's matter.
ktap_check "requests may take any time" eval 'echo 0 >/sys/module/krecord/parameters/request_timeout_ms'
ktap_check "a record of 64 KiB may come in segments of one byte" client tiny-segments 127.0.0.1 60009
ktap_check "a record above max_record ends its connection, and takes no memory" client large-record 127.0.0.1 60009
ktap_check "a record above conn_bytes ends its connection" eval 'echo 65536 >/sys/module/krecord/parameters/conn_bytes && client closed-record 127.0.0.1 60009 && counts krecord closed_memory'
ktap_check "half a record and the end are answered by the end" client half-record 127.0.0.1 60009
ktap_check "no memory is held when nobody is there" until_true eval '[ "$(sum limits used limit=memory_bytes)" = 0 ]'
ktap_check "krecord can be unloaded" rmmod krecord
ktap_check "ksf can be unloaded" rmmod ksf
ktap_end
