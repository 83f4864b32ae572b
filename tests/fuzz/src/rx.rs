// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a datagram of Rx, also as a jumbogram: nothing panics, and what is read is what is there.

#![no_main]

#[path = "../../../rust/wire/tests/oracle/rx.rs"]
mod rx;
#[path = "../../../rust/wire/tests/oracle/rxdebug.rs"]
mod rxdebug;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The first byte says how many packets of a jumbogram are filled up: inputs are shorter than those.
    let Some((count, datagram)) = bytes.split_first() else {
        return;
    };
    let (header, mut rest) = datagram.split_at(datagram.len().min(28));
    let mut filled = header.to_vec();
    for _ in 0..count % 4 {
        let (secondary, others) = rest.split_at(rest.len().min(4));
        filled.extend_from_slice(&[7; 1412]);
        filled.extend_from_slice(secondary);
        rest = others;
    }
    filled.extend_from_slice(rest);
    rx::check(&filled);
    rxdebug::check(datagram);
});
