// SPDX-License-Identifier: GPL-2.0

//! Groups of sockets that share a port, and the filter that chooses among them.
//!
//! C header: [`include/net/sock_reuseport.h`](srctree/include/net/sock_reuseport.h)

use super::{
    bindings,
    socket::Socket, //
};
use core::ptr;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// An instruction of a classic BPF program ([`include/uapi/linux/filter.h`](srctree/include/uapi/linux/filter.h)).
#[derive(Clone, Copy)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_true: u8,
    pub(crate) jump_false: u8,
    pub(crate) operand: u32,
}

/// Returns where a socket is in its group, or [`None`] when it is in none.
///
/// Any context.
pub(crate) fn slot(socket: &Socket) -> Option<u32> {
    // SAFETY: The `sock` is valid.
    u32::try_from(unsafe { bindings::ksf_shim_reuseport_slot(socket.sk()) }).ok()
}

/// Has `program`, whose result is a slot, choose among the group of `socket`.
///
/// Process context.
///
/// # Errors
///
/// `EINVAL` when the program is wrong, or the socket in no group; `ENOMEM`.
pub(crate) fn attach(socket: &Socket, program: &[Instruction]) -> Result {
    let mut filter = KVec::with_capacity(program.len(), GFP_KERNEL)?;
    for instruction in program {
        filter.push(
            bindings::sock_filter {
                code: instruction.code,
                jt: instruction.jump_true,
                jf: instruction.jump_false,
                k: instruction.operand,
            },
            GFP_KERNEL,
        )?;
    }
    let mut fprog = bindings::sock_fprog_kern {
        len: u16::try_from(filter.len())?,
        filter: filter.as_mut_ptr(),
    };
    let mut prog = ptr::null_mut();
    // SAFETY: The program is valid memory during this call, which copies and checks it, and so is the out-parameter.
    to_result(unsafe { bindings::bpf_prog_create(&mut prog, &mut fprog) })?;
    // SAFETY: The `sock` is valid, and the program is given to it.
    let result = to_result(unsafe { bindings::reuseport_attach_prog(socket.sk(), prog) });
    if result.is_err() {
        // SAFETY: It was not taken.
        unsafe { bindings::bpf_prog_destroy(prog) };
    }
    result
}
