// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a stream of which more and more is there: the records are found where a parser finds them.

#![no_main]

#[path = "../../../rust/wire/tests/oracle/finder.rs"]
mod finder;
#[path = "../../../rust/wire/tests/oracle/records.rs"]
mod records;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The first bytes say where the others are cut.
    let (cuts, stream) = bytes.split_at(bytes.len().min(8));
    let cuts: Vec<_> = cuts.iter().copied().map(usize::from).collect();
    assert_eq!(records::parse(stream, &[]), records::expected(stream));
    finder::check(stream, &cuts);
});
