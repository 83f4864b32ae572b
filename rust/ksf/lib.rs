// SPDX-License-Identifier: GPL-2.0

//! ksf: network services in the kernel.
//!
//! A [`Service`] says what is done with what a peer sends; a [`Svc`] runs it: it accepts connections and serves each one
//! in a kernel thread bound to the CPU where its packets arrive, without ever waiting for a peer.
//!
//! All `unsafe` code is in `sys`.

use kernel::prelude::*;

mod conn;
mod pool;
mod service;
mod svc;
mod sys;

pub use service::{
    Replies,
    Service,
    STREAM_BYTES, //
};
pub use svc::Svc;
pub use sys::param;

module! {
    type: Ksf,
    name: "ksf",
    authors: ["The ksf authors"],
    description: "Framework for network services in the kernel",
    license: "GPL",
}

struct Ksf;

impl kernel::Module for Ksf {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        sys::global::init()?;
        let pool = pool::Pool::new()?;
        pr_info!("loaded, {} workers\n", pool.len());
        sys::global::set_pool(Some(pool));
        Ok(Ksf)
    }
}

impl Drop for Ksf {
    fn drop(&mut self) {
        // No service is left, for each of them holds this module: this is the last reference, and stops the threads.
        drop(sys::global::set_pool(None));
        pr_info!("unloaded\n");
    }
}
