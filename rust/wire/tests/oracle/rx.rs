// SPDX-License-Identifier: GPL-2.0

//! What a datagram of Rx is, found as C code finds it: by places in the bytes.

use wire::rx::{
    debug::Request, packets, version, AbortCode, Ack, AckError, AckReason, AckView, Flags, Header,
    JumboError, Packet, PacketType, Trailer,
};

/// The number in `len` bytes from `at` on.
pub(crate) fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let bytes = bytes[at..at + len].iter();
    bytes.fold(0, |number, byte| number * 256 + u64::from(*byte))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    number(bytes, at, 4) as u32
}

/// Takes a datagram apart in all ways, and its payload also as those of other types.
pub(crate) fn check(datagram: &[u8]) {
    let Some((header, payload)) = Header::parse(datagram) else {
        assert!(datagram.len() < 28);
        return;
    };
    assert_eq!(header, expected_header(datagram));
    assert_eq!(payload, &datagram[28..]);
    assert_eq!(header.to_bytes(), datagram[..28]);
    assert_eq!(header.connection() | header.channel() as u32, header.cid);
    assert!(header.channel() < 4 && header.connection() % 4 == 0);
    let (flags, other) = (header.flags, Flags(header.user_status));
    assert_eq!((flags | other).0, flags.0 | other.0);
    assert_eq!(flags.without(other).0, flags.0 & !other.0);
    let number = header.packet_type;
    let packet_type = PacketType::try_from(number);
    assert_eq!(packet_type.is_ok(), matches!(number, 1..=11 | 13));
    match packet_type {
        Ok(packet_type) => assert_eq!(u8::from(packet_type), number),
        Err(error) => assert!(error.to_string().starts_with(&number.to_string())),
    }
    check_packets(header, payload);
    check_ack(payload);
    let code = AbortCode::parse(payload);
    assert_eq!(code.is_some(), payload.len() >= 4);
    assert!(code.is_none_or(|code| payload.starts_with(&code.to_bytes())));
    check_debug(payload);
}

fn expected_header(bytes: &[u8]) -> Header {
    Header {
        epoch: word(bytes, 0),
        cid: word(bytes, 4),
        call_number: word(bytes, 8),
        seq: word(bytes, 12),
        serial: word(bytes, 16),
        packet_type: bytes[20],
        flags: Flags(bytes[21]),
        user_status: bytes[22],
        security_index: bytes[23],
        checksum: number(bytes, 24, 2) as u16,
        service_id: number(bytes, 26, 2) as u16,
    }
}

/// A jumbogram has the packets that Linux's `rxrpc_input_split_jumbo` finds in it.
fn check_packets(header: Header, payload: &[u8]) {
    let mut expected = Vec::new();
    let (mut header, mut offset) = (header, 0);
    let found = packets(header, payload);
    while header.packet_type == 1 && header.flags.0 & 0x20 != 0 {
        if payload.len() - offset < 1416 {
            expected.push(Err(JumboError::Truncated));
            break;
        }
        if header.flags.0 & 4 != 0 {
            expected.push(Err(JumboError::LastPacketInside));
            break;
        }
        let secondary = offset + 1412;
        let bytes = &payload[offset..secondary];
        expected.push(Ok(Packet {
            header,
            offset,
            bytes,
        }));
        header.flags = Flags(payload[secondary]);
        header.checksum = number(payload, secondary + 2, 2) as u16;
        header.seq = header.seq.wrapping_add(1);
        header.serial = header.serial.wrapping_add(1);
        offset += 1416;
    }
    if !matches!(expected.last(), Some(Err(_))) {
        let bytes = &payload[offset..];
        expected.push(Ok(Packet {
            header,
            offset,
            bytes,
        }));
    }
    let found: Vec<_> = found.collect();
    assert_eq!(found, expected);
    if let Some(Err(error)) = found.last() {
        assert!(error.to_string().starts_with("a jumbogram that "));
    }
}

/// An ACK says what OpenAFS's `rxi_ReceiveAckPacket` reads in it, and is written again.
fn check_ack(payload: &[u8]) {
    let result = AckView::parse(payload);
    if let Err(error) = result {
        assert!(error.to_string().starts_with("an ACK "));
    }
    if payload.len() < 18 {
        assert_eq!(result.unwrap_err(), AckError::Truncated);
        return;
    }
    let (reason, count) = (payload[16], usize::from(payload[17]));
    if reason == 0 || reason > 9 {
        assert_eq!(result.unwrap_err(), AckError::UnknownReason(reason));
        return;
    }
    if payload.len() < 18 + count {
        assert_eq!(result.unwrap_err(), AckError::Truncated);
        return;
    }
    let view = result.unwrap();
    let ack = Ack {
        buffer_space: number(payload, 0, 2) as u16,
        max_skew: number(payload, 2, 2) as u16,
        first_packet: word(payload, 4),
        previous_packet: word(payload, 8),
        serial: word(payload, 12),
        reason: AckReason::try_from(reason).unwrap(),
    };
    assert_eq!((view.ack(), u8::from(ack.reason)), (ack, reason));
    assert_eq!(view.acks(), &payload[18..18 + count]);
    let has_come = |place: usize| view.acks().get(place).is_some_and(|byte| byte % 2 == 1);
    for index in 0..5 {
        let places = (0..64).filter(|place| has_come(64 * index + place));
        let expected = places.fold(0, |word, place| word | (1_u64 << place));
        assert_eq!(view.soft_acks_word(index), expected);
    }
    let at = 18 + count + 3;
    let words = payload.len().saturating_sub(at) / 4;
    let trailer = (words >= 2).then(|| Trailer {
        max_mtu: word(payload, at),
        if_mtu: word(payload, at + 4),
        rwind: if words > 2 { word(payload, at + 8) } else { 16 },
        jumbo_max: if words > 3 { word(payload, at + 12) } else { 1 },
    });
    assert_eq!(view.trailer(), trailer);

    // Written again it is the same, but for what nobody looks at.
    let mut expected = payload[..18].to_vec();
    expected.extend((0..count).map(|place| u8::from(has_come(place))));
    expected.extend_from_slice(&[0; 3]);
    let trailer = trailer.unwrap_or(Trailer {
        max_mtu: 1,
        if_mtu: 2,
        rwind: 3,
        jumbo_max: 4,
    });
    for value in [
        trailer.max_mtu,
        trailer.if_mtu,
        trailer.rwind,
        trailer.jumbo_max,
    ] {
        expected.extend_from_slice(&value.to_be_bytes());
    }
    let mut buffer = vec![0xaa; expected.len()];
    let acks: Vec<_> = (0..count).map(has_come).collect();
    let mut write = |len: usize| ack.write(acks.iter().copied(), &trailer, &mut buffer[..len]);
    assert_eq!(write(expected.len() - 1), None);
    assert_eq!(write(expected.len()), Some(expected.len()));
    assert_eq!(buffer, expected);
}

/// A request of DEBUG is two words, and an answer of VERSION a string of C.
fn check_debug(payload: &[u8]) {
    match Request::parse(payload) {
        Some(request) => {
            assert_eq!(request.to_bytes(), payload[..8]);
            assert_eq!(request.number, word(payload, 0));
            assert_eq!(request.index, word(payload, 4) as i32);
            let known = (1..=5).contains(&request.number);
            let again = |query| Request::new(query, request.index);
            assert_eq!(request.query().map(again), known.then_some(request));
        }
        None => assert!(payload.len() < 8),
    }
    let text = version::text(payload);
    assert!(payload.starts_with(text) && !text.contains(&0) && text.len() <= 65);
    let end = payload.get(text.len());
    assert!(text.len() == 65 || end.is_none_or(|byte| *byte == 0));
    if let Ok(text) = std::str::from_utf8(text) {
        let answer = version::to_bytes(text);
        let len = text.len().min(64);
        assert_eq!(answer[..len], text.as_bytes()[..len]);
        assert!(answer[len..].iter().all(|byte| *byte == 0));
    }
}
