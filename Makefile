# SPDX-License-Identifier: GPL-2.0
# The front door. "make help" says what there is.
#
# Two ways lead through here. Without KDIR, the build environment and the stock kernel are prepared first (or come from
# the cache), and the same target runs again inside, with KDIR. With KDIR, the modules are built right here.

MAKEFLAGS += --no-print-directory
.SUFFIXES:
.DEFAULT_GOAL := modules

root := $(CURDIR)
targets_of_kbuild := modules modules_install modules_sign rust-analyzer lint-modules
export KERNEL NATIVE KDIR V KSF_UNCOUNTED

ifeq ($(KDIR),)

.PHONY: $(targets_of_kbuild)
$(targets_of_kbuild):
	@scripts/make-in-root $@ KEY="$(KEY)" CERT="$(CERT)"

else

release := $(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null)
ifeq ($(release),)
$(error KDIR=$(KDIR) is not a prepared kernel: it has no include/config/kernel.release)
endif
ifeq ($(wildcard $(KDIR)/rust/libkernel.rmeta),)
$(error KDIR=$(KDIR) has no Rust metadata (rust/libkernel.rmeta). Debian's headers do not have it: without KDIR it is built)
endif
ifneq ($(shell grep -x CONFIG_MODVERSIONS=y $(KDIR)/include/config/auto.conf),)
$(error KDIR=$(KDIR) has CONFIG_MODVERSIONS=y, for which the Rust symbols that ksf.ko exports have no versions)
endif
output := $(root)/build/$(release)
# As many jobs as processors, unless the caller has said how many.
jobs = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
kbuild = $(MAKE) -C $(KDIR) M=$(root) $(jobs)

.PHONY: $(targets_of_kbuild)
modules:
	@mkdir -p $(output)
	+@$(kbuild) MO=$(output) modules

modules_install: modules
	+@$(kbuild) MO=$(output) modules_install

modules_sign: modules
	@[ -n "$(KEY)" ] && [ -n "$(CERT)" ] || { echo "ksf: say what to sign with: make modules_sign KEY=file.priv CERT=file.der" >&2; exit 1; }
	@for module in $(output)/*.ko; do \
		$(KDIR)/scripts/sign-file sha256 "$(KEY)" "$(CERT)" $$module || exit 1; \
		echo "  SIGN    $$module"; \
	done

rust-analyzer: modules
	+@$(kbuild) MO=$(output) rust-analyzer
	@scripts/rust-project $(output)/rust-project.json $(output) > rust-project.json
	@echo "  GEN     rust-project.json"

lint-modules:
	@mkdir -p $(output)/lint
	+@$(kbuild) MO=$(output)/lint CLIPPY=1 W=e modules

endif

.PHONY: help run test bench-echo bench-rpc bench-client userspace man fmt lint kernel-update clean distclean

help:
	@echo 'First steps'
	@echo '  make run             build everything, boot a stock kernel in a virtual machine, and measure an echo'
	@echo '  make test            formatting, lints, and all tests, in user space, in KUnit and in the virtual machine'
	@echo ''
	@echo 'Building'
	@echo '  make modules         the kernel modules (the default), into build/RELEASE/'
	@echo '  make userspace       echotest, rpctest, rxtest, ksfstat, the twins and peers, into build/cargo/release/'
	@echo '  make man             the manual pages of the load generators, into docs/man/, after their options changed'
	@echo '  make modules_install install the modules for depmod (INSTALL_MOD_PATH=DIR, or NATIVE=1)'
	@echo '  make modules_sign    sign the modules (KEY=FILE CERT=FILE), for Secure Boot'
	@echo '  make rust-analyzer   rust-project.json for editors'
	@echo '  make kernel-update   look for a newer release of the kernel series'
	@echo '  make clean           remove build/'
	@echo '  make distclean       remove build/ and the cache'
	@echo ''
	@echo 'Checking'
	@echo '  make fmt             format the Rust code'
	@echo '  make lint            rustfmt, clippy, shellcheck, and the rules about unsafe'
	@echo '  make bench-echo      count the instructions of an echo, against user space and a bare loop'
	@echo '  make bench-rpc       count the instructions of an RPC call, against knfsd and user space'
	@echo '  make bench-client    count the instructions of the load generators, against a minimal client in C'
	@echo ''
	@echo 'Variables'
	@echo '  KERNEL=7.2|7.3       the series of Debian backports kernels (default: see README.md)'
	@echo '  KDIR=DIR             build against this prepared kernel instead, with this machine'\''s compilers'
	@echo '  NATIVE=1             this machine is a Debian 13: use its own packages instead of a build root'
	@echo '  KSF_CACHE=DIR        where the build root and kernels are kept (default: ~/.cache/ksf)'
	@echo '  DEBIAN_MIRROR=URL    where packages come from, on a host that is not Debian'

run:
	@scripts/run

test:
	@scripts/test

bench-echo:
	@scripts/bench echo

bench-rpc:
	@scripts/bench rpc

bench-client:
	@scripts/bench client

userspace:
	@scripts/make-userspace

man:
	@scripts/make-man

fmt:
	@scripts/lint --fix-format

lint:
	@scripts/lint

kernel-update:
	@scripts/kernel --update

clean:
	rm -rf build rust-project.json

distclean: clean
	@scripts/clean-cache
