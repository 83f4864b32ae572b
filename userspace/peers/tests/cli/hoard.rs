// SPDX-License-Identifier: GPL-2.0

//! `peers hoard`

use std::{
    io::Read,
    sync::mpsc::{channel, Sender},
};

use crate::{peers, server::Server, start};

/// Passes on what each connection begins with, and closes it when it had so many bytes.
fn closes_after(bytes: usize, beginnings: Sender<Vec<u8>>) -> Server {
    Server::new(move |mut stream, _| {
        let mut received = vec![0; bytes];
        stream.read_exact(&mut received)?;
        // The test may have seen enough.
        let _ = beginnings.send(received);
        Ok(())
    })
}

#[test]
fn a_record_is_begun_and_its_length_said() {
    let (sender, beginnings) = channel();
    let server = closes_after(14, sender);
    let mut running = start(&format!(
        "hoard --announce 1000 --bytes 10 --until-told {}",
        server.address
    ));
    let beginning = beginnings.recv().unwrap();
    assert_eq!(&beginning, &[0, 0, 3, 232, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    running.tell();
    running.end().assert_good();
}

#[test]
fn who_is_closed_comes_back() {
    let (sender, beginnings) = channel();
    let server = closes_after(14, sender);
    let mut running = start(&format!(
        "hoard --connections 2 --bytes 10 --pause 0.01 --until-told {}",
        server.address
    ));
    for _ in 0..6 {
        beginnings.recv().unwrap();
    }
    running.tell();
    let run = running.end();
    run.assert_good();
    assert!(
        run.number("connections") == 2 && run.number("closed") >= 4,
        "{}",
        run.out
    );
}

#[test]
fn a_byte_comes_now_and_then_but_never_the_last_one() {
    let (sender, beginnings) = channel();
    let server = closes_after(4 + 19, sender);
    let options = "hoard --announce 20 --bytes 1 --interval 0.01";
    let mut running = start(&format!("{options} --until-told {}", server.address));
    assert_eq!(beginnings.recv().unwrap().len(), 23);
    running.tell();
    running.end().assert_good();

    let (sender, beginnings) = channel();
    let server = closes_after(4 + 20, sender);
    let run = peers(&format!("{options} --seconds 1 {}", server.address));
    run.assert_good();
    assert_eq!(run.number("closed"), 0);
    assert!(beginnings.try_recv().is_err());
}

#[test]
fn a_record_must_not_be_complete() {
    let run = peers("hoard --announce 20 --bytes 20 --seconds 1 127.0.0.1:1");
    run.assert_failed("a record of 20 bytes would be complete");
}
