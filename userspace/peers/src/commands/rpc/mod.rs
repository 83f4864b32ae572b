// SPDX-License-Identifier: GPL-2.0

//! Peers of an RPC server: what it answers to what, and that it answers.

mod compare;
mod known;
mod malformed;
mod splits;
mod table;
mod talk;

#[path = "../../../../../rust/wire/tests/oracle/calls.rs"]
mod calls;
#[path = "../../../../../rust/wire/tests/table/mod.rs"]
mod rows;

use std::{fmt::Write, net::SocketAddr, time::Duration};

use anyhow::Context;
use clap::{Args, Subcommand};
use loadgen::{args::number_in, target::TargetError, Target};

use crate::options::seconds;

/// Peers of an RPC server: the answer to each byte that it is sent must be the one that is due
///
/// The server has the program NFS with the versions 2 to 4 of NULL, and ksf_echo, as krpc with echo=1.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Table(table::Options),
    Splits(splits::Options),
    Malformed(malformed::Options),
    Compare(compare::Options),
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match &options.command {
        Command::Table(options) => table::run(options),
        Command::Splits(options) => splits::run(options),
        Command::Malformed(options) => malformed::run(options),
        Command::Compare(options) => compare::run(options),
    }
}

/// How long to wait for a server.
#[derive(Debug, Args)]
struct Patience {
    /// Give up when nothing has been sent or received for so long
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
}

/// The server that is asked.
#[derive(Debug, Args)]
struct Server {
    #[command(flatten)]
    patience: Patience,

    /// The server has no program but NFS
    #[arg(long)]
    no_echo: bool,

    /// The server; an IPv6 address is in brackets if a port follows [default port: 62049]
    #[arg(value_name = "HOST[:PORT]", value_parser = target)]
    target: Target,
}

/// What is generated.
#[derive(Debug, Args)]
struct Load {
    /// Decides all that looks random
    #[arg(long, value_name = "N", default_value = "1", value_parser = number_in::<u64>(0..=u64::MAX))]
    seed: u64,

    /// How many records or datagrams
    #[arg(long, value_name = "N", default_value = "10K", value_parser = number_in::<u64>(1..=1 << 40))]
    count: u64,
}

impl Load {
    /// The generator of the part with this number, whatever the others make.
    fn part(&self, number: u64) -> calls::generator::Generator {
        let seed = self.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93);
        calls::generator::Generator::new(seed)
    }
}

const DEFAULT_PORT: u16 = 62049;

fn target(text: &str) -> Result<Target, TargetError> {
    Target::parse(text, DEFAULT_PORT)
}

/// The first address of a server.
fn resolve(target: &Target) -> anyhow::Result<SocketAddr> {
    let peer = target.resolve();
    Ok(peer
        .with_context(|| format!("cannot resolve {target}"))?
        .address())
}

/// The most bytes that are shown of a message; where there is a seed, it leads to all.
const SHOWN: usize = 1_024;

/// Bytes for a person who looks for the wrong one.
fn hex(bytes: &[u8]) -> String {
    hex_up_to(SHOWN, bytes)
}

/// As many as `limit` bytes.
fn hex_up_to(limit: usize, bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = String::new();
    for byte in bytes.iter().take(limit) {
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > limit {
        let _ = write!(text, "... ({} bytes)", bytes.len());
    }
    text
}

/// A message as a record of one fragment.
fn marked(message: &[u8]) -> Vec<u8> {
    let mark = 0x8000_0000 | message.len() as u32;
    [&mark.to_be_bytes(), message].concat()
}

/// A call of NFSv3 NULL with this xid, and the reply to it.
fn null(xid: u32) -> ([u8; 40], [u8; 24]) {
    let mut call =
        *b"....\0\0\0\0\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut reply = *b"....\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    call[..4].copy_from_slice(&xid.to_be_bytes());
    reply[..4].copy_from_slice(&xid.to_be_bytes());
    (call, reply)
}
