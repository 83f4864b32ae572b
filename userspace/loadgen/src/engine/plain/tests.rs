// SPDX-License-Identifier: GPL-2.0

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
};

use super::*;
use crate::Target;

/// Long enough that whoever waits for it is seen to hang.
const LONG: Nanos = 3_600_000_000_000;

fn load(transport: Transport, batch: usize) -> Load {
    Load {
        batch,
        timeout_ns: LONG * 8,
        ..Load::of_one(transport)
    }
}

/// An engine of so many connections, and their other ends.
fn streams(count: usize, busy_poll: bool) -> (Plain, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pairs = (0..count).map(|_| {
        let client = TcpStream::connect(address).unwrap();
        (OwnedFd::from(client), listener.accept().unwrap().0)
    });
    let (sockets, servers): (Vec<_>, _) = pairs.unzip();
    let load = load(Transport::Stream, 1);
    (Plain::new(sockets, &load, busy_poll).unwrap(), servers)
}

/// An engine of a socket for datagrams, and its server.
fn datagrams(batch: usize) -> (Plain, UdpSocket) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    server.connect(client.local_addr().unwrap()).unwrap();
    let load = load(Transport::Datagrams, batch);
    let engine = Plain::new(vec![client.into()], &load, false).unwrap();
    (engine, server)
}

fn requests(all: &[&[u8]]) -> Requests {
    let mut requests = Requests::default();
    for request in all {
        requests.push(request);
    }
    requests
}

/// What an event says, without its time.
fn tell(event: Event<'_>) -> String {
    match event {
        Event::Received {
            connection,
            bytes,
            more,
            ..
        } => {
            let more = if more { "+" } else { "" };
            format!("{connection}: {}{more}", String::from_utf8_lossy(bytes))
        }
        Event::Sent {
            connection, left, ..
        } => format!("{connection}: sent, left: {left}"),
        Event::Closed { connection, .. } => format!("{connection}: closed"),
        Event::Failed {
            connection, error, ..
        } => format!("{connection}: {:?}", error.kind()),
        Event::Idle { .. } => "idle".to_owned(),
        event => panic!("{event:?} of an engine that knows no calls"),
    }
}

fn next(engine: &mut Plain, wait: Wait) -> String {
    let received = if wait == Wait::Tick {
        engine.receive()
    } else {
        None
    };
    match received {
        Some(received) => tell(received.into()),
        None => tell(engine.poll(wait).unwrap()),
    }
}

/// All ways to wait without end, and all ways to do it.
fn waits() -> impl Iterator<Item = (usize, bool, Wait)> {
    let counts = [1, 3].into_iter();
    counts.flat_map(|count| {
        [false, true].into_iter().flat_map(move |busy_poll| {
            [Wait::Tick, Wait::Until(clock::now() + LONG)].map(|wait| (count, busy_poll, wait))
        })
    })
}

#[test]
fn what_comes_while_it_is_waited_for_is_delivered() {
    for (count, busy_poll, wait) in waits() {
        let (mut engine, mut servers) = streams(count, busy_poll);
        let last = count - 1;
        // It finds nothing at first.
        assert_eq!(next(&mut engine, Wait::No), "idle");
        std::thread::scope(|scope| {
            scope.spawn(|| servers[last].write_all(b"hello").unwrap());
            assert_eq!(next(&mut engine, wait), format!("{last}: hello"));
        });
        drop(servers);
        let mut ends: Vec<_> = (0..count).map(|_| next(&mut engine, wait)).collect();
        ends.sort_unstable();
        let closed = (0..count).map(|place| format!("{place}: closed"));
        assert_eq!(ends, closed.collect::<Vec<_>>());
    }
}

#[test]
fn a_wait_ends_at_its_time() {
    for count in [1, 3] {
        let (mut engine, _servers) = streams(count, false);
        let until = clock::now() + 1_000_000;
        let Event::Idle { at } = engine.poll(Wait::Until(until)).unwrap() else {
            panic!("nothing was sent");
        };
        assert!(at >= until);
        assert_eq!(next(&mut engine, Wait::Until(0)), "idle");
    }
}

#[test]
fn a_call_receives_as_much_as_it_shall() {
    for (count, busy_poll, wait) in waits() {
        let (mut engine, mut servers) = streams(count, busy_poll);
        servers[0].write_all(b"12345678").unwrap();
        engine.limit(0, 3);
        for piece in ["123", "456"] {
            assert_eq!(next(&mut engine, wait), format!("0: {piece}"));
        }
        engine.limit(0, usize::MAX);
        assert_eq!(next(&mut engine, wait), "0: 78");
    }
}

#[test]
fn connections_take_turns() {
    let (mut engine, mut servers) = streams(3, false);
    for (place, server) in servers.iter_mut().enumerate() {
        server.write_all(b"abcd").unwrap();
        engine.limit(place, 1);
    }
    for piece in ["a", "b", "c", "d"] {
        let mut turn: Vec<_> = (0..3).map(|_| next(&mut engine, Wait::Tick)).collect();
        turn.sort_unstable();
        let all = (0..3).map(|place| format!("{place}: {piece}"));
        assert_eq!(turn, all.collect::<Vec<_>>());
    }
}

#[test]
fn a_full_socket_keeps_what_is_left_and_replies_still_come() {
    const HALF: usize = 8 << 20;
    for (count, busy_poll, wait) in waits() {
        let (mut engine, mut servers) = streams(count, busy_poll);
        let mut large = requests(&[&[1; HALF], &[2; HALF], b"last"]);
        assert_eq!(engine.send(0, &mut large), Sent::Partly);
        assert!((1..=2).contains(&engine.unsent(0)), "{}", engine.unsent(0));
        servers[0].write_all(b"reply").unwrap();
        let received = std::thread::scope(|scope| {
            // The replies are delivered although nobody reads yet.
            let mut told = next(&mut engine, wait);
            while told.ends_with("left: true") {
                told = next(&mut engine, wait);
            }
            assert_eq!(told, "0: reply");
            let server = &mut servers[0];
            let reader = scope.spawn(move || {
                let mut received = vec![0; 2 * HALF + 4];
                server.read_exact(&mut received).unwrap();
                received
            });
            while next(&mut engine, wait) != "0: sent, left: false" {}
            reader.join().unwrap()
        });
        assert_eq!(engine.unsent(0), 0);
        assert!(received[..HALF].iter().all(|&byte| byte == 1));
        assert!(received[HALF..2 * HALF].iter().all(|&byte| byte == 2));
        assert_eq!(received[2 * HALF..], *b"last");
        // There is room again, and a wait that nobody ends is not woken by it.
        assert_eq!(engine.send(0, &mut requests(&[b"more"])), Sent::All);
        assert_eq!(next(&mut engine, Wait::Until(clock::now() + 1)), "idle");
    }
}

#[test]
fn what_came_before_a_failure_is_delivered_first() {
    for (count, busy_poll, wait) in waits() {
        let (mut engine, mut servers) = streams(count, busy_poll);
        servers[0].write_all(b"farewell").unwrap();
        // Bytes that nobody read make it a reset.
        assert_eq!(engine.send(0, &mut requests(&[b"unread"])), Sent::All);
        servers[0].peek(&mut [0; 6]).unwrap();
        drop(servers.remove(0));
        while engine.send(0, &mut requests(&[b"too late"])) != Sent::Failed {}
        assert_eq!(engine.unsent(0), 1);
        assert_eq!(next(&mut engine, wait), "0: farewell");
        assert_eq!(next(&mut engine, wait), "0: ConnectionReset");
        assert_eq!(engine.unsent(0), 1);
        assert_eq!(next(&mut engine, Wait::No), "idle");
    }
}

#[test]
fn an_abandoned_connection_is_not_heard_of_again() {
    for count in [1, 3] {
        let (mut engine, mut servers) = streams(count, false);
        servers[0].write_all(b"hello").unwrap();
        engine.abandon(0);
        assert_eq!(next(&mut engine, Wait::No), "idle");
        let until = clock::now() + 1;
        assert_eq!(next(&mut engine, Wait::Until(until)), "idle");
        assert_eq!(servers[0].read(&mut [0; 1]).unwrap_or(0), 0);
    }
}

#[test]
fn the_clients_end_is_seen_by_the_server_and_the_servers_by_the_client() {
    let (mut engine, mut servers) = streams(1, false);
    assert_eq!(engine.send(0, &mut requests(&[b"bye"])), Sent::All);
    engine.end(0).unwrap();
    let mut all = Vec::new();
    servers[0].read_to_end(&mut all).unwrap();
    assert_eq!(all, b"bye");
    drop(servers);
    assert_eq!(next(&mut engine, Wait::Tick), "0: closed");
}

#[test]
fn datagrams_keep_their_bounds() {
    for batch in [1, 4] {
        let (mut engine, server) = datagrams(batch);
        let mut all = requests(&[&b"one"[..], b"", b"three"][..batch.min(3)]);
        assert_eq!(engine.send(0, &mut all), Sent::All);
        let mut buffer = [0; 16];
        for expected in [&b"one"[..], b"", b"three"].iter().take(batch.min(3)) {
            let length = server.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], **expected);
        }
        for datagram in [&b"uno"[..], b"", b"tres"] {
            server.send(datagram).unwrap();
        }
        let mark = if batch > 1 { "+" } else { "" };
        for expected in [
            format!("0: uno{mark}"),
            format!("0: {mark}"),
            "0: tres".into(),
        ] {
            assert_eq!(next(&mut engine, Wait::Tick), expected);
        }
        assert_eq!(next(&mut engine, Wait::No), "idle");
    }
}

#[test]
fn a_batch_is_no_larger_than_it_shall_be() {
    let (mut engine, server) = datagrams(2);
    for datagram in [b"1", b"2", b"3"] {
        server.send(datagram).unwrap();
    }
    for expected in ["0: 1+", "0: 2", "0: 3"] {
        assert_eq!(next(&mut engine, Wait::Tick), expected);
    }
    // What is left of a batch goes with its connection.
    for datagram in [b"4", b"5"] {
        server.send(datagram).unwrap();
    }
    assert_eq!(next(&mut engine, Wait::Tick), "0: 4+");
    engine.abandon(0);
    assert_eq!(next(&mut engine, Wait::No), "idle");
}

#[test]
fn the_longest_datagram_is_whole() {
    for batch in [1, 2] {
        let (mut engine, server) = datagrams(batch);
        server.send(&[b'x'; 65_507]).unwrap();
        assert_eq!(next(&mut engine, Wait::Tick).len(), 3 + 65_507);
    }
}

#[test]
fn a_refusal_of_datagrams_is_told_and_what_was_not_sent_is_known() {
    for batch in [1, 4] {
        let (mut engine, server) = datagrams(batch);
        server.send(b"farewell").unwrap();
        drop(server);
        // The refusal of one is what the next is told.
        assert_eq!(engine.send(0, &mut requests(&[b"refused"])), Sent::All);
        assert_eq!(engine.send(0, &mut requests(&[b"unsent"])), Sent::Failed);
        assert_eq!(engine.unsent(0), 1);
        assert_eq!(next(&mut engine, Wait::Tick), "0: farewell");
        assert_eq!(next(&mut engine, Wait::Tick), "0: ConnectionRefused");
        assert_eq!(engine.unsent(0), 1);
    }
}

#[test]
fn connections_are_opened_as_the_engine_needs_them() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut peer = Target::parse(&address, 7).unwrap().resolve().unwrap();
    let options = crate::socket::SocketOptions {
        timeout: Duration::from_secs(10),
        bind: None,
        busy_poll: true,
    };
    let sockets = peer.open(Transport::Stream, 1, &options).unwrap();
    let mut engine = Plain::new(sockets.sockets, &load(Transport::Stream, 1), true).unwrap();
    listener.accept().unwrap().0.write_all(b"hello").unwrap();
    assert_eq!(next(&mut engine, Wait::Tick), "0: hello");
}
