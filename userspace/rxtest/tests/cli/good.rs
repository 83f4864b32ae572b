// SPDX-License-Identifier: GPL-2.0

//! Servers that do as they should.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use documented::Tool;
use wire::rxperf::{Operation, COOKIE, SERVICE};

use crate::{
    assert_good,
    server::{good, pattern, serve, zeros, Answer, Call},
    FETCH, RPC, RXTEST,
};

/// Runs a tool with these options, so that a good server gets `count` calls, and returns them.
#[track_caller]
fn calls(tool: &Tool, options: &str, count: u64) -> Vec<Call> {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    let address = serve(move |call| {
        log.lock().unwrap().push(call.clone());
        Answer::Reply(pattern(call))
    });
    assert_good(&tool.run(&format!("{options} {address}")), count);
    let calls = calls.lock().unwrap();
    assert_eq!(calls.len() as u64, count);
    calls.clone()
}

#[test]
fn files_are_fetched_by_recv() {
    for (options, bytes) in [("", 1 << 20), ("--size 1500", 1500), ("-s 0", 0)] {
        for call in calls(&FETCH, &format!("--files 3 {options}"), 3) {
            assert_eq!(call.request.operation, Operation::Recv { bytes });
            assert_eq!(call.identity.service_id, SERVICE);
            assert!(call.bytes.ends_with(&COOKIE));
        }
    }
}

#[test]
fn small_calls_send_zeros_and_a_cookie() {
    for (options, send, recv) in [
        ("", 4, 4),
        ("--send 3 --receive 30", 3, 30),
        ("-s 0 -r 0", 0, 0),
        ("-s 100k -r 5", 100 << 10, 5),
    ] {
        for call in calls(&RPC, &format!("-c 5 {options}"), 5) {
            assert_eq!(call.request.operation, Operation::Rpc { send, recv });
            let (head, body) = call.bytes.split_at(24);
            assert_eq!(head[..4], [0, 0, 0, 3]);
            let (body, cookie) = body.split_at(send as usize);
            assert!(body.iter().all(|byte| *byte == 0));
            assert_eq!(cookie, COOKIE);
        }
    }
}

#[test]
fn each_client_has_a_port_and_connections_of_its_own() {
    let calls = calls(&RPC, "--clients 5 -j 2 --streams 6 -c 12", 60);
    let ports: BTreeSet<_> = calls.iter().map(|call| call.client).collect();
    assert_eq!(ports.len(), 5);
    let connections: BTreeSet<_> = calls
        .iter()
        .map(|call| (call.client, call.identity))
        .collect();
    // Six calls at a time take two connections of four.
    assert_eq!(connections.len(), 10);
    let numbers: BTreeSet<_> = calls.iter().map(|call| call.identity).collect();
    assert_eq!(numbers.len(), 10);
    assert!(numbers.iter().all(|identity| identity.epoch >> 30 == 0b10));
}

#[test]
fn the_numbers_of_runs_are_not_the_same() {
    let one = calls(&RPC, "-c 1 --seed 1", 1);
    let other = calls(&RPC, "-c 1 --seed 1", 1);
    assert_ne!(one[0].identity, other[0].identity);
}

#[test]
fn the_content_is_known_from_the_first_reply_or_said() {
    let patterns = good();
    let all_zeros = serve(|call| Answer::Reply(zeros(call)));
    for (address, content) in [
        (patterns, "auto"),
        (patterns, "pattern"),
        (all_zeros, "auto"),
        (all_zeros, "zeros"),
    ] {
        let options = format!("-c 5 -s 3000 --content {content} {address}");
        assert_good(&FETCH.run(&options), 5);
    }
}

#[test]
fn ipv6_is_as_good() {
    let port = good().port();
    assert_good(&FETCH.run(&format!("-c 2 [::1]:{port}")), 2);
    let version = RXTEST.run(&format!("version [::1]:{port}"));
    assert_eq!(version.status, Some(0), "{}", version.err);
}

#[test]
fn a_server_tells_what_it_is() {
    let run = RXTEST.run(&format!("version {}", good()));
    assert_eq!(
        (run.status, &run.out[..], &run.err[..]),
        (Some(0), "a server of a test\n", "")
    );
}

#[test]
fn calls_are_made_at_a_rate() {
    let run = RPC.run(&format!("--rate 500 -c 50 --clients 2 {}", good()));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""), "{}", run.out);
    assert_eq!(run.ledger().answered, 100, "{}", run.out);
}

#[test]
fn a_run_may_have_a_duration_and_a_warm_up() {
    let address = good();
    let run = FETCH.run(&format!(
        "--duration 300ms --warmup 50ms --clients 3 --size 20k -H {address}"
    ));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""), "{}", run.out);
    assert!(run.rows()[0].1 > 0, "{}", run.out);
}

#[test]
fn two_servers_are_compared() {
    let (a, b) = (good(), good());
    let run = RPC.run(&format!("compare -i 5 -c 20 {a} {b}"));
    // Whether one is faster is not said here.
    assert!(matches!(run.status, Some(0 | 3)), "{}{}", run.out, run.err);
    let b = format!("B: {b}");
    assert!(run.out.contains(&b), "{}", run.out);
}
