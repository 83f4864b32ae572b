// SPDX-License-Identifier: GPL-2.0

//! What can be called.

use wire::{
    program,
    rpc::server::{registry, Entry, Program, Version},
};

/// The programs.
pub(crate) static PROGRAMS: [Entry<()>; 1] = registry([Entry::of::<Nfs>()]);

/// The Network File System, of which only NULL is there, as in krpc.
struct Nfs;

impl Program<()> for Nfs {
    const NUMBER: u32 = program::NFS;
    const NAME: &'static str = "nfs";
    const VERSIONS: &'static [Version<()>] = &[
        Version::null_only(2),
        Version::null_only(3),
        Version::null_only(4),
    ];
}
