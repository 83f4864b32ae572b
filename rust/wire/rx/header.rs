// SPDX-License-Identifier: GPL-2.0

//! What each datagram begins with.

use core::ops::BitOr;

use super::Unassigned;
use crate::xdr::Reader;

/// How many bytes a header takes.
pub const HEADER_BYTES: usize = 28;

/// What each datagram begins with: OpenAFS's `struct rx_header`, Linux's `struct rxrpc_wire_header`.
///
/// # Examples
///
/// ```
/// use wire::rx::{Flags, Header, PacketType};
///
/// let header = Header {
///     epoch: 0x8000_0001,
///     cid: 8 | 3,
///     call_number: 1,
///     seq: 1,
///     serial: 1,
///     packet_type: PacketType::Data.into(),
///     flags: Flags::CLIENT_INITIATED | Flags::LAST_PACKET,
///     service_id: 147,
///     ..Header::default()
/// };
/// assert_eq!((header.connection(), header.channel()), (8, 3));
/// let datagram = [&header.to_bytes()[..], b"payload"].concat();
/// assert_eq!(Header::parse(&datagram), Some((header, &b"payload"[..])));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Which start of the client this is. The highest bit says that it is a random number, and not a time.
    pub epoch: u32,
    /// The client's number of the connection, and in the lowest two bits the channel.
    pub cid: u32,
    /// The number of the call on its channel, from 1, or 0 if the packet is about the connection.
    pub call_number: u32,
    /// The number of a DATA packet in its call, from 1 in each direction; 0 in all others.
    pub seq: u32,
    /// The number of the packet among all that its sender sent on the connection, from 1; repetitions have new ones.
    pub serial: u32,
    /// What the payload is: [`PacketType`].
    pub packet_type: u8,
    /// What else is to be known of the packet.
    pub flags: Flags,
    /// A number for the application. Clients of AuriStor ask for a newer service by 1.
    pub user_status: u8,
    /// The security class: 0 for none, 2 for rxkad, 4 for rxgk, 6 for YFS's rxgk.
    pub security_index: u8,
    /// A checksum by the security class, or 0.
    pub checksum: u16,
    /// The service that the client calls. Only VERSION and DEBUG have 0.
    pub service_id: u16,
}

impl Header {
    /// Takes a header off the front of a datagram, and returns it with the payload. `None` if the datagram is shorter.
    #[inline]
    pub fn parse(datagram: &[u8]) -> Option<(Self, &[u8])> {
        // The only length that is checked at run time.
        let (header, payload) = datagram.split_first_chunk::<HEADER_BYTES>()?;
        let mut reader = Reader::new(header);
        let header = Self {
            epoch: reader.u32().ok()?,
            cid: reader.u32().ok()?,
            call_number: reader.u32().ok()?,
            seq: reader.u32().ok()?,
            serial: reader.u32().ok()?,
            ..Self::parse_end(reader.take_array().ok()?)
        };
        Some((header, payload))
    }

    /// What follows the serial number, beside zeros.
    #[inline]
    fn parse_end(bytes: &[u8; 8]) -> Self {
        let [packet_type, flags, user_status, security_index, c0, c1, s0, s1] = *bytes;
        Self {
            packet_type,
            flags: Flags(flags),
            user_status,
            security_index,
            checksum: u16::from_be_bytes([c0, c1]),
            service_id: u16::from_be_bytes([s0, s1]),
            ..Self::default()
        }
    }

    /// The header as it is in the datagram.
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let kind = [
            self.packet_type,
            self.flags.0,
            self.user_status,
            self.security_index,
        ];
        let end = (u32::from(self.checksum) << 16) | u32::from(self.service_id);
        // Words, which the compiler stores as such.
        let words = [
            self.epoch.to_be_bytes(),
            self.cid.to_be_bytes(),
            self.call_number.to_be_bytes(),
            self.seq.to_be_bytes(),
            self.serial.to_be_bytes(),
            kind,
            end.to_be_bytes(),
        ];
        let bytes = words.as_flattened().first_chunk().copied();
        // There are so many.
        bytes.unwrap_or([0; HEADER_BYTES])
    }

    /// The channel, which is less than [`CHANNELS`](super::CHANNELS).
    #[inline]
    pub const fn channel(&self) -> usize {
        (self.cid & 3) as usize
    }

    /// The connection's number: that of its channel 0.
    #[inline]
    pub const fn connection(&self) -> u32 {
        self.cid & !3
    }
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
    /// A part of a request or a reply; it may be a [jumbogram](super::packets).
    Data = 1,
    /// What has been received: [`AckView`](super::AckView).
    Ack = 2,
    /// The server cannot take the call now. It has no payload.
    Busy = 3,
    /// The call, or with call number 0 the connection, has failed: [`AbortCode`](super::AbortCode).
    Abort = 4,
    /// All that was sent has been received and consumed. It has no payload.
    AckAll = 5,
    /// The server asks who the client is.
    Challenge = 6,
    /// The client's answer to that.
    Response = 7,
    /// Asks what a server is doing, outside of connections.
    Debug = 8,
    /// Reserved for negotiating parameters, and ignored.
    Params = 9,
    /// Ignored.
    Type10 = 10,
    /// Ignored.
    Type11 = 11,
    /// Asks which program the other side is, outside of connections.
    Version = 13,
}

impl TryFrom<u8> for PacketType {
    type Error = Unassigned;

    #[inline]
    fn try_from(number: u8) -> Result<Self, Unassigned> {
        Ok(match number {
            1 => Self::Data,
            2 => Self::Ack,
            3 => Self::Busy,
            4 => Self::Abort,
            5 => Self::AckAll,
            6 => Self::Challenge,
            7 => Self::Response,
            8 => Self::Debug,
            9 => Self::Params,
            10 => Self::Type10,
            11 => Self::Type11,
            13 => Self::Version,
            _ => return Err(Unassigned(number)),
        })
    }
}

impl From<PacketType> for u8 {
    #[inline]
    fn from(packet_type: PacketType) -> Self {
        packet_type as Self
    }
}

/// What else is to be known of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender is the client of the connection.
    pub const CLIENT_INITIATED: Self = Self(0x01);
    /// The sender wants an ACK now.
    pub const REQUEST_ACK: Self = Self(0x02);
    /// This is the last DATA of the request or the reply.
    pub const LAST_PACKET: Self = Self(0x04);
    /// More DATA follows at once.
    pub const MORE_PACKETS: Self = Self(0x08);
    /// In DATA: another packet follows in the same datagram.
    pub const JUMBO_PACKET: Self = Self(0x20);
    /// In ACK: the sender acknowledges every other packet, as slow start needs it.
    pub const SLOW_START_OK: Self = Self(0x20);

    /// Whether all of these are set.
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and the others.
    #[inline]
    pub const fn union(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// These but for the others.
    #[inline]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, flags: Self) -> Self {
        self.union(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first packet of a call, with a different byte in each place.
    const BYTES: &[u8; HEADER_BYTES] = b"\x81\x02\x03\x04\x05\x06\x07\x0b\x10\x11\x12\x13\
        \x20\x21\x22\x23\x30\x31\x32\x33\x01\x27\x41\x02\x50\x51\x60\x61";

    const HEADER: Header = Header {
        epoch: 0x8102_0304,
        cid: 0x0506_070b,
        call_number: 0x1011_1213,
        seq: 0x2021_2223,
        serial: 0x3031_3233,
        packet_type: 1,
        flags: Flags(0x27),
        user_status: 0x41,
        security_index: 2,
        checksum: 0x5051,
        service_id: 0x6061,
    };

    #[test]
    fn each_field_has_its_place() {
        assert_eq!(Header::parse(BYTES), Some((HEADER, &b""[..])));
        assert_eq!(HEADER.to_bytes(), *BYTES);
        assert_eq!((HEADER.connection(), HEADER.channel()), (0x0506_0708, 3));
    }

    #[test]
    fn shorter_datagrams_have_no_header() {
        for len in 0..HEADER_BYTES {
            assert_eq!(Header::parse(&BYTES[..len]), None, "{len}");
        }
    }

    #[test]
    fn what_follows_the_header_is_the_payload() {
        let mut datagram = [7; HEADER_BYTES + 3];
        datagram[..HEADER_BYTES].copy_from_slice(BYTES);
        assert_eq!(Header::parse(&datagram), Some((HEADER, &[7; 3][..])));
    }

    #[test]
    fn types_have_their_numbers() {
        let mut assigned = 0;
        for number in 0..=u8::MAX {
            match PacketType::try_from(number) {
                Ok(packet_type) => {
                    assert_eq!(u8::from(packet_type), number);
                    assigned += 1;
                }
                Err(error) => assert_eq!(error, Unassigned(number)),
            }
        }
        assert_eq!(assigned, 12);
        assert_eq!(PacketType::try_from(2), Ok(PacketType::Ack));
        assert_eq!(PacketType::try_from(8), Ok(PacketType::Debug));
        assert_eq!(PacketType::try_from(13), Ok(PacketType::Version));
    }

    #[test]
    fn flags_are_sets() {
        let flags = Flags::CLIENT_INITIATED | Flags::LAST_PACKET;
        assert_eq!(flags, Flags(5));
        assert!(flags.contains(Flags::LAST_PACKET) && flags.contains(flags));
        assert!(!flags.contains(Flags::LAST_PACKET | Flags::REQUEST_ACK));
        assert_eq!(flags.without(Flags::CLIENT_INITIATED), Flags::LAST_PACKET);
        assert_eq!(flags.without(Flags::MORE_PACKETS), flags);
        assert_eq!(Flags::JUMBO_PACKET, Flags::SLOW_START_OK);
    }
}
