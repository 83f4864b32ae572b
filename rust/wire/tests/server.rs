// SPDX-License-Identifier: GPL-2.0

//! What a server answers: to what the table says, and to messages and streams of all kinds.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
};

#[path = "oracle/calls.rs"]
mod calls;
mod served;
mod table;

use calls::{class::Class, generator::Generator, Answer, Server, CLOSING_OTHER};
use served::{admit_all, admit_null, Admit, Connection};
use table::{Row, Tcp, Then, STREAMS};
use wire::rpc::server;

const SERVER: Server = Server { has_echo: true };

/// Bytes for a person who looks for the wrong one.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What the codec does about a message.
fn answered(message: &[u8], admit: Admit) -> Answer {
    let mut marked = Vec::new();
    match served::message(message, admit, &mut marked) {
        server::Answer::Reply(_) => Answer::Reply(marked.split_off(4)),
        server::Answer::Drop => Answer::Nothing,
        server::Answer::Close => Answer::Close,
    }
}

/// What kind of answer it is, by what a client can tell apart.
fn kind(answer: &Answer) -> Vec<u8> {
    match answer {
        Answer::Reply(reply) => reply[4..reply.len().min(24)].to_vec(),
        Answer::Nothing => vec![0],
        Answer::Close => vec![1],
    }
}

#[test]
fn a_million_messages_of_all_kinds_get_what_is_due() {
    let mut generator = Generator::new(1);
    let mut seen: HashMap<Class, HashSet<Vec<u8>>> = HashMap::new();
    let mut over_udp = HashSet::new();
    for number in 0..1_000_000 {
        let class = generator.class();
        let message = generator.message(class);
        let due = SERVER.answer(&message);
        let which = || format!("{class:?}, message {number}: {}", hex(&message));
        assert_eq!(answered(&message, admit_all), due, "{}", which());
        let datagram = SERVER.answer_datagram(&message);
        let got = served::datagram(&message, admit_all).map_or(Answer::Nothing, Answer::Reply);
        assert_eq!(got, datagram, "{}", which());
        seen.entry(class).or_default().insert(kind(&due));
        over_udp.insert(kind(&datagram));
    }
    for class in Class::OF_MESSAGES {
        assert!(seen.contains_key(&class), "no {class:?}");
    }
    let all: HashSet<_> = seen.values().flatten().map(Vec::as_slice).collect();
    let accepted = |rest: &[u8]| [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], rest].concat();
    let denied = |rest: &[u8]| [&[0, 0, 0, 1, 0, 0, 0, 1], rest].concat();
    for possible in [
        accepted(&[0, 0, 0, 0]),
        accepted(&[0, 0, 0, 1]),
        accepted(&[0, 0, 0, 2]),
        accepted(&[0, 0, 0, 3]),
        accepted(&[0, 0, 0, 4]),
        denied(&[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2]),
        denied(&[0, 0, 0, 1, 0, 0, 0, 1]),
        denied(&[0, 0, 0, 1, 0, 0, 0, 3]),
        kind(&Answer::Nothing),
        kind(&Answer::Close),
    ] {
        assert!(all.contains(possible.as_slice()), "no {}", hex(&possible));
    }
    assert!(over_udp.contains(&accepted(&[0, 0, 0, 5])));
    // A class is what it says: what is wrong with it has consequences.
    for class in Class::OF_MESSAGES {
        let success = seen[&class].contains(&accepted(&[0, 0, 0, 0]));
        let others = seen[&class].len() - usize::from(success);
        assert_eq!(others == 0, class == Class::Valid, "{class:?}");
    }
}

/// What the table says of a row.
fn due(row: &Row) -> Answer {
    match row.tcp {
        Tcp::Reply(reply) => Answer::Reply(reply.to_vec()),
        Tcp::Nothing => Answer::Nothing,
        Tcp::Close => Answer::Close,
    }
}

#[test]
fn each_message_of_the_table_gets_what_is_due() {
    for row in table::messages().chain(table::echo()) {
        let got = answered(row.message, admit_all);
        assert_eq!(got, due(row), "{}", row.name);
        let datagram = served::datagram(row.message, admit_all);
        assert_eq!(datagram.as_deref(), row.udp, "{} over UDP", row.name);
    }
    for row in table::unprivileged() {
        let got = answered(row.message, admit_null);
        assert_eq!(got, due(row), "{}", row.name);
        let datagram = served::datagram(row.message, admit_null);
        assert_eq!(datagram.as_deref(), row.udp, "{} over UDP", row.name);
    }
}

#[test]
fn the_table_and_the_oracle_agree() {
    for row in table::messages().chain(table::echo()) {
        assert_eq!(SERVER.answer(row.message), due(row), "{}", row.name);
        let datagram = row
            .udp
            .map_or(Answer::Nothing, |reply| Answer::Reply(reply.to_vec()));
        let said = SERVER.answer_datagram(row.message);
        assert_eq!(said, datagram, "{} over UDP", row.name);
    }
    for row in STREAMS {
        let said = SERVER.converse(row.stream);
        assert_eq!(said.replies, marked(row.replies), "{}", row.name);
        let after = said.closes_at.map(|at| row.stream.len() - at);
        let is_as_it_says = match row.then {
            Then::Kept | Then::Waits => after.is_none(),
            Then::Closed => after == Some(0),
            Then::ClosedBefore => after > Some(0),
        };
        assert!(is_as_it_says, "{}: {after:?}", row.name);
    }
}

/// Replies as they are in a stream.
fn marked(replies: &[&[u8]]) -> Vec<u8> {
    let mut stream = Vec::new();
    for reply in replies {
        stream.extend_from_slice(&[0x80, 0, (reply.len() >> 8) as u8, reply.len() as u8]);
        stream.extend_from_slice(reply);
    }
    stream
}

#[test]
fn each_stream_of_the_table_gets_what_is_due_however_it_is_cut() {
    for row in STREAMS {
        let due = marked(row.replies);
        let closes = matches!(row.then, Then::Closed | Then::ClosedBefore);
        // What is long has nothing of interest in its midst.
        let cuts = (0..=row.stream.len()).filter(|at| row.stream.len() < 1_000 || *at < 100);
        for cut in cuts {
            let got = replies(row.stream, &[cut]);
            assert_eq!(got, (due.clone(), closes), "{}, cut at {cut}", row.name);
        }
        let everywhere: Vec<_> = (0..row.stream.len()).collect();
        let got = replies(row.stream, &everywhere);
        assert_eq!(got, (due.clone(), closes), "{}, bytewise", row.name);
    }
}

#[test]
fn each_valid_call_of_the_table_may_come_in_any_pieces() {
    let mut calls = 0;
    for row in table::messages().chain(table::echo()) {
        let Tcp::Reply(reply) = row.tcp else {
            continue;
        };
        // What is long has nothing of interest in its midst.
        if !row.is_served() || row.message.len() > 1_000 {
            continue;
        }
        calls += 1;
        let due = (marked(&[reply]), false);
        let stream = marked(&[row.message]);
        for cut in 0..=stream.len() {
            assert_eq!(replies(&stream, &[cut]), due, "{}, cut at {cut}", row.name);
            // The first part of its message may be a fragment of its own.
            if let Some((head, tail)) = row.message.split_at_checked(cut) {
                let mut torn = (head.len() as u32).to_be_bytes().to_vec();
                torn.extend_from_slice(head);
                torn.extend(marked(&[tail]));
                assert_eq!(replies(&torn, &[]), due, "{}, torn at {cut}", row.name);
            }
        }
        let everywhere: Vec<_> = (0..stream.len()).collect();
        assert_eq!(replies(&stream, &everywhere), due, "{}, bytewise", row.name);
    }
    assert!(calls > 20, "{calls}");
}

#[test]
fn no_two_rows_of_the_table_are_alike() {
    let rows: Vec<_> = table::messages().chain(table::echo()).collect();
    let names = rows
        .iter()
        .map(|row| row.name)
        .chain(STREAMS.iter().map(|row| row.name));
    let names: Vec<_> = names.collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    let messages: HashSet<_> = rows.iter().map(|row| row.message).collect();
    assert_eq!(messages.len(), rows.len());
}

/// What the server makes of a stream that comes in pieces that end there: the replies, and whether it closes.
fn replies(stream: &[u8], cuts: &[usize]) -> (Vec<u8>, bool) {
    let mut connection = Connection::new(admit_all);
    let (mut replies, mut from) = (Vec::new(), 0);
    for to in cuts.iter().copied().chain([stream.len()]) {
        if connection.take(&stream[from..to], &mut replies) {
            return (replies, true);
        }
        from = to;
    }
    (replies, false)
}

#[test]
fn streams_of_all_kinds_get_what_is_due_however_they_are_cut() {
    let mut generator = Generator::new(2);
    let mut ends = HashSet::new();
    let mut closed_by_others = 0;
    for number in 0..10_000 {
        let stream = generator.stream(SERVER, 40);
        let due = SERVER.converse(&stream.bytes);
        let cuts = generator.below(8);
        let mut cuts: Vec<_> = (0..cuts)
            .map(|_| generator.below(stream.bytes.len() + 1))
            .collect();
        cuts.sort_unstable();
        let (replies, closes) = replies(&stream.bytes, &cuts);
        let which = || format!("stream {number}, cut at {cuts:?}: {}", hex(&stream.bytes));
        assert_eq!(hex(&replies), hex(&due.replies), "{}", which());
        assert_eq!(closes, due.closes_at.is_some(), "{}", which());
        ends.extend(stream.records.last().map(|(class, _)| (*class, closes)));
        closed_by_others += usize::from(due.ignored == CLOSING_OTHER);
    }
    for class in Class::OF_STREAMS {
        let is_closed = class != Class::Unfinished;
        assert!(ends.contains(&(class, is_closed)), "{class:?}");
    }
    for class in [Class::Runt, Class::ShortHeader, Class::Garbage] {
        assert!(ends.contains(&(class, true)), "{class:?}");
    }
    assert!(ends.contains(&(Class::Valid, false)));
    assert!(closed_by_others > 0);
}
