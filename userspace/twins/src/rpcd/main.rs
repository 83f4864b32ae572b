// SPDX-License-Identifier: GPL-2.0

//! The user-space twin of krpc: the same programs, by the same codec, as one would serve them with epoll or with io_uring,
//! to measure what the kernel spares.

mod programs;
mod records;

use std::{
    convert::Infallible,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use twins::{epoll, io_uring, listen, Served, Server, Service};
use wire::rpc::server::{serve as serve_message, Answer, MAX_ERROR_BYTES};

use programs::PROGRAMS;
use records::Records;

/// Answers calls of the procedure NULL of NFS, over TCP or UDP, IPv4 and IPv6.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The port; with 0 the system chooses one, and it is printed
    #[arg(short, long, value_name = "PORT", default_value = "62049")]
    port: u16,

    /// Datagrams over UDP instead of streams over TCP
    #[arg(short, long)]
    udp: bool,

    /// How the system is asked
    #[arg(short, long, value_name = "ENGINE", default_value = "epoll")]
    engine: Engine,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Engine {
    Epoll,
    #[value(name = "io_uring")]
    IoUring,
}

/// Calls are answered.
#[derive(Debug, Default)]
struct Rpc {
    /// Those of one turn.
    replies: Vec<u8>,
}

impl Service for Rpc {
    type Stream = Records;

    #[inline]
    fn stream<'a>(&'a mut self, records: &mut Records, received: &'a [u8]) -> Served<'a> {
        self.replies.clear();
        let is_last = records.serve(received, &mut self.replies);
        Served {
            answer: &self.replies,
            is_last,
        }
    }

    #[inline]
    fn datagram(&mut self, datagram: &mut [u8]) -> Option<usize> {
        let mut reply = [0; MAX_ERROR_BYTES];
        let room = datagram.len().min(reply.len());
        let Answer::Reply(length) =
            serve_message(&PROGRAMS, &(), datagram, &mut reply[..room]).answer
        else {
            return None;
        };
        datagram[..length].copy_from_slice(&reply[..length]);
        Some(length)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Err(error) = serve(&options);
    // If standard error is closed too, the exit status has to do.
    let _ = writeln!(io::stderr(), "rpcd: {error:#}");
    ExitCode::FAILURE
}

/// Serves until that fails.
fn serve(options: &Options) -> anyhow::Result<Infallible> {
    let rpc = Rpc::default();
    if options.udp {
        let socket = listen::udp(options.port)?;
        let address = socket.local_addr();
        let mut server: Box<dyn Server> = match options.engine {
            Engine::Epoll => Box::new(epoll::Datagrams::new(socket, rpc)?),
            Engine::IoUring => Box::new(io_uring::Datagrams::new(socket, rpc)?),
        };
        listen::serve("rpcd: serving UDP", address, &mut *server)
    } else {
        let listener = listen::tcp(options.port)?;
        let address = listener.local_addr();
        let mut server: Box<dyn Server> = match options.engine {
            Engine::Epoll => Box::new(epoll::Streams::new(listener, rpc)?),
            Engine::IoUring => Box::new(io_uring::Streams::new(listener, rpc)?),
        };
        listen::serve("rpcd: serving TCP", address, &mut *server)
    }
}
