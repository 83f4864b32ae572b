#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What insmod, modinfo and sysfs show of the modules, and what bad parameters get.

. "$(dirname "$0")/common"

port_is() {
	[ "$(cat /sys/module/kecho/parameters/port)" = "$1" ] && until_true listens "$1"
}

refused() { # PORT
	mark_log
	fails_with "Invalid parameters" insmod "$KSF_MODULES/kecho.ko" "port=$1" || return
	[ ! -e /sys/module/kecho ] || return
	log_since_mark | grep -F "kecho: parameter port must be a number from 1 to 65535"
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
ktap_check "modinfo shows the range and default of port" grep -qF "port:TCP port (1 to 65535, default 60007)" <(modinfo -F parm "$KSF_MODULES/kecho.ko")
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
ktap_check "a port in use is refused with EADDRINUSE" port_in_use
ktap_check "after all that kecho can be loaded" port_is_free
ktap_check "ksf can be unloaded" rmmod ksf
ktap_end
