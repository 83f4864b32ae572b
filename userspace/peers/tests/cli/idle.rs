// SPDX-License-Identifier: GPL-2.0

//! `peers idle`

use std::{
    io::{Read, Write},
    thread::sleep,
    time::Duration,
};

use crate::{peers, server::Server};

/// Echoes so many bytes, and closes after so much silence.
fn closes(bytes: usize, milliseconds: u64) -> Server {
    Server::new(move |mut stream, _| {
        let mut received = vec![0; bytes];
        stream.read_exact(&mut received)?;
        stream.write_all(&received)?;
        sleep(Duration::from_millis(milliseconds));
        Ok(())
    })
}

#[test]
fn silence_that_the_server_ends_is_measured() {
    for bytes in [0, 100] {
        let server = closes(bytes, 400);
        let run = peers(&format!(
            "idle -c 5 -l {bytes} --earliest 0.3 --latest 10 {}",
            server.address
        ));
        run.assert_good();
        assert!(
            run.out.starts_with("idle: connections=5 silence_min=0."),
            "{}",
            run.out
        );
    }
}

#[test]
fn an_end_that_comes_too_soon_is_told() {
    let run = peers(&format!(
        "idle --earliest 3 --latest 10 {}",
        closes(0, 100).address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: closed by the server after 0.");
}

#[test]
fn an_end_that_does_not_come_is_told() {
    let run = peers(&format!("idle --latest 0.3 {}", Server::good().address));
    run.assert_failed(
        "1 of 1 connections failed; connection 1: not closed by the server within 0.300 s",
    );
    let run = peers(&format!(
        "idle -l 7 --latest 0.3 {}",
        closes(7, 1_000).address
    ));
    run.assert_failed(
        "1 of 1 connections failed; connection 1: not closed by the server within 0.300 s",
    );
}

#[test]
fn an_end_before_the_silence_is_told() {
    let run = peers(&format!(
        "idle -l 7 --latest 1 {}",
        Server::closes_after(7).address
    ));
    run.assert_failed(
        "1 of 1 connections failed; connection 1: closed by the server with 6 of 7 bytes sent back",
    );
    let run = peers(&format!(
        "idle -l 7 --latest 1 --timeout 0.2 {}",
        Server::silent().address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: no progress for 0.200 s");
}

#[test]
fn a_wrong_byte_and_a_surplus_one_are_told() {
    let run = peers(&format!(
        "idle -l 7 --latest 1 {}",
        Server::wrong_byte(0, 2).address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: offset 2: expected 0x");
    let server = Server::new(|mut stream, _| stream.write_all(b"hello"));
    let run = peers(&format!("idle --latest 1 {}", server.address));
    run.assert_failed(
        "1 of 1 connections failed; connection 1: more came back than the 0 bytes sent",
    );
}
