// SPDX-License-Identifier: GPL-2.0

//! `peers never-read`

use std::{io::Read, net::TcpStream, thread::sleep, time::Duration};

use crate::{peers, server::Server, start};

#[test]
fn they_stall_and_stay_until_told() {
    let server = Server::good();
    let mut running = start(&format!(
        "never-read -c 3 --buffers 16k --quiet 0.3 --until-told {}",
        server.address
    ));
    running.wait_for("never-read: stalled connections=3 sent=");
    // The server waits for room for its replies.
    let seen = server.seen();
    assert_eq!((seen.opened, seen.ended + seen.reset), (3, 0));
    running.tell();
    let run = running.end();
    run.assert_good();
    assert!(run.number("sent") > 3 * 16_384, "{}", run.out);
    // They end with what was never read, and so with a reset.
    server.wait_until(|seen| seen.reset == 3);
}

#[test]
fn they_stay_for_as_long_as_asked() {
    let run = peers(&format!(
        "never-read --quiet 0.1 --seconds 0.5 {}",
        Server::good().address
    ));
    run.assert_good();
    assert!(run.out.contains("never-read: over"), "{}", run.out);
}

#[test]
fn they_go_on_when_the_server_takes_more() {
    // Takes nothing at first, then all, and answers nothing: what is sent in all is more than what stalled.
    let server = Server::new(|mut stream, _| {
        sleep(Duration::from_millis(700));
        stream.read_exact(&mut vec![0; 4 << 20])?;
        sleep(Duration::from_secs(20));
        Ok(())
    });
    let mut running = start(&format!(
        "never-read --buffers 16k --quiet 0.2 --until-told {}",
        server.address
    ));
    running.wait_for("never-read: stalled");
    sleep(Duration::from_millis(1_000));
    running.tell();
    let run = running.end();
    run.assert_good();
    assert!(run.number("sent") > 4 << 20, "{}", run.out);
}

/// Closes after a while.
fn closes(mut stream: TcpStream, _number: usize) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 1000])?;
    sleep(Duration::from_millis(500));
    Ok(())
}

#[test]
fn connections_that_are_closed_are_told() {
    let run = peers(&format!(
        "never-read -c 2 --quiet 0.1 --seconds 1 {}",
        Server::new(closes).address
    ));
    run.assert_failed("2 of 2 connections failed; connection ");
}

#[test]
fn connections_may_have_to_be_closed() {
    let options = "never-read -c 2 --quiet 0.1 --seconds 20 --closed";
    peers(&format!("{options} {}", Server::new(closes).address)).assert_good();
    let run = peers(&format!(
        "never-read -c 2 --quiet 0.1 --seconds 0.5 --closed {}",
        Server::good().address
    ));
    run.assert_failed("0 of 2 connections were closed by the server");
}

#[test]
fn it_must_be_said_how_long_they_stay() {
    assert_eq!(peers("never-read 127.0.0.1").status, Some(2));
}
