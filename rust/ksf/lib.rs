// SPDX-License-Identifier: GPL-2.0

//! ksf: network services in the kernel.
//!
//! A [`Service`] says what is done with what a peer sends; a [`Svc`] runs it: it has a socket for each core, and serves each
//! connection on the core where its packets arrive, in softirq or in a kernel thread bound to that core, without ever
//! waiting for a peer.
//!
//! All `unsafe` code is in `sys`.

use kernel::prelude::*;

mod batching;
mod conn;
mod counters;
mod datagram;
mod debug;
mod gate;
mod holding;
mod limits;
mod listener;
mod network;
mod outgoing;
mod packets;
mod params;
mod peer_stream;
mod pool;
mod port;
mod received;
mod reclaim;
mod registry;
mod service;
mod stats;
mod steer;
mod stream;
mod svc;
mod sweep;
mod sys;
mod table;

pub use counters::Counters;
pub use datagram::{
    Datagram,
    DATAGRAM_BYTES, //
};
pub use debug::DebugFile;
pub use network::Network;
pub use packets::{
    service::PacketService,
    turn::{
        Turn,
        HAND_OVERS, //
    }, //
};
pub use params::{
    PacketParams,
    ServiceParams, //
};
#[doc(hidden)]
pub use params::{
    NO_CONNECTIONS,
    UDP_ONLY, //
};
pub use received::{
    Ahead,
    Received,
    VIEW_BYTES, //
};
pub use service::{
    CloseReason,
    Progress,
    Service,
    Verdict, //
};
pub use stats::Slot;
pub use stream::{
    Replies,
    Stream,
    REPLY_BYTES, //
};
pub use svc::Svc;
pub use sys::{
    client::{
        Client,
        Deadline,
        Namespace, //
    },
    clock::coarse_ms,
    debugfs::Show,
    errno::no_buffers,
    packet::{
        Packet,
        SharedPacket, //
    },
    pages::Pages,
    param,
    random::random,
    sender::Part,
    softirq::SoftirqLock,
    udp::Flow, //
};

module! {
    type: Ksf,
    name: "ksf",
    authors: ["The ksf authors"],
    description: "Framework for network services in the kernel",
    license: "GPL",
}

/// What there is while the module is loaded. In the order in which it goes.
struct Ksf {
    _files: debug::Files,
    _net: sys::netns::Registration<svc::Services>,
    _cpus: sys::hotplug::Registration<pool::Pool>,
    _pool: PoolGuard,
}

/// Takes the workers away when it is dropped.
struct PoolGuard;

impl Drop for PoolGuard {
    fn drop(&mut self) {
        // No service is left, for each of them holds this module: this is the last reference, and stops the threads.
        drop(sys::global::set_pool(None));
        pr_info!("unloaded\n");
    }
}

impl kernel::Module for Ksf {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        sys::global::init()?;
        sys::clock::init();
        let pool = pool::Pool::new()?;
        sys::global::set_pool(Some(pool.clone()));
        let guard = PoolGuard;
        let cpus = sys::hotplug::register()?;
        let workers = pool.active_cpus().count();
        if workers == 0 {
            pr_err!("none of the CPUs of parameter cpus is online\n");
            return Err(EINVAL);
        }
        let ksf = Ksf {
            _files: debug::Files::new()?,
            _net: sys::netns::register()?,
            _cpus: cpus,
            _pool: guard,
        };
        pr_info!("loaded, {workers} workers\n");
        Ok(ksf)
    }
}
