// SPDX-License-Identifier: GPL-2.0

//! Round trip times, and for how long an acknowledgement is waited for.

use crate::instant::Instant;

/// The retransmission timeout before a round trip was seen, in µs.
const INITIAL_RTO_US: u64 = 1_000_000;

/// What is added to the time that a round trip may take, in µs: an acknowledgement may be delayed by 100 ms (OpenAFS,
/// `rx_softAckDelay`), which OpenAFS takes twice into account (`rxi_ComputeRoundTripTime`), and so is this.
const ACK_DELAY_US: u64 = 200_000;

/// The least that is allowed for variation, in µs (as in OpenAFS).
const MIN_VARIATION_US: u64 = 20_000;

/// The least that is waited before the end of a flight is probed, in µs: a peer's thread that is not at its turn is no loss.
const MIN_PROBE_US: u64 = 2_000;

/// The longest retransmission timeout, in µs (as in OpenAFS).
pub(crate) const MAX_RTO_US: u64 = 60_000_000;

/// For how long the shortest round trip counts, in µs: routes change.
const MIN_RTT_LIFE_US: u64 = 10_000_000;

/// What is known of round trip times to a peer.
///
/// RFC 6298, with the bounds of OpenAFS.
#[derive(Clone, Debug, Default)]
pub struct Rtt {
    /// Whether there was a sample.
    is_known: bool,
    smoothed_us: u64,
    variation_us: u64,
    latest_us: u64,
    min_us: u64,
    min_at: Instant,
}

impl Rtt {
    /// The smoothed round trip time in µs, if one was seen.
    pub fn smoothed_us(&self) -> Option<u64> {
        self.is_known.then_some(self.smoothed_us)
    }

    /// The mean deviation in µs; 0 before a round trip was seen.
    pub fn variation_us(&self) -> u64 {
        self.variation_us
    }

    /// The shortest round trip time of the last while in µs, if one was seen.
    pub fn min_us(&self) -> Option<u64> {
        self.is_known.then_some(self.min_us)
    }

    /// Whether the last round trip took longer than it has to: there was a queue.
    pub(crate) fn is_inflated(&self) -> bool {
        self.latest_us > self.min_us.saturating_add(self.min_us / 4)
    }

    /// A packet that was acknowledged `now` was sent `us` before.
    pub(crate) fn sample(&mut self, now: Instant, us: u64) {
        // Clocks are coarse; a time of 0 would stop all that is paced by it.
        let us = us.clamp(1, MAX_RTO_US);
        self.latest_us = us;
        if !self.is_known || us <= self.min_us || now.us_since(self.min_at) > MIN_RTT_LIFE_US {
            self.min_us = us;
            self.min_at = now;
        }
        if !self.is_known {
            self.is_known = true;
            self.smoothed_us = us;
            self.variation_us = us / 2;
            return;
        }
        let deviation = self.smoothed_us.abs_diff(us);
        self.variation_us = weighted(self.variation_us, 3, deviation);
        self.smoothed_us = weighted(self.smoothed_us, 7, us);
    }

    /// The retransmission timeout in µs, after it has expired `backoff` times.
    pub(crate) fn rto_us(&self, backoff: u32) -> u64 {
        let rto = if self.is_known {
            let variation = self.variation_us.saturating_mul(4).max(MIN_VARIATION_US);
            self.smoothed_us
                .saturating_add(variation)
                .saturating_add(ACK_DELAY_US)
        } else {
            INITIAL_RTO_US
        };
        rto.saturating_mul(1_u64.checked_shl(backoff).unwrap_or(u64::MAX))
            .min(MAX_RTO_US)
    }

    /// After how many µs the end of a flight is probed for a loss (RFC 8985, section 7.2). `may_be_delayed` says that
    /// the peer may wait with the acknowledgement of the last packet.
    pub(crate) fn probe_us(&self, may_be_delayed: bool) -> u64 {
        if !self.is_known {
            return INITIAL_RTO_US;
        }
        let delay = if may_be_delayed { ACK_DELAY_US } else { 0 };
        self.smoothed_us
            .saturating_mul(2)
            .saturating_add(delay)
            .max(MIN_PROBE_US)
    }
}

/// `old` with a weight of `weight` and `new` with one of 1.
fn weighted(old: u64, weight: u64, new: u64) -> u64 {
    let parts = weight.saturating_add(1);
    let sum = old.saturating_mul(weight).saturating_add(new);
    // Rounded, or short times would only ever shrink.
    sum.saturating_add(parts / 2)
        .checked_div(parts)
        .unwrap_or(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_time_becomes_the_smoothed_one() {
        let mut rtt = Rtt::default();
        assert_eq!(
            (rtt.smoothed_us(), rtt.min_us(), rtt.rto_us(0)),
            (None, None, 1_000_000)
        );
        for n in 0..100 {
            rtt.sample(Instant::from_micros(n), 5_000);
        }
        assert_eq!(
            (rtt.smoothed_us(), rtt.variation_us() < 10),
            (Some(5_000), true)
        );
        assert_eq!(rtt.rto_us(0), 5_000 + 20_000 + 200_000);
        assert_eq!(rtt.rto_us(1), 2 * rtt.rto_us(0));
        assert_eq!(rtt.rto_us(1_000), MAX_RTO_US);
        assert_eq!(rtt.probe_us(false), 10_000);
    }

    #[test]
    fn the_shortest_time_is_forgotten_after_a_while() {
        let mut rtt = Rtt::default();
        rtt.sample(Instant::from_micros(0), 100);
        rtt.sample(Instant::from_micros(MIN_RTT_LIFE_US), 300);
        assert_eq!(rtt.min_us(), Some(100));
        rtt.sample(Instant::from_micros(MIN_RTT_LIFE_US + 1), 200);
        assert_eq!(rtt.min_us(), Some(200));
    }
}
