# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the benchmarks in the guest share.

emit() {
	local IFS=$'\t'
	echo "$*"
}

fail() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# until_true COMMAND...: for 20 s of the guest's time.
until_true() {
	local deadline=$((SECONDS + 20))
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || fail "still not true: $*"
		sleep 0.05
	done
}

# Sets $switches, and $softirqs of each CPU, since the start. Without a process, which would be counted.
read_counters() {
	local name value
	while read -r name value _; do
		# shellcheck disable=SC2034
		[ "$name" != ctxt ] || switches=$value
	done </proc/stat
	while read -r name value; do
		# shellcheck disable=SC2206,SC2034
		[ "$name" != NET_RX: ] || softirqs=($value)
	done </proc/softirqs
}

# Sets $busy and $total, ticks of all CPUs since the start.
read_ticks() {
	local user nice system idle iowait irq softirq
	read -r _ user nice system idle iowait irq softirq _ </proc/stat
	busy=$((user + nice + system + irq + softirq)) total=$((busy + idle + iowait))
}

# What the system itself does after it was started would be counted too: waits until 3 s in a row are 99 % idle.
settle() {
	local quiet=0 before_busy before_total busy total
	while [ "$quiet" -lt 3 ]; do
		read_ticks
		before_busy=$busy before_total=$total
		sleep 1
		read_ticks
		if [ $(((busy - before_busy) * 100)) -le $((total - before_total)) ]; then
			quiet=$((quiet + 1))
		else
			quiet=0
		fi
		[ "$SECONDS" -lt 120 ] || fail "the guest does not come to rest"
	done
	emit note "The guest had come to rest $(cut -d ' ' -f 1 /proc/uptime) s after its start, by its own clock"
}
