// SPDX-License-Identifier: GPL-2.0

//! Who counts as one peer.

use core::{
    fmt,
    net::{
        IpAddr,
        Ipv6Addr, //
    }, //
};
use kernel::prelude::*;

/// The addresses that count as one peer: those that one host can give itself.
///
/// Of IPv4, and of what IPv6 has on the link or in the host (`fe80::/10`, `::1`), each address by itself; of the rest of IPv6, a
/// network of 64 bits, for that is what a host chooses its own addresses in (RFC 4862, RFC 8981). IPv4 addresses that are mapped to IPv6
/// are those of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// The first address.
    first: IpAddr,
    /// There are others.
    is_prefix: bool,
}

impl Network {
    /// The bits of an IPv6 address that choose a host.
    const HOST_BITS: u128 = (1 << 64) - 1;

    /// Returns the one that `address` is in.
    ///
    /// Any context.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(ip) if !ip.is_unicast_link_local() && !ip.is_loopback() => Self {
                first: Ipv6Addr::from_bits(ip.to_bits() & !Self::HOST_BITS).into(),
                is_prefix: true,
            },
            first => Self {
                first,
                is_prefix: false,
            },
        }
    }

    /// Returns a number that no other network has, but for those of the other version of IP.
    ///
    /// Any context.
    pub fn to_bits(self) -> u128 {
        match self.first {
            IpAddr::V4(ip) => ip.to_bits().into(),
            IpAddr::V6(ip) => ip.to_bits(),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.is_prefix { "/64" } else { "" };
        write!(f, "{}{suffix}", self.first)
    }
}

#[kunit_tests(ksf_network)]
mod tests {
    use super::*;
    use core::{
        fmt::Write,
        net::Ipv4Addr, //
    };

    fn of(text: &str) -> Result<Network> {
        Ok(Network::of(text.parse().map_err(|_| EINVAL)?))
    }

    /// What is still to be written.
    struct Expected<'a>(&'a str);

    impl Write for Expected<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    fn shows(text: &str, expected: &str) -> Result {
        let mut expected = Expected(expected);
        let network = of(text)?;
        assert!(write!(expected, "{network}").is_ok() && expected.0.is_empty());
        Ok(())
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() -> Result {
        assert_eq!(of("2001:db8:0:1::1")?, of("2001:db8:0:1:9:9:9:9")?);
        assert!(of("2001:db8:0:1::1")? != of("2001:db8:0:2::1")?);
        shows("2001:db8:0:1:9:9:9:9", "2001:db8:0:1::/64")
    }

    #[test]
    fn an_address_of_ipv4_is_one_peer() -> Result {
        assert!(of("192.0.2.1")? != of("192.0.2.2")?);
        shows("192.0.2.1", "192.0.2.1")
    }

    #[test]
    fn a_mapped_address_is_that_of_ipv4() -> Result {
        assert_eq!(of("::ffff:192.0.2.1")?, of("192.0.2.1")?);
        assert!(of("::ffff:192.0.2.1")? != of("::ffff:192.0.2.2")?);
        shows("::ffff:192.0.2.1", "192.0.2.1")
    }

    #[test]
    fn an_address_of_the_link_or_the_host_is_one_peer() -> Result {
        for [one, other] in [
            ["fe80::1", "fe80::2"],
            ["febf::1", "febf::2"],
            ["::1", "::2"],
        ] {
            assert!(of(one)? != of(other)?);
            shows(one, one)?;
        }
        // What begins alike, and is neither.
        assert_eq!(of("fec0::1")?, of("fec0::2")?);
        shows("fec0::1", "fec0::/64")?;
        shows("::2", "::/64")
    }

    #[test]
    fn numbers_tell_networks_apart() -> Result {
        assert_eq!(
            of("192.0.2.1")?.to_bits(),
            u128::from(Ipv4Addr::new(192, 0, 2, 1).to_bits())
        );
        assert!(of("fe80::1")?.to_bits() != of("fe80::2")?.to_bits());
        assert_eq!(of("2001:db8::1")?.to_bits(), of("2001:db8::2")?.to_bits());
        Ok(())
    }
}
