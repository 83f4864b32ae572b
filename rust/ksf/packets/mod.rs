// SPDX-License-Identifier: GPL-2.0

//! Services that run a protocol of their own over UDP: connections, acknowledgements, retransmission.
//!
//! Each core has a socket, and a part of the service's state, which nobody else touches. A datagram is taken in the softirq
//! that received it, before the socket's queue, and waits on the list of the core that it belongs to. The core's turn takes the
//! whole list: the service receives all of it first and then sends, so that what one batch of acknowledgements
//! allows leaves in one batch, too.
//!
//! | file | what is in it |
//! |---|---|
//! | [`service`] | what the author of a service writes |
//! | [`turn`] | what a turn of it is given |
//! | [`site`] | what waits for a core, and how its turn is asked for |
//! | [`port`] | how a turn is had |

pub(crate) mod port;
pub(crate) mod service;
pub(crate) mod site;
pub(crate) mod turn;
