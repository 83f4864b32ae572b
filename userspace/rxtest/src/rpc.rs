// SPDX-License-Identifier: GPL-2.0

//! `rxtest rpc`: small calls.

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

/// The most bytes that a call sends: each that is in flight is kept until it has arrived.
const MAX_SEND: u64 = 64 << 20;

/// The options that only `rxtest rpc` has.
#[derive(Debug, clap::Args)]
pub(crate) struct Rpc {
    /// Bytes that each call sends, beside what asks for the call
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = number_in::<u32>(0..=MAX_SEND))]
    send: u32,

    /// Bytes that each call receives
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = number_in::<u32>(0..=MAX_BYTES))]
    receive: u32,

    /// What the server sends
    #[arg(long, value_name = "CONTENT", default_value = "auto")]
    content: Content,
}

impl Rpc {
    fn call(&self) -> Call {
        Call::new(Operation::Rpc {
            send: self.send,
            recv: self.receive,
        })
    }
}

impl Tool for Rpc {
    const NAME: &'static str = "rxtest-rpc";
    const COMMAND: &'static [&'static str] = &["rxtest", "rpc"];
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "Measures round trips and calls per second of an Rx server, and checks every byte.

Clients, each with a UDP port of its own, send some bytes to a server of rxperf and receive some, by calls of its \
operation RPC.";
    const NOTES: &'static str = words::NOTES;
    const REQUESTS: &'static str = "calls";
    const KIND: Kind = Kind {
        transport: Some(Transport::Rx),
        open_loop_in_flight: words::OPEN_LOOP_STREAMS,
        ..Kind::USUAL
    };
    const MANUAL: Manual = Manual {
        description: &[
            "rxtest rpc calls the operation RPC of an Rx server of the service rxperf again and again: of krx of ksf, Linux's \
             in-kernel server, OpenAFS's. Each call sends some bytes, and receives some.",
            words::CLIENTS,
            words::CHECKS,
        ],
        examples: &[
            Example {
                command: "rxtest rpc server",
                what: "Measure round trips, one call in flight.",
            },
            Example {
                command: "rxtest rpc --clients 100 -j 2 --duration 10s server",
                what: "Let a hundred clients call for ten seconds.",
            },
            Example {
                command: "rxtest rpc --rate 500 --arrivals exponential --duration 10s server",
                what: "Make 500 calls a second, whatever the server does.",
            },
            Example {
                command: "rxtest rpc --send 100k --receive 0 -c 100 server",
                what: "Send 100 KiB with each call.",
            },
            Example {
                command: "rxtest rpc --search 'p99<5ms' --duration 500ms server",
                what: "Search for the highest rate at which 99 % of the replies take less than 5 ms.",
            },
        ],
        see_also: &[("rxtest", 1), ("rxtest-fetch", 1), ("rxdebug", 1)],
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
        words::adapt(command)
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
        Some(format!(
            "calls that send {} bytes and receive {}",
            self.send, self.receive
        ))
    }
}
