// SPDX-License-Identifier: GPL-2.0

//! What every load generator of ksf needs, whatever its protocol.
//!
//! A generator brings its clients, one connection each, and says how one of them works; this library reads the command
//! line's numbers ([`args`]) and the server's name ([`target`]), runs the clients at the same time ([`run()`]), keeps
//! their round trips ([`histogram`]) and prints the figures ([`report`]).

pub mod args;
mod course;
pub mod engine;
pub mod histogram;
pub mod ledger;
pub mod protocol;
pub mod report;
pub mod result;
pub mod run;
pub mod target;

pub use histogram::Histogram;
pub use ledger::Ledger;
pub use result::RunResult;
pub use run::{run, Measured, Recorder};
pub use target::{Peer, Target};
