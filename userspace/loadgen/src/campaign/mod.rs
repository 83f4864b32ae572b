// SPDX-License-Identifier: GPL-2.0

//! Several runs that answer one question: how fast is it, how fast is it if the latency must stay below a limit, and which
//! of two is faster.
//!
//! A campaign decides which run comes next, and when it is over; how a run is made is the [`Runner`]'s. So that runs are as
//! independent as the statistics take them to be, every run is to have connections of its own.

pub mod options;
mod plan;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use plan::{ComparePlan, Plan};

use crate::{
    histogram::LONGEST_NS,
    result::Distribution,
    stats::{
        bootstrap::{Bootstrap, Estimate},
        compare::{self, Order, Side},
        pooled::{Headline, Units},
        search::{is_sustained, Found, Search, SearchPlan, Step, Trial, Verdict},
        until_ci::{Decision, UntilCi},
    },
    RunResult,
};

/// What one run of a campaign is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Which run it is, from 0.
    pub number: u64,
    /// Which server it is for: always 0, but 0 or 1 when two are compared.
    pub target: usize,
    /// At which rate, in requests per second; `None` if the campaign leaves that to the runner.
    pub rate: Option<u64>,
    /// What random arrivals depend on; another one for each run.
    pub seed: u64,
}

/// What makes runs: over new connections, from beginning to end.
pub trait Runner {
    /// Why there was no run, for instance because nobody listens.
    type Error;

    /// Makes a run. What goes wrong in it is part of its result.
    fn run(&mut self, assignment: &Assignment) -> Result<RunResult, Self::Error>;

    /// Whether somebody wants no more runs, and the last one may have ended early.
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// What is told of a campaign while it goes on.
pub trait Observer {
    /// A run begins. As things are, it is one of so many; `None` if that depends on what is measured.
    fn begins(&mut self, _assignment: &Assignment, _of: Option<u64>) {}

    /// A run has ended.
    fn ended(&mut self, _assignment: &Assignment, _result: &RunResult) {}
}

/// Nobody who would have to be told.
impl Observer for () {}

/// What a campaign brought, also if it did not come to its end.
#[derive(Debug)]
pub struct Conclusion<E> {
    /// What was measured of each server: of one, or of the two that were compared. Not of the runs of a search, which have
    /// different loads.
    pub servers: Vec<Summary>,
    /// The answer, as far as it is known.
    pub answer: Answer,
    /// Why the campaign did not come to its end.
    pub stopped: Option<Stopped<E>>,
}

/// All runs with one server together.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many runs there were.
    pub runs: u64,
    /// All of them merged, without their intervals over time.
    pub total: RunResult,
    /// The figures that are known with their confidence intervals.
    pub headline: Headline,
}

/// What a campaign found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// As many runs were made as were asked for.
    Iterated,
    /// Runs were made until the confidence intervals were narrow enough, or not any more allowed.
    UntilCi(Decision),
    /// The highest rate was searched for.
    Searched(Searched),
    /// Two servers were compared.
    Compared(Compared),
}

/// What a search brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// The answer, as far as it was known when the search ended; `None` if nothing was.
    pub found: Option<Found>,
    /// Each rate that was tried, what was found there and in how many runs; the lowest first.
    pub tried: Vec<(u64, Verdict, u32)>,
}

/// What a comparison brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// How many pairs of runs were made.
    pub pairs: u64,
    /// The difference that does not matter, relative.
    pub threshold: f64,
    /// Whether the ratios' intervals became narrow enough, if that was to end the comparison.
    pub decision: Option<Decision>,
    /// Replies per second.
    pub rate: Ratio,
    /// The median latency.
    pub median: Ratio,
    /// The 99th percentile of the latency.
    pub p99: Ratio,
}

/// How the first server's figure is related to the second's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The geometric mean of the pairs' ratios; `None` if not every run has that figure.
    pub estimate: Option<Estimate>,
    /// What can be said of it.
    pub verdict: compare::Verdict,
}

/// Why a campaign did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped<E> {
    /// There was no run.
    NoRun(E),
    /// Something went wrong in the last run, which is part of the result.
    Failure,
    /// Somebody wanted no more runs. The last one is part of the result.
    Interrupt,
}

impl<E: fmt::Display> fmt::Display for Stopped<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRun(error) => error.fmt(f),
            Self::Failure => f.write_str("a run failed"),
            Self::Interrupt => f.write_str("interrupted"),
        }
    }
}

/// Makes runs until the plan is fulfilled, or something goes wrong.
///
/// All that is random depends on the seed.
pub fn conduct<R: Runner>(
    plan: &Plan,
    seed: u64,
    runner: &mut R,
    observer: &mut impl Observer,
) -> Conclusion<R::Error> {
    let mut seeds = fastrand::Rng::with_seed(seed);
    let bootstrap = Bootstrap::new(seeds.u64(..));
    let order = seeds.u64(..);
    let conduct = Conduct {
        runner,
        observer,
        seeds,
        number: 0,
    };
    match plan {
        Plan::Iterations(runs) => conduct.iterate(*runs, &bootstrap),
        Plan::UntilCi { width, most } => conduct.until_ci(*width, *most, &bootstrap),
        Plan::Search(plan) => conduct.search(plan),
        Plan::Compare(plan) => conduct.compare(plan, Order::new(order), &bootstrap),
    }
}

/// Whoever makes the runs of a campaign.
struct Conduct<'a, R, O> {
    runner: &'a mut R,
    observer: &'a mut O,
    seeds: fastrand::Rng,
    number: u64,
}

/// The runs with one server, as they come.
#[derive(Default)]
pub(crate) struct Tally {
    runs: u64,
    total: RunResult,
    units: Units,
}

impl Tally {
    pub(crate) fn add(&mut self, mut run: RunResult) {
        self.runs += 1;
        self.units.add(&run);
        // Over time, each run is a thing of its own.
        run.intervals.clear();
        self.total.merge(&run);
    }

    pub(crate) fn summary(self, bootstrap: &Bootstrap) -> Summary {
        Summary {
            headline: Headline::of(&self.units, bootstrap),
            runs: self.runs,
            total: self.total,
        }
    }
}

impl<R: Runner, O: Observer> Conduct<'_, R, O> {
    /// Makes a run.
    fn run(
        &mut self,
        target: usize,
        rate: Option<u64>,
        of: Option<u64>,
    ) -> Result<RunResult, Stopped<R::Error>> {
        let assignment = Assignment {
            number: self.number,
            target,
            rate,
            seed: self.seeds.u64(..),
        };
        self.number += 1;
        self.observer.begins(&assignment, of);
        let result = self.runner.run(&assignment).map_err(Stopped::NoRun)?;
        self.observer.ended(&assignment, &result);
        Ok(result)
    }

    /// Makes a run and adds it.
    fn tally(&mut self, tally: &mut Tally, of: Option<u64>) -> Result<(), Stopped<R::Error>> {
        let result = self.run(0, None, of)?;
        let goes_on = self.goes_on(&result);
        tally.add(result);
        goes_on
    }

    /// Whether there may be a run after this one.
    fn goes_on(&self, result: &RunResult) -> Result<(), Stopped<R::Error>> {
        if !result.failures.is_empty() {
            Err(Stopped::Failure)
        } else if self.runner.is_interrupted() {
            Err(Stopped::Interrupt)
        } else {
            Ok(())
        }
    }

    fn iterate(mut self, runs: u64, bootstrap: &Bootstrap) -> Conclusion<R::Error> {
        let mut tally = Tally::default();
        let stopped = (0..runs).find_map(|_| self.tally(&mut tally, Some(runs)).err());
        Conclusion {
            servers: vec![tally.summary(bootstrap)],
            answer: Answer::Iterated,
            stopped,
        }
    }

    fn until_ci(mut self, width: f64, most: u64, bootstrap: &Bootstrap) -> Conclusion<R::Error> {
        let mut until = UntilCi::new(width, most);
        let mut tally = Tally::default();
        let (decision, stopped) = loop {
            if let Err(stopped) = self.tally(&mut tally, None) {
                break (Decision::GoOn, Some(stopped));
            }
            // Before that, no interval counts, and none needs to be computed.
            let figures = (tally.runs >= UntilCi::LEAST_RUNS).then(|| {
                let headline = Headline::of(&tally.units, bootstrap);
                [headline.median_ns, headline.rate]
            });
            let decision = until.after_run(&figures.unwrap_or_default());
            if decision != Decision::GoOn {
                break (decision, None);
            }
        };
        Conclusion {
            servers: vec![tally.summary(bootstrap)],
            answer: Answer::UntilCi(decision),
            stopped,
        }
    }

    fn search(mut self, plan: &SearchPlan) -> Conclusion<R::Error> {
        let mut search = Search::new(plan.clone());
        let (found, stopped) = loop {
            let rate = match search.next() {
                Step::Measure(rate) => rate,
                Step::Done(found) => break (Some(found), None),
            };
            let result = self.run(0, Some(rate), None);
            let result = result.and_then(|result| self.goes_on(&result).map(|()| result));
            match result {
                Ok(result) => search.measured(rate, &trial(rate, plan.random_arrivals, &result)),
                Err(stopped) => break (search.so_far(), Some(stopped)),
            }
        };
        Conclusion {
            servers: Vec::new(),
            answer: Answer::Searched(Searched {
                found,
                tried: search.verdicts().collect(),
            }),
            stopped,
        }
    }

    fn compare(
        mut self,
        plan: &ComparePlan,
        mut order: Order,
        bootstrap: &Bootstrap,
    ) -> Conclusion<R::Error> {
        let mut until = plan.width.map(|width| UntilCi::new(width, plan.pairs));
        let runs = plan.width.is_none().then_some(plan.pairs * 2);
        let mut tallies = [Tally::default(), Tally::default()];
        let mut pairs = Pairs::default();
        let mut stopped = None;
        let mut decision = until.as_ref().map(|_| Decision::GoOn);
        while pairs.count < plan.pairs {
            let sides = [order.next(), order.next()].map(|side| side.unwrap_or(Side::A));
            stopped = sides.into_iter().find_map(|side| {
                let target = usize::from(side == Side::B);
                let made = self.run(target, None, runs).and_then(|result| {
                    pairs.add(target, &result);
                    let goes_on = self.goes_on(&result);
                    tallies[target].add(result);
                    goes_on
                });
                made.err()
            });
            if stopped.is_some() {
                break;
            }
            pairs.count += 1;
            if let Some(until) = &mut until {
                let figures = (pairs.count >= UntilCi::LEAST_RUNS).then(|| {
                    [
                        pairs.median.estimate(bootstrap),
                        pairs.rate.estimate(bootstrap),
                    ]
                });
                let now = until.after_run(&figures.unwrap_or_default());
                decision = Some(now);
                if now != Decision::GoOn {
                    break;
                }
            }
        }
        Conclusion {
            servers: tallies.map(|tally| tally.summary(bootstrap)).into(),
            answer: Answer::Compared(pairs.compared(plan.threshold, decision, bootstrap)),
            stopped,
        }
    }
}

/// What a run at a rate tells a search.
fn trial(rate: u64, random_arrivals: bool, result: &RunResult) -> Trial {
    // Replies come a latency after their requests, so that there are none at the beginning of the window.
    let delay = result.response.as_hdr().mean() / (result.window.length_ns as f64).max(1.0);
    // The standard deviation of a number of random arrivals is its square root.
    let scheduled = result.ledger.scheduled.max(1) as f64;
    let chance = if random_arrivals {
        3.0 / scheduled.sqrt()
    } else {
        0.0
    };
    let sustained = result.window.rate().is_some_and(|replies| {
        is_sustained(rate as f64, replies, result.ledger.skipped, delay + chance)
    });
    let mut latencies = result.response.distribution();
    // They would have been answered later than the timeout allows, if at all.
    let unanswered = result.ledger.late + result.ledger.lost;
    if unanswered != 0 {
        latencies.merge(&Distribution {
            buckets: vec![(LONGEST_NS, unanswered)],
        });
    }
    Trial {
        sustained,
        latencies,
    }
}

/// The figures of the two servers, run by run.
#[derive(Default)]
struct Pairs {
    count: u64,
    rate: Figures,
    median: Figures,
    p99: Figures,
}

/// One figure of each run with the first and with the second server; not a number if a run does not have it.
#[derive(Default)]
struct Figures([Vec<f64>; 2]);

impl Figures {
    fn add(&mut self, target: usize, figure: Option<f64>) {
        self.0[target].push(figure.unwrap_or(f64::NAN));
    }

    fn estimate(&self, bootstrap: &Bootstrap) -> Option<Estimate> {
        // Of a pair that is not complete, nothing is said.
        let pairs: Vec<_> = self.0[0]
            .iter()
            .copied()
            .zip(self.0[1].iter().copied())
            .collect();
        compare::ratio(&pairs, bootstrap)
    }

    fn ratio(&self, threshold: f64, bootstrap: &Bootstrap) -> Ratio {
        let estimate = self.estimate(bootstrap);
        let interval = estimate.and_then(|estimate| estimate.interval);
        Ratio {
            estimate,
            verdict: compare::verdict(interval, threshold),
        }
    }
}

impl Pairs {
    fn add(&mut self, target: usize, result: &RunResult) {
        let percentile = |hundredths| {
            let percentile = result
                .response
                .percentile(crate::histogram::Percentile(hundredths));
            percentile.map(|latency| latency.as_nanos() as f64)
        };
        self.rate.add(target, result.window.rate());
        self.median.add(target, percentile(5_000));
        self.p99.add(target, percentile(9_900));
    }

    fn compared(
        &self,
        threshold: f64,
        decision: Option<Decision>,
        bootstrap: &Bootstrap,
    ) -> Compared {
        Compared {
            pairs: self.count,
            threshold,
            decision,
            rate: self.rate.ratio(threshold, bootstrap),
            median: self.median.ratio(threshold, bootstrap),
            p99: self.p99.ratio(threshold, bootstrap),
        }
    }
}

#[cfg(test)]
mod tests;
