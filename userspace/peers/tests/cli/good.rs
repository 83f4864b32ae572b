// SPDX-License-Identifier: GPL-2.0

//! `peers good`

use std::{
    io::{Read, Write},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    peers,
    server::{echo, Server, UdpServer, NOBODY},
    start,
};

#[test]
fn it_asks_until_the_time_is_over() {
    let server = Server::good();
    let run = peers(&format!(
        "good --seconds 1 --interval 0.001 {}",
        server.address
    ));
    run.assert_good();
    assert!(
        run.out.starts_with("good: tcp requests=") && run.out.lines().count() == 1,
        "{}",
        run.out
    );
    assert!(run.number("requests") > 10, "{}", run.out);
    assert_eq!((run.number("late"), run.number("lost")), (0, 0));
    assert!(run.number("p50_us") <= run.number("max_us"), "{}", run.out);
    assert_eq!(server.wait_until(|seen| seen.ended == 1).opened, 1);
}

#[test]
fn it_asks_until_it_is_told() {
    for options in ["", "-u"] {
        let (tcp, udp) = (Server::good(), UdpServer::good());
        let address = if options == "-u" {
            udp.address
        } else {
            tcp.address
        };
        let mut running = start(&format!("good {options} --until-told {address}"));
        sleep(Duration::from_millis(500));
        assert!(running.child.try_wait().unwrap().is_none());
        running.tell();
        running.end().assert_good();
    }
}

#[test]
fn the_end_of_standard_input_ends_it_too() {
    let mut running = start(&format!(
        "good --until-told --seconds 30 {}",
        Server::good().address
    ));
    let begun = Instant::now();
    drop(running.child.stdin.take());
    running.end().assert_good();
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn it_may_connect_for_each_request() {
    let server = Server::good();
    let run = peers(&format!(
        "good --seconds 0.5 --interval 0.001 --reconnect 2 {}",
        server.address
    ));
    run.assert_good();
    let connections = run.number("requests").div_ceil(2) as usize;
    assert_eq!(
        server.wait_until(|seen| seen.ended == connections).opened,
        connections
    );
}

#[test]
fn the_first_wrong_byte_ends_it() {
    let run = peers(&format!(
        "good --seconds 30 --interval 0 {}",
        Server::wrong_byte(0, 20_000).address
    ));
    run.assert_failed("request ");
    assert!(
        run.err.contains(": offset 20000: expected 0x"),
        "{}",
        run.err
    );
    assert!(run.out.starts_with("good: tcp requests="), "{}", run.out);
}

#[test]
fn late_replies_are_counted() {
    for (options, late) in [("--limit 0.3", true), ("--limit 20", false)] {
        let server = Server::new(|stream, _| {
            let mut pieces = 0;
            echo(stream, |_, _| {
                pieces += 1;
                if pieces == 3 {
                    sleep(Duration::from_millis(600));
                }
            })
        });
        let run = peers(&format!(
            "good --seconds 1.5 --length 10 {options} {}",
            server.address
        ));
        assert_eq!(run.number("late"), u64::from(late), "{}", run.out);
        // It has gone on.
        assert!(
            run.number("requests") > 5 && run.number("max_us") >= 600_000,
            "{}",
            run.out
        );
        if late {
            run.assert_failed("1 of ");
            assert!(
                run.err
                    .ends_with(" replies came later than after 0.300 s\n"),
                "{}",
                run.err
            );
        } else {
            run.assert_good();
        }
    }
}

#[test]
fn a_reply_that_does_not_come_ends_it() {
    let run = peers(&format!(
        "good --seconds 30 --timeout 0.3 {}",
        Server::silent().address
    ));
    run.assert_failed("request 1: no progress for 0.300 s");
    let run = peers(&format!(
        "good --seconds 30 {}",
        Server::closes_after(3_000).address
    ));
    run.assert_failed("request ");
    let run = peers(&format!("good --seconds 30 {}", NOBODY));
    run.assert_failed("request 1: Connection refused");
}

#[test]
fn a_surplus_byte_is_told() {
    // It comes some time after the reply, and so before the next one or before the end.
    let server = Server::new(|mut stream, _| {
        let mut buffer = [0; 1_000];
        let length = stream.read(&mut buffer)?;
        stream.write_all(&buffer[..length])?;
        sleep(Duration::from_millis(100));
        stream.write_all(b"x")?;
        sleep(Duration::from_secs(20));
        Ok(())
    });
    let run = peers(&format!(
        "good --seconds 0.5 --interval 1 {}",
        server.address
    ));
    run.assert_failed("at the end: more came back than the ");
    let run = peers(&format!(
        "good --seconds 5 --interval 0.5 {}",
        server.address
    ));
    run.assert_failed("request 2: offset ");
}

/// Closes each connection after some bytes.
fn restarts() -> Server {
    Server::new(|mut stream, _| {
        let mut buffer = [0; 10];
        for _ in 0..3 {
            let length = stream.read(&mut buffer)?;
            stream.write_all(&buffer[..length])?;
        }
        Ok(())
    })
}

#[test]
fn connections_may_end_if_the_server_may_go() {
    let options = "--seconds 0.5 --interval 0.001 --length 10";
    let run = peers(&format!("good {options} --restarts {}", restarts().address));
    run.assert_good();
    assert!(
        run.number("lost") > 3 && run.number("requests") > 3 * run.number("lost"),
        "{}",
        run.out
    );
    peers(&format!("good {options} {}", restarts().address)).assert_failed("request 4: ");
}

#[test]
fn wrong_bytes_are_told_even_if_the_server_may_go() {
    let run = peers(&format!(
        "good --seconds 30 --restarts --interval 0 {}",
        Server::wrong_byte(0, 2_000).address
    ));
    run.assert_failed("request ");
    assert!(
        run.err.contains(": offset 2000: expected 0x"),
        "{}",
        run.err
    );
}

#[test]
fn a_server_that_never_was_there_is_told_even_if_it_may_go() {
    let run = peers(&format!("good --seconds 0.3 --restarts {}", NOBODY));
    run.assert_failed("no request was answered");
    peers(&format!("good -u --seconds 0.3 --restarts {NOBODY}"))
        .assert_failed("no request was answered");
}

#[test]
fn udp_has_replies() {
    let server = UdpServer::good();
    let run = peers(&format!(
        "good -u --seconds 0.5 --interval 0.001 {}",
        server.address
    ));
    run.assert_good();
    assert!(run.out.starts_with("good: udp requests="), "{}", run.out);
    assert_eq!(server.received().len() as u64, run.number("requests"));
    assert!(server
        .received()
        .iter()
        .all(|size| (1..=1_000).contains(size)));
}

/// Drops the fifth datagram.
fn drops_one() -> UdpServer {
    let mut count = 0;
    UdpServer::new(move |socket, datagram, from| {
        count += 1;
        if count != 5 {
            socket.send_to(datagram, from)?;
        }
        Ok(())
    })
}

#[test]
fn a_datagram_that_is_lost_is_told_unless_it_may_be_sent_again() {
    let run = peers(&format!("good -u --seconds 1 {}", drops_one().address));
    run.assert_failed("request 5: no reply to ");
    let run = peers(&format!(
        "good -u --seconds 1 --resends 1 --wait 0.2 {}",
        drops_one().address
    ));
    run.assert_good();
    assert_eq!((run.number("resent"), run.number("lost")), (1, 0));
    // It took as long as the first copy was waited for.
    assert!(run.number("max_us") >= 200_000, "{}", run.out);
    let run = peers(&format!(
        "good -u --seconds 1 --resends 1 --wait 0.2 --limit 0.1 {}",
        drops_one().address
    ));
    run.assert_failed("1 of ");
    let run = peers(&format!(
        "good -u --seconds 1 --wait 0.2 --restarts {}",
        drops_one().address
    ));
    run.assert_good();
    assert_eq!(run.number("lost"), 1);
}

#[test]
fn udp_tells_of_wrong_bytes() {
    let run = peers(&format!(
        "good -u --seconds 30 --length 1 {}",
        UdpServer::wrong_byte(1).address
    ));
    run.assert_failed("request 1: offset 0: expected 0x");
}
