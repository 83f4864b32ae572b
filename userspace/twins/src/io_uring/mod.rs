// SPDX-License-Identifier: GPL-2.0

//! Serving with io_uring: one thread that makes one call for all messages that have come, which hands over their answers
//! and waits for more.

mod connection;
mod tcp;
mod udp;

pub use tcp::Streams;
pub use udp::Datagrams;

/// How many receives may have come before the first of them is served.
const BUFFERS: usize = 256;
