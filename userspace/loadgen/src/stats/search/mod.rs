// SPDX-License-Identifier: GPL-2.0

//! The highest rate that keeps a latency objective.
//!
//! The rate is doubled until the objective is missed (or halved until it is met), and then the middle, on the logarithmic
//! scale, between the highest rate that met it and the lowest that missed it is tried, until these two are as close as was
//! asked for. That finds the rate if more load does not make latencies shorter. But a measurement may be wrong: a rate
//! whose verdict is not clear is measured again, up to three times, and judged by all its latencies together; a verdict that
//! another one contradicts, met above missed, is measured again; and the last two rates, which are the answer, are measured
//! at least twice.
//!
//! And more load does make latencies shorter where processors sleep deeply between requests, or interrupts are held back.
//! So if the first rate is missed though it is sustained, some higher ones are tried before lower ones; and rates that
//! contradict the answer are part of it.
//!
//! A rate that the server (or the client) does not sustain is missed whatever the latencies of what was answered: its
//! replies come at less than 99 % of the rate, or requests were skipped for too many were in flight. Requests without a
//! reply in time count as longer than any limit.
//!
//! The search is a state machine. It says what to measure next and is told what came of it.

use std::{collections::BTreeMap, ops::RangeBounds};

use serde::{Deserialize, Serialize};

use super::objective::{Judgement, Objectives};
use crate::result::Distribution;

/// How to search. Rates are in requests per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchPlan {
    /// What is to be kept.
    pub objectives: Objectives,
    /// Where to begin.
    pub first: u64,
    /// The lowest rate to try, at least 1.
    pub least: u64,
    /// The highest rate to try.
    pub most: u64,
    /// Whether requests are sent at random times, so that their number varies.
    pub random_arrivals: bool,
    /// How close the two rates of the answer are to be, relative to the lower one.
    pub resolution: f64,
    /// A latency that is nearer to its limit than this, relative to it, is measured again.
    pub margin: f64,
    /// How often one rate is measured at most.
    pub most_runs_at_a_rate: u32,
    /// How many measurements are made in all at most.
    pub most_runs: u32,
}

impl SearchPlan {
    /// From 1,000 requests a second on, to 2 %.
    pub fn new(objectives: Objectives) -> Self {
        Self {
            objectives,
            first: 1_000,
            least: 1,
            most: 1_000_000_000,
            random_arrivals: false,
            resolution: 0.02,
            margin: 0.05,
            most_runs_at_a_rate: 3,
            most_runs: 100,
        }
    }
}

/// What a measurement at a rate brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Whether the rate was sustained: see [`is_sustained`].
    pub sustained: bool,
    /// The response latencies, counted from when each request was intended to be sent; the longest there is for each that
    /// had no reply in time.
    pub latencies: Distribution,
}

/// Whether a rate was sustained: nothing was skipped, and replies came at 99 % of it or more.
///
/// `allowance` is by how much more the rate of replies may be below that which was asked for, relative to it, for reasons
/// that are not the server's.
pub fn is_sustained(rate: f64, replies_per_second: f64, skipped: u64, allowance: f64) -> bool {
    skipped == 0 && replies_per_second >= rate * (0.99 - allowance)
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Measure at this rate, and tell [`Search::measured`].
    Measure(u64),
    /// Nothing: this is what was found.
    Done(Found),
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The highest rate that kept the objective, with none between it and the lowest that kept it that missed it.
    pub met: Option<u64>,
    /// The lowest rate above that one that missed it; the lowest of all if none kept it.
    pub missed: Option<u64>,
    /// The highest rate above `missed` that kept the objective nevertheless.
    pub met_above: Option<u64>,
    /// The highest rate below all that kept the objective that missed it nevertheless.
    pub missed_below: Option<u64>,
    /// Why the search ended.
    pub end: End,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The two rates are as close as was asked for.
    Resolved,
    /// The objective is kept at the highest rate that was to be tried.
    MetAtMost,
    /// The objective is missed at the lowest rate that was to be tried.
    MissedAtLeast,
    /// Runs at the rates in question are too short for the percentile that is asked for.
    TooFewLatencies,
    /// As many measurements were made as were allowed.
    OutOfRuns,
    /// A run failed, or somebody wanted no more.
    Stopped,
}

/// How many higher rates, each this many times the one before, are tried if the first one is missed.
const PROBES: u32 = 4;
const PROBE_FACTOR: u64 = 4;

/// What is known of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It keeps the objective.
    Met,
    /// It does not.
    Missed,
    /// Its runs are too short to tell.
    Unknown,
}

/// All measurements at one rate.
#[derive(Clone, Debug)]
struct Evidence {
    runs: u32,
    sustained: u32,
    /// Those of the runs that sustained the rate.
    latencies: Distribution,
    verdict: Verdict,
    /// Whether the verdict needs no further run.
    clear: bool,
}

impl Evidence {
    fn new() -> Self {
        Self {
            runs: 0,
            sustained: 0,
            latencies: Distribution::default(),
            verdict: Verdict::Unknown,
            clear: false,
        }
    }

    fn add(&mut self, trial: &Trial, plan: &SearchPlan) {
        self.runs += 1;
        if trial.sustained {
            self.sustained += 1;
            self.latencies.merge(&trial.latencies);
        }
        // That a rate was not sustained may be the fault of one stall, and is believed if it happened twice.
        let not_sustained = self.runs - self.sustained;
        (self.verdict, self.clear) = if not_sustained >= self.sustained {
            (Verdict::Missed, self.sustained == 0 && self.runs >= 2)
        } else {
            match plan.objectives.judge(&self.latencies, plan.margin) {
                Judgement::Met => (Verdict::Met, not_sustained == 0),
                Judgement::NearlyMissed => (Verdict::Met, false),
                Judgement::TooFew => (Verdict::Unknown, false),
                Judgement::NearlyMet => (Verdict::Missed, false),
                Judgement::Missed => (Verdict::Missed, true),
            }
        };
    }
}

/// A search that is under way.
#[derive(Clone, Debug)]
pub struct Search {
    plan: SearchPlan,
    tried: BTreeMap<u64, Evidence>,
    runs: u32,
}

impl Search {
    /// Begins a search. Limits that contradict each other are put right: `least` counts most.
    pub fn new(mut plan: SearchPlan) -> Self {
        plan.least = plan.least.max(1);
        plan.most = plan.most.max(plan.least);
        plan.first = plan.first.clamp(plan.least, plan.most);
        plan.most_runs_at_a_rate = plan.most_runs_at_a_rate.max(1);
        Self {
            plan,
            tried: BTreeMap::new(),
            runs: 0,
        }
    }

    /// Takes what was measured at a rate.
    pub fn measured(&mut self, rate: u64, trial: &Trial) {
        let evidence = self.tried.entry(rate).or_insert_with(Evidence::new);
        evidence.add(trial, &self.plan);
        self.runs += 1;
    }

    /// What is known of each rate that was tried, and in how many runs, the lowest first.
    pub fn verdicts(&self) -> impl Iterator<Item = (u64, Verdict, u32)> + '_ {
        let tried = self.tried.iter();
        tried.map(|(&rate, evidence)| (rate, evidence.verdict, evidence.runs))
    }

    /// Says what to do next.
    pub fn next(&self) -> Step {
        let bracket = self.bracket();
        let step = self.go_on(bracket);
        match step {
            Step::Measure(_) if self.runs >= self.plan.most_runs => {
                self.done(bracket, End::OutOfRuns)
            }
            _ => step,
        }
    }

    /// What was found if nothing more can be measured; `None` if that is nothing.
    pub fn so_far(&self) -> Option<Found> {
        let bracket = self.bracket();
        let known = bracket.met.or(bracket.missed);
        known.map(|_| self.found(bracket, End::Stopped))
    }

    fn go_on(&self, bracket: Bracket) -> Step {
        if let Some(rate) = self.to_be_measured_again(bracket) {
            return Step::Measure(rate);
        }
        let plan = &self.plan;
        // Below the lowest miss, what cannot be judged is as good as untried, but lower rates cannot be judged either.
        let low = bracket.met.max(bracket.unknown);
        match (low, bracket.missed) {
            (None, None) => Step::Measure(plan.first),
            (Some(low), None) if low < plan.most => {
                Step::Measure(low.saturating_mul(2).min(plan.most))
            }
            (Some(low), None) => self.conclude(bracket, low, End::MetAtMost),
            (None, Some(_)) if self.probe().is_some() => {
                Step::Measure(self.probe().unwrap_or(plan.first))
            }
            (None, Some(missed)) if missed > plan.least => {
                let lower = (missed / 2).max(plan.least);
                if self.is_enough_at(lower, missed) {
                    Step::Measure(lower)
                } else {
                    self.done(bracket, End::TooFewLatencies)
                }
            }
            (None, Some(missed)) => self.conclude(bracket, missed, End::MissedAtLeast),
            (Some(low), Some(missed)) => {
                let middle = (low as f64 * missed as f64).sqrt().round() as u64;
                let close = missed as f64 <= low as f64 * (1.0 + plan.resolution);
                if close || middle <= low || middle >= missed {
                    self.conclude(bracket, low, End::Resolved)
                } else {
                    Step::Measure(middle)
                }
            }
        }
    }

    /// Ends the search with the rates of the bracket, once they have been measured twice.
    /// Whether as many runs as are allowed at this rate have enough latencies to keep the objective, by how many there were
    /// at another one.
    fn is_enough_at(&self, rate: u64, other: u64) -> bool {
        let evidence = &self.tried[&other];
        let sample = evidence.latencies.len() as f64 / f64::from(evidence.sustained.max(1));
        let runs = f64::from(self.plan.most_runs_at_a_rate);
        let expected = sample * rate as f64 / other as f64 * runs;
        // Of a rate that was not sustained, it is not known.
        evidence.sustained == 0 || expected >= self.plan.objectives.least_sample() as f64
    }

    /// A rate above all that were tried, which may keep the objective although the first one does not.
    fn probe(&self) -> Option<u64> {
        let (&highest, evidence) = self.tried.last_key_value()?;
        let most = PROBE_FACTOR.pow(PROBES).saturating_mul(self.plan.first);
        let next = highest.saturating_mul(PROBE_FACTOR).min(self.plan.most);
        // Where a rate is not sustained, a higher one is not either.
        (evidence.sustained > 0 && next > highest && next <= most).then_some(next)
    }

    fn conclude(&self, bracket: Bracket, low: u64, end: End) -> Step {
        if bracket.met != Some(low) && end != End::MissedAtLeast {
            return self.done(bracket, End::TooFewLatencies);
        }
        let least = self.plan.most_runs_at_a_rate.min(2);
        let ends = bracket.met.into_iter().chain(bracket.missed);
        let unsure = ends.into_iter().find(|rate| self.tried[rate].runs < least);
        unsure.map_or_else(|| self.done(bracket, end), Step::Measure)
    }

    /// A rate whose verdict is not clear, or contradicted by that of a higher one.
    fn to_be_measured_again(&self, bracket: Bracket) -> Option<u64> {
        let may = |evidence: &Evidence| evidence.runs < self.plan.most_runs_at_a_rate;
        let unclear = self.tried.iter().find(|(_, evidence)| {
            // Higher rates give more latencies, so those are tried before the same is tried again.
            let rather_higher = evidence.verdict == Verdict::Unknown && bracket.missed.is_none();
            !evidence.clear && may(evidence) && !rather_higher
        });
        let contradicted = || {
            let (&met, _) = self.of(Verdict::Met, ..).last()?;
            let mut missed = self.of(Verdict::Missed, ..met);
            missed.find(|(_, evidence)| may(evidence))
        };
        let again = unclear.or_else(contradicted);
        again.map(|(&rate, _)| rate)
    }

    /// The rates of this range with this verdict, the lowest first.
    fn of(
        &self,
        verdict: Verdict,
        range: impl RangeBounds<u64>,
    ) -> impl DoubleEndedIterator<Item = (&u64, &Evidence)> {
        let tried = self.tried.range(range);
        tried.filter(move |(_, evidence)| evidence.verdict == verdict)
    }

    fn bracket(&self) -> Bracket {
        // Of a server whose latencies are shorter at higher rates, the misses below count for nothing.
        let lowest = self
            .of(Verdict::Met, ..)
            .next()
            .map_or(0, |(&rate, _)| rate);
        let missed = self.of(Verdict::Missed, lowest..).next();
        let missed = missed.map(|(&rate, _)| rate);
        let highest = |verdict: Verdict| {
            let below = self.of(verdict, lowest..missed.unwrap_or(u64::MAX));
            below.last().map(|(&rate, _)| rate)
        };
        Bracket {
            met: highest(Verdict::Met),
            unknown: highest(Verdict::Unknown),
            missed,
        }
    }

    fn done(&self, bracket: Bracket, end: End) -> Step {
        Step::Done(self.found(bracket, end))
    }

    fn found(&self, bracket: Bracket, end: End) -> Found {
        let above = bracket
            .missed
            .and_then(|missed| self.of(Verdict::Met, missed..).last());
        let below = bracket
            .met
            .and_then(|met| self.of(Verdict::Missed, ..met).last());
        Found {
            met: bracket.met,
            missed: bracket.missed,
            met_above: above.map(|(&rate, _)| rate),
            missed_below: below.map(|(&rate, _)| rate),
            end,
        }
    }
}

/// What is known so far.
#[derive(Clone, Copy, Debug)]
struct Bracket {
    /// The highest rate below `missed` that kept the objective.
    met: Option<u64>,
    /// The highest rate below `missed` that could not be judged.
    unknown: Option<u64>,
    /// The lowest rate that missed the objective, of those above the lowest that kept it.
    missed: Option<u64>,
}

#[cfg(test)]
mod tests;
