// SPDX-License-Identifier: GPL-2.0

//! Runs echod and looks at what it sends back.

mod server;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
    thread,
};

use server::Server;

/// Starts echod on a port that the system chooses.
fn start(arguments: &[&str]) -> Server {
    Server::run(Command::new(env!("CARGO_BIN_EXE_echod")).args(arguments))
}

/// Sends a line and checks that it comes back.
#[track_caller]
fn assert_echoes(stream: &mut TcpStream) {
    stream.write_all(b"one line\n").unwrap();
    let mut line = [0; 9];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(line, *b"one line\n");
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| ((place * place) >> 3) as u8)
        .collect()
}

#[test]
fn a_stream_comes_back_and_then_its_end() {
    let server = start(&[]);
    for address in [server.v4(), server.v6()] {
        let mut stream = TcpStream::connect(address).unwrap();
        assert_echoes(&mut stream);
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{address}");
    }
}

#[test]
fn what_the_buffers_do_not_hold_comes_back_when_it_is_read() {
    let server = start(&[]);
    let stream = server.connect();
    let sent = bytes(64 << 20);
    thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&sent).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        // Until the way back is full the server waits for the client, and nobody else has to.
        for _ in 0..10 {
            assert_echoes(&mut server.connect());
        }
        let mut received = Vec::new();
        (&stream).read_to_end(&mut received).unwrap();
        assert!(received == sent);
    });
}

#[test]
fn many_connections_are_served_at_once() {
    let server = start(&[]);
    let mut streams: Vec<_> = (0..500).map(|_| server.connect()).collect();
    for _ in 0..3 {
        streams.iter_mut().for_each(assert_echoes);
    }
    // Numbers of descriptors are used again.
    streams.drain(..250);
    streams.extend((0..250).map(|_| server.connect()));
    streams.iter_mut().for_each(assert_echoes);
}

#[test]
fn a_client_that_vanishes_harms_nobody() {
    let server = start(&[]);
    let mut good = server.connect();
    for _ in 0..20 {
        let stream = server.connect();
        stream.set_nonblocking(true).unwrap();
        // As much as goes; closing with replies unread is a reset.
        while (&stream).write(&[7; 1 << 16]).is_ok() {}
        drop(stream);
        assert_echoes(&mut good);
    }
}

#[test]
fn without_descriptors_it_waits_for_one() {
    let mut command = Command::new("sh");
    let script = format!(
        "ulimit -n 16 && exec {} \"$@\"",
        env!("CARGO_BIN_EXE_echod")
    );
    let server = Server::run(command.args(["-c", &script, "sh"]));
    let mut streams: Vec<_> = (0..40).map(|_| server.connect()).collect();
    assert_echoes(&mut streams[0]);
    // The last one is accepted when others are gone.
    let mut last = streams.pop().unwrap();
    drop(streams);
    assert_echoes(&mut last);
}

#[test]
fn datagrams_come_back_to_their_senders() {
    let server = start(&["--udp"]);
    let clients = server.datagram_clients();
    for length in [0, 1, 32, 1_500, 65_507] {
        let mut buffer = vec![0; 1 << 16];
        for (number, socket) in clients.iter().enumerate() {
            socket.send(&bytes(length + number)[number..]).unwrap();
        }
        for (number, socket) in clients.iter().enumerate() {
            let received = socket.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..received], bytes(length + number)[number..]);
        }
    }
}

#[test]
fn a_port_that_is_taken_is_told() {
    let server = start(&[]);
    let output = Command::new(env!("CARGO_BIN_EXE_echod"))
        .args(["-p", &server.port.to_string()])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = format!(
        "echod: cannot bind to port {}: Address already in use (os error 98)\n",
        server.port
    );
    assert_eq!((output.status.code(), error), (Some(1), expected));
}
