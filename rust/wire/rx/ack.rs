// SPDX-License-Identifier: GPL-2.0

//! What a receiver of DATA has, and has not.

use core::{error, fmt};

use super::Unassigned;
use crate::xdr::{
    Reader,
    Writer, //
};

/// The most packets that an ACK tells apart.
pub const MAX_ACKS: usize = 255;

/// How many bytes are between what an ACK says of each packet and its [`Trailer`]. Nobody looks at them.
pub const ACK_PADDING: usize = 3;

/// How many bytes come before what an ACK says of each packet.
pub const ACK_FIXED_BYTES: usize = 18;

/// Why an ACK is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AckReason {
    /// A packet had the flag REQUEST_ACK.
    Requested = 1,
    /// A packet has come before.
    Duplicate = 2,
    /// A packet came, but not one before it.
    OutOfSequence = 3,
    /// A packet is beyond the receiver's window, and was dropped.
    ExceedsWindow = 4,
    /// A packet was dropped for want of memory.
    NoSpace = 5,
    /// The sender asks whether the other side is there. Linux pads it with zeros, to find out how large packets can be.
    Ping = 6,
    /// The answer to a PING, whose serial number it has.
    PingResponse = 7,
    /// Nothing else has happened for a while. It says nothing on how long a packet takes.
    Delay = 8,
    /// Packets have come, or were consumed.
    Idle = 9,
}

impl TryFrom<u8> for AckReason {
    type Error = Unassigned;

    #[inline]
    fn try_from(number: u8) -> Result<Self, Unassigned> {
        Ok(match number {
            1 => Self::Requested,
            2 => Self::Duplicate,
            3 => Self::OutOfSequence,
            4 => Self::ExceedsWindow,
            5 => Self::NoSpace,
            6 => Self::Ping,
            7 => Self::PingResponse,
            8 => Self::Delay,
            9 => Self::Idle,
            _ => return Err(Unassigned(number)),
        })
    }
}

impl From<AckReason> for u8 {
    #[inline]
    fn from(reason: AckReason) -> Self {
        reason as Self
    }
}

/// Why a payload is no ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckError {
    /// It ends before what it says of the packets does. OpenAFS and Linux drop one of less than 18 bytes; of others OpenAFS
    /// reads what there is, and Linux aborts the call.
    Truncated,
    /// Its reason is none that there is. Both OpenAFS and Linux read all the rest nevertheless.
    UnknownReason(u8),
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("an ACK that is cut off"),
            Self::UnknownReason(reason) => write!(f, "an ACK for the unknown reason {reason}"),
        }
    }
}

impl error::Error for AckError {}

/// What an ACK says, but for what it says of each packet: OpenAFS's `struct rx_ackPacket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// How many buffers for packets there are. All write 0, and nobody reads it.
    pub buffer_space: u16,
    /// By how much serial numbers came out of order. All write 0, and nobody reads it.
    pub max_skew: u16,
    /// The `seq` of the first packet that has not been consumed: all before may be forgotten.
    pub first_packet: u32,
    /// The highest `seq` that has come, or with old senders that of the latest packet, or even its serial number.
    pub previous_packet: u32,
    /// The serial number of the packet that the ACK answers, or 0.
    pub serial: u32,
    /// Why it is sent.
    pub reason: AckReason,
}

/// What a receiver can take: the end of an ACK. Sizes are those of Rx packets with their headers, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The largest datagram that the receiver takes. OpenAFS reads no less than 520 and no more than 16384, Linux from 500 to
    /// 65535.
    pub max_mtu: u32,
    /// The largest packet that its interface takes.
    pub if_mtu: u32,
    /// The receive window, in packets. OpenAFS takes 0 for 1.
    pub rwind: u32,
    /// The most packets that a jumbogram may have. By 0 Linux says that it finds out itself how large datagrams can be, and
    /// OpenAFS takes it for 1.
    pub jumbo_max: u32,
}

impl Trailer {
    /// How many bytes it takes.
    pub const BYTES: usize = 16;

    /// OpenAFS's window before it knows its peer's (`rx_initSendWindow`).
    const INITIAL_RWIND: u32 = 16;

    /// Reads as many of the words as there are: two are of AFS 3.3, three of 3.4a, and all four of 3.5, which is what all send
    /// today. For the other two there is what OpenAFS goes on with then: the window with which it began, and no jumbograms.
    ///
    /// OpenAFS reads the third of three only if nothing follows it.
    ///
    /// `None` if there are fewer. OpenAFS goes back to packets of 1444 bytes then, without jumbograms; Linux changes nothing,
    /// nor does it for all those with fewer than four.
    #[inline]
    fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes.first_chunk::<{ Self::BYTES }>() {
            // As most often: a short cut.
            Some(bytes) => Self::read(Reader::new(bytes)),
            None => Self::read(Reader::new(bytes)),
        }
    }

    #[inline]
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        Some(Self {
            max_mtu: reader.u32().ok()?,
            if_mtu: reader.u32().ok()?,
            rwind: reader.u32().unwrap_or(Self::INITIAL_RWIND),
            jumbo_max: reader.u32().unwrap_or(1),
        })
    }
}

/// An ACK, in the bytes of its payload.
///
/// # Examples
///
/// ```
/// use wire::rx::{Ack, AckReason, AckView, Trailer};
///
/// let ack = Ack {
///     buffer_space: 0,
///     max_skew: 0,
///     first_packet: 7,
///     previous_packet: 9,
///     serial: 33,
///     reason: AckReason::OutOfSequence,
/// };
/// let trailer = Trailer { max_mtu: 1444, if_mtu: 1444, rwind: 255, jumbo_max: 1 };
/// let mut buffer = [0; 64];
/// let len = ack.write([false, true, true].into_iter(), &trailer, &mut buffer).unwrap();
/// let view = AckView::parse(&buffer[..len])?;
/// assert_eq!((view.ack(), view.trailer()), (ack, Some(trailer)));
/// assert_eq!((view.acks(), view.soft_acks_word(0)), (&[0, 1, 1][..], 0b110));
/// # Ok::<(), wire::rx::AckError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AckView<'a> {
    ack: Ack,
    acks: &'a [u8],
    trailer: Option<Trailer>,
}

impl<'a> AckView<'a> {
    /// Checks that the payload is an ACK. The [trailer](Self::trailer) may be cut or missing, and anything may follow it.
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, AckError> {
        let (fixed, rest) = payload
            .split_first_chunk::<ACK_FIXED_BYTES>()
            .ok_or(AckError::Truncated)?;
        let [b0, b1, m0, m1, f0, f1, f2, f3, p0, p1, p2, p3, s0, s1, s2, s3, reason, count] =
            *fixed;
        let reason = AckReason::try_from(reason)
            .map_err(|Unassigned(reason)| AckError::UnknownReason(reason))?;
        let (acks, rest) = rest
            .split_at_checked(usize::from(count))
            .ok_or(AckError::Truncated)?;
        Ok(Self {
            ack: Ack {
                buffer_space: u16::from_be_bytes([b0, b1]),
                max_skew: u16::from_be_bytes([m0, m1]),
                first_packet: u32::from_be_bytes([f0, f1, f2, f3]),
                previous_packet: u32::from_be_bytes([p0, p1, p2, p3]),
                serial: u32::from_be_bytes([s0, s1, s2, s3]),
                reason,
            },
            acks,
            trailer: rest.get(ACK_PADDING..).and_then(Trailer::parse),
        })
    }

    /// What it says, but for what follows.
    #[inline]
    pub const fn ack(&self) -> Ack {
        self.ack
    }

    /// A byte for each packet from `first_packet` on: the lowest bit is 1 if it has come and 0 if not. Of packets beyond,
    /// nothing is said. The sender keeps all of these, for the receiver may yet drop them.
    #[inline]
    pub const fn acks(&self) -> &'a [u8] {
        self.acks
    }

    /// What the receiver can take, if it says so.
    #[inline]
    pub const fn trailer(&self) -> Option<Trailer> {
        self.trailer
    }

    /// What [`Self::acks`] says of 64 packets, in one word: bit `i` is that of packet `first_packet + 64 * index + i`, and 0
    /// beyond the end.
    #[inline]
    pub fn soft_acks_word(&self, index: usize) -> u64 {
        let begin = index.saturating_mul(64);
        let bytes = self.acks.get(begin..).unwrap_or_default();
        let bytes = bytes.first_chunk::<64>().map_or(bytes, |chunk| chunk);
        let mut chunks = bytes.chunks_exact(8);
        let mut word = 0;
        let mut shift = 0_u32;
        for chunk in chunks.by_ref() {
            word |= lowest_bits(little_endian(chunk)).wrapping_shl(shift);
            shift = shift.wrapping_add(8);
        }
        word | lowest_bits(little_endian(chunks.remainder())).wrapping_shl(shift)
    }
}

/// The number in up to eight bytes, the lowest first, without a branch for each.
#[inline]
fn little_endian(mut bytes: &[u8]) -> u64 {
    if let Some(bytes) = bytes.first_chunk() {
        return u64::from_le_bytes(*bytes);
    }
    let mut number = 0;
    let mut shift = 0_u32;
    if let Some((four, rest)) = bytes.split_first_chunk() {
        number = u64::from(u32::from_le_bytes(*four));
        shift = 32;
        bytes = rest;
    }
    if let Some((two, rest)) = bytes.split_first_chunk() {
        number |= u64::from(u16::from_le_bytes(*two)).wrapping_shl(shift);
        shift = shift.wrapping_add(16);
        bytes = rest;
    }
    if let Some(one) = bytes.first() {
        number |= u64::from(*one).wrapping_shl(shift);
    }
    number
}

/// The lowest bit of each byte of `bytes`, that of the lowest byte first.
#[inline]
const fn lowest_bits(bytes: u64) -> u64 {
    // Bit 8i is moved to bit 56 + i by the bit 56 - 7i of the factor. No two of the products are at the same place.
    (bytes & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl Ack {
    /// Writes the payload of an ACK, with all words of the trailer, and returns how many bytes it takes. The flags are what is
    /// to be said of the packets from `first_packet` on.
    ///
    /// `None` if there are more than [`MAX_ACKS`] flags, or the buffer is too short.
    #[inline]
    pub fn write(
        &self,
        acks: impl ExactSizeIterator<Item = bool>,
        trailer: &Trailer,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let count = acks.len();
        let len = u8::try_from(count).ok()?;
        let begin = (u32::from(self.buffer_space) << 16) | u32::from(self.max_skew);
        let (words, rest) = buffer.split_first_chunk_mut::<{ ACK_FIXED_BYTES - 2 }>()?;
        let mut writer = Writer::new(words);
        writer.u32(begin).ok()?;
        writer.u32(self.first_packet).ok()?;
        writer.u32(self.previous_packet).ok()?;
        writer.u32(self.serial).ok()?;
        let (end, rest) = rest.split_first_chunk_mut()?;
        *end = [self.reason.into(), len];
        let (places, rest) = rest.split_at_mut_checked(count)?;
        for (place, ack) in places.iter_mut().zip(acks) {
            *place = u8::from(ack);
        }
        let (padding, rest) = rest.split_first_chunk_mut::<ACK_PADDING>()?;
        *padding = [0; ACK_PADDING];
        let mut writer = Writer::new(rest.first_chunk_mut::<{ Trailer::BYTES }>()?);
        writer.u32(trailer.max_mtu).ok()?;
        writer.u32(trailer.if_mtu).ok()?;
        writer.u32(trailer.rwind).ok()?;
        writer.u32(trailer.jumbo_max).ok()?;
        Some(count.saturating_add(ACK_FIXED_BYTES + ACK_PADDING + Trailer::BYTES))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{vec, vec::Vec};

    /// Three packets, the second of which is missing, with a different byte in most places.
    const BYTES: &[u8; 40] =
        b"\x01\x02\x03\x04\x10\x11\x12\x13\x20\x21\x22\x23\x30\x31\x32\x33\x03\x03\
        \x01\x00\x01\x00\x00\x00\
        \x00\x00\x05\xa4\x00\x00\x05\xa5\x00\x00\x00\x20\x00\x00\x00\x04";

    const ACK: Ack = Ack {
        buffer_space: 0x0102,
        max_skew: 0x0304,
        first_packet: 0x1011_1213,
        previous_packet: 0x2021_2223,
        serial: 0x3031_3233,
        reason: AckReason::OutOfSequence,
    };

    const TRAILER: Trailer = Trailer {
        max_mtu: 1444,
        if_mtu: 1445,
        rwind: 32,
        jumbo_max: 4,
    };

    #[test]
    fn each_field_has_its_place() {
        let view = AckView::parse(BYTES).unwrap();
        assert_eq!((view.ack(), view.acks()), (ACK, &[1, 0, 1][..]));
        assert_eq!(view.trailer(), Some(TRAILER));
        assert_eq!(view.soft_acks_word(0), 0b101);
    }

    #[test]
    fn what_is_written_has_the_same_bytes() {
        let mut buffer = [0xff; 50];
        let acks = [true, false, true];
        let len = ACK.write(acks.into_iter(), &TRAILER, &mut buffer);
        assert_eq!(len, Some(BYTES.len()));
        assert_eq!(buffer[..40], BYTES[..]);
        assert_eq!(buffer[40..], [0xff; 10]);
        for len in 0..BYTES.len() {
            let len = ACK.write(acks.into_iter(), &TRAILER, &mut buffer[..len]);
            assert_eq!(len, None);
        }
    }

    #[test]
    fn a_trailer_may_have_fewer_words_and_others_after_it() {
        let two = Trailer {
            rwind: 16,
            jumbo_max: 1,
            ..TRAILER
        };
        let three = Trailer {
            jumbo_max: 1,
            ..TRAILER
        };
        for len in 0..BYTES.len() {
            let result = AckView::parse(&BYTES[..len]).map(|view| view.trailer());
            let expected = match len {
                0..21 => Err(AckError::Truncated),
                21..32 => Ok(None),
                32..36 => Ok(Some(two)),
                _ => Ok(Some(three)),
            };
            assert_eq!(result, expected, "{len}");
        }
        // As Linux finds out how large packets can be.
        let mut padded = BYTES.to_vec();
        padded.resize(1416, 0);
        let view = AckView::parse(&padded).unwrap();
        assert_eq!((view.ack(), view.acks()), (ACK, &[1, 0, 1][..]));
        assert_eq!(view.trailer(), Some(TRAILER));
    }

    #[test]
    fn reasons_have_their_numbers() {
        for number in 0..=u8::MAX {
            let mut bytes = *BYTES;
            bytes[16] = number;
            let reason = AckView::parse(&bytes).map(|view| view.ack().reason);
            match number {
                1..=9 => assert_eq!(reason.map(u8::from), Ok(number)),
                _ => assert_eq!(reason, Err(AckError::UnknownReason(number))),
            }
        }
        assert_eq!(AckReason::try_from(6), Ok(AckReason::Ping));
        assert_eq!(AckReason::try_from(7), Ok(AckReason::PingResponse));
        assert_eq!(AckReason::try_from(9), Ok(AckReason::Idle));
    }

    #[test]
    fn the_count_is_of_the_packets_that_are_there() {
        for count in 0..=255 {
            let mut bytes = vec![0; 18];
            (bytes[16], bytes[17]) = (9, count);
            bytes.resize(18 + usize::from(count), 1);
            assert_eq!(
                AckView::parse(&bytes).unwrap().acks().len(),
                usize::from(count)
            );
            if bytes.len() > 18 {
                let error = AckView::parse(&bytes[..bytes.len() - 1]).unwrap_err();
                assert_eq!(error, AckError::Truncated);
            }
        }
    }

    #[test]
    fn words_have_the_lowest_bits() {
        // Other bits mean nothing here.
        let pattern: Vec<u8> = (0..255_u32)
            .map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8)
            .collect();
        for count in 0..=255 {
            let mut bytes = vec![0; 18];
            (bytes[16], bytes[17]) = (9, count);
            bytes.extend_from_slice(&pattern[..usize::from(count)]);
            // What follows is not theirs.
            bytes.extend_from_slice(&[0xff; 19]);
            let view = AckView::parse(&bytes).unwrap();
            for index in 0..6 {
                let bits = view.acks().iter().skip(64 * index).take(64).rev();
                let expected = bits.fold(0, |word, byte| (word << 1) | u64::from(byte & 1));
                assert_eq!(view.soft_acks_word(index), expected, "{count} {index}");
            }
            for index in [usize::MAX, usize::MAX / 64 + 1] {
                assert_eq!(view.soft_acks_word(index), 0);
            }
        }
    }

    #[test]
    fn there_are_at_most_255_flags() {
        let mut buffer = [0; 512];
        let mut write = |count| ACK.write(vec![true; count].into_iter(), &TRAILER, &mut buffer);
        assert_eq!(write(MAX_ACKS), Some(18 + 255 + 3 + 16));
        assert_eq!(write(MAX_ACKS + 1), None);
        assert_eq!(AckView::parse(&buffer).unwrap().acks(), [1; 255]);
    }
}
