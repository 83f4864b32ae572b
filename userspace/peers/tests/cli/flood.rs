// SPDX-License-Identifier: GPL-2.0

//! `peers flood`

use crate::{
    peers,
    server::{echo, Server, UdpServer, NOBODY},
    start,
};

#[test]
fn tcp_sends_for_a_while_and_all_comes_back() {
    let server = Server::good();
    for options in ["", "-l 60000 --window 1m"] {
        let run = peers(&format!(
            "flood -c 3 --seconds 0.5 {options} {}",
            server.address
        ));
        run.assert_good();
        assert!(run.number("bytes") > 10_000, "{}", run.out);
    }
    assert_eq!(server.wait_until(|seen| seen.ended == 6).reset, 0);
}

#[test]
fn tcp_does_not_wait_for_replies() {
    // Answers nothing until much has come, and then all.
    let server = Server::new(|stream, _| {
        let mut held = Some(Vec::new());
        echo(stream, |piece, _| {
            if let Some(before) = &mut held {
                before.append(piece);
                if before.len() >= 10_000 {
                    piece.append(before);
                    held = None;
                }
            }
        })
    });
    peers(&format!("flood --seconds 0.5 {}", server.address)).assert_good();
}

#[test]
fn tcp_stops_when_told() {
    let server = Server::good();
    let mut running = start(&format!("flood --until-told {}", server.address));
    server.wait_until(|seen| seen.opened == 1);
    std::thread::sleep(std::time::Duration::from_millis(200));
    running.tell();
    running.end().assert_good();
}

#[test]
fn tcp_tells_of_wrong_bytes_early_ends_and_silence() {
    let run = peers(&format!(
        "flood --seconds 5 {}",
        Server::wrong_byte(0, 5_000).address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: offset 5000: expected 0x");
    let run = peers(&format!(
        "flood --seconds 5 {}",
        Server::closes_after(5_000).address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: ");
    let run = peers(&format!(
        "flood --seconds 5 --timeout 0.3 {}",
        Server::silent().address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: no progress for 0.300 s");
    let run = peers(&format!("flood --seconds 5 {}", NOBODY));
    run.assert_failed("1 of 1 connections failed; connection 1: Connection refused");
}

#[test]
fn tcp_tells_when_nothing_came_back() {
    // Answers nothing, and ends when the client does.
    let run = peers(&format!("flood --seconds 0.3 {}", Server::silent().address));
    run.assert_failed("1 of 1 connections failed; connection 1: closed by the server with 0 of ");
}

#[test]
fn udp_sends_for_a_while() {
    let server = UdpServer::good();
    let run = peers(&format!(
        "flood -u -c 2 -l 100 --seconds 0.5 {}",
        server.address
    ));
    run.assert_good();
    assert!(run.number("datagrams") > 1_000, "{}", run.out);
    let received = server.received();
    assert!(received.len() > 10 && received.iter().all(|&size| size == 100));
}

#[test]
fn udp_tells_of_a_port_that_nobody_has() {
    let run = peers(&format!("flood -u --seconds 0.3 {NOBODY}"));
    run.assert_failed("nobody has the port that ");
}
