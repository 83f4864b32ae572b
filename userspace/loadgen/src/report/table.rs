// SPDX-License-Identifier: GPL-2.0

//! The table: a row per run, to be read at a glance and to be printed as soon as the run is over.

use super::{
    number::{microseconds, NOT_AVAILABLE},
    summary, Subject,
};
use crate::{
    histogram::{Histogram, Percentile},
    RunResult,
};

/// The percentiles that are shown, and their names.
pub const PERCENTILES: [(&str, Percentile); 5] = [
    ("p50", Percentile(5_000)),
    ("p90", Percentile(9_000)),
    ("p99", Percentile(9_900)),
    ("p99.9", Percentile(9_990)),
    ("p99.99", Percentile(9_999)),
];

/// The columns of a latency.
const LATENCY: usize = 8;

/// A table of the runs of one campaign.
///
/// The columns are: the label; requests that were answered; seconds from the end of the warm-up to the end of the last
/// thread; replies per second, and Mbit/s in the direction that carries more, both while all threads were active; and the
/// minimum, percentiles and maximum of the latencies in microseconds. In open loop, these are the responses, and below them
/// are the services.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    subject: &'a Subject,
    label: &'static str,
    label_width: usize,
}

impl<'a> Table<'a> {
    /// A table whose rows are labelled with the numbers of runs.
    pub fn of_runs(subject: &'a Subject) -> Self {
        Self {
            subject,
            label: "run",
            label_width: 4,
        }
    }

    /// A table whose rows are labelled with the rates at which requests were to be sent.
    pub fn of_rates(subject: &'a Subject) -> Self {
        Self {
            subject,
            label: "asked/s",
            label_width: 10,
        }
    }

    /// A table whose rows are labelled with the letters of servers.
    pub fn of_servers(subject: &'a Subject) -> Self {
        Self {
            subject,
            label: "server",
            label_width: 6,
        }
    }

    /// The lines above the rows, without the last line's end.
    pub fn header(&self) -> String {
        let unit = if self.subject.load.is_open_loop() {
            "response: from when a request was intended to be sent, us"
        } else {
            "round trip, us"
        };
        let mut names = self.left(
            self.label,
            self.subject.requests,
            "seconds",
            &format!("{}/s", self.subject.requests),
            "Mbit/s",
        );
        let latencies = (PERCENTILES.len() + 2) * (LATENCY + 1);
        let above = format!("{:1$}{unit:^latencies$}", "", names.len());
        let percentiles = PERCENTILES.iter().map(|&(name, _)| name);
        for name in ["min"].into_iter().chain(percentiles).chain(["max"]) {
            names.push_str(&format!(" {name:>LATENCY$}"));
        }
        format!("{}\n{names}", above.trim_end())
    }

    /// The row of a run, or of all together, without the last line's end. What became of requests that have no reply in time
    /// is told in a line of its own.
    pub fn row(&self, label: &str, run: &RunResult) -> String {
        let mut row = self.total(label, run);
        let ledger = &run.ledger;
        if !ledger.is_clean() || ledger.skipped + ledger.duplicated != 0 {
            row.push_str(&format!("\n{:1$}", "", self.label_width + 1));
            row.push_str(&summary::ledger_parts(ledger).join("; "));
        }
        row
    }

    /// The row of all runs together, below which the ledger is told anyway.
    pub fn total(&self, label: &str, run: &RunResult) -> String {
        let rate = run.window.rate();
        let mbits = rate.map(|rate| rate * self.subject.bytes_one_way() as f64 * 8e-6);
        let mut row = self.left(
            label,
            &run.ledger.answered.to_string(),
            &format!("{:.3}", run.elapsed_ns as f64 * 1e-9),
            &rate.map_or_else(not_available, |rate| format!("{rate:.0}")),
            &mbits.map_or_else(not_available, |mbits| format!("{mbits:.1}")),
        );
        let left = row.len();
        row.push_str(&latencies(&run.response));
        if self.subject.load.is_open_loop() {
            row.push_str(&format!("\n{:>left$}", "service: from when it was sent "));
            row.push_str(&latencies(&run.service));
        }
        row
    }

    fn left(&self, label: &str, requests: &str, seconds: &str, rate: &str, mbits: &str) -> String {
        let width = self.label_width;
        format!("{label:>width$} {requests:>10} {seconds:>8} {rate:>10} {mbits:>8} ")
    }
}

/// The cells of a histogram.
fn latencies(histogram: &Histogram) -> String {
    let percentiles = PERCENTILES
        .iter()
        .map(|&(_, percentile)| histogram.percentile(percentile));
    let all = [histogram.min()]
        .into_iter()
        .chain(percentiles)
        .chain([histogram.max()]);
    let cells = all.map(|latency| {
        let cell = latency.map_or_else(not_available, |latency| {
            microseconds(latency.as_nanos() as f64)
        });
        format!(" {cell:>LATENCY$}")
    });
    cells.collect::<Vec<_>>().concat()
}

fn not_available() -> String {
    NOT_AVAILABLE.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{
            tests::{closed, open},
            WIDTH,
        },
        result::Window,
        Ledger,
    };

    fn run(round_trips: u64) -> RunResult {
        let mut run = RunResult {
            ledger: Ledger {
                scheduled: round_trips,
                sent: round_trips,
                answered: round_trips,
                ..Ledger::default()
            },
            window: Window {
                length_ns: 500_000_000,
                answered: 1_000,
            },
            elapsed_ns: 2_500_000_000,
            ..RunResult::default()
        };
        for us in 1..=round_trips {
            run.response.record(us * 1_000);
            run.service.record(us * 500);
        }
        run
    }

    #[test]
    fn closed_loop_has_one_line_a_run() {
        let subject = closed();
        let table = Table::of_runs(&subject);
        let expected = "
                                                                     round trip, us
 run   requests  seconds requests/s   Mbit/s       min      p50      p90      p99    p99.9   p99.99      max
   1       4000    2.500       2000      0.7       1.0   2000.9   3600.4   3960.8   3997.7      n/a   4000.0
   2         40    2.500       2000      0.7       1.0     20.0     36.0      n/a      n/a      n/a     40.0";
        let found = [
            String::new(),
            table.header(),
            table.row("1", &run(4_000)),
            table.row("2", &run(40)),
        ];
        assert_eq!(found.join("\n"), expected);
    }

    #[test]
    fn open_loop_has_both_latencies() {
        let subject = open();
        let table = Table::of_rates(&subject);
        let expected = "
                                                      response: from when a request was intended to be sent, us
   asked/s   requests  seconds requests/s   Mbit/s       min      p50      p90      p99    p99.9   p99.99      max
      2000       4000    2.500       2000      0.7       1.0   2000.9   3600.4   3960.8   3997.7      n/a   4000.0
                    service: from when it was sent       0.5   1000.4   1800.2   1980.4   1998.8      n/a   2000.0";
        let found = [
            String::new(),
            table.header(),
            table.row("2000", &run(4_000)),
        ];
        assert_eq!(found.join("\n"), expected);
    }

    #[test]
    fn what_became_of_the_rest_is_told_below_the_row() {
        let subject = closed();
        let table = Table::of_servers(&subject);
        let mut lossy = run(40);
        lossy.ledger = Ledger {
            scheduled: 44,
            sent: 43,
            skipped: 1,
            answered: 40,
            late: 2,
            lost: 1,
            ..Ledger::default()
        };
        let row = table.row("A", &lossy);
        assert_eq!(
            row.lines().nth(1).unwrap(),
            "       44 scheduled = 43 sent + 1 skipped; sent = 40 answered + 2 late + 1 lost; \
             0 duplicated, 0 reordered, 0 mismatched"
        );
        assert_eq!(table.total("A", &lossy).lines().count(), 1);
        // That replies overtake each other is no loss.
        let mut reordered = run(40);
        reordered.ledger.reordered = 10;
        assert_eq!(table.row("A", &reordered).lines().count(), 1);
    }

    #[test]
    fn what_cannot_be_told_is_not_available() {
        let subject = closed();
        let row = Table::of_runs(&subject).row("1", &RunResult::default());
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            cells,
            [["1", "0", "0.000"].as_slice(), &["n/a"; 9]].concat()
        );
    }

    #[test]
    fn no_line_is_too_wide() {
        let mut long = run(40);
        long.ledger.answered = 9_999_999_999;
        long.elapsed_ns = 9_999_000_000_000;
        long.window = Window {
            length_ns: 1,
            answered: 9,
        };
        (0..100_000).for_each(|_| long.response.record(99_000_000_000));
        let subject = open();
        for table in [
            Table::of_runs(&subject),
            Table::of_rates(&subject),
            Table::of_servers(&subject),
        ] {
            let text = format!("{}\n{}", table.header(), table.total("1000000000", &long));
            let widths: Vec<_> = text.lines().map(str::len).collect();
            assert!(
                widths.iter().all(|&width| width <= WIDTH),
                "{widths:?}\n{text}"
            );
        }
    }
}
