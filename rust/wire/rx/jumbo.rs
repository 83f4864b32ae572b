// SPDX-License-Identifier: GPL-2.0

//! Jumbograms: several DATA packets in one datagram.
//!
//! The datagram's header is that of the first packet. Each packet but the last has the flag JUMBO_PACKET and
//! [`JUMBO_DATA_BYTES`] bytes, and then comes the next one's secondary header, which has flags, a zero byte and a checksum.
//! All else is as in the packet before, with `seq` and `serial` one higher; both wrap around as in OpenAFS's
//! `rxi_SplitJumboPacket` and Linux's `rxrpc_input_split_jumbo`, which do not look at the zero byte either.

use core::{error, fmt};

use super::{
    Flags,
    Header,
    PacketType, //
};

/// How many bytes each packet of a jumbogram has, but for the last one, which may have fewer or more.
pub const JUMBO_DATA_BYTES: usize = 1412;

/// How many bytes the header of each but the first packet of a jumbogram takes.
pub const JUMBO_HEADER_BYTES: usize = 4;

/// One packet of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The packet's header, as if it had come alone, but for the flag JUMBO_PACKET.
    pub header: Header,
    /// Where its payload is in that of the datagram, in bytes.
    pub offset: usize,
    /// Its payload, which may be empty.
    pub bytes: &'a [u8],
}

/// Why the rest of a jumbogram has no packets. Linux aborts the call with [`PROTOCOL_ERROR`] then, but has taken the packets
/// before.
///
/// [`PROTOCOL_ERROR`]: super::AbortCode::PROTOCOL_ERROR
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JumboError {
    /// A packet with the flag JUMBO_PACKET has not enough bytes after it for itself and the header of the next one. OpenAFS
    /// takes it for the last packet.
    Truncated,
    /// A packet is the last one of its call, but not of its datagram. OpenAFS does not mind.
    LastPacketInside,
}

impl fmt::Display for JumboError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a jumbogram that is cut off",
            Self::LastPacketInside => "a jumbogram that goes on after the call's last packet",
        })
    }
}

impl error::Error for JumboError {}

/// The packets of a datagram with this header and payload: those of a jumbogram, or else one, which is the datagram itself.
///
/// # Examples
///
/// ```
/// use wire::rx::{packets, Flags, Header};
///
/// let header = Header { packet_type: 1, seq: 5, flags: Flags::JUMBO_PACKET, ..Header::default() };
/// let payload = [&[7; 1412][..], b"\x04\0\0\0", b"end"].concat();
/// let last = packets(header, &payload).last().unwrap()?;
/// assert_eq!((last.header.seq, last.header.flags), (6, Flags::LAST_PACKET));
/// assert_eq!((last.offset, last.bytes), (1416, &b"end"[..]));
/// # Ok::<(), wire::rx::JumboError>(())
/// ```
#[inline]
pub const fn packets(header: Header, payload: &[u8]) -> Packets<'_> {
    Packets {
        next: Some(header),
        rest: payload,
        offset: 0,
    }
}

/// Takes a datagram apart: see [`packets`]. After an error there is nothing.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    /// The header of the next packet.
    next: Option<Header>,
    /// The payload from there on.
    rest: &'a [u8],
    /// Where that begins.
    offset: usize,
}

impl<'a> Packets<'a> {
    /// Takes a packet that others follow.
    // Out of line: jumbograms are rare.
    fn split(&mut self, header: Header) -> Result<Packet<'a>, JumboError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(JUMBO_DATA_BYTES)
            .ok_or(JumboError::Truncated)?;
        let (secondary, rest) = rest
            .split_first_chunk::<JUMBO_HEADER_BYTES>()
            .ok_or(JumboError::Truncated)?;
        if header.flags.contains(Flags::LAST_PACKET) {
            return Err(JumboError::LastPacketInside);
        }
        let [flags, _zero, c0, c1] = *secondary;
        let offset = self.offset;
        self.next = Some(Header {
            seq: header.seq.wrapping_add(1),
            serial: header.serial.wrapping_add(1),
            flags: Flags(flags),
            checksum: u16::from_be_bytes([c0, c1]),
            ..header
        });
        self.rest = rest;
        // It is never beyond the payload.
        self.offset = offset.saturating_add(JUMBO_DATA_BYTES + JUMBO_HEADER_BYTES);
        Ok(Packet {
            header,
            offset,
            bytes,
        })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, JumboError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let header = self.next.take()?;
        if header.flags.contains(Flags::JUMBO_PACKET)
            && header.packet_type == u8::from(PacketType::Data)
        {
            return Some(self.split(header));
        }
        Some(Ok(Packet {
            header,
            offset: self.offset,
            bytes: self.rest,
        }))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{vec, vec::Vec};

    const HEADER: Header = Header {
        epoch: 0x8000_0001,
        cid: 9,
        call_number: 2,
        seq: 7,
        serial: 20,
        packet_type: 1,
        flags: Flags(0x21),
        user_status: 0,
        security_index: 2,
        checksum: 0x1111,
        service_id: 147,
    };

    /// Three packets, of which the last has some bytes.
    fn payload() -> Vec<u8> {
        let mut payload = vec![1; JUMBO_DATA_BYTES];
        payload.extend_from_slice(b"\x23\xff\x22\x22");
        payload.extend_from_slice(&[2; JUMBO_DATA_BYTES]);
        payload.extend_from_slice(b"\x05\x00\x33\x33abc");
        payload
    }

    fn all(header: Header, payload: &[u8]) -> Vec<Result<Packet<'_>, JumboError>> {
        packets(header, payload).collect()
    }

    #[test]
    fn a_datagram_is_a_packet() {
        for flags in [Flags(0), Flags::LAST_PACKET, Flags(0xdf)] {
            let header = Header { flags, ..HEADER };
            for bytes in [&b""[..], b"abc", &[9; 3000]] {
                let packet = Packet {
                    header,
                    offset: 0,
                    bytes,
                };
                assert_eq!(all(header, bytes), [Ok(packet)]);
            }
        }
    }

    #[test]
    fn a_jumbogram_is_several_packets() {
        let payload = payload();
        let second = Header {
            seq: 8,
            serial: 21,
            flags: Flags(0x23),
            checksum: 0x2222,
            ..HEADER
        };
        let third = Header {
            seq: 9,
            serial: 22,
            flags: Flags(5),
            checksum: 0x3333,
            ..HEADER
        };
        let expected = [
            (HEADER, 0, &[1; JUMBO_DATA_BYTES][..]),
            (second, 1416, &[2; JUMBO_DATA_BYTES]),
            (third, 2832, b"abc"),
        ]
        .map(|(header, offset, bytes)| {
            Ok(Packet {
                header,
                offset,
                bytes,
            })
        });
        assert_eq!(all(HEADER, &payload), expected);
    }

    #[test]
    fn in_other_packets_that_flag_means_something_else() {
        let header = Header {
            packet_type: 2,
            ..HEADER
        };
        let payload = payload();
        let packet = Packet {
            header,
            offset: 0,
            bytes: &payload,
        };
        assert_eq!(all(header, &payload), [Ok(packet)]);
    }

    #[test]
    fn a_jumbogram_can_end_with_an_empty_packet_but_not_before() {
        let payload = payload();
        for len in 0..payload.len() {
            let packets = all(HEADER, &payload[..len]);
            let whole = len / 1416;
            let last = packets.last().unwrap();
            match len {
                2832.. => assert_eq!(last.unwrap().bytes.len(), len - 2832),
                _ => assert_eq!(*last, Err(JumboError::Truncated), "{len}"),
            }
            assert_eq!(packets.len(), whole + 1, "{len}");
            assert!(packets.iter().take(whole).all(Result::is_ok));
        }
    }

    #[test]
    fn the_last_packet_of_a_call_is_the_last_of_its_datagram() {
        let error = Err(JumboError::LastPacketInside);
        let flags = Flags(0x25);
        let header = Header { flags, ..HEADER };
        assert_eq!(all(header, &payload()), [error]);
        let mut payload = payload();
        payload[JUMBO_DATA_BYTES] = flags.0;
        let packets = all(HEADER, &payload);
        assert_eq!((packets.len(), packets[1]), (2, error));
    }

    #[test]
    fn seq_and_serial_wrap_around() {
        let header = Header {
            seq: u32::MAX,
            serial: u32::MAX,
            ..HEADER
        };
        let payload = payload();
        let packets = all(header, &payload);
        let numbers = packets
            .iter()
            .map(|packet| (packet.unwrap().header.seq, packet.unwrap().header.serial));
        assert_eq!(
            numbers.collect::<Vec<_>>(),
            [(u32::MAX, u32::MAX), (0, 0), (1, 1)]
        );
    }
}
