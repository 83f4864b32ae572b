// SPDX-License-Identifier: GPL-2.0

//! Errors that the kernel crate has no names for.

use super::bindings;
use kernel::{
    error::Error,
    ffi::c_int, //
};

/// `ENOBUFS`: the send buffer or a device's queue is full, or memory is short.
pub fn no_buffers() -> Error {
    of(bindings::ENOBUFS)
}

/// `ESHUTDOWN`: the service stops.
pub(crate) fn shutdown() -> Error {
    of(bindings::ESHUTDOWN)
}

/// `EUSERS`: a limit is reached.
pub(crate) fn at_limit() -> Error {
    of(bindings::EUSERS)
}

/// `EADDRINUSE`: somebody has the address and port. The kernel crate of 7.2 does not name it.
pub(crate) fn address_in_use() -> Error {
    of(bindings::EADDRINUSE)
}

fn of(errno: u32) -> Error {
    // CAST: These numbers are small.
    Error::from_errno(-(errno as c_int))
}
