// SPDX-License-Identifier: GPL-2.0

//! What it costs to record a latency: prints the nanoseconds of each of many, without those of a loop that does everything
//! but that. Where the clock counts instructions (scripts/vm --icount), they are that.

use loadgen::{clock, recorder::record_latencies};

const LATENCIES: u64 = 1_000_000;

fn main() {
    let time = |is_recorded| {
        let start = clock::now();
        record_latencies(LATENCIES, is_recorded);
        clock::now() - start
    };
    // The first time, memory is touched that stays.
    let _ = time(true);
    let (with, without) = (time(true), time(false));
    println!(
        "{:.1}",
        with.saturating_sub(without) as f64 / LATENCIES as f64
    );
}
