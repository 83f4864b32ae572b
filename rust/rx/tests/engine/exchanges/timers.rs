// SPDX-License-Identifier: GPL-2.0

//! What happens when nothing comes.

use super::{is_ack, nothing, only, seqs, up_to, Script};
use crate::{
    link::{MILLISECOND, SECOND},
    packet::{Ack, Packet, DATA, DATA_BYTES, LAST, PING, REQUESTED},
};

/// A client that has seen round trips of 10 ms, and the number of its next call.
fn acquainted() -> (Script, u32) {
    let (mut script, said) = Script::client(b"request");
    script.now += 10 * MILLISECOND;
    let serial = only(&said).serial;
    script.hear(script.ack(
        0,
        1,
        Ack {
            serial,
            reason: REQUESTED,
            ..up_to(2)
        },
    ));
    script.hear(script.data(0, 1, 1, LAST, b"reply"));
    script.wait(SECOND);
    script.told();
    let rtt = script.peer.rtt().smoothed_us();
    assert_eq!(rtt, Some(10_000));
    (script, 2)
}

#[test]
fn a_request_is_sent_again_later_and_later() {
    let (mut script, _) = Script::client(b"request");
    let said = script.wait(15 * SECOND);
    let times: Vec<_> = said
        .iter()
        .filter(|(_, packet)| packet.packet_type == DATA)
        .map(|(at, _)| *at)
        .collect();
    assert!(
        (500 * MILLISECOND..=3 * SECOND).contains(&times[0]),
        "{times:?}"
    );
    assert!((2..=6).contains(&times.len()), "{times:?}");
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.windows(2).skip(1).all(|pair| pair[1] >= pair[0]),
        "{gaps:?}"
    );
}

#[test]
fn the_lost_end_of_a_request_costs_no_timeout() {
    let (mut script, number) = acquainted();
    let said = script.call(&[1; 5 * DATA_BYTES]);
    assert_eq!(seqs(&said), [1, 2, 3, 4, 5]);
    script.now += 10 * MILLISECOND;
    let serial = said[3].serial;
    script.hear(script.ack(0, number, Ack { serial, ..up_to(5) }));
    let (waited, said) = script.wait_for_word();
    assert_eq!(seqs(&said), [5]);
    assert!(waited <= 300 * MILLISECOND, "{} ms", waited / MILLISECOND);
}

#[test]
fn the_lost_end_of_a_reply_costs_no_timeout() {
    let mut script = Script::server();
    for number in 1..=5 {
        script.hear(script.data(0, number, 1, LAST, b"request"));
        let said = script.reply(0, number, &[1; 5 * DATA_BYTES]);
        assert_eq!(seqs(&said), [1, 2, 3, 4, 5]);
        script.now += 10 * MILLISECOND;
        if number == 5 {
            let serial = said[3].serial;
            script.hear(script.ack(0, number, Ack { serial, ..up_to(5) }));
        } else {
            let serial = said[4].serial;
            script.hear(script.ack(0, number, Ack { serial, ..up_to(6) }));
        }
    }
    let (waited, said) = script.wait_for_word();
    assert_eq!(seqs(&said), [5]);
    assert!(waited <= 100 * MILLISECOND, "{} ms", waited / MILLISECOND);
}

#[test]
fn data_that_nobody_asked_about_is_acknowledged_within_a_while() {
    let mut script = Script::server();
    assert_eq!(script.hear(script.data(0, 1, 1, 0, &[1; DATA_BYTES])), []);
    let (waited, said) = script.wait_for_word();
    let ack = only(&said).ack().expect("an ACK");
    assert_eq!((ack.first, ack.previous), (2, 1));
    assert!(waited <= 200 * MILLISECOND, "{waited} ns");
}

#[test]
fn a_burst_that_is_lost_is_sent_again_when_time_is_up() {
    let (mut script, number) = acquainted();
    let sent = seqs(&script.call(&[1; 8 * DATA_BYTES]));
    assert_eq!(sent, (1..=8).collect::<Vec<_>>());
    let said = script.wait(5 * SECOND);
    let again: Vec<_> = said
        .iter()
        .filter(|(_, packet)| packet.packet_type == DATA)
        .collect();
    assert!(
        !again.is_empty() && again.len() <= 12,
        "{} packets to a peer that says nothing",
        again.len()
    );
    // It comes back.
    let heard: Vec<Packet> = script.hear(script.ack(0, number, up_to(2)));
    let mut all = seqs(&heard);
    for _ in 0..20 {
        let highest = all.iter().copied().max().unwrap_or(1);
        script.now += 10 * MILLISECOND;
        let said = script.hear(script.ack(0, number, up_to(highest + 1)));
        all.extend(seqs(&said));
    }
    assert!(
        (2..=8).all(|seq| all.contains(&seq) || again.iter().any(|(_, packet)| packet.seq == seq)),
        "{all:?}"
    );
}

#[test]
fn a_server_that_is_idle_says_nothing() {
    let (mut script, _) = Script::replied(b"reply");
    script.hear(script.ack(0, 1, up_to(2)));
    assert_eq!(
        (script.endpoint.deadline(), script.wait(1_000 * SECOND)),
        (None, vec![])
    );
}

#[test]
fn pings_ask_for_an_answer() {
    let (mut script, _) = Script::client(b"request");
    script.hear(script.ack(0, 1, up_to(2)));
    let (_, said) = script.wait_for_word();
    assert!(is_ack(only(&said), PING), "{said:?}");
}

#[test]
fn pings_do_not_put_off_what_is_to_be_sent_again() {
    let (mut script, _) = Script::replied(&[1; 500]);
    let mut resent = 0;
    for round in 0..30 {
        let said = script.wait(3 * SECOND);
        let data = said.iter().filter(|(_, packet)| packet.packet_type == DATA);
        resent += if round < 5 { 0 } else { data.count() };
        let ping = Ack {
            reason: PING,
            ..nothing()
        };
        script.hear(script.ack(0, 1, ping));
    }
    assert!(resent >= 2, "{resent} times in a minute");
}
