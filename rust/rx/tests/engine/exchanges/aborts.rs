// SPDX-License-Identifier: GPL-2.0

//! How a server's calls end before their time.

use super::{ended, got, only, Script, CID};
use crate::{
    endpoint::Happening,
    ledger::End,
    link::SECOND,
    packet::{
        Packet, ABORT, CHALLENGE, CLIENT_INITIATED, DATA_BYTES, LAST, PING, REQUEST_ACK, RESPONSE,
    },
};

/// What a peer is told that breaks the protocol.
const PROTOCOL: i32 = -5;

fn code(packet: &Packet) -> i32 {
    assert_eq!(packet.packet_type, ABORT, "{packet}");
    i32::from_be_bytes(packet.payload[..].try_into().expect("four bytes"))
}

#[test]
fn an_abort_is_said_again_to_whoever_asks_again() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    let said = script.abort(0, 1, -455);
    let abort = only(&said);
    assert_eq!(
        (
            code(abort),
            abort.call_number,
            abort.cid,
            abort.flags & CLIENT_INITIATED
        ),
        (-455, 1, CID, 0)
    );
    script.told();
    let said = script.hear(script.data(0, 1, 1, LAST | REQUEST_ACK, b"request"));
    assert_eq!(code(only(&said)), -455);
    let said = script.hear(script.ack(
        0,
        1,
        super::Ack {
            reason: PING,
            ..super::nothing()
        },
    ));
    assert_eq!(
        code(only(&said)),
        -455,
        "a client whose request was acknowledged only pings"
    );
    assert_eq!(script.told(), []);
    script.hear(script.data(0, 2, 1, LAST, b"next"));
    assert_eq!(script.told(), [got(b"next", 2, true, true)]);
}

#[test]
fn an_abort_ends_the_call_and_is_not_answered() {
    for is_whole in [false, true] {
        let mut script = Script::server();
        script.hear(script.data(0, 1, 1, if is_whole { LAST } else { 0 }, &[1; DATA_BYTES]));
        script.told();
        let abort = |script: &Script, call_number| Packet {
            payload: (-6_i32).to_be_bytes().to_vec(),
            ..script.packet(ABORT, 0, call_number)
        };
        assert_eq!(script.hear(abort(&script, 1)), []);
        assert_eq!(script.told(), [ended(1, End::Aborted(-6))]);
        assert_eq!(script.hear(abort(&script, 1)), []);
        assert_eq!(script.hear(script.data(0, 1, 2, LAST, b"too late")), []);
        assert_eq!(script.told(), [], "a call ends once");
        assert_eq!(
            (script.wait(1_000 * SECOND), script.meter.held()),
            (vec![], 0)
        );
        script.hear(script.data(0, 2, 1, LAST, b"next"));
        assert_eq!(script.told(), [got(b"next", 2, true, true)]);
    }
}

#[test]
fn an_abort_of_no_call_ends_the_connection() {
    let mut script = Script::server();
    for channel in 0..3 {
        script.hear(script.data(channel, 1, 1, LAST, b"request"));
    }
    script.told();
    let payload = (-3_i32).to_be_bytes().to_vec();
    let abort = Packet {
        payload,
        ..script.packet(ABORT, 0, 0)
    };
    assert_eq!(script.hear(abort), []);
    let ends: Vec<_> = script
        .told()
        .iter()
        .map(|happening| {
            matches!(
                happening,
                Happening::Ended {
                    end: End::Aborted(-3),
                    ..
                }
            )
        })
        .collect();
    assert_eq!((ends, script.endpoint.closed), (vec![true; 3], Some(-3)));
    assert_eq!(
        (script.wait(1_000 * SECOND), script.meter.held()),
        (vec![], 0)
    );
}

#[test]
fn a_short_abort_ends_nothing_but_its_call() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    for bytes in 0..4 {
        let payload = vec![0; bytes];
        let abort = Packet {
            payload,
            ..script.packet(ABORT, 0, 1)
        };
        assert_eq!(script.hear(abort), []);
    }
    assert_eq!(script.endpoint.closed, None);
}

#[test]
fn security_that_was_not_agreed_on_ends_the_connection() {
    for packet_type in [CHALLENGE, RESPONSE] {
        let mut script = Script::server();
        script.hear(script.data(0, 1, 1, LAST, b"request"));
        script.told();
        let payload = vec![0; 64];
        let said = script.hear(Packet {
            payload,
            ..script.packet(packet_type, 0, 0)
        });
        let abort = only(&said);
        assert_eq!((code(abort), abort.call_number), (PROTOCOL, 0));
        assert_eq!(script.told(), [ended(1, End::Given(PROTOCOL))]);
        let payload = vec![0; 64];
        let said = script.hear(Packet {
            payload,
            ..script.packet(packet_type, 0, 0)
        });
        assert!(said.is_empty() || code(only(&said)) == PROTOCOL);
    }
}

#[test]
fn data_of_another_security_class_is_ignored() {
    let mut script = Script::server();
    let data = script.data(0, 1, 1, LAST, b"request");
    for security_index in [1, 2, 4, 6, 255] {
        let data = Packet {
            security_index,
            ..data.clone()
        };
        let said = script.hear(data);
        // OpenAFS drops it, Linux aborts.
        assert!(said.iter().all(|packet| packet.packet_type == ABORT));
        let told = script.told();
        let is_read = told
            .iter()
            .any(|told| matches!(told, Happening::Data { .. }));
        assert!(!is_read, "security index {security_index}");
    }
}

#[test]
fn data_that_contradicts_itself_aborts_the_call() {
    // A packet after the last, and two that are the last.
    for (first, second) in [
        ((2, LAST), (3, 0)),
        ((2, LAST), (3, LAST)),
        ((3, 0), (2, LAST)),
    ] {
        let mut script = Script::server();
        script.hear(script.data(0, 1, first.0, first.1, b"one"));
        let said = script.hear(script.data(0, 1, second.0, second.1, b"other"));
        assert_eq!(code(only(&said)), PROTOCOL, "{first:?} and {second:?}");
        assert_eq!(script.told(), [ended(1, End::Given(PROTOCOL))]);
        assert_eq!(script.meter.held(), 0);
    }
}

#[test]
fn a_packet_that_ends_two_calls_tells_of_both() {
    let (mut script, _) = Script::replied(b"reply");
    script.hear(script.data(0, 2, 0, 0, b"no packet has number 0"));
    let told = script.told();
    let is_first_told = told.contains(&ended(1, End::Complete));
    assert!(is_first_told || told.is_empty(), "{told:?}");
    script.hear(script.data(0, 3, 1, LAST, b"next"));
    let told: Vec<_> = told.into_iter().chain(script.told()).collect();
    assert!(told.contains(&ended(1, End::Complete)), "{told:?}");
    assert_eq!(told.last(), Some(&got(b"next", 3, true, true)));
}
