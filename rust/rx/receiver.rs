// SPDX-License-Identifier: GPL-2.0

//! The side of a call that receives data: puts packets into order, and knows what is to be acknowledged.

use wire::rx::{
    Ack,
    AckReason,
    Flags, //
};

use crate::{
    instant::Instant,
    storage::{
        place,
        usable, //
    },
    MAX_WINDOW, //
};

/// For how long an acknowledgement may wait for more, in µs (OpenAFS, `rx_softAckDelay`).
const ACK_DELAY_US: u64 = 100_000;

/// How many packets are acknowledged at once at the latest (OpenAFS and Linux).
const ACK_EVERY: u32 = 2;

/// What became of a packet.
#[derive(Debug)]
pub(crate) enum Taken<P> {
    /// It is the next one.
    InOrder { payload: P, is_last: bool },
    /// It came before its turn, or has come before, or there is no place for it.
    Not,
    /// It contradicts what came before.
    Wrong,
}

/// Receives the data of a call in one direction.
#[derive(Debug)]
pub(crate) struct Receiver<P, U> {
    /// The first packet that was not given to the user.
    next: u32,
    /// The highest that has come, or 0.
    highest: u32,
    last: Option<u32>,
    unread: Option<U>,
    /// There was no memory for places.
    is_short: bool,
    /// How many are kept there.
    kept: u32,
    /// The acknowledgement that is to be sent at once, with the number of the packet that caused it.
    due: Option<(AckReason, u32)>,
    /// Packets in order since the last acknowledgement, and the serial number of the newest.
    unacknowledged: u32,
    newest_serial: u32,
    ack_at: Option<Instant>,
    payload: core::marker::PhantomData<P>,
}

impl<P, U: AsMut<[Option<P>]> + AsRef<[Option<P>]>> Receiver<P, U> {
    pub(crate) const fn new() -> Self {
        Self {
            next: 1,
            highest: 0,
            last: None,
            unread: None,
            is_short: false,
            kept: 0,
            due: None,
            unacknowledged: 0,
            newest_serial: 0,
            ack_at: None,
            payload: core::marker::PhantomData,
        }
    }

    /// Gets places for packets that come before their turn from `make`, if packet `seq` says that it will need some.
    pub(crate) fn prepare(&mut self, seq: u32, flags: Flags, make: impl FnOnce() -> Option<U>) {
        let is_only = seq == 1 && flags.contains(Flags::LAST_PACKET);
        if self.unread.is_none() && self.last.is_none() && !is_only {
            self.unread = make();
            self.is_short = self.unread.is_none();
        }
    }

    /// Gives the places up: nothing more is kept.
    pub(crate) fn free(&mut self) {
        self.unread = None;
        self.kept = 0;
    }

    /// How many packets may come from the next one on.
    pub(crate) fn window(&self) -> u32 {
        let places = match &self.unread {
            Some(unread) => usable(unread.as_ref().len()),
            None => 1,
        };
        u32::try_from(places)
            .unwrap_or(MAX_WINDOW)
            .clamp(1, MAX_WINDOW)
    }

    /// How many packets the peer is told that it may send: as many as there are places or, while none are needed, `usual`.
    pub(crate) fn announced_window(&self, usual: u32) -> u32 {
        if self.unread.is_some() || self.is_short {
            self.window()
        } else {
            usual.clamp(1, MAX_WINDOW)
        }
    }

    /// Whether all has come and was given to the user.
    pub(crate) fn is_done(&self) -> bool {
        self.last.is_some_and(|last| self.next > last)
    }

    /// Takes packet `seq`, with the number `serial`.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        seq: u32,
        serial: u32,
        flags: Flags,
        payload: P,
    ) -> Taken<P> {
        let is_last = flags.contains(Flags::LAST_PACKET);
        let is_wrong = match self.last {
            Some(last) => seq > last || (is_last && seq != last),
            None => is_last && seq < self.highest,
        };
        if is_wrong {
            return Taken::Wrong;
        }
        let requests_ack = flags.contains(Flags::REQUEST_ACK);
        if seq < self.next {
            self.acknowledge(AckReason::Duplicate, serial);
            return Taken::Not;
        }
        if seq.wrapping_sub(self.next) >= self.window() {
            // Linux's client fails a call of which nothing has come (rxrpc_input_ack); and a server that was restarted
            // knows nothing of what came to the one before (OpenAFS a36832e2d).
            if self.highest == 0 {
                return Taken::Not;
            }
            self.acknowledge(AckReason::ExceedsWindow, serial);
            return Taken::Not;
        }
        self.highest = self.highest.max(seq);
        if is_last {
            self.last = Some(seq);
        }
        if seq != self.next {
            self.keep(seq, serial, payload);
            return Taken::Not;
        }
        self.next = self.next.saturating_add(1);
        self.newest_serial = serial;
        self.unacknowledged = self.unacknowledged.saturating_add(1);
        if requests_ack {
            self.acknowledge(AckReason::Requested, serial);
        } else if self.unacknowledged >= ACK_EVERY || self.kept != 0 {
            // A gap that is filled is told at once (RFC 5681, section 4.2).
            self.acknowledge(AckReason::Idle, serial);
        } else {
            self.ack_at.get_or_insert(now.after_us(ACK_DELAY_US));
        }
        Taken::InOrder {
            payload,
            is_last: self.is_done(),
        }
    }

    /// Keeps a packet that came before its turn.
    fn keep(&mut self, seq: u32, serial: u32, payload: P) {
        let Some(unread) = &mut self.unread else {
            return;
        };
        let places = unread.as_mut();
        let usable = usable(places.len());
        let Some(kept) = places.get_mut(place(seq, usable)) else {
            return;
        };
        // Another one cannot be there: it would be a window away.
        if kept.is_some() {
            self.acknowledge(AckReason::Duplicate, serial);
            return;
        }
        *kept = Some(payload);
        self.kept = self.kept.saturating_add(1);
        self.acknowledge(AckReason::OutOfSequence, serial);
    }

    /// Returns the next packet in order, if it has come before its turn, and whether it is the last.
    pub(crate) fn next_kept(&mut self) -> Option<(P, bool)> {
        if self.kept == 0 {
            return None;
        }
        let places = self.unread.as_mut()?.as_mut();
        let usable = usable(places.len());
        let payload = places.get_mut(place(self.next, usable))?.take()?;
        self.kept = self.kept.saturating_sub(1);
        self.next = self.next.saturating_add(1);
        self.unacknowledged = self.unacknowledged.saturating_add(1);
        Some((payload, self.is_done()))
    }

    /// Has an acknowledgement sent at once. One that was asked for is not replaced by one that was not.
    pub(crate) fn acknowledge(&mut self, reason: AckReason, serial: u32) {
        let keeps = matches!(
            (self.due, reason),
            (Some((AckReason::PingResponse, _)), reason) if reason != AckReason::PingResponse
        ) || matches!(
            (self.due, reason),
            (
                Some((AckReason::Requested, _)),
                AckReason::Idle | AckReason::Delay
            )
        );
        if !keeps {
            self.due = Some((reason, serial));
        }
    }

    /// The reply is complete. A sender of several packets is waiting to hear of the last one; one that sent only one can
    /// wait until `at`, for the next call would tell as much.
    pub(crate) fn acknowledge_last(&mut self, at: Instant) {
        if self.last == Some(1) {
            self.ack_at = Some(at);
        } else {
            self.acknowledge(AckReason::Idle, self.newest_serial);
        }
    }

    /// What has come is acknowledged by a packet of another kind. An answer to a ping is due all the same.
    pub(crate) fn acknowledge_implicitly(&mut self) {
        self.due = self
            .due
            .filter(|(reason, _)| *reason == AckReason::PingResponse);
        self.ack_at = None;
        self.unacknowledged = 0;
    }

    /// When one is to be sent if nothing else comes.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.ack_at
    }

    /// Does what is due at [`Self::deadline()`].
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.ack_at.take_if(|at| *at <= now).is_some() && self.due.is_none() {
            self.due = Some((AckReason::Delay, self.newest_serial));
        }
    }

    /// The acknowledgement that is due, if one is.
    pub(crate) fn due_ack(&self) -> Option<Ack> {
        self.due.map(|(reason, serial)| self.ack(reason, serial))
    }

    /// It was sent.
    pub(crate) fn on_ack_sent(&mut self) {
        self.due = None;
        self.ack_at = None;
        self.unacknowledged = 0;
    }

    /// An acknowledgement of what has come.
    pub(crate) fn ack(&self, reason: AckReason, serial: u32) -> Ack {
        Ack {
            buffer_space: 0,
            max_skew: 0,
            first_packet: self.next,
            // Linux's client fails a call on some reasons if this is 0.
            previous_packet: self.highest,
            serial,
            reason,
        }
    }

    /// Which packets from the next one on have come.
    pub(crate) fn soft_acks(&self) -> impl ExactSizeIterator<Item = bool> + '_ {
        let count = if self.kept == 0 {
            0
        } else {
            self.highest.saturating_add(1).saturating_sub(self.next)
        };
        let places = self.unread.as_ref().map(AsRef::as_ref).unwrap_or_default();
        let usable = usable(places.len());
        (0..count.min(MAX_WINDOW) as u8).map(move |offset| {
            let seq = self.next.saturating_add(u32::from(offset));
            places.get(place(seq, usable)).is_some_and(Option::is_some)
        })
    }
}
