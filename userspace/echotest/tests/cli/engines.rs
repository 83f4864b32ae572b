// SPDX-License-Identifier: GPL-2.0

//! What `--engine io_uring` changes: nothing that can be seen here.

use std::{
    io::{Read, Write},
    sync::Mutex,
};

use crate::{
    datagrams, echotest,
    server::{echo, echo_messages, read_message, reset, Server},
    Run,
};

/// Runs echotest by io_uring; `None` if this system does not allow that, and says so, as a container's may.
fn by_io_uring(arguments: &str) -> Option<Run> {
    let run = echotest(&format!("--engine io_uring {arguments}"));
    if run.err.contains("io_uring: ") {
        assert_eq!(run.status, Some(1), "{}", run.err);
        eprintln!("skipped: {}", run.err);
        return None;
    }
    Some(run)
}

#[test]
fn all_messages_are_answered() {
    let (server, _) = Server::good();
    for (options, messages) in [
        ("-c 200", 200),
        ("-c 500 -a 16", 500),
        ("-c 640 -a 32 --batch 8", 640),
        ("-c 30 -l 100000 -a 4", 30),
        ("-c 50 -a 3 --connections 40 -j 2", 2000),
        ("-c 100 --rate 4k --connections 3", 300),
        ("-c 100 -a 2 --busy-poll --warmup 0.01", 100),
    ] {
        if let Some(run) = by_io_uring(&format!("{options} {}", server.address)) {
            run.assert_good(&[("1", messages)]);
        }
    }
}

#[test]
fn all_datagrams_are_answered() {
    let server = datagrams::good();
    for (options, messages) in [
        ("-c 200", 200),
        ("-c 320 -a 8", 320),
        ("-c 320 -a 16 --batch 8", 320),
        ("-c 20 -l 65507", 20),
        ("-c 50 -a 2 --connections 20", 1000),
    ] {
        if let Some(run) = by_io_uring(&format!("-u {options} {server}")) {
            run.assert_good(&[("1", messages)]);
        }
    }
}

#[test]
fn failures_are_told_as_by_the_other_engine() {
    let wrong = Server::new(|stream, _| {
        echo_messages(stream, |message, number| {
            if number == 7 {
                message[5] ^= 1;
            }
        })
    });
    let broken = Server::new(|mut stream, _| {
        let first = read_message(&mut stream)?.unwrap_or_default();
        stream.write_all(&first)?;
        read_message(&mut stream)?;
        reset(stream)
    });
    for server in [wrong, broken] {
        let plain = echotest(&format!("-c 20 {}", server.address));
        if let Some(run) = by_io_uring(&format!("-c 20 {}", server.address)) {
            assert_eq!(run.err, plain.err);
            assert_eq!((run.status, plain.status), (Some(1), Some(1)));
        }
    }
}

#[test]
fn a_reply_before_its_request_is_wrong() {
    // More than the sockets hold. The server knows what it will be from an earlier run.
    let message = Mutex::new(Vec::new());
    let server = Server::new(move |mut stream, number| {
        if number == 0 {
            return echo(stream, |piece, _| {
                message.lock().unwrap().extend(piece.iter())
            });
        }
        stream.read_exact(&mut [0])?;
        stream.write_all(&message.lock().unwrap())?;
        std::mem::forget(stream);
        Ok(())
    });
    let arguments = |count| format!("-l 16m -c {count} {}", server.address);
    echotest(&arguments(1)).assert_good(&[("1", 1)]);
    let by_calls = Some(echotest(&arguments(10)));
    for run in by_calls.into_iter().chain(by_io_uring(&arguments(10))) {
        run.assert_failed(
            "run 1, connection 1 of 1: a reply to request 1 before it was sent whole \
             (messages: 10 scheduled, 1 sent, 0 answered, 1 lost)",
        );
    }
}
