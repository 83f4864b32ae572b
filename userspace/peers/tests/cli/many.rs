// SPDX-License-Identifier: GPL-2.0

//! `peers many`

use std::time::Duration;

use crate::{
    peers,
    server::{echo, Server, NOBODY},
    start,
};

#[test]
fn all_are_open_at_once_and_come_from_all_sources() {
    let server = Server::good();
    let address = server.address;
    peers(&format!(
        "many -c 300 --source 127.0.0.2 --sources 3 --rounds 4 {address}"
    ))
    .assert_good();
    let seen = server.wait_until(|seen| seen.ended == 300);
    assert_eq!((seen.opened, seen.reset, seen.most_at_once), (300, 0, 300));
    let mut sources: Vec<_> = seen.sources.iter().map(ToString::to_string).collect();
    sources.sort_unstable();
    assert_eq!(sources, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
}

#[test]
fn each_round_is_a_line() {
    let run = peers(&format!("many -c 5 --rounds 3 {}", Server::good().address));
    run.assert_good();
    let rounds: Vec<_> = run
        .out
        .lines()
        .map(|line| line.split(" seconds=").next().unwrap())
        .collect();
    let expected = [1, 2, 3].map(|round| format!("many: round={round} connections=5 refused=0"));
    assert_eq!(rounds, expected);
}

#[test]
fn they_are_held_until_told() {
    let server = Server::good();
    let mut running = start(&format!("many -c 20 --rounds 1 --hold {}", server.address));
    running.wait_for("many: holding");
    let seen = server.seen();
    assert_eq!((seen.opened, seen.ended), (20, 0));
    running.tell();
    let run = running.end();
    run.assert_good();
    assert!(run.out.contains("round=2 connections=20"), "{}", run.out);
    server.wait_until(|seen| seen.ended == 20);
}

#[test]
fn one_wrong_byte_in_a_later_round_is_told() {
    let server = Server::wrong_byte(7, 40);
    let run = peers(&format!("many -c 20 --at-once 1 {}", server.address));
    run.assert_failed("1 of 20 connections failed; connection 8: offset 40: expected 0x");
    assert_eq!(run.number("round"), 1);
}

#[test]
fn a_connection_that_ends_between_rounds_is_told() {
    let server = Server::closes_after(33);
    let run = peers(&format!("many -c 3 {}", server.address));
    run.assert_failed("3 of 3 connections failed; connection ");
    assert!(
        run.err.contains("closed by the server with 32 of 64 bytes"),
        "{}",
        run.err
    );
    assert_eq!(run.number("round"), 1);
}

#[test]
fn silence_is_told() {
    let run = peers(&format!(
        "many -c 3 --timeout 0.3 {}",
        Server::silent().address
    ));
    run.assert_failed(
        "3 of 3 connections failed; connection 1: no progress for 0.300 s; connection 2: ",
    );
}

#[test]
fn a_server_that_does_not_end_the_streams_is_told() {
    let server = Server::new(|stream, _| {
        let other = stream.try_clone()?;
        let result = echo(stream, |_, _| {});
        std::thread::sleep(Duration::from_secs(20));
        drop(other);
        result
    });
    let run = peers(&format!("many -c 2 --timeout 0.3 {}", server.address));
    run.assert_failed("2 of 2 connections failed; connection 1: no progress for 0.300 s");
    assert_eq!(run.number("round"), 3);
}

/// Refuses all but the first five.
fn refuses() -> Server {
    Server::new(|stream, number| {
        if number < 5 {
            echo(stream, |_, _| {})
        } else {
            Ok(())
        }
    })
}

#[test]
fn as_many_may_be_refused_as_expected() {
    for at_once in [1, 8] {
        let run = peers(&format!(
            "many -c 8 --at-once {at_once} --refused 3 {}",
            refuses().address
        ));
        run.assert_good();
        assert_eq!(
            (
                run.number("round"),
                run.number("connections"),
                run.number("refused")
            ),
            (3, 5, 3)
        );
    }
}

#[test]
fn another_number_that_is_refused_is_told() {
    for (refused, count) in [(0, 8), (2, 8), (4, 8)] {
        let run = peers(&format!(
            "many -c {count} --refused {refused} {}",
            refuses().address
        ));
        run.assert_failed(&format!(
            "3 of 8 connections were refused instead of {refused}; connection "
        ));
    }
    let run = peers(&format!("many -c 3 --refused 1 {}", refuses().address));
    run.assert_failed("0 of 3 connections were refused instead of 1");
}

#[test]
fn a_port_that_nobody_has_is_told() {
    let run = peers(&format!("many -c 2 {}", NOBODY));
    run.assert_failed(
        "2 of 2 connections were refused instead of 0; connection 1: Connection refused",
    );
}
