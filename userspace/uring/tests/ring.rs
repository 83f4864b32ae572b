// SPDX-License-Identifier: GPL-2.0

//! Rings with real sockets.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    time::Duration,
};

use rustix::io::Errno;
use uring::{Arrival, Completion, Ring, Wait, MAX_SEND};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A ring of so many sockets, and their other ends; `None` if this system does not let us have one, as a container may not.
fn ring(sockets: usize, buffers: usize) -> Option<(Ring, Vec<UnixStream>)> {
    let pairs = (0..sockets).map(|_| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(LONG)).unwrap();
        (ours.into(), theirs)
    });
    let (ours, theirs) = pairs.unzip();
    match Ring::new(ours, buffers) {
        Ok(ring) => Some((ring, theirs)),
        Err(error) => {
            let refusals = [ErrorKind::PermissionDenied, ErrorKind::Unsupported];
            assert!(refusals.contains(&error.kind()), "{error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn next(ring: &mut Ring) -> Completion {
    ring.submit().unwrap();
    loop {
        if let Some(completion) = ring.next_completion() {
            return completion;
        }
        ring.enter(Wait::Forever).unwrap();
    }
}

fn arrived(ring: &mut Ring) -> Arrival {
    match next(ring) {
        Completion::Received {
            result: Ok(Some(arrival)),
            ..
        } => arrival,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_sent_arrives_and_buffers_are_used_again() {
    let Some((mut ring, mut peers)) = ring(2, 2) else {
        return;
    };
    for socket in 0..2 {
        ring.receive(socket).unwrap();
        // It does already.
        ring.receive(socket).unwrap();
    }
    for round in 0..10_u8 {
        for socket in 0..2 {
            let outgoing = ring.outgoing(socket).unwrap();
            outgoing.clear();
            outgoing.extend([b'x', round, socket as u8, b'x']);
            ring.send(socket, 1..3).unwrap();
            assert!(ring.outgoing(socket).is_none());
        }
        ring.submit().unwrap();
        assert!(ring.next_completion().is_none());
        for (socket, peer) in peers.iter_mut().enumerate() {
            let mut bytes = [0; 2];
            peer.read_exact(&mut bytes).unwrap();
            assert_eq!(bytes, [round, socket as u8]);
            peer.write_all(&bytes).unwrap();
            let arrival = arrived(&mut ring);
            assert_eq!(ring.bytes(&arrival), bytes);
            ring.give_back(arrival);
        }
    }
}

#[test]
fn without_buffers_receiving_ends_until_some_are_given_back() {
    let Some((mut ring, mut peers)) = ring(1, 1) else {
        return;
    };
    ring.receive(0).unwrap();
    peers[0].write_all(b"one").unwrap();
    let first = arrived(&mut ring);
    peers[0].write_all(b"two").unwrap();
    let Completion::Received {
        result: Err(error),
        last: true,
        ..
    } = next(&mut ring)
    else {
        panic!("there is no buffer");
    };
    assert_eq!(Errno::from_io_error(&error), Some(Errno::NOBUFS));
    assert!(!ring.is_receiving(0));
    assert_eq!(ring.bytes(&first), b"one");
    ring.give_back(first);
    ring.receive(0).unwrap();
    let second = arrived(&mut ring);
    assert_eq!(ring.bytes(&second), b"two");
}

#[test]
fn a_send_waits_for_room_only_if_it_shall() {
    let Some((mut ring, mut peers)) = ring(1, 1) else {
        return;
    };
    const LARGE: usize = 1 << 20;
    ring.outgoing(0).unwrap().resize(LARGE, 7);
    let mut sent = 0;
    loop {
        ring.send(0, sent..LARGE).unwrap();
        match next(&mut ring) {
            Completion::Sent {
                result: Ok(part), ..
            } => sent += part as usize,
            Completion::Sent {
                result: Err(error), ..
            } => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(sent != 0 && sent < LARGE);
    ring.send_waiting(0, sent..LARGE).unwrap();
    ring.enter(Wait::No).unwrap();
    assert!(ring.next_completion().is_none());
    assert!(ring.outgoing(0).is_none());
    let mut received = vec![0; sent];
    peers[0].read_exact(&mut received).unwrap();
    let Completion::Sent {
        result: Ok(part), ..
    } = next(&mut ring)
    else {
        panic!("there is room now");
    };
    assert!(part > 0);
}

#[test]
fn what_is_stopped_says_so_and_can_begin_again() {
    let Some((mut ring, mut peers)) = ring(1, 1) else {
        return;
    };
    ring.receive(0).unwrap();
    ring.stop_receiving(0).unwrap();
    let Completion::Received {
        result: Err(error),
        last: true,
        ..
    } = next(&mut ring)
    else {
        panic!("nothing has come");
    };
    assert_eq!(Errno::from_io_error(&error), Some(Errno::CANCELED));
    ring.stop_receiving(0).unwrap();
    peers[0].write_all(b"more").unwrap();
    ring.receive(0).unwrap();
    let arrival = arrived(&mut ring);
    assert_eq!(ring.bytes(&arrival), b"more");
}

#[test]
fn a_socket_that_is_closed_is_closed_at_once() {
    let Some((mut ring, mut peers)) = ring(2, 1) else {
        return;
    };
    for socket in 0..2 {
        ring.receive(socket).unwrap();
    }
    ring.enter(Wait::No).unwrap();
    ring.close(0).unwrap();
    ring.close(0).unwrap();
    assert!(ring.socket(0).is_none() && ring.socket(1).is_some());
    // Not even the request to receive holds it.
    assert_eq!(peers[0].read(&mut [0]).unwrap(), 0);
    assert!(matches!(
        next(&mut ring),
        Completion::Received {
            socket: 0,
            result: Err(_),
            last: true
        }
    ));
    // What is sent on it goes nowhere, not even to a descriptor with the same number.
    ring.outgoing(0).unwrap().extend(b"lost");
    let (other, mut others_peer) = UnixStream::pair().unwrap();
    ring.send(0, 0..4).unwrap();
    assert!(matches!(
        next(&mut ring),
        Completion::Sent {
            socket: 0,
            result: Err(_)
        }
    ));
    drop(other);
    assert_eq!(others_peer.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_ring_that_is_dropped_leaves_nothing_behind() {
    for is_entered in [false, true] {
        let Some((mut ring, mut peers)) = ring(2, 1) else {
            return;
        };
        ring.set_alarm(LONG).unwrap();
        ring.receive(0).unwrap();
        ring.outgoing(1).unwrap().resize(16 << 20, 0);
        ring.send_waiting(1, 0..16 << 20).unwrap();
        if is_entered {
            ring.enter(Wait::No).unwrap();
        }
        drop(ring);
        // No request holds the sockets any more.
        for peer in &mut peers {
            let mut rest = Vec::new();
            peer.read_to_end(&mut rest).unwrap();
            assert!(rest.len() < 16 << 20);
        }
    }
}

#[test]
fn waits_end_by_their_limit_and_by_an_alarm() {
    let Some((mut ring, _peers)) = ring(1, 1) else {
        return;
    };
    ring.receive(0).unwrap();
    ring.enter(Wait::For(Duration::from_millis(1))).unwrap();
    assert!(ring.next_completion().is_none());
    ring.set_alarm(Duration::from_millis(1)).unwrap();
    assert!(matches!(next(&mut ring), Completion::Alarm));
}

#[test]
#[should_panic(expected = "the kernel has what is outgoing already")]
fn what_the_kernel_has_is_not_sent_again() {
    let Some((mut ring, _peers)) = ring(1, 1) else {
        panic!("the kernel has what is outgoing already (if there were a ring)");
    };
    ring.outgoing(0).unwrap().extend(b"once");
    ring.send(0, 0..4).unwrap();
    let _ = ring.send(0, 0..4);
}

#[test]
fn more_than_the_kernel_sends_at_once_is_an_error() {
    let Some((mut ring, _peers)) = ring(1, 1) else {
        return;
    };
    // Only what is written to takes memory.
    *ring.outgoing(0).unwrap() = vec![0; MAX_SEND + 1];
    let all = 0..MAX_SEND + 1;
    let refused = ring.send(0, all.clone()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let refused = ring.send_waiting(0, all).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(ring.requests(), 0);
    assert!(!ring.is_sending(0));
}

/// A ring with a listener and room for so many connections, and where it listens; `None` as in [`ring()`].
fn listening(room: u32, buffers: usize) -> Option<(Ring, SocketAddr)> {
    let (ring, _) = ring(0, 1)?;
    drop(ring);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut ring = Ring::with_room(vec![listener.into()], room, buffers).unwrap();
    ring.accept(0).unwrap();
    Some((ring, address))
}

fn accepted(ring: &mut Ring) -> usize {
    match next(ring) {
        Completion::Accepted {
            result: Ok(place),
            last: false,
        } => place,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_accepted_is_served_closed_and_its_place_used_again() {
    let Some((mut ring, address)) = listening(2, 4) else {
        return;
    };
    for round in 0..10_u8 {
        let mut connections = [0, 1].map(|_| {
            let peer = TcpStream::connect(address).unwrap();
            peer.set_read_timeout(Some(LONG)).unwrap();
            let place = accepted(&mut ring);
            assert!((1..=2).contains(&place) && ring.socket(place).is_none());
            ring.receive(place).unwrap();
            (peer, place)
        });
        for (peer, place) in &mut connections {
            let question = [round, *place as u8];
            peer.write_all(&question).unwrap();
            let arrival = arrived(&mut ring);
            let (bytes, outgoing) = ring.bytes_and_outgoing(&arrival, *place);
            let outgoing = outgoing.unwrap();
            // Nothing of the one that was here before.
            assert!(outgoing.is_empty());
            outgoing.extend_from_slice(bytes);
            ring.give_back(arrival);
            ring.send(*place, 0..2).unwrap();
            let refused = ring.close(*place).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ResourceBusy);
            // What is sent comes first.
            ring.shut_down(*place).unwrap();
            ring.submit().unwrap();
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, question);
            peer.shutdown(Shutdown::Write).unwrap();
            let end = next(&mut ring);
            assert!(matches!(
                end,
                Completion::Received {
                    result: Ok(None),
                    last: true,
                    ..
                }
            ));
            ring.close(*place).unwrap();
            ring.close(*place).unwrap();
        }
    }
}

#[test]
fn without_room_what_is_accepted_is_closed() {
    let Some((mut ring, address)) = listening(1, 1) else {
        return;
    };
    let _first = TcpStream::connect(address).unwrap();
    let place = accepted(&mut ring);
    let mut second = TcpStream::connect(address).unwrap();
    second.set_read_timeout(Some(LONG)).unwrap();
    let Completion::Accepted {
        result: Err(error),
        last: true,
    } = next(&mut ring)
    else {
        panic!("there is no room");
    };
    assert_eq!(Errno::from_io_error(&error), Some(Errno::NFILE));
    assert_eq!(second.read(&mut [0]).unwrap(), 0);
    ring.close(place).unwrap();
    ring.accept(0).unwrap();
    let _third = TcpStream::connect(address).unwrap();
    assert_eq!(accepted(&mut ring), place);
}

#[test]
fn datagrams_are_answered_to_their_senders() {
    let Some((ring, _)) = ring(0, 1) else {
        return;
    };
    drop(ring);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let mut ring = Ring::new(vec![socket.into()], 2).unwrap();
    let clients = [0; 3].map(|_| {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.connect(address).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        client
    });
    for length in [0, 1, 9000, 65_507] {
        for (number, client) in clients.iter().enumerate() {
            // An empty one ends it.
            ring.receive_datagrams(0).unwrap();
            client.send(&vec![number as u8; length]).unwrap();
            let arrival = arrived(&mut ring);
            let datagram = ring.datagram(&arrival);
            assert_eq!(datagram, vec![number as u8; length]);
            datagram.fill(7);
            ring.answer(0, arrival, length / 2).unwrap();
        }
        ring.submit().unwrap();
        for client in &clients {
            let mut answer = vec![0; 65_507];
            let answered = client.recv(&mut answer).unwrap();
            assert_eq!(answer[..answered], vec![7; length / 2]);
        }
    }
    clients[0].send(b"short").unwrap();
    let arrival = arrived(&mut ring);
    let refused = ring.answer(0, arrival, 6).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}
