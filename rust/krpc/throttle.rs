// SPDX-License-Identifier: GPL-2.0

//! How many errors a peer is told over UDP, where anybody can write a sender's address.

use core::net::IpAddr;
use kernel::prelude::*;
use ksf::{
    random,
    Network, //
};

/// How many peers are told apart. Others share what one is told.
const BUCKETS: usize = 256;

/// What the peers of one core were told.
pub(crate) struct Throttle {
    /// None, until there is an error.
    buckets: KVec<Bucket>,
    /// Nobody knows who shares a bucket with whom. It is odd.
    factor: u64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            buckets: KVec::new(),
            factor: random() | 1,
        }
    }
}

/// What some peers were told.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// In this second.
    second: u64,
    told: u64,
}

impl Throttle {
    /// Returns whether `peer` may be told of another error, when `limit` are allowed in a second.
    ///
    /// Any context.
    pub(crate) fn admits(&mut self, peer: IpAddr, limit: u64, now_ms: u64) -> bool {
        if limit == 0 {
            return true;
        }
        // Without memory, nobody is told of anything.
        if self.allocate().is_err() {
            return false;
        }
        let bucket = self.bucket(peer);
        let Some(bucket) = self.buckets.get_mut(bucket) else {
            return false;
        };
        let second = now_ms / 1000;
        if bucket.second != second {
            *bucket = Bucket { second, told: 0 };
        }
        bucket.told = bucket.told.saturating_add(1);
        bucket.told <= limit
    }

    fn allocate(&mut self) -> Result {
        if self.buckets.is_empty() {
            let mut buckets = KVec::with_capacity(BUCKETS, GFP_ATOMIC)?;
            buckets.extend_with(BUCKETS, Bucket::default(), GFP_ATOMIC)?;
            self.buckets = buckets;
        }
        Ok(())
    }

    /// The number of the bucket of a peer: all addresses of a network have one.
    fn bucket(&self, peer: IpAddr) -> usize {
        let network = Network::of(peer).to_bits();
        // CAST: The lower half. Only those on the link differ in what is behind the first 64 bits.
        let network = (network ^ (network >> 64)) as u64;
        // Multiplied by a large odd number, neighbours are spread over the upper bits.
        let spread = network.wrapping_mul(self.factor);
        // CAST: Of eight bits.
        (spread >> (u64::BITS - BUCKETS.ilog2())) as usize
    }
}

#[kunit_tests(krpc_throttle)]
mod tests {
    use super::*;
    use core::net::{
        Ipv4Addr,
        Ipv6Addr, //
    };

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_peer_is_told_so_much_in_a_second() {
        let mut throttle = Throttle::default();
        for now_ms in [0, 999, 5000] {
            assert!(throttle.admits(PEER, 1, now_ms) != (now_ms == 999));
        }
        assert!(!throttle.admits(PEER, 1, 5999));
        assert!(throttle.admits(PEER, 2, 6000) && throttle.admits(PEER, 2, 6000));
        assert!(!throttle.admits(PEER, 2, 6000));
    }

    #[test]
    fn without_a_limit_a_peer_is_told_all() {
        let mut throttle = Throttle::default();
        for _ in 0..1000 {
            assert!(throttle.admits(PEER, 0, 0));
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let throttle = Throttle::default();
        let first = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1));
        let second = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9));
        assert_eq!(throttle.bucket(first), throttle.bucket(second));
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        assert_eq!(throttle.bucket(mapped), throttle.bucket(PEER));
    }

    #[test]
    fn peers_on_the_link_are_told_apart() {
        let throttle = Throttle::default();
        let bucket =
            |host| throttle.bucket(IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, host)));
        assert!((2..=255).any(|host| bucket(host) != bucket(1)));
    }

    #[test]
    fn peers_are_told_apart() {
        let throttle = Throttle::default();
        let bucket = |last| throttle.bucket(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        assert!((2..=255).any(|last| bucket(last) != bucket(1)));
    }
}
