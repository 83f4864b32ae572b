// SPDX-License-Identifier: GPL-2.0

//! The Rx protocol, for both sides of a connection, as a state machine: packets and time go in, packets and data come
//! out. It knows no socket, no clock, no lock and no allocator.
//!
//! Rx is the RPC protocol of AFS, over UDP. There is no standard; the sources are OpenAFS (`src/rx`), Linux
//! (`net/rxrpc`) and, for the layout of packets, [`wire::rx`].
//!
//! A [`Connection`] has four channels, and on each one *call* at a time: the client sends a request of any length, then
//! the server a reply. Each is cut into DATA packets of [`DATA_BYTES`], which are acknowledged in two ways: *hard* acknowledgements say that
//! the receiver's user has them, *soft* ones that they have come, out of order. What is known of the way to a [`Peer`] is shared by its connections.
//!
//! The files are compiled twice: by Kbuild for krx, and by cargo for rxtest, the simulator in `tests` and the fuzzers.
//!
//! # Panics
//!
//! Nothing here panics, see [`wire`].

// Kbuild says so itself, for all modules.
#![cfg_attr(not(any(MODULE, test)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod call;
mod congestion;
mod connection;
pub mod content;
mod instant;
mod peer;
mod receiver;
mod recovery;
mod refusal;
mod rtt;
pub mod rxperf;
mod sender;
mod seqs;
mod server;
mod storage;
mod transmit;

pub use call::{
    CallCounters,
    Outcome, //
};
pub use connection::{
    Connection,
    Data,
    Event,
    Identity,
    Side, //
};
pub use instant::Instant;
pub use peer::Peer;
pub use refusal::{
    refuse,
    REFUSAL_BYTES, //
};
pub use rtt::Rtt;
pub use server::{
    Served,
    Service,
    Verdict, //
};
pub use storage::{
    Sent,
    Storage, //
};
pub use transmit::{
    Range,
    Transmit,
    MAX_CONTROL_BYTES, //
};

/// The most packets of a call that may be on their way: an acknowledgement has a byte for how many it tells of.
pub const MAX_WINDOW: u32 = 255;

/// How many bytes of a call a packet carries, but the last: as many as each packet of a jumbogram does, which leaves room for any
/// headers on Ethernet.
pub const DATA_BYTES: u16 = 1412;

/// How many calls a connection may have on their way.
pub const CHANNELS: usize = wire::rx::CHANNELS;

/// The length of a packet's header.
pub const HEADER_BYTES: usize = wire::rx::HEADER_BYTES;
