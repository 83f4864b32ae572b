// SPDX-License-Identifier: GPL-2.0

//! A program to test and measure with: it has arguments and results, which NULL has not.

use super::Context;
use wire::{
    rpc::server::{
        Failure,
        Procedure,
        Program,
        Request,
        Version, //
    },
    xdr::{
        Reader,
        Writer, //
    }, //
};

/// The most bytes that are sent back: with any header, a program sees all of the call.
const MAX_BYTES: u32 = 2048;

/// The program.
pub(crate) struct Echo;

impl Program<Context> for Echo {
    // Among the numbers that RFC 5531 section 8.3 leaves to users.
    const NUMBER: u32 = 0x2000_6b65;
    const NAME: &'static str = "ksf_echo";
    const VERSIONS: &'static [Version<Context>] = &[Version {
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

/// `opaque ECHO(opaque<2048>)`.
fn echo(
    _context: &Context,
    request: &Request<'_, Context>,
    results: &mut Writer<'_>,
) -> Result<(), Failure> {
    let mut arguments = Reader::new(request.arguments());
    let data = arguments.opaque(MAX_BYTES)?;
    arguments.finish()?;
    results.opaque(data)?;
    Ok(())
}
