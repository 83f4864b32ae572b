// SPDX-License-Identifier: GPL-2.0

//! krpc: an ONC RPC server, RFC 5531, over TCP and UDP.
//!
//! What it says to a message is decided by `wire`, without a socket; this module brings the messages there, and the replies
//! back.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use ksf::Svc;

mod params;
mod programs;
mod rpcbind;
mod service;
mod stats;
mod throttle;

module! {
    type: Krpc,
    name: "krpc",
    authors: ["The ksf authors"],
    description: "ONC RPC server in the kernel",
    license: "GPL",
}

/// What there is while the module is loaded. In the order in which it goes.
struct Krpc {
    registration: Option<rpcbind::Registration>,
    _files: stats::Files,
    svc: Svc,
}

impl kernel::Module for Krpc {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let programs = programs::served(params::ECHO.get() != 0);
        let stats = Arc::new(stats::Stats::new(programs)?, GFP_KERNEL)?;
        let rpc = service::Rpc::new(programs, stats.clone());
        let svc = Svc::start(c"krpc", rpc, &params::SERVICE)?;
        let files = stats::Files::new(stats)?;
        pr_info!(
            "serving {} on {:?}\n",
            params::SERVICE.proto.word(),
            svc.address()
        );
        let registration = (params::REGISTER.get() != 0).then(|| rpcbind::register(&svc, programs));
        Ok(Krpc {
            registration,
            _files: files,
            svc,
        })
    }
}

impl Drop for Krpc {
    fn drop(&mut self) {
        if let Some(registration) = self.registration.take() {
            registration.withdraw(&self.svc);
        }
        pr_info!("unloading\n");
    }
}
