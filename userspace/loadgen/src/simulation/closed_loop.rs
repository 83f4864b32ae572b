// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::engine::simulated::Action;
use Transport::{Datagrams, Stream};

#[test]
fn a_server_of_constant_speed_has_one_latency() {
    for transport in [Stream, Datagrams] {
        let report = simulate(&load(transport), |_| Fate::reply(20 * US));
        let result = report.result;
        assert!(is_clean(&result));
        assert_eq!(result.ledger, all_answered(100));
        assert_latencies(&result.service.distribution(), vec![20 * US; 100]);
        assert_eq!(result.service, result.response);
        assert_eq!((result.service.min(), result.service.max()), {
            let latency = Some(std::time::Duration::from_micros(20));
            (latency, latency)
        });
        assert_eq!(result.elapsed_ns, 2 * MS);
        // 100 in 2 ms, and the window is all of it.
        assert_eq!(result.window.length_ns, 2 * MS);
        assert_eq!(result.window.rate(), Some(50_000.0));
        assert_eq!(report.sends, [1; 100]);
    }
}

#[test]
fn every_latency_is_recorded_once() {
    let delays: Vec<Nanos> = (1..=100).map(|step| step * step * 7 * US).collect();
    let result = simulate(&load(Stream), |request| {
        Fate::reply(delays[request.number as usize])
    })
    .result;
    assert_latencies(&result.response.distribution(), delays.clone());
    assert_eq!(result.elapsed_ns, delays.iter().sum::<u64>());
}

#[test]
fn as_many_are_in_flight_as_may_be() {
    let mut load = load(Stream);
    load.connections = 3;
    load.in_flight = 8;
    let result = simulate(&load, |_| Fate::reply(50 * US)).result;
    assert_eq!(result.ledger, all_answered(300));
    // 24 at a time, of 50 us each: by Little's law, 300 take 12.5 of them, and the last half one takes as long.
    assert_eq!(result.elapsed_ns, 13 * 50 * US);
}

#[test]
fn replies_of_a_stream_may_come_in_pieces_and_in_any_order() {
    let mut load = load(Stream);
    load.in_flight = 4;
    for piece in [1, 3, 8] {
        let change = |knobs: &mut Knobs| knobs.piece = piece;
        let result = simulate_with(&load, change, |request| {
            Fate::reply((10 - request.number % 4) * US)
        })
        .result;
        assert!(is_clean(&result), "{:?}", result.failures);
        assert_eq!(result.ledger.answered, 100);
        assert!(result.ledger.reordered > 20, "{:?}", result.ledger);
    }
}

#[test]
fn a_batch_is_sent_with_one_call() {
    let mut load = load(Datagrams);
    load.in_flight = 12;
    load.batch = 5;
    // All twelve are answered at once.
    let result = simulate(&load, |request| {
        Fate::reply(START + (request.at - START) / MS * MS + MS - request.at)
    });
    assert_eq!(result.sends[..3], [5, 5, 2]);
    assert_eq!(result.result.ledger, all_answered(100));
}

#[test]
fn a_stall_delays_only_what_is_in_flight() {
    // The server does nothing for a second, and then answers what has come.
    let stall = START + 500 * US..START + S;
    let result = simulate(&load(Stream), |request| {
        let answered = request.at + 10 * US;
        let stalled = stall.contains(&answered);
        Fate::reply(if stalled {
            stall.end - request.at
        } else {
            10 * US
        })
    })
    .result;
    let mut expected = vec![10 * US; 99];
    expected.push(S - 490 * US);
    assert_latencies(&result.response.distribution(), expected);
}

#[test]
fn a_duration_ends_the_sending_and_no_reply_is_missed() {
    let mut load = load(Stream);
    load.extent = Extent::Duration(10 * MS);
    load.in_flight = 2;
    let result = simulate(&load, |_| Fate::reply(3 * MS)).result;
    // At 0, 3, 6 and 9 ms, two at a time.
    assert_eq!(result.ledger, all_answered(8));
    assert_eq!(result.elapsed_ns, 12 * MS);
}

#[test]
fn the_warm_up_has_a_ledger_of_its_own_and_no_latencies() {
    for extent in [Extent::Count(50), Extent::Duration(50 * MS)] {
        let mut load = load(Datagrams);
        load.extent = extent;
        load.warmup_ns = 10 * MS;
        let mut slow = 0;
        let result = simulate(&load, |request| {
            let warm = request.at >= START + 10 * MS;
            slow += u64::from(!warm);
            match request.number {
                2 => Fate::reply(MS).and(MS, Action::Reply),
                _ if warm => Fate::reply(MS),
                _ => Fate::reply(2 * MS),
            }
        })
        .result;
        // At 0, 2, 4, 5, 7 and 9 ms; the last is answered at 11 ms, which is not in the warm-up any more.
        assert_eq!(slow, 6);
        let warmup = Ledger {
            duplicated: 1,
            ..all_answered(6)
        };
        assert_eq!(result.warmup, warmup);
        let measured = match extent {
            Extent::Count(count) => count,
            Extent::Duration(_) => 49,
        };
        assert_eq!(result.ledger, all_answered(measured));
        assert_latencies(&result.response.distribution(), vec![MS; measured as usize]);
        assert_eq!(result.elapsed_ns, MS + measured * MS);
        // The window has no warm-up, but its last reply, which the server worked for in it.
        assert_eq!(result.window.length_ns, result.elapsed_ns);
        assert_eq!(result.window.answered, measured + 1);
        assert!(is_clean(&result));
    }
}

#[test]
fn intervals_show_when_it_was_slow() {
    let mut load = load(Stream);
    load.extent = Extent::Duration(400 * MS);
    let result = simulate(&load, |request| {
        let slow = (START + 100 * MS..START + 200 * MS).contains(&request.at);
        Fate::reply(if slow { 10 * MS } else { MS })
    })
    .result;
    let counts: Vec<_> = result
        .intervals
        .iter()
        .map(|interval| {
            (
                interval.start_ns,
                interval.length_ns,
                interval.response.len(),
            )
        })
        .collect();
    // What comes at an interval's end is in the next, if there is one.
    assert_eq!(
        counts,
        [
            (0, 100 * MS, 99),
            (100 * MS, 100 * MS, 10),
            (200 * MS, 100 * MS, 100),
            (300 * MS, 100 * MS, 101),
        ]
    );
    assert_latencies(&result.intervals[1].response, {
        let mut slow = vec![10 * MS; 9];
        slow.push(MS);
        slow
    });
}
