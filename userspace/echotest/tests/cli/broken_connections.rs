// SPDX-License-Identifier: GPL-2.0

//! Connections that cannot be made, break, or fall silent; and what echotest says then.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::Barrier,
};

use rustix::net::{bind, getsockname, listen, socket, AddressFamily, SocketType};

use crate::{
    command, echotest, run,
    server::{echo, echo_messages, read_message, reset, Server},
};

#[test]
fn a_connection_that_is_never_closed_is_told() {
    let server = Server::new(|stream, _| {
        std::mem::forget(stream.try_clone()?);
        echo(stream, |_, _| {})
    });
    let run = echotest(&format!("-c 20 --timeout 1 {}", server.address));
    run.assert_failed(
        "run 1, connection 1 of 1: not closed by the server within 1 s of the client's end of stream \
         (messages: 20 scheduled, 20 sent, 20 answered, 0 lost)",
    );
    assert_eq!(run.rows(), [("1", 20)]);
    // However many there are, the first says it all.
    let run = echotest(&format!("-j 100 -c 20 --timeout 1 {}", server.address));
    run.assert_failed(
        "run 1, connection 1 of 100: not closed by the server within 1 s of the client's end of stream \
         (messages: 2000 scheduled, 2000 sent, 2000 answered, 0 lost)",
    );
}

/// Answers three messages and half of the fourth, and says how the connection is to end.
fn answer_three(mut stream: TcpStream, end: fn(TcpStream) -> io::Result<()>) -> io::Result<()> {
    for number in 1..=4 {
        if let Some(message) = read_message(&mut stream)? {
            stream.write_all(if number == 4 {
                &message[..16]
            } else {
                &message
            })?;
        }
    }
    end(stream)
}

#[test]
fn a_connection_that_is_closed_early_is_told() {
    let server = Server::new(|stream, _| answer_three(stream, |_| Ok(())));
    let run = echotest(&format!("-c 20 {}", server.address));
    run.assert_failed(
        "run 1, connection 1 of 1: closed by the server before the last reply \
         (messages: 20 scheduled, 4 sent, 3 answered, 1 lost)",
    );
    assert_eq!(run.rows(), [("1", 3)]);
}

#[test]
fn a_connection_that_is_closed_at_once_is_told() {
    let server = Server::new(|mut stream, _| {
        // Takes what was sent, so that closing is no reset.
        stream.read_exact(&mut [0; 32])
    });
    echotest(&format!("-c 1 {}", server.address)).assert_failed(
        "run 1, connection 1 of 1: closed by the server before the last reply \
         (messages: 1 scheduled, 1 sent, 0 answered, 1 lost)",
    );
}

#[test]
fn a_reset_is_told() {
    let server = Server::new(|stream, _| answer_three(stream, reset));
    let run = echotest(&format!("-c 20 {}", server.address));
    run.assert_failed(
        "run 1, connection 1 of 1: Connection reset by peer (os error 104) \
         (messages: 20 scheduled, 4 sent, 3 answered, 1 lost)",
    );
    assert_eq!(run.rows(), [("1", 3)]);
}

#[test]
fn a_reset_amid_large_messages_is_told() {
    let server = Server::new(|mut stream, _| {
        stream.read_exact(&mut [0; 100_000])?;
        reset(stream)
    });
    let run = echotest(&format!("-c 20 -a 16 -l 1m {}", server.address));
    let start = "echotest: run 1, connection 1 of 1: Connection reset by peer (os error 104) (messages: 20 scheduled, ";
    assert!(run.err.starts_with(start), "{}", run.err);
    assert_eq!((run.status, run.rows()), (Some(1), vec![("1", 0)]));
}

#[test]
fn silence_has_an_end() {
    let server = Server::new(|stream, _| {
        std::mem::forget(stream);
        Ok(())
    });
    let run = echotest(&format!("-c 20 --timeout 1 {}", server.address));
    run.assert_failed(
        "run 1, connection 1 of 1: no progress for 1 s (messages: 20 scheduled, 1 sent, 0 answered, 1 lost)",
    );
    // Also if the server does not even read, and the client cannot send what it wants to.
    let run = echotest(&format!("-c 20 -a 16 -l 1m --timeout 1 {}", server.address));
    let start = "echotest: run 1, connection 1 of 1: no progress for 1 s (messages: 20 scheduled, ";
    assert!(run.err.starts_with(start), "{}", run.err);
    assert_eq!((run.status, run.rows()), (Some(1), vec![("1", 0)]));
}

#[test]
fn one_bad_connection_ends_the_run_for_all() {
    // Without that, the good one would be busy for hours.
    let server = Server::new(|stream, number| {
        echo_messages(stream, |message, count| {
            if number == 1 && count == 3 {
                message[0] ^= 1;
            }
        })
    });
    let run = echotest(&format!("-j 2 -c 1000M -i 2 {}", server.address));
    assert_eq!(
        (run.status, run.err.lines().count()),
        (Some(1), 1),
        "{}",
        run.err
    );
    let start = "echotest: run 1, connection 2 of 2: message 3, offset 0: expected 0x";
    assert!(run.err.starts_with(start), "{}", run.err);
    assert!(
        run.err.contains("(messages: 2000000000 scheduled, "),
        "{}",
        run.err
    );
    assert!(run.err.ends_with(" answered, 1 lost)\n"), "{}", run.err);
    assert_eq!(server.connections(), 2);
}

#[test]
fn all_bad_connections_are_told_in_one_line() {
    // Closes when all three have a message on its way, so that none can end well.
    let all = Barrier::new(3);
    let server = Server::new(move |mut stream, _| {
        read_message(&mut stream)?;
        all.wait();
        Ok(())
    });
    let run = echotest(&format!("-j 3 -c 4 {}", server.address));
    let first = run.err.split_whitespace().nth(4).unwrap_or_default();
    run.assert_failed(&format!(
        "run 1, connection {first} of 3: closed by the server before the last reply \
         (messages: 12 scheduled, 3 sent, 0 answered, 3 lost; failed connections besides this one: 2)"
    ));
}

#[test]
fn what_was_measured_before_is_still_printed() {
    let server = Server::new(|stream, number| match number {
        0 | 1 => echo(stream, |_, _| {}),
        _ => answer_three(stream, |_| Ok(())),
    });
    let run = echotest(&format!("-c 20 -i 9 {}", server.address));
    run.assert_failed(
        "run 3, connection 1 of 1: closed by the server before the last reply \
         (messages: 20 scheduled, 4 sent, 3 answered, 1 lost)",
    );
    assert_eq!(
        run.rows(),
        [("1", 20), ("2", 20), ("3", 3), ("all", 43)],
        "{}",
        run.out
    );
    assert_eq!(server.connections(), 3);
}

/// A socket that has a port, and does not listen unless told to.
fn bound() -> (rustix::fd::OwnedFd, SocketAddr) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = getsockname(&socket).unwrap().try_into().unwrap();
    (socket, address)
}

#[test]
fn a_refused_connection_is_told() {
    let (_socket, address) = bound();
    let run = echotest(&address.to_string());
    run.assert_failed(&format!(
        "cannot connect to {address}: Connection refused (os error 111)"
    ));
    assert_eq!(run.out, "");
}

#[test]
fn a_host_that_does_not_answer_is_told() {
    // One connection fills the queue of a listener that nobody accepts from; the next one's SYN is dropped.
    let (socket, address) = bound();
    listen(&socket, 0).unwrap();
    let _first = TcpStream::connect(address).unwrap();
    let run = echotest(&format!("--timeout 1 {address}"));
    run.assert_failed(&format!(
        "cannot connect to {address}: connection timed out"
    ));
}

#[test]
fn an_unknown_host_is_told() {
    // RFC 6761: there is no such name, and never will be.
    let run = echotest("nobody.invalid:7");
    assert!(
        run.err
            .starts_with("echotest: cannot resolve nobody.invalid:7: "),
        "{}",
        run.err
    );
    assert_eq!(
        (run.status, run.out.as_str(), run.err.lines().count()),
        (Some(1), "", 1),
        "{}",
        run.err
    );
}

#[test]
fn too_few_descriptors_are_told() {
    let (server, _) = Server::good();
    let mut command = Command::new("sh");
    let script = format!(
        "ulimit -n 10 && exec {} -j 20 {}",
        env!("CARGO_BIN_EXE_echotest"),
        server.address
    );
    let run = run(command.args(["-c", &script]));
    run.assert_failed(&format!(
        "cannot connect to {}: Too many open files (os error 24)",
        server.address
    ));
}

#[test]
fn a_report_that_cannot_be_written_is_told() {
    let (server, _) = Server::good();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = command();
    let child = command.args(["-c", "5", &server.address.to_string()]);
    let child = child
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error,
        "echotest: cannot write to standard output: No space left on device (os error 28)\n"
    );
    assert_eq!(output.status.code(), Some(1));
}
