// SPDX-License-Identifier: GPL-2.0

//! What is known of a remote address and port, whatever the connection.

use crate::{
    congestion::{
        Congestion,
        INITIAL_WINDOW, //
    },
    instant::Instant,
    rtt::Rtt,
    DATA_BYTES,
    HEADER_BYTES,
    MAX_WINDOW, //
};

/// For how long it is believed that a peer is where its packets seem to come from, in µs (OpenAFS, `rxi_CheckReachEvent`
/// and `rx_checkReach`: 60 s).
const PROOF_LIFE_US: u64 = 60_000_000;

/// For how long the congestion window of the last call is a good first one for the next, in µs.
const WINDOW_LIFE_US: u64 = 10_000_000;

/// What is known of a peer, that is, of an address and port: shared by its connections, and kept between its calls.
///
/// OpenAFS has this in `struct rx_peer`, Linux in `struct rxrpc_peer`.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub(crate) rtt: Rtt,
    proven_at: Option<Instant>,
    /// Window and threshold at the end of a call, and when that was.
    last: Option<(u32, u32, Instant)>,
    /// The most bytes of data that the peer takes in a packet, if it said so.
    max_data_bytes: Option<u16>,
}

impl Peer {
    /// A peer of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its round trip times.
    pub fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// Whether it has shown lately that it receives what is sent to its address.
    pub fn is_proven(&self, now: Instant) -> bool {
        self.proven_at
            .is_some_and(|at| now.us_since(at) < PROOF_LIFE_US)
    }

    /// The congestion window with which a call would start now, in packets.
    pub fn window(&self, now: Instant) -> u32 {
        self.congestion(now).window()
    }

    /// It echoed a number that only a receiver of our packets can know.
    pub(crate) fn prove(&mut self, now: Instant) {
        self.proven_at = Some(now);
    }

    /// The state with which a call starts.
    pub(crate) fn congestion(&self, now: Instant) -> Congestion {
        match self.last {
            Some((window, threshold, at)) if now.us_since(at) < WINDOW_LIFE_US => {
                Congestion::new(window.max(INITIAL_WINDOW), threshold)
            }
            Some((_, threshold, _)) => Congestion::new(INITIAL_WINDOW, threshold),
            None => Congestion::new(INITIAL_WINDOW, MAX_WINDOW),
        }
    }

    /// A call that sent `packets` is over.
    pub(crate) fn remember(&mut self, now: Instant, congestion: &Congestion, packets: u32) {
        // A small call has learned nothing about the window.
        if packets >= INITIAL_WINDOW {
            self.last = Some((congestion.window(), congestion.threshold(), now));
        }
    }

    /// The largest packet that it takes has `bytes` with its header, says the peer.
    pub(crate) fn set_max_mtu(&mut self, bytes: u32) {
        // OpenAFS takes nothing smaller as meant seriously (`RX_MIN_PACKET_SIZE`).
        const MIN_MTU: u32 = 520;
        #[allow(clippy::cast_possible_truncation, reason = "it is a small constant")]
        const HEADER: u16 = HEADER_BYTES as u16;
        let bytes = u16::try_from(bytes.max(MIN_MTU)).unwrap_or(u16::MAX);
        self.max_data_bytes = Some(bytes.saturating_sub(HEADER));
    }

    /// How many packets to it a call of so many bytes has. No data is a packet, too.
    pub(crate) fn packets(&self, bytes: u64) -> u64 {
        bytes.div_ceil(u64::from(self.data_bytes()).max(1)).max(1)
    }

    /// How many bytes of a call a packet to it carries.
    pub(crate) fn data_bytes(&self) -> u16 {
        self.max_data_bytes.unwrap_or(DATA_BYTES).min(DATA_BYTES)
    }
}
