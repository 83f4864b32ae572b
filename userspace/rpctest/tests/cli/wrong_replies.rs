// SPDX-License-Identifier: GPL-2.0

//! Replies that are not what they have to be, over TCP; and what rpctest says then.

use std::{
    io::Write,
    sync::{
        atomic::{AtomicU32, Ordering::SeqCst},
        Arc, Barrier, Mutex,
    },
};

use crate::{
    rpctest,
    server::{answer, read_call, record, serve, success, words},
};

/// Runs rpctest against a server whose 7th reply is what `wrong` makes of its xid, and checks what is said of it.
#[track_caller]
fn assert_wrong(wrong: fn(u32) -> Vec<u8>, line: &str) {
    assert_wrong_with("", wrong, line);
}

#[track_caller]
fn assert_wrong_with(options: &str, wrong: fn(u32) -> Vec<u8>, line: &str) {
    let address = answer(move |call, number| {
        if number == 7 {
            wrong(call.xid)
        } else {
            record(&success(call.xid))
        }
    });
    rpctest(&format!("{options} -c 20 {address}")).assert_failed(line, [20, 7, 6, 1]);
}

#[test]
fn a_call_that_is_not_successful_is_told() {
    for (status, name) in [
        (&[1][..], "PROG_UNAVAIL"),
        (&[2, 2, 4], "PROG_MISMATCH (versions 2 to 4)"),
        (&[3], "PROC_UNAVAIL"),
        (&[4], "GARBAGE_ARGS"),
        (&[5], "SYSTEM_ERR"),
    ] {
        let status = status.to_vec();
        let address = answer(move |call, _| {
            record(&[words(&[call.xid, 1, 0, 0, 0]), words(&status)].concat())
        });
        let line = format!("request 1 (nfs version 9 NULL): {name}");
        rpctest(&format!("--prog-version 9 -c 20 {address}")).assert_failed(&line, [20, 1, 0, 1]);
    }
}

#[test]
fn a_call_that_is_denied_is_told() {
    assert_wrong(
        |xid| record(&words(&[xid, 1, 1, 1, 5])),
        "request 7 (nfs version 3 NULL): denied, AUTH_ERROR (AUTH_TOOWEAK)",
    );
    assert_wrong(
        |xid| record(&words(&[xid, 1, 1, 0, 3, 4])),
        "request 7 (nfs version 3 NULL): denied, RPC_MISMATCH (versions 3 to 4)",
    );
}

#[test]
fn statuses_that_do_not_exist_are_told() {
    for (reply, status) in [
        (&[1, 2, 0][..], "reply_stat 2"),
        (&[1, 0, 0, 0, 6], "accept_stat 6"),
        (&[1, 1, 2], "reject_stat 2"),
    ] {
        let reply = reply.to_vec();
        let address = answer(move |call, _| record(&[words(&[call.xid]), words(&reply)].concat()));
        let line = format!("request 1 (nfs version 3 NULL): a reply with the unknown {status}");
        rpctest(&format!("-c 20 {address}")).assert_failed(&line, [20, 1, 0, 1]);
    }
}

#[test]
fn a_call_is_no_reply() {
    assert_wrong(
        |xid| record(&words(&[xid, 0, 2, 100_003, 3, 0, 0, 0, 0, 0])),
        "request 7 (nfs version 3 NULL): a message of type 0 instead of a reply",
    );
}

#[test]
fn a_verifier_that_was_not_asked_for_is_told() {
    assert_wrong(
        |xid| record(&words(&[xid, 1, 0, 2, 4, 0x7469_636b, 0])),
        "request 7 (nfs version 3 NULL): a verifier of AUTH_SHORT with 4 bytes in reply to AUTH_NONE",
    );
    assert_wrong_with(
        "-A sys",
        |xid| record(&words(&[xid, 1, 0, 6, 8, 1, 2, 0])),
        "request 7 (nfs version 3 NULL): a verifier of RPCSEC_GSS with 8 bytes in reply to AUTH_SYS",
    );
    assert_wrong(
        |xid| record(&words(&[xid, 1, 0, 0, 401])),
        "request 7 (nfs version 3 NULL): a malformed reply: a length of 401, where 400 is the limit",
    );
}

#[test]
fn padding_that_is_not_zero_is_told() {
    assert_wrong_with(
        "-A sys",
        |xid| record(&words(&[xid, 1, 0, 2, 1, 0x6100_0001, 0])),
        "request 7 (nfs version 3 NULL): a malformed reply: padding that is not zero",
    );
}

#[test]
fn a_reply_that_is_cut_off_is_told() {
    assert_wrong(
        |xid| record(&success(xid)[..23]),
        "request 7 (nfs version 3 NULL): a malformed reply: cut off",
    );
    assert_wrong(|_| record(b"abc"), "a reply of 3 bytes, which has no xid");
    assert_wrong(|_| record(b""), "a reply of 0 bytes, which has no xid");
}

#[test]
fn null_has_no_results() {
    assert_wrong(
        |xid| record(&[success(xid), words(&[7])].concat()),
        "request 7 (nfs version 3 NULL): 4 bytes of results, where none are due",
    );
}

#[test]
fn results_are_a_multiple_of_four_bytes() {
    assert_wrong_with(
        "--program mount --procedure 5",
        |xid| record(&[&success(xid)[..], b"results"].concat()),
        "request 7 (mount version 3 procedure 5): 7 bytes of results, which is no multiple of four",
    );
}

#[test]
fn an_xid_of_no_request_is_told() {
    // After that of the last request, and before that of the first.
    for change in [1_u32, 7_u32.wrapping_neg()] {
        let wrong = Arc::new(AtomicU32::new(0));
        let sent = Arc::clone(&wrong);
        let address = answer(move |call, number| {
            let mut xid = call.xid;
            if number == 7 {
                xid = xid.wrapping_add(change);
                sent.store(xid, SeqCst);
            }
            record(&success(xid))
        });
        let run = rpctest(&format!("-c 20 {address}"));
        let line = format!(
            "a reply with xid {:#010x}, which no request of this connection has",
            wrong.load(SeqCst)
        );
        run.assert_failed(&line, [20, 7, 6, 1]);
    }
}

#[test]
fn another_connections_xid_is_told() {
    // The second connection is answered with what the first one said.
    let first = Arc::new(Mutex::new(None));
    let both = Arc::new(Barrier::new(2));
    let address = serve(move |mut stream, number| {
        while let Some(call) = read_call(&mut stream)? {
            let mut xid = call.xid;
            if number == 0 {
                *first.lock().unwrap() = Some(xid);
            }
            both.wait();
            if number == 1 {
                xid = first.lock().unwrap().unwrap_or_default();
            }
            stream.write_all(&record(&success(xid)))?;
        }
        Ok(())
    });
    let run = rpctest(&format!("-j 2 -c 1 {address}"));
    let start = "rpctest: run 1, connection 2 of 2: a reply with xid 0x";
    assert!(run.err.starts_with(start), "{}", run.err);
    assert_eq!((run.status, run.rows()), (Some(1), vec![("1", 1)]));
}

#[test]
fn a_second_reply_is_told() {
    let address = serve(|mut stream, _| {
        // The fourth call is there when the third reply comes, which is the second to the first call.
        let mut xids = Vec::new();
        while let Some(call) = read_call(&mut stream)? {
            xids.push(call.xid);
            if let [first, second, _, _] = xids[..] {
                let replies = [first, second, first].map(|xid| record(&success(xid)));
                stream.write_all(&replies.concat())?;
            }
        }
        Ok(())
    });
    let run = rpctest(&format!("-a 4 -c 4 {address}"));
    run.assert_failed("a second reply to request 1", [4, 4, 2, 2]);
    // Also when nothing is due any more.
    let address = answer(|call, _| record(&success(call.xid)).repeat(2));
    let run = rpctest(&format!("-c 1 {address}"));
    run.assert_failed("a second reply to request 1", [1, 1, 1, 0]);
}

#[test]
fn bytes_after_the_last_reply_are_told() {
    let address = answer(|call, _| [&record(&success(call.xid))[..], b"surplus"].concat());
    let run = rpctest(&format!("-c 1 {address}"));
    let start = "rpctest: run 1, connection 1 of 1: ";
    assert!(run.err.starts_with(start), "{}", run.err);
    assert!(
        run.err
            .contains("(RPCs: 1 scheduled, 1 sent, 1 answered, 0 lost)"),
        "{}",
        run.err
    );
    assert_eq!((run.status, run.rows()), (Some(1), vec![("1", 1)]));
}

#[test]
fn the_beginning_of_a_reply_after_the_last_one_is_told() {
    // Also an empty fragment is a part of a record, if it is not the last.
    for surplus in [
        &b"\x80"[..],
        &[0x80, 0, 0],
        &words(&[0]),
        &words(&[0x8000_0018, 7, 1]),
    ] {
        let len = surplus.len();
        let surplus = surplus.to_vec();
        let address =
            answer(move |call, _| [&record(&success(call.xid))[..], &surplus[..]].concat());
        let line = if len == 1 {
            "1 byte of a reply that never ends".to_owned()
        } else {
            format!("{len} bytes of a reply that never ends")
        };
        let run = rpctest(&format!("-c 1 {address}"));
        run.assert_failed(&line, [1, 1, 1, 0]);
    }
}

#[test]
fn the_beginning_of_a_reply_after_the_last_one_is_told_in_a_segment_of_its_own() {
    for len in [1, 3, 4, 12] {
        let surplus = words(&[0x8000_0018, 7, 1])[..len].to_vec();
        let address = serve(move |mut stream, _| {
            while let Some(call) = read_call(&mut stream)? {
                stream.write_all(&record(&success(call.xid)))?;
            }
            // The client has ended its side: it has seen the last reply.
            stream.write_all(&surplus)
        });
        let run = rpctest(&format!("-c 1 {address}"));
        let line = match len {
            1 => "1 byte after the last reply".to_owned(),
            _ => format!("{len} bytes after the last reply"),
        };
        run.assert_failed(&line, [1, 1, 1, 0]);
    }
}

#[test]
fn a_server_that_counts_xids_itself_is_told() {
    // It never looks at the call.
    for first in [0_u32, 1] {
        let address = answer(move |_, number| record(&success(first + number as u32 - 1)));
        let run = rpctest(&format!("-c 20 --seed 1 {address}"));
        let line =
            format!("a reply with xid {first:#010x}, which no request of this connection has");
        run.assert_failed(&line, [20, 1, 0, 1]);
    }
}

#[test]
fn garbage_is_told() {
    assert_wrong(
        |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        "as a reply to nfs version 3 NULL, a record of at least 1213486160 bytes, where 432 are the limit",
    );
}

#[test]
fn a_giant_fragment_is_refused_at_its_mark() {
    assert_wrong(
        |_| words(&[0xffff_ffff]),
        "as a reply to nfs version 3 NULL, a record of at least 2147483647 bytes, where 432 are the limit",
    );
    // Also where results are due.
    assert_wrong_with(
        "--procedure 1",
        |xid| [words(&[24]), success(xid), words(&[0x7fff_ffff])].concat(),
        "as a reply to nfs version 3 procedure 1, a record of at least 2147483671 bytes, where 16777648 are the limit",
    );
}

#[test]
fn endless_empty_fragments_have_an_end() {
    let address = serve(|mut stream, _| {
        read_call(&mut stream)?;
        loop {
            stream.write_all(&[0; 4096])?;
        }
    });
    rpctest(&format!("-c 20 {address}")).assert_failed(
        "as a reply to nfs version 3 NULL, a record of more than 432 fragments",
        [20, 1, 0, 1],
    );
}
