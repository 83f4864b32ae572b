// SPDX-License-Identifier: GPL-2.0

//! The protocols on the wire, for both sides of a connection.
//!
//! These files are compiled twice: by Kbuild into the services in the kernel, and by cargo into the load generators and
//! their tests. So the crate needs nothing but `core`: no allocator, no clock, no socket.
//!
//! Each protocol has two levels. A *view* ([`rpc::CallView`], [`rpc::ReplyView`]) borrows the bytes of a message, has
//! checked their structure when it was made, and hands out what they say, whatever that is. A plain *struct*
//! ([`rpc::Call`], [`rpc::Reply`]) is what the message means; it is parsed from a view, and written by [`xdr::Writer`].
//!
//! # Panics
//!
//! Nothing here panics, whatever the bytes, the lengths and the order of the calls are: there is no indexing, no
//! arithmetic that can overflow and no `unwrap`. Clippy refuses those, and the test `no_panics` looks for what is left of
//! them in the machine code. All that is not as it should be is an error that says what is wrong.

// Kbuild says so itself, for all modules.
#![cfg_attr(not(MODULE), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod portmap;
pub mod program;
pub mod record;
pub mod rpc;
pub mod rx;
pub mod rxperf;
pub mod xdr;
