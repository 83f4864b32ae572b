// SPDX-License-Identifier: GPL-2.0

//! How many packets may be on their way.
//!
//! Slow start, congestion avoidance and fast recovery of RFC 5681, counted in packets. But a loss is taken for one of
//! congestion only if there is a queue, or if many packets were lost: the window stays as it is if a few were lost while
//! round trips were as short as ever (TCP Veno: Fu and Liew 2003; Linux, `net/ipv4/tcp_veno.c`). For one of congestion, the
//! window shrinks to 0.7 of what it was (RFC 9438, section 4.6).

use crate::{
    rtt::Rtt,
    MAX_WINDOW, //
};

/// The window of a call to a peer of which nothing is known, in packets (RFC 6928).
pub(crate) const INITIAL_WINDOW: u32 = 10;

/// The least that is left of a threshold, in packets (OpenAFS, `rxi_ReceiveAckPacket`).
const MIN_THRESHOLD: u32 = 4;

/// So many losses in a round trip may be chance, whatever the window.
const FEW_LOSSES: u32 = 3;

/// And so may be one in so many packets.
const ONE_IN: u32 = 20;

/// The congestion window of a call.
#[derive(Clone, Debug)]
pub(crate) struct Congestion {
    window: u32,
    threshold: u32,
    /// Packets that were acknowledged since the window last grew, in congestion avoidance.
    acknowledged: u32,
}

impl Congestion {
    /// Starts with a window of `window` packets and slow start up to `threshold`.
    pub(crate) const fn new(window: u32, threshold: u32) -> Self {
        Self {
            window,
            threshold,
            acknowledged: 0,
        }
    }

    /// How many packets may be on their way.
    pub(crate) const fn window(&self) -> u32 {
        self.window
    }

    /// Up to which window slow start goes, in packets.
    pub(crate) const fn threshold(&self) -> u32 {
        self.threshold
    }

    /// So many packets were acknowledged, while the window was used up. A window that is not is not known to be right, and does
    /// not grow (RFC 7661).
    pub(crate) fn on_ack(&mut self, packets: u32) {
        if self.window < self.threshold {
            self.window = self.window.saturating_add(packets).min(self.threshold);
        } else {
            self.acknowledged = self.acknowledged.saturating_add(packets);
            if self.acknowledged >= self.window {
                self.acknowledged = 0;
                self.window = self.window.saturating_add(1);
            }
        }
        self.window = self.window.min(MAX_WINDOW);
    }

    /// Whether the loss of so many packets in a round trip is more than chance.
    pub(crate) fn is_congested(&self, lost: u32, rtt: &Rtt) -> bool {
        rtt.is_inflated() || lost > FEW_LOSSES.max(self.window / ONE_IN)
    }

    /// Packets were lost for congestion.
    pub(crate) fn on_congestion(&mut self) {
        self.threshold = (self.window.saturating_mul(7) / 10).max(MIN_THRESHOLD);
        self.window = self.threshold;
        self.acknowledged = 0;
    }

    /// No acknowledgement came at all.
    pub(crate) fn on_timeout(&mut self) {
        self.on_congestion();
        self.window = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instant::Instant;

    #[test]
    fn it_doubles_and_then_grows_by_one() {
        let mut congestion = Congestion::new(10, 20);
        congestion.on_ack(10);
        assert_eq!(congestion.window(), 20);
        congestion.on_ack(19);
        assert_eq!(congestion.window(), 20);
        congestion.on_ack(1);
        assert_eq!(congestion.window(), 21);
        congestion.on_ack(u32::MAX);
        assert_eq!(congestion.window(), 22);
    }

    #[test]
    fn few_losses_without_a_queue_are_chance() {
        let mut rtt = Rtt::default();
        let congestion = Congestion::new(100, 255);
        assert!(!congestion.is_congested(5, &rtt));
        assert!(congestion.is_congested(6, &rtt));
        for (us, is_congested) in [(1_000, false), (1_250, false), (1_251, true), (900, false)] {
            rtt.sample(Instant::default(), us);
            assert_eq!(congestion.is_congested(1, &rtt), is_congested, "{us}");
        }
    }

    #[test]
    fn congestion_shrinks_it() {
        let mut congestion = Congestion::new(100, 255);
        congestion.on_congestion();
        assert_eq!((congestion.window(), congestion.threshold()), (70, 70));
        congestion.on_timeout();
        assert_eq!((congestion.window(), congestion.threshold()), (1, 49));
        congestion.on_timeout();
        assert_eq!((congestion.window(), congestion.threshold()), (1, 4));
    }
}
