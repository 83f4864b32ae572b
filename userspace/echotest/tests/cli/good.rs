// SPDX-License-Identifier: GPL-2.0

//! Servers that do what they should, each in a way of its own.

use std::{io::Write, net::Ipv4Addr, sync::Barrier};

use crate::{
    echotest,
    server::{echo, echo_messages, read_message, Server, LENGTH},
    Ledger,
};

#[test]
fn every_run_has_new_connections_and_a_row() {
    let (server, pieces) = Server::good();
    let run = echotest(&format!("-j 3 -c 100 -i 2 {}", server.address));
    run.assert_good(&[("1", 300), ("2", 300), ("all", 600)]);
    assert_eq!(server.connections(), 6);
    assert_eq!(pieces.lock().unwrap().iter().sum::<usize>(), 600 * LENGTH);
}

#[test]
fn the_header_says_what_is_measured_and_how() {
    let (server, _) = Server::good();
    let run = echotest(&format!("-j 2 -a 3 -c 40 -l 50 {}", server.address));
    run.assert_good(&[("1", 80)]);
    let lines: Vec<_> = run.out.lines().collect();
    let title = format!(
        "echotest: messages of 50 bytes over TCP to {}; 2 threads, 2 connections",
        server.address
    );
    let kind =
        "closed loop, 3 in flight on each connection: the tail is not corrected for coordinated omission";
    assert_eq!(lines[..2], [&title, kind]);
    let unit = lines[3].trim();
    assert_eq!((lines[2], unit), ("", "round trip, us"));
    let names: Vec<_> = lines[4].split_whitespace().collect();
    assert_eq!(
        names,
        [
            "run",
            "messages",
            "seconds",
            "messages/s",
            "Mbit/s",
            "min",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "p99.99",
            "max"
        ]
    );
    let cells: Vec<_> = lines[5].split_whitespace().collect();
    assert_eq!(cells.len(), names.len());
    // 80 messages are enough for p90, and too few for p99.
    assert_eq!(cells[8..11], ["n/a"; 3]);
    for cell in cells[5..8].iter().chain(&cells[11..]) {
        assert!(cell.parse::<f64>().unwrap() > 0.0, "{}", run.out);
    }
    assert_eq!(run.ledger(), Ledger::clean(80));
}

#[test]
fn one_connection_has_a_rate_and_figures_that_fit_together() {
    let (server, _) = Server::good();
    let run = echotest(&format!("-c 4000 -l 1000 -H {}", server.address));
    run.assert_good(&[("1", 4000)]);
    let cells = run.figures();
    let [_, messages, seconds, rate, mbits, min, p50, p90, p99, p999, p9999, max] = cells[..]
    else {
        panic!("{}", run.out);
    };
    // As far as the digits that are printed allow. The seconds go on until the thread is at its turn to end; with one in
    // flight, the shortest round trip bounds the rate from above.
    assert!(
        rate * seconds / messages > 0.95 && rate * min < 1e6 * 1.05,
        "{}",
        run.out
    );
    assert!(
        (rate * 8_000.0 / (mbits * 1e6) - 1.0).abs() < 0.05,
        "{}",
        run.out
    );
    assert!(
        min <= p50 && p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= max,
        "{}",
        run.out
    );
    // 4,000 are too few for it.
    assert!(p9999.is_nan(), "{}", run.out);
    // With one in flight, the round trips follow each other, so that none can be longer than their sum.
    assert!(
        min * messages <= seconds * 1e6 * 1.05 && max <= seconds * 1e6 + 1_000.0,
        "{}",
        run.out
    );
}

#[test]
fn without_headers_there_are_rows_only() {
    let (server, _) = Server::good();
    let run = echotest(&format!("-H -c 10 -i 2 {}", server.address));
    run.assert_good(&[("1", 10), ("2", 10), ("all", 20)]);
    assert_eq!(run.out.lines().count(), 3, "{}", run.out);
}

#[test]
fn suffixes_count() {
    let (server, pieces) = Server::good();
    echotest(&format!("-c 1k -l 2K {}", server.address)).assert_good(&[("1", 1024)]);
    assert_eq!(pieces.lock().unwrap().iter().sum::<usize>(), 1024 * 2000);
}

#[test]
fn a_message_is_sent_with_one_call() {
    let (server, pieces) = Server::good();
    echotest(&format!("-c 50 -l 1000 {}", server.address)).assert_good(&[("1", 50)]);
    assert_eq!(*pieces.lock().unwrap(), [1000; 50]);
}

#[test]
fn as_many_are_in_flight_as_asked_for() {
    // Answers four messages at once, and nothing before it has them.
    let server = Server::new(|mut stream, _| loop {
        let mut replies = Vec::new();
        for _ in 0..4 {
            let Some(message) = read_message(&mut stream)? else {
                return Ok(());
            };
            replies.extend(message);
        }
        stream.write_all(&replies)?;
    });
    echotest(&format!("-a 4 -c 40 {}", server.address)).assert_good(&[("1", 40)]);
    let run = echotest(&format!("-a 3 -c 40 --timeout 1 {}", server.address));
    run.assert_failed(
        "run 1, connection 1 of 1: no progress for 1 s (messages: 40 scheduled, 3 sent, 0 answered, 3 lost)",
    );
}

#[test]
fn all_connections_work_at_once() {
    // Answers nobody before all three have asked.
    let all = Barrier::new(3);
    let server = Server::new(move |stream, _| {
        echo_messages(stream, |_, _| {
            all.wait();
        })
    });
    echotest(&format!("-j 3 -c 20 {}", server.address)).assert_good(&[("1", 60)]);
    assert_eq!(server.connections(), 3);
}

#[test]
fn threads_share_out_connections_that_all_work_at_once() {
    // Answers nobody before all seven have asked, though there are only three threads.
    let all = Barrier::new(7);
    let server = Server::new(move |stream, _| {
        echo_messages(stream, |_, _| {
            all.wait();
        })
    });
    let run = echotest(&format!("-j 3 --connections 7 -c 20 {}", server.address));
    run.assert_good(&[("1", 140)]);
    assert_eq!(server.connections(), 7);
    assert!(
        run.out.contains("; 3 threads, 7 connections\n"),
        "{}",
        run.out
    );
}

#[test]
fn connections_of_one_thread_have_their_own_messages_in_flight() {
    let (server, pieces) = Server::good();
    let run = echotest(&format!(
        "--connections 100 -a 3 -c 20 -i 2 {}",
        server.address
    ));
    run.assert_good(&[("1", 2000), ("2", 2000), ("all", 4000)]);
    assert_eq!(server.connections(), 200);
    assert_eq!(pieces.lock().unwrap().iter().sum::<usize>(), 4000 * LENGTH);
}

#[test]
fn large_messages_in_flight_do_not_deadlock() {
    // This server does not read while it writes, nor do its buffers hold much.
    let (server, pieces) = Server::good();
    echotest(&format!("-l 1m -a 16 -c 32 {}", server.address)).assert_good(&[("1", 32)]);
    assert_eq!(pieces.lock().unwrap().iter().sum::<usize>(), 32 << 20);
}

#[test]
fn the_largest_message_comes_back() {
    let (server, _) = Server::good();
    echotest(&format!("-l 16m -c 2 {}", server.address)).assert_good(&[("1", 2)]);
}

#[test]
fn the_smallest_messages_come_back() {
    let (server, pieces) = Server::good();
    echotest(&format!("-l 1 -a 64 -c 5000 {}", server.address)).assert_good(&[("1", 5000)]);
    assert_eq!(pieces.lock().unwrap().iter().sum::<usize>(), 5000);
}

#[test]
fn replies_may_come_byte_by_byte() {
    let server = Server::new(|stream, _| {
        let mut reply = stream.try_clone()?;
        echo(stream, |piece, _| {
            for byte in piece.drain(..) {
                // The client gave up if this fails, and reading will tell.
                let _ = reply.write_all(&[byte]);
            }
        })
    });
    echotest(&format!("-a 4 -c 50 {}", server.address)).assert_good(&[("1", 50)]);
}

#[test]
fn ipv6_works() {
    let server = Server::on("[::1]:0", |stream, _| echo(stream, |_, _| {}));
    let run = echotest(&format!("-c 10 [::1]:{}", server.address.port()));
    run.assert_good(&[("1", 10)]);
    assert!(
        run.out
            .contains(&format!(" over TCP to [::1]:{};", server.address.port())),
        "{}",
        run.out
    );
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_name_works_also_if_its_first_address_does_not() {
    // Where localhost is ::1 too, nothing listens there.
    let (server, _) = Server::good();
    let run = echotest(&format!("-j 2 -c 10 localhost:{}", server.address.port()));
    run.assert_good(&[("1", 20)]);
    assert_eq!(server.address.ip(), Ipv4Addr::LOCALHOST);
    assert!(
        run.out
            .contains(&format!(" over TCP to {};", server.address)),
        "{}",
        run.out
    );
}
