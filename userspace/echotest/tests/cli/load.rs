// SPDX-License-Identifier: GPL-2.0

//! Open loop, batches, and where the threads and their sockets are.

use std::{
    io::Write,
    net::{IpAddr, UdpSocket},
    sync::{mpsc, Mutex},
    thread,
    time::Duration,
};

use crate::{
    echotest,
    server::{echo, echo_messages, read_message, Server, LENGTH},
    Ledger,
};

#[test]
fn an_open_loop_sends_all_that_is_due() {
    let (server, _) = Server::good();
    for more in [
        "",
        "--arrivals exponential --seed 5",
        "--connections 7 -j 2",
    ] {
        let run = echotest(&format!("--rate 2k -c 210 {more} {}", server.address));
        let connections = if more.contains("7") { 7 } else { 1 };
        run.assert_good(&[("1", 210 * connections)]);
        assert!(
            run.out.contains("\nopen loop, ")
                && run
                    .out
                    .contains(" arrivals at 2,000/s, at most 4,096 in flight"),
            "{}",
            run.out
        );
        // It was not over before the last was due: with 210 evenly spaced, after 209 gaps.
        let seconds = run.figures()[2];
        assert!(more.contains("exp") || seconds >= 0.104, "{}", run.out);
    }
}

#[test]
fn a_stall_is_in_the_round_trips_of_all_that_were_due_in_it() {
    let server = Server::new(|stream, _| {
        echo_messages(stream, |_, number| {
            if number == 300 {
                thread::sleep(Duration::from_millis(500));
            }
        })
    });
    let run = echotest(&format!("-H --rate 1k -c 1000 {}", server.address));
    run.assert_good(&[("1", 1000)]);
    let figures = run.figures();
    // Half of them were due in it, evenly, so that one in four waited for half of it or more.
    let [_, p50, p90, _, _, _, max] = figures[5..] else {
        panic!("{}", run.out);
    };
    assert!(max >= 500_000.0 && p90 >= 350_000.0, "{}", run.out);
    assert!(p50 < p90, "{}", run.out);
    // From when they were sent, it is as long, unless it was in the client that they had to wait.
    let services = run.out.lines().nth(1).unwrap_or_default();
    assert!(
        services
            .trim_start()
            .starts_with("service: from when it was sent "),
        "{}",
        run.out
    );
    // In closed loop, it is in one of them.
    let run = echotest(&format!("-H -c 1000 {}", server.address));
    let figures = run.figures();
    let [_, _, p90, _, _, _, max] = figures[5..] else {
        panic!("{}", run.out);
    };
    assert!(max >= 500_000.0 && p90 < 350_000.0, "{}", run.out);
}

#[test]
fn what_is_due_while_too_many_are_in_flight_is_not_sent() {
    // Answers only when the client has ended, so that no more than three are ever sent.
    let server = Server::new(|mut stream, _| {
        let mut held = Vec::new();
        for _ in 0..3 {
            held.extend(read_message(&mut stream)?.unwrap_or_default());
        }
        thread::sleep(Duration::from_millis(300));
        stream.write_all(&held)?;
        echo(stream, |_, _| {})
    });
    let run = echotest(&format!("--rate 1k -a 3 -c 200 {}", server.address));
    assert_eq!(
        (run.status, run.rows()),
        (Some(0), vec![("1", 3)]),
        "{}",
        run.err
    );
    let ledger = Ledger {
        sent: 3,
        skipped: 197,
        answered: 3,
        ..Ledger::clean(200)
    };
    assert_eq!(run.ledger(), ledger);
}

#[test]
fn large_messages_in_open_loop_do_not_deadlock() {
    let (server, pieces) = Server::good();
    let run = echotest(&format!("-l 1m --rate 10k -c 32 {}", server.address));
    run.assert_good(&[("1", 32)]);
    assert_eq!(pieces.lock().unwrap().iter().sum::<usize>(), 32 << 20);
}

#[test]
fn a_batch_is_one_call_each_way() {
    let (server, pieces) = Server::good();
    let run = echotest(&format!("-a 4 --batch 4 -c 40 {}", server.address));
    run.assert_good(&[("1", 40)]);
    assert_eq!(*pieces.lock().unwrap(), [4 * LENGTH; 10]);
}

#[test]
fn datagrams_in_batches_come_back() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, client)) = server.recv_from(&mut buffer) {
            let _ = server.send_to(&buffer[..length], client);
        }
    });
    let run = echotest(&format!(
        "-u -a 32 --batch 16 -c 3000 --connections 2 {address}"
    ));
    run.assert_good(&[("1", 6000)]);
}

#[test]
fn a_run_may_have_a_duration_and_a_warm_up() {
    let (server, pieces) = Server::good();
    let run = echotest(&format!("--warmup 0.1 --duration 200ms {}", server.address));
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    let [(_, measured)] = run.rows()[..] else {
        panic!("{}", run.out);
    };
    // What the warm-up sent has a ledger of its own, and both together are what the server has seen.
    let warmup = run.out.split("\nwarm-up ").nth(1).and_then(Ledger::parse);
    let warmup = warmup.unwrap_or_else(|| panic!("{}", run.out));
    assert_eq!(run.ledger(), Ledger::clean(measured));
    assert_eq!(warmup, Ledger::clean(warmup.sent));
    assert!(measured > 0 && warmup.sent > 0, "{}", run.out);
    let all = pieces.lock().unwrap().iter().sum::<usize>() / LENGTH;
    assert_eq!((measured + warmup.sent) as usize, all);
    assert!(run.figures()[2] >= 0.2, "{}", run.out);
}

#[test]
fn who_looks_for_replies_all_the_time_finds_them() {
    let (server, _) = Server::good();
    for more in ["", "--connections 3", "--rate 1k"] {
        let line = format!(
            "--busy-poll --timeout 80000 -c 100 {more} {}",
            server.address
        );
        let run = echotest(&line);
        assert_eq!(run.status, Some(0), "{more}: {}", run.err);
    }
}

#[test]
fn threads_are_bound_to_processors() {
    let (server, _) = Server::good();
    let run = echotest(&format!("--cpus 0 -j 3 -c 10 {}", server.address));
    run.assert_good(&[("1", 30)]);
    let run = echotest(&format!("--cpus 0,1023 -j 2 -c 10 {}", server.address));
    run.assert_failed("cannot run a thread on CPU 1023: Invalid argument (os error 22)");
}

#[test]
fn sockets_are_bound_to_an_address() {
    let (addresses, seen) = mpsc::channel();
    let addresses = Mutex::new(addresses);
    let server = Server::new(move |stream, _| {
        let peer = stream.peer_addr()?.ip();
        addresses.lock().unwrap().send(peer).unwrap();
        echo(stream, |_, _| {})
    });
    let run = echotest(&format!("--bind 127.0.0.9 -c 10 {}", server.address));
    run.assert_good(&[("1", 10)]);
    assert_eq!(seen.recv().unwrap(), IpAddr::from([127, 0, 0, 9]));
    let run = echotest(&format!("--bind 192.0.2.1 {}", server.address));
    run.assert_failed(&format!(
        "cannot connect to {}: Cannot assign requested address (os error 99)",
        server.address
    ));
    let run = echotest(&format!("--bind ::1 {}", server.address));
    run.assert_failed(&format!(
        "cannot connect to {}: the address to bind to is of the other IP version",
        server.address
    ));
}
