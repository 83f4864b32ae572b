// SPDX-License-Identifier: GPL-2.0

//! What a core keeps by a key: connections by their numbers, and peers by their addresses.

use core::net::{
    IpAddr,
    SocketAddr, //
};
use kernel::prelude::*;
use rx::Identity;

/// What something is known by.
pub(crate) trait Key: Copy + Eq {
    /// Mixes all that it is with `seed`, which nobody outside knows, so that nobody can choose keys that fall together.
    fn hash(&self, seed: u64) -> u64;
}

/// What a connection is known by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionKey {
    identity: Identity,
    /// Where its packets come from, unless its epoch is random: then its numbers say enough, wherever they come from (OpenAFS,
    /// `rxi_ConnectionMatch()`).
    address: Option<SocketAddr>,
}

impl ConnectionKey {
    /// The highest bit of an epoch says that it is random.
    const RANDOM_EPOCH: u32 = 1 << 31;

    /// Returns that of a packet.
    pub(crate) fn new(identity: Identity, address: SocketAddr) -> Self {
        let is_random = identity.epoch & Self::RANDOM_EPOCH != 0;
        Self {
            identity,
            address: (!is_random).then_some(address),
        }
    }
}

impl Key for ConnectionKey {
    fn hash(&self, seed: u64) -> u64 {
        let numbers = u64::from(self.identity.epoch) << 32 | u64::from(self.identity.cid);
        let seed = self.address.map_or(seed, |address| address.hash(seed));
        mix(numbers ^ u64::from(self.identity.service_id), seed)
    }
}

impl Key for SocketAddr {
    fn hash(&self, seed: u64) -> u64 {
        let port = u64::from(self.port());
        match self.ip() {
            IpAddr::V4(ip) => mix(u64::from(ip.to_bits()) << 16 | port, seed),
            IpAddr::V6(ip) => {
                let bits = ip.to_bits();
                // CAST: The two halves.
                mix(bits as u64 ^ port, mix((bits >> 64) as u64, seed))
            }
        }
    }
}

/// Mixes a number with a secret one: the halves of a product (wyhash).
fn mix(number: u64, seed: u64) -> u64 {
    let product = u128::from(number ^ seed) * u128::from(seed | 1);
    // CAST: The two halves.
    product as u64 ^ (product >> 64) as u64
}

/// No place.
const NONE: u32 = u32::MAX;

/// Values by their keys: a hash table whose entries have places that do not change.
pub(crate) struct Table<K, V> {
    entries: KVVec<Option<KBox<Entry<K, V>>>>,
    /// Places without an entry.
    free: KVVec<u32>,
    /// The first place of each chain. As many as a power of two.
    buckets: KVVec<u32>,
    seed: u64,
}

struct Entry<K, V> {
    key: K,
    value: V,
    /// The next place in the chain.
    next: u32,
}

impl<K: Key, V> Table<K, V> {
    /// Creates an empty table for up to `max` entries.
    ///
    /// Process context.
    pub(crate) fn new(max: usize) -> Result<Self> {
        let max = u32::try_from(max).map_err(|_| EINVAL)?.min(NONE / 2);
        let mut entries = KVVec::with_capacity(max as usize, GFP_KERNEL)?;
        let mut free = KVVec::with_capacity(max as usize, GFP_KERNEL)?;
        for place in (0..max).rev() {
            entries.push(None, GFP_KERNEL)?;
            free.push(place, GFP_KERNEL)?;
        }
        let buckets = (max as usize).next_power_of_two();
        Ok(Self {
            entries,
            free,
            buckets: KVVec::from_elem(NONE, buckets, GFP_KERNEL)?,
            seed: ksf::random(),
        })
    }

    /// Returns how many places there are.
    pub(crate) fn places(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no room for another entry.
    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Returns the place of `key`.
    pub(crate) fn find(&self, key: &K) -> Option<usize> {
        let mut place = *self.buckets.get(self.bucket(key))?;
        while let Some(entry) = self.entry(place) {
            if entry.key == *key {
                return Some(place as usize);
            }
            place = entry.next;
        }
        None
    }

    /// Adds a value whose key is not there, and returns its place.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the table is full, `ENOMEM`.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Result<usize> {
        let bucket = self.bucket(&key);
        let place = *self.free.last().ok_or(ENOSPC)?;
        let (Some(first), Some(slot)) = (
            self.buckets.get_mut(bucket),
            self.entries.get_mut(place as usize),
        ) else {
            return Err(ENOSPC);
        };
        let entry = Entry {
            key,
            value,
            next: *first,
        };
        *slot = Some(KBox::new(entry, GFP_ATOMIC)?);
        *first = place;
        self.free.pop();
        Ok(place as usize)
    }

    /// Takes the value at a place out.
    pub(crate) fn remove(&mut self, place: usize) -> Option<V> {
        let entry = self.entries.get_mut(place)?.take()?;
        // CAST: There are no more places than that.
        let removed = place as u32;
        let bucket = self.bucket(&entry.key);
        let mut before = *self.buckets.get(bucket)?;
        if before == removed {
            *self.buckets.get_mut(bucket)? = entry.next;
        } else {
            while let Some(Some(other)) = self.entries.get_mut(before as usize) {
                if other.next == removed {
                    other.next = entry.next;
                    break;
                }
                before = other.next;
            }
        }
        // It had room for all of them from the start.
        let _ = self.free.push_within_capacity(removed);
        Some(KBox::into_inner(entry).value)
    }

    /// Returns the value at a place.
    pub(crate) fn get(&self, place: usize) -> Option<&V> {
        let entry = self.entries.get(place)?.as_ref()?;
        Some(&entry.value)
    }

    /// Returns the value at a place.
    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut V> {
        let entry = self.entries.get_mut(place)?.as_mut()?;
        Some(&mut entry.value)
    }

    fn entry(&self, place: u32) -> Option<&Entry<K, V>> {
        self.entries.get(place as usize)?.as_deref()
    }

    fn bucket(&self, key: &K) -> usize {
        // CAST: Cut to the number of buckets.
        key.hash(self.seed) as usize & (self.buckets.len() - 1)
    }
}

#[kunit_tests(krx_connections)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn address(number: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), number)
    }

    #[test]
    fn values_are_found_until_they_are_removed() -> Result {
        let mut table = Table::new(100)?;
        for number in 0..100 {
            table.insert(address(number), number)?;
        }
        assert!(table.is_full());
        assert!(table.insert(address(100), 100).is_err());
        for number in (0..100).step_by(2) {
            let place = table.find(&address(number)).ok_or(ENOENT)?;
            assert_eq!(table.remove(place), Some(number));
            assert_eq!(table.remove(place), None);
        }
        for number in 0..100 {
            let found = table.find(&address(number)).and_then(|place| table.get(place));
            assert_eq!(found.copied(), (number % 2 == 1).then_some(number));
        }
        table.insert(address(7777), 1)?;
        Ok(())
    }

    #[test]
    fn a_connection_with_a_random_epoch_may_move() {
        let identity = |epoch| Identity {
            epoch,
            cid: 4,
            service_id: 147,
        };
        let key = |epoch, number| ConnectionKey::new(identity(epoch), address(number));
        assert!(key(1 << 31, 1) == key(1 << 31, 2));
        assert!(key(1, 1) != key(1, 2));
    }
}
