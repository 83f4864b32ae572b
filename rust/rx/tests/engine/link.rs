// SPDX-License-Identifier: GPL-2.0

//! A way from one host to others, and what it does to datagrams.

use std::ops::Range;

/// Nanoseconds of virtual time: a byte takes 8 of them at 1 Gb/s.
pub(crate) type Nanos = u64;

pub(crate) const MICROSECOND: Nanos = 1_000;
pub(crate) const MILLISECOND: Nanos = 1_000_000;
pub(crate) const SECOND: Nanos = 1_000_000_000;

/// What Ethernet, IPv4 and UDP add to a datagram, in bytes: preamble, header, check sequence and gap, 20 and 8.
const FRAMING: u64 = 38 + 20 + 8;

/// IPv4's and UDP's headers, in bytes, which a path's MTU includes.
pub(crate) const IP_AND_UDP: usize = 20 + 8;

/// What happens to a datagram whose bits flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Corrupted {
    /// It is lost: UDP's checksum finds it.
    IsDropped,
    /// It arrives.
    Passes,
}

/// What a link is like. Probabilities are of each datagram.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    /// `None` takes no time at all.
    pub(crate) bits_per_second: Option<u64>,
    /// How many bytes may wait until they are sent: what comes then is lost.
    pub(crate) queue_bytes: u64,
    pub(crate) delay: Nanos,
    /// Each datagram takes up to so much longer, so that some overtake others.
    pub(crate) jitter: Nanos,
    /// That it waits for [`Self::held_for`] besides.
    pub(crate) held: f64,
    pub(crate) held_for: Nanos,
    pub(crate) loss: f64,
    /// That a burst begins, in which all are lost, and that it ends; it does after a second.
    pub(crate) burst_begins: f64,
    pub(crate) burst_ends: f64,
    pub(crate) duplicated: f64,
    pub(crate) flipped: f64,
    pub(crate) corrupted: Corrupted,
    /// Datagrams that are larger with IP's and UDP's headers are lost.
    pub(crate) mtu: usize,
    /// When nothing passes.
    pub(crate) blackout: Option<Range<Nanos>>,
}

impl Conditions {
    /// A link that loses and delays nothing.
    pub(crate) const PERFECT: Self = Self {
        bits_per_second: None,
        queue_bytes: u64::MAX,
        delay: 0,
        jitter: 0,
        held: 0.0,
        held_for: 0,
        loss: 0.0,
        burst_begins: 0.0,
        burst_ends: 1.0,
        duplicated: 0.0,
        flipped: 0.0,
        corrupted: Corrupted::IsDropped,
        mtu: 1500,
        blackout: None,
    };
}

/// What became of the datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fates {
    pub(crate) arrived: u64,
    pub(crate) lost: u64,
    pub(crate) overflowed: u64,
    pub(crate) duplicated: u64,
    /// Bytes that were sent, with headers of all layers.
    pub(crate) bytes: u64,
}

/// A direction of a path.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) conditions: Conditions,
    pub(crate) fates: Fates,
    random: fastrand::Rng,
    /// When the transmitter has sent all that it was given.
    free_at: Nanos,
    /// When the burst of losses began.
    burst_since: Option<Nanos>,
}

impl Link {
    pub(crate) fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            fates: Fates::default(),
            random: fastrand::Rng::with_seed(seed),
            free_at: 0,
            burst_since: None,
        }
    }

    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.random.f64() < probability
    }

    /// Gives a datagram to the link, and says when it arrives and as what, twice or not at all included.
    pub(crate) fn carry(&mut self, now: Nanos, datagram: Vec<u8>) -> Vec<(Nanos, Vec<u8>)> {
        let sent = match self.transmit(now, datagram.len()) {
            Some(sent) => sent,
            None => {
                self.fates.overflowed += 1;
                return Vec::new();
            }
        };
        if self.is_lost(now, datagram.len()) {
            self.fates.lost += 1;
            return Vec::new();
        }
        let mut arrivals = Vec::with_capacity(2);
        if self.happens(self.conditions.duplicated) {
            self.fates.duplicated += 1;
            self.arrive(sent, datagram.clone(), &mut arrivals);
        }
        self.arrive(sent, datagram, &mut arrivals);
        arrivals
    }

    /// When the last bit has left, or `None` if the queue is full.
    fn transmit(&mut self, now: Nanos, bytes: usize) -> Option<Nanos> {
        let bytes = bytes as u64 + FRAMING;
        let Some(rate) = self.conditions.bits_per_second else {
            self.fates.bytes += bytes;
            return Some(now);
        };
        let time = |bytes: u64| bytes * 8 * SECOND / rate;
        let begin = self.free_at.max(now);
        let queued = u128::from(begin - now) * u128::from(rate) / u128::from(8 * SECOND);
        if queued + u128::from(bytes) > u128::from(self.conditions.queue_bytes) {
            return None;
        }
        self.fates.bytes += bytes;
        self.free_at = begin + time(bytes);
        Some(self.free_at)
    }

    fn is_lost(&mut self, now: Nanos, bytes: usize) -> bool {
        // Those who send little are not to meet the same burst for ever.
        self.burst_since.take_if(|since| now - *since > SECOND);
        if self.burst_since.is_none() {
            let begins = self.happens(self.conditions.burst_begins);
            self.burst_since = begins.then_some(now);
        } else if self.happens(self.conditions.burst_ends) {
            self.burst_since = None;
        }
        let is_too_large = bytes + IP_AND_UDP > self.conditions.mtu;
        let blackout = self.conditions.blackout.as_ref();
        let is_dark = blackout.is_some_and(|blackout| blackout.contains(&now));
        // Drawn in any case, so that one cause does not move the others.
        let by_chance = self.happens(self.conditions.loss);
        self.burst_since.is_some() || is_too_large || is_dark || by_chance
    }

    fn arrive(&mut self, sent: Nanos, mut datagram: Vec<u8>, arrivals: &mut Vec<(Nanos, Vec<u8>)>) {
        if self.happens(self.conditions.flipped) {
            if self.conditions.corrupted == Corrupted::IsDropped || datagram.is_empty() {
                self.fates.lost += 1;
                return;
            }
            for _ in 0..self.random.u32(1..4) {
                let at = self.random.usize(..datagram.len());
                datagram[at] ^= 1 << self.random.u32(..8);
            }
        }
        let mut at = sent + self.conditions.delay;
        if self.conditions.jitter > 0 {
            at += self.random.u64(..=self.conditions.jitter);
        }
        if self.happens(self.conditions.held) {
            at += self.conditions.held_for;
        }
        self.fates.arrived += 1;
        arrivals.push((at, datagram));
    }
}
