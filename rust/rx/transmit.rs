// SPDX-License-Identifier: GPL-2.0

//! What a connection sends.

use wire::rx::{
    Ack,
    AckReason,
    Flags,
    Header,
    PacketType,
    Trailer,
    ACK_FIXED_BYTES,
    ACK_PADDING,
    MAX_ACKS, //
};

use crate::{
    connection::{
        Connection,
        Side, //
    },
    instant::Instant,
    peer::Peer,
    sender::Due,
    storage::Storage,
    CHANNELS,
    DATA_BYTES,
    HEADER_BYTES, //
};

/// The largest header and payload of a packet that is not DATA, in bytes: an ACK that tells of as many packets as it can.
pub const MAX_CONTROL_BYTES: usize =
    HEADER_BYTES + ACK_FIXED_BYTES + MAX_ACKS + ACK_PADDING + Trailer::BYTES;

/// What a datagram costs beyond its own bytes: the headers of IPv4 and UDP.
const DATAGRAM_OVERHEAD: usize = 28;

/// The payload of a ping that is to prove an address. It has no trailer, so that the smallest request of a fetch pays for it;
/// OpenAFS and Linux can do without.
const PROOF_PAYLOAD_BYTES: usize = ACK_FIXED_BYTES;

/// What it costs, beyond what any datagram does.
const PROOF_BYTES: usize = HEADER_BYTES + PROOF_PAYLOAD_BYTES + DATAGRAM_OVERHEAD;

/// How soon a ping that was to prove the peer's address is repeated at first, in µs.
const REACH_US: u64 = 250_000;

/// How soon it is repeated later, in µs (OpenAFS, `rxi_CheckReachEvent()`).
const MAX_REACH_US: u64 = 2_000_000;

/// The largest packet that we send and like to get, in bytes with its header.
#[allow(clippy::cast_possible_truncation, reason = "both are small constants")]
const MTU: u32 = DATA_BYTES as u32 + HEADER_BYTES as u32;

/// A packet to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// How many bytes were written to the buffer: a header, and the payload unless that is data.
    pub bytes: usize,
    /// What of a call follows, if the packet is DATA.
    pub data: Option<Range>,
    /// It was sent before.
    pub is_resent: bool,
}

/// A part of the data that a call sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// On which channel.
    pub channel: usize,
    /// Of which call.
    pub call_number: u32,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u16,
}

/// What a packet is, in a word.
struct Packet {
    packet_type: PacketType,
    channel: usize,
    call_number: u32,
    seq: u32,
    flags: Flags,
}

impl Packet {
    const fn control(packet_type: PacketType, channel: usize, call_number: u32) -> Self {
        Self {
            packet_type,
            channel,
            call_number,
            seq: 0,
            flags: Flags(0),
        }
    }
}

impl<S: Storage> Connection<S> {
    /// Returns the next packet that is to be sent, if there is one. Its header, and its payload unless that is data, are written
    /// to `buffer`, which has to have [`MAX_CONTROL_BYTES`].
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        if buffer.len() < MAX_CONTROL_BYTES {
            return None;
        }
        if let Some(code) = self.closed {
            if !self.is_abort_due {
                return None;
            }
            let packet = Packet::control(PacketType::Abort, 0, 0);
            let sent = self.control(now, peer, &packet, &code.to_bytes(), buffer);
            self.is_abort_due = sent.is_none();
            return sent;
        }
        for _ in 0..CHANNELS {
            let transmit = self.poll_channel(now, peer, self.turn, buffer);
            if transmit.is_some() {
                return transmit;
            }
            self.turn = self.turn.wrapping_add(1) % CHANNELS;
        }
        None
    }

    fn poll_channel(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        index: usize,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        let due = self.due(index);
        // To a client that is to prove its address first, the question comes before all answers, which may use up what may
        // be sent there.
        let is_blocked = due
            .as_ref()
            .is_some_and(|due| !self.may_send(now, peer, data_bytes(due)));
        let reserve = if is_blocked { PROOF_BYTES } else { 0 };
        let channel = self.channels.get_mut(index)?;
        if is_blocked && self.reach_at.is_none() {
            channel.is_ping_due = true;
        }
        if channel.is_ping_due {
            let sent = self.ping(now, peer, index, is_blocked, buffer);
            if sent.is_some() {
                return sent;
            }
        }
        let channel = self.channels.get(index)?;
        let (abort, busy, ack) = (channel.abort, channel.busy, channel.receiver.due_ack());
        // What may not be sent now stays due.
        if let Some((number, code)) = abort {
            let packet = Packet::control(PacketType::Abort, index, number);
            let sent = self.control(now, peer, &packet, &code.to_bytes(), buffer);
            if sent.is_some() {
                self.channels.get_mut(index)?.abort = None;
                return sent;
            }
        }
        if let Some(number) = busy {
            let packet = Packet::control(PacketType::Busy, index, number);
            let sent = self.control(now, peer, &packet, &[], buffer);
            if sent.is_some() {
                self.channels.get_mut(index)?.busy = None;
                return sent;
            }
        }
        if let Some(ack) = ack {
            let flags = Flags::SLOW_START_OK;
            let sent = self.ack(now, peer, index, flags, &ack, usize::MAX, reserve, buffer);
            if sent.is_some() {
                self.channels.get_mut(index)?.receiver.on_ack_sent();
                return sent;
            }
        }
        let due = due.filter(|_| !is_blocked)?;
        self.data(now, peer, index, &due, buffer)
    }

    /// The DATA packet that is due on a channel.
    fn due(&self, index: usize) -> Option<Due> {
        self.channels.get(index)?.sender.as_ref()?.due()
    }

    /// Sends a ping on a channel, if it may be sent. `is_for_proof`: data waits for the answer.
    fn ping(
        &mut self,
        now: Instant,
        peer: &Peer,
        index: usize,
        is_for_proof: bool,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        let ack = self.channels.get(index)?.receiver.ack(AckReason::Ping, 0);
        let flags = Flags::SLOW_START_OK | Flags::REQUEST_ACK;
        let most = if is_for_proof {
            PROOF_PAYLOAD_BYTES
        } else {
            usize::MAX
        };
        let sent = self.ack(now, peer, index, flags, &ack, most, 0, buffer)?;
        self.ping = Some((self.serial, now));
        if is_for_proof {
            let us = self.reach_us.clamp(REACH_US, MAX_REACH_US);
            self.reach_at = Some(now.after_us(us));
            self.reach_us = us.saturating_mul(2);
        }
        let channel = self.channels.get_mut(index)?;
        channel.is_ping_due = false;
        channel.pinged_at = now;
        Some(sent)
    }

    /// Whether a packet of so many bytes may be sent: to a client that has not proved that it is where its packets seem to
    /// come from, no more than came from there.
    fn may_send(&self, now: Instant, peer: &Peer, bytes: usize) -> bool {
        self.side == Side::Client || peer.is_proven(now) || self.credit >= cost(bytes)
    }

    /// A packet of so many bytes, which may be sent, is.
    fn pay(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(cost(bytes));
    }

    /// Sends the DATA packet that is due.
    fn data(
        &mut self,
        now: Instant,
        peer: &Peer,
        index: usize,
        due: &Due,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        let is_server = self.side == Side::Server;
        let serial = self.next_serial();
        let channel = self.channels.get_mut(index)?;
        let call_number = channel.number;
        let sender = channel.sender.as_mut()?;
        // For the last packet of a request the reply is the answer. That of a reply never asks: OpenAFS would acknowledge
        // it until further notice, and never for good (Linux, `rxrpc_prepare_data_subpacket()`).
        let may_ask = !due.is_last || (!is_server && due.is_resent);
        let mut flags = Flags::default();
        if due.is_last {
            flags = flags | Flags::LAST_PACKET;
        }
        if may_ask && (due.is_resent || sender.halts_after(due)) {
            flags = flags | Flags::REQUEST_ACK;
        }
        sender.on_sent(now, due, serial, &peer.rtt);
        self.pay(data_bytes(due));
        let packet = Packet {
            seq: due.seq,
            flags,
            ..Packet::control(PacketType::Data, index, call_number)
        };
        self.write(&packet, serial, &[], buffer)?;
        Some(Transmit {
            bytes: HEADER_BYTES,
            data: Some(Range {
                channel: index,
                call_number,
                offset: due.offset,
                bytes: due.bytes,
            }),
            is_resent: due.is_resent,
        })
    }

    /// Sends an ACK with a payload of at most so many bytes, if it may be sent and `reserve` bytes after it.
    #[expect(clippy::too_many_arguments, reason = "they are what an ACK is made of")]
    fn ack(
        &mut self,
        now: Instant,
        peer: &Peer,
        index: usize,
        flags: Flags,
        ack: &Ack,
        most: usize,
        reserve: usize,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        let channel = self.channels.get(index)?;
        let trailer = Trailer {
            max_mtu: MTU,
            if_mtu: MTU,
            rwind: channel.receiver.announced_window(S::RECEIVE_WINDOW),
            // Jumbograms would be fragments of IP. By 0, Linux would say that it finds out what is possible.
            jumbo_max: 1,
        };
        let payload = buffer.get_mut(HEADER_BYTES..)?;
        let soft_acks = channel.receiver.soft_acks();
        let most = most.saturating_add(soft_acks.len());
        let payload_bytes = ack.write(soft_acks, &trailer, payload)?.min(most);
        let packet = Packet {
            flags,
            ..Packet::control(PacketType::Ack, index, channel.number)
        };
        let bytes = payload_bytes.saturating_add(HEADER_BYTES);
        if !self.may_send(now, peer, bytes.saturating_add(reserve)) {
            return None;
        }
        self.pay(bytes);
        let serial = self.next_serial();
        self.write(&packet, serial, &[], buffer)?;
        Some(Transmit::control(bytes))
    }

    /// Sends a packet that is neither DATA nor ACK, if it may be sent.
    fn control(
        &mut self,
        now: Instant,
        peer: &Peer,
        packet: &Packet,
        payload: &[u8],
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        let bytes = payload.len().saturating_add(HEADER_BYTES);
        if !self.may_send(now, peer, bytes) {
            return None;
        }
        self.pay(bytes);
        let serial = self.next_serial();
        self.write(packet, serial, payload, buffer)?;
        Some(Transmit::control(bytes))
    }

    /// Writes header and payload, if there is room.
    fn write(&self, packet: &Packet, serial: u32, payload: &[u8], buffer: &mut [u8]) -> Option<()> {
        let side = match self.side {
            Side::Client => Flags::CLIENT_INITIATED,
            Side::Server => Flags::default(),
        };
        let header = Header {
            epoch: self.identity.epoch,
            // A channel is less than four.
            cid: self.identity.cid | u32::try_from(packet.channel).ok()?,
            call_number: packet.call_number,
            seq: packet.seq,
            serial,
            packet_type: packet.packet_type as u8,
            flags: packet.flags | side,
            user_status: 0,
            security_index: 0,
            checksum: 0,
            service_id: self.identity.service_id,
        };
        let (first, rest) = buffer.split_first_chunk_mut()?;
        *first = header.to_bytes();
        rest.get_mut(..payload.len())?.copy_from_slice(payload);
        Some(())
    }

    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }
}

impl Transmit {
    const fn control(bytes: usize) -> Self {
        Self {
            bytes,
            data: None,
            is_resent: false,
        }
    }
}

/// What a datagram of so many bytes costs, with the headers of IPv4 and UDP.
pub(crate) fn cost(bytes: usize) -> u64 {
    u64::try_from(bytes.saturating_add(DATAGRAM_OVERHEAD)).unwrap_or(u64::MAX)
}

/// How many bytes a DATA packet has, with its header.
fn data_bytes(due: &Due) -> usize {
    usize::from(due.bytes).saturating_add(HEADER_BYTES)
}
