// SPDX-License-Identifier: GPL-2.0

//! `peers slow`

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    peers,
    server::{echo, Server},
};

#[test]
fn one_byte_at_a_time_comes_back() {
    let server = Server::new(|stream, _| echo(stream, |piece, _| assert_eq!(piece.len(), 1)));
    let begun = Instant::now();
    let run = peers(&format!(
        "slow -c 5 --bytes 4 --interval 0.1 {}",
        server.address
    ));
    run.assert_good();
    assert_eq!(run.number("bytes"), 20);
    // There are four intervals, the last before the end.
    assert!(begun.elapsed() >= Duration::from_millis(400));
    server.wait_until(|seen| seen.ended == 5);
}

#[test]
fn the_interval_may_be_longer_than_the_timeout() {
    peers(&format!(
        "slow --bytes 2 --interval 0.6 --limit 5 --timeout 0.2 {}",
        Server::good().address
    ))
    .assert_good();
}

#[test]
fn a_late_byte_is_told() {
    let server = Server::new(|stream, _| {
        echo(stream, |_, at| {
            if at == 2 {
                sleep(Duration::from_millis(600));
            }
        })
    });
    let run = peers(&format!(
        "slow --bytes 4 --interval 0.01 --limit 0.3 {}",
        server.address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: no reply within 0.300 s");
}

#[test]
fn a_wrong_byte_is_told() {
    let run = peers(&format!(
        "slow -c 2 --bytes 4 --interval 0.01 {}",
        Server::wrong_byte(1, 3).address
    ));
    run.assert_failed("1 of 2 connections failed; connection ");
    assert!(run.err.contains(": offset 3: expected 0x"), "{}", run.err);
}

#[test]
fn an_early_end_is_told() {
    let run = peers(&format!(
        "slow --bytes 4 --interval 0.01 {}",
        Server::closes_after(2).address
    ));
    run.assert_failed(
        "1 of 1 connections failed; connection 1: closed by the server with 1 of 2 bytes sent back",
    );
}

#[test]
fn an_end_between_two_bytes_is_told() {
    // All is answered when it comes, and the next byte is far away.
    let server = Server::new(|mut stream, _| {
        use std::io::{Read, Write};
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)
    });
    let begun = Instant::now();
    let run = peers(&format!("slow --bytes 4 --interval 30 {}", server.address));
    run.assert_failed(
        "1 of 1 connections failed; connection 1: closed by the server with 1 of 1 bytes sent back",
    );
    assert!(begun.elapsed() < Duration::from_secs(15));
}
