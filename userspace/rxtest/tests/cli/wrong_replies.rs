// SPDX-License-Identifier: GPL-2.0

//! Servers whose replies are wrong: each is noticed, and told.

use crate::{
    assert_failed,
    server::{pattern, serve, zeros, Answer},
    FETCH, RPC,
};

/// The seventh of 20 replies is made wrong by `change`, and this is told.
#[track_caller]
fn assert_wrong(change: impl Fn(&mut Vec<u8>) + Send + 'static, options: &str, what: &str) {
    let address = serve(move |call| {
        let mut reply = pattern(call);
        if call.number == 6 {
            change(&mut reply);
        }
        Answer::Reply(reply)
    });
    let run = FETCH.run(&format!("-c 20 -s 5000 {options} {address}"));
    let what = format!("request 7: {what}");
    assert_failed(&run, &what, [20, 7, 6, 1]);
    assert_eq!(run.ledger().mismatched, 1);
}

#[test]
fn a_wrong_bit_is_told() {
    let byte = |place: usize| {
        let mut content = vec![0; 5000];
        rx::content::fill(0, &mut content);
        content[place]
    };
    for place in [0, 1411, 1412, 4999] {
        let (right, wrong) = (byte(place), byte(place) ^ 4);
        let what = format!(
            "byte {} of 5004 is {wrong:#04x} instead of {right:#04x}",
            place + 1
        );
        assert_wrong(move |reply| reply[place] ^= 4, "", &what);
    }
}

#[test]
fn a_wrong_cookie_is_told() {
    assert_wrong(
        |reply| reply[5003] = 0x12,
        "",
        "a byte of the cookie that ends the reply is 0x12 instead of 0x11",
    );
}

#[test]
fn a_reply_that_is_too_short_is_told() {
    assert_wrong(
        |reply| reply.truncate(5003),
        "",
        "a reply of 5003 bytes instead of 5004",
    );
    assert_wrong(Vec::clear, "", "a reply of 0 bytes instead of 5004");
}

#[test]
fn a_reply_that_is_too_long_is_told() {
    assert_wrong(
        |reply| reply.push(0),
        "",
        "a reply of at least 5005 bytes instead of 5004",
    );
}

#[test]
fn a_reply_of_the_wrong_content_is_told() {
    assert_wrong(
        |reply| reply[..5000].fill(0),
        "",
        "byte 1 of 5004 is 0x00 instead of 0xaf",
    );
}

#[test]
fn content_that_was_not_said_is_told() {
    let address = serve(|call| Answer::Reply(zeros(call)));
    let run = FETCH.run(&format!("-c 20 -s 10 --content pattern {address}"));
    let what = "request 1: byte 1 of 14 is 0x00 instead of 0xaf";
    assert_failed(&run, what, [20, 1, 0, 1]);
    let address = serve(|call| Answer::Reply(pattern(call)));
    let run = RPC.run(&format!("-c 20 -r 10 --content zeros {address}"));
    let what = "request 1: byte 1 of 14 is 0xaf instead of 0x00";
    assert_failed(&run, what, [20, 1, 0, 1]);
}

#[test]
fn a_reply_to_another_call_is_told() {
    // It is as long as that of another operation would be.
    let address = serve(|call| {
        let mut reply = pattern(call);
        if call.number == 6 {
            reply = [&reply[..4], &reply[..]].concat();
        }
        Answer::Reply(reply)
    });
    let run = RPC.run(&format!("-c 20 -r 8 {address}"));
    assert_eq!(run.status, Some(1), "{}", run.out);
    assert_eq!(run.ledger().mismatched, 1, "{}", run.out);
    assert_eq!(run.rows(), [("1", 6)], "{}", run.out);
}

#[test]
fn clients_beside_the_one_with_a_wrong_reply_are_answered() {
    let mut first = None;
    let address = serve(move |call| {
        let mut reply = pattern(call);
        if *first.get_or_insert(call.client) == call.client {
            reply[0] ^= 1;
        }
        Answer::Reply(reply)
    });
    let run = RPC.run(&format!("--clients 8 -c 1 {address}"));
    assert_eq!(run.status, Some(1), "{}", run.out);
    assert_eq!(run.ledger().answered, 7, "{}", run.out);
    assert_eq!(run.ledger().mismatched, 1, "{}", run.out);
}
