// SPDX-License-Identifier: GPL-2.0

//! The service of rxperf, with storage from the heap.

use rx::{rxperf::Call, CallCounters, Identity, Outcome, Sent, Service, Storage, Verdict};
use wire::rx::AbortCode;

/// How many packets a window has places for.
const PLACES: usize = 256;

/// Storage from the heap.
#[derive(Debug)]
pub(crate) enum Heap {}

impl Storage for Heap {
    type Payload = Box<[u8]>;
    type Unread = Box<[Option<Box<[u8]>>]>;
    type Unacked = Box<[Sent]>;
}

/// The service of rxperf.
#[derive(Debug, Default)]
pub(crate) struct Rxperf;

impl Service for Rxperf {
    type Storage = Heap;
    type Call = Call;

    fn unread(&mut self) -> Option<Box<[Option<Box<[u8]>>]>> {
        Some((0..PLACES).map(|_| None).collect())
    }

    fn unacked(&mut self, packets: u64) -> Option<Box<[Sent]>> {
        let places = usize::try_from(packets).map_or(PLACES, |packets| packets.min(PLACES));
        Some(vec![Sent::default(); places.next_power_of_two()].into())
    }

    fn begin(&mut self, _identity: Identity) -> Result<Call, AbortCode> {
        Ok(Call::new())
    }

    fn request(&mut self, call: &mut Call, part: Box<[u8]>, is_last: bool) -> Verdict {
        match call.push(&part) {
            Err(code) => Verdict::Abort(code),
            Ok(()) if is_last => call.finish(),
            Ok(()) => Verdict::Wait,
        }
    }

    fn end(&mut self, _call: Call, _outcome: Outcome, _counters: &CallCounters) {}
}
