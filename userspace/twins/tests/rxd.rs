// SPDX-License-Identifier: GPL-2.0

//! Runs rxd with each of its options, and calls it.

mod rx_client;
#[allow(dead_code, reason = "the others have streams, too")]
mod server;

use std::{process::Command, thread};

use rx::{content, Outcome};
use rx_client::Client;
use server::Server;
use wire::{
    rx::AbortCode,
    rxperf::{Operation, Request, COOKIE, SERVICE},
    xdr::Writer,
};

/// As it is meant to be, and as what it is compared with.
const OPTIONS: [&[&str]; 6] = [
    &[],
    &["--no-gso"],
    &["--listeners", "3"],
    &["--listeners", "3", "--sockets", "shared"],
    &["--batch", "1", "--no-gso"],
    &[
        "--listeners",
        "1",
        "--sockets",
        "shared",
        "--batch",
        "1",
        "--transmit",
        "at-once",
        "--no-gso",
    ],
];

fn rxd(options: &[&str]) -> Server {
    Server::run(Command::new(env!("CARGO_BIN_EXE_rxd")).args(options))
}

/// A request, with as many bytes as the server is to take and with the cookie.
fn request(operation: Operation) -> Vec<u8> {
    let request = Request {
        operation,
        read_size: 65536,
        write_size: 65536,
    };
    let mut buffer = [0; Request::MAX_BYTES];
    let mut writer = Writer::new(&mut buffer);
    request.write(&mut writer).unwrap();
    let mut bytes = writer.written().to_vec();
    bytes.resize(bytes.len() + request.request_bytes() as usize, 0x5a);
    bytes.extend(COOKIE);
    bytes
}

/// A reply with so many bytes of content.
fn reply(bytes: usize) -> Vec<u8> {
    let mut reply = vec![0; bytes];
    content::fill(0, &mut reply);
    reply.extend(COOKIE);
    reply
}

#[track_caller]
fn assert_replies(client: &mut Client, operation: Operation, bytes: usize) {
    let received = client.call(&request(operation)).unwrap();
    // They would be long if they were printed.
    assert!(
        received == reply(bytes),
        "{operation:?}: {} bytes",
        received.len()
    );
}

#[test]
fn calls_are_answered_over_ipv4_and_ipv6() {
    for options in OPTIONS {
        let server = rxd(options);
        for socket in server.datagram_clients() {
            let mut client = Client::new(socket, SERVICE);
            assert_replies(&mut client, Operation::Rpc { send: 3, recv: 30 }, 30);
            assert_replies(&mut client, Operation::Recv { bytes: 0 }, 0);
            assert_replies(&mut client, Operation::Recv { bytes: 300_000 }, 300_000);
            assert_replies(&mut client, Operation::Send { bytes: 300_000 }, 0);
        }
    }
}

#[test]
fn content_repeats_without_a_seam() {
    let server = rxd(&[]);
    let [socket, ..] = server.datagram_clients();
    let bytes = content::PERIOD + content::PERIOD / 2;
    let operation = Operation::Recv {
        bytes: bytes as u32,
    };
    assert_replies(&mut Client::new(socket, SERVICE), operation, bytes);
}

#[test]
fn many_clients_are_served_at_once() {
    for options in [OPTIONS[2], OPTIONS[3]] {
        let server = rxd(options);
        thread::scope(|scope| {
            for socket in (0..4).flat_map(|_| server.datagram_clients()) {
                scope.spawn(|| {
                    let mut client = Client::new(socket, SERVICE);
                    for _ in 0..10 {
                        assert_replies(&mut client, Operation::Recv { bytes: 50_000 }, 50_000);
                    }
                });
            }
        });
    }
}

#[test]
fn what_cannot_be_done_is_aborted() {
    let server = rxd(&[]);
    let [socket, other, _] = server.datagram_clients();
    let mut client = Client::new(socket, SERVICE);
    let mut unknown = request(Operation::Recv { bytes: 1 });
    unknown[7] = 9;
    let aborted = |code| Err(Outcome::RemoteAbort(code));
    assert_eq!(client.call(&unknown), aborted(AbortCode::OPCODE));
    assert_eq!(client.call(&[1; 16]), aborted(AbortCode::USER_ABORT));
    assert_eq!(client.call(&[]), aborted(AbortCode::SS_UNMARSHAL));
    assert_replies(&mut client, Operation::Recv { bytes: 10 }, 10);
    let mut client = Client::new(other, SERVICE + 1);
    let request = request(Operation::Recv { bytes: 1 });
    assert_eq!(client.call(&request), aborted(AbortCode::INVALID_OPERATION));
}
