// SPDX-License-Identifier: GPL-2.0

//! krx: an Rx server.
//!
//! What is said to a packet is decided by `rx`, without a socket and a clock; this module brings the packets there, and sends
//! what comes out.

use kernel::prelude::*;
use ksf::Svc;

mod agenda;
mod connections;
mod content;
mod directory;
mod params;
mod rxperf;
mod service;
mod storage;

module! {
    type: Krx,
    name: "krx",
    authors: ["The ksf authors"],
    description: "Rx server in the kernel",
    license: "GPL",
}

/// What there is while the module is loaded.
struct Krx {
    svc: Svc,
}

impl kernel::Module for Krx {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let svc = Svc::start_packets(c"krx", service::Rx::new()?, &params::PACKETS)?;
        pr_info!("serving on {:?}\n", svc.address());
        Ok(Krx { svc })
    }
}

impl Drop for Krx {
    fn drop(&mut self) {
        pr_info!("unloading, {:?} is free\n", self.svc.address());
    }
}
