// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a stream of records, cut at any places: the records are always the same.

#![no_main]

#[path = "../../../rust/wire/tests/oracle/records.rs"]
mod records;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The first bytes say where the others are cut.
    let (cuts, stream) = bytes.split_at(bytes.len().min(8));
    let cuts: Vec<_> = cuts.iter().copied().map(usize::from).collect();
    let expected = records::expected(stream);
    assert_eq!(records::parse(stream, &cuts), expected);
    let everywhere: Vec<_> = (0..stream.len()).collect();
    assert_eq!(records::parse(stream, &everywhere), expected);
});
