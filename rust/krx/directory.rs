// SPDX-License-Identifier: GPL-2.0

//! Which core has a connection.
//!
//! A connection stays on the core that got its first packet. That core finds it in a table of its own; only who does not, asks
//! here, for the client's packets come to another core now: its thread moved, or the interrupts of the network device did.

use kernel::{
    cpu::CpuId,
    prelude::*, //
};
use ksf::SoftirqLock;

use crate::connections::{
    ConnectionKey,
    Key,
    Table, //
};

/// How many locks there are, so that cores do not wait for each other.
const SHARDS: usize = 64;

/// The connections of all cores.
pub(crate) struct Directory {
    shards: KVec<SoftirqLock<Table<ConnectionKey, CpuId>>>,
    seed: u64,
}

impl Directory {
    /// Creates an empty one for up to `max` connections.
    ///
    /// Process context.
    pub(crate) fn new(max: usize) -> Result<Self> {
        let mut shards = KVec::with_capacity(SHARDS, GFP_KERNEL)?;
        for _ in 0..SHARDS {
            // They are not filled evenly.
            let table = Table::new(2 * max.div_ceil(SHARDS) + 64)?;
            shards.push(SoftirqLock::new(table)?, GFP_KERNEL)?;
        }
        Ok(Self {
            shards,
            seed: ksf::random(),
        })
    }

    /// Returns the core that has a connection.
    pub(crate) fn find(&self, key: &ConnectionKey) -> Option<CpuId> {
        self.shard(key)?
            .with(|table| table.get(table.find(key)?).copied())
    }

    /// Has a connection be that of `cpu`, unless another core has it, which is returned then.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there are too many connections, `ENOMEM`.
    pub(crate) fn claim(&self, key: ConnectionKey, cpu: CpuId) -> Result<CpuId> {
        let shard = self.shard(&key).ok_or(ENOSPC)?;
        shard.with(|table| match table.find(&key) {
            Some(place) => table.get(place).copied().ok_or(ENOSPC),
            None => table.insert(key, cpu).map(|_| cpu),
        })
    }

    /// Forgets a connection.
    pub(crate) fn release(&self, key: &ConnectionKey) {
        if let Some(shard) = self.shard(key) {
            shard.with(|table| table.find(key).and_then(|place| table.remove(place)));
        }
    }

    fn shard(&self, key: &ConnectionKey) -> Option<&SoftirqLock<Table<ConnectionKey, CpuId>>> {
        // CAST: The upper bits; those below choose in the shard.
        self.shards.get((key.hash(self.seed) >> 58) as usize)
    }
}
