# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by tests that are shell scripts: their results in KTAP.

ktap_begin() {
	ktap_number=0 ktap_failures=0
	echo "KTAP version 1"
}

# ktap_check NAME COMMAND...: one test, which passes if the command does. What it prints is shown if it fails.
ktap_check() {
	local name=$1 output status=0
	shift
	ktap_number=$((ktap_number + 1))
	output=$("$@" 2>&1) || status=$?
	if [ "$status" = 0 ]; then
		echo "ok $ktap_number $name"
	else
		# shellcheck disable=SC2001
		[ -z "$output" ] || sed 's/^/# /' <<<"$output"
		echo "not ok $ktap_number $name"
		ktap_failures=$((ktap_failures + 1))
	fi
}

# says TEXT COMMAND...: the command fails, and the last lines that it prints have TEXT.
says() {
	local text=$1 output
	shift
	if output=$("$@" 2>&1 </dev/null); then
		echo "succeeded, and said: $output"
		return 1
	fi
	grep -qF -- "$text" <(tail -n 3 <<<"$output") || {
		echo "said: $output"
		return 1
	}
}

ktap_end() {
	echo "1..$ktap_number"
	[ "$ktap_failures" = 0 ]
}
