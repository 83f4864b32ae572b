#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What scripts/vm promises of the command that it runs.

top=$(cd "$(dirname "$0")/../.." && pwd -P)
. "$top/tests/ktap.sh"
cd "$top" || exit
mkdir -p build
work=$(mktemp -d "$top/build/test.XXXXXX")
trap 'rm -rf "$work"' EXIT
printed=$work/stdout said=$work/stderr

# vm STATUS ARGUMENT...: the machine ends with this status.
vm() {
	local wanted=$1 status=0
	shift
	scripts/vm "$@" >"$printed" 2>"$said" || status=$?
	[ "$status" = "$wanted" ] || {
		echo "status $status; printed:"
		cat "$printed" "$said"
		return 1
	}
}

# In the guest, one command for many questions.
# shellcheck disable=SC2016
ask='
	printf "<%s>\n" "$@"
	pwd
	id -u
	uname -r
	nproc
	cat /sys/class/net/lo/operstate
	command -v echotest
	ls -d /sys/module/kecho
	cat /sys/module/kecho/parameters/port
	echo lost >build/lost
	echo lost >/etc/lost
	cat build/lost /etc/lost >/dev/null || exit 4
	head -c 3000000 /dev/zero | tr "\0" x
	echo
	echo "to stderr" >&2
	echo "reopened" >/dev/stderr
	sleep 1000 &
	exit 3'

# Two CPUs that do the same at the same time, by a clock that counts what both do.
# shellcheck disable=SC2016
two_cpus='
	nproc
	work() { taskset -c "$1" awk "BEGIN { for (i = 0; i < 300000; i++) n += i }"; }
	# What is read from the disk, and what the guest does after its start, is over then.
	work 0
	one= both=
	# What else happens, such as a wait for the host, only ever takes longer.
	for _ in 1 2 3 4 5; do
		start=$(date +%s%N)
		work 0
		middle=$(date +%s%N)
		work 0 & work 1 & wait
		end=$(date +%s%N)
		if [ -z "$one" ] || [ $((middle - start)) -lt "$one" ]; then one=$((middle - start)); fi
		if [ -z "$both" ] || [ $((end - middle)) -lt "$both" ]; then both=$((end - middle)); fi
	done
	ratio=$((both * 100 / one))
	if [ "$ratio" -gt 150 ] && [ "$ratio" -lt 250 ]; then echo twice; else echo "$ratio %"; fi'

changes_are_thrown_away() {
	[ ! -e build/lost ] && ! scripts/enter test -e /etc/lost
}

line() { # NUMBER TEXT
	grep -qxF -- "$2" <(sed -n "$1p" "$printed")
}

names_the_log() {
	local log
	log=$(sed -nE "s/.*the kernel's log: //p" "$said")
	[ -s "$log" ] && grep -q "$1" "$log" && rm "$log"
}

# make_module NAME STATEMENTS: a module that does this when it is loaded.
make_module() {
	mkdir "$work/$1"
	echo "obj-m := $1.o" >"$work/$1/Kbuild"
	cat >"$work/$1/$1.c" <<EOF
#include <linux/module.h>
static int __init test_init(void)
{
	$2
	return 0;
}
module_init(test_init);
MODULE_LICENSE("GPL");
EOF
	scripts/enter make -s -C "$kernel/build" M="$work/$1" modules
}

kernel=$(scripts/kernel)
release=$(cat "$kernel/release")
ktap_begin
ktap_check "the command's status is passed on" vm 3 --smp 3 --modules "kecho port=77" -- sh -c "$ask" sh 'two words' '' "it's" '$HOME'
ktap_check "arguments arrive as they are: spaces" line 1 '<two words>'
ktap_check "arguments arrive as they are: nothing" line 2 '<>'
ktap_check "arguments arrive as they are: quotes" line 3 "<it's>"
ktap_check "arguments arrive as they are: dollar signs" line 4 "<\$HOME>"
ktap_check "the working directory is the checkout, at its own path" line 5 "$top"
ktap_check "the command runs as root" line 6 0
ktap_check "the kernel is the stock one" line 7 "$release"
ktap_check "the machine has as many CPUs as it should" line 8 3
ktap_check "lo is up" line 9 unknown
ktap_check "the build products are on the PATH" line 10 "$top/build/cargo/release/echotest"
ktap_check "modules were loaded, with what they depend on" line 11 /sys/module/kecho
ktap_check "modules were given their parameters" line 12 77
ktap_check "3 MB of output arrive" [ "$(sed -n 13p "$printed" | wc -c)" = 3000001 ]
ktap_check "stderr arrives, apart from stdout" [ "$(head -n 2 "$said" | paste -sd ,)" = "to stderr,reopened" ]
ktap_check "changes in the guest are thrown away" changes_are_thrown_away
ktap_check "a panic is a failure" vm 125 -- sh -c 'echo c >/proc/sysrq-trigger'
ktap_check "the kernel's log is kept, and named" names_the_log 'Kernel panic'
ktap_check "a module that warns can be built" make_module warn 'WARN(1, "as it was told to");'
ktap_check "a warning of the kernel is a failure, whatever the command says" vm 125 -- sh -c 'insmod "$1" && echo survived' sh "$work/warn/warn.ko"
ktap_check "the command went on after the warning" grep -qx survived "$printed"
ktap_check "the kernel's log has the warning" names_the_log 'WARNING: '
ktap_check "a command that does not end is stopped" vm 124 --timeout 15 -- sleep 1000
ktap_check "a module that hangs can be built" make_module hang 'local_irq_disable(); for (;;) cpu_relax();'
ktap_check "a kernel that hangs is stopped" vm 124 --timeout 20 --smp 1 -- insmod "$work/hang/hang.ko"
ktap_check "a kernel's log is kept where it was asked for" vm 0 --log "$work/kernel.log" -- true
ktap_check "that log has the start of the guest" grep -q "ksf: the guest is up" "$work/kernel.log"
ktap_check "with --icount the command runs" vm 0 --icount -- nproc
ktap_check "with --icount there is one CPU" line 1 1
ktap_check "with --icount there can be two" vm 0 --icount --smp 2 -- bash -c "$two_cpus"
ktap_check "with --icount nproc is 2 then" line 1 2
ktap_check "with --icount the clock counts the instructions of both" line 2 "twice"
ktap_check "a module that does not exist is a failure" vm 125 --modules "nosuch" -- true
ktap_check "the module that does not exist is named" grep -q "could not be loaded: nosuch" "$said"
ktap_check "a machine that cannot start says so, and does not wait" vm 125 --memory 999999G -- true
ktap_check "an unknown option is refused" vm 1 --nosuch 1 -- true
ktap_check "a shell without a terminal is refused" vm 1 --smp 1
ktap_end
