// SPDX-License-Identifier: GPL-2.0

//! Beginning to serve.

use std::{
    convert::Infallible,
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
};

use anyhow::Context;
use rustix::{
    io::Errno,
    net::{listen, socket_with, sockopt, AddressFamily, SocketFlags, SocketType},
    process::{getrlimit, setrlimit, Resource, Rlimit},
};

use crate::Server;

/// How many connections may wait for being accepted; the system's own limit is often lower.
const BACKLOG: i32 = 4096;

/// A listener on all addresses, those of IPv4 and IPv6 or, where there is no IPv6, of IPv4. With port 0 the system chooses
/// one. Its connections send at once what they are given (`TCP_NODELAY`), and there may be as many as the system allows.
///
/// # Errors
///
/// The port is taken, or the system does not let us have it.
pub fn tcp(port: u16) -> anyhow::Result<TcpListener> {
    allow_many_descriptors();
    let listener = bind(port, TcpListener::bind)?;
    // What is accepted inherits it.
    sockopt::set_tcp_nodelay(&listener, true)
        .and_then(|()| listen(&listener, BACKLOG))
        .context("cannot listen")?;
    Ok(listener)
}

/// A socket for datagrams on all addresses, as [`tcp()`].
///
/// # Errors
///
/// The port is taken, or the system does not let us have it.
pub fn udp(port: u16) -> anyhow::Result<UdpSocket> {
    bind(port, UdpSocket::bind)
}

/// So many sockets for datagrams on one port, as [`udp()`], each of which gets those of some clients.
///
/// # Errors
///
/// The port is taken, or the system does not let us have it.
pub fn udp_group(port: u16, count: usize) -> anyhow::Result<Vec<UdpSocket>> {
    let mut sockets: Vec<UdpSocket> = Vec::with_capacity(count);
    for _ in 0..count {
        // The first one may have got any port.
        let port = match sockets.first() {
            Some(first) => first.local_addr().context("there is no address")?.port(),
            None => port,
        };
        sockets.push(bind(port, bind_in_group)?);
    }
    Ok(sockets)
}

fn bind_in_group(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket.into())
}

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

/// Says on standard output that clients may come, and serves them.
///
/// # Errors
///
/// There is no address, nobody reads what is said, or serving fails.
pub fn serve(
    what: &str,
    address: io::Result<SocketAddr>,
    server: &mut dyn Server,
) -> anyhow::Result<Infallible> {
    announce(what, address)?;
    server.serve().context("cannot serve")
}

/// Says on standard output that clients may come.
///
/// # Errors
///
/// There is no address, or nobody reads what is said.
pub fn announce(what: &str, address: io::Result<SocketAddr>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what} {}", address?)
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
