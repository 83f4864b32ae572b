// SPDX-License-Identifier: GPL-2.0

//! What a client has to do.

use std::rc::Rc;

use super::{ended, is_ack, nothing, only, seqs, up_to, Script, CID};
use crate::{
    endpoint::Happening,
    ledger::End,
    link::{MILLISECOND, SECOND},
    packet::{
        Ack, Packet, ABORT, ACK, ACKALL, BUSY, CHALLENGE, CLIENT_INITIATED, DATA, DATA_BYTES,
        DUPLICATE, EXCEEDS_WINDOW, LAST, OUT_OF_SEQUENCE, PING, PING_RESPONSE, REQUEST_ACK,
    },
};

/// How many bytes the application was told of, and what else.
fn read(script: &mut Script) -> (usize, Vec<Happening>) {
    let (data, others): (Vec<_>, Vec<_>) = script
        .told()
        .into_iter()
        .partition(|told| matches!(told, Happening::Data { .. }));
    let bytes = data.iter().map(|told| match told {
        Happening::Data { bytes, .. } => bytes.len(),
        Happening::Ended { .. } => 0,
    });
    (bytes.sum(), others)
}

fn abort(script: &Script, call_number: u32, code: i32) -> Packet {
    let payload = code.to_be_bytes().to_vec();
    Packet {
        payload,
        ..script.packet(ABORT, 0, call_number)
    }
}

#[test]
fn a_request_is_cut_into_packets() {
    let request: Vec<_> = (0..3 * DATA_BYTES + 5).map(|at| (at / 7) as u8).collect();
    let (_, said) = Script::client(&request);
    assert_eq!(seqs(&said), [1, 2, 3, 4]);
    for (index, packet) in said.iter().enumerate() {
        let begin = index * DATA_BYTES;
        assert_eq!(
            packet.payload,
            request[begin..(begin + DATA_BYTES).min(request.len())]
        );
        assert_eq!(
            (packet.cid, packet.call_number, packet.serial),
            (CID, 1, said[0].serial + index as u32)
        );
        assert_eq!(
            packet.flags & (CLIENT_INITIATED | LAST),
            if index == 3 {
                CLIENT_INITIATED | LAST
            } else {
                CLIENT_INITIATED
            }
        );
    }
}

#[test]
fn a_request_of_nothing_is_a_packet() {
    let (_, said) = Script::client(b"");
    assert_eq!(
        (
            only(&said).seq,
            only(&said).payload.len(),
            only(&said).has(LAST)
        ),
        (1, 0, true)
    );
}

#[test]
fn a_reply_is_acknowledged_for_good_soon() {
    let (mut script, _) = Script::client(b"request");
    let reply = script.data(0, 1, 1, LAST, b"reply");
    let mut said = script.hear(reply);
    assert_eq!(read(&mut script), (5, vec![ended(1, End::Complete)]));
    if said.is_empty() {
        let (waited, words) = script.wait_for_word();
        assert!(waited <= 100 * MILLISECOND, "{waited} ns");
        said = words;
    }
    let ack = only(&said).ack().expect("an ACK");
    assert_eq!((ack.first, ack.previous, ack.acks), (2, 1, vec![]));
    assert_eq!(
        (script.wait(1_000 * SECOND), script.meter.held()),
        (vec![], 0)
    );
}

#[test]
fn the_next_call_spares_the_ack_of_a_small_reply() {
    let (mut script, _) = Script::client(b"request");
    let said = script.hear(script.data(0, 1, 1, LAST, b"reply"));
    let next = script.call(b"again");
    assert_eq!(
        (said, only(&next).call_number, only(&next).cid),
        (vec![], 2, CID)
    );
    let later = script.wait(500 * MILLISECOND);
    assert!(
        later.iter().all(|(_, packet)| packet.call_number == 2),
        "{later:?}"
    );
}

#[test]
fn a_reply_acknowledges_the_request() {
    let (mut script, said) = Script::client(&[1; 3 * DATA_BYTES]);
    assert_eq!(seqs(&said), [1, 2, 3]);
    script.hear(script.data(0, 1, 1, 0, &[2; DATA_BYTES]));
    // The client asks for the rest, but sends nothing of the request.
    let said: Vec<_> = script
        .wait(10 * SECOND)
        .into_iter()
        .map(|(_, packet)| packet)
        .collect();
    assert_eq!(seqs(&said), []);
}

#[test]
fn whoever_has_not_heard_that_the_reply_came_is_told_again() {
    let (mut script, _) = Script::client(b"request");
    script.hear(script.data(0, 1, 1, LAST, b"reply"));
    script.wait(SECOND);
    script.told();
    for _ in 0..3 {
        let said = script.hear(script.data(0, 1, 1, LAST, b"reply"));
        let ack = only(&said).ack().expect("an ACK");
        assert_eq!((ack.first, ack.previous, ack.reason), (2, 1, DUPLICATE));
    }
    assert_eq!(script.told(), [], "the application has it already");
}

#[test]
fn an_abort_ends_the_call_and_is_not_answered() {
    let (mut script, _) = Script::client(b"request");
    assert_eq!(script.hear(abort(&script, 1, -455)), []);
    assert_eq!(script.told(), [ended(1, End::Aborted(-455))]);
    assert_eq!(script.hear(abort(&script, 1, 5)), []);
    script.hear(script.data(0, 1, 1, LAST, b"reply"));
    assert_eq!(script.told(), [], "a call ends once");
    assert_eq!(
        (script.wait(1_000 * SECOND), script.meter.held()),
        (vec![], 0)
    );
    assert_eq!(only(&script.call(b"next")).call_number, 2);
}

#[test]
fn an_abort_in_the_middle_of_a_reply_ends_the_call() {
    let (mut script, _) = Script::client(b"request");
    script.hear_all(&[
        script.data(0, 1, 1, 0, &[1; DATA_BYTES]),
        script.data(0, 1, 3, 0, &[3; DATA_BYTES]),
        abort(&script, 1, 110),
    ]);
    assert_eq!(
        read(&mut script),
        (DATA_BYTES, vec![ended(1, End::Aborted(110))])
    );
    assert_eq!(script.meter.held(), 0);
}

#[test]
fn an_abort_of_the_connection_ends_all_of_it() {
    let (mut script, _) = Script::client(b"request");
    script.call(b"another");
    assert_eq!(script.hear(abort(&script, 0, -2)), []);
    assert_eq!((script.told().len(), script.endpoint.closed), (2, Some(-2)));
    let next = script
        .endpoint
        .call(script.now, &mut script.peer, Rc::from(&b"next"[..]));
    assert_eq!((next, script.wait(1_000 * SECOND)), (None, vec![]));
    assert_eq!(script.meter.held(), 0);
}

#[test]
fn a_challenge_ends_the_connection() {
    let (mut script, _) = Script::client(b"request");
    let payload = vec![0, 0, 0, 2, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0];
    let said = script.hear(Packet {
        payload,
        ..script.packet(CHALLENGE, 0, 0)
    });
    assert_eq!(
        (only(&said).packet_type, only(&said).call_number),
        (ABORT, 0)
    );
    assert_eq!(script.told(), [ended(1, End::Given(-5))]);
}

#[test]
fn a_server_that_is_busy_is_called_again() {
    let (mut script, said) = Script::client(b"request");
    let first = only(&said).clone();
    assert_eq!(script.hear(script.packet(BUSY, 0, 1)), []);
    let (_, said) = script.wait_for_word();
    let again = only(&said);
    assert_eq!(
        (again.packet_type, again.seq, &again.payload),
        (DATA, 1, &first.payload)
    );
    assert!(again.serial > first.serial && again.has(LAST));
    script.hear(script.data(0, 1, 1, LAST, b"reply"));
    assert_eq!(read(&mut script), (5, vec![ended(1, End::Complete)]));
}

#[test]
fn a_call_that_is_given_up_is_aborted() {
    let (mut script, _) = Script::client(b"request");
    let said = script.abort(0, 1, -6);
    let abort = only(&said);
    assert_eq!(
        (abort.packet_type, abort.call_number, &abort.payload[..]),
        (ABORT, 1, &(-6_i32).to_be_bytes()[..])
    );
    assert_eq!(
        (script.told(), script.meter.held()),
        (vec![ended(1, End::Given(-6))], 0)
    );
    let said = script.hear(script.data(0, 1, 1, 0, &[1; DATA_BYTES]));
    assert_eq!(
        (only(&said).packet_type, script.told()),
        (ABORT, vec![]),
        "a server that has not heard it hears it again"
    );
    assert_eq!(only(&script.call(b"next")).call_number, 2);
}

#[test]
fn a_call_that_is_given_up_does_not_hide_behind_the_next() {
    let (mut script, _) = Script::client(b"request");
    let call = (0, 1);
    script
        .endpoint
        .abort(script.now, &mut script.peer, call, -6, &mut script.happened);
    let said = script.call(b"next");
    let types: Vec<_> = said
        .iter()
        .map(|packet| (packet.packet_type, packet.call_number))
        .collect();
    assert_eq!(types, [(ABORT, 1), (DATA, 2)]);
}

#[test]
fn no_more_than_four_calls_run_at_once() {
    let (mut script, _) = Script::client(b"0");
    for channel in 1..4 {
        assert_eq!(only(&script.call(b"1")).channel(), channel);
    }
    let fifth = script
        .endpoint
        .call(script.now, &mut script.peer, Rc::from(&b"5"[..]));
    assert_eq!(fifth, None);
    script.hear(script.data(2, 1, 1, LAST, b"reply"));
    let said = script.call(b"next");
    let next = said
        .iter()
        .find(|packet| packet.packet_type == DATA)
        .expect("a request");
    assert_eq!((next.channel(), next.call_number), (2, 2));
}

#[test]
fn what_comes_first_is_never_called_out_of_order_without_its_number() {
    // Linux gives up a call whose ACK has one of these reasons, firstPacket 1 and previousPacket 0 (ENETRESET).
    for seq in [2, 16, 200, 255, 256, 257, 300, 1_000] {
        let (mut script, _) = Script::client(b"request");
        let said = script.hear(script.data(0, 1, seq, 0, &[0; DATA_BYTES]));
        for ack in said.iter().filter_map(Packet::ack) {
            let is_fatal = ack.reason == OUT_OF_SEQUENCE || ack.reason == EXCEEDS_WINDOW;
            assert!(!is_fatal || (ack.first, ack.previous) != (1, 0), "{seq}");
        }
        assert_eq!(script.told(), []);
    }
}

#[test]
fn what_came_out_of_order_is_told_at_once() {
    let (mut script, _) = Script::client(b"request");
    script.hear(script.data(0, 1, 1, 0, &[1; DATA_BYTES]));
    let third = script.data(0, 1, 3, 0, &[3; DATA_BYTES]);
    let serial = third.serial;
    let said = script.hear(third);
    let ack = only(&said).ack().expect("an ACK");
    assert_eq!(
        (ack.first, ack.previous, ack.serial, ack.reason),
        (2, 3, serial, OUT_OF_SEQUENCE)
    );
    assert_eq!(ack.acks, [0, 1]);
    let said = script.hear(script.data(0, 1, 6, LAST, b"end"));
    let ack = only(&said).ack().expect("an ACK");
    assert_eq!(
        (ack.first, ack.previous, &ack.acks[..]),
        (2, 6, &[0, 1, 0, 0, 1][..])
    );
    // The hole is filled.
    let said = script.hear(script.data(0, 1, 2, 0, &[2; DATA_BYTES]));
    let ack = only(&said).ack().expect("an ACK");
    assert_eq!(
        (ack.first, ack.previous, &ack.acks[..]),
        (4, 6, &[0, 0, 1][..])
    );
    assert_eq!(read(&mut script), (3 * DATA_BYTES, vec![]));
}

#[test]
fn every_second_packet_is_acknowledged() {
    let (mut script, _) = Script::client(b"request");
    let mut acks = 0;
    for seq in 1..=20 {
        acks += script
            .hear(script.data(0, 1, seq, 0, &[0; DATA_BYTES]))
            .len();
    }
    assert!((8..=20).contains(&acks), "{acks} ACKs of 20 packets");
}

#[test]
fn a_turn_is_answered_with_one_ack() {
    let (mut script, _) = Script::client(b"request");
    let packets: Vec<_> = (1..=20)
        .map(|seq| script.data(0, 1, seq, 0, &[0; DATA_BYTES]))
        .collect();
    let said = script.hear_all(&packets);
    assert_eq!(
        only(&said).ack().map(|ack| (ack.first, ack.previous)),
        Some((21, 20))
    );
}

#[test]
fn no_jumbograms_are_asked_for() {
    let (mut script, _) = Script::client(b"request");
    let said = script.hear(script.data(0, 1, 1, REQUEST_ACK, &[0; DATA_BYTES]));
    let ack = only(&said).ack().expect("an ACK");
    // 0 would tell Linux that this side finds out the MTU itself, and it would say 65160 for its own.
    let [max_mtu, if_mtu, rwind, jumbo_max] = ack.trailer[..] else {
        panic!("four words: {ack:?}");
    };
    assert!(
        (1440..=1444).contains(&max_mtu) && (1440..=1444).contains(&if_mtu),
        "{ack:?}"
    );
    assert!((16..=255).contains(&rwind) && jumbo_max == 1, "{ack:?}");
}

#[test]
fn a_small_call_does_not_make_the_next_ones_window_small() {
    let (mut script, _) = Script::client(b"request");
    let mut said = script.hear(script.data(0, 1, 1, LAST, b"reply"));
    said.extend(script.wait(SECOND).into_iter().map(|(_, packet)| packet));
    let ping = script.ack(
        0,
        1,
        Ack {
            reason: PING,
            ..nothing()
        },
    );
    said.extend(script.hear(ping));
    for ack in said.iter().filter_map(Packet::ack) {
        assert!(
            ack.trailer[2] >= 16,
            "a window of {} packets, which the server keeps for the channel",
            ack.trailer[2]
        );
    }
}

#[test]
fn other_calls_and_directions_are_ignored() {
    let (mut script, _) = Script::client(b"one");
    script.hear(script.data(0, 1, 1, LAST, b"reply"));
    script.call(b"two");
    script.told();
    for call_number in [0, 1, 3] {
        for packet_type in [DATA, ACK, BUSY, ACKALL] {
            let packet = Packet {
                seq: u32::from(packet_type == DATA),
                payload: up_to(2).to_bytes(),
                ..script.packet(packet_type, 0, call_number)
            };
            let said = script.hear(packet);
            assert!(
                said.iter().all(|packet| packet.packet_type == ACK),
                "{said:?}"
            );
        }
    }
    let data = script.data(0, 2, 1, LAST, b"reply");
    script.hear(Packet {
        flags: data.flags | CLIENT_INITIATED,
        ..data
    });
    assert_eq!(script.told(), []);
}

#[test]
fn a_server_that_works_for_long_is_asked_whether_it_is_there() {
    let (mut script, _) = Script::client(b"request");
    script.hear(script.ack(0, 1, up_to(2)));
    let end = script.now + 300 * SECOND;
    while script.now < end {
        let (waited, said) = script.wait_for_word();
        assert!(
            (SECOND..=6 * SECOND).contains(&waited),
            "asked after {waited} ns"
        );
        let ping = only(&said);
        assert!(is_ack(ping, PING) && ping.has(REQUEST_ACK), "{ping}");
        let pong = Ack {
            serial: ping.serial,
            reason: PING_RESPONSE,
            ..up_to(2)
        };
        assert_eq!(script.hear(script.ack(0, 1, pong)), []);
    }
    assert_eq!(script.told(), []);
    script.hear(script.data(0, 1, 1, LAST, b"reply"));
    assert_eq!(read(&mut script), (5, vec![ended(1, End::Complete)]));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    for is_acknowledged in [false, true] {
        let (mut script, _) = Script::client(b"request");
        if is_acknowledged {
            script.hear(script.ack(0, 1, up_to(2)));
        }
        let said = script.wait(12 * SECOND);
        assert_eq!(script.told(), [], "not before 12 s");
        let more = script.wait(50 * SECOND);
        assert_eq!(script.told(), [ended(1, End::TimedOut)]);
        assert!(
            (2..30).contains(&(said.len() + more.len())),
            "{said:?} {more:?}"
        );
        assert_eq!(
            (script.wait(1_000 * SECOND), script.meter.held()),
            (vec![], 0)
        );
    }
}

#[test]
fn what_comes_after_a_call_was_given_up_is_not_read() {
    let (mut script, _) = Script::client(b"request");
    script.wait(100 * SECOND);
    assert_eq!(script.told(), [ended(1, End::TimedOut)]);
    let said = script.hear(script.data(0, 1, 1, LAST, b"reply"));
    assert_eq!(script.told(), []);
    assert!(
        said.iter().all(|packet| packet.packet_type == ABORT),
        "it is not acknowledged either: {said:?}"
    );
}
