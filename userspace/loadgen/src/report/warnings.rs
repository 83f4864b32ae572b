// SPDX-License-Identifier: GPL-2.0

//! Why figures may not be what they seem.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::{
    json::Run,
    number::{grouped, latency},
    Subject,
};
use crate::{
    result::Interval,
    stats::{
        sanity::{ClientLimit, Little},
        steady::{Steadiness, Unsteady},
    },
    RunResult,
};

/// What can be said against runs, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Threads of the client had no time left.
    ClientBusy,
    /// Threads of the client waited for a processor.
    ClientWaited,
    /// Requests were sent later than they were due.
    ClientLate,
    /// Rate and latency contradict each other.
    Little,
    /// The rate rose or fell.
    RateDrifts,
    /// The rate was now this and then that.
    RateVaries,
    /// The median latency rose or fell.
    MedianDrifts,
    /// The median latency was now this and then that.
    MedianVaries,
    /// The threads were never all active at once.
    NoWindow,
    /// Machines that measured together did not begin together.
    Skew,
}

/// Why the figures of runs may not be what they seem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// What kind of reason it is.
    pub kind: Kind,
    /// What is said, of the first of these runs.
    pub text: String,
    /// The first run that it is said of, from 0.
    pub first_run: u64,
    /// Of how many runs it is said.
    pub runs: u64,
}

/// The warnings of all runs: one line for each kind, however many runs it is of.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    runs: u64,
    found: Vec<Warning>,
}

impl Warnings {
    /// Looks at one more run.
    pub fn add(&mut self, run: &RunResult, subject: &Subject) {
        self.runs += 1;
        for limit in ClientLimit::of(run, subject.polls) {
            let kind = match limit {
                ClientLimit::Processor { .. } => Kind::ClientBusy,
                ClientLimit::Waited { .. } => Kind::ClientWaited,
                ClientLimit::Lag { .. } => Kind::ClientLate,
            };
            self.note(kind, limit);
        }
        let in_flight =
            (subject.load.connections as u64).saturating_mul(subject.load.in_flight as u64);
        let little = Little::of(run, in_flight).filter(|_| !subject.load.is_open_loop());
        if let Some(little) = little.filter(|little| !little.holds()) {
            self.note(
                Kind::Little,
                format!("Little's law does not hold: {little}"),
            );
        }
        // What comes after it is the wait for the last replies.
        let in_window = |interval: &Interval| interval.start_ns < run.window.length_ns;
        let end = run.intervals.partition_point(in_window);
        let steadiness = Steadiness::of(&run.intervals[..end]);
        for objection in steadiness.iter().flat_map(Steadiness::objections) {
            let kind = match objection {
                Unsteady::RateDrifts(_) => Kind::RateDrifts,
                Unsteady::RateVaries(_) => Kind::RateVaries,
                Unsteady::MedianDrifts(_) => Kind::MedianDrifts,
                Unsteady::MedianVaries(_) => Kind::MedianVaries,
            };
            self.note(kind, format!("not steady: {objection}"));
        }
        if run.window.rate().is_none() && run.ledger.answered != 0 {
            let text = "the threads were never all active at once, so there is no rate: the run is too short";
            self.note(Kind::NoWindow, text);
        }
    }

    /// All of them, the gravest first.
    pub fn all(&self) -> Vec<Warning> {
        let mut found = self.found.clone();
        found.sort_by_key(|warning| warning.kind);
        found
    }

    /// Looks at when the machines of a merged run began.
    pub fn add_skew(&mut self, run: &Run) {
        /// The greatest part of a run's length that its machines may begin after each other.
        const MOST: f64 = 0.1;

        let length = run.result.elapsed_ns as f64;
        let skew = run.start_skew_ns as f64;
        if skew > length * MOST {
            let text = format!(
                "the machines did not begin together: the last one was {} behind, by their clocks",
                latency(skew)
            );
            self.note(Kind::Skew, text);
        }
    }

    /// The lines, the gravest first; none if there is nothing to be said.
    pub fn lines(&self) -> Vec<String> {
        let line = |warning: Warning| {
            let Warning {
                text,
                first_run,
                runs,
                ..
            } = &warning;
            let first = grouped(first_run + 1);
            let which = match (self.runs, *runs) {
                (1, _) => String::new(),
                (_, 1) => format!("run {first}: "),
                (all, runs) => {
                    format!(
                        "{} of {} runs, run {first} first: ",
                        grouped(runs),
                        grouped(all)
                    )
                }
            };
            format!("warning: {which}{text}")
        };
        self.all().into_iter().map(line).collect()
    }

    fn note(&mut self, kind: Kind, text: impl Display) {
        match self.found.iter_mut().find(|warning| warning.kind == kind) {
            Some(warning) => warning.runs += 1,
            None => self.found.push(Warning {
                kind,
                text: text.to_string(),
                first_run: self.runs.saturating_sub(1),
                runs: 1,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{
            tests::{closed, open},
            WIDTH,
        },
        result::{Distribution, ThreadResult, Window},
    };

    const SECOND: u64 = 1_000_000_000;

    /// A second with replies after 1 ms each: as many as 4 connections with 128 requests in flight have.
    fn good() -> RunResult {
        let mut run = RunResult {
            window: Window {
                length_ns: SECOND,
                answered: 512_000,
            },
            threads: vec![ThreadResult {
                elapsed_ns: SECOND,
                cpu_ns: SECOND / 2,
                sent: 512_000,
                answered: 512_000,
                ..ThreadResult::default()
            }],
            ..RunResult::default()
        };
        run.ledger.sent = 512_000;
        run.ledger.answered = 512_000;
        run.service.record(1_000_000);
        run.response.record(1_000_000);
        run
    }

    fn lines(runs: &[RunResult], subject: &Subject) -> Vec<String> {
        let mut warnings = Warnings::default();
        runs.iter().for_each(|run| warnings.add(run, subject));
        warnings.lines()
    }

    #[test]
    fn of_a_good_run_nothing_is_said() {
        assert_eq!(lines(&[good()], &closed()), [""; 0]);
        assert_eq!(lines(&[], &closed()), [""; 0]);
    }

    #[test]
    fn each_reason_is_one_line() {
        let mut bad = good();
        bad.threads[0].cpu_ns = SECOND;
        bad.threads[0].lag_total_ns = 512_000 * 200_000;
        bad.window.answered = 256_000;
        // The rate grows, and the latency is now this and then that.
        bad.intervals = (0..20)
            .map(|number| Interval {
                start_ns: number * SECOND / 20,
                length_ns: SECOND / 20,
                response: Distribution {
                    buckets: vec![(1_000 * (1 + number % 2), 1_000 + 50 * number)],
                },
            })
            .collect();
        let found = lines(&[bad], &closed());
        let expected = [
            "warning: the client was the limit: 1 of 1 threads had no time left (busy for 100 %)",
            "warning: the client was late: requests were sent 200.0 us after they were due, 20 % of the latency",
            "warning: Little's law does not hold: rate times mean latency is 256.049 requests in flight, not 512",
            "warning: not steady: the rate rose by 64 %",
            "warning: not steady: the median latency varied by 35 % (standard deviation)",
        ];
        assert_eq!(found, expected);
        assert!(found.iter().all(|line| line.len() <= WIDTH));
    }

    #[test]
    fn many_runs_are_told_together() {
        let mut short = good();
        short.window = Window::default();
        let text =
            "the threads were never all active at once, so there is no rate: the run is too short";
        assert_eq!(
            lines(&[good(), short.clone(), good()], &closed()),
            [format!("warning: run 2: {text}")]
        );
        assert_eq!(
            lines(&[good(), short.clone(), short], &closed()),
            [format!("warning: 2 of 3 runs, run 2 first: {text}")]
        );
    }

    #[test]
    fn the_law_is_for_closed_loops() {
        let mut half = good();
        half.window.answered = 256_000;
        assert_eq!(lines(&[half.clone()], &closed()).len(), 1);
        assert_eq!(lines(&[half], &open()), [""; 0]);
    }

    #[test]
    fn threads_that_poll_are_always_busy() {
        let mut busy = good();
        busy.threads[0].cpu_ns = SECOND;
        let polling = Subject {
            polls: true,
            ..closed()
        };
        assert_eq!(lines(&[busy.clone()], &polling), [""; 0]);
        assert_eq!(lines(&[busy], &closed()).len(), 1);
    }
}
