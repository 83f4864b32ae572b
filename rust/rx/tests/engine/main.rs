// SPDX-License-Identifier: GPL-2.0

//! The engine in a simulated network, and against a peer that follows a script.

mod choices;
mod endpoint;
mod exchanges;
mod goodput;
mod hostile;
mod ledger;
mod link;
mod packet;
mod plan;
mod seeds;
mod served;
mod storage;
mod victim;
mod watch;
mod world;
