// SPDX-License-Identifier: GPL-2.0

//! What is said below the table: the ledger, the intervals over runs, and what the client needed.

use super::{
    clients::ClientFigures,
    labelled,
    number::{count_of, grouped, latency, percent, rate, Unit, NOT_AVAILABLE},
    Subject,
};
use crate::{
    campaign::Summary,
    result::ThreadResult,
    stats::{
        bootstrap::{Bootstrap, Estimate},
        pooled::Headline,
    },
    Ledger, RunResult,
};

/// All that is said of the runs with one server.
pub fn summary(summary: &Summary, subject: &Subject) -> String {
    let total = &summary.total;
    let mut lines = vec![labelled(subject.requests, &ledger_parts(&total.ledger))];
    if total.warmup != Ledger::default() {
        lines.push(labelled("warm-up", &ledger_parts(&total.warmup)));
    }
    lines.extend(moments(total));
    if let Some(clients) = ClientFigures::of(total, subject.reply_bytes) {
        lines.extend(clients.lines(subject.reply_bytes));
    }
    lines.extend(client(total));
    lines.push(intervals(summary.runs, &summary.headline));
    lines.join("\n")
}

/// The mean, and what latencies differ from it by; `None` if nothing was answered.
fn moments(total: &RunResult) -> Option<String> {
    let (mean, deviation) = total.response.moments()?;
    let parts = [
        format!("mean {}", latency(mean)),
        format!("standard deviation {}", latency(deviation)),
    ];
    Some(labelled("latency", &parts))
}

/// What became of the requests, so that it can be seen to add up.
pub(super) fn ledger_parts(ledger: &Ledger) -> Vec<String> {
    let [scheduled, sent, skipped] = [ledger.scheduled, ledger.sent, ledger.skipped].map(grouped);
    let [answered, late, lost] = [ledger.answered, ledger.late, ledger.lost].map(grouped);
    let [duplicated, reordered, mismatched] =
        [ledger.duplicated, ledger.reordered, ledger.mismatched].map(grouped);
    let mut parts = vec![
        format!("{scheduled} scheduled = {sent} sent + {skipped} skipped"),
        format!("sent = {answered} answered + {late} late + {lost} lost"),
        format!("{duplicated} duplicated, {reordered} reordered, {mismatched} mismatched"),
    ];
    if !ledger.adds_up() {
        parts.push(
            "which does not add up: a defect of the load generator, please report it".to_owned(),
        );
    }
    parts
}

/// The figures over runs, with their intervals.
fn intervals(runs: u64, headline: &Headline) -> String {
    let mut parts = vec![
        latency_estimate("median", headline.median_ns),
        latency_estimate("p99", headline.p99_ns),
        estimate("rate", headline.rate, "/s", rate),
    ];
    let least = Bootstrap::new(0).least_runs();
    if runs < least as u64 {
        parts.push(format!("intervals take at least {least} runs"));
    }
    labelled(&count_of(runs, "run"), &parts)
}

fn latency_estimate(name: &str, latency: Option<Estimate>) -> String {
    let unit = Unit::of(latency.map_or(0.0, |latency| latency.value));
    // A digit more than a histogram has: the ends of a narrow interval are not to look the same.
    estimate(name, latency, &format!(" {}", unit.name), |ns| {
        unit.number(ns, 4)
    })
}

/// A figure, and where it is with 95 % confidence.
fn estimate(
    name: &str,
    estimate: Option<Estimate>,
    unit: &str,
    format: impl Fn(f64) -> String,
) -> String {
    let Some(estimate) = estimate else {
        return format!("{name} {NOT_AVAILABLE}");
    };
    let value = format(estimate.value);
    let Some(interval) = estimate.interval.filter(|_| estimate.value > 0.0) else {
        return format!("{name} {value}{unit}");
    };
    let (lo, hi) = (format(interval.lo), format(interval.hi));
    let [below, above] = [estimate.value - interval.lo, interval.hi - estimate.value]
        .map(|side| side / estimate.value);
    // One number for both sides is right only if they are about the same.
    let sides = if below.max(above) <= below.min(above) * LOPSIDED {
        format!("± {}", percent((below + above) / 2.0))
    } else {
        format!("-{} +{}", percent(below.max(0.0)), percent(above.max(0.0)))
    };
    format!("{name} {value}{unit} {sides} ({lo} to {hi})")
}

/// How many times as far as the other end of an interval one may be, if both are told by one number.
const LOPSIDED: f64 = 2.0;

/// What the client's threads needed and how they shared the work; `None` if nothing was answered.
fn client(total: &RunResult) -> Option<String> {
    let threads = &total.threads;
    let sum = |of: fn(&ThreadResult) -> u64| threads.iter().map(of).sum::<u64>();
    let answered = sum(|thread| thread.answered);
    if answered == 0 {
        return None;
    }
    let per_request = sum(|thread| thread.cpu_ns) as f64 / answered as f64;
    let mut parts = vec![format!(
        "{} of processor time per request",
        latency(per_request)
    )];
    let busy = threads
        .iter()
        .filter(|thread| thread.elapsed_ns != 0)
        .map(|thread| thread.cpu_ns as f64 / thread.elapsed_ns as f64);
    if let Some(most) = busy.max_by(f64::total_cmp) {
        parts.push(format!(
            "the busiest thread on a processor for {} of the time",
            percent(most)
        ));
    }
    let each = threads.iter().map(|thread| thread.answered);
    if let (Some(least), Some(most)) = (each.clone().min(), each.max()) {
        if least != most {
            parts.push(format!(
                "{} to {} replies per thread and run",
                grouped(least),
                grouped(most)
            ));
        }
    }
    Some(labelled("client", &parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{tests::closed, WIDTH},
        stats::bootstrap::Interval,
    };

    const LEDGER: Ledger = Ledger {
        scheduled: 1_000_000,
        sent: 999_990,
        skipped: 10,
        answered: 999_980,
        late: 4,
        lost: 6,
        duplicated: 1,
        reordered: 2,
        mismatched: 3,
    };

    fn result() -> Summary {
        let thread = |answered, cpu_ns| ThreadResult {
            answered,
            cpu_ns,
            elapsed_ns: 1_000_000_000,
            ..ThreadResult::default()
        };
        let estimate = |value: f64, by: f64| {
            Some(Estimate {
                value,
                interval: Some(Interval {
                    lo: value * (1.0 - by),
                    hi: value * (1.0 + 1.5 * by),
                }),
            })
        };
        Summary {
            runs: 10,
            total: RunResult {
                ledger: LEDGER,
                threads: vec![thread(499_000, 500_000_000), thread(500_980, 700_000_000)],
                ..RunResult::default()
            },
            headline: Headline {
                median_ns: estimate(12_300.0, 0.004),
                p99_ns: estimate(45_600.0, 0.1),
                rate: estimate(1_081_234.0, 0.001),
            },
        }
    }

    #[test]
    fn everything_is_told_in_few_lines() {
        let expected = "\
requests    1,000,000 scheduled = 999,990 sent + 10 skipped; sent = 999,980 answered + 4 late + 6 lost;
            1 duplicated, 2 reordered, 3 mismatched
client      1.20 us of processor time per request; the busiest thread on a processor for 70 % of the time;
            499,000 to 500,980 replies per thread and run
10 runs     median 12.30 us ± 0.5 % (12.25 to 12.37); p99 45.60 us ± 12 % (41.04 to 52.44);
            rate 1,081,234/s ± 0.1 % (1,080,153 to 1,082,856)";
        let text = summary(&result(), &closed());
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn a_warm_up_has_its_own_ledger() {
        let mut result = result();
        result.total.warmup.scheduled = 1;
        result.total.warmup.skipped = 1;
        let text = summary(&result, &closed());
        assert_eq!(
            text.lines().nth(2).unwrap(),
            "warm-up     1 scheduled = 0 sent + 1 skipped; sent = 0 answered + 0 late + 0 lost;"
        );
    }

    #[test]
    fn few_runs_have_figures_without_intervals() {
        let without = |value| {
            Some(Estimate {
                value,
                interval: None,
            })
        };
        let headline = Headline {
            median_ns: without(12_345.0),
            p99_ns: None,
            rate: without(99.5),
        };
        assert_eq!(
            intervals(1, &headline),
            "1 run       median 12.35 us; p99 n/a; rate 99.5/s; intervals take at least 5 runs"
        );
    }

    #[test]
    fn an_interval_with_unequal_sides_is_not_told_by_one_number() {
        let text = |lo, hi| {
            let interval = Some(Interval { lo, hi });
            let value = 100.0;
            estimate("rate", Some(Estimate { value, interval }), "/s", rate)
        };
        assert_eq!(text(90.0, 120.0), "rate 100/s ± 15 % (90 to 120)");
        assert_eq!(text(90.0, 121.0), "rate 100/s -10 % +21 % (90 to 121)");
        assert_eq!(text(100.0, 121.0), "rate 100/s -0 % +21 % (100 to 121)");
        assert_eq!(text(100.0, 100.0), "rate 100/s ± 0 % (100 to 100)");
    }

    #[test]
    fn a_ledger_that_does_not_add_up_is_told() {
        assert_eq!(ledger_parts(&LEDGER).len(), 3);
        let wrong = Ledger { lost: 7, ..LEDGER };
        assert!(ledger_parts(&wrong)[3].contains("does not add up"));
    }

    #[test]
    fn without_replies_nothing_is_said_of_the_client() {
        assert_eq!(client(&RunResult::default()), None);
    }
}
