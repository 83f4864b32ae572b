// SPDX-License-Identifier: GPL-2.0

//! Packets of Rx: those of each type byte by byte, and what holds for any of them.

use proptest::{collection::vec, prelude::*};
use wire::rx::{
    debug::{self, Query, Request},
    packets, version, AbortCode, Ack, AckReason, AckView, Flags, Header, PacketType, Trailer,
};

#[path = "oracle/rx.rs"]
mod oracle;
#[path = "oracle/rxdebug.rs"]
mod rxdebug;

/// A call to rxperf by a client of OpenAFS, and all that belongs to it.
const HEADER: Header = Header {
    epoch: 0x8a1b_2c3d,
    cid: 0x4e5f_6074,
    call_number: 1,
    seq: 0,
    serial: 2,
    packet_type: 0,
    flags: Flags(0),
    user_status: 0,
    security_index: 0,
    checksum: 0,
    service_id: 147,
};

/// What DEBUG and VERSION have: no connection, and a number by which `rxdebug` knows the answer.
const OUTSIDE: Header = Header {
    epoch: 999,
    cid: 0,
    call_number: 101,
    serial: 0,
    service_id: 0,
    ..HEADER
};

/// A packet of each type, or several: who sends it and what, its header, and all its bytes.
fn vectors() -> Vec<(&'static str, Header, Vec<u8>)> {
    let packet = |packet_type: PacketType, flags| Header {
        packet_type: packet_type.into(),
        flags: Flags(flags),
        ..HEADER
    };
    let outside = |packet_type: PacketType, flags| Header {
        packet_type: packet_type.into(),
        flags: Flags(flags),
        ..OUTSIDE
    };
    let connection = |header: Header| Header {
        cid: header.cid & !3,
        call_number: 0,
        security_index: 2,
        ..header
    };
    let begin = b"\x8a\x1b\x2c\x3d\x4e\x5f\x60\x74\x00\x00\x00\x01";
    let data = |header: &[u8]| [&begin[..], header].concat();
    vec![
        (
            "the request of RPC with 3 and 30 bytes",
            Header { seq: 1, serial: 1, ..packet(PacketType::Data, 0x05) },
            data(b"\x00\x00\x00\x01\x00\x00\x00\x01\x01\x05\x00\x00\x00\x00\x00\x93\
                \x00\x00\x00\x03\x00\x00\x00\x03\x00\x08\x00\x00\x00\x08\x00\x00\x00\x00\x00\x03\x00\x00\x00\x1eabc"),
        ),
        (
            "the first of several packets of a reply, with a checksum of rxkad",
            Header {
                seq: 1,
                security_index: 2,
                checksum: 0xbeef,
                ..packet(PacketType::Data, 0x0a)
            },
            data(b"\x00\x00\x00\x01\x00\x00\x00\x02\x01\x0a\x00\x02\xbe\xef\x00\x93data"),
        ),
        (
            "the probe of YFS for a newer service",
            Header { seq: 1, user_status: 1, ..packet(PacketType::Data, 0x05) },
            data(b"\x00\x00\x00\x01\x00\x00\x00\x02\x01\x05\x01\x00\x00\x00\x00\x93\x00\x01\x00\x01"),
        ),
        (
            "a jumbogram of two packets",
            Header { seq: 3, serial: 7, ..packet(PacketType::Data, 0x21) },
            [
                &data(b"\x00\x00\x00\x03\x00\x00\x00\x07\x01\x21\x00\x00\x00\x00\x00\x93")[..],
                &[b'a'; 1412],
                b"\x05\x00\x00\x00bc",
            ]
            .concat(),
        ),
        (
            "the ACK of OpenAFS for the last packet of a request",
            packet(PacketType::Ack, 0x20),
            data(b"\x00\x00\x00\x00\x00\x00\x00\x02\x02\x20\x00\x00\x00\x00\x00\x93\
                \x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x08\x01\x01\x00\x00\x00\
                \x00\x00\x16\x3c\x00\x00\x05\xa4\x00\x00\x00\x20\x00\x00\x00\x04"),
        ),
        (
            "the ACK of Linux for a lost packet",
            packet(PacketType::Ack, 0x20),
            data(b"\x00\x00\x00\x00\x00\x00\x00\x02\x02\x20\x00\x00\x00\x00\x00\x93\
                \x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x08\x00\x00\x00\x0c\x03\x04\x00\x01\x01\x01\x00\x00\x00\
                \x00\x00\xff\xff\x00\x00\x05\xa4\x00\x00\x00\xff\x00\x00\x00\x00"),
        ),
        (
            "a PING of Linux, padded to find out how large packets can be",
            packet(PacketType::Ack, 0x23),
            [
                &data(b"\x00\x00\x00\x00\x00\x00\x00\x02\x02\x23\x00\x00\x00\x00\x00\x93\
                \x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\
                \x00\x00\x05\xa4\x00\x00\x05\xa4\x00\x00\x00\xff\x00\x00\x00\x01")[..],
                &[0; 1403],
            ]
            .concat(),
        ),
        (
            "BUSY",
            packet(PacketType::Busy, 0),
            data(b"\x00\x00\x00\x00\x00\x00\x00\x02\x03\x00\x00\x00\x00\x00\x00\x93"),
        ),
        (
            "the ABORT of a call of what there is not",
            packet(PacketType::Abort, 0),
            data(b"\x00\x00\x00\x00\x00\x00\x00\x02\x04\x00\x00\x00\x00\x00\x00\x93\xff\xff\xfe\x39"),
        ),
        (
            "ACKALL",
            packet(PacketType::AckAll, 0x01),
            data(b"\x00\x00\x00\x00\x00\x00\x00\x02\x05\x01\x00\x00\x00\x00\x00\x93"),
        ),
        (
            "the CHALLENGE of rxkad",
            connection(packet(PacketType::Challenge, 0)),
            b"\x8a\x1b\x2c\x3d\x4e\x5f\x60\x74\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x06\x00\x00\x02\x00\x00\x00\x93\
                \x00\x00\x00\x02\x12\x34\x56\x78\x00\x00\x00\x02\x00\x00\x00\x00".to_vec(),
        ),
        (
            "the RESPONSE of rxkad, without its ticket",
            connection(packet(PacketType::Response, 0x01)),
            [
                &b"\x8a\x1b\x2c\x3d\x4e\x5f\x60\x74\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x07\x01\x00\x02\x00\x00\x00\x93\
                \x00\x00\x00\x02\x00\x00\x00\x00"[..],
                &[0xee; 40],
                b"\x00\x00\x01\x00\x00\x00\x00\x00",
            ]
            .concat(),
        ),
        (
            "the DEBUG of rxdebug for its third connection",
            outside(PacketType::Debug, 0x05),
            b"\x00\x00\x03\xe7\x00\x00\x00\x00\x00\x00\x00\x65\x00\x00\x00\x00\x00\x00\x00\x00\x08\x05\x00\x00\x00\x00\x00\x00\
                \x00\x00\x00\x02\x00\x00\x00\x02".to_vec(),
        ),
        (
            "the answer to a DEBUG of an unknown kind",
            outside(PacketType::Debug, 0x04),
            b"\x00\x00\x03\xe7\x00\x00\x00\x00\x00\x00\x00\x65\x00\x00\x00\x00\x00\x00\x00\x00\x08\x04\x00\x00\x00\x00\x00\x00\
                \xff\xff\xff\xf8\xff\xff\xff\xf8".to_vec(),
        ),
        (
            "PARAMS",
            packet(PacketType::Params, 0x01),
            data(b"\x00\x00\x00\x00\x00\x00\x00\x02\x09\x01\x00\x00\x00\x00\x00\x93"),
        ),
        (
            "the one without a name",
            packet(PacketType::Type10, 0x01),
            data(b"\x00\x00\x00\x00\x00\x00\x00\x02\x0a\x01\x00\x00\x00\x00\x00\x93"),
        ),
        (
            "the other without a name",
            packet(PacketType::Type11, 0x01),
            data(b"\x00\x00\x00\x00\x00\x00\x00\x02\x0b\x01\x00\x00\x00\x00\x00\x93"),
        ),
        (
            "the VERSION of rxdebug",
            outside(PacketType::Version, 0x05),
            b"\x00\x00\x03\xe7\x00\x00\x00\x00\x00\x00\x00\x65\x00\x00\x00\x00\x00\x00\x00\x00\x0d\x05\x00\x00\x00\x00\x00\x00\
                \x00".to_vec(),
        ),
        (
            "the answer of Linux to that",
            outside(PacketType::Version, 0x04),
            [
                &b"\x00\x00\x03\xe7\x00\x00\x00\x00\x00\x00\x00\x65\x00\x00\x00\x00\x00\x00\x00\x00\x0d\x04\x00\x00\x00\x00\x00\x00\
                linux-6.12.0 AF_RXRPC"[..],
                &[0; 65 - 21],
            ]
            .concat(),
        ),
    ]
}

/// The payload of the vector of this name.
fn payload(name: &str) -> Vec<u8> {
    let mut vectors = vectors().into_iter();
    let (_, _, bytes) = vectors.find(|(known, _, _)| *known == name).unwrap();
    bytes[28..].to_vec()
}

#[test]
fn the_header_of_each_packet_is_read_and_written() {
    for (name, header, bytes) in vectors() {
        let parsed = Header::parse(&bytes);
        assert_eq!(parsed, Some((header, &bytes[28..])), "{name}");
        assert_eq!(header.to_bytes(), bytes[..28], "{name}");
    }
    let mut types: Vec<_> = vectors()
        .iter()
        .map(|(_, header, _)| header.packet_type)
        .collect();
    types.dedup();
    assert_eq!(types, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]);
}

#[test]
fn each_packet_may_be_cut_anywhere() {
    for (_, _, bytes) in vectors() {
        for len in 0..=bytes.len() {
            oracle::check(&bytes[..len]);
        }
    }
}

#[test]
fn each_payload_is_what_its_type_says() {
    let (_, header, bytes) = vectors().swap_remove(3);
    let packets: Vec<_> = packets(header, &bytes[28..]).map(Result::unwrap).collect();
    let [first, second] = packets[..] else {
        panic!("{packets:?}");
    };
    assert_eq!((first.header, first.bytes), (header, &[b'a'; 1412][..]));
    let expected = Header {
        seq: 4,
        serial: 8,
        flags: Flags::CLIENT_INITIATED | Flags::LAST_PACKET,
        ..header
    };
    assert_eq!((second.header, second.bytes), (expected, &b"bc"[..]));

    let name = "the ACK of OpenAFS for the last packet of a request";
    let ack = Ack {
        buffer_space: 0,
        max_skew: 0,
        first_packet: 1,
        previous_packet: 1,
        serial: 1,
        reason: AckReason::Delay,
    };
    let trailer = Trailer {
        max_mtu: 5692,
        if_mtu: 1444,
        rwind: 32,
        jumbo_max: 4,
    };
    assert_ack(&payload(name), &ack, &[true], &trailer);

    let ack = Ack {
        first_packet: 5,
        previous_packet: 8,
        serial: 12,
        reason: AckReason::OutOfSequence,
        ..ack
    };
    let trailer = Trailer {
        max_mtu: 65_535,
        rwind: 255,
        jumbo_max: 0,
        ..trailer
    };
    let bytes = payload("the ACK of Linux for a lost packet");
    assert_ack(&bytes, &ack, &[false, true, true, true], &trailer);

    let ack = Ack {
        first_packet: 1,
        previous_packet: 0,
        serial: 0,
        reason: AckReason::Ping,
        ..ack
    };
    let trailer = Trailer {
        max_mtu: 1444,
        jumbo_max: 1,
        ..trailer
    };
    let bytes = payload("a PING of Linux, padded to find out how large packets can be");
    assert_eq!(28 + bytes.len(), 1468);
    assert_ack(&bytes, &ack, &[], &trailer);

    let bytes = payload("the ABORT of a call of what there is not");
    assert_eq!(AbortCode::parse(&bytes), Some(AbortCode::OPCODE));
    let bytes = payload("the DEBUG of rxdebug for its third connection");
    let request = Request::parse(&bytes);
    assert_eq!(request, Some(Request::new(Query::Connection, 2)));
    let bytes = payload("the answer to a DEBUG of an unknown kind");
    assert_eq!(bytes, debug::BAD_TYPE);
    let bytes = payload("the answer of Linux to that");
    assert_eq!(bytes, version::to_bytes("linux-6.12.0 AF_RXRPC"));
}

/// The payload says this, and begins with what is written.
fn assert_ack(payload: &[u8], ack: &Ack, acks: &[bool], trailer: &Trailer) {
    let view = AckView::parse(payload).unwrap();
    assert_eq!((view.ack(), view.trailer()), (*ack, Some(*trailer)));
    let found = view.acks().iter().map(|byte| *byte == 1);
    assert!(found.eq(acks.iter().copied()));
    let mut buffer = [0xff; 64];
    let len = ack.write(acks.iter().copied(), trailer, &mut buffer);
    assert!(payload.starts_with(&buffer[..len.unwrap()]));
}

/// A header that is often that of DATA, of an ACK or of a jumbogram.
fn header() -> impl Strategy<Value = Header> {
    let packet_type = prop_oneof![3 => Just(1), 1 => Just(2), 1 => any::<u8>()];
    let number = || prop_oneof![any::<u32>(), Just(u32::MAX)];
    (
        any::<[u32; 3]>(),
        [number(), number()],
        packet_type,
        any::<[u8; 3]>(),
        any::<[u16; 2]>(),
    )
        .prop_map(|(ids, [seq, serial], packet_type, bytes, ends)| Header {
            epoch: ids[0],
            cid: ids[1],
            call_number: ids[2],
            seq,
            serial,
            packet_type,
            flags: Flags(bytes[0]),
            user_status: bytes[1],
            security_index: bytes[2],
            checksum: ends[0],
            service_id: ends[1],
        })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_datagram_can_be_read(header in header(), payload in vec(any::<u8>(), 0..400), cut in 0..600_usize) {
        let mut bytes = [&header.to_bytes()[..], &payload].concat();
        bytes.truncate(cut);
        oracle::check(&bytes);
    }

    #[test]
    fn any_ack_can_be_read(
        fixed in any::<[u8; 16]>(),
        reason in 0..12_u8,
        acks in vec(any::<u8>(), 0..=255),
        rest in vec(any::<u8>(), 0..24),
        cut in 0..600_usize,
    ) {
        let count = acks.len() as u8;
        let mut bytes = [&[2; 28], &fixed[..], &[reason, count], &acks, &rest].concat();
        bytes.truncate(cut);
        oracle::check(&bytes);
    }

    #[test]
    fn packets_that_are_put_together_are_taken_apart(
        first in header(),
        others in vec((any::<u8>(), any::<u16>()), 0..5),
        end in vec(any::<u8>(), 0..1500),
        cut in prop_oneof![Just(usize::MAX), 0..7500_usize],
    ) {
        let mut header = Header {
            packet_type: PacketType::Data.into(),
            ..first
        };
        // Most are whole: not the last of the call, and with another after them.
        let link = |flags: u8| Flags(flags | 0x20).without(Flags(if flags < 0xf0 { 4 } else { 0 }));
        if !others.is_empty() {
            header.flags = link(header.flags.0);
        }
        let mut bytes = header.to_bytes().to_vec();
        for (place, (flags, checksum)) in others.iter().enumerate() {
            let more = place + 1 < others.len();
            let flags = if more { link(*flags) } else { Flags(*flags) };
            bytes.extend_from_slice(&[place as u8; 1412]);
            bytes.extend_from_slice(&[flags.0, 0xee]);
            bytes.extend_from_slice(&checksum.to_be_bytes());
        }
        bytes.extend_from_slice(&end);
        bytes.truncate(cut);
        oracle::check(&bytes);
    }

    #[test]
    fn any_numbers_are_what_rxdebug_reads(bytes in vec(any::<u8>(), 1..300)) {
        rxdebug::check(&bytes);
    }
}
