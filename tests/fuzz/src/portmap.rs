// SPDX-License-Identifier: GPL-2.0

//! Any bytes as arguments and results of rpcbind and as addresses: nothing panics, and what is read is written again.

#![no_main]

#[path = "../../../rust/wire/tests/oracle/portmap.rs"]
mod portmap;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portmap::check(bytes));
