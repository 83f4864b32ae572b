// SPDX-License-Identifier: GPL-2.0

//! Programs whose port only the server's rpcbind knows.

use std::{
    io::Write,
    net::{Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::{
    rpctest,
    server::{
        answer, answer_datagrams, answer_datagrams_at, read_call, record, serve, serve_on, success,
        words, Call,
    },
};

/// Starts an rpcbind that answers with these words, and keeps what it was asked.
fn rpcbind(results: &[u32]) -> (SocketAddr, Arc<Mutex<Vec<Call>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (log, results) = (Arc::clone(&asked), words(results));
    let address = answer(move |call, _| {
        log.lock().unwrap().push(call.clone());
        record(&[&success(call.xid)[..], &results].concat())
    });
    (address, asked)
}

#[test]
fn the_port_is_asked_for_over_the_transport_that_is_used() {
    for (udp, protocol) in [("", 6), ("-u", 17)] {
        let port = if udp.is_empty() {
            answer(|call, _| record(&success(call.xid))).port()
        } else {
            answer_datagrams(|call, _| vec![success(call.xid)]).port()
        };
        let (rpcbind, asked) = rpcbind(&[port.into()]);
        let options = format!("{udp} --program nlockmgr --prog-version 4 -c 20");
        let run = rpctest(&format!(
            "{options} --rpcbind-port {} 127.0.0.1",
            rpcbind.port()
        ));
        run.assert_good(20);
        assert!(
            run.out.contains(&format!(" to 127.0.0.1:{port}; ")),
            "{}",
            run.out
        );
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].procedure, [100_000, 2, 3]);
        assert_eq!(asked[0].arguments, words(&[100_021, 4, protocol, 0]));
    }
}

#[test]
fn over_ipv6_the_address_is_asked_for() {
    let good = serve_on("[::1]:0", |mut stream, _| {
        while let Some(call) = read_call(&mut stream)? {
            stream.write_all(&record(&success(call.xid)))?;
        }
        Ok(())
    });
    let rpcbind = rpcbind_over_ipv6(good.port());
    let port = rpcbind.port();
    rpctest(&format!("--program mount -c 20 --rpcbind-port {port} ::1")).assert_good(20);
}

/// Starts an rpcbind whose answer over TCP is this port.
fn rpcbind_over_ipv6(known: u16) -> SocketAddr {
    serve_on("[::1]:0", move |mut stream, _| {
        if let Some(call) = read_call(&mut stream)? {
            stream.write_all(&record(&address_of(known, call.xid)))?;
        }
        Ok(())
    })
}

/// The reply of GETADDR with a port at the loopback address of IPv6.
fn address_of(port: u16, xid: u32) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let mut address = format!("::1.{high}.{low}").into_bytes();
    let len = words(&[address.len() as u32]);
    address.resize(address.len().next_multiple_of(4), 0);
    [success(xid), len, address].concat()
}

#[test]
fn over_ipv6_the_address_for_datagrams_is_asked_for_by_datagrams() {
    let any = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let good = answer_datagrams_at(any, |call, _| vec![success(call.xid)]).port();
    // rpcbind tells of the transport over which it is asked: over TCP, that would be another port.
    let other = serve_on("[::1]:0", |_, _| Ok(()));
    let rpcbind = rpcbind_over_ipv6(other.port());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    answer_datagrams_at(rpcbind, move |call, number| {
        log.lock().unwrap().push(call.procedure);
        // One is lost, and what is no reply to the call is not taken for one.
        match number {
            1 => Vec::new(),
            _ => vec![
                address_of(1, call.xid.wrapping_add(1)),
                b"?".to_vec(),
                address_of(good, call.xid),
            ],
        }
    });
    let port = rpcbind.port();
    let options = "-u --program nlockmgr --prog-version 4 -c 20";
    rpctest(&format!("{options} --rpcbind-port {port} ::1")).assert_good(20);
    assert_eq!(*asked.lock().unwrap(), [[100_000, 4, 3]; 2]);
}

#[test]
fn an_rpcbind_without_the_port_mapper_is_asked_in_a_later_version() {
    let good = answer(|call, _| record(&success(call.xid))).port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let rpcbind = answer(move |call, _| {
        let version = call.procedure[1];
        log.lock().unwrap().push(version);
        record(&match version {
            3 => address_of(good, call.xid),
            4 => words(&[call.xid, 1, 0, 0, 0, 2, 3, 3]),
            _ => words(&[call.xid, 1, 0, 0, 0, 2, 3, 4]),
        })
    });
    let port = rpcbind.port();
    rpctest(&format!(
        "--program mount -c 20 --rpcbind-port {port} 127.0.0.1"
    ))
    .assert_good(20);
    assert_eq!(*asked.lock().unwrap(), [2, 4, 3]);
    let strange = answer(|call, _| record(&words(&[call.xid, 1, 0, 0, 0, 2, 5, 6])));
    assert_no_port(strange, ": PROG_MISMATCH (versions 5 to 6)");
}

#[test]
fn an_rpcbind_that_drips_has_no_more_time() {
    let address = serve(|mut stream, _| {
        read_call(&mut stream)?;
        // Before the limit of fragments, the time is over by far.
        loop {
            stream.write_all(&[0])?;
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_no_port(address, ": no answer within 1 s");
    let empty = serve(|mut stream, _| {
        read_call(&mut stream)?;
        stream.write_all(&[0; 1024])
    });
    assert_no_port(empty, ": a record of more than 64 fragments");
}

#[test]
fn a_port_that_is_said_is_not_asked_for() {
    let address = answer(|call, _| record(&success(call.xid)));
    let (rpcbind, asked) = rpcbind(&[1]);
    let port = rpcbind.port();
    rpctest(&format!(
        "--program mount -c 20 --rpcbind-port {port} {address}"
    ))
    .assert_good(20);
    assert_eq!(*asked.lock().unwrap(), []);
}

/// Checks what is said of an rpcbind at this address, and that nothing is measured.
#[track_caller]
fn assert_no_port(rpcbind: SocketAddr, what: &str) {
    let port = rpcbind.port();
    let run = rpctest(&format!(
        "--program mount --timeout 1 --rpcbind-port {port} 127.0.0.1"
    ));
    let line = format!("rpctest: rpcbind version 2 at 127.0.0.1:{port}{what}\n");
    assert_eq!((run.status, &run.err, &run.out[..]), (Some(1), &line, ""));
}

#[test]
fn a_program_that_is_not_registered_is_told() {
    let (rpcbind, _) = rpcbind(&[0]);
    assert_no_port(
        rpcbind,
        " knows no mount version 3 over TCP: say at which port it is",
    );
}

#[test]
fn what_rpcbind_does_wrong_is_told() {
    let (port, _) = rpcbind(&[1 << 16]);
    assert_no_port(port, ": 65536 is no port");
    let silent = serve(|stream, _| {
        std::mem::forget(stream);
        Ok(())
    });
    assert_no_port(silent, ": no answer within 1 s");
    let closed = serve(|mut stream, _| read_call(&mut stream).map(drop));
    assert_no_port(closed, ": unexpected end of file");
    let denied = answer(|call, _| record(&words(&[call.xid, 1, 1, 1, 5])));
    assert_no_port(denied, ": denied, AUTH_ERROR (AUTH_TOOWEAK)");
}
