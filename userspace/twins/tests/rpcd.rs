// SPDX-License-Identifier: GPL-2.0

//! Runs rpcd with each of its engines, and calls it.

mod server;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
    thread,
};

use rustix::process::{kill_process, Pid, Signal};
use server::Server;

/// A call of NULL by nobody, whose number is `xid`, without a mark.
fn call(xid: u32) -> Vec<u8> {
    // CALL, RPC 2, NFS, version 3, NULL, and two empty authenticators.
    let words = [xid, 0, 2, 100_003, 3, 0, 0, 0, 0, 0];
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The reply to it.
fn reply(xid: u32) -> Vec<u8> {
    // REPLY, accepted, an empty verifier, success.
    let words = [xid, 1, 0, 0, 0, 0];
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A record of one fragment.
fn record(message: &[u8]) -> Vec<u8> {
    let mark = (1 << 31) | message.len() as u32;
    [&mark.to_be_bytes()[..], message].concat()
}

/// A record of so many fragments.
fn fragments(message: &[u8], fragments: usize) -> Vec<u8> {
    let size = message.len().div_ceil(fragments);
    let mut record = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let (fragment, others) = rest.split_at(size.min(rest.len()));
        let last = u32::from(others.is_empty()) << 31;
        record.extend((last | fragment.len() as u32).to_be_bytes());
        record.extend(fragment);
        rest = others;
    }
    record
}

/// Calls, and checks the reply.
#[track_caller]
fn assert_answers(stream: &mut TcpStream, xid: u32) {
    stream.write_all(&record(&call(xid))).unwrap();
    assert_reads(stream, &record(&reply(xid)));
}

#[track_caller]
fn assert_reads(stream: &mut TcpStream, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    stream.read_exact(&mut received).unwrap();
    assert!(received == expected, "{received:x?}");
}

#[track_caller]
fn assert_ends(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

fn start(arguments: &[&str]) -> Server {
    Server::run(Command::new(env!("CARGO_BIN_EXE_rpcd")).args(arguments))
}

/// Tests a server with each engine that this system lets us have.
fn with_each_engine(options: &[&str], test: impl Fn(Server)) {
    test(start(&[options, &["--engine", "epoll"]].concat()));
    let arguments = [options, &["--engine", "io_uring"]].concat();
    match Server::try_run(Command::new(env!("CARGO_BIN_EXE_rpcd")).args(arguments)) {
        Ok(server) => test(server),
        // As a container may not.
        Err(error) => {
            assert!(error.contains("io_uring: "), "{error}");
            eprintln!("skipped: {error}");
        }
    }
}

#[test]
fn calls_are_answered_over_both_versions_of_ip() {
    with_each_engine(&[], |server| {
        for address in [server.v4(), server.v6()] {
            let mut stream = server.connect_to(address);
            for xid in 0..100 {
                assert_answers(&mut stream, xid);
            }
            stream.shutdown(Shutdown::Write).unwrap();
            assert_ends(&mut stream);
        }
    });
}

#[test]
fn a_call_may_come_in_any_pieces_and_fragments() {
    with_each_engine(&[], |server| {
        let mut stream = server.connect();
        stream.set_nodelay(true).unwrap();
        for count in 1..=40 {
            let record_of_fragments = fragments(&call(count), count as usize);
            for (place, byte) in record_of_fragments.iter().enumerate() {
                if place % 7 == 0 {
                    // Another client in between has what was sent before seen alone, mostly.
                    assert_answers(&mut server.connect(), 1);
                }
                stream.write_all(&[*byte]).unwrap();
            }
            assert_reads(&mut stream, &record(&reply(count)));
        }
    });
}

#[test]
fn many_calls_at_once_are_answered_in_their_order() {
    with_each_engine(&[], |server| {
        let stream = server.connect();
        let calls: Vec<u8> = (0..200_000).flat_map(|xid| record(&call(xid))).collect();
        let replies: Vec<u8> = (0..200_000).flat_map(|xid| record(&reply(xid))).collect();
        thread::scope(|scope| {
            scope.spawn(|| (&stream).write_all(&calls).unwrap());
            // Until the way back is full the server waits for the client, and nobody else has to.
            for xid in 0..10 {
                assert_answers(&mut server.connect(), xid);
            }
            assert_reads(&mut stream.try_clone().unwrap(), &replies);
        });
    });
}

#[test]
fn all_is_answered_before_the_end_of_a_stream() {
    with_each_engine(&[], |server| {
        let mut stream = server.connect();
        let calls: Vec<u8> = (0..1000).flat_map(|xid| record(&call(xid))).collect();
        stream.write_all(&calls).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), 1000 * 28);
    });
}

#[test]
fn a_record_may_be_large_but_not_too_large() {
    with_each_engine(&[], |server| {
        let mut large = call(7);
        large.resize(65_536, b'x');
        let mut good = server.connect();
        let mut stream = server.connect();
        for count in [1, 64] {
            stream.write_all(&fragments(&large, count)).unwrap();
            assert_reads(&mut stream, &record(&reply(7)));
        }
        for bad in [
            &b"\x80\x01\0\x01and more"[..],
            &fragments(&large, 65),
            b"\x80\0\0\x04four",
        ] {
            let mut stream = server.connect();
            stream.write_all(&record(&call(1))).unwrap();
            stream.write_all(bad).unwrap();
            assert_reads(&mut stream, &record(&reply(1)));
            // The end and no reset, though bytes come after it was decided.
            let _ = stream.write_all(&record(&call(2)));
            assert_ends(&mut stream);
            assert_answers(&mut good, 3);
        }
    });
}

#[test]
fn thousands_of_connections_are_served_at_once() {
    with_each_engine(&[], |server| {
        let mut streams: Vec<_> = (0..2_000).map(|_| server.connect()).collect();
        for xid in 0..3 {
            for stream in &mut streams {
                stream.write_all(&record(&call(xid))).unwrap();
            }
            for stream in &mut streams {
                assert_reads(stream, &record(&reply(xid)));
            }
        }
        // Places are used again.
        streams.drain(..1_000);
        streams.extend((0..1_000).map(|_| server.connect()));
        for (xid, stream) in (0..).zip(&mut streams) {
            assert_answers(stream, xid);
        }
    });
}

#[test]
fn a_client_that_vanishes_harms_nobody() {
    with_each_engine(&[], |server| {
        let calls = record(&call(1)).repeat(1000);
        let mut good = server.connect();
        for xid in 0..20 {
            let stream = server.connect();
            stream.set_nonblocking(true).unwrap();
            // Until the server waits for us; closing with replies unread is a reset.
            while (&stream).write(&calls).is_ok() {}
            drop(stream);
            assert_answers(&mut good, xid);
        }
    });
}

#[test]
fn beyond_its_descriptors_it_serves_those_it_has() {
    let script = format!("ulimit -n 24 && exec {} \"$@\"", env!("CARGO_BIN_EXE_rpcd"));
    for engine in ["epoll", "io_uring"] {
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", "--engine", engine]);
        let Ok(server) = Server::try_run(&mut command) else {
            assert_eq!(engine, "io_uring");
            continue;
        };
        let mut streams: Vec<_> = (0..40).map(|_| server.connect()).collect();
        assert_answers(&mut streams[0], 1);
        // With epoll others wait until there is room, and with io_uring they are closed unless there is.
        let mut last = streams.pop().unwrap();
        drop(streams);
        let _ = last.write_all(&record(&call(2)));
        let mut received = [0; 28];
        match last.read_exact(&mut received) {
            Ok(()) => assert_eq!(received[..], record(&reply(2))),
            Err(error) => {
                let ends = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                assert!(engine == "io_uring" && ends.contains(&error.kind()));
            }
        }
        // As soon as it has seen that they are gone.
        loop {
            let mut stream = server.connect();
            let _ = stream.write_all(&record(&call(3)));
            let mut received = [0; 28];
            if stream.read_exact(&mut received).is_ok() {
                assert_eq!(received[..], record(&reply(3)));
                break;
            }
        }
    }
}

#[test]
fn datagrams_are_answered_to_their_senders() {
    with_each_engine(&["--udp"], |server| {
        let clients = server.datagram_clients();
        let mut buffer = [0; 1024];
        for round in 0..100 {
            for (number, socket) in (0..).zip(&clients) {
                // To a runt and to a reply there is no answer.
                socket.send(&call(0)[..number as usize]).unwrap();
                socket.send(&reply(0)).unwrap();
                let mut message = call(round * 10 + number);
                message.resize(40 + 600 * round as usize, 0);
                socket.send(&message).unwrap();
            }
            for (number, socket) in (0..).zip(&clients) {
                let received = socket.recv(&mut buffer).unwrap();
                assert_eq!(buffer[..received], reply(round * 10 + number));
            }
        }
        // Refusals, too: another version of RPC.
        let mut other = call(5);
        other[11] = 3;
        clients[0].send(&other).unwrap();
        assert_eq!(clients[0].recv(&mut buffer).unwrap(), 24);
        assert_eq!(buffer[11], 1);
    });
}

#[test]
fn it_ends_when_it_is_told_to() {
    for options in [&[][..], &["--udp"]] {
        with_each_engine(options, |mut server| {
            let stream = (options.is_empty()).then(|| server.connect());
            let process = Pid::from_child(&server.process);
            kill_process(process, Signal::TERM).unwrap();
            assert!(!server.process.wait().unwrap().success());
            if let Some(mut stream) = stream {
                let end = stream.read(&mut [0]).map_err(|error| error.kind());
                assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)));
            }
        });
    }
}
