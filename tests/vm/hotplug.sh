#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# CPUs that go and come back while connections are served on them.

. "$(dirname "$0")/common"

cpu1=/sys/devices/system/cpu/cpu1/online
# shellcheck disable=SC2154
trap 'echo 1 >"$cpu1"; end_peers' EXIT

worker_is() { # CPU STATE
	[ "$(grep -cE "(^| )cpu=$1 (.* )?state=$2( |\$)" "$debugfs/workers")" = 1 ]
}

goes() {
	echo 0 >"$cpu1" && until_true worker_is 1 parked && worker_is 0 running || {
		cat "$debugfs/workers"
		return 1
	}
}

comes_back() {
	echo 1 >"$cpu1" && until_true worker_is 1 running && worker_is 0 running || {
		cat "$debugfs/workers"
		return 1
	}
}

# Connections that are made now, and datagrams from many ports.
new_ones_are_served() {
	peers many --connections 100 --rounds 2 127.0.0.1 || return
	for seed in 1 2 3 4; do
		peers datagrams --sizes 1,1000 --random 3 --resends 0 --seed "$seed" 127.0.0.1 || return
	done
}

five_times() {
	for _ in 1 2 3 4 5; do
		goes && comes_back || return
	done
}

# The CPU that is back does its part of the work again. What a process on it sends to this host arrives on it.
works_again() { # KEY
	local before
	before=$(sum workers "$1" cpu=1) || return
	taskset -c 1 peers many --connections 20 127.0.0.1 && taskset -c 1 peers datagrams --random 0 127.0.0.1 &&
		[ "$(sum workers "$1" cpu=1)" -gt "$before" ] || {
		cat "$debugfs/workers"
		return 1
	}
}

check() { # SERVE KEY
	ktap_check "the modules can be loaded with serve=$1" load "serve=$1"
	start_good
	start_peer reconnecting peers good --reconnect 1 --until-told 127.0.0.1
	start_peer flood peers flood --connections 4 --window 4k --until-told 127.0.0.1
	start_peer held peers many --connections 100 --rounds 1 --hold 127.0.0.1
	ktap_check "100 connections are open" peer_says held "many: holding"
	ktap_check "CPU 1 goes, and its worker parks" goes
	ktap_check "new connections and datagrams are served without it" new_ones_are_served
	ktap_check "CPU 1 comes back, and its worker runs" comes_back
	ktap_check "new connections and datagrams are served" new_ones_are_served
	ktap_check "CPU 1 serves again" works_again "$2"
	ktap_check "CPU 1 goes and comes back five times" five_times
	ktap_check "the connections that were open are served as before" stop_peer held
	ktap_check "all of a flood has come back" stop_peer flood
	ktap_check "a client that connects anew each time has lost nothing" stop_peer reconnecting
	note "$(peer_output reconnecting)"
	check_good
	ktap_check "no connection is left" until_true has_connections 0
	ktap_check "CPU 1 goes again" goes
	ktap_check "the modules can be unloaded without it" unload
	ktap_check "they can be loaded without it" load "serve=$1"
	ktap_check "its worker runs when it is back" comes_back
	ktap_check "new connections and datagrams are served" new_ones_are_served
	ktap_check "CPU 1 serves them" works_again "$2"
	ktap_check "the modules can be unloaded" unload
}

ktap_begin
check worker turns
check inline inline_turns
ktap_end
