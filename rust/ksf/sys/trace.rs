// SPDX-License-Identifier: GPL-2.0

//! Trace events, which cost a no-operation while nobody looks.
//!
//! C header: [`events.h`](srctree/rust/ksf/sys/events.h)

use super::sockaddr::Sockaddr;
use core::net::SocketAddr;
#[cfg(CONFIG_TRACEPOINTS)]
use kernel::bindings::tracepoint;
use kernel::{
    ffi::c_char,
    prelude::*,
    str::CStrExt, //
};

extern "C" {
    #[cfg(CONFIG_TRACEPOINTS)]
    #[allow(improper_ctypes)]
    static __tracepoint_conn_open: tracepoint;
    #[cfg(CONFIG_TRACEPOINTS)]
    #[allow(improper_ctypes)]
    static __tracepoint_conn_close: tracepoint;
    #[cfg(CONFIG_TRACEPOINTS)]
    #[allow(improper_ctypes)]
    static __tracepoint_turn: tracepoint;
    #[cfg(CONFIG_TRACEPOINTS)]
    #[allow(improper_ctypes)]
    static __tracepoint_send_blocked: tracepoint;
    #[cfg(CONFIG_TRACEPOINTS)]
    #[allow(improper_ctypes)]
    static __tracepoint_limit_hit: tracepoint;

    fn rust_do_trace_conn_open(service: *const c_char, peer: *const u8);
    fn rust_do_trace_conn_close(
        service: *const c_char,
        peer: *const u8,
        reason: *const c_char,
        bytes_in: u64,
        bytes_out: u64,
    );
    fn rust_do_trace_turn(
        service: *const c_char,
        what: *const c_char,
        is_inline: bool,
        bytes_in: u64,
        bytes_out: u64,
        delay: u64,
        time: u64,
    );
    fn rust_do_trace_send_blocked(service: *const c_char, peer: *const u8, unsent: u64);
    fn rust_do_trace_limit_hit(service: *const c_char, limit: *const c_char, value: u64);
}

/// Whether somebody looks at a trace event.
#[cfg(CONFIG_TRACEPOINTS)]
macro_rules! is_on {
    ($tracepoint:ident) => {
        // SAFETY: It is a tracepoint that `events.c` defines.
        unsafe { kernel::jump_label::static_branch_unlikely!($tracepoint, tracepoint, key) }
    };
}

/// This kernel has no trace events.
#[cfg(not(CONFIG_TRACEPOINTS))]
macro_rules! is_on {
    ($tracepoint:ident) => {
        false
    };
}

/// Fires `ksf:conn_open`.
#[inline(always)]
pub(crate) fn conn_open(service: &CStr, peer: SocketAddr) {
    if is_on!(__tracepoint_conn_open) {
        let (peer, _) = Sockaddr::new(peer);
        // SAFETY: The string is NUL-terminated, and the address has the bytes of a `sockaddr_in6`.
        unsafe { rust_do_trace_conn_open(service.as_char_ptr(), peer.as_bytes().as_ptr()) };
    }
}

/// Fires `ksf:conn_close`.
#[inline(always)]
pub(crate) fn conn_close(
    service: &CStr,
    peer: SocketAddr,
    reason: &CStr,
    bytes_in: u64,
    bytes_out: u64,
) {
    if is_on!(__tracepoint_conn_close) {
        let (peer, _) = Sockaddr::new(peer);
        // SAFETY: The strings are NUL-terminated, and the address has the bytes of a `sockaddr_in6`.
        unsafe {
            rust_do_trace_conn_close(
                service.as_char_ptr(),
                peer.as_bytes().as_ptr(),
                reason.as_char_ptr(),
                bytes_in,
                bytes_out,
            );
        }
    }
}

/// Returns whether somebody looks at `ksf:turn`.
#[inline(always)]
pub(crate) fn turn_is_on() -> bool {
    is_on!(__tracepoint_turn)
}

/// What [`turn()`] tells of a turn.
pub(crate) struct Turn<'a> {
    pub(crate) what: &'a CStr,
    pub(crate) is_inline: bool,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) delay: u64,
    pub(crate) time: u64,
}

/// Fires `ksf:turn` with what `make` returns, which is called only when somebody looks.
#[inline(always)]
pub(crate) fn turn<'a>(service: &CStr, make: impl FnOnce() -> Turn<'a>) {
    if is_on!(__tracepoint_turn) {
        let turn = make();
        // SAFETY: The strings are NUL-terminated.
        unsafe {
            rust_do_trace_turn(
                service.as_char_ptr(),
                turn.what.as_char_ptr(),
                turn.is_inline,
                turn.bytes_in,
                turn.bytes_out,
                turn.delay,
                turn.time,
            );
        }
    }
}

/// Fires `ksf:send_blocked`.
#[inline(always)]
pub(crate) fn send_blocked(service: &CStr, peer: SocketAddr, unsent: u64) {
    if is_on!(__tracepoint_send_blocked) {
        let (peer, _) = Sockaddr::new(peer);
        // SAFETY: The string is NUL-terminated, and the address has the bytes of a `sockaddr_in6`.
        unsafe {
            rust_do_trace_send_blocked(service.as_char_ptr(), peer.as_bytes().as_ptr(), unsent);
        }
    }
}

/// Fires `ksf:limit_hit`.
#[inline(always)]
pub(crate) fn limit_hit(service: &CStr, limit: &CStr, value: u64) {
    if is_on!(__tracepoint_limit_hit) {
        // SAFETY: The strings are NUL-terminated.
        unsafe {
            rust_do_trace_limit_hit(service.as_char_ptr(), limit.as_char_ptr(), value);
        }
    }
}
