// SPDX-License-Identifier: GPL-2.0

use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;
use crate::{
    engine::simulated::Action,
    result::{FailureKind, Interval},
};
use Transport::{Datagrams, Stream};

/// Datagrams of which each is answered after a millisecond, but those that `fate` has something else for.
fn datagrams(in_flight: usize, mut fate: impl FnMut(Arrival) -> Option<Fate>) -> RunResult {
    let mut load = load(Datagrams);
    load.in_flight = in_flight;
    simulate(&load, |request| {
        fate(request).unwrap_or_else(|| Fate::reply(MS))
    })
    .result
}

#[test]
fn losses_are_lost_and_hold_nothing_up_but_their_place() {
    let result = datagrams(4, |request| {
        [7, 50].contains(&request.number).then(Fate::lost)
    });
    let expected = Ledger {
        scheduled: 100,
        sent: 100,
        answered: 98,
        lost: 2,
        ..Ledger::default()
    };
    assert_eq!(result.ledger, expected);
    assert!(result.failures.is_empty() && !is_clean(&result));
    assert_latencies(&result.service.distribution(), vec![MS; 98]);
    // The last one's time is over a second after it was sent.
    assert!(
        (S..S + 500 * MS).contains(&result.elapsed_ns),
        "{}",
        result.elapsed_ns
    );
}

#[test]
fn the_wait_for_a_lost_datagram_is_no_part_of_the_rate() {
    let extents = [Extent::Count(1_000), Extent::Duration(S)];
    let paces = [Pace::Closed, open(1_000.0, Arrivals::Fixed)];
    for (extent, pace) in extents
        .into_iter()
        .flat_map(|e| paces.map(|pace| (e, pace)))
    {
        let mut load = load(Datagrams);
        (load.extent, load.pace) = (extent, pace);
        load.in_flight = 2;
        // Nearly the last of all.
        let lost = match (extent, pace) {
            (Extent::Duration(_), Pace::Closed) => 1_998,
            _ => 998,
        };
        let result = simulate(&load, |request| match request.number {
            number if number == lost => Fate::lost(),
            _ => Fate::reply(MS),
        })
        .result;
        assert_eq!(result.ledger.lost, 1, "{load:?}");
        assert!(result.elapsed_ns >= S, "the loss is waited for");
        let (rate, expected) = match pace {
            Pace::Closed => (result.window.rate(), 2_000.0),
            Pace::Open { .. } => (result.window.rate(), 1_000.0),
        };
        let error = rate.unwrap() / expected - 1.0;
        assert!(error.abs() < 0.005, "{rate:?} instead of {expected}");
        // Nor are there intervals without replies, by which the rate would not be steady.
        let empty = |interval: &&Interval| interval.response.is_empty();
        assert_eq!(result.intervals.iter().filter(empty).count(), 0);
    }
}

#[test]
fn a_reply_after_its_time_is_late_and_not_lost() {
    // A nanosecond decides, however rarely anybody looks.
    for (delay, late) in [(S - 1, 0), (S, 1), (S + 1, 1)] {
        let result = datagrams(2, |request| {
            (request.number == 0).then(|| Fate::reply(delay))
        });
        let expected = Ledger {
            scheduled: 100,
            sent: 100,
            answered: 100 - late,
            late,
            reordered: 1 - late,
            ..Ledger::default()
        };
        assert_eq!(result.ledger, expected, "{delay}");
    }
}

#[test]
fn duplicates_are_counted_beside() {
    let twice = || Fate::reply(MS).and(MS, Action::Reply);
    let result = datagrams(1, |request| (request.number % 10 == 9).then(twice));
    // Also that of the last request, which is there when it is over.
    assert_eq!(
        result.ledger,
        Ledger {
            duplicated: 10,
            ..all_answered(100)
        }
    );
    assert!(is_clean(&result));
}

#[test]
fn a_late_reply_that_comes_twice_is_late_and_duplicated() {
    let late = || Fate::reply(2 * S).and(3 * S, Action::Reply);
    let result = datagrams(1, |request| match request.number {
        0 => Some(late()),
        // Each takes a moment, so that it is not over before.
        _ => Some(Fate::reply(100 * MS)),
    });
    let expected = Ledger {
        answered: 99,
        late: 1,
        duplicated: 1,
        ..all_answered(100)
    };
    assert_eq!(result.ledger, expected);
}

#[test]
fn reorderings_are_counted_beside() {
    // Delays without order; when each request is answered says which were overtaken.
    let mut replies = Vec::new();
    let result = datagrams(8, |request| {
        let delay = (request.number * 7 % 10 + 1) * MS + request.number * US;
        replies.push((request.at + delay, request.number));
        Some(Fate::reply(delay))
    });
    replies.sort_unstable();
    let mut newest = 0;
    let overtaken = replies.iter().filter(|&&(_, number)| {
        newest = newest.max(number);
        number < newest
    });
    let overtaken = overtaken.count() as u64;
    assert!(overtaken > 20);
    assert_eq!(
        result.ledger,
        Ledger {
            reordered: overtaken,
            ..all_answered(100)
        }
    );
}

#[test]
fn a_server_that_loses_everything_ends_the_run() {
    for (pace, in_flight) in [(Pace::Closed, 3), (open(100.0, Arrivals::Fixed), 4096)] {
        let mut load = load(Datagrams);
        load.extent = Extent::Count(1_000_000);
        (load.pace, load.in_flight) = (pace, in_flight);
        let result = simulate(&load, |_| Fate::lost()).result;
        let [failure] = result.failures.as_slice() else {
            panic!("{:?}", result.failures);
        };
        assert_eq!(failure.kind, FailureKind::NoProgress);
        assert_eq!(failure.message, "no progress for 5 s");
        assert!((5 * S..6 * S).contains(&failure.at_ns), "{}", failure.at_ns);
        assert_eq!(
            (result.ledger.answered, result.ledger.lost),
            (0, result.ledger.sent)
        );
    }
}

#[test]
fn rare_losses_at_a_low_rate_are_no_silence() {
    let mut load = load(Datagrams);
    load.pace = open(0.05, Arrivals::Fixed);
    load.in_flight = 10;
    load.extent = Extent::Count(20);
    let result = simulate(&load, |request| {
        if request.number % 5 < 4 {
            Fate::lost()
        } else {
            Fate::reply(MS)
        }
    })
    .result;
    assert!(result.failures.is_empty(), "{:?}", result.failures);
    assert_eq!((result.ledger.answered, result.ledger.lost), (4, 16));
}

/// What a server may do with a request, and more.
fn fates() -> impl Strategy<Value = Fate> {
    let action = prop_oneof![
        20 => Just(Action::Reply),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Action::Send),
        1 => (0_u64..200).prop_map(|number| Action::Send(number.to_be_bytes().to_vec())),
        1 => Just(Action::Close),
        1 => Just(Action::Break(ErrorKind::ConnectionReset)),
    ];
    let after = prop_oneof![10 => 0..10 * MS, 1 => 0..3 * S];
    prop_oneof![
        40 => (1..5 * MS).prop_map(Fate::reply),
        10 => prop::collection::vec((after, action), 0..3).prop_map(Fate),
    ]
}

fn loads() -> impl Strategy<Value = Load> {
    let pace = prop_oneof![
        Just(Pace::Closed),
        Just(open(500.0, Arrivals::Fixed)),
        Just(open(2_000.0, Arrivals::Exponential)),
    ];
    let extent = prop_oneof![
        (1_u64..60).prop_map(Extent::Count),
        (1..100 * MS).prop_map(Extent::Duration),
    ];
    let transport = prop_oneof![Just(Stream), Just(Datagrams)];
    let sizes = (1_usize..4, 1_usize..10, 1_usize..5);
    (
        transport,
        pace,
        extent,
        sizes,
        prop_oneof![Just(0), 1..50 * MS],
    )
        .prop_map(
            |(transport, pace, extent, (connections, in_flight, batch), warmup_ns)| Load {
                connections,
                in_flight,
                pace,
                extent,
                warmup_ns,
                batch,
                ..load(transport)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the server and the socket do, every request is accounted for, and the run has an end.
    #[test]
    fn the_ledger_always_adds_up(
        load in loads(),
        fates in prop::collection::vec(fates(), 1..100),
        blocked in (0..50 * MS, 0..50 * MS),
        cost in prop_oneof![Just(0), 1..MS],
        piece in prop_oneof![Just(usize::MAX), 1_usize..20],
        closes in any::<bool>(),
    ) {
        let mut fates = fates.into_iter().cycle();
        let change = |knobs: &mut Knobs| {
            knobs.blocked = (START + blocked.0, START + blocked.0 + blocked.1);
            knobs.cost = cost;
            knobs.closes = closes;
            if load.transport == Stream {
                knobs.piece = piece;
            }
        };
        // It checks that the ledgers add up and that the histograms have what was answered.
        let result = simulate_with(&load, change, |_| fates.next().unwrap()).result;
        if let Extent::Count(count) = load.extent {
            prop_assert_eq!(result.ledger.scheduled, count * load.connections as u64);
        }
        prop_assert!(result.failures.iter().all(|failure| !failure.message.is_empty()));
        prop_assert!(result.elapsed_ns < 100 * S);
    }
}
