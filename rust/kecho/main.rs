// SPDX-License-Identifier: GPL-2.0

//! kecho: sends back what it receives.

use core::net::SocketAddr;
use kernel::prelude::*;
use ksf::{
    Replies,
    Service,
    Svc, //
};

module! {
    type: Kecho,
    name: "kecho",
    authors: ["The ksf authors"],
    description: "Echo service in the kernel",
    license: "GPL",
}

ksf::module_param! {
    /// The port that is served.
    static PORT: port = 60007 in 1..=65535, mode 0o444, "TCP port";
}

struct Echo;

impl Service for Echo {
    type Conn = ();

    fn open(&self, _peer: SocketAddr) -> Result {
        Ok(())
    }

    fn stream(&self, _conn: &mut (), received: &[u8], replies: &mut Replies<'_>) -> Result {
        replies.write(received)
    }
}

struct Kecho {
    _svc: Svc,
}

impl kernel::Module for Kecho {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let svc = Svc::listen(Echo, u16::try_from(PORT.get())?)?;
        pr_info!("serving TCP {:?}\n", svc.address());
        Ok(Kecho { _svc: svc })
    }
}

impl Drop for Kecho {
    fn drop(&mut self) {
        pr_info!("unloading\n");
    }
}
