// SPDX-License-Identifier: GPL-2.0

//! The options that only rpctest has, and what follows from them.

use std::num::NonZeroU32;

use anyhow::Context;
use loadgen::{
    app::{KsfColumns, Tool},
    args::number_in,
    load::Transport,
    manual::{Example, Manual},
    report::options::KsfOptions,
    socket::SocketOptions,
    target::{Server, Target},
};
use wire::{
    portmap,
    program::{self, NFS, PORTMAP},
    record::MARK_BYTES,
    rpc::{AcceptStatus, Reply},
};

use crate::{
    connection::Rpc,
    credential::Auth,
    procedure::Procedure,
    reply::Expected,
    request::Request,
    rpcbind::{self, Question},
};

/// More fragments than this no server has to take.
const MAX_FRAGMENTS: u64 = 1024;

const NFS_PORT: u16 = 2049;

/// The options that only rpctest has.
#[derive(Debug, clap::Args)]
pub(crate) struct RpcTool {
    /// The program, by its number or its name (nfs, mount, rpcbind, nlockmgr, ...)
    #[arg(long, value_name = "PROGRAM", default_value = "nfs", value_parser = program)]
    program: u32,

    /// The version of the program
    #[arg(long, value_name = "N", default_value = "3", value_parser = number)]
    prog_version: u32,

    /// The procedure, which must not take arguments; 0 is NULL
    #[arg(long, value_name = "N", default_value = "0", value_parser = number)]
    procedure: u32,

    /// Who calls
    #[arg(short = 'A', long, value_name = "FLAVOR", default_value = "none")]
    auth: Auth,

    /// Sends each call in three fragments, the first and the last of one byte, or in N
    #[arg(
        short,
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "3",
        conflicts_with = "udp",
        value_parser = number_in::<u32>(1..=MAX_FRAGMENTS)
    )]
    fragments: Option<u32>,

    /// The port of the rpcbind that is asked where the program is
    #[arg(long, value_name = "N", default_value_t = portmap::PORT, value_parser = number_in::<u16>(1..=65_535))]
    rpcbind_port: u16,

    #[command(flatten)]
    ksf: KsfOptions,
}

/// Reads a number, or a name that has one.
fn program(text: &str) -> Result<u32, String> {
    let named = program::by_name(text);
    named.or_else(|| number(text).ok()).ok_or_else(|| {
        let names: Vec<_> = program::names().collect();
        format!("neither a number nor one of {}", names.join(", "))
    })
}

/// Reads any number that there is on the wire.
fn number(text: &str) -> Result<u32, loadgen::args::NumberError> {
    number_in::<u32>(0..=u32::MAX.into())(text)
}

impl RpcTool {
    fn called(&self) -> Procedure {
        Procedure {
            program: self.program,
            version: self.prog_version,
            number: self.procedure,
        }
    }

    fn request(&self, transport: Transport) -> Result<Request, String> {
        let fragments = match transport {
            Transport::Stream => NonZeroU32::new(self.fragments.unwrap_or(1)),
            Transport::Datagrams | Transport::Rx => None,
        };
        self.auth
            .with(|credential| Request::new(self.called(), credential, fragments))
            .map_err(|error| format!("this host's name is no part of a credential: {error}"))
    }

    /// Asks the rpcbind of a host where the program is.
    fn ask_rpcbind(
        &self,
        server: &Server,
        transport: Transport,
        options: &SocketOptions,
    ) -> anyhow::Result<Target> {
        let rpcbind = server.at(self.rpcbind_port);
        let addresses = rpcbind
            .addresses()
            .with_context(|| format!("cannot resolve {rpcbind}"))?;
        let question = Question {
            procedure: self.called(),
            transport,
        };
        let found = rpcbind::locate(question, &addresses, options)?;
        // If it is at the address that is taken anyway, the server keeps its name.
        Ok(match addresses.first() {
            Some(first) if first.ip() == found.ip() => server.at(found.port()),
            _ => Target::from(found),
        })
    }
}

impl Tool for RpcTool {
    const NAME: &'static str = "rpctest";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str =
        "Measures an ONC RPC or NFS server over TCP or UDP, and checks every reply.

Calls one procedure again and again, NFSv3's NULL unless another is asked for. Of every reply it checks that its xid is
that of a request which has no reply yet, that the call was accepted and successful, and the verifier. NULL has no \
results; those of other procedures are counted, up to 16 MiB, and not looked into.";
    const NOTES: &'static str = "\
The default port is 2049 for nfs and 111 for rpcbind; for all else, the server's rpcbind is asked.

Mbit/s is that of the calls, with their record marks. That of --ksf counts the replies too, if the procedure is NULL.";
    const REQUESTS: &'static str = "RPCs";
    const MANUAL: Manual = Manual {
        description: &[
            "rpctest calls one procedure of an ONC RPC program again and again, over TCP or UDP, and checks every reply. It \
             measures round trips and calls per second of any RPC server: krpc of ksf, the kernel's NFS server, one in \
             user space, rpcbind. NFSv3's NULL is what it calls unless another program, version or procedure without \
             arguments is asked for.",
            "Of every reply it checks that its xid is that of a call which has no reply yet, that the call was accepted and \
             successful, and the verifier. NULL has no results: nothing may follow. The results of other procedures are \
             counted, up to 16 MiB and in whole units of four bytes, and not looked into.",
        ],
        examples: &[
            Example {
                command: "rpctest server",
                what: "Measure round trips of NFSv3's NULL, one call in flight.",
            },
            Example {
                command: "rpctest -a 128 -i 10 server",
                what: "Keep 128 calls in flight, in 10 runs with connections of their own.",
            },
            Example {
                command: "rpctest -u --program rpcbind --prog-version 2 server",
                what: "Call rpcbind's NULL by datagrams.",
            },
            Example {
                command: "rpctest -f -A sys server:2049",
                what: "Send each call in three fragments, with the credentials of a user.",
            },
            Example {
                command: "rpctest --search 'p99<5ms' --duration 500ms server",
                what: "Search for the highest rate at which 99 % of the replies take less than 5 ms.",
            },
            Example {
                command: "rpctest --ksf -i 5 -c 1k server",
                what: "Print the columns of ksf's rpctest.",
            },
        ],
        see_also: &[("echotest", 1), ("rpcinfo", 8), ("rpcbind", 8)],
    };
    type Protocol = Rpc;

    fn protocol(&self, transport: Transport, seed: u64) -> Result<Rpc, String> {
        let expected = Expected {
            procedure: self.called(),
            credential: self.auth.flavor(),
        };
        let first_xid = fastrand::Rng::with_seed(seed).u32(..);
        Ok(Rpc::new(self.request(transport)?, expected, first_xid))
    }

    fn request_bytes(&self, transport: Transport) -> usize {
        self.request(transport).map_or(0, |request| request.len())
    }

    /// NULL has no results. How many bytes those of other procedures have, only the server knows.
    fn reply_bytes(&self, transport: Transport) -> Option<usize> {
        let message = Reply::accepted(0, AcceptStatus::Success).encoded_len();
        let mark = match transport {
            Transport::Stream => MARK_BYTES,
            Transport::Datagrams | Transport::Rx => 0,
        };
        self.called().is_null().then_some(mark + message)
    }

    fn ksf_columns(&self) -> Option<KsfColumns> {
        Some(KsfColumns::RpcTest(self.ksf.clone()))
    }

    fn default_target(
        &self,
        server: &Server,
        transport: Transport,
        options: &SocketOptions,
    ) -> anyhow::Result<Target> {
        match self.program {
            NFS => Ok(server.at(NFS_PORT)),
            PORTMAP => Ok(server.at(self.rpcbind_port)),
            _ => self.ask_rpcbind(server, transport, options),
        }
    }

    fn subject(&self) -> Option<String> {
        let fragments = match self.fragments {
            None | Some(1) => String::new(),
            Some(count) => format!(" in {count} fragments"),
        };
        Some(format!(
            "{} by {}{fragments}",
            self.called(),
            self.auth.flavor()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        tool: RpcTool,
        /// Of the options that all tools have.
        #[arg(short, long)]
        udp: bool,
        host: Option<String>,
    }

    fn cli(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["rpctest"].into_iter().chain(line.split_whitespace()))
    }

    fn called(line: &str) -> (u32, u32, u32) {
        let called = cli(line).unwrap().tool.called();
        (called.program, called.version, called.number)
    }

    #[test]
    fn programs_have_names_and_numbers() {
        assert_eq!(called(""), (100_003, 3, 0));
        assert_eq!(called("--program nfs --prog-version 4"), (100_003, 4, 0));
        assert_eq!(
            called("--program portmapper --prog-version 2 --procedure 4"),
            (100_000, 2, 4)
        );
        assert_eq!(called("--program 0"), (0, 3, 0));
        assert_eq!(called("--program 4294967295"), (u32::MAX, 3, 0));
        for wrong in ["NFS", "", "-1", "4294967296"] {
            let line = ["rpctest", "--program", wrong];
            assert!(Cli::try_parse_from(line).is_err(), "{wrong}");
        }
    }

    #[test]
    fn three_fragments_need_no_number() {
        let fragments = |line| cli(line).unwrap().tool.fragments;
        assert_eq!(fragments("host"), None);
        assert_eq!(fragments("-f host"), Some(3));
        assert_eq!(fragments("--fragments host"), Some(3));
        assert_eq!(fragments("-f=40 host"), Some(40));
        assert_eq!(fragments("--fragments=1 host"), Some(1));
        for line in ["-f=0 host", "-f=1025 host", "-f -u host"] {
            assert!(cli(line).is_err(), "{line}");
        }
    }

    #[test]
    fn flavors_are_those_of_ksf() {
        for (line, auth) in [
            ("", Auth::None),
            ("-A none", Auth::None),
            ("-A sys", Auth::Sys),
            ("--auth unix", Auth::Sys),
        ] {
            assert_eq!(cli(line).unwrap().tool.auth, auth, "{line}");
        }
        assert!(cli("-A gss").is_err());
    }

    #[test]
    fn the_title_says_what_is_called() {
        let subject = |line| cli(line).unwrap().tool.subject().unwrap();
        assert_eq!(subject(""), "nfs version 3 NULL by AUTH_NONE");
        assert_eq!(
            subject("--program mount --procedure 5 -A sys -f"),
            "mount version 3 procedure 5 by AUTH_SYS in 3 fragments"
        );
    }

    #[test]
    fn calls_have_the_length_that_is_told() {
        let bytes = |line, transport| cli(line).unwrap().tool.request_bytes(transport);
        assert_eq!(bytes("", Transport::Stream), 44);
        assert_eq!(bytes("-f", Transport::Stream), 52);
        assert_eq!(bytes("", Transport::Datagrams), 40);
    }
}
