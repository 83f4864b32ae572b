// SPDX-License-Identifier: GPL-2.0

//! How much of a link the engine uses, and how it shares it. In virtual time: the same numbers on every machine.

use crate::{
    link::{Nanos, MICROSECOND, MILLISECOND, SECOND},
    plan::{Call, Plan, Serve},
    watch::Side,
    world::World,
};

const GIGABIT: u64 = 1_000_000_000;

const MIB: usize = 1 << 20;

/// A large reply to a small request.
fn fetch(bytes: usize, start: Nanos) -> Call {
    Call {
        connection: 0,
        start,
        request_bytes: 64,
        reply_bytes: bytes,
        serve: Serve::Reply(0),
        client_aborts: None,
    }
}

/// A path of 1 Gb/s with a delay of `delay` each way.
fn gigabit(seed: u64, delay: Nanos, clients: Vec<Vec<Call>>) -> Plan {
    let mut plan = Plan::quiet(seed, delay, clients);
    for conditions in [&mut plan.up, &mut plan.down] {
        conditions.bits_per_second = Some(GIGABIT);
    }
    // As interrupts are moderated.
    plan.gather = 20 * MICROSECOND;
    plan
}

/// Runs a plan until its calls have ended. Returns the goodput of all calls together in Mb/s, from their making to their end.
fn goodput(plan: Plan) -> (f64, World) {
    let mut world = World::new(plan);
    world.run_calls(1_000 * SECOND);
    let entries = &world.ledger.entries;
    let bits = entries
        .iter()
        .map(|entry| entry.plan.reply_bytes * 8)
        .sum::<usize>();
    let begin = entries
        .iter()
        .filter_map(|entry| entry.made_at)
        .min()
        .expect("a call");
    let end = entries
        .iter()
        .filter_map(|entry| Some(entry.ended?.1))
        .max()
        .expect("a call");
    (bits as f64 * 1e3 / (end - begin) as f64, world)
}

/// The goodput of a fetch of 16 MiB with `loss` in both directions, in Mb/s: the mean of some seeds.
fn with_loss(delay: Nanos, loss: f64, seeds: u64) -> f64 {
    let one = |seed| {
        let mut plan = gigabit(seed, delay, vec![vec![fetch(16 * MIB, 0)]]);
        plan.up.loss = loss;
        plan.down.loss = loss;
        goodput(plan).0
    };
    (0..seeds).map(one).sum::<f64>() / seeds as f64
}

/// Checks which shares of the goodput without losses are left with losses.
fn check_losses(delay: Nanos, least: &[(f64, f64)]) {
    let lossless = with_loss(delay, 0.0, 1);
    println!("{} us each way: {lossless:.0} Mb/s", delay / MICROSECOND);
    for (loss, least) in least {
        let share = with_loss(delay, *loss, 4) / lossless;
        println!("  {:.1} % loss leave {:.0} %", loss * 100.0, share * 100.0);
        assert!(share >= *least, "{loss} loss leave {share}");
    }
}

#[test]
fn a_loss_of_one_percent_leaves_seventy_percent_of_the_goodput() {
    check_losses(
        MILLISECOND / 2,
        &[(0.001, 0.9), (0.01, 0.7), (0.02, 0.35), (0.05, 0.15)],
    );
}

#[test]
fn a_longer_path_suffers_more_from_losses() {
    check_losses(
        MILLISECOND,
        &[(0.001, 0.8), (0.01, 0.5), (0.02, 0.2), (0.05, 0.1)],
    );
}

#[test]
fn a_lossless_path_of_a_gigabit_is_full() {
    let (rate, world) = goodput(gigabit(1, MILLISECOND / 2, vec![vec![fetch(64 * MIB, 0)]]));
    println!("{rate:.0} Mb/s, {:?}", world.down.fates);
    // 1412 of 1506 bytes are data.
    assert!(rate >= 900.0, "{rate} Mb/s");
}

#[test]
fn a_queue_of_half_the_product_of_bandwidth_and_delay_keeps_the_link_busy() {
    let delay = MILLISECOND / 2;
    let mut plan = gigabit(1, delay, vec![vec![fetch(64 * MIB, 0)]]);
    plan.down.queue_bytes = GIGABIT / 8 * (2 * delay) / SECOND / 2;
    let (rate, world) = goodput(plan);
    println!("{rate:.0} Mb/s, {:?}", world.down.fates);
    assert!(rate >= 0.8 * 937.0, "{rate} Mb/s");
}

#[test]
fn packets_that_overtake_each_other_are_not_lost() {
    for jitter in [50, 100, 200] {
        let mut plan = gigabit(1, MILLISECOND / 2, vec![vec![fetch(16 * MIB, 0)]]);
        plan.down.jitter = jitter * MICROSECOND;
        let (rate, world) = goodput(plan);
        let key = world.ledger.entries[0].key.expect("a call that was made");
        let half = world.watch.half(key, Side::Server).expect("a reply");
        let share = f64::from(half.resent()) / half.sent.len() as f64;
        println!(
            "{jitter} us of jitter: {rate:.0} Mb/s, {:.2} % sent again",
            share * 100.0
        );
        assert!(share < 0.02 && rate > 700.0, "{share}, {rate} Mb/s");
    }
}

/// Jain's index of fairness: 1 if all are equal, 1/n if one has all.
fn fairness(shares: &[f64]) -> f64 {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), share| {
        (sum + share, squares + share * share)
    });
    sum * sum / (shares.len() as f64 * squares)
}

/// How equally clients share a bottleneck whose fetches begin `later` after each other: Jain's index over most of a second.
fn shared(seed: u64, clients: usize, later: Nanos) -> f64 {
    let calls = (0..clients).map(|client| vec![fetch(256 * MIB / clients, later * client as u64)]);
    let mut plan = gigabit(seed, MILLISECOND / 2, calls.collect());
    plan.down.queue_bytes = 125_000;
    // Where nothing varies, a full queue always has room for the same one (Floyd and Jacobson 1991, "phase effects").
    plan.up.jitter = 100 * MICROSECOND;
    let mut world = World::new(plan);
    world.run_until(100 * MILLISECOND);
    let before = world.ledger.received();
    world.run_until(900 * MILLISECOND);
    let after = world.ledger.received();
    let shares: Vec<_> = after
        .iter()
        .zip(before)
        .map(|(after, before)| (after - before) as f64)
        .collect();
    fairness(&shares)
}

#[test]
fn calls_share_a_bottleneck() {
    for (clients, later, least) in [(2, 0, 0.9), (2, 20 * MILLISECOND, 0.8), (8, 0, 0.85)] {
        let index = (1..=3)
            .map(|seed| shared(seed, clients, later))
            .sum::<f64>()
            / 3.0;
        println!(
            "{clients} clients, {} ms apart: {index:.3}",
            later / MILLISECOND
        );
        assert!(index >= least, "{index}");
    }
}
