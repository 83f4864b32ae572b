// SPDX-License-Identifier: GPL-2.0

//! What waits for each core of a packet service, and how a core's turn is asked for.
//!
//! Who receives a datagram, in softirq, puts it on the list of its core, and so does who hands one over to another core. Only who
//! finds the list empty asks for the turn: in the softirq of the core, which is another CPU's if need be, or in its worker.

use super::service::AnyPackets;
use crate::{
    conn::Conn,
    params::{
        PacketParams,
        Serve, //
    },
    stats::{
        Counter,
        Slot, //
    },
    svc::Shared,
    sys::{
        arrivals::{
            Arrivals,
            Batch, //
        },
        list::Linked,
        napi::{
            self,
            Napi,
            Poll,
            Polled, //
        },
        once::Once64,
        skb::Skb,
        timer::Fires,
        udp::{
            self,
            Arrived, //
        }, //
    }, //
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        ArcBorrow,
        SetOnce, //
    }, //
};

/// What waits for the cores of a service, and the service.
pub(crate) struct Sites {
    /// By the number of the CPU; [`None`] for those that have no core.
    sites: KVec<Option<Site>>,
    cpus: KVec<CpuId>,
    service: KBox<dyn AnyPackets>,
    device: Arc<napi::Device>,
    params: &'static PacketParams,
}

impl Sites {
    /// Creates those of `cpus`, whose cores have not started.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        service: KBox<dyn AnyPackets>,
        cpus: KVec<CpuId>,
        params: &'static PacketParams,
    ) -> Result<Arc<Self>> {
        let mut sites = KVec::new();
        for cpu in (0..kernel::cpu::nr_cpu_ids()).filter_map(CpuId::from_u32) {
            let has_core = cpus.iter().any(|one| one.as_u32() == cpu.as_u32());
            sites.push(has_core.then(|| Site::new(cpu)), GFP_KERNEL)?;
        }
        let sites = Self {
            sites,
            cpus,
            service,
            device: napi::Device::new()?,
            params,
        };
        Ok(Arc::new(sites, GFP_KERNEL)?)
    }

    /// Has what waits for the core of `cpu` served by `conn`, from now on.
    ///
    /// Process context. Once for each core.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EINVAL` when there is no such core.
    pub(crate) fn open(&self, cpu: CpuId, conn: &Arc<Linked<Conn>>) -> Result {
        let site = self.site(cpu).ok_or(EINVAL)?;
        site.napi.populate(Napi::new(&self.device, conn.clone())?);
        Ok(())
    }

    /// Returns the service.
    pub(crate) fn service(&self) -> &dyn AnyPackets {
        &*self.service
    }

    /// Returns the parameters of the service.
    pub(crate) fn params(&self) -> &PacketParams {
        self.params
    }

    /// Returns the CPUs that have a core.
    pub(crate) fn cpus(&self) -> &[CpuId] {
        &self.cpus
    }

    /// Returns what waits for the core of `cpu`, if it has one.
    pub(crate) fn site(&self, cpu: CpuId) -> Option<&Site> {
        self.sites.get(cpu.as_u32() as usize)?.as_ref()
    }

    /// Returns all, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Site> {
        self.sites.iter().flatten()
    }

    /// The most datagrams, and the most bytes of memory, that wait for a core.
    pub(super) fn limits(&self) -> (u64, u64) {
        // `max(1)`: there is at least one core.
        let cores = (self.cpus.len() as u64).max(1);
        (
            self.params.queue_packets.get(),
            self.params.queue_bytes.get() / cores,
        )
    }
}

/// What waits for a core. It has its own lines of cache, for other cores are busy with theirs.
#[repr(align(128))]
pub(crate) struct Site {
    cpu: CpuId,
    arrivals: Arrivals,
    /// How much of it there is: a [`Load`].
    load: Atomic<u64>,
    /// Nothing more is taken.
    is_closed: Atomic<bool>,
    /// What calls the connection that serves it, in softirq.
    napi: SetOnce<Napi<Linked<Conn>>>,
    /// How many turns it had. Only its turn writes this.
    pub(crate) turns: Once64,
    /// How many datagrams it has received. Only its turn writes this.
    pub(crate) received: Once64,
}

/// How many packets there are, and how much memory they take, as one number: so both are counted in one step.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load(u64);

impl Load {
    /// Below are the bytes, of which there are never as many.
    const PACKETS_SHIFT: u32 = 40;

    /// That of one packet.
    pub(crate) fn of(skb: &Skb) -> Self {
        Self((1 << Self::PACKETS_SHIFT) | skb.truesize() as u64)
    }

    /// Adds another one.
    pub(crate) fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    pub(crate) fn packets(self) -> u64 {
        self.0 >> Self::PACKETS_SHIFT
    }

    pub(crate) fn bytes(self) -> u64 {
        self.0 & ((1 << Self::PACKETS_SHIFT) - 1)
    }
}

impl Site {
    fn new(cpu: CpuId) -> Self {
        Self {
            cpu,
            arrivals: Arrivals::new(),
            load: Atomic::new(0),
            is_closed: Atomic::new(false),
            napi: SetOnce::new(),
            turns: Once64::new(0),
            received: Once64::new(0),
        }
    }

    /// Returns the CPU of the core.
    pub(crate) fn cpu(&self) -> CpuId {
        self.cpu
    }

    /// Returns how much waits.
    pub(crate) fn load(&self) -> Load {
        Load(self.load.load(Relaxed))
    }

    /// Takes all that waits. It counts until it is [`served`](Self::served()).
    pub(crate) fn take(&self) -> Batch {
        self.arrivals.take()
    }

    /// Returns whether nothing waits at this moment.
    pub(crate) fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// So much of what was taken no longer waits.
    pub(crate) fn served(&self, load: Load) {
        if load.0 != 0 {
            self.load.fetch_sub(load.0, Relaxed);
        }
    }

    /// Returns whether it takes anything.
    pub(super) fn is_open(&self) -> bool {
        !self.is_closed.load(Acquire) && self.napi.as_ref().is_some()
    }

    /// Takes nothing more. What is about to be taken at this moment is so until a grace period of RCU is over.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Release);
    }

    /// Puts a datagram on the list. Returns whether that was empty, so that the caller has to [`wake()`](Self::wake()), or
    /// [`None`] when as much waits as may: then it is dropped.
    ///
    /// In a read-side critical section of RCU, in which the site was open.
    pub(super) fn push(&self, skb: Skb, (max_packets, max_bytes): (u64, u64)) -> Option<bool> {
        let load = Load::of(&skb);
        let before = Load(self.load.fetch_add(load.0, Relaxed));
        if before.packets() >= max_packets || before.bytes() + load.bytes() > max_bytes {
            self.load.fetch_sub(load.0, Relaxed);
            return None;
        }
        Some(self.arrivals.push(skb))
    }

    /// Asks for a turn.
    ///
    /// Hard interrupt, or with softirqs off.
    pub(crate) fn wake(&self) {
        let Some(napi) = self.napi.as_ref().filter(|_| self.is_open()) else {
            return;
        };
        let conn = napi.target();
        if !Linked::wake_for(conn.as_arc_borrow()) {
            return;
        }
        match conn.shared.params.serve() {
            Serve::Worker => conn.shared.pool.queue_on(self.cpu, conn.clone()),
            Serve::Auto | Serve::Inline => napi.schedule(self.cpu),
        }
    }
}

impl Poll for Linked<Conn> {
    fn poll(this: ArcBorrow<'_, Self>) -> Polled {
        Linked::run_packets(this)
    }
}

/// Who is told of what happens to the socket, and to the timer, of a core.
pub(crate) struct Receiver {
    sites: Arc<Sites>,
    shared: Arc<Shared>,
    cpu: CpuId,
}

impl Receiver {
    /// That of the core of `cpu`.
    pub(crate) fn new(sites: Arc<Sites>, shared: Arc<Shared>, cpu: CpuId) -> Self {
        Self { sites, shared, cpu }
    }
}

impl udp::Events for Receiver {
    fn datagrams_queued(_this: ArcBorrow<'_, Self>) {}

    fn datagram_arrived(this: ArcBorrow<'_, Self>, arrived: Arrived) -> Option<Arrived> {
        let core = this.shared.stats.core(Slot::softirq(CpuId::current()));
        let drop_as = |counter| {
            core.count(Counter::DatagramsIn);
            core.count(counter);
            None
        };
        if !arrived.is_unicast() {
            return drop_as(Counter::DroppedMulticast);
        }
        let Some(mut skb) = arrived.take() else {
            return drop_as(Counter::DroppedSize);
        };
        let Some(site) = this.sites.site(this.cpu).filter(|site| site.is_open()) else {
            return drop_as(Counter::DroppedService);
        };
        skb.detach();
        match site.push(skb, this.sites.limits()) {
            Some(false) => {}
            Some(true) => site.wake(),
            None => return drop_as(Counter::DroppedQueue),
        }
        None
    }
}

impl Fires for Receiver {
    fn fired(this: ArcBorrow<'_, Self>) {
        if let Some(site) = this.sites.site(this.cpu) {
            site.wake();
        }
    }
}

#[kunit_tests(ksf_site)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_bytes_are_counted_in_one() -> Result {
        let skb = Skb::new_datagram(1000, true)?;
        let mut load = Load::default();
        load.add(Load::of(&skb));
        load.add(Load::of(&skb));
        assert_eq!(load.packets(), 2);
        assert_eq!(load.bytes(), 2 * skb.truesize() as u64);
        let site = Site::new(CpuId::current());
        site.load.fetch_add(load.0, Relaxed);
        site.served(Load::of(&skb));
        assert_eq!(site.load().packets(), 1);
        site.served(Load::of(&skb));
        assert_eq!((site.load().packets(), site.load().bytes()), (0, 0));
        Ok(())
    }
}
