// SPDX-License-Identifier: GPL-2.0

//! What every load generator of ksf needs, whatever its protocol.
//!
//! A generator brings a [`Protocol`]: how a request is written and how a reply is verified, without I/O. This library has
//! the rest: what load there is to be ([`load`], [`options`]), connections ([`target`], [`socket`]), threads that send and
//! receive ([`run()`]) through an [`engine`] by a [`schedule`], what they bring ([`result`]), and the program that does it
//! all ([`app`]).
//!
//! One thread is a worker. It has some of the connections (links), for each of which it knows what is in flight (the
//! window), and enters what happens in a recorder of its own; the threads of a run share its course, and nothing else.

pub mod app;
pub mod args;
mod buckets;
pub mod campaign;
pub mod clock;
mod course;
pub mod engine;
pub mod histogram;
pub mod interrupt;
mod intervals;
pub mod ledger;
mod link;
pub mod load;
pub mod manual;
pub mod options;
pub mod protocol;
pub mod pulse;
#[doc(hidden)]
pub mod recorder;
pub mod report;
pub mod result;
pub mod run;
pub mod schedule;
pub mod screen;
pub mod session;
#[cfg(test)]
mod simulation;
pub mod socket;
pub mod stats;
mod tally;
pub mod target;
mod window;
mod worker;

pub use histogram::Histogram;
pub use interrupt::Interrupt;
pub use ledger::Ledger;
pub use load::Load;
pub use protocol::Protocol;
pub use result::RunResult;
pub use run::run;
pub use session::Session;
pub use target::{Peer, Target};
