// SPDX-License-Identifier: GPL-2.0

//! The binding layer: all that touches C, and all of ksf's `unsafe`.
//!
//! What is outside of this module uses only the safe types that it offers.

pub(crate) mod arrivals;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod completion;
pub(crate) mod cursor;
pub(crate) mod debugfs;
pub(crate) mod errno;
pub(crate) mod global;
pub(crate) mod held;
pub(crate) mod hotplug;
pub(crate) mod kthread;
pub(crate) mod list;
pub(crate) mod napi;
pub(crate) mod netns;
pub(crate) mod once;
pub(crate) mod packet;
pub(crate) mod page;
pub(crate) mod pages;
pub mod param;
pub(crate) mod random;
pub(crate) mod reuseport;
pub(crate) mod routes;
pub(crate) mod sender;
pub(crate) mod skb;
pub(crate) mod sockaddr;
pub(crate) mod socket;
pub(crate) mod softirq;
pub(crate) mod tcp;
pub(crate) mod timer;
pub(crate) mod trace;
pub(crate) mod turns;
pub(crate) mod udp;

/// The C interface that the kernel crate does not bind.
#[allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
mod bindings {
    pub(crate) use kernel::bindings::*;
    use kernel::ffi;

    include!(concat!(env!("KSF_OBJ"), "/sys/bindings_generated.rs"));
}
