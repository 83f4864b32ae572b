// SPDX-License-Identifier: GPL-2.0

//! `peers late`

use crate::{peers, server::Server, start};

#[test]
fn all_comes_back_to_who_reads_late() {
    // More than fits on the way.
    let server = Server::good();
    let run = peers(&format!(
        "late -c 3 --bytes 8m --buffers 64k --quiet 0.2 {}",
        server.address
    ));
    run.assert_good();
    assert!(run.number("sent") < run.number("bytes"), "{}", run.out);
    server.wait_until(|seen| seen.ended == 3);
}

#[test]
fn nothing_is_read_before_all_is_sent_or_it_is_told() {
    let server = Server::good();
    let mut running = start(&format!("late --bytes 1000 --hold {}", server.address));
    running.wait_for("late: stalled connections=1 bytes=1000 sent=1000");
    assert_eq!(server.seen().ended, 0);
    running.tell();
    running.end().assert_good();
    assert_eq!(server.wait_until(|seen| seen.ended == 1).reset, 0);
}

#[test]
fn a_wrong_byte_is_told() {
    let server = Server::wrong_byte(1, 2_999_999);
    let run = peers(&format!("late -c 2 --bytes 3M {}", server.address));
    run.assert_failed("1 of 2 connections failed; connection ");
    assert!(
        run.err.contains(": offset 2999999: expected 0x"),
        "{}",
        run.err
    );
}

#[test]
fn an_early_end_is_told() {
    let run = peers(&format!(
        "late --bytes 3000 {}",
        Server::closes_after(3_000).address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: closed by the server with ");
}

#[test]
fn silence_is_told() {
    let run = peers(&format!(
        "late --bytes 3000 --timeout 0.3 {}",
        Server::new(|stream, _| {
            std::mem::forget(stream);
            Ok(())
        })
        .address
    ));
    run.assert_failed("1 of 1 connections failed; connection 1: no progress for 0.300 s");
}
