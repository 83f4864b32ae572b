// SPDX-License-Identifier: GPL-2.0

//! What a server has to do.

use super::{ended, got, is_ack, only, seqs, up_to, Script, CID};
use crate::{
    ledger::End,
    link::{MILLISECOND, SECOND},
    packet::{
        Packet, ABORT, ACK, ACKALL, BUSY, CLIENT_INITIATED, DATA, DATA_BYTES, DUPLICATE, JUMBO,
        LAST, PING, PING_RESPONSE, REQUESTED, REQUEST_ACK, VERSION,
    },
    watch::Side,
};

/// What ends a call that the client has given up for the next one.
const CALL_DEAD: i32 = -1;

#[test]
fn a_small_call_is_a_datagram_each_way() {
    let mut script = Script::server();
    assert_eq!(
        script.hear(script.data(0, 1, 1, LAST, b"request")),
        [],
        "the reply acknowledges the request"
    );
    assert_eq!(script.told(), [got(b"request", 1, true, true)]);
    let said = script.reply(0, 1, b"reply");
    let reply = only(&said);
    assert_eq!(
        (
            reply.packet_type,
            reply.seq,
            reply.flags,
            &reply.payload[..]
        ),
        (DATA, 1, LAST, &b"reply"[..])
    );
    assert_eq!(
        (reply.cid, reply.call_number, reply.user_status),
        (CID, 1, 0)
    );
    assert_eq!(script.hear(script.ack(0, 1, up_to(2))), []);
    assert_eq!(script.told(), [ended(1, End::Complete)]);
    assert_eq!(
        (script.wait(1_000 * SECOND), script.meter.held()),
        (vec![], 0)
    );
}

#[test]
fn a_reply_of_nothing_is_a_packet() {
    let (_, said) = Script::replied(b"");
    let reply = only(&said);
    assert_eq!(
        (
            reply.packet_type,
            reply.seq,
            reply.flags,
            reply.payload.len()
        ),
        (DATA, 1, LAST, 0)
    );
}

#[test]
fn only_data_begins_a_call() {
    let mut script = Script::server();
    for packet_type in [ACK, BUSY, ABORT, ACKALL, 9, 10, 11, VERSION] {
        for call_number in [1, 2, u32::MAX] {
            let payload = up_to(1).to_bytes();
            let packet = Packet {
                payload,
                ..script.packet(packet_type, 0, call_number)
            };
            assert_eq!(
                script.hear(packet),
                [],
                "type {packet_type} of call {call_number}"
            );
        }
    }
    assert_eq!((script.told(), script.meter.held()), (vec![], 0));
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    assert_eq!(script.told(), [got(b"request", 1, true, true)]);
}

#[test]
fn a_call_does_not_begin_beyond_its_window() {
    let mut script = Script::server();
    assert_eq!(
        script.hear(script.data(0, 1, 300, 0, b"late")),
        [],
        "a server that was restarted knows nothing of it"
    );
    assert_eq!(script.told(), []);
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    assert_eq!(
        script.told(),
        [got(b"request", 1, true, true)],
        "the call can still begin"
    );
}

#[test]
fn an_earlier_call_is_forgotten() {
    let mut script = Script::server();
    script.hear(script.data(0, 7, 1, LAST, b"seven"));
    script.told();
    for packet_type in [DATA, ACK, ABORT, ACKALL, BUSY] {
        let packet = Packet {
            seq: u32::from(packet_type == DATA),
            payload: up_to(2).to_bytes(),
            ..script.packet(packet_type, 0, 6)
        };
        assert_eq!(script.hear(packet), [], "type {packet_type}");
    }
    assert_eq!(script.told(), []);
    assert_eq!(seqs(&script.reply(0, 7, b"reply")), [1]);
}

#[test]
fn the_next_call_acknowledges_the_reply() {
    let (mut script, _) = Script::replied(b"reply");
    script.hear(script.data(0, 2, 1, LAST, b"again"));
    assert_eq!(
        script.told(),
        [ended(1, End::Complete), got(b"again", 2, true, true)]
    );
    assert_eq!(script.reply(0, 2, b"reply").len(), 1);
}

#[test]
fn a_call_number_may_be_skipped() {
    let (mut script, _) = Script::replied(b"reply");
    script.hear(script.data(0, 9, 1, LAST, b"again"));
    assert_eq!(
        script.told(),
        [ended(1, End::Complete), got(b"again", 9, true, true)]
    );
}

#[test]
fn a_call_that_runs_gives_way_to_the_next() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, LAST, b"slow"));
    script.told();
    let next = script.data(0, 2, 1, LAST, b"next");
    let said = script.hear(next.clone());
    let told = script.told();
    assert_eq!(told[0], ended(1, End::Given(CALL_DEAD)));
    // OpenAFS has the client wait until the thread of the first one is gone, Linux begins at once.
    if told.len() == 1 {
        let busy = only(&said);
        assert_eq!(
            (busy.packet_type, busy.call_number, busy.payload.len()),
            (BUSY, 2, 0)
        );
        script.hear(Packet {
            serial: next.serial + 1,
            ..next
        });
        assert_eq!(script.told(), [got(b"next", 2, true, true)]);
    } else {
        assert_eq!(told[1..], [got(b"next", 2, true, true)]);
    }
    assert_eq!(seqs(&script.reply(0, 2, b"reply")), [1]);
}

#[test]
fn a_request_that_comes_again_is_not_served_again() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    script.told();
    let again = script.data(0, 1, 1, LAST | REQUEST_ACK, b"request");
    let serial = again.serial;
    let said = script.hear(again);
    let ack = only(&said).ack().expect("an ACK");
    assert_eq!(
        (ack.first, ack.previous, ack.serial, ack.reason),
        (2, 1, serial, DUPLICATE)
    );
    assert_eq!(script.told(), []);
    script.reply(0, 1, b"reply");
    let said = script.hear(script.data(0, 1, 1, LAST | REQUEST_ACK, b"request"));
    assert!(said
        .iter()
        .any(|packet| packet.packet_type == DATA || is_ack(packet, DUPLICATE)));
    script.hear(script.ack(0, 1, up_to(2)));
    assert_eq!(script.told(), [ended(1, End::Complete)]);
    let said = script.hear(script.data(0, 1, 1, LAST | REQUEST_ACK, b"request"));
    assert!(is_ack(only(&said), DUPLICATE), "after the call, too");
    assert_eq!(script.told(), []);
}

#[test]
fn types_that_mean_nothing_are_ignored() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    script.told();
    for packet_type in [0, 8, 9, 10, 11, 12, 13, 14, 255] {
        for call_number in [0, 1, 2] {
            let payload = vec![0; 65];
            let packet = Packet {
                payload,
                ..script.packet(packet_type, 0, call_number)
            };
            assert_eq!(
                script.hear(packet),
                [],
                "type {packet_type} of call {call_number}"
            );
        }
    }
    assert_eq!((script.told(), script.endpoint.closed), (vec![], None));
    assert_eq!(seqs(&script.reply(0, 1, b"reply")), [1]);
}

#[test]
fn packets_of_other_connections_and_directions_are_ignored() {
    let mut script = Script::server();
    let data = script.data(0, 1, 1, LAST, b"request");
    let others = [
        Packet {
            epoch: data.epoch ^ 1,
            ..data.clone()
        },
        Packet {
            cid: data.cid ^ 4,
            ..data.clone()
        },
        Packet {
            flags: LAST,
            ..data.clone()
        },
    ];
    for other in others {
        assert_eq!(script.hear(other.clone()), [], "{other}");
        assert_eq!(script.told(), [], "{other}");
    }
    script.hear(data);
    assert_eq!(script.told(), [got(b"request", 1, true, true)]);
}

#[test]
fn a_wish_for_another_service_is_ignored() {
    let mut script = Script::server();
    let data = script.data(0, 1, 1, LAST, b"request");
    script.hear(Packet {
        user_status: 1,
        ..data
    });
    let said = script.reply(0, 1, b"reply");
    assert_eq!((only(&said).user_status, only(&said).service_id), (0, 147));
}

#[test]
fn a_jumbogram_is_its_packets() {
    let mut script = Script::server();
    let first = script.data(0, 1, 1, JUMBO, &[1; DATA_BYTES]);
    let secondary = |flags: u8| [CLIENT_INITIATED | flags, 0, 0, 0];
    let payload = [
        &[1; DATA_BYTES][..],
        &secondary(JUMBO),
        &[2; DATA_BYTES],
        &secondary(LAST | REQUEST_ACK),
        b"three",
    ]
    .concat();
    let serial = first.serial + 2;
    script.serial.set(serial);
    let said = script.hear(Packet { payload, ..first });
    let parts = [
        got(&[1; DATA_BYTES], 1, true, false),
        got(&[2; DATA_BYTES], 1, false, false),
        got(b"three", 1, false, true),
    ];
    assert_eq!(script.told(), parts);
    let ack = only(&said).ack().expect("an ACK");
    assert_eq!(
        (ack.first, ack.previous, ack.serial, ack.reason),
        (4, 3, serial, REQUESTED)
    );
}

#[test]
fn a_request_in_any_order_is_read_in_its_own() {
    let mut script = Script::server();
    let parts: Vec<_> = (1..=6)
        .map(|seq| {
            script.data(
                0,
                1,
                seq,
                if seq == 6 { LAST } else { 0 },
                &[seq as u8; 100],
            )
        })
        .collect();
    for at in [5, 2, 2, 1, 4, 0, 3] {
        script.hear(parts[at].clone());
    }
    let due = (1..=6).map(|seq| got(&[seq as u8; 100], 1, seq == 1, seq == 6));
    assert_eq!(script.told(), due.collect::<Vec<_>>());
}

#[test]
fn four_calls_run_at_once() {
    let mut script = Script::server();
    for channel in 0..4 {
        let number = if channel == 3 { 2 } else { 1 };
        script.hear(script.data(channel, number, 1, LAST, &[channel as u8]));
    }
    assert_eq!(script.told().len(), 4);
    for channel in (0..4).rev() {
        let number = if channel == 3 { 2 } else { 1 };
        let said = script.reply(channel, number, &[channel as u8; 3]);
        assert_eq!(
            (only(&said).channel(), &only(&said).payload),
            (channel, &vec![channel as u8; 3])
        );
    }
}

#[test]
fn a_ping_is_answered_whatever_the_call_is_at() {
    let mut script = Script::server();
    let ping = |script: &Script| {
        script.ack(
            0,
            1,
            super::Ack {
                reason: PING,
                ..super::nothing()
            },
        )
    };
    let answered = |script: &mut Script, first| {
        let ping = ping(script);
        let serial = ping.serial;
        let said = script.hear(ping);
        let ack = said
            .iter()
            .find(|packet| is_ack(packet, PING_RESPONSE))
            .and_then(Packet::ack)
            .expect("an answer");
        assert_eq!(
            (ack.serial, ack.first, ack.previous),
            (serial, first, first - 1)
        );
    };
    script.hear(script.data(0, 1, 1, 0, &[1; DATA_BYTES]));
    answered(&mut script, 2);
    script.hear(script.data(0, 1, 2, LAST, b"end"));
    answered(&mut script, 3);
    script.reply(0, 1, b"reply");
    answered(&mut script, 3);
}

#[test]
fn a_ping_may_be_padded_to_probe_the_path() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    let mut ping = script.ack(
        0,
        1,
        super::Ack {
            reason: PING,
            ..super::nothing()
        },
    );
    ping.payload.resize(1400, 0);
    let said = script.hear(ping);
    assert!(is_ack(only(&said), PING_RESPONSE));
}

#[test]
fn whoever_asks_for_an_ack_gets_one() {
    let mut script = Script::server();
    let data = script.data(0, 1, 1, REQUEST_ACK, &[1; DATA_BYTES]);
    let serial = data.serial;
    let said = script.hear(data);
    let ack = only(&said).ack().expect("an ACK");
    assert_eq!(
        (ack.first, ack.previous, ack.serial, ack.reason),
        (2, 1, serial, REQUESTED)
    );
    let asks = script.ack(0, 1, super::nothing());
    let said = script.hear(Packet {
        flags: asks.flags | REQUEST_ACK,
        ..asks
    });
    assert_eq!(only(&said).packet_type, ACK);
}

#[test]
fn a_client_that_falls_silent_within_its_request_is_given_up() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, 0, &[1; DATA_BYTES]));
    script.told();
    script.wait(100 * SECOND);
    assert_eq!(script.told(), [ended(1, End::TimedOut)]);
    assert_eq!(
        (script.wait(1_000 * SECOND), script.meter.held()),
        (vec![], 0)
    );
}

#[test]
fn a_client_that_falls_silent_before_the_reply_is_given_up() {
    let (mut script, _) = Script::replied(&[1; 3 * DATA_BYTES]);
    let said = script.wait(200 * SECOND);
    assert_eq!(script.told(), [ended(1, End::TimedOut)]);
    assert!(
        (3..40).contains(&said.len()),
        "{} packets to nobody",
        said.len()
    );
    assert_eq!(
        (script.wait(1_000 * SECOND), script.meter.held()),
        (vec![], 0)
    );
}

#[test]
fn a_call_that_is_served_for_long_is_not_given_up() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    script.told();
    // Its ACK, and then nothing: the client is the one who asks.
    let said = script.wait(600 * SECOND);
    assert!(
        said.len() == 1 && said[0].0 <= 400 * MILLISECOND,
        "{said:?}"
    );
    assert_eq!(script.told(), []);
    assert_eq!(seqs(&script.reply(0, 1, b"reply")), [1]);
}

#[test]
fn a_server_does_not_believe_its_own_packets() {
    let mut script = Script::new(Side::Server);
    let request = script.data(0, 1, 1, LAST, b"request");
    script.hear(request.clone());
    let said = script.reply(0, 1, b"reply");
    script.told();
    assert_eq!(script.hear(only(&said).clone()), []);
    assert_eq!(script.told(), []);
}
