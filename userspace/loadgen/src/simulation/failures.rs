// SPDX-License-Identifier: GPL-2.0

use std::io::ErrorKind;

use super::*;
use crate::{engine::simulated::Action, result::FailureKind};
use Transport::{Datagrams, Stream};

/// The one failure of a run: its connection, time, kind and text.
#[track_caller]
fn only_failure(result: &RunResult) -> (usize, Nanos, FailureKind, &str) {
    let [failure] = result.failures.as_slice() else {
        panic!("{:?}", result.failures);
    };
    (
        failure.connection,
        failure.at_ns,
        failure.kind,
        &failure.message,
    )
}

/// Everything is answered after a millisecond, but this request of every connection.
fn but(number: u64, fate: Fate) -> impl FnMut(Arrival) -> Fate {
    move |request| {
        if request.number == number {
            fate.clone()
        } else {
            Fate::reply(MS)
        }
    }
}

/// Of 100 requests, 11 were sent and 10 answered, when the run was stopped.
const ELEVENTH_LOST: Ledger = Ledger {
    scheduled: 100,
    sent: 11,
    skipped: 89,
    answered: 10,
    late: 0,
    lost: 1,
    duplicated: 0,
    reordered: 0,
    mismatched: 0,
};

#[test]
fn a_reset_ends_the_run_and_all_is_accounted_for() {
    let reset = Fate::lost().and(2 * MS, Action::Break(ErrorKind::ConnectionReset));
    for transport in [Stream, Datagrams] {
        let result = simulate(&load(transport), but(10, reset.clone())).result;
        assert_eq!(result.ledger, ELEVENTH_LOST);
        let (connection, at, kind, message) = only_failure(&result);
        assert_eq!((connection, at, kind), (0, 12 * MS, FailureKind::System));
        assert_eq!(message, "connection reset");
    }
}

#[test]
fn an_early_end_of_the_stream_is_told() {
    let close = Fate::lost().and(2 * MS, Action::Close);
    let result = simulate(&load(Stream), but(10, close)).result;
    assert_eq!(result.ledger, ELEVENTH_LOST);
    let (_, at, kind, message) = only_failure(&result);
    assert_eq!((at, kind), (12 * MS, FailureKind::ClosedEarly));
    assert_eq!(message, "closed by the server before the last reply");
}

#[test]
fn an_end_in_the_midst_of_a_reply_is_told() {
    // With the last reply comes the beginning of another one; the client ends its side first, or the server does.
    let bytes = [&99_u64.to_be_bytes()[..], &[0; 3]].concat();
    let last = Fate::lost().and(MS, Action::Send(bytes));
    for last in [last.clone(), last.and(MS, Action::Close)] {
        let result = simulate(&load(Stream), but(99, last)).result;
        assert_eq!((result.ledger.answered, result.ledger.mismatched), (100, 1));
        let (_, _, kind, message) = only_failure(&result);
        assert_eq!(kind, FailureKind::Mismatch);
        assert_eq!(message, "3 bytes of a reply that never ends");
    }
}

#[test]
fn an_end_of_the_stream_before_what_a_late_client_still_has_to_send_is_early() {
    // 100 requests are due in 20 ms, and each takes a millisecond or more.
    let load = Load {
        pace: open(5_000.0, Arrivals::Fixed),
        connections: 3,
        extent: Extent::Duration(20 * MS),
        ..load(Stream)
    };
    let change = |knobs: &mut Knobs| knobs.cost = MS;
    let mut idle = 0;
    for end in 30..40 {
        let result = simulate_with(&load, change, |request| {
            match (request.connection, request.number) {
                (1, 0) => Fate::reply(US).and(end * MS, Action::Close),
                _ => Fate::reply(US),
            }
        })
        .result;
        let (connection, at, kind, _) = only_failure(&result);
        assert_eq!((connection, kind), (1, FailureKind::ClosedEarly));
        assert!(at >= end * MS, "{at}");
        idle += u64::from(result.ledger.lost == 0);
    }
    assert_ne!(idle, 0, "it always waited for a reply");
}

#[test]
fn wrong_bytes_end_the_run_and_are_counted() {
    for transport in [Stream, Datagrams] {
        let wrong = Fate::lost().and(MS, Action::Send(vec![0xff; BYTES]));
        let result = simulate(&load(transport), but(10, wrong)).result;
        let expected = Ledger {
            mismatched: 1,
            ..ELEVENTH_LOST
        };
        assert_eq!(result.ledger, expected);
        let (_, at, kind, message) = only_failure(&result);
        assert_eq!((at, kind), (11 * MS, FailureKind::Mismatch));
        assert!(message.contains("255, 255"), "{message}");
    }
    // Garbage of another length.
    let garbage = Fate::lost().and(MS, Action::Send(vec![1, 2, 3]));
    let result = simulate(&load(Datagrams), but(10, garbage.clone())).result;
    assert_eq!(result.ledger.mismatched, 1);
    // In a stream, it may be the beginning of a reply that never comes.
    let result = simulate(&load(Stream), but(10, garbage)).result;
    assert_eq!(result.ledger, ELEVENTH_LOST);
    assert_eq!(only_failure(&result).2, FailureKind::NoProgress);
}

#[test]
fn a_second_reply_on_a_stream_is_a_mismatch() {
    let mut load = load(Stream);
    load.in_flight = 2;
    let twice = Fate::reply(MS).and(MS, Action::Reply);
    let result = simulate(&load, but(10, twice)).result;
    let (.., kind, message) = only_failure(&result);
    assert_eq!(kind, FailureKind::Mismatch);
    assert_eq!(message, "a second reply to request 11");
    assert_eq!((result.ledger.mismatched, result.ledger.duplicated), (1, 1));
}

#[test]
fn what_comes_after_the_last_reply_is_a_mismatch() {
    for bytes in [vec![9; BYTES], vec![9], 99_u64.to_be_bytes().to_vec()] {
        let surplus = Fate::reply(MS).and(MS, Action::Send(bytes));
        let result = simulate(&load(Stream), but(99, surplus)).result;
        assert_eq!(
            result.ledger,
            Ledger {
                mismatched: 1,
                ..all_answered(100)
            }
        );
        assert_eq!(only_failure(&result).2, FailureKind::Mismatch);
        assert!(!is_clean(&result));
    }
}

#[test]
fn a_stream_that_the_server_does_not_end_is_told() {
    let change = |knobs: &mut Knobs| knobs.closes = false;
    let result = simulate_with(&load(Stream), change, |_| Fate::reply(MS)).result;
    assert_eq!(result.ledger, all_answered(100));
    let (_, at, kind, message) = only_failure(&result);
    assert_eq!((at, kind), (100 * MS + S, FailureKind::NotClosed));
    assert_eq!(
        message,
        "not closed by the server within 1 s of the client's end of stream"
    );
    // The wait for it is no part of the run.
    assert_eq!(result.elapsed_ns, 100 * MS);
}

#[test]
fn a_silent_server_ends_the_run() {
    let mut load = load(Stream);
    load.in_flight = 3;
    let result = simulate(&load, |request| {
        if request.number < 5 {
            Fate::reply(MS)
        } else {
            Fate::lost()
        }
    })
    .result;
    let (_, at, kind, message) = only_failure(&result);
    assert_eq!(
        (kind, message),
        (FailureKind::NoProgress, "no progress for 1 s")
    );
    // Noticed at the next look, which is taken eight times in that time.
    assert!((2 * MS + S..=2 * MS + S + S / 8).contains(&at), "{at}");
    assert_eq!((result.ledger.answered, result.ledger.lost), (5, 3));
}

#[test]
fn a_server_that_dribbles_does_not_make_a_run_longer() {
    // A reply of 8 bytes takes 7.2 s, and there is always one that is not whole.
    let dribble = |number: u64| {
        let bytes = number.to_be_bytes().into_iter().enumerate();
        let byte = |(place, byte)| (place as u64 * 900 * MS, Action::Send(vec![byte]));
        Fate(bytes.map(byte).collect())
    };
    let result = simulate(&load(Stream), |request| dribble(request.number)).result;
    let (_, at, kind, message) = only_failure(&result);
    assert_eq!(
        (kind, message),
        (FailureKind::NoProgress, "no progress for 1 s")
    );
    assert!((S..=S + S / 8).contains(&at), "{at}");
}

#[test]
fn all_replies_have_to_come_within_a_timeout_of_the_end() {
    // There is progress all the time, as one of 1,000 that are in flight is answered every 100 ms.
    let replies = |request: Arrival| Fate::reply((request.number + 1) * 100 * MS);
    let mut slow = load(Stream);
    slow.in_flight = 1_000;
    slow.extent = Extent::Duration(50 * MS);
    let result = simulate(&slow, replies).result;
    let (_, at, kind, message) = only_failure(&result);
    assert_eq!(kind, FailureKind::Unanswered);
    assert_eq!(message, "replies missing 1 s after the end: 988");
    assert!((S..=S + S / 4).contains(&at), "{at}");
    // Also if the end is the failure of another connection.
    slow.connections = 2;
    slow.extent = Extent::Count(1_000);
    let result = simulate(&slow, |request| {
        match (request.connection, request.number) {
            (1, 0) => Fate::lost().and(50 * MS, Action::Break(ErrorKind::ConnectionReset)),
            (1, _) => Fate::lost(),
            _ => replies(request),
        }
    })
    .result;
    let kinds: Vec<_> = result.failures.iter().map(|failure| failure.kind).collect();
    assert_eq!(kinds, [FailureKind::System, FailureKind::Unanswered]);
    assert!((S..=S + S / 4).contains(&result.failures[1].at_ns));
}

#[test]
fn only_a_reply_is_progress_for_datagrams() {
    // The only right replies come twice, the second time for ever.
    let mut load = load(Datagrams);
    load.extent = Extent::Count(1_000_000);
    let result = simulate(&load, |request| match request.number {
        0 => (1..100).fold(Fate::reply(MS), |fate, copy| {
            fate.and(copy * 300 * MS, Action::Reply)
        }),
        _ => Fate::lost(),
    })
    .result;
    let (_, at, kind, _) = only_failure(&result);
    assert_eq!(kind, FailureKind::NoProgress);
    assert!((5 * S..6 * S).contains(&at), "{at}");
}

#[test]
fn a_slow_request_at_a_low_rate_is_no_silence() {
    let mut load = load(Stream);
    load.pace = open(0.2, Arrivals::Fixed);
    load.in_flight = 10;
    load.extent = Extent::Count(5);
    let result = simulate(&load, |_| Fate::reply(900 * MS)).result;
    assert!(is_clean(&result), "{:?}", result.failures);
}

#[test]
fn a_request_that_is_passed_over_is_told() {
    // All others are answered, so that there is progress all the time.
    let mut load = load(Stream);
    load.in_flight = 2;
    load.extent = Extent::Count(1_000_000);
    let result = simulate(&load, but(10, Fate::lost())).result;
    let (.., kind, message) = only_failure(&result);
    assert_eq!(kind, FailureKind::Unanswered);
    assert_eq!(
        message,
        "no reply to request 11 within 1 s, though to later ones"
    );
    assert_eq!(result.ledger.lost, 1 + 1);
}

#[test]
fn other_connections_still_receive_what_is_due() {
    let mut load = load(Stream);
    load.connections = 3;
    load.in_flight = 5;
    // They are slower than the one that is reset.
    let result = simulate(&load, |request| {
        match (request.connection, request.number) {
            (1, 0) => Fate::lost().and(MS, Action::Break(ErrorKind::ConnectionReset)),
            (1, _) => Fate::lost(),
            _ => Fate::reply(10 * MS),
        }
    })
    .result;
    assert_eq!(only_failure(&result).0, 1);
    let expected = Ledger {
        scheduled: 300,
        sent: 15,
        skipped: 285,
        answered: 10,
        lost: 5,
        ..Ledger::default()
    };
    assert_eq!(result.ledger, expected);
}

#[test]
fn what_was_never_sent_is_skipped_and_not_lost() {
    // The socket is full when the connection breaks, with two in the batch that the system did not take.
    let mut load = load(Stream);
    load.in_flight = 4;
    load.batch = 2;
    let change = |knobs: &mut Knobs| knobs.blocked = (START + 9 * MS, START + 90 * MS);
    let Report { result, sends } = simulate_with(&load, change, |request| match request.number {
        8 => Fate::reply(10 * MS),
        9 => Fate::lost().and(12 * MS, Action::Break(ErrorKind::ConnectionReset)),
        number => Fate::reply((number / 2 % 2 + 1) * MS),
    });
    assert_eq!(only_failure(&result).2, FailureKind::System);
    // That two were kept by the engine is what makes this test one.
    assert_eq!(sends.iter().sum::<usize>() as u64, result.ledger.sent + 2);
    assert_eq!(result.ledger.lost, 1);
}

#[test]
fn what_was_due_before_an_abort_is_skipped() {
    // Every call takes a millisecond, and 10 requests are due in it.
    for warmup_ns in [0, 50 * MS] {
        let load = Load {
            pace: open(10_000.0, Arrivals::Fixed),
            connections: 2,
            warmup_ns,
            extent: Extent::Duration(S),
            ..load(Stream)
        };
        let change = |knobs: &mut Knobs| knobs.cost = MS;
        let reset = Fate::reply(US).and(100 * MS, Action::Break(ErrorKind::ConnectionReset));
        let mut reset = Some(reset);
        let result = simulate_with(&load, change, |_| {
            reset.take().unwrap_or_else(|| Fate::reply(US))
        })
        .result;
        let (_, at, kind, _) = only_failure(&result);
        assert_eq!(kind, FailureKind::System);
        assert_eq!(result.warmup.scheduled, warmup_ns / (100 * US));
        let due = at.div_ceil(100 * US);
        assert_eq!(result.ledger.scheduled, due - result.warmup.scheduled);
    }
}

#[test]
fn what_a_full_socket_keeps_cannot_be_answered() {
    for pace in [Pace::Closed, open(1_000.0, Arrivals::Fixed)] {
        for transport in [Stream, Datagrams] {
            let mut load = load(transport);
            load.pace = pace;
            load.extent = Extent::Count(1);
            let change = |knobs: &mut Knobs| {
                knobs.blocked = (START, START + 90 * MS);
                knobs.foretold = Some((START + 10 * MS, 0));
            };
            let result = simulate_with(&load, change, |_| Fate::lost()).result;
            let (_, at, kind, _) = only_failure(&result);
            assert_eq!((at, kind), (10 * MS, FailureKind::Mismatch));
            let expected = Ledger {
                scheduled: 1,
                skipped: 1,
                mismatched: 1,
                ..Ledger::default()
            };
            assert_eq!(result.ledger, expected);
        }
    }
}

#[test]
fn an_engine_that_fails_ends_the_run() {
    let mut load = load(Stream);
    load.connections = 2;
    load.in_flight = 2;
    let change = |knobs: &mut Knobs| knobs.breaks_at = START + 10 * MS;
    let result = simulate_with(&load, change, |_| Fate::reply(3 * MS)).result;
    assert_eq!(only_failure(&result).2, FailureKind::System);
    // Four at 0, 3, 6 and 9 ms, and after the first reply at 12 ms.
    let expected = Ledger {
        scheduled: 200,
        sent: 17,
        skipped: 183,
        answered: 13,
        lost: 4,
        ..Ledger::default()
    };
    assert_eq!(result.ledger, expected);
}

#[test]
fn an_interrupt_ends_the_run_when_all_that_was_sent_is_answered() {
    let paces = [Pace::Closed, open(1_000.0, Arrivals::Fixed)];
    for (transport, pace) in [Stream, Datagrams].into_iter().zip(paces) {
        let interrupt = Interrupt::default();
        let load = Load {
            pace,
            in_flight: 4,
            ..load(transport)
        };
        let result = simulate_until(
            &interrupt,
            &load,
            |_| {},
            |request| {
                if request.number == 10 {
                    interrupt.raise();
                }
                Fate::reply(2 * MS)
            },
        )
        .result;
        let Ledger { sent, skipped, .. } = result.ledger;
        assert_eq!(result.failures, []);
        assert!((11..=14).contains(&sent), "{sent}");
        let expected = Ledger {
            scheduled: 100,
            skipped,
            ..all_answered(sent)
        };
        assert_eq!(result.ledger, expected);
    }
}
