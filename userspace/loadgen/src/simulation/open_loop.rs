// SPDX-License-Identifier: GPL-2.0

use super::*;
use Transport::{Datagrams, Stream};

fn open_load(transport: Transport, per_second: f64) -> Load {
    Load {
        pace: open(per_second, Arrivals::Fixed),
        in_flight: 4096,
        extent: Extent::Duration(10 * S),
        ..load(transport)
    }
}

#[test]
fn requests_are_sent_when_they_are_due() {
    let mut arrivals = Vec::new();
    let mut load = open_load(Stream, 1_000.0);
    load.connections = 4;
    load.extent = Extent::Duration(S);
    let result = simulate(&load, |request| {
        arrivals.push((request.at - START, request.connection));
        Fate::reply(100 * US)
    })
    .result;
    let due = (0..1_000).map(|number| (number * MS, number as usize % 4));
    assert_eq!(arrivals, due.collect::<Vec<_>>());
    assert_eq!(result.ledger, all_answered(1_000));
    assert_latencies(&result.response.distribution(), vec![100 * US; 1_000]);
    assert_eq!(result.service, result.response);
    assert_eq!(result.threads[0].lag_max_ns, 0);
    // It is as long as it was to be, also after the last request.
    assert_eq!((result.elapsed_ns, result.window.length_ns), (S, S));
    assert_eq!(result.window.rate(), Some(1_000.0));
}

#[test]
fn a_low_rate_does_not_make_a_run_longer() {
    let load = open_load(Datagrams, 0.01);
    let result = simulate(&load, |_| Fate::reply(US)).result;
    assert_eq!(result.ledger, all_answered(1));
    assert_eq!(result.elapsed_ns, 10 * S);
}

#[test]
fn a_count_is_per_connection() {
    let mut load = open_load(Stream, 1_000.0);
    load.connections = 3;
    load.extent = Extent::Count(20);
    let result = simulate(&load, |_| Fate::reply(US)).result;
    assert_eq!(result.ledger, all_answered(60));
    assert_eq!(result.elapsed_ns, 59 * MS + US);
}

/// A server that does nothing in this second, and then answers all that has come; 100 us otherwise.
fn stalls(request: Arrival) -> Fate {
    let stall = START + 3 * S..START + 4 * S;
    let answered = request.at + 100 * US;
    Fate::reply(if stall.contains(&answered) {
        stall.end - request.at
    } else {
        100 * US
    })
}

#[test]
fn a_stall_of_a_second_is_seen_by_all_that_were_due_in_it() {
    let load = open_load(Stream, 1_000.0);
    let result = simulate(&load, stalls).result;
    assert_eq!(result.ledger, all_answered(10_000));
    // One in ten was due in the stall, and waited for its end.
    let expected = (0..10_000).map(|number| {
        let due = number * MS;
        let stalled = (3 * S..4 * S).contains(&(due + 100 * US));
        if stalled {
            4 * S - due
        } else {
            100 * US
        }
    });
    assert_latencies(&result.response.distribution(), expected.collect());
    let p99 = result
        .response
        .percentile(crate::histogram::Percentile(9_900))
        .unwrap();
    assert!((899..=901).contains(&p99.as_millis()), "{p99:?}");
}

#[test]
fn the_stall_is_seen_also_if_the_client_could_not_send_meanwhile() {
    // As many as may be are in flight after 10 ms of it, so that the rest is skipped; and the ledger says so.
    let mut load = open_load(Stream, 1_000.0);
    load.in_flight = 10;
    let result = simulate(&load, stalls).result;
    assert_eq!(result.ledger.scheduled, 10_000);
    assert_eq!(result.ledger.skipped, 990);
    assert_eq!(result.ledger.answered, 9_010);
    assert!(is_clean(&result));
}

#[test]
fn response_counts_from_the_intended_time_and_service_from_the_actual_one() {
    // The socket takes nothing for 50 ms, in which 5 requests are due.
    let mut load = open_load(Stream, 100.0);
    load.extent = Extent::Count(100);
    let blocked = (START + 95 * MS, START + 145 * MS);
    let change = |knobs: &mut Knobs| knobs.blocked = blocked;
    let result = simulate_with(&load, change, |_| Fate::reply(MS)).result;
    assert_eq!(result.ledger, all_answered(100));
    // The first of them was handed over when it was due, and the others, as the socket was full, only after it.
    let mut service = vec![MS; 99];
    service.push(46 * MS);
    assert_latencies(&result.service.distribution(), service);
    let mut response = vec![MS; 95];
    response.extend([46, 36, 26, 16, 6].map(|ms| ms * MS));
    assert_latencies(&result.response.distribution(), response);
    assert_eq!(result.threads[0].lag_max_ns, 35 * MS);
    assert_eq!(result.threads[0].lag_total_ns, (35 + 25 + 15 + 5) * MS);
}

#[test]
fn a_client_that_is_too_slow_shows_it_in_the_response() {
    // Every call takes 100 us, and requests are due every 50 us.
    let mut load = open_load(Stream, 20_000.0);
    load.extent = Extent::Count(1_000);
    let change = |knobs: &mut Knobs| knobs.cost = 100 * US;
    let result = simulate_with(&load, change, |_| Fate::reply(US)).result;
    assert_eq!(result.ledger, all_answered(1_000));
    assert!(
        result.threads[0].lag_max_ns >= 40 * MS,
        "{:?}",
        result.threads
    );
    assert!(result.response.max().unwrap().as_millis() >= 40);
    assert!(result.service.max().unwrap().as_millis() < 1);
}

#[test]
fn a_client_that_is_too_slow_does_not_make_the_run_longer() {
    // Every call takes a millisecond, and 1,000 requests are due in it.
    for arrivals in [Arrivals::Fixed, Arrivals::Exponential] {
        let load = Load {
            pace: open(1_000_000.0, arrivals),
            connections: 2,
            warmup_ns: 20 * MS,
            extent: Extent::Duration(20 * MS),
            ..open_load(Stream, 1.0)
        };
        let change = |knobs: &mut Knobs| knobs.cost = MS;
        let result = simulate_with(&load, change, |_| Fate::reply(US)).result;
        assert_eq!(result.failures, []);
        // It has an eighth of the timeout to catch up, and that is noticed after another eighth at most.
        assert!(result.elapsed_ns < S / 3, "{}", result.elapsed_ns);
        // As many as are due, within four deviations if they are random.
        let tolerance = match arrivals {
            Arrivals::Fixed => 0,
            Arrivals::Exponential => 600,
        };
        for ledger in [&result.warmup, &result.ledger] {
            assert!(ledger.scheduled.abs_diff(20_000) <= tolerance, "{ledger:?}");
        }
        assert!(result.ledger.skipped > 10_000);
    }
}

#[test]
fn what_is_due_at_once_is_sent_with_one_call() {
    let mut load = open_load(Datagrams, 1_000_000.0);
    load.batch = 16;
    load.extent = Extent::Count(10_000);
    let change = |knobs: &mut Knobs| knobs.cost = 12 * US;
    let report = simulate_with(&load, change, |_| Fate::reply(US));
    assert_eq!(report.result.ledger, all_answered(10_000));
    // A dozen is due whenever one call is done.
    assert!(
        (600..1_000).contains(&report.sends.len()),
        "{}",
        report.sends.len()
    );
    assert!(report.sends.iter().all(|&requests| requests <= 16));
}

#[test]
fn exponential_arrivals_are_those_of_the_seed() {
    let arrivals = |seed| {
        let mut load = open_load(Datagrams, 1_000.0);
        load.pace = open(1_000.0, Arrivals::Exponential);
        load.seed = seed;
        let mut arrivals = Vec::new();
        let result = simulate(&load, |request| {
            arrivals.push(request.at);
            Fate::reply(US)
        })
        .result;
        assert!(is_clean(&result));
        // As many as a Poisson process of this rate has in 10 s, within four deviations.
        assert!(
            result.ledger.scheduled.abs_diff(10_000) < 400,
            "{:?}",
            result.ledger
        );
        arrivals
    };
    assert_eq!(arrivals(1), arrivals(1));
    assert_ne!(arrivals(1), arrivals(2));
}

#[test]
fn the_warm_up_is_by_the_intended_time() {
    let mut load = open_load(Stream, 1_000.0);
    load.warmup_ns = 500 * MS;
    load.extent = Extent::Duration(S);
    // Slower than the warm-up is long, so that none of its replies comes in it.
    let result = simulate(&load, |_| Fate::reply(600 * MS)).result;
    assert_eq!(result.warmup, all_answered(500));
    assert_eq!(result.ledger, all_answered(1_000));
    // From 500 ms to 1,500 ms. The first reply came at 600 ms.
    assert_eq!(result.window.length_ns, S);
    assert_eq!(result.window.answered, 901);
}
