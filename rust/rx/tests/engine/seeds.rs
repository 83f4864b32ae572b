// SPDX-License-Identifier: GPL-2.0

//! Ten thousand histories, each from a seed: every call exactly once, every byte right, nothing stuck and nothing left.

use std::{collections::BTreeMap, env, panic, thread};

use crate::{
    ledger::End,
    link::{Nanos, SECOND},
    plan::{Plan, Serve},
    watch::Side,
    world::World,
};

/// How long all calls may take together: longer than anybody waits, and than the longest blackout.
const PATIENCE: Nanos = 1_000 * SECOND;

/// How long the engines are watched after the last call.
const AFTERWARDS: Nanos = 300 * SECOND;

/// What a client whose address is not proven has to send, in bytes, to be worth an ACK or an ABORT: it takes as many.
const PAYING_BYTES: usize = 18 + 3 + 16;

/// How many seeds there are, and in how many tests they run.
const SEEDS: u64 = 10_000;
const TESTS: u64 = 4;

/// Says how to repeat the history that went wrong.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        if thread::panicking() {
            let seed = self.0;
            println!(
                "again: (cd userspace && ../scripts/enter env RX_SEED={seed} RX_TRACE=1 \
                 cargo test --locked -p rx --test engine one_seed -- --nocapture)"
            );
        }
    }
}

/// Runs the history of `seed`.
fn run(seed: u64) {
    let _repeat = Repeat(seed);
    let mut world = World::new(Plan::draw(seed));
    if !world.plan.is_honest() {
        // Whatever the packets say that were changed on their way: no panic, and no storm.
        world.run_until(PATIENCE);
        return;
    }
    world.run_calls(PATIENCE);
    check_calls(&world);
    let ended = world.now;
    world.run_until(ended + AFTERWARDS);
    check_calls(&world);
    check_quiet(&world, ended);
}

/// Every call was served at most once, and ended for its client in a way for which there is a reason.
fn check_calls(world: &World) {
    let plan = &world.plan;
    for (index, entry) in world.ledger.entries.iter().enumerate() {
        let (end, _) = entry.ended.expect("a call that has ended");
        let is_due = match (end, entry.plan.serve) {
            (End::Complete, Serve::Reply(_)) => entry.is_executed(),
            (End::Aborted(code), Serve::Abort(due, _) | Serve::AbortEarly(due)) => code == due,
            (End::Given(_), _) => entry.plan.client_aborts.is_some(),
            (End::TimedOut | End::Aborted(-1), _) => plan.is_dark(),
            _ => false,
        };
        assert!(is_due, "call {index} ended as {end:?}: {:?}", entry.plan);
        // As long as the server is not sure of the address, it may not answer with more than what came.
        let is_proved = world
            .watch
            .proved(entry.client)
            .is_some_and(|proved| Some(proved) <= entry.made_at);
        let is_alone = world.ledger.entries.len() == 1 && entry.plan.request_bytes >= PAYING_BYTES;
        if plan.is_perfect && (is_proved || is_alone) {
            check_economy(world, index);
        }
    }
}

/// Where nothing is lost and nothing late, nothing is sent again.
fn check_economy(world: &World, index: usize) {
    let entry = &world.ledger.entries[index];
    for side in [Side::Client, Side::Server] {
        let Some(half) = entry.key.and_then(|key| world.watch.half(key, side)) else {
            continue;
        };
        assert_eq!(
            half.resent(),
            0,
            "call {index}: {side:?} has sent packets again"
        );
    }
}

/// After the calls, both sides are silent and hold nothing.
fn check_quiet(world: &World, ended: Nanos) {
    assert_eq!(world.meter.held(), 0, "storage is held after the calls");
    assert_eq!(world.deadlines(), [], "timers are set after the calls");
    let silent = ended + 60 * SECOND;
    assert!(
        world.last_sent < silent,
        "packets are sent {} s after the last call",
        (world.last_sent - ended) / SECOND
    );
}

fn run_part(part: u64) {
    for seed in (part..SEEDS).step_by(TESTS as usize) {
        run(seed);
    }
}

#[test]
fn ten_thousand_seeds_part_1() {
    run_part(0);
}

#[test]
fn ten_thousand_seeds_part_2() {
    run_part(1);
}

#[test]
fn ten_thousand_seeds_part_3() {
    run_part(2);
}

#[test]
fn ten_thousand_seeds_part_4() {
    run_part(3);
}

/// The one that the environment names, for a person who looks into it.
#[test]
fn one_seed() {
    if let Ok(seed) = env::var("RX_SEED") {
        run(seed.parse().expect("a number"));
    }
}

/// Those between two numbers of the environment, such as `0-1000000`: lists by what goes wrong how often, and where first.
#[test]
fn many_seeds() {
    let Ok(range) = env::var("RX_SEEDS") else {
        return;
    };
    let (first, end) = range.split_once('-').expect("two numbers");
    let mut failures: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for seed in first.parse().expect("a number")..end.parse().expect("a number") {
        let Err(why) = panic::catch_unwind(|| run(seed)) else {
            continue;
        };
        let text = why.downcast_ref::<&str>().copied();
        let why = why
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(text)
            .unwrap_or_default();
        let kind: Vec<_> = why
            .split(|c: char| c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .collect();
        failures.entry(kind.join("#")).or_default().push(seed);
    }
    for (kind, seeds) in &failures {
        println!(
            "{} seeds, {:?}: {kind}",
            seeds.len(),
            &seeds[..seeds.len().min(8)]
        );
    }
    assert!(failures.is_empty());
}
