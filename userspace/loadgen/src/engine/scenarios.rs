// SPDX-License-Identifier: GPL-2.0

//! What all engines do alike, with real sockets and servers on loopback.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    thread,
    time::Duration,
};

use rustix::event::{poll, PollFd, PollFlags};
use socket2::SockRef;

use super::{plain::Plain, uring::Uring, Engine, Event, Nanos, Requests, Sent, Wait};
use crate::load::{Load, Transport};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// Each scenario, with each engine.
macro_rules! scenarios {
    ($($scenario:ident,)*) => {
        mod plain {
            $(
                #[test]
                fn $scenario() {
                    super::$scenario(|sockets, load| super::Plain::new(sockets, load, false));
                    super::$scenario(|sockets, load| super::Plain::new(sockets, load, true));
                }
            )*
        }

        mod io_uring {
            $(
                #[test]
                fn $scenario() {
                    if super::has_io_uring() {
                        super::$scenario(|sockets, load| super::Uring::new(sockets, load, false));
                        super::$scenario(|sockets, load| super::Uring::new(sockets, load, true));
                    }
                }
            )*
        }
    };
}

scenarios! {
    all_that_is_sent_comes_back_in_order,
    large_requests_and_replies_are_delivered_as_they_come,
    a_full_socket_takes_the_rest_later,
    what_a_connection_does_not_take_is_unsent,
    the_end_of_the_stream_comes_after_all_that_came,
    a_reset_comes_after_all_that_came,
    what_came_before_a_send_failed_is_delivered,
    datagrams_keep_their_bounds,
    datagrams_of_a_batch_are_sent_in_order,
    datagrams_of_a_batch_are_sent_at_once,
    datagrams_that_do_not_fit_follow_in_order,
    more_datagrams_than_buffers_are_delivered,
    a_refused_datagram_is_a_failure,
    waits_end_when_they_should,
    many_connections_are_all_served,
    an_abandoned_connection_is_closed_and_silent,
}

/// Whether this system lets us use it. A container may not.
pub(super) fn has_io_uring() -> bool {
    match Uring::new(Vec::new(), &load(Transport::Stream, 1), false) {
        Ok(_) => true,
        Err(error) => {
            let kind = error.kind();
            let refusals = [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported];
            assert!(refusals.contains(&kind), "{error}");
            eprintln!("skipped: {error}");
            false
        }
    }
}

pub(super) fn load(transport: Transport, batch: usize) -> Load {
    Load {
        batch,
        timeout_ns: 8 * LONG.as_nanos() as Nanos,
        ..Load::of_one(transport)
    }
}

pub(super) fn requests<T: AsRef<[u8]>>(requests: &[T]) -> Requests {
    let mut all = Requests::default();
    for request in requests {
        all.push(request.as_ref());
    }
    all
}

/// What was delivered of one connection.
#[derive(Debug, Default)]
struct Delivered {
    /// Each call's or each datagram's bytes.
    pieces: Vec<Vec<u8>>,
    /// How many pieces were of the same call as the one before.
    with_others: usize,
    /// Whether nothing is left of what a full socket did not take.
    is_sent: bool,
    /// How the connection ended.
    end: Option<Result<(), io::ErrorKind>>,
}

impl Delivered {
    fn open(&mut self) -> &mut Self {
        assert!(self.end.is_none(), "an event after the last");
        self
    }

    fn bytes(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

/// Takes the only connection's events until there was enough.
fn deliver<E: Engine>(engine: &mut E, enough: impl Fn(&Delivered) -> bool) -> Delivered {
    let mut all = vec![Delivered::default()];
    deliver_all(engine, &mut all, |all| enough(&all[0]));
    all.remove(0)
}

fn deliver_all<E: Engine>(
    engine: &mut E,
    all: &mut [Delivered],
    enough: impl Fn(&[Delivered]) -> bool,
) {
    let deadline = engine.now() + LONG.as_nanos() as Nanos;
    let mut expected = None;
    while !enough(all) || expected.is_some() {
        // What belongs together is there already.
        let wait = expected.map_or(Wait::Tick, |_| Wait::No);
        // The short way first, as a worker goes.
        let received = if wait == Wait::Tick {
            engine.receive()
        } else {
            None
        };
        let event = match received {
            Some(received) => received.into(),
            None => engine.poll(wait).unwrap(),
        };
        let at = match event {
            Event::Received {
                connection,
                bytes,
                at,
                more,
            } => {
                let delivered = all[connection].open();
                delivered.pieces.push(bytes.to_vec());
                if let Some(expected) = expected.take() {
                    assert_eq!((connection, at), expected);
                    delivered.with_others += 1;
                }
                expected = more.then_some((connection, at));
                at
            }
            event if expected.is_some() => panic!("{event:?} within a batch"),
            Event::Sent {
                connection,
                at,
                left,
            } => {
                all[connection].open().is_sent = !left;
                at
            }
            Event::Closed { connection, at } => {
                all[connection].open().end = Some(Ok(()));
                at
            }
            Event::Failed {
                connection,
                at,
                error,
            } => {
                all[connection].open().end = Some(Err(error.kind()));
                at
            }
            Event::Idle { at } => at,
            event => panic!("{event:?} of an engine that knows no calls"),
        };
        assert!(at < deadline, "not delivered: {all:?}");
    }
}

/// An engine with a TCP connection, and the server's side of it.
fn connected<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
    prepare: impl Fn(&TcpStream),
) -> (E, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    prepare(&client);
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(LONG)).unwrap();
    let twin = client.try_clone().unwrap();
    let engine = make(vec![client.into()], &load(Transport::Stream, 1)).unwrap();
    (engine, server, twin)
}

/// An engine with a UDP socket, and the server's.
fn exchanging<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
    batch: usize,
) -> (E, UdpSocket) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    server.connect(client.local_addr().unwrap()).unwrap();
    server.set_read_timeout(Some(LONG)).unwrap();
    let engine = make(vec![client.into()], &load(Transport::Datagrams, batch)).unwrap();
    (engine, server)
}

fn echo(mut server: TcpStream) {
    let mut reader = server.try_clone().unwrap();
    io::copy(&mut reader, &mut server).unwrap();
}

/// Bytes of which no two places look alike.
fn pattern(length: usize) -> Vec<u8> {
    (0..length.div_ceil(4) as u32)
        .flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(length)
        .collect()
}

fn all_that_is_sent_comes_back_in_order<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, server, _) = connected(make, |_| {});
    let server = thread::spawn(|| echo(server));
    let pattern = pattern(1000);
    let pieces: Vec<_> = pattern.chunks(7).collect();
    for pair in pieces.chunks(2) {
        assert_eq!(engine.send(0, &mut requests(pair)), Sent::All);
    }
    let delivered = deliver(&mut engine, |all| all.bytes().len() >= 1000);
    assert_eq!(delivered.bytes(), pattern);
    assert_eq!(engine.unsent(0), 0);
    engine.end(0).unwrap();
    let delivered = deliver(&mut engine, |all| all.end.is_some());
    assert_eq!((delivered.bytes().len(), delivered.end), (0, Some(Ok(()))));
    server.join().unwrap();
}

fn large_requests_and_replies_are_delivered_as_they_come<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, server, _) = connected(make, |_| {});
    let server = thread::spawn(|| echo(server));
    let pattern = pattern(8 << 20);
    engine.limit(0, usize::MAX);
    assert_ne!(engine.send(0, &mut requests(&[&pattern])), Sent::Failed);
    let delivered = deliver(&mut engine, |all| all.bytes().len() >= pattern.len());
    assert!(delivered.pieces.len() > 2);
    assert!(delivered.bytes() == pattern);
    assert_eq!(engine.unsent(0), 0);
    engine.end(0).unwrap();
    server.join().unwrap();
}

/// A connection whose server reads nothing yet, and that has little room.
fn narrow<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) -> (E, TcpStream, TcpStream) {
    connected(make, |client| {
        SockRef::from(client).set_send_buffer_size(8 << 10).unwrap();
    })
}

fn a_full_socket_takes_the_rest_later<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, mut server, _) = narrow(make);
    let piece = pattern(100_003);
    let mut count = 1;
    while engine.send(0, &mut requests(&[&piece])) == Sent::All {
        count += 1;
        assert!(count < 1000, "it is never full");
    }
    let reader = thread::spawn(move || {
        let mut received = vec![0; count * 100_003];
        server.read_exact(&mut received).unwrap();
        server.write_all(b"done").unwrap();
        server.read_to_end(&mut received).unwrap();
        received
    });
    let delivered = deliver(&mut engine, |all| all.bytes() == b"done");
    assert!(delivered.is_sent);
    assert_eq!(engine.unsent(0), 0);
    // The next follow at once.
    assert_eq!(engine.send(0, &mut requests(&["last"])), Sent::All);
    engine.end(0).unwrap();
    let expected = [piece.repeat(count), b"last".to_vec()].concat();
    assert!(reader.join().unwrap() == expected);
}

fn what_a_connection_does_not_take_is_unsent<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, server, _) = narrow(make);
    let large = vec![0; 16 << 20];
    let sent = engine.send(0, &mut requests(&[&large, &large, &large]));
    assert_ne!(sent, Sent::Failed);
    // Until the server's side is full, too. An engine that learns only now that they do not fit says so.
    let mut is_full = sent == Sent::Partly;
    loop {
        match engine.poll(Wait::No).unwrap() {
            Event::Sent { left, .. } => is_full = left,
            Event::Idle { .. } => break,
            event => panic!("{event:?}"),
        }
    }
    assert!(is_full);
    // One was begun.
    assert_eq!((engine.unsent(0), engine.unfinished(0)), (2, 3));
    assert_eq!(engine.end(0).unwrap_err().kind(), io::ErrorKind::Other);
    // With bytes that it has not read, the server resets the connection.
    drop(server);
    let delivered = deliver(&mut engine, |all| all.end.is_some());
    assert_eq!(delivered.end, Some(Err(io::ErrorKind::ConnectionReset)));
    assert_eq!(engine.unsent(0), 2);
}

fn the_end_of_the_stream_comes_after_all_that_came<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, mut server, _) = connected(make, |_| {});
    server.write_all(&pattern(300_000)).unwrap();
    drop(server);
    let delivered = deliver(&mut engine, |all| all.end.is_some());
    assert_eq!(delivered.end, Some(Ok(())));
    assert!(delivered.bytes() == pattern(300_000));
}

fn reset(mut server: TcpStream, last: &[u8]) {
    server.write_all(last).unwrap();
    SockRef::from(&server)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

fn a_reset_comes_after_all_that_came<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, server, _) = connected(make, |_| {});
    reset(server, b"last words");
    let delivered = deliver(&mut engine, |all| all.end.is_some());
    assert_eq!(delivered.bytes(), b"last words");
    assert_eq!(delivered.end, Some(Err(io::ErrorKind::ConnectionReset)));
}

fn what_came_before_a_send_failed_is_delivered<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, server, twin) = connected(make, |_| {});
    reset(server, b"last words");
    let mut broken = [PollFd::new(&twin, PollFlags::RDHUP)];
    poll(&mut broken, None).unwrap();
    let mut doomed = requests(&["one", "two"]);
    // An engine may not know yet.
    assert_ne!(engine.send(0, &mut doomed), Sent::Partly);
    let delivered = deliver(&mut engine, |all| all.end.is_some());
    assert_eq!(delivered.bytes(), b"last words");
    assert_eq!(delivered.end, Some(Err(io::ErrorKind::ConnectionReset)));
    assert_eq!(engine.unsent(0), 2);
}

fn datagrams_keep_their_bounds<E: Engine>(make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>) {
    let (mut engine, server) = exchanging(make, 1);
    let pattern = pattern(65_507);
    let lengths = [1, 0, 1472, 65_507, 0, 3];
    let mut buffer = vec![0; 1 << 16];
    for length in lengths {
        let sent = engine.send(0, &mut requests(&[&pattern[..length]]));
        assert_eq!(sent, Sent::All);
        assert!(matches!(engine.poll(Wait::No).unwrap(), Event::Idle { .. }));
        let received = server.recv(&mut buffer).unwrap();
        assert!(buffer[..received] == pattern[..length]);
    }
    for length in lengths {
        server.send(&pattern[..length]).unwrap();
    }
    let delivered = deliver(&mut engine, |all| all.pieces.len() == lengths.len());
    for (piece, length) in delivered.pieces.iter().zip(lengths) {
        assert!(piece[..] == pattern[..length]);
    }
    assert_eq!(delivered.with_others, 0);
}

fn datagrams_of_a_batch_are_sent_in_order<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, server) = exchanging(make, 8);
    let datagrams: Vec<_> = (1..=8_u8)
        .map(|length| vec![length; length.into()])
        .collect();
    assert_eq!(engine.send(0, &mut requests(&datagrams)), Sent::All);
    assert!(matches!(engine.poll(Wait::No).unwrap(), Event::Idle { .. }));
    let mut buffer = [0; 16];
    for datagram in &datagrams {
        let received = server.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..received], datagram[..]);
    }
    for datagram in &datagrams {
        server.send(datagram).unwrap();
    }
    let delivered = deliver(&mut engine, |all| all.pieces.len() == 8);
    assert_eq!(delivered.pieces, datagrams);
    assert_eq!(delivered.with_others, 7);
}

fn datagrams_of_a_batch_are_sent_at_once<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, server) = exchanging(make, 64);
    let datagrams = [[7; 5]; 64];
    assert_eq!(engine.send(0, &mut requests(&datagrams)), Sent::All);
    // Without a call of the engine in between.
    for datagram in &datagrams {
        let mut buffer = [0; 16];
        let received = server.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..received], datagram[..]);
    }
}

fn datagrams_that_do_not_fit_follow_in_order<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    // The peer of such a socket takes a limited number, and none is lost.
    let (client, server) = UnixDatagram::pair().unwrap();
    server.set_read_timeout(Some(LONG)).unwrap();
    let mut engine = make(vec![client.into()], &load(Transport::Datagrams, 64)).unwrap();
    let mut count = 0;
    let mut sent = Sent::All;
    while sent == Sent::All {
        let datagrams: Vec<_> = (count..count + 64_u32).map(u32::to_le_bytes).collect();
        sent = engine.send(0, &mut requests(&datagrams));
        count += 64;
    }
    assert_eq!(sent, Sent::Partly);
    let unsent = engine.unsent(0);
    assert!((1..=64).contains(&unsent), "{unsent}");
    let reader = thread::spawn(move || {
        for number in 0..count {
            let mut datagram = [0; 4];
            server.recv(&mut datagram).unwrap();
            assert_eq!(u32::from_le_bytes(datagram), number);
        }
        server
    });
    let delivered = deliver(&mut engine, |all| all.is_sent);
    assert!(delivered.pieces.is_empty());
    assert_eq!(engine.unsent(0), 0);
    drop(reader.join().unwrap());
}

fn more_datagrams_than_buffers_are_delivered<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let (mut engine, server) = exchanging(make, 1);
    for number in 0..200_u32 {
        server.send(&number.to_le_bytes()).unwrap();
    }
    let delivered = deliver(&mut engine, |all| all.pieces.len() == 200);
    let expected: Vec<_> = (0..200_u32)
        .map(|number| number.to_le_bytes().to_vec())
        .collect();
    assert_eq!(delivered.pieces, expected);
}

fn a_refused_datagram_is_a_failure<E: Engine>(make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>) {
    let (mut engine, server) = exchanging(make, 1);
    drop(server);
    assert_eq!(engine.send(0, &mut requests(&["anybody?"])), Sent::All);
    let delivered = deliver(&mut engine, |all| all.end.is_some());
    assert_eq!(delivered.end, Some(Err(io::ErrorKind::ConnectionRefused)));
}

fn waits_end_when_they_should<E: Engine>(make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>) {
    let make_quick = |sockets: Vec<_>, load: &Load| {
        let timeout_ns = 8 * 5_000_000;
        make(
            sockets,
            &Load {
                timeout_ns,
                ..load.clone()
            },
        )
    };
    let (mut engine, mut server, _) = connected(make_quick, |_| {});
    let start = engine.now();
    for wait in [Wait::No, Wait::Until(start), Wait::Until(0)] {
        assert!(matches!(engine.poll(wait).unwrap(), Event::Idle { .. }));
    }
    let until = start + 10_000_000;
    let Event::Idle { at } = engine.poll(Wait::Until(until)).unwrap() else {
        panic!("nothing was sent");
    };
    assert!(at >= until);
    for _ in 0..2 {
        let before = engine.now();
        let Event::Idle { at } = engine.poll(Wait::Tick).unwrap() else {
            panic!("nothing was sent");
        };
        assert!(at >= before);
    }
    // Not one of these waits for its time.
    let never = start + 1_000 * LONG.as_nanos() as Nanos;
    let writer = thread::spawn(move || {
        server.write_all(b"late").unwrap();
        server
    });
    let Event::Received { at, .. } = engine.poll(Wait::Until(never)).unwrap() else {
        panic!("nothing else can have come");
    };
    assert!(at > start);
    drop(writer.join().unwrap());
    assert!(matches!(
        engine.poll(Wait::Until(never)).unwrap(),
        Event::Closed { connection: 0, .. }
    ));
}

fn many_connections_are_all_served<E: Engine>(make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>) {
    const CONNECTIONS: usize = 300;
    const ROUNDS: usize = 5;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let accepted: Vec<_> = (0..CONNECTIONS)
            .map(|_| listener.accept().unwrap().0)
            .collect();
        // One request of each, in turn, and the later ones all at once.
        for mut stream in &accepted {
            let mut request = [0; 8];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&request).unwrap();
        }
        for mut stream in &accepted {
            io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
        }
    });
    let sockets = (0..CONNECTIONS).map(|_| connect(address).into()).collect();
    let mut engine = make(sockets, &load(Transport::Stream, 1)).unwrap();
    let request = |connection: usize, round: usize| {
        let mut bytes = (connection as u32).to_le_bytes().to_vec();
        bytes.extend((round as u32).to_le_bytes());
        bytes
    };
    let mut all: Vec<_> = (0..CONNECTIONS).map(|_| Delivered::default()).collect();
    for round in 0..ROUNDS {
        for connection in 0..CONNECTIONS {
            let mut request = requests(&[request(connection, round)]);
            assert_eq!(engine.send(connection, &mut request), Sent::All);
        }
        // After the first round, the server waits for the end of one stream before it reads from the next.
        if round == 0 {
            deliver_all(&mut engine, &mut all, |all| {
                all.iter().all(|delivered| delivered.bytes().len() == 8)
            });
        }
    }
    for connection in 0..CONNECTIONS {
        engine.end(connection).unwrap();
    }
    deliver_all(&mut engine, &mut all, |all| {
        all.iter().all(|delivered| delivered.end.is_some())
    });
    for (connection, delivered) in all.iter().enumerate() {
        let expected: Vec<_> = (0..ROUNDS)
            .flat_map(|round| request(connection, round))
            .collect();
        assert_eq!(delivered.bytes(), expected);
        assert_eq!(delivered.end, Some(Ok(())));
    }
    server.join().unwrap();
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn an_abandoned_connection_is_closed_and_silent<E: Engine>(
    make: impl Fn(Vec<OwnedFd>, &Load) -> io::Result<E>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sockets, mut servers): (Vec<OwnedFd>, Vec<TcpStream>) = (0..3)
        .map(|_| (connect(address).into(), listener.accept().unwrap().0))
        .unzip();
    let mut engine = make(sockets, &load(Transport::Stream, 1)).unwrap();
    for server in &mut servers {
        server.set_read_timeout(Some(LONG)).unwrap();
        server.write_all(b"hello").unwrap();
    }
    // What came on it may be known to the engine already.
    let Event::Received { connection, .. } = engine.poll(Wait::Tick).unwrap() else {
        panic!("something has come on all");
    };
    let others: Vec<_> = (0..3).filter(|&other| other != connection).collect();
    let abandoned = others[0];
    engine.abandon(abandoned);
    // It is a reset if the engine had left something unread.
    match servers[abandoned].read(&mut [0]) {
        Ok(length) => assert_eq!(length, 0),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
    let mut all: Vec<_> = (0..3).map(|_| Delivered::default()).collect();
    drop(servers);
    deliver_all(&mut engine, &mut all, |all| {
        others[1..]
            .iter()
            .chain([&connection])
            .all(|&other| all[other].end.is_some())
    });
    assert_eq!(all[others[1]].bytes(), b"hello");
    assert!(all[abandoned].pieces.is_empty() && all[abandoned].end.is_none());
}
