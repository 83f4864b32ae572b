// SPDX-License-Identifier: GPL-2.0

//! The side of a call that sends data: which packet is due, and what became of those that were sent.

use wire::rx::{
    AckReason,
    AckView, //
};

use crate::{
    congestion::Congestion,
    connection::Side,
    instant::Instant,
    peer::Peer,
    recovery::{
        Expired,
        Recovery, //
    },
    rtt::Rtt,
    seqs::Seqs,
    storage::{
        place,
        usable,
        Sent, //
    },
    MAX_WINDOW, //
};

/// How many packets a peer takes that did not say (OpenAFS, `rx_initSendWindow`).
const INITIAL_PEER_WINDOW: u32 = 16;

/// What is wrong with an acknowledgement: it speaks of what was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeverSent;

/// What an acknowledgement has told so far.
struct News {
    now: Instant,
    /// The serial number that it echoes.
    echoed: u32,
    min_rtt_us: u64,
    /// How long ago the packet was sent that it echoes.
    sample_us: Option<u64>,
    /// How many packets have arrived of which that was not known.
    packets: u32,
}

/// A packet that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) seq: u32,
    /// Where its data begins in that of the call, in bytes.
    pub(crate) offset: u64,
    pub(crate) bytes: u16,
    pub(crate) is_last: bool,
    pub(crate) is_resent: bool,
}

/// Sends the data of a call in one direction.
#[derive(Debug)]
pub(crate) struct Sender<U> {
    /// What there is to send, in bytes.
    length: u64,
    /// How many bytes a packet carries.
    data_bytes: u16,
    /// The number of the last packet.
    last: u32,
    /// Up to which packet the data is there.
    available: u32,
    /// The last packet waits until all others are acknowledged.
    holds_last: bool,
    /// The first packet that is not acknowledged for good.
    pub(crate) first: u32,
    /// The first that was never sent.
    pub(crate) next: u32,
    /// Those between the two that are acknowledged until further notice.
    pub(crate) acked: Seqs,
    /// Those that are lost and not sent again.
    pub(crate) lost: Seqs,
    unacked: Option<U>,
    /// In its place, if there is none.
    single: Sent,
    /// How many packets the peer takes.
    peer_window: u32,
    /// The serial number of the newest acknowledgement.
    newest_ack: Option<u32>,
    pub(crate) congestion: Congestion,
    pub(crate) recovery: Recovery,
    resent: u32,
}

impl<U: AsMut<[Sent]> + AsRef<[Sent]>> Sender<U> {
    /// Is about to send `length` bytes, which fit into as many packets as there are numbers. `None` if they do not.
    pub(crate) fn new(
        now: Instant,
        peer: &Peer,
        side: Side,
        peer_window: Option<u32>,
        length: u64,
        unacked: Option<U>,
    ) -> Option<Self> {
        // Numbers beyond would make comparing them hard.
        let last = u32::try_from(peer.packets(length))
            .ok()
            .filter(|last| *last <= u32::MAX / 2)?;
        Some(Self {
            length,
            data_bytes: peer.data_bytes(),
            last,
            available: last,
            holds_last: false,
            first: 1,
            next: 1,
            acked: Seqs::default(),
            lost: Seqs::default(),
            unacked,
            single: Sent::default(),
            peer_window: peer_window.unwrap_or(INITIAL_PEER_WINDOW),
            newest_ack: None,
            congestion: peer.congestion(now),
            // A server waits for its reply to acknowledge a request, a client for its next call to acknowledge a reply.
            recovery: Recovery::new(side == Side::Client || last == 1),
            resent: 0,
        })
    }

    /// Only so many bytes are there yet.
    pub(crate) fn set_available(&mut self, bytes: u64) {
        self.available = if bytes >= self.length {
            self.last
        } else {
            let packets = bytes.checked_div(u64::from(self.data_bytes)).unwrap_or(0);
            u32::try_from(packets).unwrap_or(self.last).min(self.last)
        };
    }

    /// The last packet is to wait until all others are acknowledged.
    pub(crate) fn hold_last(&mut self) {
        self.holds_last = true;
    }

    /// Whether all has arrived. Nobody drops what it has acknowledged until further notice when that is all that there is, and
    /// OpenAFS's client may never acknowledge it for good (OpenAFS, `rxi_ReceiveAckPacket()`: `RX_STATE_DALLY`).
    pub(crate) fn is_done(&self) -> bool {
        self.next > self.last && self.has_arrived()
    }

    /// Whether all that was sent has arrived.
    fn has_arrived(&self) -> bool {
        self.in_flight() == 0 && self.lost.is_empty()
    }

    /// Whether something was sent that is not acknowledged for good.
    pub(crate) fn is_waiting(&self) -> bool {
        self.first < self.next
    }

    /// How many packets it has or will have.
    pub(crate) const fn packets(&self) -> u32 {
        self.last
    }

    /// How many packets were sent again.
    pub(crate) const fn resent(&self) -> u32 {
        self.resent
    }

    /// How many packets are on their way, as far as can be known (RFC 6675, "pipe").
    pub(crate) fn in_flight(&self) -> u32 {
        self.next
            .saturating_sub(self.first)
            .saturating_sub(self.acked.len())
            .saturating_sub(self.lost.len())
    }

    /// How many packets may be sent and not be acknowledged for good.
    fn window(&self) -> u32 {
        let places = match &self.unacked {
            Some(unacked) => usable(unacked.as_ref().len()),
            None => 1,
        };
        u32::try_from(places)
            .unwrap_or(MAX_WINDOW)
            .min(MAX_WINDOW)
            .min(self.peer_window)
            .max(1)
    }

    /// The packet that is due, if one is.
    #[inline]
    pub(crate) fn due(&self) -> Option<Due> {
        let is_probe = self.recovery.wants_probe();
        if self.in_flight() >= self.congestion.window() && !is_probe {
            return None;
        }
        if let Some(seq) = self.lost.first_from(self.first) {
            return Some(self.packet(seq));
        }
        if self.may_send_next() {
            return Some(self.packet(self.next));
        }
        // A probe without new data is the last packet (RFC 8985, section 7.3).
        if is_probe {
            let mut unacked = (self.first..self.next).rev();
            return unacked
                .find(|seq| !self.acked.contains(*seq))
                .map(|seq| self.packet(seq));
        }
        None
    }

    fn may_send_next(&self) -> bool {
        self.next <= self.available
            && self.next < self.first.saturating_add(self.window())
            && !(self.holds_last && self.next == self.last && !self.has_arrived())
    }

    fn packet(&self, seq: u32) -> Due {
        let offset = u64::from(seq.saturating_sub(1)).saturating_mul(u64::from(self.data_bytes));
        let left = self.length.saturating_sub(offset);
        Due {
            seq,
            offset,
            bytes: u16::try_from(left).map_or(self.data_bytes, |left| left.min(self.data_bytes)),
            is_last: seq == self.last,
            is_resent: seq < self.next,
        }
    }

    /// Whether the sender would come to a halt after the packet that is due: then it needs to hear of it soon.
    pub(crate) fn halts_after(&self, due: &Due) -> bool {
        if self.recovery.wants_probe() {
            return true;
        }
        let next = if due.is_resent {
            self.next
        } else {
            due.seq.saturating_add(1)
        };
        let in_flight = self.in_flight().saturating_add(1);
        let lost = self.lost.len().saturating_sub(u32::from(due.is_resent));
        in_flight >= self.congestion.window()
            || (lost == 0
                && (next > self.available || next >= self.first.saturating_add(self.window())))
    }

    /// The packet that was due was sent.
    pub(crate) fn on_sent(&mut self, now: Instant, due: &Due, serial: u32, rtt: &Rtt) {
        let is_resent = due.is_resent;
        self.lost.remove(due.seq);
        if is_resent {
            self.resent = self.resent.saturating_add(1);
        } else {
            self.next = due.seq.saturating_add(1);
        }
        if let Some(sent) = self.sent_mut(due.seq) {
            *sent = Sent {
                at: now,
                serial,
                is_resent,
            };
        }
        let (in_flight, is_tail) = (self.in_flight(), self.next > self.last);
        self.recovery.on_sent(now, rtt, in_flight, is_tail);
    }

    /// What is known of packet `seq`, which was sent and is not acknowledged for good.
    pub(crate) fn sent(&self, seq: u32) -> Option<&Sent> {
        match &self.unacked {
            Some(unacked) => {
                let places = unacked.as_ref();
                places.get(place(seq, usable(places.len())))
            }
            None => Some(&self.single),
        }
    }

    fn sent_mut(&mut self, seq: u32) -> Option<&mut Sent> {
        match &mut self.unacked {
            Some(unacked) => {
                let places = unacked.as_mut();
                let usable = usable(places.len());
                places.get_mut(place(seq, usable))
            }
            None => Some(&mut self.single),
        }
    }

    /// All that was sent is acknowledged, says what came of the call after it.
    pub(crate) fn on_implicit_ack(&mut self) {
        self.first = self.next;
        self.acked.clear();
        self.lost.clear();
        self.recovery.stop();
    }

    /// An acknowledgement has come, in a packet with number `serial`.
    ///
    /// # Errors
    ///
    /// [`NeverSent`]; nothing of it was taken then.
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        view: &AckView<'_>,
        serial: u32,
        peer: &mut Peer,
    ) -> Result<(), NeverSent> {
        let ack = view.ack();
        let count = u32::try_from(view.acks().len()).unwrap_or(u32::MAX);
        // An empty one may say that it expects the first packet as 0 (Linux's rxrpc, before the first packet).
        let first = ack.first_packet.max(1);
        if first > self.next || first.saturating_add(count) > self.next {
            return Err(NeverSent);
        }
        let is_old = first < self.first
            || self
                .newest_ack
                .is_some_and(|newest| is_before(serial, newest));
        if is_old {
            return Ok(());
        }
        self.newest_ack = Some(serial);
        if let Some(trailer) = view.trailer() {
            // OpenAFS takes 0 as 1, too: a window is opened by a packet only.
            self.peer_window = trailer.rwind.clamp(1, MAX_WINDOW);
        }
        let was_full = self.in_flight().saturating_add(1) >= self.congestion.window();
        let mut news = News {
            now,
            echoed: ack.serial,
            min_rtt_us: peer.rtt.min_us().unwrap_or(0),
            sample_us: None,
            packets: 0,
        };
        self.take_hard(first, &mut news);
        self.take_soft(view, &mut news);
        // OpenAFS delays those without saying for how long, and takes no time from them either.
        if let (Some(us), true) = (news.sample_us, ack.reason != AckReason::Delay) {
            peer.rtt.sample(now, us);
        }
        // What is lost by chance does not keep the window from growing.
        if news.packets != 0 && was_full && !self.recovery.is_congested() {
            self.congestion.on_ack(news.packets);
        }
        self.detect_losses(now, &peer.rtt, news.packets != 0);
        Ok(())
    }

    /// Takes the packets before `first` as acknowledged for good.
    fn take_hard(&mut self, first: u32, news: &mut News) {
        for seq in self.first..first {
            if !self.acked.remove(seq) {
                self.take(seq, news);
            }
        }
        self.first = first;
    }

    /// Takes what an acknowledgement says of the packets that it does not acknowledge for good.
    fn take_soft(&mut self, view: &AckView<'_>, news: &mut News) {
        let mut base = self.first;
        for index in 0..view.acks().len().div_ceil(64) {
            let mut changed = view.soft_acks_word(index) ^ self.acked.from(base);
            // What is beyond the acknowledgement stays as it was.
            let told = view.acks().len().saturating_sub(index.saturating_mul(64));
            let mask = u32::try_from(told)
                .ok()
                .and_then(|told| 1_u64.checked_shl(told));
            changed &= mask.unwrap_or(0).wrapping_sub(1);
            while changed != 0 {
                let seq = base.saturating_add(changed.trailing_zeros());
                changed &= changed.wrapping_sub(1);
                if self.acked.remove(seq) {
                    // Taken back: the peer has dropped it.
                    self.lost.insert(seq);
                } else {
                    self.acked.insert(seq);
                    self.take(seq, news);
                }
            }
            base = base.saturating_add(64);
        }
    }

    /// Packet `seq` has arrived.
    #[inline]
    fn take(&mut self, seq: u32, news: &mut News) {
        news.packets = news.packets.saturating_add(1);
        let was_lost = self.lost.remove(seq);
        let Some(sent) = self.sent(seq).copied() else {
            return;
        };
        let is_echo = sent.serial == news.echoed;
        if is_echo {
            news.sample_us = Some(news.now.us_since(sent.at));
        }
        self.recovery
            .on_delivered(news.now, seq, &sent, is_echo, news.min_rtt_us);
        if was_lost {
            self.recovery.on_spurious_loss();
        }
    }

    /// Finds out what is lost now, and when to look again.
    fn detect_losses(&mut self, now: Instant, rtt: &Rtt, is_progress: bool) {
        if is_progress {
            self.recovery.on_progress(self.first);
        }
        // Without a hole nothing was overtaken.
        let lost_before = self.lost.len();
        let reorder_at = if self.acked.is_empty() && !self.recovery.is_on() {
            None
        } else {
            self.find_overtaken(now, rtt)
        };
        let lost = self.lost.len().saturating_sub(lost_before);
        if lost != 0 {
            self.react_to_losses(lost, rtt);
        }
        let is_news = is_progress || reorder_at.is_some() || !self.is_waiting();
        if !is_news && self.recovery.waits_for_news() {
            return;
        }
        let in_flight = self.in_flight();
        self.recovery.arm(
            now,
            rtt,
            reorder_at,
            self.is_waiting(),
            in_flight.saturating_add(self.lost.len()),
            self.next > self.last,
        );
    }

    /// Marks the packets as lost that were overtaken for too long. Returns when the next would be.
    fn find_overtaken(&mut self, now: Instant, rtt: &Rtt) -> Option<Instant> {
        let window_us = self.recovery.reordering_us(rtt, self.acked.len());
        let mut reorder_at: Option<Instant> = None;
        for seq in self.first..self.next {
            if self.acked.contains(seq) || self.lost.contains(seq) {
                continue;
            }
            let Some(sent) = self.sent(seq) else {
                continue;
            };
            if let Some(at) = self.recovery.lost_at(seq, sent, window_us) {
                if at <= now {
                    self.lost.insert(seq);
                } else {
                    reorder_at = Some(reorder_at.map_or(at, |other| other.max(at)));
                }
            }
        }
        reorder_at
    }

    /// So many packets are lost that were not known to be. Makes the window smaller, at most once a round trip.
    fn react_to_losses(&mut self, lost: u32, rtt: &Rtt) {
        let lost = self.recovery.on_loss(self.next, lost);
        if !self.recovery.is_congested() && self.congestion.is_congested(lost, rtt) {
            self.recovery.set_congested();
            self.congestion.on_congestion();
        }
    }

    /// When something is to be done although nothing comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.recovery.deadline()
    }

    /// Does what is due at [`Self::deadline()`]. Returns whether the peer is to be asked what it has, for all that was sent has
    /// arrived, and the peer did not say that it is done with it.
    pub(crate) fn expire(&mut self, now: Instant, rtt: &Rtt) -> bool {
        match self.recovery.expire(now) {
            None => false,
            Some(Expired::Reordering) => {
                self.detect_losses(now, rtt, false);
                false
            }
            Some(Expired::Probe) => {
                let has_arrived = self.has_arrived();
                if has_arrived {
                    self.recovery.drop_probe();
                }
                self.recovery.await_timeout(now, rtt);
                has_arrived
            }
            Some(Expired::Timeout) => {
                let mut is_any_lost = false;
                for seq in self.first..self.next {
                    if !self.acked.contains(seq) {
                        self.lost.insert(seq);
                        is_any_lost = true;
                    }
                }
                if is_any_lost {
                    self.recovery.on_loss(self.next, 0);
                    self.recovery.set_congested();
                    self.congestion.on_timeout();
                }
                self.recovery.back_off(now, rtt);
                !is_any_lost && self.is_waiting()
            }
        }
    }
}

/// Whether `serial` was given before `other`: the numbers go round.
fn is_before(serial: u32, other: u32) -> bool {
    serial.wrapping_sub(other) > u32::MAX / 2
}
