// SPDX-License-Identifier: GPL-2.0

//! The worker against a simulated server: what it reports must be the truth.

mod closed_loop;
mod failures;
mod ledgers;
mod open_loop;

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use crate::{
    course::Course,
    engine::{
        simulated::{Arrival, Fate, Knobs, Simulated},
        Nanos,
    },
    interrupt::Interrupt,
    load::{Extent, Load, Pace, Transport},
    protocol::{Connection, Progress},
    pulse::{Look, Pulses},
    result::{Distribution, RunResult},
    run::{collect, Done},
    schedule::{Arrivals, Rate},
    worker::Worker,
    Ledger,
};

const US: Nanos = 1_000;
const MS: Nanos = 1_000_000;
const S: Nanos = 1_000_000_000;

/// When simulated runs begin: not at 0, which would hide a time that is not relative to it.
const START: Nanos = 5 * S;

/// Requests and replies that are nothing but their number.
#[derive(Debug, Default)]
struct Numbers {
    request: [u8; BYTES],
    /// What has come of the next reply.
    partial: Vec<u8>,
}

const BYTES: usize = 8;

#[derive(Debug)]
struct WrongNumber(Vec<u8>);

impl fmt::Display for WrongNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no number that was sent", self.0)
    }
}

impl std::error::Error for WrongNumber {}

impl Connection for Numbers {
    type Mismatch = WrongNumber;

    fn request(&mut self, number: u64) -> &[u8] {
        self.request = number.to_be_bytes();
        &self.request
    }

    fn stream(&mut self, bytes: &[u8], sent: u64) -> Result<Progress, WrongNumber> {
        let consumed = bytes.len().min(BYTES - self.partial.len());
        self.partial.extend_from_slice(&bytes[..consumed]);
        let mut answered = None;
        if self.partial.len() == BYTES {
            answered = Some(self.datagram(&self.partial.clone(), sent)?);
            self.partial.clear();
        }
        Ok(Progress { consumed, answered })
    }

    /// Those with even numbers, so that runs go both ways.
    fn usual_reply(&mut self, bytes: &[u8], sent: u64) -> Option<u64> {
        let number = self.datagram(bytes, sent).ok()?;
        (number % 2 == 0 && self.partial.is_empty()).then_some(number)
    }

    fn datagram(&mut self, bytes: &[u8], sent: u64) -> Result<u64, WrongNumber> {
        let number = bytes.try_into().map(u64::from_be_bytes);
        number
            .ok()
            .filter(|&number| number < sent)
            .ok_or_else(|| WrongNumber(bytes.to_vec()))
    }

    fn reply_bytes(&self, replies: usize) -> usize {
        replies * BYTES - self.partial.len()
    }

    fn partial_bytes(&self) -> usize {
        self.partial.len()
    }
}

/// A load of one connection with one request in flight, 100 requests in all.
fn load(transport: Transport) -> Load {
    Load {
        extent: Extent::Count(100),
        timeout_ns: S,
        interval_ns: 100 * MS,
        seed: 1,
        ..Load::of_one(transport)
    }
}

fn open(per_second: f64, arrivals: Arrivals) -> Pace {
    Pace::Open {
        rate: Rate::per_second(per_second).unwrap(),
        arrivals,
    }
}

/// What a simulated run reports, and how many requests each call sent.
struct Report {
    result: RunResult,
    sends: Vec<usize>,
}

/// Runs the worker against the script.
fn simulate(load: &Load, script: impl FnMut(Arrival) -> Fate) -> Report {
    simulate_with(load, |_| {}, script)
}

/// Runs the worker against the script, on an engine that was changed before.
fn simulate_with(
    load: &Load,
    change: impl FnOnce(&mut Knobs),
    script: impl FnMut(Arrival) -> Fate,
) -> Report {
    simulate_until(&Interrupt::default(), load, change, script)
}

/// As [`simulate_with`], but the run ends early if the script raises the interrupt.
fn simulate_until(
    interrupt: &Interrupt,
    load: &Load,
    change: impl FnOnce(&mut Knobs),
    mut script: impl FnMut(Arrival) -> Fate,
) -> Report {
    let arrived = Rc::new(Cell::new(0));
    let count = Rc::clone(&arrived);
    let script = move |request| {
        count.set(count.get() + 1);
        script(request)
    };
    let sends = Rc::new(RefCell::new(Vec::new()));
    let mut knobs = Knobs {
        tick: load.tick(),
        batch: load.batch,
        ..Knobs::default()
    };
    change(&mut knobs);
    let mut engine = Simulated::new(load.connections, START, knobs, script);
    engine.sends = Rc::clone(&sends);
    let course = Course::new(1, interrupt.clone());
    let protocols = (0..load.connections).map(|_| Numbers::default());
    let mut worker = Worker::new(load, &course, engine, protocols, 0);
    let pulses = Pulses::new(1);
    worker.watch(pulses.thread(0).unwrap());
    let start = course.wait_for_start(START).unwrap();
    let done = Done {
        start,
        cpu: None,
        finished: worker.run(start),
    };
    let result = collect(load, &course, vec![done]);
    assert!(result.ledger.adds_up(), "{:?}", result.ledger);
    assert!(result.warmup.adds_up(), "{:?}", result.warmup);
    assert_eq!(result.ledger.sent + result.warmup.sent, arrived.get());
    assert_eq!(result.service.len(), result.ledger.answered);
    assert_eq!(result.response.len(), result.ledger.answered);
    let in_intervals = result
        .intervals
        .iter()
        .map(|interval| interval.response.len());
    assert_eq!(in_intervals.sum::<u64>(), result.ledger.answered);
    // Who looks on has seen all of it in the end.
    let mut all = result.ledger;
    all += &result.warmup;
    let look = pulses.look();
    assert_eq!(look.ledger, all);
    assert_eq!(look.warmup, result.warmup.scheduled);
    let seen = look.latencies_since(&Look::default());
    assert_eq!(seen.len(), result.response.len());
    let sends = sends.take();
    Report { result, sends }
}

/// Whether nothing failed, and every request that was sent has its right reply in time.
fn is_clean(result: &RunResult) -> bool {
    result.failures.is_empty() && result.ledger.is_clean() && result.warmup.is_clean()
}

/// A ledger of requests that all were answered.
fn all_answered(count: u64) -> Ledger {
    Ledger {
        scheduled: count,
        sent: count,
        answered: count,
        ..Ledger::default()
    }
}

/// Checks that latencies are these, each as often as it is here, but for the histogram's resolution.
#[track_caller]
fn assert_latencies(distribution: &Distribution, mut expected: Vec<Nanos>) {
    expected.sort_unstable();
    let recorded = distribution
        .buckets
        .iter()
        .flat_map(|&(ns, count)| (0..count).map(move |_| ns));
    let recorded: Vec<_> = recorded.collect();
    assert_eq!(recorded.len(), expected.len());
    for (recorded, expected) in recorded.into_iter().zip(expected) {
        let error = recorded.abs_diff(expected) as f64;
        assert!(
            error <= expected as f64 * 1e-3,
            "{recorded} instead of {expected}"
        );
    }
}
