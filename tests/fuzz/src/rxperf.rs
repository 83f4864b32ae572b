// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a request of rxperf, cut at any places: it is always the same request.

#![no_main]

#[path = "../../../rust/wire/tests/oracle/rxperf.rs"]
mod rxperf;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The first bytes say where the others are cut.
    let (cuts, request) = bytes.split_at(bytes.len().min(8));
    let cuts: Vec<_> = cuts.iter().copied().map(usize::from).collect();
    rxperf::check(request, &cuts);
    // Not of a long one, for speed.
    let everywhere: Vec<_> = (0..request.len().min(200)).collect();
    rxperf::check(request, &everywhere);
});
