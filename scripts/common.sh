# SPDX-License-Identifier: GPL-2.0
# Sourced by the other scripts: messages, the cache, and running commands in the build environment.

set -euo pipefail

KSF_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
KSF_CACHE=${KSF_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ksf}
KSF_CACHE=$(realpath -m "$KSF_CACHE")
NATIVE=${NATIVE:-}
SUPPORTED_SERIES=(7.2 7.3)
export KSF_TOP KSF_CACHE NATIVE

die() {
	echo "ksf: $*" >&2
	exit 1
}

say() {
	echo "ksf: $*" >&2
}

need_root() {
	[ "$(id -u)" = 0 ] || die "$1 needs root (mounts, chroot): run it with sudo"
}

# The cache holds gigabytes of other people's code: keep it out of what git, grep and editors see.
case "$KSF_CACHE/" in
"$KSF_TOP"/*) die "the cache $KSF_CACHE lies inside the checkout: set KSF_CACHE to a directory outside it" ;;
esac
mkdir -p "$KSF_CACHE/log" 2>/dev/null ||
	die "cannot create the cache $KSF_CACHE: set KSF_CACHE to a directory that can be written"

# need_space GIB WHAT
need_space() {
	local free
	free=$(df --output=avail -k "$KSF_CACHE" | tail -n 1)
	[ "$free" -ge $(($1 * 1024 * 1024)) ] ||
		die "$2 needs $1 GiB free in $KSF_CACHE, and $((free / 1024 / 1024)) GiB are: free some, or set KSF_CACHE"
}

# lock NAME: waits for, then holds until this process ends, an exclusive lock.
lock() {
	# Whoever this process starts holds the lock too: what a killed run left running is waited for.
	exec {lock_fd}>"$KSF_CACHE/$1.lock"
	flock -n "$lock_fd" || {
		say "waiting for another run that holds $KSF_CACHE/$1.lock"
		flock "$lock_fd"
	}
}

unlock() {
	# Whoever this process starts holds the lock too: what a killed run left running is waited for.
	exec {lock_fd}>&-
}

# One line that says what to do, for the failures that are not this project's.
explain_log() {
	if grep -qi 'no space left on device' "$1"; then
		echo "the disk is full: free some space, or set KSF_CACHE to a larger one"
	elif grep -qiE 'could not resolve|temporary failure resolving|name resolution|network is unreachable|could not connect|connection (timed out|refused|failed)' "$1"; then
		echo "a package registry cannot be reached: check the network, the proxy settings, and DEBIAN_MIRROR"
	elif grep -qiE 'certificate (verif|is not trusted|has expired)|self.signed certificate|SSL certificate' "$1"; then
		echo "a registry's certificate is not trusted: add your authority to the host's CA certificates"
	elif grep -qiE 'NO_PUBKEY|is not signed' "$1"; then
		echo "the archive's signature cannot be checked: install a newer debian-archive-keyring"
	else
		echo "the log's end is above"
	fi
}

# kill_tree PROCESS: ends a process and all that it started.
kill_tree() {
	local child
	for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
		kill_tree "$child"
	done
	kill -TERM "$1" 2>/dev/null || true
}

running=
trap '[ -z "$running" ] || kill_tree "$running"; exit 130' INT TERM HUP

# step TITLE COMMAND...: runs COMMAND with its output in a log, says what it is doing while it runs and how long it took.
step() {
	local title=$1 log started result status=
	shift
	log=$KSF_CACHE/log/$(echo "$title" | tr -cs 'A-Za-z0-9.\n' - | sed 's/-*$//').$$.log
	started=$SECONDS
	say "$title ..."
	exec {result}< <(
		set +e
		(
			set -e
			"$@"
		) >"$log" 2>&1 </dev/null
		echo $?
	)
	running=$!
	# Says something every 15 s until there is a status, or the end of a command that was killed.
	until read -r -t 15 -u "$result" status; do
		[ $? -gt 128 ] || {
			status=killed
			break
		}
		say "  $((SECONDS - started)) s: $(tail -n 1 "$log" | tr -d '\r' | cut -c 1-100)"
	done
	exec {result}<&-
	running=
	if [ "$status" != 0 ]; then
		tail -n 25 "$log" >&2
		die "$title: failed (status $status; log: $log): $(explain_log "$log")"
	fi
	say "$title: done in $((SECONDS - started)) s"
	[ -z "${KSF_TIMES:-}" ] || printf '%5d s  %s\n' $((SECONDS - started)) "$title" >>"$KSF_TIMES"
	rm -f "$log"
}

# discard PATH...: removes trees of the cache so that, wherever it is interrupted, no half of one keeps its name.
discard() {
	local path
	for path; do
		[ -e "$path" ] || continue
		# What is mounted there is somebody else's.
		! grep -qF " $path/" /proc/self/mountinfo || die "something is mounted below $path: unmount it first"
		case $path in
		*.deleting) ;;
		*)
			rm -rf --one-file-system "$path.deleting"
			mv -T "$path" "$path.deleting"
			path=$path.deleting
			;;
		esac
		rm -rf --one-file-system "$path"
	done
}

# The packages of scripts/build-root.packages, one a line.
wanted_packages() {
	sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$KSF_TOP/scripts/build-root.packages"
}

# build_root: makes sure that there is a build environment, and prints where its root is.
build_root() {
	local missing
	if [ -z "$NATIVE" ]; then
		"$KSF_TOP/scripts/build-root"
		return
	fi
	command -v dpkg-query >/dev/null || die "NATIVE=1 is for Debian 13 machines: this one has no dpkg"
	missing=$(comm -23 <(wanted_packages | sort) \
		<(dpkg-query --show --showformat '${binary:Package} ${db:Status-Status}\n' | sed -nE 's/(:amd64)? installed$//p' | sort))
	[ -z "$missing" ] || die "NATIVE=1 needs packages that are not installed: apt-get install $(paste -sd ' ' <<<"$missing")"
	echo /
}

# in_root COMMAND...: runs COMMAND in the build root, or on this very machine with NATIVE=1.
in_root() {
	if [ -n "$NATIVE" ]; then
		"$@"
	else
		"$KSF_TOP/scripts/enter" "$@"
	fi
}
