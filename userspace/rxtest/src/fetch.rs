// SPDX-License-Identifier: GPL-2.0

//! `rxtest fetch`: large replies to small requests.

use loadgen::{
    app::{KsfColumns, Tool},
    args::number_in,
    load::Transport,
    manual::{Example, Manual},
    options::Kind,
    socket::SocketOptions,
    target::{Server, Target},
};
use wire::rxperf::{Operation, PORT};

use crate::{
    call::{Call, MAX_BYTES},
    content::Content,
    protocol::Rxperf,
    words,
};

/// How many calls each client makes unless something else is said, as rxperf does.
const COUNT: u64 = 100;

/// The options that only `rxtest fetch` has.
#[derive(Debug, clap::Args)]
pub(crate) struct Fetch {
    /// Bytes that each call fetches
    #[arg(short, long, value_name = "N", default_value = "1m", value_parser = number_in::<u32>(0..=MAX_BYTES))]
    size: u32,

    /// What the server sends
    #[arg(long, value_name = "CONTENT", default_value = "auto")]
    content: Content,
}

impl Fetch {
    fn call(&self) -> Call {
        Call::new(Operation::Recv { bytes: self.size })
    }
}

impl Tool for Fetch {
    const NAME: &'static str = "rxtest-fetch";
    const COMMAND: &'static [&'static str] = &["rxtest", "fetch"];
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Measures how fast an Rx server sends files, and checks every byte.

Clients, each with a UDP port of its own, fetch bytes from a server of rxperf by calls of its operation RECV.";
    const NOTES: &'static str = words::NOTES;
    const REQUESTS: &'static str = "calls";
    const KIND: Kind = Kind {
        transport: Some(Transport::Rx),
        count: COUNT,
        open_loop_in_flight: words::OPEN_LOOP_STREAMS,
    };
    const MANUAL: Manual = Manual {
        description: &[
            "rxtest fetch fetches bytes from an Rx server of the service rxperf, by calls of its operation RECV: from krx of ksf, \
             Linux's in-kernel server, OpenAFS's. A file is what one call brings.",
            words::CLIENTS,
            words::CHECKS,
        ],
        examples: &[
            Example {
                command: "rxtest fetch server",
                what: "Fetch a hundred files of 1 MiB, one after the other.",
            },
            Example {
                command: "rxtest fetch --clients 100 --streams 4 --files 10 -j 2 server",
                what: "Let a hundred clients fetch ten files each, four at a time.",
            },
            Example {
                command: "rxtest fetch --size 64k --duration 10s --warmup 1s server",
                what: "Fetch files of 64 KiB for ten seconds.",
            },
            Example {
                command: "rxtest fetch compare -i 5 --files 20 server:7009 server:7010",
                what: "Tell which of two servers is faster.",
            },
        ],
        see_also: &[("rxtest", 1), ("rxtest-rpc", 1), ("rxdebug", 1)],
    };
    type Protocol = Rxperf;

    fn protocol(&self, _: Transport, _: u64) -> Result<Rxperf, String> {
        Ok(Rxperf::new(self.call(), self.content))
    }

    fn request_bytes(&self, _: Transport) -> usize {
        self.call().request().len()
    }

    fn reply_bytes(&self, _: Transport) -> Option<usize> {
        usize::try_from(self.call().reply_bytes()).ok()
    }

    fn ksf_columns(&self) -> Option<KsfColumns> {
        None
    }

    fn adapt(command: clap::Command) -> clap::Command {
        words::adapt(command).mut_arg("count", |arg| {
            arg.alias("files").help(format!(
                "The same as --files: files that each client fetches in a run [default: {COUNT}, unless there is a --duration]"
            ))
        })
    }

    fn default_target(
        &self,
        server: &Server,
        _: Transport,
        _: &SocketOptions,
    ) -> anyhow::Result<Target> {
        Ok(server.at(PORT))
    }

    fn subject(&self) -> Option<String> {
        Some(format!("files of {} bytes", self.size))
    }
}
