// SPDX-License-Identifier: GPL-2.0

//! Socket addresses as C has them.
//!
//! C headers: [`include/uapi/linux/in.h`](srctree/include/uapi/linux/in.h),
//! [`include/uapi/linux/in6.h`](srctree/include/uapi/linux/in6.h)

use super::bindings;
use core::{
    net::{
        Ipv4Addr,
        Ipv6Addr,
        SocketAddr,
        SocketAddrV4,
        SocketAddrV6, //
    },
    ops::Range, //
};
use kernel::prelude::*;

/// A `sockaddr_in` or a `sockaddr_in6`, whose layouts ([`include/uapi/linux/in.h`](srctree/include/uapi/linux/in.h),
/// [`in6.h`](srctree/include/uapi/linux/in6.h)) are the same for ever: family, port in network order, then the address
/// (IPv4), or flow information, address and scope (IPv6).
#[repr(C, align(8))]
#[derive(Default)]
pub(crate) struct Sockaddr {
    bytes: [u8; 28],
}

impl Sockaddr {
    const FAMILY: Range<usize> = 0..2;
    const PORT: Range<usize> = 2..4;
    const V4_ADDRESS: Range<usize> = 4..8;
    const V4_LEN: usize = 16;
    const V6_FLOWINFO: Range<usize> = 4..8;
    const V6_ADDRESS: Range<usize> = 8..24;
    const V6_SCOPE: Range<usize> = 24..28;
    const V6_LEN: usize = 28;

    /// Returns the address for C, and how many bytes of it count.
    pub(crate) fn new(address: SocketAddr) -> (Self, usize) {
        let mut this = Self::default();
        let mut set = |field: Range<usize>, value: &[u8]| this.bytes[field].copy_from_slice(value);
        let (family, len) = match address {
            SocketAddr::V4(address) => {
                set(Self::V4_ADDRESS, &address.ip().octets());
                (bindings::AF_INET, Self::V4_LEN)
            }
            SocketAddr::V6(address) => {
                set(Self::V6_FLOWINFO, &address.flowinfo().to_ne_bytes());
                set(Self::V6_ADDRESS, &address.ip().octets());
                set(Self::V6_SCOPE, &address.scope_id().to_ne_bytes());
                (bindings::AF_INET6, Self::V6_LEN)
            }
        };
        // CAST: Families are small numbers.
        set(Self::FAMILY, &(family as u16).to_ne_bytes());
        set(Self::PORT, &address.port().to_be_bytes());
        (this, len)
    }

    /// Returns the address that C wrote, or [`None`] if it is of another family.
    pub(crate) fn get(&self) -> Option<SocketAddr> {
        let family = u16::from_ne_bytes(self.field(Self::FAMILY)?);
        let port = u16::from_be_bytes(self.field(Self::PORT)?);
        match u32::from(family) {
            bindings::AF_INET => {
                let ip = Ipv4Addr::from(self.field::<4>(Self::V4_ADDRESS)?);
                Some(SocketAddrV4::new(ip, port).into())
            }
            bindings::AF_INET6 => {
                let ip = Ipv6Addr::from(self.field::<16>(Self::V6_ADDRESS)?);
                let flowinfo = u32::from_ne_bytes(self.field(Self::V6_FLOWINFO)?);
                let scope = u32::from_ne_bytes(self.field(Self::V6_SCOPE)?);
                Some(SocketAddrV6::new(ip, port, flowinfo, scope).into())
            }
            _ => None,
        }
    }

    /// Returns the bytes as the kernel's trace events take them.
    pub(crate) fn as_bytes(&self) -> &[u8; 28] {
        &self.bytes
    }

    fn field<const N: usize>(&self, field: Range<usize>) -> Option<[u8; N]> {
        self.bytes.get(field)?.try_into().ok()
    }
}

#[kunit_tests(ksf_sockaddr)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_through_c() {
        let v4 = SocketAddr::from(([192, 0, 2, 1], 60007));
        let v6 = SocketAddr::from(SocketAddrV6::new(
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
            1,
            7,
            2,
        ));
        let (c, len) = Sockaddr::new(v4);
        assert_eq!(len, 16);
        assert_eq!(&c.bytes[..8], &[2, 0, 0xea, 0x67, 192, 0, 2, 1]);
        assert_eq!(c.get(), Some(v4));
        let (c, len) = Sockaddr::new(v6);
        assert_eq!(len, 28);
        assert_eq!(c.get(), Some(v6));
        assert_eq!(Sockaddr::default().get(), None);
    }
}
