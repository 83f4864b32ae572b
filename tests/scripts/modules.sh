#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What the build makes of the modules beyond the code: interface hashes, signatures, installation, editor support.

top=$(cd "$(dirname "$0")/../.." && pwd -P)
. "$top/tests/ktap.sh"
cd "$top" || exit
mkdir -p build
work=$(mktemp -d "$top/build/test.XXXXXX") || exit
trap 'rm -rf "$work"' EXIT
kernel=$(scripts/kernel)
release=$(cat "$kernel/release")
modules=$top/build/$release

# A ksf.ko with another interface, and a kecho.ko that was built against the old one.
stale_service() {
	mkdir "$work/changed"
	git ls-files -z Kbuild rust | xargs -0 cp --parents -t "$work/changed" &&
		sed -i 's/pub const REPLY_BYTES: usize = 64/pub const REPLY_BYTES: usize = 32/' "$work/changed/rust/ksf/stream.rs" &&
		scripts/enter make -s -C "$kernel/build" M="$work/changed" modules &&
		scripts/vm -- sh -c '
			insmod "$1/ksf.ko" || exit 2
			insmod "$2/kecho.ko" && exit 3
			dmesg | grep -F "kecho: Unknown symbol" || exit 4
			insmod "$1/kecho.ko"' sh "$work/changed" "$modules"
}

# With the machine in the place of the build root: the build root, seen from inside, is such a machine.
native() {
	scripts/enter env NATIVE=1 KERNEL="${release%.*}" make modules &&
		[ "$(scripts/enter env NATIVE=1 KERNEL="${release%.*}" scripts/vm -- uname -r)" = "$release" ]
}

make_key() {
	scripts/enter openssl req -new -x509 -newkey rsa:2048 -nodes -days 1 -subj "/CN=ksf test/" -outform DER \
		-keyout "$work/key.priv" -out "$work/key.der"
}

signer() {
	scripts/enter modinfo -F signer "$modules/$1.ko"
}

# The key may lie anywhere; the products are unsigned again afterwards.
sign() {
	local keys status=0
	keys=$(mktemp -d)
	mv "$work"/key.* "$keys"
	make modules_sign KEY="$keys/key.priv" CERT="$keys/key.der" &&
		[ "$(signer ksf)" = "ksf test" ] && [ "$(signer kecho)" = "ksf test" ] || status=1
	rm -rf "$keys" "$modules"/*.ko
	make modules && [ -z "$(signer ksf)" ] && return "$status"
}

# What the README says that an unsigned module gets, from a kernel that insists on signatures.
unsigned_is_refused() {
	scripts/vm --append module.sig_enforce=1 -- sh -c '
		insmod "$KSF_MODULES/ksf.ko" 2>/tmp/said && exit 2
		cat /tmp/said
		grep -F "Key was rejected by service" /tmp/said || exit 3
		dmesg | grep -F "Loading of unsigned module is rejected"'
}

install() {
	make INSTALL_MOD_PATH="$work/install" modules_install &&
		compgen -G "$work/install/lib/modules/$release/updates/ksf.ko*" &&
		compgen -G "$work/install/lib/modules/$release/updates/kecho.ko*"
}

editor() {
	make rust-analyzer && scripts/enter python3 - <<'EOF'
import json
import os
with open("rust-project.json", encoding="utf-8") as file:
    crates = json.load(file)["crates"]
ours = {crate["display_name"]: crate for crate in crates if crate["is_workspace_member"]}
assert set(ours) == {"ksf", "wire", "kecho", "krpc", "kupper", "krecord"}, ours.keys()
for crate in crates:
    assert os.path.exists(crate["root_module"]), crate["root_module"]
assert "ksf" in [dependency["name"] for dependency in ours["kecho"]["deps"]]
EOF
}

ktap_begin
ktap_check "a service that was built against another ksf is refused" stale_service
ktap_check "a key can be made" make_key
ktap_check "make modules_sign signs the modules" sign
ktap_check "make modules_sign without a key says what it wants" says "KEY=" make modules_sign
ktap_check "make modules_sign with a key that is not there says so" says "cannot be read" make modules_sign KEY=/nosuch CERT=/nosuch
ktap_check "make modules_install does not touch this system" says "NATIVE=1" make modules_install
ktap_check "an unsigned module is refused where signatures are enforced, as the README says" unsigned_is_refused
ktap_check "with NATIVE=1 the modules can be built and the stock kernel booted" native
ktap_check "the modules can be installed" install
ktap_check "rust-analyzer is told of all crates" editor
ktap_end
