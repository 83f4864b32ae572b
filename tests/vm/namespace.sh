#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The service is in the network namespace of the process that loads it, and in no other.
#
#     ns ksf-test                          initial namespace
#     lo: kecho on port 60007              lo: nothing on port 60007
#     ksf-inside ------------------------- ksf-outside, to see by it whether the namespace still exists

. "$(dirname "$0")/common"

inside() {
	ip netns exec ksf-test "$@"
}

set_up() {
	ip netns add ksf-test && inside ip link set lo up &&
		ip link add ksf-outside type veth peer name ksf-inside netns ksf-test
}

load_inside() {
	insmod "$KSF_MODULES/ksf.ko" && inside insmod "$KSF_MODULES/kecho.ko"
}

# The service keeps its namespace until it is unloaded; then the namespace goes, and its end of the cable with ours.
goes_with_the_service() {
	ip netns delete ksf-test && outside_end_exists && unload && until_true is_gone
}

outside_end_exists() {
	ip link show ksf-outside
}

is_gone() {
	! outside_end_exists
}

ktap_begin
ktap_check "a network namespace can be made" set_up
ktap_check "kecho can be loaded inside" load_inside
ktap_check "it answers inside" inside echotest --count 100 127.0.0.1
ktap_check "it answers inside over IPv6" inside echotest --count 100 ::1
ktap_check "it is not reached from outside" fails_with "refused" echotest --count 1 127.0.0.1
ktap_check "the namespace can be deleted, and the modules unloaded after it" goes_with_the_service
ktap_end
