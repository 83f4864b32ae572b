// SPDX-License-Identifier: GPL-2.0

//! The server under test: its name on the command line, and its addresses.

use std::{
    error, fmt, io,
    net::{Ipv6Addr, SocketAddr, ToSocketAddrs},
    vec,
};

/// A host, and a port if one was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A host name, an IPv4 address or an IPv6 address without brackets, possibly with a `%zone`.
    host: String,
    port: Option<u16>,
}

/// A host and a port, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As that of a [`Server`].
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

impl Server {
    /// Reads `HOST[:PORT]`; an IPv6 address is written bare, or in brackets where a port follows.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
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
        let port = port.map(|port| parse_port(port).ok_or(TargetError::BadPort));
        Ok(Self {
            host: host.to_owned(),
            port: port.transpose()?,
        })
    }

    /// The port, if one was said.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// This port of the host.
    pub fn at(&self, port: u16) -> Target {
        Target {
            host: self.host.clone(),
            port,
        }
    }
}

impl Target {
    /// Reads `HOST[:PORT]`, as [`Server::parse`] does.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, TargetError> {
        let server = Server::parse(text)?;
        Ok(server.at(server.port.unwrap_or(default_port)))
    }

    /// Asks the system's resolver for the addresses, which takes as long as the resolver may.
    ///
    /// There is at least one, and the one to be preferred is the first.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        if addresses.is_empty() {
            let text = "the name has no address";
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(addresses)
    }

    /// Resolves it to a peer with all its addresses.
    pub fn resolve(&self) -> io::Result<Peer> {
        let addresses = self.addresses()?;
        let mut peer = Peer::from(addresses[0]);
        peer.alternatives = addresses.into_iter();
        peer.alternatives.next();
        Ok(peer)
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(address) if address.scope_id() != 0 => {
                format!("{}%{}", address.ip(), address.scope_id())
            }
            _ => address.ip().to_string(),
        };
        Self {
            host,
            port: address.port(),
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

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            alternatives: Vec::new().into_iter(),
        }
    }
}

impl Peer {
    /// The address that took the last connection, or that is tried next if none has.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tries the addresses in the resolver's order, until `open` succeeds with one.
    ///
    /// That is the only one from then on, so that one measurement never mixes IPv4 with IPv6 or one server with another.
    pub(crate) fn first_that<T>(
        &mut self,
        mut open: impl FnMut(SocketAddr) -> io::Result<T>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddrV6;

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
    fn a_port_that_was_not_said_is_known_to_be_missing() {
        for (text, port) in [("server", None), ("server:7", Some(7)), ("::1", None)] {
            let server = Server::parse(text).unwrap();
            assert_eq!(server.port(), port);
            assert_eq!(Ok(server.at(8)), Target::parse(&server.host, 8));
        }
    }

    #[test]
    fn an_address_is_a_target() {
        for text in ["192.0.2.1:7", "[2001:db8::1]:65535"] {
            let target = Target::from(text.parse::<SocketAddr>().unwrap());
            assert_eq!(Ok(target), Target::parse(text, 1), "{text}");
        }
        let zoned: SocketAddrV6 = "[fe80::1%2]:7".parse().unwrap();
        let target = Target::from(SocketAddr::from(zoned));
        assert_eq!(Ok(target.clone()), Target::parse("fe80::1%2", 7));
        assert_eq!(target.addresses().unwrap(), [SocketAddr::from(zoned)]);
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
    fn the_address_that_was_taken_is_kept() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut peer = Peer {
            address: address(1),
            alternatives: vec![address(2), address(3)].into_iter(),
        };
        let mut tried = Vec::new();
        let refuse_odd = |tried: &mut Vec<u16>, address: SocketAddr| {
            tried.push(address.port());
            if address.port() % 2 == 0 {
                Ok(address.port())
            } else {
                Err(io::Error::from(io::ErrorKind::ConnectionRefused))
            }
        };
        assert_eq!(
            peer.first_that(|address| refuse_odd(&mut tried, address))
                .unwrap(),
            2
        );
        assert_eq!((tried, peer.address()), (vec![1, 2], address(2)));
        let error = peer
            .first_that(|_| Err::<(), _>(io::ErrorKind::ConnectionRefused.into()))
            .unwrap_err();
        assert_eq!(error.address, address(2));
    }
}
