// SPDX-License-Identifier: GPL-2.0

//! The user-space twin of kecho: an echo server as one would write it with epoll, to measure what the kernel spares.
//!
//! One thread, non-blocking sockets, and for each message three calls: wait, receive, send. There is nothing in it that a
//! server needs and an echo server does not, so that it is as fast as user space can be in this way.

mod tcp;
mod udp;

use std::{
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use rustix::{
    io::Errno,
    process::{getrlimit, setrlimit, Resource, Rlimit},
};

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

/// What one call receives at most: any datagram, and of a stream as much as kecho takes at once.
const BUFFER_BYTES: usize = 64 << 10;

fn main() -> ExitCode {
    let options = Options::parse();
    let Err(error) = serve(&options);
    // If standard error is closed too, the exit status has to do.
    let _ = writeln!(io::stderr(), "echod: {error:#}");
    ExitCode::FAILURE
}

/// Serves until that fails.
fn serve(options: &Options) -> anyhow::Result<std::convert::Infallible> {
    let mut buffer = vec![0; BUFFER_BYTES];
    if options.udp {
        let socket = bind(options.port, std::net::UdpSocket::bind)?;
        announce("UDP", socket.local_addr())?;
        udp::serve(&socket, &mut buffer).context("cannot serve")
    } else {
        allow_many_descriptors();
        let listener = bind(options.port, std::net::TcpListener::bind)?;
        announce("TCP", listener.local_addr())?;
        tcp::Server::new(listener)
            .and_then(|mut server| server.serve(&mut buffer))
            .context("cannot serve")
    }
}

/// Binds to all addresses, those of IPv4 and IPv6 or, where there is no IPv6, of IPv4.
fn bind<T>(port: u16, bind: impl Fn(SocketAddr) -> io::Result<T>) -> anyhow::Result<T> {
    bind((Ipv6Addr::UNSPECIFIED, port).into())
        .or_else(|error| match Errno::from_io_error(&error) {
            Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
                bind((Ipv4Addr::UNSPECIFIED, port).into())
            }
            _ => Err(error),
        })
        .with_context(|| format!("cannot bind to port {port}"))
}

/// Says that clients may come.
fn announce(protocol: &str, address: io::Result<SocketAddr>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "echod: serving {protocol} {}", address?)
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Takes as many descriptors as the system lets it have. If it does not, there are fewer connections.
fn allow_many_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, limit);
}
