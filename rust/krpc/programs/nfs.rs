// SPDX-License-Identifier: GPL-2.0

//! The Network File System: RFC 1094, RFC 1813 and RFC 7530.

use super::Context;
use wire::{
    program,
    rpc::server::{
        Program,
        Version, //
    }, //
};

/// The program.
pub(crate) struct Nfs;

impl Program<Context> for Nfs {
    const NUMBER: u32 = program::NFS;
    const NAME: &'static str = "nfs";
    const VERSIONS: &'static [Version<Context>] = &[
        Version::null_only(2),
        Version::null_only(3),
        Version::null_only(4),
    ];
}
