// SPDX-License-Identifier: GPL-2.0

//! Serving with epoll: one thread, non-blocking sockets, and for each message three calls: wait, receive, send.

mod tcp;
mod udp;

pub use tcp::Streams;
pub use udp::Datagrams;
