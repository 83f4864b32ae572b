// SPDX-License-Identifier: GPL-2.0

//! Documents of several machines that put load on the same server at the same time, as one.
//!
//! Runs are taken together by their number: the first of each machine, the second of each, and so on. Their ledgers and
//! histograms add up to what one machine would have measured that had all the threads. The rate of the whole is the sum of
//! the machines' rates, each in its own window, which is right if they were started together. Those of agents are. Of stored
//! documents it is checked that runs overlap, by the machines' clocks; how far apart they began is kept.

use std::{error, fmt};

use super::json::{Document, Figures, Run};
use crate::{
    campaign::{Answer, Plan, Tally},
    load::Pace,
    result::{Interval, Window},
    schedule::Rate,
    stats::bootstrap::Bootstrap,
    Load, RunResult,
};

/// Why documents cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// There are none.
    Nothing,
    /// The document of this place, from 0, is of a search or a comparison, whose runs depend on what was measured.
    Plan(usize),
    /// The document of this place has another load than the first in this respect.
    Load(usize, &'static str),
    /// The document of this place has so many runs, and the first another number.
    Runs(usize, usize, usize),
    /// The document of this place has runs that another one has as well.
    Again(usize),
    /// This run of the document of this place, both from 0, was not at the time of the first document's.
    Time(usize, usize),
    /// The rates are together more than a rate can be.
    Rate,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("there is nothing to merge"),
            Self::Plan(_) => f.write_str("a search or a comparison cannot be merged"),
            Self::Load(_, what) => write!(f, "another load than the first: {what}"),
            Self::Again(_) => f.write_str("it is among the others already"),
            Self::Time(_, run) => write!(
                f,
                "run {} was not at the same time as the first machine's, by their clocks (--any-time: that does not matter)",
                run + 1
            ),
            Self::Runs(_, first, runs) => write!(f, "runs: {runs}, and in the first {first}"),
            Self::Rate => f.write_str("the rates are together too high"),
        }
    }
}

impl error::Error for MergeError {}

impl MergeError {
    /// Which of the documents, from 0, is to blame.
    pub fn document(&self) -> Option<usize> {
        match *self {
            Self::Plan(place)
            | Self::Load(place, _)
            | Self::Runs(place, ..)
            | Self::Again(place)
            | Self::Time(place, _) => Some(place),
            Self::Nothing | Self::Rate => None,
        }
    }
}

/// Merges documents that were stored, and may have been mistaken for others: none may be there twice, and their runs must
/// overlap in time unless it does not matter.
///
/// # Errors
///
/// They do not go together.
pub fn merge_stored(documents: Vec<Document>, any_time: bool) -> Result<Document, MergeError> {
    let provenances: Vec<_> = documents.iter().map(|d| d.provenance.clone()).collect();
    let times: Vec<Vec<_>> = documents
        .iter()
        .map(|d| d.runs.iter().map(time).collect())
        .collect();
    let merged = merge(documents)?;
    for (place, provenance) in provenances.iter().enumerate() {
        let before = provenances[..place].iter().flatten();
        if before.into_iter().any(|other| provenance.contains(other)) {
            return Err(MergeError::Again(place));
        }
    }
    let Some((first, others)) = times.split_first().filter(|_| !any_time) else {
        return Ok(merged);
    };
    for (place, theirs) in (1..).zip(others) {
        let overlaps = |(ours, theirs): (&(u64, u64), &(u64, u64))| {
            ours.0.max(theirs.0) < ours.1.min(theirs.1)
        };
        if let Some(run) = first.iter().zip(theirs).position(|pair| !overlaps(pair)) {
            return Err(MergeError::Time(place, run));
        }
    }
    Ok(merged)
}

/// When a run began and ended, since 1970.
fn time(run: &Run) -> (u64, u64) {
    let start = run.started_unix_ns;
    // A machine of a merged run may have begun later.
    let length = run.result.elapsed_ns.saturating_add(run.start_skew_ns);
    (start, start.saturating_add(length))
}

/// Merges documents of machines that measured at the same time.
///
/// The figures and their intervals are computed anew, with the seed of the first. The first's targets and client stand for
/// all; where each came from is kept.
///
/// # Errors
///
/// They do not go together.
pub fn merge(documents: Vec<Document>) -> Result<Document, MergeError> {
    let mut documents = documents.into_iter().enumerate();
    let (_, mut merged) = documents.next().ok_or(MergeError::Nothing)?;
    can_be_merged(0, &merged.plan)?;
    for (place, document) in documents {
        can_be_merged(place, &document.plan)?;
        same_question(&merged, &document, place)?;
        add_load(&mut merged.load, &document.load, place)?;
        let runs = (merged.runs.len(), document.runs.len());
        if runs.0 != runs.1 {
            return Err(MergeError::Runs(place, runs.0, runs.1));
        }
        for (ours, theirs) in merged.runs.iter_mut().zip(&document.runs) {
            add_run(ours, theirs);
        }
        merged.provenance.extend(document.provenance);
        merged.stopped = merged.stopped.or(document.stopped);
    }
    let mut tally = Tally::default();
    for run in &merged.runs {
        tally.add((&run.result).into());
    }
    merged.plan = Plan::Iterations(merged.runs.len() as u64);
    merged.answer = Answer::Iterated;
    let bootstrap = Bootstrap::new(merged.provenance.first().map_or(0, |first| first.seed));
    merged.servers = vec![Figures::of(
        0,
        &tally.summary(&bootstrap),
        merged.reply_bytes,
    )];
    Ok(merged)
}

fn can_be_merged(place: usize, plan: &Plan) -> Result<(), MergeError> {
    match plan {
        Plan::Iterations(_) | Plan::UntilCi { .. } => Ok(()),
        Plan::Search(_) | Plan::Compare(_) => Err(MergeError::Plan(place)),
    }
}

/// Whether the same was asked of the same servers in the same way.
fn same_question(ours: &Document, theirs: &Document, place: usize) -> Result<(), MergeError> {
    let version = |document: &Document| {
        let mut all = document.provenance.iter();
        all.next()
            .map(|from| (from.tool.clone(), from.version.clone()))
    };
    for (same, what) in [
        (version(ours) == version(theirs), "version"),
        (ours.targets == theirs.targets, "server"),
        (
            (ours.request_bytes, ours.reply_bytes) == (theirs.request_bytes, theirs.reply_bytes),
            "length",
        ),
        (ours.what == theirs.what, "what is asked"),
        (ours.client.engine == theirs.client.engine, "engine"),
        (
            ours.client.busy_poll == theirs.client.busy_poll,
            "busy poll",
        ),
    ] {
        if !same {
            return Err(MergeError::Load(place, what));
        }
    }
    Ok(())
}

/// Adds the load of another machine, which must be of the same kind.
fn add_load(ours: &mut Load, theirs: &Load, place: usize) -> Result<(), MergeError> {
    let pace = match (ours.pace, theirs.pace) {
        (Pace::Closed, Pace::Closed) => Some(Pace::Closed),
        (
            Pace::Open { rate, arrivals },
            Pace::Open {
                rate: more,
                arrivals: theirs,
            },
        ) if arrivals == theirs => {
            let sum = rate.as_per_second() + more.as_per_second();
            let rate = Rate::per_second(sum).map_err(|_| MergeError::Rate)?;
            Some(Pace::Open { rate, arrivals })
        }
        _ => None,
    };
    let differs = |what| MergeError::Load(place, what);
    for (same, what) in [
        (ours.transport == theirs.transport, "transport"),
        (ours.in_flight == theirs.in_flight, "requests in flight"),
        (ours.extent == theirs.extent, "count or duration"),
        (ours.warmup_ns == theirs.warmup_ns, "warm-up"),
        (ours.batch == theirs.batch, "batch"),
        (ours.timeout_ns == theirs.timeout_ns, "timeout"),
    ] {
        if !same {
            return Err(differs(what));
        }
    }
    ours.pace = pace.ok_or(differs("pace"))?;
    ours.threads += theirs.threads;
    ours.connections += theirs.connections;
    Ok(())
}

/// Adds a run of another machine at the same time.
fn add_run(ours: &mut Run, theirs: &Run) {
    let last = |run: &Run| run.started_unix_ns.saturating_add(run.start_skew_ns);
    let last = last(ours).max(last(theirs));
    ours.started_unix_ns = ours.started_unix_ns.min(theirs.started_unix_ns);
    ours.start_skew_ns = last - ours.started_unix_ns;
    let (mine, other) = (
        &mut RunResult::from(&ours.result),
        &RunResult::from(&theirs.result),
    );
    let window = beside(mine.window, other.window);
    let intervals = intervals_beside(&mine.intervals, &other.intervals);
    let elapsed_ns = mine.elapsed_ns.max(other.elapsed_ns);
    // The connections of the other machine have the numbers after those of this one.
    let connections: usize = mine.threads.iter().map(|thread| thread.connections).sum();
    let failures = mine.failures.len();
    RunResult::merge(mine, other);
    for failure in &mut mine.failures[failures..] {
        failure.connection += connections;
    }
    mine.failures.sort_by_key(|failure| failure.at_ns);
    (mine.window, mine.intervals, mine.elapsed_ns) = (window, intervals, elapsed_ns);
    ours.result = (&*mine).into();
}

/// The window in which the threads of both machines were active: the shorter one, with the rates of both.
fn beside(one: Window, other: Window) -> Window {
    let length_ns = one.length_ns.min(other.length_ns);
    let part = |window: Window| {
        let answered = u128::from(window.answered) * u128::from(length_ns);
        (answered / u128::from(window.length_ns.max(1))) as u64
    };
    Window {
        length_ns,
        answered: part(one) + part(other),
    }
}

/// The intervals of both machines, as long as the longer ones of them: those that begin in one are a part of it.
fn intervals_beside(one: &[Interval], other: &[Interval]) -> Vec<Interval> {
    let length = |intervals: &[Interval]| intervals.first().map_or(0, |first| first.length_ns);
    let (long, short) = if length(one) >= length(other) {
        (one, other)
    } else {
        (other, one)
    };
    let mut merged = long.to_vec();
    for interval in short {
        let place = merged.partition_point(|long| long.start_ns <= interval.start_ns);
        match place.checked_sub(1).and_then(|place| merged.get_mut(place)) {
            Some(long) if interval.start_ns < long.start_ns + long.length_ns => {
                long.response.merge(&interval.response);
                // The last one may be cut off earlier on one machine than on the other.
                let end = interval.start_ns + interval.length_ns;
                long.length_ns = long.length_ns.max(end - long.start_ns);
            }
            _ => merged.insert(place, interval.clone()),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        campaign::{Conclusion, Summary},
        report::json::tests::{question, run_of},
        result::{Failure, FailureKind},
        run::EngineKind,
        stats::search::SearchPlan,
    };

    /// A document with these runs.
    fn document(results: &[RunResult]) -> Document {
        let runs = results.iter().enumerate().map(|(number, result)| Run {
            number: number as u64,
            target: 0,
            rate: None,
            seed: 1,
            started_unix_ns: 100 + number as u64,
            start_skew_ns: 0,
            result: result.into(),
        });
        let mut tally = Tally::default();
        results.iter().for_each(|result| tally.add(result.clone()));
        let summary: Summary = tally.summary(&Bootstrap::new(7));
        let conclusion = Conclusion::<String> {
            servers: vec![summary],
            answer: Answer::Iterated,
            stopped: None,
        };
        let question = question(Plan::Iterations(results.len() as u64));
        Document::new(question, runs.collect(), &conclusion)
    }

    /// Six runs of 1,000 latencies, in each of which the later half is from later times.
    fn latencies() -> Vec<Vec<u64>> {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut run = || (0..1_000).map(|_| rng.u64(1_000..90_000)).collect();
        (0..6).map(|_| run()).collect()
    }

    /// The part of a run that one of two machines measured: of each half, every second.
    fn part(latencies: &[u64], machine: usize) -> Vec<u64> {
        latencies.iter().skip(machine).step_by(2).copied().collect()
    }

    #[test]
    fn to_merge_is_to_have_measured_together() {
        let whole: Vec<_> = latencies().iter().map(|run| run_of(run, 4)).collect();
        let machine = |machine| {
            let runs = latencies();
            let parts = runs.iter().map(|run| run_of(&part(run, machine), 2));
            document(&parts.collect::<Vec<_>>())
        };
        let together = document(&whole);
        let merged = merge(vec![machine(0), machine(1)]).unwrap();
        assert_eq!(merged.runs.len(), 6);
        for (ours, theirs) in merged.runs.iter().zip(&together.runs) {
            assert!(ours.result == theirs.result);
        }
        assert_eq!(merged.servers, together.servers);
        assert_eq!((merged.load.threads, merged.load.connections), (4, 4));
        let Pace::Open { rate, .. } = merged.load.pace else {
            panic!("{:?}", merged.load.pace);
        };
        assert_eq!(rate.as_per_second(), 10_000.0);
        assert_eq!(merged.provenance.len(), 2);
    }

    #[test]
    fn merged_documents_can_be_merged_and_one_is_as_it_was() {
        let one = document(&[run_of(&[1_000; 500], 1), run_of(&[2_000; 500], 1)]);
        // Equal or not: in words, their histograms would fill books.
        assert!(merge(vec![one.clone()]).unwrap() == one);
        let pair = merge(vec![one.clone(), one.clone()]).unwrap();
        let three = merge(vec![pair, one.clone()]).unwrap();
        let at_once = merge(vec![one; 3]).unwrap();
        assert!(three == at_once);
        assert_eq!(three.servers[0].response.count, 3_000);
    }

    #[test]
    fn rates_add_up_also_if_windows_differ() {
        let window = |length_ns, answered| Window {
            length_ns,
            answered,
        };
        assert_eq!(beside(window(100, 50), window(100, 70)), window(100, 120));
        assert_eq!(beside(window(100, 50), window(200, 70)), window(100, 85));
        assert_eq!(beside(window(100, 50), window(0, 0)), window(0, 0));
        let days = window(u64::MAX / 2, u64::MAX / 4);
        assert_eq!(beside(days, days), window(u64::MAX / 2, u64::MAX / 4 * 2));
    }

    #[test]
    fn intervals_are_merged_by_their_time() {
        let interval = |start_ns, length_ns, count| {
            let mut interval = Interval {
                start_ns,
                length_ns,
                ..Interval::default()
            };
            interval.response.buckets.push((5, count));
            interval
        };
        let coarse = [
            interval(0, 20, 1),
            interval(20, 20, 10),
            interval(40, 5, 100),
        ];
        let fine: Vec<_> = (0..6).map(|i| interval(i * 10, 10, 1_000)).collect();
        let expected = [
            interval(0, 20, 2_001),
            interval(20, 20, 2_010),
            interval(40, 10, 1_100),
            interval(50, 10, 1_000),
        ];
        assert_eq!(intervals_beside(&coarse, &fine), expected);
        assert_eq!(intervals_beside(&fine, &coarse), expected);
        assert_eq!(intervals_beside(&[], &fine), fine);
    }

    #[test]
    fn a_failure_is_that_of_its_machine_s_connection() {
        let mut good = run_of(&[1_000; 10], 1);
        good.threads[0].connections = 3;
        let mut bad = good.clone();
        bad.failures.push(Failure {
            connection: 1,
            at_ns: 5,
            kind: FailureKind::System,
            message: "reset".to_owned(),
        });
        let mut second = document(&[bad]);
        second.stopped = Some("a run failed".to_owned());
        let merged = merge(vec![document(&[good]), second]).unwrap();
        assert_eq!(merged.runs[0].result.failures[0].connection, 4);
        assert_eq!(merged.stopped.as_deref(), Some("a run failed"));
    }

    /// A document of another machine.
    fn elsewhere(host: &str, started_unix_ns: u64) -> Document {
        let mut document = document(&[run_of(&[1_000; 10], 1)]);
        document.provenance[0].machine.host = Some(host.to_owned());
        document.provenance[0].time = "2026-11-21T17:00:00.000Z".to_owned();
        document.runs[0].started_unix_ns = started_unix_ns;
        document
    }

    #[test]
    fn stored_runs_must_be_of_the_same_time_and_none_is_counted_twice() {
        const SECOND: u64 = 1_000_000_000;
        let merged = |times: &[u64], any_time| {
            let hosts = times.iter().enumerate();
            let documents = hosts.map(|(host, &time)| elsewhere(&host.to_string(), time));
            merge_stored(documents.collect(), any_time)
        };
        // Each takes a second.
        let late = merged(&[7 * SECOND, 7 * SECOND + 5, 7 * SECOND + 3], false).unwrap();
        assert_eq!(late.runs[0].started_unix_ns, 7 * SECOND);
        assert_eq!(late.runs[0].start_skew_ns, 5);
        for (times, place) in [([7, 8, 7], 1), ([7, 7, 6], 2), ([7, 7, 9], 2)] {
            let times = times.map(|time| time * SECOND);
            let error = merged(&times, false).unwrap_err();
            assert_eq!(error, MergeError::Time(place, 0));
            assert!(merged(&times, true).is_ok());
        }
        let twice = [("a", 7), ("b", 7), ("a", 7)].map(|(host, time)| elsewhere(host, time));
        assert_eq!(
            merge_stored(twice.to_vec(), true).unwrap_err(),
            MergeError::Again(2)
        );
        // Also if it was merged before.
        let [a, b, again] = twice;
        let pair = merge_stored(vec![a, b], false).unwrap();
        assert_eq!(
            merge_stored(vec![again, pair], false).unwrap_err(),
            MergeError::Again(1)
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let one = || document(&[run_of(&[1_000; 10], 1)]);
        let refused = |change: &dyn Fn(&mut Document)| {
            let mut other = one();
            change(&mut other);
            let error = merge(vec![one(), other]).unwrap_err();
            assert_eq!(error.document(), Some(1));
            error.to_string()
        };
        assert_eq!(
            refused(&|other| other.load.in_flight = 1),
            "another load than the first: requests in flight"
        );
        assert_eq!(
            refused(&|other| other.load.pace = Pace::Closed),
            "another load than the first: pace"
        );
        let differs = |what| format!("another load than the first: {what}");
        assert_eq!(
            refused(&|other| other.request_bytes = 8_000),
            differs("length")
        );
        assert_eq!(
            refused(&|other| other.targets[0].push('x')),
            differs("server")
        );
        assert_eq!(
            refused(&|other| other.what.push('x')),
            differs("what is asked")
        );
        assert_eq!(
            refused(&|other| other.load.timeout_ns += 1),
            differs("timeout")
        );
        assert_eq!(
            refused(&|other| other.client.engine = EngineKind::IoUring),
            differs("engine")
        );
        assert_eq!(
            refused(&|other| other.client.busy_poll = true),
            differs("busy poll")
        );
        assert_eq!(
            refused(&|other| other.provenance[0].version.push('1')),
            differs("version")
        );
        assert_eq!(
            refused(&|other| other.runs.clear()),
            "runs: 0, and in the first 1"
        );
        let plan = SearchPlan::new("p99<1us".parse().unwrap());
        assert_eq!(
            refused(&|other| other.plan = Plan::Search(plan.clone())),
            "a search or a comparison cannot be merged"
        );
        assert_eq!(merge(Vec::new()).unwrap_err(), MergeError::Nothing);
        let mut fast = one();
        if let Pace::Open { rate, .. } = &mut fast.load.pace {
            *rate = Rate::per_second(1e9).unwrap();
        }
        assert_eq!(
            merge(vec![fast.clone(), fast]).unwrap_err(),
            MergeError::Rate
        );
    }
}
