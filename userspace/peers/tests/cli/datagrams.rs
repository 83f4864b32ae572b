// SPDX-License-Identifier: GPL-2.0

//! `peers datagrams`

use std::{
    collections::HashSet,
    net::UdpSocket,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{
    peers,
    server::{UdpServer, NOBODY},
    Run,
};

#[test]
fn all_sizes_come_back() {
    for (address, options) in [
        ("127.0.0.1:0", ""),
        ("[::1]:0", ""),
        ("127.0.0.1:0", "--unconnected"),
        ("[::1]:0", "--unconnected"),
    ] {
        let server = UdpServer::on(address, |socket, datagram, from| {
            socket.send_to(datagram, from).map(drop)
        });
        let run = peers(&format!("datagrams {options} {}", server.address));
        run.assert_good();
        let received = server.received();
        assert_eq!(
            (
                run.number("datagrams"),
                run.number("resent"),
                received.len()
            ),
            (106, 0, 106)
        );
        for size in [0, 1, 2, 1_472, 1_473, 8_192, 32_768, 65_507] {
            assert!(received.contains(&size), "{size}");
        }
    }
}

#[test]
fn sizes_and_seed_decide() {
    let sizes = |options: &str| {
        let server = UdpServer::good();
        peers(&format!("datagrams {options} {}", server.address)).assert_good();
        server.received()
    };
    assert_eq!(sizes("--sizes 5,0,7 --random 0"), [5, 0, 7]);
    let random = |seed| sizes(&format!("--sizes 1 --random 20 --seed {seed}"));
    assert_eq!(random(3), random(3));
    assert_ne!(random(3), random(4));
    assert!(random(3).into_iter().collect::<HashSet<_>>().len() > 10);
}

#[test]
fn what_is_lost_is_sent_again() {
    let seen = Mutex::new(HashSet::new());
    let server = UdpServer::new(move |socket, datagram, from| {
        // Each is lost once.
        if seen.lock().unwrap().insert(datagram.to_vec()) {
            return Ok(());
        }
        socket.send_to(datagram, from).map(drop)
    });
    let run = peers(&format!(
        "datagrams --sizes 10,1000,20 --random 0 --wait 0.1 {}",
        server.address
    ));
    run.assert_good();
    assert_eq!((run.number("datagrams"), run.number("resent")), (3, 3));
}

#[test]
fn a_late_reply_to_what_was_sent_again_is_no_failure() {
    let mut held = None;
    let server = UdpServer::new(move |socket, datagram, from| {
        // Holds the first back, and gives it with the second: the same comes twice.
        match held.take() {
            None if datagram.len() == 100 => held = Some(datagram.to_vec()),
            None => drop(socket.send_to(datagram, from)?),
            Some(first) => {
                socket.send_to(datagram, from)?;
                socket.send_to(&first, from)?;
            }
        }
        Ok(())
    });
    let run = peers(&format!(
        "datagrams --sizes 100,99,98 --random 0 --wait 0.2 {}",
        server.address
    ));
    run.assert_good();
    assert_eq!(run.number("resent"), 1);
}

#[test]
fn what_is_lost_for_ever_is_told_after_a_while() {
    let server = UdpServer::new(|socket, datagram, from| {
        if datagram.len() == 33 {
            return Ok(());
        }
        socket.send_to(datagram, from).map(drop)
    });
    let begun = Instant::now();
    let run = peers(&format!(
        "datagrams --wait 0.1 --resends 2 {}",
        server.address
    ));
    run.assert_failed("datagram 14, of 33 bytes: no reply to 33 bytes that were sent 3 times");
    assert!((300..15_000).contains(&begun.elapsed().as_millis()));
}

#[test]
fn a_wrong_byte_is_told() {
    let run = peers(&format!(
        "datagrams {}",
        UdpServer::wrong_byte(65_507).address
    ));
    run.assert_failed("datagram 56, of 65507 bytes: offset 65506: expected 0x");
}

/// Runs it against a server that answers with something else.
fn answers(change: fn(&[u8]) -> Vec<u8>) -> Run {
    let server = UdpServer::new(move |socket, datagram, from| {
        socket.send_to(&change(datagram), from).map(drop)
    });
    peers(&format!(
        "datagrams --sizes 10 --random 0 {}",
        server.address
    ))
}

#[test]
fn wrong_sizes_are_told() {
    let lines = "datagram 1, of 10 bytes: ";
    answers(|datagram| datagram[1..].to_vec()).assert_failed(&format!(
        "{lines}9 bytes came that are no reply to the 10 bytes that were sent"
    ));
    answers(|datagram| [datagram, b"x"].concat()).assert_failed(&format!(
        "{lines}11 bytes came that are no reply to the 10 bytes that were sent"
    ));
    answers(|_| Vec::new()).assert_failed(&format!(
        "{lines}0 bytes came that are no reply to the 10 bytes that were sent"
    ));
}

#[test]
fn a_second_reply_is_told() {
    let twice = || {
        UdpServer::new(|socket, datagram, from| {
            socket.send_to(datagram, from)?;
            socket.send_to(datagram, from).map(drop)
        })
    };
    peers(&format!(
        "datagrams --sizes 10,20 --random 0 {}",
        twice().address
    ))
    .assert_failed(
        "datagram 2, of 20 bytes: 10 bytes came that are no reply to the 20 bytes that were sent",
    );
    peers(&format!(
        "datagrams --sizes 10 --random 0 {}",
        twice().address
    ))
    .assert_failed("after the last datagram: a reply of 10 bytes came");
}

#[test]
fn a_reply_from_elsewhere_is_told() {
    let elsewhere = || {
        let other = UdpSocket::bind("127.0.0.2:0").unwrap();
        UdpServer::new(move |_, datagram, from| other.send_to(datagram, from).map(drop))
    };
    peers(&format!(
        "datagrams --wait 0.1 --resends 0 {}",
        elsewhere().address
    ))
    .assert_failed("datagram 1, of 0 bytes: no reply to 0 bytes that were sent 1 times");
    peers(&format!("datagrams --unconnected {}", elsewhere().address))
        .assert_failed("datagram 1, of 0 bytes: the reply came from 127.0.0.2:");
}

#[test]
fn a_source_port_may_be_one_that_gets_no_reply() {
    // Nothing else has it: the system chooses higher ones.
    let port = 10_007;
    let server = UdpServer::new(move |socket, datagram, from| {
        if from.port() != port {
            socket.send_to(datagram, from)?;
        }
        Ok(())
    });
    let options = format!("--source-port {port} --sizes 10,20 --random 0 --wait 0.3");
    let run = peers(&format!(
        "datagrams --no-reply --source 127.0.0.1 {options} {}",
        server.address
    ));
    run.assert_good();
    // Each came twice: from that port, and from another one.
    assert_eq!(server.received(), [10, 10, 20, 20]);
    peers(&format!(
        "datagrams {options} --resends 0 {}",
        server.address
    ))
    .assert_failed("datagram 1, of 10 bytes: no reply to 10 bytes that were sent 1 times");
}

#[test]
fn a_reply_that_should_not_come_is_told() {
    let run = peers(&format!(
        "datagrams --no-reply --sizes 10 --random 0 --wait 0.3 {}",
        UdpServer::good().address
    ));
    run.assert_failed("after the last datagram: a reply of 10 bytes came");
}

#[test]
fn without_replies_to_others_no_silence_counts() {
    let server = UdpServer::new(|_, _, _| Ok(()));
    let run = peers(&format!(
        "datagrams --no-reply --sizes 10 --random 0 --wait 0.1 --resends 0 {}",
        server.address
    ));
    run.assert_failed("datagram 1, of 10 bytes: no reply to 10 bytes that were sent 1 times");
}

#[test]
fn a_port_that_nobody_has_is_told_at_once() {
    let begun = Instant::now();
    let run = peers(&format!("datagrams --wait 30 {NOBODY}"));
    run.assert_failed("datagram 1, of 0 bytes: Connection refused");
    assert!(begun.elapsed() < Duration::from_secs(15));
}
