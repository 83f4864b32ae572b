// SPDX-License-Identifier: GPL-2.0

//! Packets as the protocol lays them out, written apart from `wire::rx`: what the tests build and look at does not depend on
//! the codec that the engine uses.

use std::fmt;

pub(crate) const DATA: u8 = 1;
pub(crate) const ACK: u8 = 2;
pub(crate) const BUSY: u8 = 3;
pub(crate) const ABORT: u8 = 4;
pub(crate) const ACKALL: u8 = 5;
pub(crate) const CHALLENGE: u8 = 6;
pub(crate) const RESPONSE: u8 = 7;
pub(crate) const VERSION: u8 = 13;

pub(crate) const CLIENT_INITIATED: u8 = 1;
pub(crate) const REQUEST_ACK: u8 = 2;
pub(crate) const LAST: u8 = 4;
pub(crate) const MORE: u8 = 8;
pub(crate) const JUMBO: u8 = 0x20;

pub(crate) const REQUESTED: u8 = 1;
pub(crate) const DUPLICATE: u8 = 2;
pub(crate) const OUT_OF_SEQUENCE: u8 = 3;
pub(crate) const EXCEEDS_WINDOW: u8 = 4;
pub(crate) const NO_SPACE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const PING_RESPONSE: u8 = 7;
pub(crate) const DELAY: u8 = 8;
pub(crate) const IDLE: u8 = 9;

pub(crate) const HEADER_BYTES: usize = 28;

/// How many bytes of a call a packet carries, but for its last: what a jumbogram's packets carry too.
pub(crate) const DATA_BYTES: usize = 1412;

/// A packet that is not in a jumbogram: the header's fields, and what follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) epoch: u32,
    pub(crate) cid: u32,
    pub(crate) call_number: u32,
    pub(crate) seq: u32,
    pub(crate) serial: u32,
    pub(crate) packet_type: u8,
    pub(crate) flags: u8,
    pub(crate) user_status: u8,
    pub(crate) security_index: u8,
    pub(crate) checksum: u16,
    pub(crate) service_id: u16,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    pub(crate) fn parse(datagram: &[u8]) -> Option<Self> {
        let (header, payload) = datagram.split_at_checked(HEADER_BYTES)?;
        let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let word = |at: usize| (u32::from(half(at)) << 16) | u32::from(half(at + 2));
        Some(Self {
            epoch: word(0),
            cid: word(4),
            call_number: word(8),
            seq: word(12),
            serial: word(16),
            packet_type: header[20],
            flags: header[21],
            user_status: header[22],
            security_index: header[23],
            checksum: half(24),
            service_id: half(26),
            payload: payload.to_vec(),
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(HEADER_BYTES + self.payload.len());
        for word in [
            self.epoch,
            self.cid,
            self.call_number,
            self.seq,
            self.serial,
        ] {
            datagram.extend(word.to_be_bytes());
        }
        datagram.extend([
            self.packet_type,
            self.flags,
            self.user_status,
            self.security_index,
        ]);
        datagram.extend(self.checksum.to_be_bytes());
        datagram.extend(self.service_id.to_be_bytes());
        datagram.extend(&self.payload);
        datagram
    }

    pub(crate) fn channel(&self) -> usize {
        (self.cid & 3) as usize
    }

    pub(crate) fn connection(&self) -> (u32, u32) {
        (self.epoch, self.cid & !3)
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn ack(&self) -> Option<Ack> {
        if self.packet_type == ACK {
            Ack::parse(&self.payload)
        } else {
            None
        }
    }
}

/// What an ACK says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) first: u32,
    pub(crate) previous: u32,
    pub(crate) serial: u32,
    pub(crate) reason: u8,
    pub(crate) acks: Vec<u8>,
    /// The words that follow: maxMTU, ifMTU, rwind and jumbo_max, or the first of them.
    pub(crate) trailer: Vec<u32>,
}

impl Ack {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            Some(u32::from_be_bytes(
                payload.get(at..at + 4)?.try_into().ok()?,
            ))
        };
        let count = usize::from(*payload.get(17)?);
        let acks = payload.get(18..18 + count)?.to_vec();
        let trailer = (0..4)
            .map_while(|index| word(18 + count + 3 + 4 * index))
            .collect();
        Some(Self {
            first: word(4)?,
            previous: word(8)?,
            serial: word(12)?,
            reason: *payload.get(16)?,
            acks,
            trailer,
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut payload = vec![0; 4];
        for word in [self.first, self.previous, self.serial] {
            payload.extend(word.to_be_bytes());
        }
        payload.extend([self.reason, u8::try_from(self.acks.len()).unwrap()]);
        payload.extend(&self.acks);
        if !self.trailer.is_empty() {
            payload.extend([0; 3]);
        }
        for word in &self.trailer {
            payload.extend(word.to_be_bytes());
        }
        payload
    }
}

impl fmt::Display for Packet {
    /// A line of a trace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TYPES: [&str; 14] = [
            "0",
            "DATA",
            "ACK",
            "BUSY",
            "ABORT",
            "ACKALL",
            "CHALLENGE",
            "RESPONSE",
            "DEBUG",
            "9",
            "10",
            "11",
            "12",
            "VERSION",
        ];
        const REASONS: [&str; 10] = [
            "0",
            "REQUESTED",
            "DUPLICATE",
            "OUT_OF_SEQUENCE",
            "EXCEEDS_WINDOW",
            "NOSPACE",
            "PING",
            "PING_RESPONSE",
            "DELAY",
            "IDLE",
        ];
        let name = TYPES.get(usize::from(self.packet_type)).unwrap_or(&"?");
        write!(
            f,
            "{:x}.{}#{} serial {} {name}",
            self.cid & !3,
            self.cid & 3,
            self.call_number,
            self.serial
        )?;
        for (flag, name) in [
            (CLIENT_INITIATED, "c"),
            (REQUEST_ACK, "r"),
            (LAST, "l"),
            (MORE, "m"),
            (JUMBO, "j"),
        ] {
            if self.has(flag) {
                write!(f, " {name}")?;
            }
        }
        match self.ack() {
            _ if self.packet_type == DATA => {
                write!(f, " seq {} of {} bytes", self.seq, self.payload.len())
            }
            Some(ack) => {
                let reason = REASONS.get(usize::from(ack.reason)).unwrap_or(&"?");
                let acks: String = ack
                    .acks
                    .iter()
                    .map(|ack| if ack & 1 == 1 { '+' } else { '-' })
                    .collect();
                write!(
                    f,
                    " {reason} of {} first {} previous {} {acks} {:?}",
                    ack.serial, ack.first, ack.previous, ack.trailer
                )
            }
            None if self.packet_type == ABORT => {
                let code = self
                    .payload
                    .first_chunk()
                    .map(|code| i32::from_be_bytes(*code));
                write!(f, " {code:?}")
            }
            None => write!(f, " {} bytes", self.payload.len()),
        }
    }
}
