// SPDX-License-Identifier: GPL-2.0

//! The table: a row per run, to be read at a glance.
//!
//! Every figure that cannot be told is `n/a`: a percentile of too few round trips, a rate if the clients were never all
//! active at once.

use std::{fmt::Write, time::Duration};

use crate::{histogram::Percentile, RunResult};

/// The percentiles that are shown, and their names.
const PERCENTILES: [(&str, Percentile); 4] = [
    ("p50", Percentile(5_000)),
    ("p90", Percentile(9_000)),
    ("p99", Percentile(9_900)),
    ("p99.9", Percentile(9_990)),
];

/// Returns the two lines above the rows, without the last line's end; `requests` is what requests are called.
pub fn header(requests: &str) -> String {
    let mut header = format!(
        "{:>50}{:>54}\n{:>4} {:>10} {:>9} {:>10} {:>10}   ",
        "",
        "round trip, us",
        "run",
        requests,
        "seconds",
        format!("{requests}/s"),
        "Mbit/s",
    );
    let names = PERCENTILES.iter().map(|&(name, _)| name);
    for name in ["min"].into_iter().chain(names).chain(["max"]) {
        push(&mut header, 8, name);
    }
    header
}

/// Returns the row of `result`, without the line's end.
///
/// The columns are: `label`; the messages that were answered; the seconds from the first start to the last end; the
/// messages per second and, `message_bytes` each, the Mbit/s in each direction, both while all threads were active; the
/// response latencies' minimum, percentiles and maximum in microseconds.
pub fn row(label: &str, result: &RunResult, message_bytes: usize) -> String {
    let rate = result.window.rate();
    let mbits = rate.map(|rate| rate * message_bytes as f64 * 8e-6);
    let mut row = format!(
        "{label:>4} {:>10} {:>9.3} {:>10} {:>10}   ",
        result.ledger.answered,
        result.elapsed_ns as f64 * 1e-9,
        rate.map_or_else(not_available, |rate| format!("{rate:.0}")),
        mbits.map_or_else(not_available, |mbits| format!("{mbits:.1}")),
    );
    let histogram = &result.response;
    let percentiles = PERCENTILES
        .iter()
        .map(|&(_, percentile)| histogram.percentile(percentile));
    for round_trip in [histogram.min()]
        .into_iter()
        .chain(percentiles)
        .chain([histogram.max()])
    {
        push(
            &mut row,
            8,
            &round_trip.map_or_else(not_available, microseconds),
        );
    }
    row
}

fn push(line: &mut String, width: usize, cell: &str) {
    // Writing to a string never fails.
    let _ = write!(line, " {cell:>width$}");
}

fn microseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}

fn not_available() -> String {
    "n/a".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Window;

    fn result(round_trips: u64) -> RunResult {
        let mut result = RunResult {
            elapsed_ns: 2_500_000_000,
            window: Window {
                length_ns: 500_000_000,
                answered: 1_000,
            },
            ..RunResult::default()
        };
        (1..=round_trips).for_each(|us| result.response.record(us * 1_000));
        result.ledger.answered = round_trips;
        result
    }

    fn cells(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    #[test]
    fn a_row_has_a_cell_under_each_name() {
        let header = header("messages");
        let names = header.lines().last().unwrap();
        let row = row("1", &result(4_000), 1_000);
        assert_eq!(row.len(), names.len());
        let expected = [
            ("run", "1"),
            ("messages", "4000"),
            ("seconds", "2.500"),
            ("messages/s", "2000"),
            ("Mbit/s", "16.0"),
            ("min", "1.0"),
            ("p50", "2000.9"),
            ("p90", "3600.4"),
            ("p99", "3960.8"),
            ("p99.9", "3997.7"),
            ("max", "4000.0"),
        ];
        let table: Vec<_> = cells(names).into_iter().zip(cells(&row)).collect();
        assert_eq!(table, expected);
    }

    #[test]
    fn what_cannot_be_told_is_not_available() {
        let mut few = result(40);
        few.window = Window::default();
        let row = row("all", &few, 32);
        let expected = [
            "all", "40", "2.500", "n/a", "n/a", "1.0", "20.0", "36.0", "n/a", "n/a", "40.0",
        ];
        assert_eq!(cells(&row), expected);
    }

    #[test]
    fn a_run_without_replies_has_no_round_trips() {
        let row = row("1", &RunResult::default(), 32);
        assert_eq!(
            cells(&row),
            [["1", "0", "0.000"].as_slice(), &["n/a"; 8]].concat()
        );
    }
}
