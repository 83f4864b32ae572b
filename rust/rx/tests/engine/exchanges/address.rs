// SPDX-License-Identifier: GPL-2.0

//! A client that may not be where its packets seem to come from gets no more bytes than it has sent.

use super::{is_ack, nothing, seqs, Script};
use crate::{
    link::{IP_AND_UDP, MILLISECOND, SECOND},
    packet::{Ack, Packet, DATA_BYTES, HEADER_BYTES, LAST, PING, PING_RESPONSE},
    watch::Side,
};

/// What these packets take on the way, in bytes.
fn bytes<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> usize {
    packets
        .into_iter()
        .map(|packet| IP_AND_UDP + HEADER_BYTES + packet.payload.len())
        .sum()
}

/// A server that has a large reply to a stranger's request of so many bytes, and what it said.
fn asked(request_bytes: usize) -> (Script, Packet, Vec<Packet>) {
    let mut script = Script::new(Side::Server);
    let request = script.data(0, 1, 1, LAST, &vec![1; request_bytes]);
    script.hear(request.clone());
    let said = script.reply(0, 1, &[2; 20 * DATA_BYTES]);
    (script, request, said)
}

fn pong(script: &Script, serial: u32) -> Packet {
    let reason = PING_RESPONSE;
    script.ack(
        0,
        1,
        Ack {
            reason,
            serial,
            ..nothing()
        },
    )
}

#[test]
fn a_stranger_is_asked_first() {
    let (mut script, request, said) = asked(64);
    assert!(bytes(&said) <= bytes([&request]));
    assert!(said.iter().any(|packet| is_ack(packet, PING)), "{said:?}");
    let ping = said
        .iter()
        .find(|packet| is_ack(packet, PING))
        .unwrap()
        .serial;
    script.now += 10 * MILLISECOND;
    let said = script.hear(pong(&script, ping));
    assert!(seqs(&said).len() >= 8, "then the reply begins: {said:?}");
}

#[test]
fn a_guessed_answer_proves_nothing() {
    let (mut script, request, said) = asked(64);
    let ping = said
        .iter()
        .find(|packet| is_ack(packet, PING))
        .unwrap()
        .serial;
    let (mut got, mut sent) = (bytes([&request]), bytes(&said));
    for guess in [
        0,
        1,
        ping - 1,
        ping + 1,
        ping + 2,
        ping ^ 0x8000_0000,
        u32::MAX,
    ] {
        let answer = pong(&script, guess);
        got += bytes([&answer]);
        sent += bytes(&script.hear(answer));
        assert!(
            sent <= got,
            "{sent} bytes to somebody who guesses, and has sent {got}"
        );
    }
}

#[test]
fn a_flood_of_requests_gets_no_more_than_it_brings() {
    for request_bytes in [0, 4, 20, 37, 64, 500, DATA_BYTES] {
        let (mut script, request, said) = asked(request_bytes);
        let (mut got, mut sent) = (bytes([&request]), bytes(&said));
        for round in 0..200 {
            let said = script.wait(round * MILLISECOND);
            sent += bytes(said.iter().map(|(_, packet)| packet));
            assert!(sent <= got, "{sent} bytes for {got}");
            let again = script.data(0, 1, 1, LAST, &request.payload);
            got += bytes([&again]);
            sent += bytes(&script.hear(again));
            assert!(sent <= got, "{sent} bytes for {got}");
        }
    }
}

#[test]
fn a_stranger_that_stays_silent_is_given_up() {
    let (mut script, request, said) = asked(64);
    let later = script.wait(300 * SECOND);
    assert!(bytes(&said) + bytes(later.iter().map(|(_, packet)| packet)) <= bytes([&request]));
    assert_eq!(script.told().len(), 2, "the request and its end");
    assert_eq!(
        (script.wait(1_000 * SECOND), script.meter.held()),
        (vec![], 0)
    );
}

#[test]
fn a_small_reply_needs_no_proof() {
    let mut script = Script::new(Side::Server);
    script.hear(script.data(0, 1, 1, LAST, &[1; 64]));
    let said = script.reply(0, 1, &[2; 64]);
    assert_eq!(seqs(&said), [1]);
}

#[test]
fn an_answer_from_far_away_is_a_proof_all_the_same() {
    // The question is repeated every 2 s at the latest, and its answer takes 5 s.
    let (mut script, _, said) = asked(1_000);
    let mut pings: Vec<_> = said
        .iter()
        .filter(|packet| is_ack(packet, PING))
        .map(|ping| (script.now, ping.serial))
        .collect();
    assert_eq!(pings.len(), 1);
    for _ in 0..20 {
        let begin = script.now;
        let said = script.wait(500 * MILLISECOND);
        let later = said.iter().filter(|(_, packet)| is_ack(packet, PING));
        pings.extend(later.map(|(after, ping)| (begin + after, ping.serial)));
        if script.now >= pings[0].0 + 5 * SECOND {
            let (_, serial) = pings.remove(0);
            let said = script.hear(pong(&script, serial));
            if seqs(&said).len() >= 8 {
                return;
            }
        }
    }
    panic!("the reply has not begun");
}

#[test]
fn whoever_echoes_a_packet_of_the_reply_is_where_it_says() {
    // A request of two packets pays for one of the reply.
    let mut script = Script::new(Side::Server);
    script.hear_all(&[
        script.data(0, 1, 1, 0, &[1; DATA_BYTES]),
        script.data(0, 1, 2, LAST, &[1; DATA_BYTES]),
    ]);
    let said = script.reply(0, 1, &[2; 20 * DATA_BYTES]);
    let first = said
        .iter()
        .find(|packet| packet.seq == 1)
        .expect("a part of the reply");
    script.now += 10 * MILLISECOND;
    let serial = first.serial;
    let said = script.hear(script.ack(
        0,
        1,
        Ack {
            serial,
            ..super::up_to(2)
        },
    ));
    assert!(seqs(&said).len() >= 8, "{said:?}");
}
