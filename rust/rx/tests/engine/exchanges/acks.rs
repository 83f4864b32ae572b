// SPDX-License-Identifier: GPL-2.0

//! What a sender makes of ACKs. It is a server with a large reply; a client's request is sent by the same code.

use super::{nothing, seqs, up_to, Script, TRAILER};
use crate::{
    endpoint::Happening,
    ledger::End,
    link::{MILLISECOND, SECOND},
    packet::{
        Ack, Packet, ACKALL, DATA, DATA_BYTES, DELAY, EXCEEDS_WINDOW, IDLE, JUMBO, LAST, NO_SPACE,
        OUT_OF_SEQUENCE, REQUESTED, REQUEST_ACK,
    },
};

fn complete() -> Happening {
    Happening::Ended {
        channel: 0,
        call_number: 1,
        end: End::Complete,
    }
}

fn large(packets: usize) -> Vec<u8> {
    (0..packets * DATA_BYTES - 100)
        .map(|at| (at / 11) as u8)
        .collect()
}

/// An ACK with this first packet and these bits.
fn soft(first: u32, acks: &[u8]) -> Ack {
    let highest = acks
        .iter()
        .rposition(|ack| *ack == 1)
        .map_or(first - 1, |at| first + at as u32);
    Ack {
        previous: highest,
        acks: acks.to_vec(),
        ..up_to(first)
    }
}

/// Lets the peer acknowledge all that was said, until there is nothing more to say. Returns the numbers of what was said.
fn drain(script: &mut Script, said: &[Packet]) -> Vec<u32> {
    let mut all = seqs(said);
    while let Some(&highest) = all.iter().max() {
        script.now += MILLISECOND;
        let said = script.hear(script.ack(0, 1, up_to(highest + 1)));
        if seqs(&said).is_empty() {
            break;
        }
        all.extend(seqs(&said));
    }
    all
}

#[test]
fn a_reply_goes_out_once_and_in_order() {
    let reply = large(100);
    let (mut script, said) = Script::replied(&reply);
    let all = drain(&mut script, &said);
    assert_eq!(
        (all, script.told(), script.meter.held()),
        ((1..=100).collect(), vec![complete()], 0)
    );
    assert_eq!(script.wait(1_000 * SECOND), []);
}

#[test]
fn a_peer_that_has_not_said_what_it_takes_takes_sixteen() {
    let mut script = Script::server();
    // On another channel than the one that has proved the address.
    script.hear(script.data(1, 1, 1, LAST, b"request"));
    let said = script.reply(1, 1, &large(100));
    assert!((1..=16).contains(&seqs(&said).len()), "{:?}", seqs(&said));
}

#[test]
fn no_more_is_sent_than_the_peer_takes() {
    for (rwind, window) in [(1, 1), (0, 1), (5, 5), (32, 32)] {
        let (mut script, said) = Script::replied(&large(300));
        let ack = |first| Ack {
            trailer: vec![1444, 1444, rwind, 1],
            ..up_to(first)
        };
        let mut highest = *seqs(&said).last().unwrap();
        for _ in 0..8 {
            script.now += MILLISECOND;
            let said = script.hear(script.ack(0, 1, ack(highest + 1)));
            let most = highest + window;
            highest = *seqs(&said).last().expect("a window is used");
            assert!(highest <= most, "{highest} with a window up to {most}");
        }
    }
}

#[test]
fn the_last_packet_before_a_halt_asks_for_an_ack() {
    let (mut script, said) = Script::replied(&large(100));
    assert!(
        said.last().unwrap().has(REQUEST_ACK),
        "the congestion window is full"
    );
    let four = Ack {
        trailer: vec![1444, 1444, 4, 1],
        ..up_to(seqs(&said).len() as u32 + 1)
    };
    let said = script.hear(script.ack(0, 1, four));
    assert_eq!(said.len(), 4);
    assert!(said[3].has(REQUEST_ACK), "the peer's window is full");
}

#[test]
fn the_last_packet_of_a_reply_never_asks_for_an_ack() {
    for packets in [1, 2, 5, 12] {
        let (mut script, mut said) = Script::replied(&large(packets));
        // Sent again by probes and timeouts until the server gives up.
        said.extend(
            script
                .wait(100 * SECOND)
                .into_iter()
                .map(|(_, packet)| packet),
        );
        let lasts: Vec<_> = said
            .iter()
            .filter(|packet| packet.packet_type == DATA && packet.has(LAST))
            .collect();
        assert!(
            lasts.iter().all(|packet| !packet.has(REQUEST_ACK)),
            "{lasts:?}"
        );
        assert!(packets == 12 || lasts.len() > 1, "{packets} packets");
    }
}

#[test]
fn a_hole_is_filled_with_the_same_bytes_and_a_new_number() {
    let reply = large(12);
    let (mut script, mut said) = Script::replied(&reply);
    script.now += 10 * MILLISECOND;
    let sent = said.len() as u32;
    assert!(sent >= 6);
    let missing = 3;
    let mut acks = vec![1; sent as usize - 1];
    acks[missing as usize - 2] = 0;
    let ack = Ack {
        reason: OUT_OF_SEQUENCE,
        ..soft(2, &acks)
    };
    let more = script.hear(script.ack(0, 1, ack));
    let again: Vec<_> = more.iter().filter(|packet| packet.seq == missing).collect();
    let [again] = again[..] else {
        panic!("one retransmission: {more:?}");
    };
    assert!(again.serial > said.last().unwrap().serial);
    assert_eq!(again.payload, reply[2 * DATA_BYTES..3 * DATA_BYTES]);
    assert!(
        more.iter()
            .all(|packet| packet.seq == missing || packet.seq > sent),
        "{more:?}"
    );
    said.extend(more);
    drain(&mut script, &said);
    assert_eq!(script.told(), [complete()]);
}

#[test]
fn what_a_peer_drops_again_is_sent_again() {
    let reply = large(6);
    let (mut script, said) = Script::replied(&reply);
    assert_eq!(seqs(&said), [1, 2, 3, 4, 5, 6]);
    script.now += 10 * MILLISECOND;
    script.hear(script.ack(0, 1, soft(1, &[1, 1, 1, 1, 1, 0])));
    script.now += 10 * MILLISECOND;
    let mut said = script.hear(script.ack(0, 1, soft(1, &[1, 0, 1, 1, 1, 0])));
    if !seqs(&said).contains(&2) {
        said = script
            .wait(5 * SECOND)
            .into_iter()
            .map(|(_, packet)| packet)
            .collect();
    }
    let again = said
        .iter()
        .find(|packet| packet.seq == 2)
        .expect("it is sent again");
    assert_eq!(again.payload, reply[DATA_BYTES..2 * DATA_BYTES]);
    script.hear(script.ack(0, 1, up_to(7)));
    assert_eq!(script.told(), [complete()]);
}

#[test]
fn a_reply_that_has_come_is_not_kept_until_it_is_consumed() {
    // OpenAFS's servers free it, for no client may drop what it has acknowledged of the last packets; Linux's do not.
    let (mut script, _) = Script::replied(&large(5));
    script.now += 10 * MILLISECOND;
    script.hear(script.ack(0, 1, soft(1, &[1; 5])));
    assert_eq!((script.told(), script.meter.held()), (vec![complete()], 0));
}

#[test]
fn an_old_ack_changes_nothing() {
    let (mut script, said) = Script::replied(&large(100));
    let sent = seqs(&said).len() as u32;
    let old = [script.ack(0, 1, soft(2, &[1])), script.ack(0, 1, up_to(3))];
    script.now += MILLISECOND;
    let said = script.hear(script.ack(0, 1, up_to(sent + 1)));
    assert!(!seqs(&said).is_empty());
    for ack in old {
        let window_of_one = Ack {
            trailer: vec![1444, 1444, 1, 1],
            ..ack.ack().unwrap()
        };
        let said = script.hear(Packet {
            payload: window_of_one.to_bytes(),
            ..ack
        });
        assert_eq!(said, []);
    }
    let highest = sent + seqs(&said).len() as u32;
    let said = script.hear(script.ack(0, 1, up_to(highest + 1)));
    assert!(
        seqs(&said).len() > 1,
        "the window is what the newest ACK says"
    );
}

#[test]
fn an_ack_that_takes_back_what_was_consumed_changes_nothing() {
    let (mut script, said) = Script::replied(&large(100));
    let sent = seqs(&said).len() as u32;
    script.now += MILLISECOND;
    let said = script.hear(script.ack(0, 1, up_to(sent + 1)));
    let highest = sent + seqs(&said).len() as u32;
    for first in [1, 2, sent] {
        assert_eq!(script.hear(script.ack(0, 1, soft(first, &[0, 1]))), []);
    }
    let said = script.hear(script.ack(0, 1, up_to(highest + 1)));
    assert_eq!(seqs(&said).first(), Some(&(highest + 1)));
}

#[test]
fn an_ack_of_what_was_never_sent_acknowledges_nothing() {
    let sent = |said: &[Packet]| seqs(said).len() as u32;
    for beyond in [1, 2, 255, u32::MAX / 2, u32::MAX - 20] {
        let (mut script, said) = Script::replied(&large(100));
        script.hear(script.ack(
            0,
            1,
            up_to(sent(&said).wrapping_add(1).wrapping_add(beyond)),
        ));
        let told = script.told();
        assert!(
            !told.contains(&complete()),
            "firstPacket is {beyond} beyond"
        );
    }
    for count in [17, 100, 255] {
        let (mut script, _) = Script::replied(&large(100));
        script.hear(script.ack(0, 1, soft(1, &vec![1; count])));
        assert!(!script.told().contains(&complete()), "{count} acks");
    }
}

#[test]
fn acks_without_a_whole_trailer_count() {
    for words in 0..4 {
        let (mut script, said) = Script::replied(&large(30));
        let sent = seqs(&said).len() as u32;
        let ack = Ack {
            trailer: TRAILER[..words].to_vec(),
            ..up_to(sent + 1)
        };
        script.now += MILLISECOND;
        let more = script.hear(script.ack(0, 1, ack));
        assert_eq!(seqs(&more).first(), Some(&(sent + 1)), "{words} words");
        let all: Vec<_> = said.into_iter().chain(more).collect();
        drain(&mut script, &all);
        assert_eq!(script.told(), [complete()]);
    }
}

#[test]
fn all_reasons_acknowledge() {
    for reason in [
        REQUESTED,
        OUT_OF_SEQUENCE,
        EXCEEDS_WINDOW,
        NO_SPACE,
        DELAY,
        IDLE,
    ] {
        let (mut script, _) = Script::replied(&large(3));
        script.hear(script.ack(0, 1, Ack { reason, ..up_to(4) }));
        assert_eq!(script.told(), [complete()], "reason {reason}");
    }
}

#[test]
fn an_unknown_reason_does_no_harm() {
    for reason in [0, 10, 255] {
        let (mut script, _) = Script::replied(&large(3));
        script.hear(script.ack(0, 1, Ack { reason, ..up_to(4) }));
        script.hear(script.ack(0, 1, up_to(4)));
        assert_eq!(script.told(), [complete()], "reason {reason}");
    }
}

#[test]
fn previous_packet_may_be_a_serial() {
    // libafs did so before 1.6.23.
    let (mut script, said) = Script::replied(&large(100));
    let sent = seqs(&said).len() as u32;
    let ack = Ack {
        previous: 0x1234_5678,
        ..up_to(sent + 1)
    };
    script.now += MILLISECOND;
    let more = script.hear(script.ack(0, 1, ack));
    assert_eq!(seqs(&more).first(), Some(&(sent + 1)));
    let highest = sent + seqs(&more).len() as u32;
    let ack = Ack {
        previous: 0x1234_5677,
        ..up_to(highest + 1)
    };
    let more = script.hear(script.ack(0, 1, ack));
    assert_eq!(seqs(&more).first(), Some(&(highest + 1)));
}

#[test]
fn ackall_acknowledges_all() {
    let (mut script, said) = Script::replied(&large(3));
    assert_eq!(seqs(&said), [1, 2, 3]);
    assert_eq!(script.hear(script.packet(ACKALL, 0, 1)), []);
    assert_eq!((script.told(), script.meter.held()), (vec![complete()], 0));
}

#[test]
fn jumbograms_are_not_sent_to_whoever_takes_them() {
    let (mut script, said) = Script::replied(&large(100));
    let mut highest = seqs(&said).len() as u32;
    for _ in 0..10 {
        script.now += MILLISECOND;
        let ack = Ack {
            trailer: vec![5692, 5692, 32, 4],
            ..up_to(highest + 1)
        };
        let said = script.hear(script.ack(0, 1, ack));
        assert!(said
            .iter()
            .all(|packet| !packet.has(JUMBO) && packet.payload.len() <= DATA_BYTES));
        highest += seqs(&said).len() as u32;
    }
}

#[test]
fn a_path_that_turns_out_smaller_moves_no_byte() {
    let reply = large(12);
    let (mut script, said) = Script::replied(&reply);
    let sent = seqs(&said).len();
    let mut acks = vec![1; sent - 1];
    acks[1] = 0;
    script.now += 10 * MILLISECOND;
    let ack = Ack {
        trailer: vec![800, 800, 32, 1],
        ..soft(2, &acks)
    };
    let more = script.hear(script.ack(0, 1, ack));
    assert!(seqs(&more).contains(&3), "{more:?}");
    for packet in more.iter().filter(|packet| packet.packet_type == DATA) {
        let begin = (packet.seq as usize - 1) * DATA_BYTES;
        assert_eq!(
            packet.payload,
            reply[begin..(begin + DATA_BYTES).min(reply.len())],
            "{packet}"
        );
    }
    // The next call's packets are smaller.
    script.hear(script.data(0, 2, 1, LAST, b"request"));
    let said = script.reply(0, 2, &large(5));
    assert!(
        said.iter().all(|packet| packet.payload.len() <= 800 - 28),
        "{said:?}"
    );
}

#[test]
fn a_path_is_never_smaller_than_openafs_believes() {
    let (mut script, _) = Script::replied(b"reply");
    script.hear(script.ack(
        0,
        1,
        Ack {
            trailer: vec![0, 0, 32, 1],
            ..up_to(2)
        },
    ));
    script.hear(script.data(0, 2, 1, LAST, b"request"));
    let said = script.reply(0, 2, &large(5));
    assert!(
        said[0].payload.len() >= 520 - 28,
        "{} bytes",
        said[0].payload.len()
    );
}

#[test]
fn a_delayed_ack_tells_nothing_of_the_round_trip() {
    let measured = |reason| {
        let mut script = Script::server();
        let before = script.peer.rtt().smoothed_us();
        script.hear(script.data(0, 1, 1, LAST, b"request"));
        let said = script.reply(0, 1, &large(3));
        script.now += 400 * MILLISECOND;
        let serial = said.last().unwrap().serial;
        script.hear(script.ack(
            0,
            1,
            Ack {
                reason,
                serial,
                ..up_to(4)
            },
        ));
        (before, script.peer.rtt().smoothed_us())
    };
    let (before, after) = measured(DELAY);
    assert_eq!(before, after);
    for reason in [REQUESTED, IDLE] {
        let (before, after) = measured(reason);
        assert!(after > before, "reason {reason}: {before:?} and {after:?}");
    }
}

#[test]
fn an_ack_may_come_before_anything_was_sent() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    script.told();
    script.hear(script.ack(0, 1, nothing()));
    script.hear(script.ack(0, 1, up_to(2)));
    assert!(
        !script.told().contains(&complete()),
        "a reply that was never sent"
    );
}
