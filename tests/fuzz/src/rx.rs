// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a datagram of Rx, also as a jumbogram, and as what a server says of itself: nothing panics, and what is read
//! is what is there.

#![no_main]

#[path = "../../../rust/wire/tests/oracle/rx.rs"]
mod rx;
#[path = "../../../rust/wire/tests/oracle/rxdebug.rs"]
mod rxdebug;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, datagram)) = bytes.split_first() else {
        return;
    };
    if *kind > 3 {
        rxdebug::check(datagram);
        return;
    }
    // So many packets of a jumbogram are filled up: inputs are shorter than those.
    let (header, mut rest) = datagram.split_at(datagram.len().min(28));
    let mut filled = header.to_vec();
    for _ in 0..*kind {
        let (secondary, others) = rest.split_at(rest.len().min(4));
        filled.extend_from_slice(&[7; 1412]);
        filled.extend_from_slice(secondary);
        rest = others;
    }
    filled.extend_from_slice(rest);
    rx::check(&filled);
});
