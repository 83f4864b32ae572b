// SPDX-License-Identifier: GPL-2.0

//! Networks that lose, repeat and reorder datagrams, or bring others: every call is answered, and what happened is told.

use std::sync::{
    atomic::{AtomicUsize, Ordering::Relaxed},
    Arc,
};

use documented::Run;
use serde_json::Value;
use wire::rx::{Header, PacketType};

use crate::{
    server::{pattern, serve_over, Answer, Network, Way},
    FETCH, RPC,
};

/// Runs a tool with these options over a network, and returns what it says of its clients.
#[track_caller]
fn clients(tool: &documented::Tool, options: &str, answered: u64, network: Network) -> Value {
    let address = serve_over(network, |call| Answer::Reply(pattern(call)));
    let run: Run = tool.run(&format!("{options} --json {address}"));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""), "{}", run.out);
    let mut document: Value = serde_json::from_str(&run.out).unwrap();
    let server = &mut document["servers"][0];
    assert_eq!(server["ledger"]["answered"], answered);
    server["clients"].take()
}

/// Loses every datagram with one of these numbers, each way, or does something else with it.
fn on_some(every: u64, mut what: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Network {
    let mut counts = [0; 2];
    Box::new(move |way, datagram| {
        let count = &mut counts[usize::from(way == Way::ToClient)];
        *count += 1;
        if *count % every == 0 {
            return what(datagram);
        }
        vec![datagram.to_vec()]
    })
}

#[test]
fn what_is_lost_is_sent_again() {
    let found = clients(
        &FETCH,
        "-c 3 -s 200k --streams 2",
        3,
        on_some(31, |_| Vec::new()),
    );
    // Whoever lost one had the next ones first.
    assert!(found["packets_reordered"].as_u64() > Some(0), "{found}");
    let found = clients(&RPC, "-c 3 -s 100k", 3, on_some(31, |_| Vec::new()));
    assert!(found["packets_resent"].as_u64() > Some(0), "{found}");
    assert!(found["least_rtt_ns"].as_u64() > Some(0), "{found}");
}

#[test]
fn what_comes_twice_is_told() {
    let twice = on_some(3, |datagram| vec![datagram.to_vec(); 2]);
    let found = clients(&FETCH, "-c 3 -s 100k", 3, twice);
    let packets = 3 * (100_u64 * 1024 + 4).div_ceil(1412);
    let duplicated = found["packets_duplicated"].as_u64().unwrap();
    assert!(duplicated > 10, "{found}");
    assert_eq!(found["packets_received"], packets + duplicated, "{found}");
}

#[test]
fn what_is_overtaken_is_put_in_order() {
    // Every third datagram waits for the next one.
    let mut kept: [Option<Vec<u8>>; 2] = [None, None];
    let mut counts = [0; 2];
    let network = move |way, datagram: &[u8]| {
        let place = usize::from(way == Way::ToClient);
        counts[place] += 1;
        if let Some(before) = kept[place].take() {
            return vec![datagram.to_vec(), before];
        }
        if counts[place] % 3 == 0 {
            kept[place] = Some(datagram.to_vec());
            return Vec::new();
        }
        vec![datagram.to_vec()]
    };
    let found = clients(&FETCH, "-c 5 -s 100k", 5, Box::new(network));
    assert!(found["packets_reordered"].as_u64() > Some(0), "{found}");
}

#[test]
fn what_is_not_of_a_call_is_passed_over() {
    let network = move |way, datagram: &[u8]| {
        let whole = datagram.to_vec();
        let Some((header, payload)) = Header::parse(datagram) else {
            return vec![whole];
        };
        if way == Way::ToServer || header.packet_type != PacketType::Data as u8 {
            return vec![whole];
        }
        let with = |header: Header| [&header.to_bytes()[..], payload].concat();
        let epoch = header.epoch ^ 1;
        let cid = header.cid.wrapping_add(4 << 8);
        let call_number = header.call_number + 1;
        vec![
            Vec::new(),
            b"no packet".to_vec(),
            with(Header { epoch, ..header }),
            with(Header { cid, ..header }),
            with(Header {
                call_number,
                ..header
            }),
            with(Header {
                packet_type: 77,
                ..header
            }),
            whole,
        ]
    };
    let found = clients(&FETCH, "-c 5 -s 20k", 5, Box::new(network));
    assert_eq!(found["count"], 1);
}

#[test]
fn a_reply_in_jumbograms_is_as_good() {
    // Each packet becomes a jumbogram of two: itself, and the one after it, if they are two of the same call.
    let mut before: Option<Vec<u8>> = None;
    let joined = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&joined);
    let network = move |way, datagram: &[u8]| {
        let whole = datagram.to_vec();
        let Some((header, payload)) = Header::parse(datagram) else {
            return vec![whole];
        };
        if way == Way::ToServer {
            return vec![whole];
        }
        let is_full = header.packet_type == PacketType::Data as u8 && payload.len() == 1412;
        let Some(first) = before.take() else {
            if is_full && header.seq % 2 == 1 {
                before = Some(whole);
                return Vec::new();
            }
            return vec![whole];
        };
        let (mut first_header, first_payload) = Header::parse(&first).unwrap();
        let follows = header.packet_type == PacketType::Data as u8
            && (header.cid, header.call_number) == (first_header.cid, first_header.call_number)
            && header.seq == first_header.seq + 1
            && header.serial == first_header.serial + 1;
        if !follows {
            return vec![first.clone(), whole];
        }
        first_header.flags = first_header.flags | wire::rx::Flags::JUMBO_PACKET;
        count.fetch_add(1, Relaxed);
        vec![[
            &first_header.to_bytes()[..],
            first_payload,
            &[header.flags.0, 0, 0, 0],
            payload,
        ]
        .concat()]
    };
    let found = clients(&FETCH, "-c 3 -s 100k", 3, Box::new(network));
    assert!(
        found["packets_received"].as_u64() >= Some(3 * 73),
        "{found}"
    );
    assert!(joined.load(Relaxed) > 10);
}
