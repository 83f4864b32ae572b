// SPDX-License-Identifier: GPL-2.0

//! What a campaign found out, in words.

use super::number::{count_of, grouped, percent, NOT_AVAILABLE};
use crate::{
    campaign::{Answer, Compared, Ratio, Searched},
    stats::{
        bootstrap::Bootstrap,
        compare::{self, Side},
        objective::Objectives,
        search::{End, Verdict},
        until_ci::Decision,
    },
};

/// What the runs until the intervals were narrow enough came to; `None` if they were stopped.
pub fn until_ci(decision: Decision, width: f64, runs: u64) -> Option<String> {
    let (runs, width) = (count_of(runs, "run"), percent(width));
    match decision {
        Decision::GoOn => None,
        Decision::Enough => Some(format!(
            "after {runs}, the intervals of the median and of the rate are at most {width} wide"
        )),
        Decision::GaveUp => Some(format!(
            "after {runs}, which are as many as were allowed, the intervals of the median and of the rate are not yet {width} wide"
        )),
    }
}

/// What was asked and is not known, although all runs were made; `None` if the answer is there.
pub fn missing(answer: &Answer) -> Option<&'static str> {
    match answer {
        Answer::UntilCi(Decision::GaveUp) => {
            Some("the intervals are not narrow enough after as many runs as were allowed")
        }
        Answer::Searched(searched) if searched.found.is_none_or(|found| found.met.is_none()) => {
            Some("no rate is known that keeps the objective")
        }
        Answer::Compared(compared) if compared.decision == Some(Decision::GaveUp) => {
            Some("the intervals are not narrow enough after as many pairs as were allowed")
        }
        Answer::Compared(compared) => {
            let ratios = [compared.rate, compared.median, compared.p99];
            let is_told = |ratio: &Ratio| ratio.verdict != compare::Verdict::Untold;
            (!ratios.iter().any(is_told)).then_some("it cannot be told which server is faster")
        }
        _ => None,
    }
}

/// The rates that a search tried, and its answer.
pub fn search(searched: &Searched, objectives: &Objectives) -> String {
    let mut text = format!("{:>10} {:>5}  {objectives}", "asked/s", "runs");
    for &(rate, verdict, runs) in &searched.tried {
        let verdict = match verdict {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::Unknown => "runs are too short to tell",
        };
        text.push_str(&format!("\n{rate:>10} {runs:>5}  {verdict}"));
    }
    match found(searched, objectives) {
        Some(found) => format!("{text}\n\n{found}"),
        None => text,
    }
}

/// The rate that a search found, in a line; `None` if it was stopped.
pub fn found(searched: &Searched, objectives: &Objectives) -> Option<String> {
    let found = searched.found?;
    let answer = match (found.met, found.missed) {
        (Some(met), Some(missed)) => format!(
            "highest rate that keeps {objectives}: {}/s ({}/s does not)",
            grouped(met),
            grouped(missed)
        ),
        (Some(met), None) => format!("{objectives} is kept at {}/s", grouped(met)),
        (None, Some(missed)) => format!("{objectives} is missed at {}/s", grouped(missed)),
        (None, None) => format!("no rate is known to keep {objectives}"),
    };
    let end = match found.end {
        End::Resolved => "",
        End::MetAtMost => ", the highest rate that was to be tried",
        End::MissedAtLeast => ", the lowest rate that was to be tried",
        End::TooFewLatencies => "; runs at other rates are too short to tell: make them longer",
        End::OutOfRuns => {
            "; as many runs were made as are allowed, and more would tell more precisely"
        }
        End::Stopped => "; the search was stopped before it knew more",
    };
    let mut contradictions = String::new();
    for (rate, what) in [(found.met_above, "keeps"), (found.missed_below, "misses")] {
        if let Some(rate) = rate {
            contradictions.push_str(&format!(
                "\nnot monotonic: {}/s {what} {objectives} as well",
                grouped(rate)
            ));
        }
    }
    Some(format!("{answer}{end}{contradictions}"))
}

/// How two servers compare.
pub fn comparison(compared: &Compared) -> String {
    let mut text = format!(
        "{:<16}{:>8}   {:<18}over {}",
        "",
        "A / B",
        "95 % interval",
        match compared.pairs {
            1 => "1 pair of runs".to_owned(),
            pairs => format!("{} pairs of runs", grouped(pairs)),
        },
    );
    let alike = if compared.threshold > 0.0 {
        format!("alike: within {}", percent(compared.threshold))
    } else {
        "alike".to_owned()
    };
    for (name, ratio, more_is_faster) in [
        ("rate", &compared.rate, true),
        ("median latency", &compared.median, false),
        ("p99 latency", &compared.p99, false),
    ] {
        let verdict = match ratio.verdict {
            compare::Verdict::Higher(side) => match (side, more_is_faster) {
                (Side::A, true) | (Side::B, false) => "A is faster",
                (Side::B, true) | (Side::A, false) => "B is faster",
            },
            compare::Verdict::Alike => alike.as_str(),
            compare::Verdict::Untold => "cannot be told",
        };
        let [value, interval] = cells(ratio);
        text.push_str(&format!("\n{name:<16}{value:>8}   {interval:<18}{verdict}"));
    }
    let least = Bootstrap::new(0).least_runs() as u64;
    if compared.pairs < least {
        text.push_str(&format!("\nintervals take at least {least} pairs of runs"));
    }
    match compared.decision {
        Some(Decision::Enough) => {
            text.push_str("\nthe intervals of the rate and of the median are narrow enough");
        }
        Some(Decision::GaveUp) => text.push_str(
            "\nthe intervals of the rate and of the median are not narrow enough after as many pairs as were allowed",
        ),
        Some(Decision::GoOn) | None => {}
    }
    text
}

/// A ratio and its interval.
fn cells(ratio: &Ratio) -> [String; 2] {
    let Some(estimate) = ratio.estimate else {
        return [NOT_AVAILABLE, NOT_AVAILABLE].map(str::to_owned);
    };
    let interval = estimate.interval.map_or_else(
        || NOT_AVAILABLE.to_owned(),
        |interval| format!("{:.3} to {:.3}", interval.lo, interval.hi),
    );
    [format!("{:.3}", estimate.value), interval]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{
        bootstrap::{Estimate, Interval},
        search::Found,
    };

    fn objectives() -> Objectives {
        "p99<50us".parse().unwrap()
    }

    fn searched(found: Option<Found>) -> Searched {
        Searched {
            found,
            tried: vec![
                (1_000, Verdict::Met, 1),
                (64_000, Verdict::Unknown, 3),
                (128_000, Verdict::Missed, 2),
            ],
        }
    }

    #[test]
    fn a_search_tells_what_it_tried_and_found() {
        let found = Found {
            met: Some(81_000),
            missed: Some(82_600),
            met_above: None,
            missed_below: None,
            end: End::Resolved,
        };
        let expected = "   asked/s  runs  p99<50us
      1000     1  met
     64000     3  runs are too short to tell
    128000     2  missed

highest rate that keeps p99<50us: 81,000/s (82,600/s does not)";
        assert_eq!(search(&searched(Some(found)), &objectives()), expected);
    }

    #[test]
    fn only_a_question_without_an_answer_is_missing_one() {
        let found = |met| Found {
            met,
            missed: Some(2_000),
            met_above: None,
            missed_below: None,
            end: End::OutOfRuns,
        };
        let answer = |found| Answer::Searched(searched(found));
        assert_eq!(missing(&answer(Some(found(Some(1_000))))), None);
        assert!(missing(&answer(Some(found(None)))).is_some());
        assert!(missing(&answer(None)).is_some());
        assert_eq!(missing(&Answer::UntilCi(Decision::Enough)), None);
        assert!(missing(&Answer::UntilCi(Decision::GaveUp)).is_some());
        assert_eq!(missing(&Answer::Iterated), None);
        let ratio = |verdict| Ratio {
            estimate: None,
            verdict,
        };
        let compared = |rate| Compared {
            pairs: 1,
            threshold: 0.01,
            decision: None,
            rate: ratio(rate),
            median: ratio(compare::Verdict::Untold),
            p99: ratio(compare::Verdict::Untold),
        };
        let answer = |rate| Answer::Compared(compared(rate));
        assert_eq!(missing(&answer(compare::Verdict::Alike)), None);
        assert!(missing(&answer(compare::Verdict::Untold)).is_some());
    }

    #[test]
    fn a_search_that_was_stopped_has_no_answer() {
        assert_eq!(search(&searched(None), &objectives()).lines().count(), 4);
    }

    #[test]
    fn a_search_that_found_no_end_says_why() {
        let answer = |met, missed, end| {
            let found = Found {
                met,
                missed,
                met_above: None,
                missed_below: None,
                end,
            };
            let text = search(&searched(Some(found)), &objectives());
            text.lines().last().unwrap().to_owned()
        };
        for (met, missed, end, text) in [
            (
                Some(7_000),
                None,
                End::MetAtMost,
                "p99<50us is kept at 7,000/s, the highest rate that was to be tried",
            ),
            (
                None,
                Some(1),
                End::MissedAtLeast,
                "p99<50us is missed at 1/s, the lowest rate that was to be tried",
            ),
            (
                None,
                None,
                End::TooFewLatencies,
                "no rate is known to keep p99<50us; runs at other rates are too short to tell: make them longer",
            ),
            (
                Some(1),
                Some(2_000),
                End::OutOfRuns,
                "highest rate that keeps p99<50us: 1/s (2,000/s does not); \
                 as many runs were made as are allowed, and more would tell more precisely",
            ),
        ] {
            assert_eq!(answer(met, missed, end), text);
        }
    }

    #[test]
    fn rates_that_contradict_the_answer_are_told() {
        let found = Found {
            met: Some(64_000),
            missed: Some(65_000),
            met_above: Some(128_000),
            missed_below: Some(1_000),
            end: End::Resolved,
        };
        let text = search(&searched(Some(found)), &objectives());
        let end = "64,000/s (65,000/s does not)
not monotonic: 128,000/s keeps p99<50us as well
not monotonic: 1,000/s misses p99<50us as well";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_comparison_names_the_faster_one_only_if_it_can() {
        let ratio = |value, lo, hi, verdict| Ratio {
            estimate: Some(Estimate {
                value,
                interval: Some(Interval { lo, hi }),
            }),
            verdict,
        };
        let compared = Compared {
            pairs: 20,
            threshold: 0.01,
            decision: None,
            rate: ratio(1.0532, 1.041, 1.0664, compare::Verdict::Higher(Side::A)),
            median: ratio(0.95, 0.94, 0.96, compare::Verdict::Higher(Side::B)),
            p99: ratio(1.0, 0.8, 1.2, compare::Verdict::Untold),
        };
        let expected = "                   A / B   95 % interval     over 20 pairs of runs
rate               1.053   1.041 to 1.066    A is faster
median latency     0.950   0.940 to 0.960    A is faster
p99 latency        1.000   0.800 to 1.200    cannot be told";
        assert_eq!(comparison(&compared), expected);

        let enough = Compared {
            decision: Some(Decision::Enough),
            ..compared.clone()
        };
        assert!(comparison(&enough).ends_with("are narrow enough"));
        let few = Compared {
            pairs: 1,
            decision: Some(Decision::GaveUp),
            rate: ratio(1.0, 0.999, 1.001, compare::Verdict::Alike),
            median: Ratio {
                estimate: Some(Estimate {
                    value: 1.5,
                    interval: None,
                }),
                verdict: compare::Verdict::Untold,
            },
            p99: Ratio {
                estimate: None,
                verdict: compare::Verdict::Untold,
            },
            ..compared
        };
        let expected = "                   A / B   95 % interval     over 1 pair of runs
rate               1.000   0.999 to 1.001    alike: within 1.0 %
median latency     1.500   n/a               cannot be told
p99 latency          n/a   n/a               cannot be told
intervals take at least 5 pairs of runs
the intervals of the rate and of the median are not narrow enough after as many pairs as were allowed";
        assert_eq!(comparison(&few), expected);
        assert!(missing(&Answer::Compared(few)).is_some());
    }

    #[test]
    fn runs_until_intervals_are_narrow_say_whether_they_are() {
        let text = |decision| until_ci(decision, 0.02, 17);
        assert_eq!(text(Decision::GoOn), None);
        assert!(text(Decision::Enough)
            .unwrap()
            .starts_with("after 17 runs, the intervals"));
        assert!(text(Decision::GaveUp)
            .unwrap()
            .ends_with("are not yet 2.0 % wide"));
    }
}
