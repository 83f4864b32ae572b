// SPDX-License-Identifier: GPL-2.0

//! What the servers of the tests serve, as krpc does: NFS with nothing but NULL, and ksf_echo.

use wire::{
    program,
    rpc::server::{registry, Entry, Failure, Procedure, Program, Request, Version},
    xdr::{Reader, Writer},
};

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

struct Echo;

impl Program<()> for Echo {
    const NUMBER: u32 = 0x2000_6b65;
    const NAME: &'static str = "ksf_echo";
    const VERSIONS: &'static [Version<()>] = &[Version {
        number: 1,
        procedures: &[
            Procedure::NULL,
            Procedure {
                name: "ECHO",
                call: echo,
            },
        ],
    }];
}

fn echo(_: &(), request: &Request<'_, ()>, results: &mut Writer<'_>) -> Result<(), Failure> {
    let mut arguments = Reader::new(request.arguments());
    let data = arguments.opaque(2048)?;
    arguments.finish()?;
    Ok(results.opaque(data)?)
}

pub(crate) static PROGRAMS: [Entry<()>; 2] = registry([Entry::of::<Nfs>(), Entry::of::<Echo>()]);
