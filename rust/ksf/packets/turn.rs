// SPDX-License-Identifier: GPL-2.0

//! What a turn of a packet service is given.

use super::{
    port::Buffers,
    site::{
        Load,
        Site,
        Sites, //
    }, //
};
use crate::{
    stats::{
        Core,
        Counter,
        Slot, //
    },
    sys::{
        errno,
        packet::Packet,
        sender::{
            Part,
            Sent, //
        },
        socket::Socket,
        softirq,
        udp::Flow, //
    }, //
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    sync::rcu, //
};

/// How often a datagram is handed over.
pub const HAND_OVERS: u8 = 2;

/// A turn of one core of a [`PacketService`](crate::PacketService).
pub struct Turn<'a> {
    pub(super) sites: &'a Sites,
    pub(super) site: &'a Site,
    pub(super) buffers: &'a mut Buffers,
    pub(super) socket: &'a Socket,
    pub(super) core: &'a Core,
    pub(super) slot: Slot,
    pub(super) now_us: u64,
    /// How many datagrams may still be received.
    pub(super) left: u64,
    /// How many packets may still be sent before others should have their turn.
    pub(super) sends_left: u64,
    /// What was received.
    pub(super) served: Load,
    /// How many datagrams of that are another core's now.
    pub(super) handed_over: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Something was not sent for want of room or memory.
    pub(super) is_short: bool,
    pub(super) off: &'a softirq::Disabled,
}

impl Turn<'_> {
    /// Returns when the turn began, in µs since the system was started, by a clock that never goes back.
    #[inline]
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Returns the CPU of the core, which is not always the one that this runs on.
    #[inline]
    pub fn cpu(&self) -> CpuId {
        self.site.cpu()
    }

    /// Returns the context of this call, which [`Counters`](crate::Counters) want to know.
    #[inline]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Returns the datagram that arrived first, or [`None`] when all were received, or the budget of the turn is spent: then there
    /// is another turn soon.
    pub fn receive(&mut self) -> Option<Packet> {
        if self.left == 0 {
            return None;
        }
        let skb = match self.buffers.batch.next() {
            Some(skb) => skb,
            None => {
                if self.site.is_empty() {
                    return None;
                }
                self.buffers.batch = self.site.take();
                self.buffers.batch.next()?
            }
        };
        self.left -= 1;
        self.served.add(Load::of(&skb));
        self.bytes_in += skb.len() as u64;
        Some(Packet::new(skb))
    }

    /// Gives a datagram to the core of `cpu`, which receives it in its next turn.
    ///
    /// It is dropped if there is no such core, if as much waits for that as may, or if it was handed over [`HAND_OVERS`] times
    /// before: cores that do not agree whose it is do not keep each other busy.
    pub fn hand_over(&mut self, packet: Packet, cpu: CpuId) {
        let Some(site) = self.sites.site(cpu) else {
            return self.core.count(Counter::DroppedService);
        };
        let len = packet.len() as u64;
        let mut skb = packet.into_skb();
        let hand_overs = skb.mark();
        if hand_overs >= HAND_OVERS {
            return self.core.count(Counter::DroppedService);
        }
        skb.set_mark(hand_overs + 1);
        // A service that is stopped closes its sites one after the other.
        let _rcu = rcu::read_lock();
        if !site.is_open() {
            return self.core.count(Counter::DroppedService);
        }
        match site.push(skb, self.sites.limits()) {
            Some(is_first) => {
                self.core.count(Counter::HandedOver);
                self.handed_over += 1;
                self.bytes_in = self.bytes_in.saturating_sub(len);
                // At once if it cannot be remembered.
                if is_first && self.buffers.to_wake.push_within_capacity(cpu).is_err() {
                    site.wake();
                }
            }
            None => self.core.count(Counter::DroppedQueue),
        }
    }

    /// Asks for the turns of the cores that something was handed over to. They begin with all of it.
    fn wake_others(&mut self) {
        while let Some(cpu) = self.buffers.to_wake.pop() {
            if let Some(site) = self.sites.site(cpu) {
                site.wake();
            }
        }
    }

    /// Returns whether more should be sent in this turn. If not, the service should return that the next turn is due now, so that
    /// others have theirs before.
    #[inline]
    pub fn may_go_on(&self) -> bool {
        self.sends_left != 0
    }

    /// Sends a datagram of `parts` to the peer of `flow`, from the address that this had sent to.
    ///
    /// Datagrams of the same length to the same peer that follow each other leave as one packet, which the device cuts, as does one
    /// that is shorter at the end. They leave in the order of the calls, at the end of the turn at the latest.
    ///
    /// # Errors
    ///
    /// It was not sent. `ENOBUFS`: the send buffer is full or memory is short; there is another turn soon. `EMSGSIZE`: it is longer
    /// than [`DATAGRAM_BYTES`](crate::DATAGRAM_BYTES), or in more pieces than a packet has, which is 17. `EINVAL`: it is empty, or
    /// a part is not there. Others: no route leads there.
    ///
    /// What was sent may still be lost, even before it leaves this host.
    pub fn send(&mut self, flow: &Flow, parts: &[Part<'_>]) -> Result {
        self.wake_others();
        let core = self.core;
        let (sends_left, bytes_out) = (&mut self.sends_left, &mut self.bytes_out);
        let mut sent = |sent: Sent| {
            *sends_left = sends_left.saturating_sub(1);
            *bytes_out += sent.bytes as u64;
            count(core, sent);
        };
        let sender = &mut self.buffers.sender;
        let result = sender.send(self.socket, flow, parts, self.off, &mut sent);
        if let Err(error) = result {
            if error == errno::no_buffers() {
                self.is_short = true;
                core.count(Counter::SendBlocked);
            } else {
                core.count(Counter::DroppedRoute);
            }
        }
        result
    }

    /// Returns how many bytes fit into a datagram that this host does not cut into fragments on the way to the peer of `flow`.
    ///
    /// # Errors
    ///
    /// Those of routing.
    pub fn payload_bytes(&mut self, flow: &Flow) -> Result<usize> {
        self.buffers.sender.payload(self.socket, flow, self.off)
    }

    /// Sends what waits for more.
    pub(super) fn end(&mut self) {
        self.wake_others();
        let core = self.core;
        let bytes_out = &mut self.bytes_out;
        let mut sent = |sent: Sent| {
            *bytes_out += sent.bytes as u64;
            count(core, sent);
        };
        self.buffers.sender.flush(self.socket, self.off, &mut sent);
    }
}

/// Counts what was given to IP.
fn count(core: &Core, sent: Sent) {
    core.count(Counter::Sends);
    match sent.result {
        Ok(()) => {
            core.add(Counter::DatagramsOut, sent.datagrams as u64);
            core.add(Counter::BytesOut, sent.bytes as u64);
        }
        Err(error) if error == errno::no_buffers() || error == ENOMEM => {
            core.add(Counter::DroppedMemory, sent.datagrams as u64);
        }
        Err(_) => core.add(Counter::DroppedRoute, sent.datagrams as u64),
    }
}
