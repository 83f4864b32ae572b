// SPDX-License-Identifier: GPL-2.0

//! The server under test: its name on the command line, its addresses, and TCP connections and UDP sockets to it.

use std::{
    error, fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket},
    time::Duration,
    vec,
};

/// A host and a port, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A host name, an IPv4 address or an IPv6 address without brackets, possibly with a `%zone`.
    host: String,
    port: u16,
}

/// Why a `HOST[:PORT]` was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// There is nothing where the host should be.
    NoHost,
    /// Brackets, or several colons, but no IPv6 address.
    NotIpv6,
    /// What follows the host is not a port from 1 to 65535.
    BadPort,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "the host is missing",
            Self::NotIpv6 => "not an IPv6 address, which needs brackets if a port follows",
            Self::BadPort => "the port is not a number from 1 to 65535",
        })
    }
}

impl error::Error for TargetError {}

impl Target {
    /// Reads `HOST[:PORT]`; an IPv6 address is written bare, or in brackets where a port follows.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, TargetError> {
        let (host, port) = if let Some(inside) = text.strip_prefix('[') {
            let (host, rest) = inside.split_once(']').ok_or(TargetError::NotIpv6)?;
            check_ipv6(host)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(TargetError::BadPort),
            }
        } else {
            match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => {
                    check_ipv6(text)?;
                    (text, None)
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        if host.is_empty() {
            return Err(TargetError::NoHost);
        }
        let port = match port {
            Some(port) => parse_port(port).ok_or(TargetError::BadPort)?,
            None => default_port,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// Asks the system's resolver for the addresses, which takes as long as the resolver may.
    pub fn resolve(&self) -> io::Result<Peer> {
        let mut alternatives = (self.host.as_str(), self.port).to_socket_addrs()?;
        match alternatives.next() {
            Some(address) => Ok(Peer {
                address,
                alternatives,
            }),
            None => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            )),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn check_ipv6(host: &str) -> Result<(), TargetError> {
    let address = host
        .split_once('%')
        .map_or(host, |(address, _zone)| address);
    address
        .parse::<Ipv6Addr>()
        .map(drop)
        .map_err(|_| TargetError::NotIpv6)
}

fn parse_port(text: &str) -> Option<u16> {
    // Digits only: the standard library would also take a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| digits && port != 0)
}

/// The address of a server, and those to fall back on until one has taken a connection.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    alternatives: vec::IntoIter<SocketAddr>,
}

impl Peer {
    /// The address that took the last connection, or that is tried next if none has.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens a TCP connection without Nagle's algorithm, on which a read fails with [`io::ErrorKind::WouldBlock`] after
    /// `timeout` without data.
    ///
    /// The addresses are tried in the resolver's order, each for as long as `timeout`. The first that takes a connection
    /// is the only one from then on, so that one measurement never mixes IPv4 with IPv6 or one server with another.
    pub fn connect(&mut self, timeout: Duration) -> Result<TcpStream, ConnectError> {
        self.first_that(|address| open(address, timeout))
    }

    /// Opens a UDP socket that sends to the server and receives from nobody else.
    ///
    /// Of the addresses, the first is taken to which the system has a route: nothing tells whether somebody is there.
    pub fn connect_datagrams(&mut self) -> Result<UdpSocket, ConnectError> {
        self.first_that(|address| {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            // As TCP's, a socket whose port happens to be the server's would be a perfect echo server.
            if socket.local_addr()? == socket.peer_addr()? {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Ok(socket)
        })
    }

    /// Tries the addresses in their order, and stays with the first with which `open` succeeds.
    fn first_that<T>(
        &mut self,
        open: impl Fn(SocketAddr) -> io::Result<T>,
    ) -> Result<T, ConnectError> {
        loop {
            match open(self.address) {
                Ok(opened) => {
                    self.alternatives = Vec::new().into_iter();
                    return Ok(opened);
                }
                Err(error) => match self.alternatives.next() {
                    Some(next) => self.address = next,
                    None => {
                        return Err(ConnectError {
                            address: self.address,
                            error,
                        })
                    }
                },
            }
        }
    }
}

/// No address of the server took a connection.
#[derive(Debug)]
pub struct ConnectError {
    /// The last address that was tried.
    pub address: SocketAddr,
    /// What it answered.
    pub error: io::Error,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.address, self.error)
    }
}

impl error::Error for ConnectError {}

fn open(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    if is_self_connected(&stream)? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    Ok(stream)
}

/// Whether the socket is connected to itself, and so is a perfect echo server.
///
/// If nobody listens on a local port, and the system happens to choose that very port for the client, TCP's simultaneous
/// open succeeds. ksf's usual port, 60007, is among those that Linux chooses from.
fn is_self_connected(stream: &TcpStream) -> io::Result<bool> {
    Ok(stream.local_addr()? == stream.peer_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{bind, connect, getsockname, socket, AddressFamily, SocketType};
    use std::net::{Ipv4Addr, TcpListener};

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, host, port) in [
            ("server", "server", 7),
            ("server:60008", "server", 60008),
            ("192.0.2.1", "192.0.2.1", 7),
            ("192.0.2.1:1", "192.0.2.1", 1),
            ("::1", "::1", 7),
            ("[::1]", "::1", 7),
            ("[::1]:65535", "::1", 65535),
            ("2001:db8::1:6007", "2001:db8::1:6007", 7),
            ("fe80::1%eth0", "fe80::1%eth0", 7),
            ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ] {
            let target = Target {
                host: host.to_owned(),
                port,
            };
            assert_eq!(Target::parse(text, 7), Ok(target), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        for (text, error) in [
            ("", TargetError::NoHost),
            (":80", TargetError::NoHost),
            ("[]:80", TargetError::NotIpv6),
            ("[::1", TargetError::NotIpv6),
            ("[server]:80", TargetError::NotIpv6),
            ("a:b:c", TargetError::NotIpv6),
            ("2001:db8::1:60007", TargetError::NotIpv6),
            ("server:", TargetError::BadPort),
            ("server:0", TargetError::BadPort),
            ("server:65536", TargetError::BadPort),
            ("server:+80", TargetError::BadPort),
            ("server:http", TargetError::BadPort),
            ("[::1]80", TargetError::BadPort),
        ] {
            assert_eq!(Target::parse(text, 7), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_connection_has_no_nagle_and_a_limit_on_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut peer = Target::parse("127.0.0.1", port).unwrap().resolve().unwrap();
        let stream = peer.connect(TIMEOUT).unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.read_timeout().unwrap(), Some(TIMEOUT));
    }

    #[test]
    fn the_address_that_answered_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        // Nobody listens on port 1 of an address of the loopback network that is used by nothing else.
        let dead = SocketAddr::from(([127, 9, 9, 9], 1));
        let mut peer = Peer {
            address: dead,
            alternatives: vec![good, dead].into_iter(),
        };
        assert_eq!(peer.connect(TIMEOUT).unwrap().peer_addr().unwrap(), good);
        drop(listener);
        let error = peer.connect(TIMEOUT).unwrap_err();
        assert_eq!(
            (error.address, error.error.kind()),
            (good, io::ErrorKind::ConnectionRefused)
        );
    }

    #[test]
    fn datagrams_take_the_first_address_that_can_be_sent_to() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let good = server.local_addr().unwrap();
        // The system refuses to send to a broadcast address unless asked to.
        let unusable = SocketAddr::from((Ipv4Addr::BROADCAST, 7));
        let mut peer = Peer {
            address: unusable,
            alternatives: vec![good, unusable].into_iter(),
        };
        let socket = peer.connect_datagrams().unwrap();
        assert_eq!((socket.peer_addr().unwrap(), peer.address()), (good, good));
        // Who is not the server is not heard.
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = socket.local_addr().unwrap();
        stranger.send_to(b"stranger", client).unwrap();
        server.send_to(b"server", client).unwrap();
        let mut buffer = [0; 16];
        let received = socket.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..received], *b"server");
    }

    #[test]
    fn a_socket_that_is_its_own_peer_is_recognised() {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        connect(&socket, &getsockname(&socket).unwrap()).unwrap();
        assert!(is_self_connected(&TcpStream::from(socket)).unwrap());

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = open(listener.local_addr().unwrap(), TIMEOUT).unwrap();
        assert!(!is_self_connected(&stream).unwrap());
    }
}
