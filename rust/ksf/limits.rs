// SPDX-License-Identifier: GPL-2.0

//! Limits: what is held is held by guards, which give it back when they are dropped.

use crate::{
    network::Network,
    params::MEMORY_BYTES,
    sys::errno, //
};
use core::net::IpAddr;
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};

/// A number of things, of which there may be so many.
pub(crate) struct Count {
    used: Atomic<u64>,
}

impl Count {
    /// Creates the number 0.
    pub(crate) fn new() -> Self {
        Self {
            used: Atomic::new(0),
        }
    }

    /// Takes one more, unless there are `max`.
    ///
    /// Any context.
    pub(crate) fn take(&self, max: u64) -> bool {
        if self.used.fetch_add(1, Relaxed) < max {
            return true;
        }
        self.give_back();
        false
    }

    /// Gives one back that was taken.
    ///
    /// Any context.
    pub(crate) fn give_back(&self) {
        self.used.fetch_sub(1, Relaxed);
    }

    /// Returns how many there are.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }
}

/// Bytes that are held.
pub(crate) struct Used(Atomic<i64>);

impl Used {
    /// Creates it with nothing held.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Returns how many there are.
    ///
    /// Any context.
    pub(crate) fn bytes(&self) -> u64 {
        // CAST: It is never negative when nobody is between two steps.
        self.0.load(Relaxed).max(0) as u64
    }

    fn add(&self, bytes: i64) {
        self.0.add(bytes, Relaxed);
    }
}

/// The memory that all connections of all services hold, in bytes.
///
/// What cannot be refused, for it is there already, is counted all the same: more than the limit can be held. When it is
/// [short](Self::is_short()), [`reclaim`](crate::reclaim) has those who get nowhere give theirs up.
pub(crate) struct Memory {
    used: Used,
    hits: Atomic<u64>,
}

impl Memory {
    /// Creates it with nothing held.
    pub(crate) fn new() -> Self {
        Self {
            used: Used::new(),
            hits: Atomic::new(0),
        }
    }

    /// Returns how much is held.
    pub(crate) fn used(&self) -> u64 {
        self.used.bytes()
    }

    /// Returns how often something had to wait, was refused, or had to be given up.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    /// Returns whether more than the limit is held.
    ///
    /// Any context.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.used() > MEMORY_BYTES.get()
    }

    /// Returns whether nothing more is to be read from those who hold much: they leave an eighth to the others.
    ///
    /// Any context.
    pub(crate) fn is_short(&self) -> bool {
        let max = MEMORY_BYTES.get();
        self.used() >= max - max / 8
    }

    /// Returns how much has to be given up until a quarter of the limit is free: more than is kept from who holds much, so
    /// that it lasts.
    ///
    /// Any context.
    pub(crate) fn surplus(&self) -> u64 {
        let max = MEMORY_BYTES.get();
        self.used().saturating_sub(max - max / 4)
    }

    /// Returns whether another connection of a peer that holds `used` has to be refused: those who hold little are let in even
    /// when the limit is exceeded, for others will give up what they hold.
    ///
    /// Process context.
    pub(crate) fn refuses(&self, used: &Used) -> bool {
        self.is_exceeded() && used.bytes() > MEMORY_BYTES.get() / PEERS_AT_LIMIT
    }

    /// Counts that something had to wait, was refused, or had to be given up.
    pub(crate) fn hit(&self) {
        self.hits.add(1, Relaxed);
    }
}

/// Up to how many bytes are not counted: what the packets of small requests take for a moment.
const UNCOUNTED: usize = 4096;

/// What a connection may hold in bytes and be served even when memory is short.
pub(crate) const LITTLE: usize = 16 * 1024;

/// A peer that holds more than the limit divided by this holds much.
const PEERS_AT_LIMIT: u64 = 64;

/// The part of [`Memory`] that a connection holds, for its peer.
pub(crate) struct Charge {
    memory: Arc<Memory>,
    peer: Arc<Used>,
    bytes: i64,
}

impl Charge {
    /// Creates the part of a connection that holds nothing.
    pub(crate) fn new(memory: &Arc<Memory>, peer: &Arc<Used>) -> Self {
        Self {
            memory: memory.clone(),
            peer: peer.clone(),
            bytes: 0,
        }
    }

    /// The connection holds so much now, for a moment. A request or two are not counted.
    ///
    /// Any context.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.set_all(if bytes < UNCOUNTED { 0 } else { bytes });
    }

    /// The connection holds so much now, and may do so for long.
    ///
    /// Any context.
    pub(crate) fn set_all(&mut self, bytes: usize) {
        // CAST: Memory is less than 2^63.
        let bytes = bytes as i64;
        // So small requests write no memory that the cores share.
        if bytes != self.bytes {
            self.memory.used.add(bytes - self.bytes);
            self.peer.add(bytes - self.bytes);
            self.bytes = bytes;
        }
    }

    /// Returns how much the connection holds.
    pub(crate) fn bytes(&self) -> usize {
        // CAST: It was a `usize`.
        self.bytes as usize
    }

    /// Returns whether nothing more may be read, for memory is short, and counts it. Who holds little may go on.
    ///
    /// Any context.
    pub(crate) fn must_wait(&self) -> bool {
        let must_wait = self.bytes() > LITTLE && self.memory.is_short();
        if must_wait {
            self.memory.hit();
        }
        must_wait
    }

    /// Returns whether a connection that gets nowhere has to give up what it holds, for memory is short, and counts it.
    ///
    /// Any context.
    pub(crate) fn must_give_up(&self) -> bool {
        let must_give_up = self.bytes() != 0 && self.memory.surplus() != 0;
        if must_give_up {
            self.memory.hit();
        }
        must_give_up
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// How many locks the table of peers has, so that cores do not wait for each other.
const SHARDS: usize = 64;

/// The networks that connections come from.
pub(crate) struct Peers {
    shards: KVec<Pin<KBox<Shard>>>,
}

#[pin_data]
struct Shard {
    #[pin]
    peers: Mutex<RBTree<Network, Peer>>,
}

/// A network that has connections.
struct Peer {
    conns: u64,
    refused: u64,
    used: Arc<Used>,
}

impl Peers {
    /// Creates an empty table.
    ///
    /// Process context.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let mut shards = KVec::with_capacity(SHARDS, GFP_KERNEL)?;
        for _ in 0..SHARDS {
            let shard = KBox::pin_init(
                pin_init!(Shard { peers <- new_mutex!(RBTree::new()) }),
                GFP_KERNEL,
            )?;
            shards.push(shard, GFP_KERNEL)?;
        }
        Ok(Arc::new(Self { shards }, GFP_KERNEL)?)
    }

    /// Takes a connection from `address` in, unless its network has `max`.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `EUSERS` at the limit, `ENOMEM`.
    pub(crate) fn take(this: &Arc<Self>, address: IpAddr, max: u64) -> Result<PeerGuard> {
        let network = Network::of(address);
        let guard = |used: &Arc<Used>| PeerGuard {
            peers: this.clone(),
            network,
            used: used.clone(),
        };
        let mut node = None;
        loop {
            let mut peers = this.shard(network).peers.lock();
            match (peers.get_mut(&network), node.take()) {
                (Some(peer), _) if peer.conns >= max => {
                    peer.refused += 1;
                    return Err(errno::at_limit());
                }
                (Some(peer), _) => {
                    peer.conns += 1;
                    return Ok(guard(&peer.used));
                }
                (None, _) if max == 0 => return Err(errno::at_limit()),
                (None, Some((new, used))) => {
                    peers.insert(new);
                    return Ok(guard(&used));
                }
                // To be made without the lock.
                (None, None) => {}
            }
            drop(peers);
            let used = Arc::new(Used::new(), GFP_KERNEL)?;
            let peer = Peer {
                conns: 1,
                refused: 0,
                used: used.clone(),
            };
            node = Some((RBTreeNode::new(network, peer, GFP_KERNEL)?, used));
        }
    }

    /// Calls `each` with network, connections, how many were refused, and what is held, of each peer.
    ///
    /// Process context.
    pub(crate) fn for_each<E>(
        &self,
        mut each: impl FnMut(Network, u64, u64, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        for shard in &self.shards {
            for (network, peer) in shard.peers.lock().iter() {
                each(*network, peer.conns, peer.refused, peer.used.bytes())?;
            }
        }
        Ok(())
    }

    fn shard(&self, network: Network) -> &Shard {
        let hash = network.to_bits();
        // The low bits of networks and of hosts, neither of which need to differ.
        let hash = hash ^ (hash >> 64) ^ (hash >> 24) ^ (hash >> 12);
        // CAST: The remainder is small.
        &self.shards[(hash % SHARDS as u128) as usize]
    }
}

/// A connection in the table of [`Peers`].
pub(crate) struct PeerGuard {
    peers: Arc<Peers>,
    network: Network,
    used: Arc<Used>,
}

impl PeerGuard {
    /// Returns what all connections of the peer hold.
    pub(crate) fn used(&self) -> &Arc<Used> {
        &self.used
    }
}

impl Drop for PeerGuard {
    fn drop(&mut self) {
        let mut peers = self.peers.shard(self.network).peers.lock();
        if let Some(peer) = peers.get_mut(&self.network) {
            peer.conns = peer.conns.saturating_sub(1);
            if peer.conns == 0 {
                peers.remove(&self.network);
            }
        }
    }
}

#[kunit_tests(ksf_limits)]
mod tests {
    use super::*;
    use core::net::{
        Ipv4Addr,
        Ipv6Addr, //
    };

    #[test]
    fn a_count_stops_at_its_limit() {
        let count = Count::new();
        assert!(count.take(2));
        assert!(count.take(2));
        assert!(!count.take(2));
        assert_eq!(count.used(), 2);
        count.give_back();
        assert!(count.take(2));
        assert!(!count.take(0));
    }

    #[test]
    fn a_charge_is_given_back() -> Result {
        let memory = Arc::new(Memory::new(), GFP_KERNEL)?;
        let peer = Arc::new(Used::new(), GFP_KERNEL)?;
        let mut one = Charge::new(&memory, &peer);
        let mut two = Charge::new(&memory, &peer);
        one.set(10000);
        two.set(5000);
        one.set(8000);
        assert_eq!(memory.used(), 13000);
        assert_eq!(peer.bytes(), 13000);
        drop(one);
        assert_eq!(memory.used(), 5000);
        two.set(UNCOUNTED - 1);
        assert_eq!(memory.used(), 0);
        two.set_all(1);
        assert_eq!(memory.used(), 1);
        assert_eq!(peer.bytes(), 1);
        drop(two);
        assert_eq!(memory.used(), 0);
        assert_eq!(peer.bytes(), 0);
        Ok(())
    }

    #[test]
    fn who_holds_much_waits_first() -> Result {
        let memory = Arc::new(Memory::new(), GFP_KERNEL)?;
        let peer = Arc::new(Used::new(), GFP_KERNEL)?;
        let mut much = Charge::new(&memory, &peer);
        let little = Charge::new(&memory, &peer);
        let max = usize::try_from(MEMORY_BYTES.get())?;
        much.set(max - max / 8 - 1);
        assert!(!much.must_wait());
        much.set(max - max / 8);
        assert!(much.must_wait());
        assert!(!little.must_wait());
        assert_eq!(memory.hits(), 1);
        much.set(max);
        assert!(!memory.is_exceeded());
        much.set(max + 1);
        assert!(memory.is_exceeded());
        much.set(0);
        assert!(!much.must_wait());
        Ok(())
    }

    #[test]
    fn a_quarter_is_to_be_free_when_an_eighth_is_not() -> Result {
        let memory = Arc::new(Memory::new(), GFP_KERNEL)?;
        let mut one = Charge::new(&memory, &Arc::new(Used::new(), GFP_KERNEL)?);
        let max = usize::try_from(MEMORY_BYTES.get())?;
        one.set(max / 4 * 3);
        assert_eq!(memory.surplus(), 0);
        one.set(max / 8 * 7);
        assert!(memory.is_short());
        assert_eq!(memory.surplus(), MEMORY_BYTES.get() / 8);
        one.set(max * 2);
        assert_eq!(memory.surplus(), MEMORY_BYTES.get() / 4 * 5);
        Ok(())
    }

    #[test]
    fn who_holds_little_is_let_in_by_what_is_exceeded() -> Result {
        let memory = Arc::new(Memory::new(), GFP_KERNEL)?;
        let [good, bad] = [
            Arc::new(Used::new(), GFP_KERNEL)?,
            Arc::new(Used::new(), GFP_KERNEL)?,
        ];
        let mut many = Charge::new(&memory, &bad);
        let mut one = Charge::new(&memory, &good);
        let max = usize::try_from(MEMORY_BYTES.get())?;
        one.set(max / 64);
        many.set(max - max / 64);
        assert!(!memory.refuses(&bad));
        many.set(max - max / 64 + 1);
        assert!(memory.refuses(&bad));
        assert!(!memory.refuses(&good));
        one.set(max / 64 + 1);
        assert!(memory.refuses(&good));
        Ok(())
    }

    #[test]
    fn a_peer_has_so_many_connections() -> Result {
        let peers = Peers::new()?;
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        let one = Peers::take(&peers, address, 2)?;
        let two = Peers::take(&peers, mapped, 2)?;
        assert!(Peers::take(&peers, address, 2).is_err());
        let three = Peers::take(&peers, other, 2)?;
        drop(one);
        let four = Peers::take(&peers, address, 2)?;
        drop((two, three, four));
        let mut rows = 0;
        peers.for_each(|_, _, _, _| {
            rows += 1;
            Ok::<(), Error>(())
        })?;
        assert_eq!(rows, 0);
        Ok(())
    }

    #[test]
    fn a_network_of_ipv6_has_so_many_connections() -> Result {
        let peers = Peers::new()?;
        let ip =
            |network, host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host));
        let _first = Peers::take(&peers, ip(1, 1), 2)?;
        let second = Peers::take(&peers, ip(1, 2), 2)?;
        assert!(Peers::take(&peers, ip(1, 3), 2).is_err());
        let _other = Peers::take(&peers, ip(2, 1), 2)?;
        drop(second);
        let _third = Peers::take(&peers, ip(1, 3), 2)?;
        let (mut rows, mut all_refused) = (0, 0);
        peers.for_each(|_, conns, refused, _| {
            assert!(conns <= 2);
            rows += 1;
            all_refused += refused;
            Ok::<(), Error>(())
        })?;
        assert_eq!((rows, all_refused), (2, 1));
        Ok(())
    }
}
