// SPDX-License-Identifier: GPL-2.0

//! Servers that do as they should, in all ways that there are.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use wire::rpc::{AuthSys, Flavor};

use crate::{
    rpctest,
    server::{answer, answer_datagrams, read_call, record, serve, serve_on, success, words, Call},
};

/// Runs rpctest against a good server, and returns the calls that this received.
fn calls(options: &str) -> Vec<Call> {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    let take = move |call: &Call| {
        log.lock().unwrap().push(call.clone());
        success(call.xid)
    };
    let address = if options.contains("-u") {
        answer_datagrams(move |call, _| vec![take(call)])
    } else {
        answer(move |call, _| record(&take(call)))
    };
    rpctest(&format!("-c 20 {options} {address}")).assert_good(20);
    let calls = calls.lock().unwrap();
    calls.clone()
}

#[test]
fn nfs_null_is_called_if_nothing_else_is_asked_for() {
    let calls = calls("");
    assert_eq!(calls.len(), 20);
    for (place, call) in calls.iter().enumerate() {
        assert_eq!(call.procedure, [100_003, 3, 0]);
        assert_eq!(call.credential, (Flavor::NONE, Vec::new()));
        assert_eq!(
            (&call.arguments[..], &call.fragments[..]),
            (&b""[..], &[40][..])
        );
        assert_eq!(call.xid, calls[0].xid.wrapping_add(place as u32));
    }
}

#[test]
fn any_procedure_of_any_program_is_called() {
    let call = &calls("--program 536870912 --prog-version 7 --procedure 9")[0];
    assert_eq!(call.procedure, [536_870_912, 7, 9]);
    let call = &calls("--program portmap --prog-version 2 --procedure 4")[0];
    assert_eq!(call.procedure, [100_000, 2, 4]);
    let call = &calls("-u --program rpcbind")[0];
    assert_eq!(call.procedure[0], 100_000);
    assert!(call.fragments.is_empty());
}

#[test]
fn calls_are_sent_in_fragments() {
    assert_eq!(calls("-f")[19].fragments, [1, 38, 1]);
    assert_eq!(calls("--fragments=5")[19].fragments, [1, 12, 13, 13, 1]);
    let bytewise = calls("--fragments=40 -a 4");
    assert_eq!(bytewise[19].fragments, [1; 40]);
}

#[test]
fn calls_name_their_user() {
    for auth in ["sys", "unix"] {
        let (flavor, body) = &calls(&format!("-A {auth}"))[0].credential;
        assert_eq!(*flavor, Flavor::SYS);
        let user = AuthSys::parse(body).unwrap();
        assert_eq!(user.uid, rustix::process::geteuid().as_raw());
    }
    assert_eq!(calls("--auth none")[0].credential.0, Flavor::NONE);
}

#[test]
fn datagrams_are_calls_without_marks() {
    let calls = calls("-u -a 4 -A sys");
    assert_eq!((calls.len(), &calls[0].fragments[..]), (20, &[][..]));
}

#[test]
fn replies_may_come_in_any_order_and_in_one_piece() {
    let address = serve(|mut stream, _| {
        while let Some(first) = read_call(&mut stream)? {
            let mut xids = vec![first.xid];
            for _ in 0..3 {
                xids.extend(read_call(&mut stream)?.map(|call| call.xid));
            }
            xids.rotate_left(1);
            let replies: Vec<_> = xids.iter().flat_map(|xid| record(&success(*xid))).collect();
            stream.write_all(&replies)?;
        }
        Ok(())
    });
    rpctest(&format!("-a 4 -c 40 {address}")).assert_good(40);
}

#[test]
fn replies_may_come_in_any_fragments_and_pieces() {
    // Byte by byte, each in a fragment of its own after an empty one.
    let address = serve(|mut stream, _| {
        while let Some(call) = read_call(&mut stream)? {
            let reply = success(call.xid);
            for (place, byte) in reply.iter().enumerate() {
                let last = u32::from(place + 1 == reply.len()) << 31;
                for piece in [words(&[0, last | 1]), vec![*byte]].concat() {
                    stream.write_all(&[piece])?;
                }
            }
        }
        Ok(())
    });
    rpctest(&format!("-a 2 -c 5 {address}")).assert_good(5);
}

#[test]
fn a_unix_user_may_be_given_a_token() {
    let address =
        answer(|call, _| record(&words(&[call.xid, 1, 0, 2, 8, 0x746f_6b65, 0x6e21_2121, 0])));
    rpctest(&format!("-A sys -c 20 {address}")).assert_good(20);
}

#[test]
fn procedures_may_have_results_of_any_length() {
    let address = answer(|call, number| {
        let results = vec![7; (number as usize % 3) * (1 << 19)];
        record(&[success(call.xid), results].concat())
    });
    rpctest(&format!(
        "--program mount --procedure 5 -a 2 -c 20 {address}"
    ))
    .assert_good(20);
}

#[test]
fn ipv6_works() {
    let address = serve_on("[::1]:0", |mut stream, _| {
        while let Some(call) = read_call(&mut stream)? {
            stream.write_all(&record(&success(call.xid)))?;
        }
        Ok(())
    });
    rpctest(&format!("-c 20 {address}")).assert_good(20);
}

#[test]
fn xids_are_chosen_by_the_seed() {
    let xids = |options| calls(options).into_iter().map(|call| call.xid);
    let first: Vec<_> = xids("--seed 1").collect();
    assert!(xids("--seed 1").eq(first.iter().copied()));
    assert!(xids("--seed 2").all(|xid| !first.contains(&xid)));
}

#[test]
fn batches_are_answered_in_any_order_and_by_any_engine() {
    let address = serve(|mut stream, _| {
        while let Some(first) = read_call(&mut stream)? {
            let mut xids = vec![first.xid];
            for _ in 0..31 {
                xids.extend(read_call(&mut stream)?.map(|call| call.xid));
            }
            xids.reverse();
            for xid in xids {
                let reply = success(xid);
                let fragments = [
                    words(&[1]),
                    reply[..1].to_vec(),
                    words(&[0x8000_0017]),
                    reply[1..].to_vec(),
                ];
                stream.write_all(&fragments.concat())?;
            }
        }
        Ok(())
    });
    for engine in ["plain", "io_uring"] {
        let options = format!("-a 32 --batch 32 -f -c 320 --engine {engine}");
        let run = rpctest(&format!("{options} {address}"));
        if engine == "io_uring" && run.err.contains("io_uring: ") {
            // This system does not allow it, as a container's may.
            assert_eq!(run.status, Some(1));
            continue;
        }
        run.assert_good(320);
        assert_ne!(run.ledger().reordered, 0);
    }
}

#[test]
fn connections_and_runs_all_have_xids_of_their_own() {
    let xids = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&xids);
    let address = answer(move |call, _| {
        log.lock().unwrap().push(call.xid);
        record(&success(call.xid))
    });
    rpctest(&format!("-j 2 --connections 5 -c 20 -i 2 {address}")).assert_good(200);
    let mut xids = xids.lock().unwrap();
    xids.sort_unstable();
    xids.dedup();
    assert_eq!(xids.len(), 200);
}
