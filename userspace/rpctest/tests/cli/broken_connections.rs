// SPDX-License-Identifier: GPL-2.0

//! Connections that cannot be made, break, or fall silent.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
};

use rustix::net::{bind, getsockname, socket, AddressFamily, SocketType};

use crate::{
    rpctest,
    server::{read_call, record, reset, serve, success},
};

/// Answers three calls and half of the fourth.
fn answer_three(stream: &mut TcpStream) -> std::io::Result<()> {
    for number in 1..=4 {
        if let Some(call) = read_call(stream)? {
            let reply = record(&success(call.xid));
            stream.write_all(&reply[..if number == 4 { 14 } else { 28 }])?;
        }
    }
    Ok(())
}

#[test]
fn a_connection_that_is_closed_early_is_told() {
    let address = serve(|mut stream, _| answer_three(&mut stream));
    let run = rpctest(&format!("-c 20 {address}"));
    run.assert_failed("closed by the server before the last reply", [20, 4, 3, 1]);
}

#[test]
fn a_reset_is_told() {
    let address = serve(|mut stream, _| {
        answer_three(&mut stream)?;
        reset(stream)
    });
    let run = rpctest(&format!("-c 20 {address}"));
    run.assert_failed("Connection reset by peer (os error 104)", [20, 4, 3, 1]);
}

#[test]
fn silence_has_an_end() {
    let address = serve(|mut stream, _| {
        answer_three(&mut stream)?;
        std::mem::forget(stream);
        Ok(())
    });
    let run = rpctest(&format!("-c 20 --timeout 1 {address}"));
    run.assert_failed("no progress for 1 s", [20, 4, 3, 1]);
}

#[test]
fn what_was_measured_before_is_still_reported() {
    let address = serve(|mut stream, number| {
        if number == 2 {
            return answer_three(&mut stream);
        }
        while let Some(call) = read_call(&mut stream)? {
            stream.write_all(&record(&success(call.xid)))?;
        }
        Ok(())
    });
    let run = rpctest(&format!("-c 20 -i 9 {address}"));
    let line = "rpctest: run 3, connection 1 of 1: closed by the server before the last reply \
                (RPCs: 20 scheduled, 4 sent, 3 answered, 1 lost)\n";
    assert_eq!((run.status, &run.err[..]), (Some(1), line));
    assert_eq!(run.rows(), [("1", 20), ("2", 20), ("3", 3), ("all", 43)]);
}

#[test]
fn a_refused_connection_is_told() {
    // It has a port, and does not listen.
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    let run = rpctest(&format!("-c 20 {address}"));
    let line = format!("rpctest: cannot connect to {address}: Connection refused (os error 111)\n");
    assert_eq!((run.status, &run.err), (Some(1), &line));
}
