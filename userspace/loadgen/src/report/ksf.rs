// SPDX-License-Identifier: GPL-2.0

//! The columns of ksf's own tools, in their order and by their names. What they are computed from is in
//! [`crate::stats::ksf`], and [`DIFFERENCES`] says what differs.

use super::{
    number::{microseconds, NOT_AVAILABLE},
    Subject,
};
use crate::{
    stats::ksf::{Middle, Running, QUANTILES},
    RunResult,
};

/// What differs from what ksf's tools print under the same names; for their manuals.
pub const DIFFERENCES: [(&str, &str); 8] = [
    (
        "MedRPC",
        "is the median over runs of each run's rate while all threads were active. ksf divides the replies of the last run \
         by the median time of all threads in all runs, which leaves out what slow threads took.",
    ),
    (
        "MedLat",
        "is the median over runs of each run's median latency, as ksf computes it.",
    ),
    (
        "MinLat, the quantiles and MaxLat",
        "are of all runs together, ksf's of the last one. A quantile that there are too few latencies to tell is n/a. Nothing \
         is too long for the histogram, so that MaxLat is never followed by a star.",
    ),
    (
        "Mbps",
        "counts requests and replies, as ksf does, at the rate of MedRPC.",
    ),
    (
        "TotalRPC and the times of -x",
        "are of all runs, and MinRPC, MedRPC and MaxRPC are rates of runs; ksf divides the replies of the last run by times of \
         its threads.",
    ),
    (
        "avglat of echotest",
        "is the mean round trip of each message with any -a; msgs/sec is the rate while all threads were active, and Mbps the \
         bytes of the messages in one direction at that rate. ksf divides by the mean time of its threads.",
    ),
    (
        "cpu/msg of echotest",
        "is the processor time of all threads per message in microseconds. ksf counts that of the process once for each thread.",
    ),
    (
        "Options of ksf",
        "-i is 1 unless it is given, and not 99 (rpctest) or without end (echotest). -p of echotest is HOST:PORT, -d of \
         rpctest is --plot, --hdr-log and --json, and there is no -v.",
    ),
];

/// The columns of rpctest.
#[derive(Clone, Debug)]
pub struct RpcTest<'a> {
    subject: &'a Subject,
    middle: Middle,
    quantiles: Vec<f64>,
    extended: bool,
}

impl<'a> RpcTest<'a> {
    /// The columns that rpctest prints unless told otherwise.
    pub fn new(subject: &'a Subject) -> Self {
        Self {
            subject,
            middle: Middle::Median,
            quantiles: QUANTILES.to_vec(),
            extended: false,
        }
    }

    /// Means in place of medians, as with `-m`.
    pub fn with_middle(self, middle: Middle) -> Self {
        Self { middle, ..self }
    }

    /// Other quantiles, in percent, as with `-q`.
    pub fn with_quantiles(self, mut quantiles: Vec<f64>) -> Self {
        quantiles.sort_by(f64::total_cmp);
        Self { quantiles, ..self }
    }

    /// More columns, as with `-x`.
    pub fn extended(self) -> Self {
        Self {
            extended: true,
            ..self
        }
    }

    /// The line above the rows, without its end.
    pub fn header(&self) -> String {
        let [rate, latency] = match self.middle {
            Middle::Median => ["MedRPC", "MedLat"],
            Middle::Mean => ["AvgRPC", "AvgLat"],
        };
        let mut line = format!(
            "{:>10} {:>3} {:>4} {rate:>8} {latency:>6} {:>7} {:>7}",
            "Date", "TD", "INF", "Mbps", "MinLat"
        );
        for quantile in &self.quantiles {
            line.push_str(&format!(" {quantile:>7}"));
        }
        line.push_str(&format!(" {:>8}", "MaxLat"));
        if self.extended {
            let names = [
                "TotalRPC", "MinTime", "MedTime", "MaxTime", "MinRPC", "MedRPC", "MaxRPC",
            ];
            line.push_str(&format!("  {:>9}", names[0]));
            names[1..]
                .iter()
                .for_each(|name| line.push_str(&format!(" {name:>8}")));
        }
        line
    }

    /// The line after a run that ended at `date`, in seconds since 1970: the figures of all runs so far.
    pub fn row(&self, date: u64, running: &Running) -> String {
        let rate = running.rate();
        let bytes = self
            .subject
            .reply_bytes
            .map(|bytes| (self.subject.request_bytes + bytes) as f64);
        let mut line = format!(
            "{date:>10} {:>3} {:>4} {:>8} {:>6} {:>7}",
            self.subject.load.threads,
            self.subject.load.in_flight,
            cell(rate.map(|rate| format!("{:.0}", rate.mid))),
            cell(running.median_ns().map(microseconds)),
            cell(
                rate.zip(bytes)
                    .map(|(rate, bytes)| format!("{:.1}", rate.mid * bytes * 8e-6))
            ),
        );
        let latencies = running.latencies();
        let exact = |latency: std::time::Duration| latency.as_nanos() as f64;
        let us = |ns: Option<f64>| cell(ns.map(microseconds));
        line.push_str(&format!(" {:>7}", us(latencies.min().map(exact))));
        for &percent in &self.quantiles {
            let ns = running.quantile_ns(percent).map(|ns| ns as f64);
            line.push_str(&format!(" {:>7}", us(ns)));
        }
        line.push_str(&format!(" {:>8}", us(latencies.max().map(exact))));
        if self.extended {
            line.push_str(&format!("  {:>9}", running.total()));
            let seconds = running.thread_seconds();
            for time in [
                seconds.map(|s| s.min),
                seconds.map(|s| s.mid),
                seconds.map(|s| s.max),
            ] {
                line.push_str(&format!(
                    " {:>8}",
                    cell(time.map(|time| format!("{time:.3}")))
                ));
            }
            for rate in [
                rate.map(|r| r.min),
                rate.map(|r| r.mid),
                rate.map(|r| r.max),
            ] {
                line.push_str(&format!(
                    " {:>8}",
                    cell(rate.map(|rate| format!("{rate:.0}")))
                ));
            }
        }
        line
    }
}

/// The line above echotest's rows, without its end.
pub fn echotest_header() -> String {
    format!(
        "{:>10} {:>10} {:>10} {:>7} {:>7} {:>7}",
        "totmsgs", "totusecs", "msgs/sec", "avglat", "Mbps", "cpu/msg"
    )
}

/// echotest's line after a run.
pub fn echotest_row(run: &RunResult, subject: &Subject) -> String {
    let threads = &run.threads;
    let sum =
        |of: fn(&crate::result::ThreadResult) -> u64| threads.iter().map(of).sum::<u64>() as f64;
    let answered = run.ledger.answered;
    let microseconds = sum(|thread| thread.elapsed_ns) / threads.len() as f64 * 1e-3;
    let rate = run.window.rate();
    let mean = (answered != 0).then(|| run.service.as_hdr().mean() * 1e-3);
    let bytes = subject.request_bytes as f64;
    let cpu = (answered != 0).then(|| sum(|thread| thread.cpu_ns) * 1e-3 / answered as f64);
    format!(
        "{answered:>10} {:>10} {:>10} {:>7} {:>7} {:>7}",
        cell(
            microseconds
                .is_finite()
                .then(|| format!("{microseconds:.0}"))
        ),
        cell(rate.map(|rate| format!("{rate:.0}"))),
        cell(mean.map(|mean| format!("{mean:.1}"))),
        cell(rate.map(|rate| format!("{:.2}", rate * bytes * 8e-6))),
        cell(cpu.map(|cpu| format!("{cpu:.2}"))),
    )
}

fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| NOT_AVAILABLE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::tests::closed,
        result::{ThreadResult, Window},
    };

    const SECOND: u64 = 1_000_000_000;

    fn run(answered: u64, ns: u64) -> RunResult {
        let mut run = RunResult {
            window: Window {
                length_ns: SECOND,
                answered,
            },
            threads: vec![
                ThreadResult {
                    elapsed_ns: SECOND,
                    cpu_ns: 400_000_000,
                    ..ThreadResult::default()
                },
                ThreadResult {
                    elapsed_ns: 3 * SECOND,
                    cpu_ns: 600_000_000,
                    ..ThreadResult::default()
                },
            ],
            ..RunResult::default()
        };
        run.ledger.answered = answered;
        (0..1_000).for_each(|_| {
            run.response.record(ns);
            run.service.record(ns);
        });
        run
    }

    #[test]
    fn rows_stand_under_the_names_of_rpctest() {
        let subject = closed();
        let columns = RpcTest::new(&subject).extended();
        let mut running = Running::new(Middle::Median);
        running.add(&run(100_000, 9_800));
        let expected = "
      Date  TD  INF   MedRPC MedLat    Mbps  MinLat     0.3     4.6    31.7      50    68.3    95.4    99.7   MaxLat   TotalRPC  MinTime  MedTime  MaxTime   MinRPC   MedRPC   MaxRPC
1700000000   2  128   100000    9.8    57.6     9.8     n/a     9.8     9.8     9.8     9.8     9.8     n/a      9.8     100000    1.000    2.000    3.000   100000   100000   100000
1700000004   2  128   150000   14.7    86.4     9.8     9.8     9.8     9.8     9.8    19.6    19.6    19.6     19.6     300000    1.000    2.000    3.000   100000   150000   200000";
        let mut found = vec![
            String::new(),
            columns.header(),
            columns.row(1_700_000_000, &running),
        ];
        running.add(&run(200_000, 19_600));
        found.push(columns.row(1_700_000_004, &running));
        assert_eq!(found.join("\n"), expected);
    }

    #[test]
    fn other_columns_are_those_that_were_asked_for() {
        let subject = closed();
        let columns = RpcTest::new(&subject)
            .with_middle(Middle::Mean)
            .with_quantiles(vec![99.9, 50.0]);
        assert_eq!(
            columns.header(),
            "      Date  TD  INF   AvgRPC AvgLat    Mbps  MinLat      50    99.9   MaxLat"
        );
        assert_eq!(
            columns.row(0, &Running::new(Middle::Mean)),
            "         0   2  128      n/a    n/a     n/a     n/a     n/a     n/a      n/a"
        );
    }

    #[test]
    fn echotest_has_its_own_columns() {
        let subject = closed();
        let expected = "   totmsgs   totusecs   msgs/sec  avglat    Mbps cpu/msg\n    \
                            100000    2000000     100000     9.8   35.20   10.00";
        let row = echotest_row(&run(100_000, 9_800), &subject);
        assert_eq!(format!("{}\n{row}", echotest_header()), expected);
        assert_eq!(
            echotest_row(&RunResult::default(), &subject),
            "         0        n/a        n/a     n/a     n/a     n/a"
        );
    }
}
