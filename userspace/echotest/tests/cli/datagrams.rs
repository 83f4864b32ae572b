// SPDX-License-Identifier: GPL-2.0

//! UDP: servers, and networks, that lose, delay, repeat, reorder or change what they are sent.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        atomic::{AtomicUsize, Ordering::SeqCst},
        Arc,
    },
    thread,
    time::Duration,
};

use crate::{echotest, server::LENGTH, Ledger, Run};

/// Sends datagrams back to one client.
pub(crate) struct Reply<'a> {
    socket: &'a UdpSocket,
    client: SocketAddr,
}

impl Reply<'_> {
    pub(crate) fn send(&self, datagram: &[u8]) {
        // The client may have ended.
        let _ = self.socket.send_to(datagram, self.client);
    }
}

/// Starts a server that runs until the test process ends, and hands it each datagram with its number from 1.
pub(crate) fn serve_on(
    address: &str,
    mut serve: impl FnMut(&Reply<'_>, Vec<u8>, usize) + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind(address).expect("the loopback network works");
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        for number in 1.. {
            let (length, client) = socket.recv_from(&mut buffer).unwrap();
            let reply = Reply {
                socket: &socket,
                client,
            };
            serve(&reply, buffer[..length].to_vec(), number);
        }
    });
    address
}

fn serve(serve: impl FnMut(&Reply<'_>, Vec<u8>, usize) + Send + 'static) -> SocketAddr {
    serve_on("127.0.0.1:0", serve)
}

pub(crate) fn good() -> SocketAddr {
    serve(|reply, datagram, _| reply.send(&datagram))
}

#[test]
fn every_datagram_comes_back() {
    let address = good();
    let run = echotest(&format!("-u -j 2 -a 4 -c 500 -i 2 {address}"));
    run.assert_good(&[("1", 1000), ("2", 1000), ("all", 2000)]);
    assert_eq!(run.ledger(), Ledger::clean(2000));
    // The ledger is told once: of no run there is anything to be told.
    assert_eq!(run.out.matches("scheduled").count(), 1, "{}", run.out);
    let title =
        format!("echotest: messages of 32 bytes over UDP to {address}; 2 threads, 2 connections");
    assert_eq!(run.out.lines().next(), Some(&title[..]));
}

#[test]
fn the_smallest_and_the_largest_datagrams_come_back() {
    let lengths = Arc::new(AtomicUsize::new(0));
    let sum = Arc::clone(&lengths);
    let address = serve(move |reply, datagram, _| {
        sum.fetch_add(datagram.len(), SeqCst);
        reply.send(&datagram);
    });
    echotest(&format!("-u -l 8 -a 16 -c 1000 {address}")).assert_good(&[("1", 1000)]);
    assert_eq!(lengths.swap(0, SeqCst), 8_000);
    echotest(&format!("-u -l 65507 -c 20 {address}")).assert_good(&[("1", 20)]);
    assert_eq!(lengths.load(SeqCst), 65_507 * 20);
}

#[test]
fn sockets_of_one_thread_all_have_datagrams_in_flight() {
    let address = good();
    let run = echotest(&format!("-u --connections 50 -a 2 -c 20 {address}"));
    run.assert_good(&[("1", 1000)]);
}

#[test]
fn ipv6_works() {
    let address = serve_on("[::1]:0", |reply, datagram, _| reply.send(&datagram));
    echotest(&format!("-u -c 10 [::1]:{}", address.port())).assert_good(&[("1", 10)]);
}

#[test]
fn as_many_are_in_flight_as_asked_for() {
    // Answers four datagrams at once, and nothing before it has them.
    let mut held = Vec::new();
    let address = serve(move |reply, datagram, _| {
        held.push(datagram);
        if held.len() == 4 {
            held.drain(..).for_each(|datagram| reply.send(&datagram));
        }
    });
    echotest(&format!("-u -a 4 -c 40 {address}")).assert_good(&[("1", 40)]);
}

#[test]
fn a_lost_datagram_is_counted_and_holds_nothing_up() {
    let address = serve(|reply, datagram, number| {
        if number != 7 && number != 50 {
            reply.send(&datagram);
        }
    });
    let run = echotest(&format!("-u -c 50 {address}"));
    run.assert_failed("datagrams were lost (messages: 50 scheduled, 50 sent, 48 answered, 2 lost)");
    assert_eq!(run.rows(), [("1", 48)]);
    let ledger = Ledger {
        answered: 48,
        lost: 2,
        ..Ledger::clean(50)
    };
    assert_eq!(run.ledger(), ledger);
    // The row of the run says it too.
    let mut below = run
        .out
        .lines()
        .skip_while(|line| !line.starts_with("   1 "));
    let below = below.nth(1).unwrap_or_default();
    assert_eq!(Ledger::parse(below), Some(ledger), "{}", run.out);
}

#[test]
fn losses_do_not_end_the_runs() {
    let address = serve(|reply, datagram, number| {
        if number != 7 {
            reply.send(&datagram);
        }
    });
    let run = echotest(&format!("-u -a 4 -c 50 -i 3 {address}"));
    run.assert_failed(
        "datagrams were lost (messages: 150 scheduled, 150 sent, 149 answered, 1 lost)",
    );
    assert_eq!(
        run.rows(),
        [("1", 49), ("2", 50), ("3", 50), ("all", 149)],
        "{}",
        run.out
    );
}

#[test]
fn losses_at_a_rate_that_a_search_meets_are_told() {
    // One of 200, with which the rate is still sustained, and which p50 does not mind.
    let address = serve(|reply, datagram, number| {
        if number % 200 != 7 {
            reply.send(&datagram);
        }
    });
    let run = echotest(&format!(
        "-u --search p50<1000s --rate 1k --resolution 100% --duration 200ms --timeout 1 {address}"
    ));
    assert_eq!(run.status, Some(1), "{}", run.err);
    assert!(run.err.contains("datagrams were lost"), "{}", run.err);
}

#[test]
fn a_late_datagram_is_told_from_a_lost_one() {
    // The first one comes back when the second is there, which is sent when the first was given up.
    let mut first = None;
    let address = serve(move |reply, datagram, number| {
        if number == 1 {
            first = Some(datagram);
            return;
        }
        if let Some(first) = first.take() {
            reply.send(&first);
        }
        reply.send(&datagram);
    });
    let run = echotest(&format!("-u -c 20 {address}"));
    run.assert_failed(
        "datagrams came late (messages: 20 scheduled, 20 sent, 19 answered, 1 late, 0 lost)",
    );
    let ledger = Ledger {
        answered: 19,
        late: 1,
        ..Ledger::clean(20)
    };
    assert_eq!(run.ledger(), ledger);
}

#[test]
fn repeated_datagrams_are_counted_and_are_no_replies_to_others() {
    let address = serve(|reply, datagram, number| {
        reply.send(&datagram);
        if number % 10 == 1 {
            reply.send(&datagram);
        }
    });
    let run = echotest(&format!("-u -c 40 {address}"));
    run.assert_good(&[("1", 40)]);
    let ledger = Ledger {
        duplicated: 4,
        ..Ledger::clean(40)
    };
    assert_eq!(run.ledger(), ledger);
}

#[test]
fn reordered_datagrams_are_counted() {
    let mut held = None;
    let address = serve(move |reply, datagram, number| {
        if number % 10 == 1 {
            held = Some(datagram);
        } else {
            reply.send(&datagram);
            if let Some(held) = held.take() {
                reply.send(&held);
            }
        }
    });
    let run = echotest(&format!("-u -a 2 -c 40 {address}"));
    run.assert_good(&[("1", 40)]);
    let ledger = Ledger {
        reordered: 4,
        ..Ledger::clean(40)
    };
    assert_eq!(run.ledger(), ledger);
}

#[test]
fn silence_has_an_end() {
    let address = serve(|_, _, _| {});
    let run = echotest(&format!("-u -a 3 -c 1000M {address}"));
    let start =
        "echotest: run 1, connection 1 of 1: no progress for 5 s (messages: 1000000000 scheduled, ";
    assert!(run.err.starts_with(start), "{}", run.err);
    assert_eq!((run.status, run.rows()), (Some(1), vec![("1", 0)]));
}

#[test]
fn a_host_that_refuses_is_told() {
    let address = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let run = echotest(&format!("-u {address}"));
    let start = "echotest: run 1, connection 1 of 1: Connection refused (os error 111) (messages: 10240 scheduled, ";
    assert!(run.err.starts_with(start), "{}", run.err);
    assert_eq!(run.status, Some(1));
}

/// Runs against a server that changes its seventh datagram.
fn changed(mut change: impl FnMut(&mut Vec<u8>) + Send + 'static) -> Run {
    let address = serve(move |reply, mut datagram, number| {
        if number == 7 {
            change(&mut datagram);
        }
        reply.send(&datagram);
    });
    echotest(&format!("-u -c 10 {address}"))
}

#[test]
fn a_flipped_bit_is_found() {
    for offset in [8, 20, LENGTH - 1] {
        let run = changed(move |datagram| datagram[offset] ^= 0x10);
        let start =
            format!("echotest: run 1, connection 1 of 1: message 7, offset {offset}: expected 0x");
        assert!(run.err.starts_with(&start), "{}", run.err);
        let ledger = "(messages: 10 scheduled, 7 sent, 6 answered, 1 lost)\n";
        assert!(run.err.ends_with(ledger), "{}", run.err);
        assert_eq!(run.status, Some(1));
    }
}

#[test]
fn a_number_that_was_never_sent_is_found() {
    changed(|datagram| datagram[0] ^= 1).assert_failed(
        "run 1, connection 1 of 1: a datagram with a number that was never sent \
         (messages: 10 scheduled, 7 sent, 6 answered, 1 lost)",
    );
}

#[test]
fn a_wrong_length_is_found() {
    for length in [0, 7, 31, 33, 40_000] {
        changed(move |datagram| datagram.resize(length, 0)).assert_failed(&format!(
            "run 1, connection 1 of 1: a datagram of {length} bytes instead of 32 \
             (messages: 10 scheduled, 7 sent, 6 answered, 1 lost)"
        ));
    }
}

#[test]
fn another_sockets_datagrams_are_none_of_this_ones() {
    for length in [8, 32] {
        // Answers the second client with what the first one said.
        let mut first: Option<(SocketAddr, Vec<u8>)> = None;
        let address = serve(move |reply, datagram, _| match &first {
            Some((client, other)) if *client != reply.client => reply.send(other),
            _ => {
                first = Some((reply.client, datagram.clone()));
                reply.send(&datagram);
            }
        });
        let run = echotest(&format!("-u -l {length} -c 1 -i 2 {address}"));
        let start = "run 2, connection 1 of 1: a datagram with a number that was never sent (";
        assert!(
            run.err.starts_with(&format!("echotest: {start}")),
            "{}",
            run.err
        );
        assert_eq!((run.status, run.rows()[0]), (Some(1), ("1", 1)));
    }
}

#[test]
fn a_longer_limit_is_kept() {
    let mut held = true;
    let address = serve(move |reply, datagram, _| {
        if std::mem::take(&mut held) {
            thread::sleep(Duration::from_millis(1_500));
        }
        reply.send(&datagram);
    });
    echotest(&format!("-u --timeout 10 -c 5 {address}")).assert_good(&[("1", 5)]);
}
