#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What the scripts say and leave when the machine is not as it should be. No case needs the network.

top=$(cd "$(dirname "$0")/../.." && pwd -P)
. "$top/tests/ktap.sh"
cd "$top" || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
install -d -o 65534 "$work/nobody"

# says TEXT COMMAND...: the command fails, and the last line that it prints has TEXT.
says() {
	local text=$1 output
	shift
	if output=$("$@" 2>&1 </dev/null); then
		echo "succeeded, and said: $output"
		return 1
	fi
	grep -qF -- "$text" <(tail -n 1 <<<"$output") || {
		echo "said: $output"
		return 1
	}
}

nothing_in() { # CACHE
	[ -z "$(find "$1" -maxdepth 1 -name 'root-*' ! -name '*.lock')" ]
}

# A path without the named commands.
path_without() {
	local directory=$work/path command name
	rm -rf "$directory"
	mkdir "$directory"
	for command in /usr/bin/* /bin/* /usr/sbin/* /sbin/*; do
		name=${command##*/}
		case " $* " in *" $name "*) ;; *) ln -sf "$command" "$directory/$name" ;; esac
	done
	echo "$directory"
}

as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$work" KSF_CACHE="$work/nobody" "$@"
}

without_network() {
	unshare --net env KSF_CACHE="$work/offline" "$@"
}

on_a_full_disk() {
	mkdir -p "$work/small"
	# shellcheck disable=SC2016
	unshare --mount sh -c 'mount -t tmpfs -o size=50m tmpfs "$1" && KSF_CACHE=$1 exec scripts/build-root' sh "$work/small"
}

# What a killed run left must be neither trusted nor kept.
interrupted() {
	local cache=$work/interrupted root
	root=$cache/root-$(basename "$(scripts/build-root)" | sed 's/^root-//')
	mkdir -p "$root.partial/etc"
	says "a package registry cannot be reached" unshare --net env KSF_CACHE="$cache" DEBIAN_MIRROR=http://192.0.2.1/debian scripts/build-root &&
		nothing_in "$cache"
}

killed() {
	local cache=$work/killed pid
	KSF_CACHE=$cache DEBIAN_MIRROR=http://192.0.2.1/debian unshare --net scripts/build-root >/dev/null 2>&1 &
	pid=$!
	until [ -e "$cache/apt.conf" ]; do
		kill -0 "$pid" || return 0
	done
	kill -TERM "$pid"
	! wait "$pid" && nothing_in "$cache"
}

# A metadata directory that is not whole is built anew; here that needs the network, and so fails.
unfinished_kernel() {
	local cache=$work/kernel
	mkdir -p "$cache/kernel/7.2.99+deb13-amd64/build"
	ln -s "$(scripts/build-root)" "$cache/"
	echo "7.2.99 7.2.99-1" >"$cache/kernel/7.2.chosen"
	says "downloading" unshare --net env KSF_CACHE="$cache" DEBIAN_MIRROR=http://192.0.2.1/debian KERNEL=7.2 scripts/kernel ||
		says "reading the archive's package lists" unshare --net env KSF_CACHE="$cache" DEBIAN_MIRROR=http://192.0.2.1/debian KERNEL=7.2 scripts/kernel
}

no_kernel_at_all() {
	local cache=$work/none
	mkdir -p "$cache"
	ln -s "$(scripts/build-root)" "$cache/"
	says "supported are" unshare --net env KSF_CACHE="$cache" DEBIAN_MIRROR=http://192.0.2.1/debian KERNEL=7.3 scripts/kernel
}

ktap_begin
ktap_check "without root" says "needs root" as_nobody scripts/build-root
ktap_check "without root, make run" says "needs root" as_nobody scripts/run
ktap_check "without the network" says "cannot be reached" without_network scripts/build-root
ktap_check "without the network, nothing is left" nothing_in "$work/offline"
ktap_check "without apt and mmdebstrap" says "install mmdebstrap" env PATH="$(path_without apt-get mmdebstrap)" KSF_CACHE="$work/noapt" scripts/build-root
ktap_check "without apt and a mirror" says "set DEBIAN_MIRROR" env PATH="$(path_without apt-get)" KSF_CACHE="$work/noapt" scripts/build-root
ktap_check "on a full disk" says "needs 8 GiB free" on_a_full_disk
ktap_check "after an interrupted run" interrupted
ktap_check "when it is killed" killed
ktap_check "with a cache inside of the checkout" says "inside the checkout" env KSF_CACHE="$top/build/cache" scripts/build-root
ktap_check "with a cache that cannot be made" says "set KSF_CACHE" env KSF_CACHE=/proc/nosuch scripts/build-root
ktap_check "with a kernel that is not supported" says "supported are" env KERNEL=6.12 scripts/kernel
ktap_check "with a kernel that is nowhere" no_kernel_at_all
ktap_check "with a kernel that was not finished" unfinished_kernel
ktap_check "with a KDIR that is no kernel" says "is not a prepared kernel" make KDIR="$work" modules
ktap_end
