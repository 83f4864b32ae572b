// SPDX-License-Identifier: GPL-2.0

//! When a packet is taken for lost: RACK, tail-loss probes (both RFC 8985) and the retransmission timeout.

use crate::{
    instant::Instant,
    rtt::Rtt,
    storage::Sent, //
};

/// After how many packets that arrived around a hole it is a loss, if no packet was ever reordered (RFC 5681).
const DUPLICATE_THRESHOLD: u32 = 3;

/// The most quarters of a round trip that a packet may be overtaken.
const MAX_QUARTERS: u32 = 16;

/// The timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// A packet that was overtaken has had its time.
    Reordering,
    /// Nothing came for two round trips: the last packets may be lost.
    Probe,
    /// Nothing came for long.
    Timeout,
}

/// What is known of losses in one direction of a call.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    delays_last: bool,
    timer: Option<(Instant, Expired)>,
    /// How often the timeout has expired since something came.
    backoff: u32,
    /// A probe is to be sent.
    wants_probe: bool,
    /// A probe was sent, and nothing came since.
    is_probed: bool,
    /// The packet that was the first never sent when losses were found: with it they are repaired.
    until: Option<u32>,
    /// How many were found since.
    lost: u32,
    is_congested: bool,
    /// Of all packets that arrived, the one that was sent last: when, its number, and how long it took.
    delivered: Option<(Instant, u32, u64)>,
    /// The highest packet that arrived.
    highest: u32,
    /// Packets were seen out of order.
    is_reordered: bool,
    /// How many quarters of a round trip a packet may be overtaken.
    quarters: u32,
}

impl Recovery {
    /// `delays_last`: the peer may delay the acknowledgement of the last packet.
    pub(crate) const fn new(delays_last: bool) -> Self {
        Self {
            delays_last,
            timer: None,
            backoff: 0,
            wants_probe: false,
            is_probed: false,
            until: None,
            lost: 0,
            is_congested: false,
            delivered: None,
            highest: 0,
            is_reordered: false,
            quarters: 1,
        }
    }

    /// Whether losses of this window are being repaired.
    pub(crate) const fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// Whether a packet is to be sent even if the window is full.
    pub(crate) const fn wants_probe(&self) -> bool {
        self.wants_probe
    }

    /// The probe is not sent.
    pub(crate) fn drop_probe(&mut self) {
        self.wants_probe = false;
    }

    /// So many packets are lost that were not known to be. Begins to repair that, unless that was begun. `next` is the first packet
    /// that was never sent. Returns how many were lost since it was begun.
    pub(crate) fn on_loss(&mut self, next: u32, lost: u32) -> u32 {
        if self.until.is_none() {
            self.until = Some(next);
            self.lost = 0;
            self.is_congested = false;
        }
        self.lost = self.lost.saturating_add(lost);
        self.lost
    }

    /// Whether the losses of this window are those of congestion.
    pub(crate) const fn is_congested(&self) -> bool {
        self.is_on() && self.is_congested
    }

    /// They are.
    pub(crate) fn set_congested(&mut self) {
        self.is_congested = true;
    }

    /// Nothing is expected any more.
    pub(crate) fn stop(&mut self) {
        self.timer = None;
        self.wants_probe = false;
        self.until = None;
    }

    /// A packet was sent, and `in_flight` are on their way now. `is_tail`: the last packet was sent.
    pub(crate) fn on_sent(&mut self, now: Instant, rtt: &Rtt, in_flight: u32, is_tail: bool) {
        self.wants_probe = false;
        if !matches!(self.timer, Some((_, Expired::Reordering))) {
            self.arm(now, rtt, None, true, in_flight, is_tail);
        }
    }

    /// Packet `seq` has arrived. `is_echo`: the acknowledgement says that it was the one that was sent last.
    pub(crate) fn on_delivered(
        &mut self,
        now: Instant,
        seq: u32,
        sent: &Sent,
        is_echo: bool,
        min_rtt_us: u64,
    ) {
        if seq < self.highest && !sent.is_resent {
            self.is_reordered = true;
        }
        self.highest = self.highest.max(seq);
        let took_us = now.us_since(sent.at);
        // It may have been sent again in vain, and the acknowledgement be one of the packet before (RFC 8985, section 6.2,
        // step 2).
        if sent.is_resent && !is_echo && took_us < min_rtt_us {
            return;
        }
        let is_latest = self
            .delivered
            .is_none_or(|(at, last, _)| (at, last) < (sent.at, seq));
        if is_latest {
            self.delivered = Some((sent.at, seq, took_us));
        }
    }

    /// A packet that was taken for lost has arrived.
    pub(crate) fn on_spurious_loss(&mut self) {
        self.is_reordered = true;
        self.quarters = self.quarters.saturating_add(1).min(MAX_QUARTERS);
    }

    /// Something new arrived; `first` is not acknowledged for good.
    pub(crate) fn on_progress(&mut self, first: u32) {
        self.backoff = 0;
        self.is_probed = false;
        self.wants_probe = false;
        if self.until.is_some_and(|until| first >= until) {
            self.until = None;
        }
    }

    /// For how many µs a packet may be overtaken before it is lost (RFC 8985, section 6.2, step 4). So many packets were
    /// acknowledged beyond the first that was not.
    pub(crate) fn reordering_us(&self, rtt: &Rtt, acked: u32) -> u64 {
        if !self.is_reordered && (self.is_on() || acked >= DUPLICATE_THRESHOLD) {
            return 0;
        }
        let quarters = u64::from(self.quarters);
        let us = (rtt.min_us().unwrap_or(0) / 4).saturating_mul(quarters);
        us.min(rtt.smoothed_us().unwrap_or(us))
    }

    /// When packet `seq` is lost unless it arrives; `None` if none that was sent after it has arrived.
    pub(crate) fn lost_at(&self, seq: u32, sent: &Sent, reordering_us: u64) -> Option<Instant> {
        let (at, last, took_us) = self.delivered?;
        let is_overtaken = (sent.at, seq) < (at, last);
        is_overtaken.then(|| sent.at.after_us(took_us).after_us(reordering_us))
    }

    /// Whether the timer is one that only news sets anew (RFC 6298, section 5): a peer that asks whether we are there, again and again,
    /// must not put it off.
    pub(crate) const fn waits_for_news(&self) -> bool {
        matches!(self.timer, Some((_, Expired::Probe | Expired::Timeout)))
    }

    /// Sets the timer, after something was sent or has come: `reorder_at` if packets were overtaken.
    ///
    /// `is_waiting` says that something is not acknowledged for good, `unacked` how much not at all.
    pub(crate) fn arm(
        &mut self,
        now: Instant,
        rtt: &Rtt,
        reorder_at: Option<Instant>,
        is_waiting: bool,
        unacked: u32,
        is_tail: bool,
    ) {
        let rto_us = rtt.rto_us(self.backoff);
        self.timer = if let Some(at) = reorder_at {
            Some((at, Expired::Reordering))
        } else if !is_waiting {
            None
        } else if self.is_probed || self.is_on() || unacked == 0 {
            Some((now.after_us(rto_us), Expired::Timeout))
        } else {
            let probe_us = rtt.probe_us(is_tail && self.delays_last).min(rto_us);
            Some((now.after_us(probe_us), Expired::Probe))
        };
    }

    /// Waits for the timeout.
    pub(crate) fn await_timeout(&mut self, now: Instant, rtt: &Rtt) {
        self.timer = Some((now.after_us(rtt.rto_us(self.backoff)), Expired::Timeout));
    }

    /// Waits for the timeout twice as long as the last time.
    pub(crate) fn back_off(&mut self, now: Instant, rtt: &Rtt) {
        self.backoff = self.backoff.saturating_add(1);
        self.await_timeout(now, rtt);
    }

    /// When the timer expires.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timer.map(|(at, _)| at)
    }

    /// Returns which timer has expired, if one has. It is not set any more then.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Expired> {
        let (_, expired) = self.timer.take_if(|(at, _)| *at <= now)?;
        if expired == Expired::Probe {
            self.wants_probe = true;
            self.is_probed = true;
        }
        Some(expired)
    }
}
