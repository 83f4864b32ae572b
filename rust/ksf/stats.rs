// SPDX-License-Identifier: GPL-2.0

//! What is counted, without sharing: each core has its own counters, and they are added up when somebody reads them.
//!
//! A core has two sets, one that only its worker writes and one that only its softirqs write. So a set has one writer at a
//! time, and counting takes neither a lock nor an atomic read-modify-write.
//!
//! `make modules KSF_UNCOUNTED=1` builds without, to measure what it costs.

use crate::{
    service::CloseReason,
    sys::once::Once64, //
};
use core::fmt::{
    self,
    Write, //
};
use kernel::{
    cpu::CpuId,
    prelude::*, //
};

/// Defines [`Counter`].
macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident = $text:literal,)*) => {
        /// Something that is counted.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Counter {
            $($(#[$meta])* $name,)*
        }

        impl Counter {
            /// All counters.
            const ALL: &'static [Counter] = &[$(Counter::$name,)*];

            /// Returns the name that debugfs and trace events show.
            pub(crate) fn name(self) -> &'static CStr {
                match self {
                    $(Counter::$name => $text,)*
                }
            }
        }
    };
}

counters! {
    /// Connections that were accepted and are served.
    Accepted = c"accepted",
    /// Connections beyond `max_conns`.
    RefusedConns = c"refused_conns",
    /// Connections beyond `max_conns_per_peer`.
    RefusedPeerConns = c"refused_peer_conns",
    /// Connections that there was no memory for.
    RefusedMemory = c"refused_memory",
    /// Connections that the service refused.
    RefusedService = c"refused_service",
    /// Connections that ended because the peer sent the end of its stream.
    ClosedPeer = c"closed_peer",
    /// Connections that ended by an error, such as a reset.
    ClosedError = c"closed_error",
    /// Connections that the service closed.
    ClosedService = c"closed_service",
    /// Connections that were idle for too long.
    ClosedIdle = c"closed_idle",
    /// Connections that sent no first byte in time.
    ClosedFirstByte = c"closed_first_byte",
    /// Connections whose request was not complete in time.
    ClosedRequest = c"closed_request",
    /// Connections whose peer took nothing of its replies for too long.
    ClosedSend = c"closed_send",
    /// Connections that were closed because memory was short.
    ClosedMemory = c"closed_memory",
    /// Connections that were closed because the service stopped.
    ClosedStop = c"closed_stop",
    /// Bytes that were taken from peers.
    BytesIn = c"bytes_in",
    /// Bytes of replies that TCP or IP took.
    BytesOut = c"bytes_out",
    /// Requests that were served.
    Requests = c"requests",
    /// Requests of those calls of the service that wrote a reply.
    Replies = c"replies",
    /// Datagrams that were received.
    DatagramsIn = c"datagrams_in",
    /// Datagrams that were sent.
    DatagramsOut = c"datagrams_out",
    /// Datagrams whose source port the service does not answer.
    DroppedSource = c"dropped_source",
    /// Datagrams that were sent to many hosts at once.
    DroppedMulticast = c"dropped_multicast",
    /// Datagrams that were broken.
    DroppedSize = c"dropped_size",
    /// Datagrams whose replies there was no memory, or no room in the send buffer, for.
    DroppedMemory = c"dropped_memory",
    /// Datagrams to whose sender no route leads, or whose replies were not let through.
    DroppedRoute = c"dropped_route",
    /// Datagrams that the service dropped.
    DroppedService = c"dropped_service",
    /// Datagrams for a core for which as many waited already as may.
    DroppedQueue = c"dropped_queue",
    /// Datagrams that a core gave to another one, to which they belong.
    HandedOver = c"handed_over",
    /// Turns in softirq.
    TurnsInline = c"turns_inline",
    /// Turns in a worker.
    TurnsWorker = c"turns_worker",
    /// Turns that ended because the budget was spent.
    BudgetEnds = c"budget_ends",
    /// Calls to TCP's or IP's send function.
    Sends = c"sends",
    /// Turns that ended because the socket had no room for replies, and datagrams that were not sent for that.
    SendBlocked = c"send_blocked",
    /// Turns that read nothing because a memory limit was reached.
    MemoryStops = c"memory_stops",
}

impl From<CloseReason> for Counter {
    /// The counter of the connections that ended for this reason.
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Peer => Self::ClosedPeer,
            CloseReason::Error => Self::ClosedError,
            CloseReason::Service => Self::ClosedService,
            CloseReason::Idle => Self::ClosedIdle,
            CloseReason::FirstByte => Self::ClosedFirstByte,
            CloseReason::Request => Self::ClosedRequest,
            CloseReason::Send => Self::ClosedSend,
            CloseReason::Memory => Self::ClosedMemory,
            CloseReason::Stop => Self::ClosedStop,
        }
    }
}

/// How many counters there are.
const COUNTERS: usize = Counter::ALL.len();

/// How many buckets a histogram has: the last one begins at 2^38 ns, some minutes.
const BUCKETS: usize = 40;

/// A histogram of times, with a bucket for each power of two of nanoseconds.
struct Histogram {
    buckets: [Once64; BUCKETS],
}

impl Histogram {
    fn new() -> Self {
        Self {
            buckets: core::array::from_fn(|_| Once64::new(0)),
        }
    }

    /// The number of the bucket that a time belongs to.
    fn bucket(ns: u64) -> usize {
        ((u64::BITS - ns.leading_zeros()) as usize).min(BUCKETS - 1)
    }

    /// The least time of a bucket.
    fn low(bucket: usize) -> u64 {
        match bucket.checked_sub(1) {
            Some(power) => 1 << power,
            None => 0,
        }
    }

    fn record(&self, ns: u64) {
        if cfg!(ksf_uncounted) {
            return;
        }
        if let Some(bucket) = self.buckets.get(Self::bucket(ns)) {
            bucket.add(1);
        }
    }
}

/// What is counted in one context of one core.
#[repr(align(128))]
pub(crate) struct Core {
    counters: [Once64; COUNTERS],
    queue_delay: Histogram,
    service_time: Histogram,
}

impl Core {
    fn new() -> Self {
        Self {
            counters: core::array::from_fn(|_| Once64::new(0)),
            queue_delay: Histogram::new(),
            service_time: Histogram::new(),
        }
    }

    /// Counts `by` more.
    pub(crate) fn add(&self, counter: Counter, by: u64) {
        if cfg!(ksf_uncounted) {
            return;
        }
        if let Some(number) = self.counters.get(counter as usize) {
            number.add(by);
        }
    }

    /// Counts one more.
    pub(crate) fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Records how long something waited for its turn, in ns.
    pub(crate) fn queue_delay(&self, ns: u64) {
        self.queue_delay.record(ns);
    }

    /// Records how long a turn took, in ns.
    pub(crate) fn service_time(&self, ns: u64) {
        self.service_time.record(ns);
    }
}

/// A context that counts: the worker, or the softirqs, of a core.
#[derive(Clone, Copy)]
pub struct Slot(usize);

impl Slot {
    /// That of the worker of `cpu`.
    pub(crate) fn worker(cpu: CpuId) -> Self {
        Self(cpu.as_u32() as usize * 2)
    }

    /// That of the softirqs of `cpu`.
    pub(crate) fn softirq(cpu: CpuId) -> Self {
        Self(cpu.as_u32() as usize * 2 + 1)
    }

    /// How many there are.
    pub(crate) fn count() -> usize {
        kernel::cpu::nr_cpu_ids() as usize * 2
    }

    /// Its number.
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// The counters of a service.
pub(crate) struct Stats {
    cores: KVVec<Core>,
}

impl Stats {
    /// Creates counters that are all 0.
    ///
    /// Process context.
    pub(crate) fn new() -> Result<Self> {
        let count = Slot::count();
        let mut cores = KVVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            cores.push(Core::new(), GFP_KERNEL)?;
        }
        Ok(Self { cores })
    }

    /// Returns the counters of a context.
    pub(crate) fn core(&self, slot: Slot) -> &Core {
        &self.cores[slot.0]
    }

    /// Returns the sum of a counter.
    pub(crate) fn sum(&self, counter: Counter) -> u64 {
        self.total(|core| core.counters.get(counter as usize))
    }

    fn total<'a>(&'a self, number: impl Fn(&'a Core) -> Option<&'a Once64>) -> u64 {
        let numbers = self.cores.iter().filter_map(number);
        numbers.fold(0, |sum, number| sum.wrapping_add(number.get()))
    }

    /// Writes all counters, as ` name=value`.
    pub(crate) fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &counter in Counter::ALL {
            write!(f, " {}={}", text(counter.name()), self.sum(counter))?;
        }
        self.show_histogram(f, "queue_delay_ns", |core| &core.queue_delay)?;
        self.show_histogram(f, "service_time_ns", |core| &core.service_time)
    }

    fn show_histogram(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        of: impl Fn(&Core) -> &Histogram,
    ) -> fmt::Result {
        write!(f, " {name}=")?;
        let mut separator = "";
        for bucket in 0..BUCKETS {
            let count = self.total(|core| of(core).buckets.get(bucket));
            if count != 0 {
                write!(f, "{separator}{}:{count}", Histogram::low(bucket))?;
                separator = ",";
            }
        }
        if separator.is_empty() {
            f.write_char('-')?;
        }
        Ok(())
    }
}

/// Returns a name as Rust's formatting wants it.
pub(crate) fn text(name: &CStr) -> &str {
    name.to_str().unwrap_or_default()
}

#[kunit_tests(ksf_stats)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        for (ns, low) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 2),
            (4, 4),
            (1023, 512),
            (1024, 1024),
        ] {
            assert_eq!(Histogram::low(Histogram::bucket(ns)), low);
        }
        assert_eq!(Histogram::bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn contexts_are_added_up() -> Result {
        let stats = Stats::new()?;
        let cpu = CpuId::current();
        stats.core(Slot::worker(cpu)).add(Counter::BytesIn, 5);
        stats.core(Slot::softirq(cpu)).count(Counter::BytesIn);
        assert_eq!(stats.sum(Counter::BytesIn), 6);
        assert_eq!(stats.sum(Counter::BytesOut), 0);
        Ok(())
    }

    #[test]
    fn counters_are_in_the_order_of_their_numbers() {
        for (number, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, number);
        }
    }
}
