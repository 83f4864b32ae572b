// SPDX-License-Identifier: GPL-2.0

//! What only this engine does: requests of several connections wait for one call.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixDatagram, UnixStream},
};

use super::*;
use crate::engine::scenarios::{has_io_uring, load, requests};

fn streams(count: usize) -> Option<(Uring, Vec<UnixStream>)> {
    let pairs = (0..count).map(|_| UnixStream::pair().unwrap());
    let (ours, theirs) = pairs.unzip::<_, _, Vec<_>, Vec<_>>();
    for server in &theirs {
        server.set_nonblocking(true).unwrap();
    }
    let ours = ours.into_iter().map(OwnedFd::from).collect();
    has_io_uring().then(|| {
        (
            Uring::new(ours, &load(Transport::Stream, 1), false).unwrap(),
            theirs,
        )
    })
}

/// What a server has got; nothing if it is `None`.
fn got(mut server: &UnixStream) -> Option<Vec<u8>> {
    let mut bytes = [0; 16];
    match server.read(&mut bytes) {
        Ok(length) => Some(bytes[..length].to_vec()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            None
        }
    }
}

#[test]
fn what_all_connections_send_is_handed_over_with_one_call() {
    let Some((mut engine, servers)) = streams(5) else {
        return;
    };
    for round in ["one", "two", "three"] {
        for place in 0..5 {
            assert_eq!(engine.send(place, &mut requests(&[round])), Sent::All);
        }
        assert!(servers.iter().all(|server| got(server).is_none()));
        assert!(matches!(engine.poll(Wait::No).unwrap(), Event::Idle { .. }));
        for server in &servers {
            assert_eq!(got(server).unwrap(), round.as_bytes());
        }
    }
}

#[test]
fn requests_of_one_connection_do_not_wait_for_each_other() {
    let Some((mut engine, servers)) = streams(2) else {
        return;
    };
    assert!(matches!(engine.poll(Wait::No).unwrap(), Event::Idle { .. }));
    for (request, before) in [("a", None), ("b", Some(&b"a"[..])), ("c", Some(b"b"))] {
        assert_eq!(engine.send(0, &mut requests(&[request])), Sent::All);
        assert_eq!(got(&servers[0]).as_deref(), before);
    }
}

#[test]
fn requests_of_several_connections_are_sent_in_turns_and_one_by_one() {
    if !has_io_uring() {
        return;
    }
    let pairs = (0..3).map(|_| UnixDatagram::pair().unwrap());
    let (ours, theirs) = pairs.unzip::<_, _, Vec<_>, Vec<_>>();
    let ours = ours.into_iter().map(OwnedFd::from).collect();
    let mut engine = Uring::new(ours, &load(Transport::Datagrams, 1), false).unwrap();
    let turns = ["a", "b", "c", "d"];
    for request in turns {
        for place in 0..3 {
            assert_eq!(engine.send(place, &mut requests(&[request])), Sent::All);
        }
    }
    assert!(matches!(engine.poll(Wait::No).unwrap(), Event::Idle { .. }));
    for server in &theirs {
        server.set_nonblocking(true).unwrap();
        for request in turns {
            let mut bytes = [0; 16];
            let length = server.recv(&mut bytes).unwrap();
            assert_eq!(bytes[..length], *request.as_bytes());
        }
    }
    assert!((0..3).all(|place| engine.unsent(place) == 0));
}

#[test]
fn requests_in_turns_are_sent_when_there_are_many() {
    let Some((mut engine, servers)) = streams(2) else {
        return;
    };
    for _ in 0..WAITING {
        for place in 0..2 {
            assert_eq!(engine.send(place, &mut requests(&["x"])), Sent::All);
        }
    }
    assert!(servers.iter().all(|server| got(server).is_some()));
}

#[test]
fn what_waits_for_its_turn_is_unsent_if_the_connection_fails() {
    let Some((mut engine, mut servers)) = streams(2) else {
        return;
    };
    drop(servers.remove(0));
    for request in ["one", "two", "three"] {
        for place in 0..2 {
            assert_eq!(engine.send(place, &mut requests(&[request])), Sent::All);
        }
    }
    assert_eq!((engine.unsent(0), engine.unsent(1)), (3, 3));
    assert!(matches!(
        engine.poll(Wait::Tick).unwrap(),
        Event::Closed { connection: 0, .. }
    ));
    assert_eq!(engine.unsent(0), 3);
    engine.end(1).unwrap();
    assert_eq!(engine.unsent(1), 0);
    assert_eq!(got(&servers[0]).unwrap(), b"onetwothree");
}

/// Also if a failure is not the first thing to be known.
#[test]
fn nothing_is_sent_after_a_failure_that_no_event_has_told() {
    let Some((mut engine, mut servers)) = streams(100) else {
        return;
    };
    drop(servers.remove(0));
    for place in 0..100 {
        // There are more than are queued at most.
        assert_eq!(engine.send(place, &mut requests(&["one"])), Sent::All);
    }
    assert_eq!(got(&servers[0]).unwrap(), b"one");
    assert_eq!(engine.send(0, &mut requests(&["two"])), Sent::Failed);
    assert_eq!(engine.unsent(0), 2);
}

#[test]
fn a_request_does_not_wait_for_all_that_has_come() {
    if !has_io_uring() {
        return;
    }
    const COUNT: usize = BUFFERS - 1;
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut engine = Uring::new(vec![ours.into()], &load(Transport::Datagrams, 1), false).unwrap();
    let mut count = 0;
    while count < COUNT && theirs.send(b"x").is_ok() {
        count += 1;
        // There is not much room in the socket, and a request to receive takes it all.
        engine.ring.enter(uring::Wait::No).unwrap();
    }
    assert_eq!(count, COUNT);
    let delivered =
        |engine: &mut Uring| matches!(engine.poll(Wait::No).unwrap(), Event::Received { .. });
    assert!(delivered(&mut engine));
    assert_eq!(engine.send(0, &mut requests(&["request"])), Sent::All);
    let mut meanwhile = 0;
    while theirs.recv(&mut [0; 16]).is_err() {
        assert!(delivered(&mut engine));
        meanwhile += 1;
    }
    assert!((1..COUNT - 1).contains(&meanwhile), "{meanwhile}");
}

#[test]
fn a_wait_ends_with_whatever_happens() {
    let Some((mut engine, servers)) = streams(1) else {
        return;
    };
    let large = vec![0; 16 << 20];
    assert_eq!(engine.send(0, &mut requests(&[&large])), Sent::All);
    // The socket did not take everything, and more may follow when the server reads, which it does not.
    assert!(matches!(
        engine.poll(Wait::Tick).unwrap(),
        Event::Sent { left: true, .. }
    ));
    assert!(got(&servers[0]).is_some());
}

#[test]
fn what_comes_while_another_connection_is_closed_has_its_time() {
    let Some((mut engine, mut servers)) = streams(2) else {
        return;
    };
    assert!(matches!(engine.poll(Wait::No).unwrap(), Event::Idle { .. }));
    let before = engine.now();
    servers[1].write_all(b"reply").unwrap();
    engine.abandon(0);
    let Event::Received {
        connection: 1, at, ..
    } = engine.poll(Wait::No).unwrap()
    else {
        panic!("it has come");
    };
    assert!(at >= before);
}
