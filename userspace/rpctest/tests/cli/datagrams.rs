// SPDX-License-Identifier: GPL-2.0

//! UDP: what is wrong, lost, late, repeated or reordered.

use crate::{
    rpctest,
    server::{answer_datagrams, record, success, words},
    Ledger,
};

#[test]
fn a_lost_datagram_holds_nothing_up() {
    let address = answer_datagrams(|call, number| {
        if number == 7 || number == 50 {
            return Vec::new();
        }
        vec![success(call.xid)]
    });
    let run = rpctest(&format!("-u -c 50 {address}"));
    let line = "rpctest: datagrams were lost (RPCs: 50 scheduled, 50 sent, 48 answered, 2 lost)\n";
    assert_eq!((run.status, &run.err[..]), (Some(1), line));
    assert_eq!(run.rows(), [("1", 48)]);
    let ledger = Ledger {
        answered: 48,
        lost: 2,
        ..Ledger::clean(50)
    };
    assert_eq!(run.ledger(), ledger);
}

#[test]
fn replies_in_another_order_are_right() {
    let mut held = None;
    let address = answer_datagrams(move |call, _| {
        let Some(first) = held.take() else {
            held = Some(call.xid);
            return Vec::new();
        };
        vec![success(call.xid), success(first)]
    });
    rpctest(&format!("-u -a 2 -c 40 {address}")).assert_good(40);
}

#[test]
fn a_second_reply_is_counted_and_answers_nothing() {
    let address = answer_datagrams(|call, _| vec![success(call.xid); 2]);
    let run = rpctest(&format!("-u -c 20 {address}"));
    run.assert_good(20);
    let ledger = run.ledger();
    // The last duplicate may come too late for being seen.
    let expected = Ledger {
        duplicated: ledger.duplicated.clamp(19, 20),
        ..Ledger::clean(20)
    };
    assert_eq!(ledger, expected, "{}", run.out);
}

#[test]
fn a_wrong_datagram_is_told() {
    for (wrong, line) in [
        (
            &[1, 1, 1, 1][..],
            "request 7 (nfs version 3 NULL): denied, AUTH_ERROR (AUTH_BADCRED)",
        ),
        (
            &[1, 0, 0, 0, 0, 7],
            "request 7 (nfs version 3 NULL): 4 bytes of results, where none are due",
        ),
    ] {
        let wrong = wrong.to_vec();
        let address = answer_datagrams(move |call, number| {
            let mut reply = success(call.xid);
            if number == 7 {
                reply.splice(4.., words(&wrong));
            }
            vec![reply]
        });
        rpctest(&format!("-u -c 20 {address}")).assert_failed(line, [20, 7, 6, 1]);
    }
}

#[test]
fn a_datagram_has_no_mark() {
    // The mark is taken for the xid.
    let address = answer_datagrams(|call, _| vec![record(&success(call.xid))]);
    let line = "a reply with xid 0x80000018, which no request of this connection has";
    rpctest(&format!("-u -c 20 {address}")).assert_failed(line, [20, 1, 0, 1]);
}

#[test]
fn an_empty_datagram_is_told() {
    let address = answer_datagrams(|_, _| vec![Vec::new()]);
    let line = "a reply of 0 bytes, which has no xid";
    rpctest(&format!("-u -c 20 {address}")).assert_failed(line, [20, 1, 0, 1]);
}
