#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What insmod, modinfo and sysfs show of the modules, and what bad parameters get.

. "$(dirname "$0")/common"

port_is() {
	[ "$(cat /sys/module/kecho/parameters/port)" = "$1" ] && until_true listens "$1"
}

refused() { # PORT
	refused_by kecho port "$1" "parameter port must be a number from 1 to 65535"
}

# refused_by MODULE NAME VALUE [TEXT]: with EINVAL, and a line in the log that names the module and the parameter.
refused_by() {
	mark_log
	fails_with "Invalid parameters" insmod "$KSF_MODULES/$1.ko" "$2=$3" || return
	[ ! -e "/sys/module/$1" ] || return
	log_since_mark | grep -F "$1: ${4:-parameter $2}" || {
		log_since_mark
		return 1
	}
}

# What is written to sysfs is as it was after a bad value, and as it is written after a good one.
takes_at_run_time() { # NAME GOOD BAD...
	local name=$1 good=$2 before bad
	shift 2
	before=$(parameter "$name")
	for bad; do
		mark_log
		fails_with "Invalid argument" bash -c "echo '$bad' >/sys/module/kecho/parameters/$name" &&
			[ "$(parameter "$name")" = "$before" ] && log_since_mark | grep -F "kecho: parameter $name" || {
			echo "$name=$bad: $(parameter "$name")"
			return 1
		}
	done
	parameter "$name" "$good" && [ "$(parameter "$name")" = "$good" ] && parameter "$name" "$before"
}

cannot_be_changed() { # MODULE NAME
	fails_with "Permission denied" bash -c "cat /sys/module/$1/parameters/$2 >/sys/module/$1/parameters/$2"
}

# reached [ADDRESS]... not [ADDRESS]...: over both protocols.
reached() {
	local address wanted=yes answers
	for address; do
		if [ "$address" = not ]; then
			wanted=no
			continue
		fi
		answers=no
		! peers many --rounds 1 "$address" || answers=yes
		[ "$answers" = "$wanted" ] || {
			echo "$address over TCP: $answers"
			return 1
		}
		answers=no
		! peers datagrams --sizes 1 --random 0 --wait 0.2 --resends 2 "$address" || answers=yes
		[ "$answers" = "$wanted" ] || {
			echo "$address over UDP: $answers"
			return 1
		}
	done
}

tcp_only() {
	peers many 127.0.0.1 && fails_with refused peers datagrams 127.0.0.1
}

udp_only() {
	peers datagrams 127.0.0.1 && fails_with refused peers many 127.0.0.1
}

workers_are() { # CPU...
	[ "$(pgrep '^ksf/[0-9]' -l | awk '{ print $2 }' | sort | xargs)" = "$*" ]
}

serves_with_cpus() { # LIST WORKER...
	[ ! -e /sys/module/ksf ] || rmmod ksf || return
	insmod "$KSF_MODULES/ksf.ko" "cpus=$1" && workers_are "${@:2}" && load && reached 127.0.0.1 && unload
}

port_in_use() {
	socat TCP6-LISTEN:60007,reuseaddr PIPE &
	local other=$!
	until_true listens 60007 &&
		fails_with "Address already in use" insmod "$KSF_MODULES/kecho.ko" &&
		[ ! -e /sys/module/kecho ] && [ "$(cat /sys/module/ksf/refcnt)" = 0 ]
	local status=$?
	kill "$other"
	wait "$other" 2>/dev/null
	return "$status"
}

port_is_free() { # after the failures above nothing is left that would hold it
	load && port_is 60007 && rmmod kecho
}

ktap_begin
ktap_check "modinfo shows what kecho is" grep -qxF "Echo service in the kernel" <(modinfo -F description "$KSF_MODULES/kecho.ko")
ktap_check "modinfo shows that kecho needs ksf" grep -qxF ksf <(modinfo -F depends "$KSF_MODULES/kecho.ko")
ktap_check "modinfo shows the range and default of port" grep -qF "port:TCP and UDP port (1 to 65535, default 60007)" <(modinfo -F parm "$KSF_MODULES/kecho.ko")
ktap_check "the modules can be loaded" load
ktap_check "port is 60007 by default, in sysfs and in fact" port_is 60007
ktap_check "ksf stays while kecho uses it" fails_with "in use by: kecho" rmmod ksf
ktap_check "kecho can be unloaded" rmmod kecho
ktap_check "port=7 is served" load port=7
ktap_check "port is 7, in sysfs and in fact" port_is 7
ktap_check "port cannot be changed while it is served" fails_with "Permission denied" bash -c 'echo 8 >/sys/module/kecho/parameters/port'
ktap_check "kecho can be unloaded again" rmmod kecho
for port in 0 65536 70000 -1 99999999999999999999 abc '' '7x'; do
	ktap_check "port=$port is refused with EINVAL, and the log names the range" refused "$port"
done
for value in x 1,2 1.2.3 1.2.3.4.5 ::g localhost '[::1]' 1.2.3.4:5; do
	ktap_check "bind=$value is refused with EINVAL, and a line in the log" refused_by kecho bind "$value"
done
for value in fe80::1 ::ffff:127.0.0.1 ::ffff:0.0.0.0 ff02::1 ff0e::1 224.0.0.1 255.255.255.255; do
	ktap_check "bind=$value is refused with EINVAL, and the log says what it may be" refused_by kecho bind "$value" \
		"parameter bind must be a unicast IPv4 or IPv6 address, not link-local IPv6 nor mapped IPv4, given once"
done
for value in x '' 'tcp,' tcp,x sctp; do
	ktap_check "proto=$value is refused with EINVAL, and a line in the log" refused_by kecho proto "$value"
done
for value in x '' inline,worker; do
	ktap_check "serve=$value is refused with EINVAL, and a line in the log" refused_by kecho serve "$value"
done
for name in max_conns max_conns_per_peer conn_bytes {first_byte,request,send,idle}_timeout_ms; do
	for value in -1 99999999999999999999; do
		ktap_check "$name=$value is refused with EINVAL, and a line in the log" refused_by kecho "$name" "$value"
	done
done
ktap_check "an address that is not of this host is refused with EADDRNOTAVAIL" fails_with \
	"Cannot assign requested address" insmod "$KSF_MODULES/kecho.ko" bind=192.0.2.77
ktap_check "a port in use is refused with EADDRINUSE" port_in_use
ktap_check "after all that kecho can be loaded" port_is_free
ktap_check "ksf can be unloaded" rmmod ksf

ktap_check "all addresses are served by default" eval 'load && reached 127.0.0.1 127.0.0.2 ::1 && rmmod kecho'
ktap_check "bind=127.0.0.1 is served, and no other" eval 'load bind=127.0.0.1 && reached 127.0.0.1 not 127.0.0.2 ::1 && rmmod kecho'
ktap_check "bind=0.0.0.0 is IPv4 only" eval 'load bind=0.0.0.0 && reached 127.0.0.1 127.0.0.2 not ::1 && rmmod kecho'
ktap_check "bind=::1 is served, and no other" eval 'load bind=::1 && reached ::1 not 127.0.0.1 && rmmod kecho'
ktap_check "proto=tcp is TCP only" eval 'load proto=tcp && tcp_only && rmmod kecho'
ktap_check "proto=udp is UDP only" eval 'load proto=udp && udp_only && rmmod kecho'

ktap_check "kecho can be loaded with what is default" load
ktap_check "serve can be changed, and not to anything" takes_at_run_time serve inline x '' inline,
for change in max_conns=5000 max_conns_per_peer=50 conn_bytes=262144 {first_byte,request,send}_timeout_ms=5000 idle_timeout_ms=50000; do
	ktap_check "${change%=*} can be changed, and not to anything" takes_at_run_time "${change%=*}" "${change#*=}" \
		-1 abc 99999999999999999999
done
for name in port bind proto; do
	ktap_check "$name cannot be changed" cannot_be_changed kecho "$name"
done
ktap_check "cpus cannot be changed" cannot_be_changed ksf cpus
ktap_check "the modules can be unloaded" unload

for value in x -1 1-0 0- 0,x 4096 99999999999 0-1-2; do
	ktap_check "cpus=$value is refused with EINVAL, and a line in the log" refused_by ksf cpus "$value"
done
for name in busy_poll_us budget memory_bytes; do
	for value in -1 99999999999999999999; do
		ktap_check "$name=$value is refused with EINVAL, and a line in the log" refused_by ksf "$name" "$value"
	done
done
ktap_check "cpus=0 has one worker" serves_with_cpus 0 ksf/0
ktap_check "cpus=1 has one worker" serves_with_cpus 1 ksf/1
ktap_check "cpus=0-1 has two workers" serves_with_cpus 0-1 ksf/0 ksf/1
ktap_end
