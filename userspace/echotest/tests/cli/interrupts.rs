// SPDX-License-Identifier: GPL-2.0

//! Runs that somebody ends early.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{channel, Receiver},
};

use rustix::process::{kill_process, Pid, Signal};

use crate::{
    finished,
    server::{echo_messages, Server},
    stage::document,
    Ledger, Run,
};

/// An echo server that tells when a connection has had 10 messages.
pub(crate) fn telling_server() -> (Server, Receiver<()>) {
    let (tell, told) = channel();
    let server = Server::new(move |stream, _| {
        echo_messages(stream, |_, number| {
            if number == 10 {
                tell.send(()).unwrap();
            }
        })
    });
    (server, told)
}

/// Starts echotest, under a limit of time that hands signals on to it.
pub(crate) fn start(arguments: &[&str], input: Stdio) -> Child {
    Command::new("timeout")
        .args(["--foreground", "60", env!("CARGO_BIN_EXE_echotest")])
        .args(arguments)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[track_caller]
fn assert_interrupted(run: &Run, ledger: Ledger) {
    assert_eq!(run.err, "echotest: interrupted\n");
    assert_eq!(run.status, Some(1));
    let Ledger { sent, skipped, .. } = ledger;
    assert!(sent >= 10);
    let expected = Ledger {
        scheduled: 1_000_000_000,
        skipped,
        ..Ledger::clean(sent)
    };
    assert_eq!(ledger, expected);
}

#[test]
fn a_signal_ends_the_run_and_all_that_was_measured_is_reported() {
    for (kind, iterations) in [(Signal::INT, "1"), (Signal::TERM, "5")] {
        let (server, told) = telling_server();
        let address = server.address.to_string();
        let child = start(&["-c", "1000M", "-i", iterations, &address], Stdio::null());
        told.recv().unwrap();
        signal(&child, kind);
        let run = finished(child.wait_with_output().unwrap());
        assert_interrupted(&run, run.ledger());
        assert_eq!(run.rows().len(), 1, "{}", run.out);
    }
}

#[test]
fn an_agent_ends_when_nobody_waits_for_it() {
    let (server, told) = telling_server();
    let address = server.address.to_string();
    let mut child = start(&["--agent", "-c", "1000M", &address], Stdio::piped());
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut input = child.stdin.take().unwrap();
    for state in ["hello", "ready"] {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("{state} echotest ")), "{line}");
        input.write_all(b"go\n").unwrap();
    }
    told.recv().unwrap();
    drop(input);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let run = finished(child.wait_with_output().unwrap());
    let document = document(rest.lines().last().unwrap());
    assert_eq!(document["stopped"], "interrupted");
    let ledger = &document["servers"][0]["ledger"];
    let count = |name: &str| ledger[name].as_u64().unwrap();
    let ledger = Ledger {
        skipped: count("skipped"),
        scheduled: count("scheduled"),
        ..Ledger::clean(count("answered"))
    };
    assert_interrupted(&run, ledger);
}
