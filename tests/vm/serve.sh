#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Where connections and datagrams are served: in the softirq that brings them, in the worker, or as ksf chooses.

. "$(dirname "$0")/common"

# ask: 200 requests over TCP and about as many over UDP, one at a time.
ask() {
	echotest --count 200 127.0.0.1 && peers datagrams --random 150 127.0.0.1
}

turns_of() { # COMMAND...: sets "inline" and "worker" to how many turns there were meanwhile
	local inline_before worker_before
	inline_before=$(counter turns_inline) && worker_before=$(counter turns_worker) && "$@" || return
	inline=$(($(counter turns_inline) - inline_before))
	worker=$(($(counter turns_worker) - worker_before))
}

is_served() { # inline|worker|auto
	local inline worker
	turns_of ask || return
	case $1 in
	# What is too much for a softirq goes to the worker.
	inline) [ "$inline" -ge 200 ] && [ "$worker" -le $((inline / 10)) ] ;;
	worker) [ "$worker" -ge 200 ] && [ "$inline" = 0 ] ;;
	# One request at a time is cheapest there, but for the first turn of a connection, and the worker's tries.
	auto) [ "$inline" -ge 50 ] && [ $((inline + worker)) -ge 200 ] ;;
	esac || {
		echo "turns inline: $inline, in the worker: $worker"
		return 1
	}
}

# The connection that is open follows, and so do datagrams.
follows() { # inline|worker
	local other=inline before here
	[ "$1" = worker ] || other=worker
	parameter serve "$1" && [ "$(parameter serve)" = "$1" ] || return
	before=$(counter "turns_$1")
	until_true counter_is_at_least "turns_$1" $((before + 50)) || return
	before=$(counter "turns_$other") here=$(counter "turns_$1")
	until_true counter_is_at_least "turns_$1" $((here + 50)) || return
	# It is not told at which request exactly it was switched.
	[ $(($(counter "turns_$other") - before)) -le 5 ] || {
		echo "turns_$other was $before, and is $(counter "turns_$other")"
		return 1
	}
}

one_connection() {
	[ "$(counter accepted)" = 1 ]
}

ktap_begin
for serve in inline worker auto; do
	ktap_check "the modules can be loaded with serve=$serve" load "serve=$serve"
	ktap_check "serve=$serve says so in sysfs" eval '[ "$(parameter serve)" = "$serve" ]'
	ktap_check "serve=$serve says so in debugfs" grep -q "serve=$serve" "$debugfs/services"
	ktap_check "serve=$serve is how requests are served" is_served "$serve"
	ktap_check "kecho can be unloaded" rmmod kecho
done
ktap_check "the modules can be loaded again" load serve=worker
start_good
ktap_check "a connection is open" until_true has_connections 1
for serve in inline worker inline worker; do
	ktap_check "an open connection and datagrams follow to serve=$serve" follows "$serve"
done
ktap_check "serve=auto can be set, too" parameter serve auto
ktap_check "all that was on one connection" one_connection
check_good
ktap_check "the modules can be unloaded" unload
ktap_end
