// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a call and as a reply: nothing panics, what is read is written again, and `onc-rpc` agrees.

#![no_main]

#[path = "../../../rust/wire/tests/oracle/messages.rs"]
mod messages;
#[path = "../../../rust/wire/tests/oracle/onc_rpc.rs"]
mod onc;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    messages::check(bytes);
    onc::check(bytes);
});
