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

# The checkout itself may lie where nobody may look.
as_nobody() {
	mkdir -p "$work/copy"
	cp -r scripts "$work/copy/"
	(cd "$work/copy" && setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$work" KSF_CACHE="$work/nobody" "$@")
}

offline() { # CACHE COMMAND...
	unshare --net env KSF_CACHE="$1" DEBIAN_MIRROR=http://192.0.2.1/debian "${@:2}"
}

on_a_full_disk() {
	mkdir -p "$work/small"
	# shellcheck disable=SC2016
	unshare --mount sh -c 'mount -t tmpfs -o size=50m tmpfs "$1" && KSF_CACHE=$1 exec scripts/build-root' sh "$work/small"
}

# What a killed run left must be neither trusted nor kept.
interrupted() {
	local cache=$work/interrupted root
	root=$cache/$(basename "$(scripts/build-root)")
	mkdir -p "$root.partial/etc" "$root/etc"
	touch "$root.partial/.complete"
	says "a package registry cannot be reached" offline "$cache" scripts/build-root && nothing_in "$cache"
}

# A mmdebstrap that has begun its root, and does not get any further.
stuck_mmdebstrap() { # CACHE
	mkdir -p "$work/bin" "$1"
	cat >"$work/bin/mmdebstrap" <<'EOF'
#!/bin/sh
for argument; do
	case $argument in *.partial) mkdir -p "$argument/etc" ;; esac
done
echo $$ >"$KSF_CACHE/mmdebstrap.pid"
exec sleep 1000
EOF
	chmod +x "$work/bin/mmdebstrap"
}

# Killed in any way, a run leaves nothing that the next one would trust, or wait for without end.
killed() { # SIGNAL
	local cache=$work/killed-$1 pid
	stuck_mmdebstrap "$cache"
	PATH=$work/bin:$PATH KSF_CACHE=$cache DEBIAN_MIRROR=http://192.0.2.1/debian scripts/build-root &
	pid=$!
	until [ -s "$cache/mmdebstrap.pid" ]; do
		kill -0 "$pid" || return
		sleep 0.1
	done
	kill "-$1" "$pid"
	! wait "$pid" || return
	# Nothing but SIGKILL leaves it running.
	[ "$1" != KILL ] || kill "$(cat "$cache/mmdebstrap.pid")"
	timeout 10 flock "$cache/build-root.lock" true || return
	says "a package registry cannot be reached" offline "$cache" scripts/build-root && nothing_in "$cache"
}

# A metadata directory that is not whole is built anew; here that needs the network, and so fails.
unfinished_kernel() {
	local cache=$work/kernel
	mkdir -p "$cache/kernel/7.2.99+deb13-amd64/build"
	ln -s "$(scripts/build-root)" "$cache/"
	echo "7.2.99 7.2.99-1" >"$cache/kernel/7.2.chosen"
	says "downloading" offline "$cache" env KERNEL=7.2 scripts/kernel ||
		says "reading the archive's package lists" offline "$cache" env KERNEL=7.2 scripts/kernel
}

no_kernel_at_all() {
	local cache=$work/none
	mkdir -p "$cache"
	ln -s "$(scripts/build-root)" "$cache/"
	says "supported are" offline "$cache" env KERNEL=7.3 scripts/kernel
}

# What the archive has dropped comes from the cache. An archive is a directory of package lists for apt.
empty_archive() { # CACHE
	local suite directory
	for suite in trixie trixie-updates trixie-backports; do
		directory=$1/archive/dists/$suite
		mkdir -p "$directory/main/binary-amd64"
		: >"$directory/main/binary-amd64/Packages"
		printf 'Origin: test\nSuite: %s\nCodename: %s\nComponents: main\nArchitectures: amd64\nSHA256:\n %s 0 main/binary-amd64/Packages\n' \
			"$suite" "$suite" "$(sha256sum </dev/null | cut -d ' ' -f 1)" >"$directory/Release"
	done
	ln -sfn "$(scripts/build-root)" "$1/$(basename "$(scripts/build-root)")"
}

with_empty_archive() { # CACHE COMMAND...
	env KSF_CACHE="$1" DEBIAN_MIRROR="[trusted=yes] file://$1/archive" "${@:2}"
}

dropped_by_the_archive() {
	local cache=$work/dropped name
	empty_archive "$cache"
	says "supported are" with_empty_archive "$cache" env KERNEL=7.2 scripts/kernel || return
	mkdir -p "$cache/packages"
	for name in linux-{headers,base,modules,binary}-7.2.5+deb13-amd64 linux-source-7.2; do
		: >"$cache/packages/${name}_7.2.5-1_amd64.deb"
	done
	[ "$(with_empty_archive "$cache" env KERNEL=7.2 scripts/kernel --which)" = 7.2.5 ]
}

ktap_begin
ktap_check "without root" says "needs root" as_nobody scripts/build-root
ktap_check "without root, make run" says "needs root" as_nobody scripts/run
ktap_check "without the network" says "cannot be reached" offline "$work/offline" scripts/build-root
ktap_check "without the network, nothing is left" nothing_in "$work/offline"
ktap_check "without apt and mmdebstrap" says "install mmdebstrap" env PATH="$(path_without apt-get mmdebstrap)" KSF_CACHE="$work/noapt" scripts/build-root
ktap_check "without apt and a mirror" says "set DEBIAN_MIRROR" env PATH="$(path_without apt-get)" KSF_CACHE="$work/noapt" scripts/build-root
ktap_check "on a full disk" says "needs 8 GiB free" on_a_full_disk
ktap_check "after an interrupted run" interrupted
for signal in TERM KILL; do
	ktap_check "after a run that got SIG$signal" killed "$signal"
done
ktap_check "with a cache inside of the checkout" says "inside the checkout" env KSF_CACHE="$top/build/cache" scripts/build-root
ktap_check "with a cache that cannot be made" says "set KSF_CACHE" env KSF_CACHE=/proc/nosuch scripts/build-root
ktap_check "with a kernel that is not supported" says "supported are" env KERNEL=6.12 scripts/kernel
ktap_check "with a kernel that is nowhere" no_kernel_at_all
ktap_check "with a kernel that only the cache has" dropped_by_the_archive
ktap_check "with a kernel that was not finished" unfinished_kernel
ktap_check "with a KDIR that is no kernel" says "is not a prepared kernel" make KDIR="$work" modules
mkdir -p "$work/headers/include/config"
echo 6.12.1 >"$work/headers/include/config/kernel.release"
ktap_check "with a KDIR that has no Rust metadata" says "has no Rust metadata" make KDIR="$work/headers" modules
ktap_check "make help names the targets" test "$(make help | grep -c "make modules_sign")" = 1
ktap_end
