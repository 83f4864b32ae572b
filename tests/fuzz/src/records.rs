// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a stream of records, cut at any places: the records are always the same. So are those that we send.

#![no_main]

#[path = "../../../rust/wire/tests/oracle/fragments.rs"]
mod fragments;
#[path = "../../../rust/wire/tests/oracle/records.rs"]
mod records;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The first bytes say where the others are cut.
    let (cuts, stream) = bytes.split_at(bytes.len().min(8));
    let cuts: Vec<_> = cuts.iter().copied().map(usize::from).collect();
    let expected = records::expected(stream);
    assert_eq!(records::parse(stream, &cuts), expected);
    // Not of a long one, for speed.
    let everywhere: Vec<_> = (0..stream.len().min(200)).collect();
    assert_eq!(records::parse(stream, &everywhere), expected);
    if let Err(error) = expected.end {
        assert!(error.to_string().starts_with("a record of "));
    }
    // A low first byte says how many fragments they are sent in as one record.
    if let Some(count @ 1..=16) = cuts.first().map(|first| *first as u32) {
        let sent = fragments::sent(stream, count);
        let expected = records::expected(&sent);
        let wire::record::Limits { bytes, fragments } = records::LIMITS;
        let is_whole = stream.len() <= bytes as usize && count <= fragments;
        let record: &[&[u8]] = if is_whole { &[stream] } else { &[] };
        assert_eq!(expected.records, record);
        assert_eq!(records::parse(&sent, &cuts), expected);
    }
});
