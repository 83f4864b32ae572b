// SPDX-License-Identifier: GPL-2.0

//! The user-space twin of kecho: an echo server as one would write it with epoll, to measure what the kernel spares.

use std::{
    convert::Infallible,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use twins::{epoll, listen, Served, Service};

/// Sends back what it receives, over TCP or UDP, IPv4 and IPv6.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The port; with 0 the system chooses one, and it is printed
    #[arg(short, long, value_name = "PORT", default_value = "60007")]
    port: u16,

    /// Datagrams over UDP instead of streams over TCP
    #[arg(short, long)]
    udp: bool,
}

/// What is received is the answer.
struct Echo;

impl Service for Echo {
    type Stream = ();

    #[inline]
    fn stream<'a>(&'a mut self, (): &mut (), received: &'a [u8]) -> Served<'a> {
        Served {
            answer: received,
            is_last: false,
        }
    }

    #[inline]
    fn datagram(&mut self, datagram: &mut [u8]) -> Option<usize> {
        Some(datagram.len())
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Err(error) = serve(&options);
    // If standard error is closed too, the exit status has to do.
    let _ = writeln!(io::stderr(), "echod: {error:#}");
    ExitCode::FAILURE
}

/// Serves until that fails.
fn serve(options: &Options) -> anyhow::Result<Infallible> {
    if options.udp {
        let socket = listen::udp(options.port)?;
        let address = socket.local_addr();
        let mut server = epoll::Datagrams::new(socket, Echo)?;
        listen::serve("echod: serving UDP", address, &mut server)
    } else {
        let listener = listen::tcp(options.port)?;
        let address = listener.local_addr();
        let mut server = epoll::Streams::new(listener, Echo)?;
        listen::serve("echod: serving TCP", address, &mut server)
    }
}
