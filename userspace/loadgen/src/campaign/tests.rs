// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::{
    result::{Failure, FailureKind, Interval, Window},
    stats::search::End,
};

const SECOND: u64 = 1_000_000_000;

/// Servers that are not there.
#[derive(Default)]
struct Simulated {
    /// The mean latency of each, in nanoseconds.
    latencies_ns: Vec<f64>,
    /// By how much runs differ, relative.
    noise: f64,
    /// How many requests a second they take at most.
    capacity: Option<u64>,
    /// The run in which a connection is reset.
    fails: Option<u64>,
    /// The run in which somebody wants an end.
    interrupted: Option<u64>,
    /// From which run on nobody listens.
    gone: Option<u64>,
    made: Vec<Assignment>,
}

impl Runner for Simulated {
    type Error = &'static str;

    fn run(&mut self, assignment: &Assignment) -> Result<RunResult, &'static str> {
        if self.gone == Some(assignment.number) {
            return Err("refused");
        }
        self.made.push(*assignment);
        let mut rng = fastrand::Rng::with_seed(assignment.seed);
        let deviation: f64 = (0..12).map(|_| rng.f64() - 0.5).sum();
        let mut mean = self.latencies_ns[assignment.target] * (1.0 + self.noise * deviation);
        let mut rate = SECOND as f64 / mean;
        if let (Some(asked), Some(capacity)) = (assignment.rate, self.capacity) {
            rate = asked.min(capacity) as f64;
            mean = SECOND as f64 / capacity.saturating_sub(asked).max(1) as f64;
        }
        let mut run = RunResult {
            window: Window {
                length_ns: SECOND,
                answered: rate as u64,
            },
            ..RunResult::default()
        };
        for i in 0..1_000 {
            let quantile = (f64::from(i) + 0.5) / 1_000.0;
            let ns = (-mean * (1.0 - quantile).ln()) as u64;
            run.service.record(ns);
            run.response.record(ns);
        }
        run.ledger.scheduled = assignment.rate.unwrap_or(rate as u64);
        run.ledger.sent = rate as u64;
        run.ledger.answered = rate as u64;
        run.ledger.skipped = run.ledger.scheduled - run.ledger.sent;
        run.intervals.push(Interval::default());
        if self.fails == Some(assignment.number) {
            run.failures.push(Failure {
                connection: 0,
                at_ns: 1,
                kind: FailureKind::System,
                message: "reset".to_owned(),
            });
        }
        Ok(run)
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted
            .is_some_and(|number| number < self.made.len() as u64)
    }
}

fn one(mean_ns: f64, noise: f64) -> Simulated {
    Simulated {
        latencies_ns: vec![mean_ns],
        noise,
        ..Simulated::default()
    }
}

/// Who writes everything down.
#[derive(Default)]
struct Scribe {
    begun: Vec<(u64, Option<u64>)>,
    ended: Vec<u64>,
    intervals: usize,
}

impl Observer for Scribe {
    fn begins(&mut self, assignment: &Assignment, of: Option<u64>) {
        self.begun.push((assignment.number, of));
    }

    fn ended(&mut self, assignment: &Assignment, result: &RunResult) {
        self.ended.push(assignment.number);
        self.intervals += result.intervals.len();
    }
}

#[test]
fn iterations_are_as_many_as_asked_for_and_all_are_counted() {
    let mut runner = one(20_000.0, 0.05);
    let mut scribe = Scribe::default();
    let conclusion = conduct(&Plan::Iterations(7), 1, &mut runner, &mut scribe);
    assert_eq!(
        (&conclusion.answer, &conclusion.stopped),
        (&Answer::Iterated, &None)
    );
    let [server] = &conclusion.servers[..] else {
        panic!("{} servers", conclusion.servers.len());
    };
    assert_eq!((server.runs, server.total.response.len()), (7, 7_000));
    assert_eq!(server.total.window.length_ns, 7 * SECOND);
    // Each run's intervals were shown, and are not mixed with the others'.
    assert_eq!((scribe.intervals, server.total.intervals.len()), (7, 0));
    assert_eq!(
        scribe.begun,
        (0..7).map(|i| (i, Some(7))).collect::<Vec<_>>()
    );
    assert_eq!(scribe.ended, (0..7).collect::<Vec<_>>());
    let median = server.headline.median_ns.unwrap();
    assert!((median.value / (20_000.0 * 2_f64.ln()) - 1.0).abs() < 0.05);
    assert!(median.interval.is_some());
}

#[test]
fn every_run_has_a_seed_of_its_own_and_the_same_again() {
    let seeds = |seed| {
        let mut runner = one(20_000.0, 0.05);
        conduct(&Plan::Iterations(15), seed, &mut runner, &mut ());
        runner.made.iter().map(|run| run.seed).collect::<Vec<_>>()
    };
    let mut first = seeds(1);
    assert_eq!(first, seeds(1));
    assert_ne!(first, seeds(2));
    first.sort_unstable();
    first.dedup();
    assert_eq!(first.len(), 15);
}

#[test]
fn a_failed_run_is_the_last_and_is_counted() {
    for plan in [
        Plan::Iterations(9),
        Plan::UntilCi {
            width: 0.02,
            most: 9,
        },
    ] {
        let mut runner = Simulated {
            fails: Some(2),
            ..one(20_000.0, 0.0)
        };
        let conclusion = conduct(&plan, 1, &mut runner, &mut ());
        assert_eq!(conclusion.stopped, Some(Stopped::Failure));
        assert_eq!((conclusion.servers[0].runs, runner.made.len()), (3, 3));
        assert_eq!(conclusion.servers[0].total.failures.len(), 1);
    }
}

#[test]
fn an_interrupted_run_is_the_last_and_is_counted() {
    let search = SearchPlan {
        first: 1_000,
        ..SearchPlan::new("p99<1s".parse().unwrap())
    };
    for (plan, runs) in [(Plan::Iterations(9), 3), (Plan::Search(search), 0)] {
        let mut runner = Simulated {
            interrupted: Some(2),
            capacity: Some(1_000_000),
            ..one(20_000.0, 0.0)
        };
        let conclusion = conduct(&plan, 1, &mut runner, &mut ());
        assert_eq!(conclusion.stopped, Some(Stopped::Interrupt));
        assert_eq!(runner.made.len(), 3);
        assert_eq!(
            conclusion
                .servers
                .iter()
                .map(|server| server.runs)
                .sum::<u64>(),
            runs
        );
    }
}

#[test]
fn what_was_measured_before_there_was_no_run_is_kept() {
    let mut runner = Simulated {
        gone: Some(3),
        ..one(20_000.0, 0.0)
    };
    let conclusion = conduct(&Plan::Iterations(9), 1, &mut runner, &mut ());
    assert_eq!(conclusion.stopped, Some(Stopped::NoRun("refused")));
    assert_eq!(conclusion.stopped.unwrap().to_string(), "refused");
    assert_eq!(conclusion.servers[0].runs, 3);
}

#[test]
fn runs_are_made_until_the_intervals_are_narrow() {
    let plan = Plan::UntilCi {
        width: 0.02,
        most: 99,
    };
    let conclusion = conduct(&plan, 3, &mut one(20_000.0, 0.03), &mut ());
    assert_eq!(conclusion.answer, Answer::UntilCi(Decision::Enough));
    let server = &conclusion.servers[0];
    // Of 36 or so runs, the interval is ±2 * 3 %/√36.
    assert!((11..=70).contains(&server.runs), "{}", server.runs);
    for figure in [server.headline.median_ns, server.headline.rate] {
        assert!(figure.unwrap().relative_width().unwrap() <= 0.02);
    }
}

#[test]
fn runs_that_differ_too_much_are_given_up() {
    let plan = Plan::UntilCi {
        width: 0.01,
        most: 12,
    };
    let conclusion = conduct(&plan, 3, &mut one(20_000.0, 0.2), &mut ());
    assert_eq!(conclusion.answer, Answer::UntilCi(Decision::GaveUp));
    assert_eq!(conclusion.servers[0].runs, 12);
}

#[test]
fn the_highest_rate_is_found() {
    let mut runner = Simulated {
        capacity: Some(100_000),
        ..one(0.0, 0.0)
    };
    let plan = SearchPlan::new("p99<100us".parse().unwrap());
    let conclusion = conduct(&Plan::Search(plan), 1, &mut runner, &mut ());
    let Answer::Searched(Searched {
        found: Some(found),
        tried,
    }) = conclusion.answer
    else {
        panic!("{:?}", conclusion.answer);
    };
    assert_eq!(found.end, End::Resolved);
    let truth = 100_000.0 + (1.0_f64 - 0.9895).ln() / 100e-6;
    assert!(
        (found.met.unwrap() as f64 / truth - 1.0).abs() < 0.03,
        "{found:?} {truth}"
    );
    let runs: u32 = tried.iter().map(|&(_, _, runs)| runs).sum();
    assert_eq!(runs as usize, runner.made.len());
    assert!(runner
        .made
        .iter()
        .all(|run| run.rate.is_some() && run.target == 0));
}

#[test]
fn a_search_that_is_stopped_says_what_was_tried() {
    let mut runner = Simulated {
        capacity: Some(100_000),
        fails: Some(3),
        ..one(0.0, 0.0)
    };
    let plan = Plan::Search(SearchPlan::new("p99<100us".parse().unwrap()));
    let conclusion = conduct(&plan, 1, &mut runner, &mut ());
    assert_eq!(conclusion.stopped, Some(Stopped::Failure));
    let Answer::Searched(Searched { found, tried }) = conclusion.answer else {
        panic!("{:?}", conclusion.answer);
    };
    let found = found.unwrap();
    assert_eq!((found.met, found.missed), (Some(4_000), None));
    assert_eq!(found.end, End::Stopped);
    let met = [1_000, 2_000, 4_000].map(|rate| (rate, Verdict::Met, 1));
    assert_eq!(tried, met);
}

#[test]
fn what_was_not_answered_in_time_is_longer_than_any_limit() {
    let mut run = RunResult {
        window: Window {
            length_ns: SECOND,
            answered: 9_950,
        },
        ..RunResult::default()
    };
    (0..9_950).for_each(|_| run.response.record(1_000));
    run.ledger.scheduled = 10_000;
    (run.ledger.sent, run.ledger.answered) = (10_000, 9_950);
    let verdict = |run: &RunResult, objective: &str| {
        let trial = trial(10_000, false, run);
        assert!(trial.sustained);
        let mut search = Search::new(SearchPlan::new(objective.parse().unwrap()));
        search.measured(10_000, &trial);
        let verdict = search.verdicts().next().unwrap().1;
        verdict
    };
    for lost in [true, false] {
        let counter = if lost {
            &mut run.ledger.lost
        } else {
            &mut run.ledger.late
        };
        *counter = 50;
        assert_eq!(verdict(&run, "p99.9<1ms"), Verdict::Missed);
        assert_eq!(verdict(&run, "p99<1ms"), Verdict::Met);
        (run.ledger.lost, run.ledger.late) = (0, 0);
    }
}

#[test]
fn the_delay_of_the_first_replies_and_random_arrivals_are_not_the_servers_fault() {
    let run = |answered, latency_ns, skipped| {
        let mut run = RunResult {
            window: Window {
                length_ns: SECOND,
                answered,
            },
            ..RunResult::default()
        };
        run.response.record(latency_ns);
        run.ledger.scheduled = 10_000;
        run.ledger.skipped = skipped;
        run
    };
    let sustained = |random, run: RunResult| trial(10_000, random, &run).sustained;
    assert!(sustained(false, run(9_900, 1_000, 0)));
    assert!(!sustained(false, run(9_890, 1_000, 0)));
    // For the first 20 ms, there cannot be any replies.
    assert!(sustained(false, run(9_710, 20_000_000, 0)));
    assert!(!sustained(false, run(9_690, 20_000_000, 0)));
    // 10,000 random arrivals are 10,000 give or take 100.
    assert!(sustained(true, run(9_610, 1_000, 0)));
    assert!(!sustained(true, run(9_590, 1_000, 0)));
    assert!(!sustained(true, run(10_000, 1_000, 1)));
    let never = RunResult::default();
    assert!(!trial(10_000, false, &never).sustained);
}

fn compare(pairs: u64, width: Option<f64>) -> Plan {
    Plan::Compare(ComparePlan {
        pairs,
        width,
        threshold: 0.01,
    })
}

fn compared<E: fmt::Debug>(conclusion: &Conclusion<E>) -> &Compared {
    match &conclusion.answer {
        Answer::Compared(compared) => compared,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_faster_of_two_is_found_in_runs_that_take_turns() {
    let mut runner = Simulated {
        latencies_ns: vec![20_000.0, 22_000.0],
        noise: 0.02,
        ..Simulated::default()
    };
    let mut scribe = Scribe::default();
    let conclusion = conduct(&compare(16, None), 5, &mut runner, &mut scribe);
    let found = compared(&conclusion);
    assert_eq!(found.pairs, 16);
    assert_eq!(found.rate.verdict, compare::Verdict::Higher(Side::A));
    assert_eq!(found.median.verdict, compare::Verdict::Higher(Side::B));
    assert_eq!(found.p99.verdict, compare::Verdict::Higher(Side::B));
    let ratio = found.rate.estimate.unwrap();
    assert!((ratio.value / 1.1 - 1.0).abs() < 0.02, "{ratio:?}");

    let runs: Vec<_> = conclusion
        .servers
        .iter()
        .map(|server| server.runs)
        .collect();
    assert_eq!(runs, [16, 16]);
    assert_eq!(scribe.begun[0], (0, Some(32)));
    for pair in runner.made.chunks(2) {
        assert_ne!(pair[0].target, pair[1].target);
    }
    for two_pairs in runner.made.chunks(4) {
        assert_eq!(two_pairs[0].target, two_pairs[3].target);
    }
}

#[test]
fn two_that_are_the_same_are_not_told_apart() {
    let mut runner = Simulated {
        latencies_ns: vec![20_000.0, 20_000.0],
        noise: 0.02,
        ..Simulated::default()
    };
    let conclusion = conduct(&compare(12, None), 6, &mut runner, &mut ());
    let found = compared(&conclusion);
    for ratio in [found.rate, found.median, found.p99] {
        assert!(
            !matches!(ratio.verdict, compare::Verdict::Higher(_)),
            "{ratio:?}"
        );
    }
}

#[test]
fn a_comparison_can_end_when_its_intervals_are_narrow() {
    let mut runner = Simulated {
        latencies_ns: vec![20_000.0, 20_000.0],
        noise: 0.02,
        ..Simulated::default()
    };
    let conclusion = conduct(&compare(200, Some(0.02)), 7, &mut runner, &mut ());
    let found = compared(&conclusion);
    assert!((10..150).contains(&found.pairs), "{}", found.pairs);
    assert!(found.rate.estimate.unwrap().relative_width().unwrap() <= 0.02);
}

#[test]
fn of_a_pair_that_is_not_complete_nothing_is_said() {
    let mut runner = Simulated {
        latencies_ns: vec![20_000.0, 40_000.0],
        fails: Some(6),
        ..Simulated::default()
    };
    let conclusion = conduct(&compare(9, None), 8, &mut runner, &mut ());
    assert_eq!(conclusion.stopped, Some(Stopped::Failure));
    let found = compared(&conclusion);
    assert_eq!(found.pairs, 3);
    assert_eq!(conclusion.servers[0].runs + conclusion.servers[1].runs, 7);
    assert!((found.median.estimate.unwrap().value - 0.5).abs() < 0.001);
    assert_eq!(found.median.verdict, compare::Verdict::Untold);
}
