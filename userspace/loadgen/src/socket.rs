// SPDX-License-Identifier: GPL-2.0

//! TCP connections and UDP sockets to the server.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::{
    event::{poll, PollFd, PollFlags, Timespec},
    io::Errno,
    net::sockopt::{
        set_ip_mtu_discover, set_ipv6_mtu_discover, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery,
    },
    process::{getrlimit, setrlimit, Resource, Rlimit},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    load::Transport,
    target::{ConnectError, Peer},
};

/// How long a receive looks at the network device itself, in microseconds: what the kernel's documentation recommends.
const BUSY_POLL_US: u32 = 50;

/// How many connections are established at the same time: more may be more than a server's queue takes, and then it takes
/// a second until they are tried again.
const CONNECTING: usize = 32;

/// How sockets are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// How long a connection may take to be established.
    pub timeout: Duration,
    /// The local address, if it is not left to the system.
    pub bind: Option<IpAddr>,
    /// Whether receives shall look at the network device (`SO_BUSY_POLL`).
    pub busy_poll: bool,
}

/// Sockets that are connected to the server.
#[derive(Debug)]
pub struct Sockets {
    /// TCP connections, or UDP sockets that hear nobody else.
    pub sockets: Vec<OwnedFd>,
    /// Why the system refused `SO_BUSY_POLL`, if it did: as a rule, because that takes CAP_NET_ADMIN.
    pub busy_poll_refused: Option<io::Error>,
}

impl Peer {
    /// Opens so many connections, without Nagle's algorithm, or sockets for datagrams.
    ///
    /// Of several addresses, the first is taken that accepts a connection; for datagrams, the first to which the system
    /// has a route, as nothing tells whether somebody is there. When there is one, the other connections are established
    /// several at a time, so that a server far away is not waited for once for each.
    ///
    /// # Errors
    ///
    /// No address could be connected to, in the time that it may take.
    pub fn open(
        &mut self,
        transport: Transport,
        count: usize,
        options: &SocketOptions,
    ) -> Result<Sockets, ConnectError> {
        allow_descriptors();
        let mut sockets = Vec::with_capacity(count);
        while sockets.len() < count {
            // The first one finds the address.
            let some = match sockets.len() {
                0 => 1,
                opened => CONNECTING.min(count - opened),
            };
            sockets.extend(self.first_that(|address| open(some, transport, address, options))?);
        }
        let mut busy_poll_refused = None;
        if options.busy_poll {
            for socket in &sockets {
                let refused = socket.set_busy_poll(BUSY_POLL_US).err();
                busy_poll_refused = busy_poll_refused.or(refused);
            }
        }
        Ok(Sockets {
            sockets: sockets.into_iter().map(OwnedFd::from).collect(),
            busy_poll_refused,
        })
    }
}

/// Allows as many descriptors as the system lets us have. If that is too few, opening sockets will tell.
fn allow_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, all);
}

/// Opens so many at the same time.
fn open(
    count: usize,
    transport: Transport,
    address: SocketAddr,
    options: &SocketOptions,
) -> io::Result<Vec<Socket>> {
    let deadline = Instant::now() + options.timeout;
    let begun: Vec<_> = (0..count)
        .map(|_| begin(transport, address, options.bind))
        .collect::<io::Result<_>>()?;
    for socket in &begun {
        if transport == Transport::Stream {
            wait_for_connection(socket, deadline)?;
            socket.set_tcp_nodelay(true)?;
        }
        if is_self_connected(socket)? {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        socket.set_nonblocking(false)?;
    }
    Ok(begun)
}

/// Opens a socket and begins to connect it.
fn begin(transport: Transport, address: SocketAddr, bind: Option<IpAddr>) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Stream => (Type::STREAM, Protocol::TCP),
        Transport::Datagrams | Transport::Rx => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if kind == Type::DGRAM {
        // A path that takes no datagrams of this size is no failure: they are divided. An IPv6 socket may have an IPv4 path.
        set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT)?;
        if address.is_ipv6() {
            set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DONT)?;
        }
    }
    if let Some(local) = bind {
        if local.is_ipv4() != address.is_ipv4() {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "the address to bind to is of the other IP version",
            ));
        }
        // The port is chosen when the server is known: there are as many for each server.
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            return Err(io::Error::new(
                error.kind(),
                format!("{error}: no local port is free; that of an ended connection is kept for a minute"),
            ))
        }
        connected => connected?,
    }
    Ok(socket)
}

fn wait_for_connection(socket: &Socket, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&left)) {
            Ok(0) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "connection timed out",
                ))
            }
            Ok(_) => return socket.take_error()?.map_or(Ok(()), Err),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the socket is connected to itself, and so is a perfect echo server.
///
/// If nobody listens on a local port, and the system happens to choose that very port for the client, TCP's simultaneous
/// open succeeds. ksf's usual port, 60007, is among those that Linux chooses from. A UDP socket needs no more than that.
fn is_self_connected(socket: &Socket) -> io::Result<bool> {
    Ok(socket.local_addr()?.as_socket() == socket.peer_addr()?.as_socket())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use rustix::net::sockopt;
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

    const OPTIONS: SocketOptions = SocketOptions {
        timeout: Duration::from_secs(10),
        bind: None,
        busy_poll: false,
    };

    fn peer(address: SocketAddr) -> Peer {
        let target = Target::parse(&address.to_string(), 7).unwrap();
        target.resolve().unwrap()
    }

    #[test]
    fn a_connection_has_no_nagle() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = peer(listener.local_addr().unwrap());
        let sockets = peer.open(Transport::Stream, 2, &OPTIONS).unwrap().sockets;
        assert_eq!(sockets.len(), 2);
        for socket in sockets {
            assert!(TcpStream::from(socket).nodelay().unwrap());
        }
    }

    #[test]
    fn many_connections_are_opened_and_block() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = peer(listener.local_addr().unwrap());
        let count = 3 * CONNECTING + 2;
        let sockets = peer
            .open(Transport::Stream, count, &OPTIONS)
            .unwrap()
            .sockets;
        assert_eq!(sockets.len(), count);
        for socket in sockets {
            assert!(!Socket::from(socket).nonblocking().unwrap());
        }
    }

    #[test]
    fn a_refusal_names_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = peer(address)
            .open(Transport::Stream, 1, &OPTIONS)
            .unwrap_err();
        assert_eq!(
            (error.address, error.error.kind()),
            (address, io::ErrorKind::ConnectionRefused)
        );
    }

    #[test]
    fn datagrams_may_be_divided_on_their_way() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let opened = |address| {
            let sockets = peer(address).open(Transport::Datagrams, 1, &OPTIONS);
            sockets.unwrap().sockets.remove(0)
        };
        let address = server.local_addr().unwrap();
        let socket = opened(address);
        assert_eq!(
            sockopt::ip_mtu_discover(&socket),
            Ok(Ipv4PathMtuDiscovery::DONT)
        );
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let socket = opened((mapped, address.port()).into());
        assert_eq!(
            sockopt::ip_mtu_discover(&socket),
            Ok(Ipv4PathMtuDiscovery::DONT)
        );
        assert_eq!(
            sockopt::ipv6_mtu_discover(&socket),
            Ok(Ipv6PathMtuDiscovery::DONT)
        );
    }

    #[test]
    fn datagrams_are_heard_from_the_server_only() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut peer = peer(server.local_addr().unwrap());
        let socket = peer
            .open(Transport::Datagrams, 1, &OPTIONS)
            .unwrap()
            .sockets;
        let socket = UdpSocket::from(socket.into_iter().next().unwrap());
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = socket.local_addr().unwrap();
        stranger.send_to(b"stranger", client).unwrap();
        server.send_to(b"server", client).unwrap();
        let mut buffer = [0; 16];
        let received = socket.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..received], *b"server");
    }

    #[test]
    fn the_local_address_can_be_chosen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = UdpSocket::bind(listener.local_addr().unwrap()).unwrap();
        let mut peer = peer(server.local_addr().unwrap());
        let local = Ipv4Addr::new(127, 3, 2, 1).into();
        let options = SocketOptions {
            bind: Some(local),
            ..OPTIONS
        };
        for transport in [Transport::Stream, Transport::Datagrams] {
            let sockets = peer.open(transport, 1, &options).unwrap().sockets;
            let socket = Socket::from(sockets.into_iter().next().unwrap());
            let address = socket.local_addr().unwrap().as_socket().unwrap();
            assert_eq!(address.ip(), local);
        }
        let other = SocketOptions {
            bind: Some("::1".parse().unwrap()),
            ..OPTIONS
        };
        let error = peer.open(Transport::Stream, 1, &other).unwrap_err();
        assert!(error.to_string().contains("other IP version"), "{error}");
    }

    #[test]
    fn a_socket_that_is_its_own_peer_is_recognised() {
        let itself = |kind| {
            let socket = Socket::new(Domain::IPV4, kind, None).unwrap();
            let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
            socket.bind(&any.into()).unwrap();
            socket.connect(&socket.local_addr().unwrap()).unwrap();
            socket
        };
        assert!(is_self_connected(&itself(Type::STREAM)).unwrap());
        assert!(is_self_connected(&itself(Type::DGRAM)).unwrap());
    }
}
