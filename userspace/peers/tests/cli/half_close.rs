// SPDX-License-Identifier: GPL-2.0

//! `peers half-close`

use std::io::Write;

use crate::{
    peers,
    server::{echo, Server, NOBODY},
};

#[test]
fn all_comes_back_and_then_the_end() {
    let server = Server::good();
    let run = peers(&format!(
        "half-close -c 3 --bytes 0,1,100k,16m {}",
        server.address
    ));
    run.assert_good();
    let sizes: Vec<_> = run
        .out
        .lines()
        .filter_map(|line| line.split(' ').nth(2))
        .collect();
    assert_eq!(
        sizes,
        ["bytes=0", "bytes=1", "bytes=102400", "bytes=16777216"]
    );
    assert_eq!(server.wait_until(|seen| seen.ended == 12).reset, 0);
}

#[test]
fn the_stream_is_ended_while_much_is_still_to_come_back() {
    // Answers only after the end.
    let server = Server::new(|mut stream, _| {
        let mut all = Vec::new();
        std::io::copy(&mut stream, &mut all)?;
        stream.write_all(&all)
    });
    peers(&format!("half-close --bytes 10m {}", server.address)).assert_good();
}

#[test]
fn a_byte_that_is_missing_at_the_end_is_told() {
    let server = Server::new(|stream, _| {
        echo(stream, |piece, at| {
            if at + piece.len() == 5 << 20 {
                piece.pop();
            }
        })
    });
    let run = peers(&format!("half-close --bytes 5m {}", server.address));
    run.assert_failed(
        "1 of 1 connections failed; connection 1: closed by the server with 5242879 of 5242880 bytes sent back",
    );
}

#[test]
fn a_byte_too_many_at_the_end_is_told() {
    let server = Server::new(|stream, _| {
        let mut other = stream.try_clone()?;
        echo(stream, |_, _| {})?;
        other.write_all(b"x")
    });
    let run = peers(&format!("half-close --bytes 100k {}", server.address));
    run.assert_failed(
        "1 of 1 connections failed; connection 1: more came back than the 102400 bytes sent",
    );
}

#[test]
fn a_wrong_byte_and_swapped_pieces_are_told() {
    let run = peers(&format!(
        "half-close -c 2 --bytes 1m {}",
        Server::wrong_byte(1, 1_048_575).address
    ));
    run.assert_failed("1 of 2 connections failed; connection ");
    assert!(
        run.err.contains(": offset 1048575: expected 0x"),
        "{}",
        run.err
    );
    let server = Server::new(|stream, _| echo(stream, |piece, _| piece.rotate_left(1)));
    let run = peers(&format!("half-close --bytes 1m {}", server.address));
    run.assert_failed("1 of 1 connections failed; connection 1: offset ");
}

#[test]
fn an_end_that_does_not_come_is_told() {
    let server = Server::new(|stream, _| {
        std::mem::forget(stream.try_clone()?);
        echo(stream, |_, _| {})
    });
    let run = peers(&format!(
        "half-close --bytes 1k --timeout 0.3 {}",
        server.address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: no progress for 0.300 s");
}

#[test]
fn a_port_that_nobody_has_is_told() {
    let run = peers(&format!("half-close {}", NOBODY));
    run.assert_failed("1 of 1 connections failed; connection 1: Connection refused");
}
