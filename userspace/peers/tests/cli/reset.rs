// SPDX-License-Identifier: GPL-2.0

//! `peers reset`

use crate::{
    peers,
    server::{Server, NOBODY},
};

#[test]
fn most_are_reset_and_some_closed() {
    let server = Server::good();
    let run = peers(&format!("reset -c 400 --at-once 8 {}", server.address));
    run.assert_good();
    let (reset, closed) = (run.number("reset"), run.number("closed"));
    assert_eq!(reset + closed, 400);
    assert!(reset > closed && closed > 50, "{}", run.out);
    assert!(
        run.number("sent") > run.number("received") && run.number("received") > 100_000,
        "{}",
        run.out
    );
    // The system tells a server nothing of connections that were reset before it accepted them.
    let seen =
        server.wait_until(|seen| seen.ended + seen.reset == seen.opened && seen.opened > 200);
    assert!(
        seen.reset > 100 && seen.ended > 10 && seen.most_at_once <= 400,
        "{seen:?}"
    );
}

#[test]
fn the_seed_decides() {
    let server = Server::good();
    let address = server.address;
    let figures = |seed| {
        let run = peers(&format!("reset -c 100 --bytes 1k --seed {seed} {address}"));
        run.assert_good();
        ["reset", "closed", "sent", "received"].map(|key| run.number(key))
    };
    assert_eq!(figures(5), figures(5));
    assert_ne!(figures(5), figures(6));
}

#[test]
fn a_wrong_byte_is_told() {
    let server = Server::new(|stream, _| crate::server::echo(stream, |piece, _| piece[0] ^= 1));
    let run = peers(&format!("reset -c 20 {}", server.address));
    assert!(
        run.err.contains(" of 20 connections failed; connection ") && run.err.contains(": offset "),
        "{}",
        run.err
    );
    assert_eq!(run.status, Some(1));
}

#[test]
fn a_server_that_goes_first_is_told() {
    let run = peers(&format!(
        "reset -c 20 {}",
        Server::new(|_, _| Ok(())).address
    ));
    assert!(
        run.err.contains(" of 20 connections failed; connection "),
        "{}",
        run.err
    );
    assert_eq!(run.status, Some(1));
}

#[test]
fn silence_is_told() {
    let run = peers(&format!(
        "reset -c 20 --at-once 20 --timeout 0.3 {}",
        Server::silent().address
    ));
    assert!(run.err.contains("no progress for 0.300 s"), "{}", run.err);
    assert_eq!(run.status, Some(1));
}

#[test]
fn a_port_that_nobody_has_is_told() {
    // One that neither sends nor reads notices nothing.
    let run = peers(&format!("reset -c 20 {NOBODY}"));
    assert!(
        run.err.contains(" of 20 connections failed; connection "),
        "{}",
        run.err
    );
    assert!(run.err.contains(": Connection refused"), "{}", run.err);
    assert_eq!(run.status, Some(1));
}
