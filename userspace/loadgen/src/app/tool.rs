// SPDX-License-Identifier: GPL-2.0

//! What a load generator is, beside what the library does for all of them.

use clap::Args;

use crate::{
    load::Transport,
    manual::Manual,
    options::Kind,
    protocol::Protocol,
    report::options::KsfOptions,
    socket::SocketOptions,
    target::{Server, Target},
};

/// A load generator: a protocol, and the options that only it has.
pub trait Tool: Args + 'static {
    /// What it is called.
    const NAME: &'static str;
    /// The words by which it is run: a program may have several tools, as subcommands.
    const COMMAND: &'static [&'static str] = &[Self::NAME];
    /// Its version.
    const VERSION: &'static str;
    /// What it is for: a line, and possibly more after an empty one.
    const ABOUT: &'static str;
    /// What is to be said of the default port and of its own figures.
    const NOTES: &'static str;
    /// What it calls its requests, in the plural.
    const REQUESTS: &'static str;
    /// What kind of load it puts on servers.
    const KIND: Kind = Kind::USUAL;
    /// What its manual says beside what all tools have in common.
    const MANUAL: Manual;
    /// The protocol.
    type Protocol: Protocol;

    /// The protocol with these options, over this transport. All that is random in it depends on the seed.
    ///
    /// # Errors
    ///
    /// The options do not go together; what is returned says why, as a complaint about the command line.
    fn protocol(&self, transport: Transport, seed: u64) -> Result<Self::Protocol, String>;

    /// The bytes of a request over this transport.
    fn request_bytes(&self, transport: Transport) -> usize;

    /// The bytes of a usual reply over this transport, if that is known before one comes.
    fn reply_bytes(&self, transport: Transport) -> Option<usize> {
        Some(self.request_bytes(transport))
    }

    /// Which columns `--ksf` prints, if ksf has such a tool.
    fn ksf_columns(&self) -> Option<KsfColumns>;

    /// The definition of the command line, or of that of compare, with other words where the usual ones do not fit a transport
    /// of its own.
    fn adapt(command: clap::Command) -> clap::Command {
        command
    }

    /// Where a server is that was named without a port. To find it out, the server's host may be asked.
    ///
    /// # Errors
    ///
    /// It could not be found out.
    fn default_target(
        &self,
        server: &Server,
        transport: Transport,
        options: &SocketOptions,
    ) -> anyhow::Result<Target>;

    /// What is asked of the server, if the name of the tool does not say that.
    fn subject(&self) -> Option<String> {
        None
    }
}

/// The tools of ksf whose columns there are.
#[derive(Clone, Debug)]
pub enum KsfColumns {
    /// Those of rpctest, with these options.
    RpcTest(KsfOptions),
    /// Those of echotest.
    EchoTest,
}
