// SPDX-License-Identifier: GPL-2.0

//! Where the engine keeps what it has to: memory of the kernel, of which each core has so much.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};
use ksf::Packet;
use rx::{
    Sent,
    Storage, //
};

/// How many packets of a request may come before their turn. OpenAFS does not send more at once by itself.
const RECEIVE_WINDOW: usize = 32;

/// How many packets of a reply may be on their way.
const SEND_WINDOW: usize = 256;

/// Memory of the kernel.
pub(crate) enum Memory {}

impl Storage for Memory {
    const RECEIVE_WINDOW: u32 = RECEIVE_WINDOW as u32;

    type Payload = Payload;
    type Unread = Places<Option<Payload>>;
    type Unacked = Places<Sent>;
}

/// The data of a packet.
pub(crate) enum Payload {
    /// All of a datagram from an offset on.
    Datagram(Packet, usize),
    /// A copy of what a part of a jumbogram has.
    Copy(KVec<u8>),
}

impl Payload {
    /// Calls `each` with the bytes, in pieces of up to so many as `buffer` has.
    pub(crate) fn read<E>(
        &self,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Copy(bytes) => each(bytes),
            Self::Datagram(packet, start) => {
                let mut offset = *start;
                loop {
                    let count = packet.copy(offset, buffer);
                    if count == 0 {
                        return Ok(());
                    }
                    each(buffer.get(..count).unwrap_or_default())?;
                    offset = offset.saturating_add(count);
                }
            }
        }
    }
}

/// How many of something there may be.
pub(crate) struct Quota {
    used: Atomic<u64>,
}

impl Quota {
    /// None are used.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let quota = Self {
            used: Atomic::new(0),
        };
        Ok(Arc::new(quota, GFP_KERNEL)?)
    }

    /// Makes `count` places, unless there are `max` already, or memory is short.
    pub(crate) fn places<T>(
        this: &Arc<Self>,
        max: u64,
        count: usize,
        mut value: impl FnMut() -> T,
    ) -> Option<Places<T>> {
        if this.used.load(Relaxed) >= max {
            return None;
        }
        let mut places = KVec::with_capacity(count, GFP_ATOMIC).ok()?;
        for _ in 0..count {
            places.push_within_capacity(value()).ok()?;
        }
        this.used.add(1, Relaxed);
        Some(Places {
            places,
            quota: this.clone(),
        })
    }
}

/// Places for the engine, which count against a quota.
pub(crate) struct Places<T> {
    places: KVec<T>,
    quota: Arc<Quota>,
}

impl<T> AsRef<[T]> for Places<T> {
    fn as_ref(&self) -> &[T] {
        &self.places
    }
}

impl<T> AsMut<[T]> for Places<T> {
    fn as_mut(&mut self) -> &mut [T] {
        &mut self.places
    }
}

impl<T> Drop for Places<T> {
    fn drop(&mut self) {
        self.quota.used.fetch_sub(1, Relaxed);
    }
}

/// Makes places for packets of a request.
pub(crate) fn unread(quota: &Arc<Quota>, max: u64) -> Option<Places<Option<Payload>>> {
    Quota::places(quota, max, RECEIVE_WINDOW, || None)
}

/// Makes places for a reply of so many packets.
pub(crate) fn unacked(quota: &Arc<Quota>, max: u64, packets: u64) -> Option<Places<Sent>> {
    let count = usize::try_from(packets).map_or(SEND_WINDOW, |packets| packets.min(SEND_WINDOW));
    Quota::places(quota, max, count.next_power_of_two(), Sent::default)
}
