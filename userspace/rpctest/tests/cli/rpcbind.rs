// SPDX-License-Identifier: GPL-2.0

//! Programs whose port only the server's rpcbind knows.

use std::{
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use crate::{
    rpctest,
    server::{answer, answer_datagrams, read_call, record, serve, serve_on, success, words, Call},
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
    let [high, low] = good.port().to_be_bytes();
    let rpcbind = serve_on("[::1]:0", move |mut stream, _| {
        if let Some(call) = read_call(&mut stream)? {
            let mut address = format!("::1.{high}.{low}").into_bytes();
            let len = words(&[address.len() as u32]);
            address.resize(address.len().next_multiple_of(4), 0);
            stream.write_all(&record(&[success(call.xid), len, address].concat()))?;
        }
        Ok(())
    });
    let port = rpcbind.port();
    rpctest(&format!("--program mount -c 20 --rpcbind-port {port} ::1")).assert_good(20);
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
    let line = format!("rpctest: rpcbind at 127.0.0.1:{port}{what}\n");
    assert_eq!((run.status, run.err, &run.out[..]), (Some(1), line, ""));
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
    assert_no_port(silent, ": no answer");
    let closed = serve(|mut stream, _| read_call(&mut stream).map(drop));
    assert_no_port(closed, ": unexpected end of file");
    let denied = answer(|call, _| record(&words(&[call.xid, 1, 1, 1, 5])));
    assert_no_port(denied, ": denied, AUTH_ERROR (AUTH_TOOWEAK)");
}
