// SPDX-License-Identifier: GPL-2.0

//! One worker thread per CPU, and what softirqs on that CPU serve with.
//!
//! A connection is served by the worker of the CPU where it was woken, that is, where its packets arrive.

use crate::{
    conn::Conn,
    limits::Memory,
    outgoing::Outgoing,
    params::{
        BUDGET,
        BUSY_POLL_US,
        CPUS, //
    },
    received::VIEW_BYTES,
    stats::Slot,
    stream::REPLY_BYTES,
    sweep::Sweeper,
    sys::{
        clock::{
            self,
            Ticks, //
        },
        global,
        hotplug::CpuEvents,
        kthread::{
            Body,
            Current,
            Kthread, //
        },
        list::{
            Linked,
            List, //
        },
        once::Once64,
        page::PageFrag,
        softirq,
    }, //
};
use kernel::{
    alloc::Flags,
    cpu::CpuId,
    new_mutex,
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Release, //
        },
        Arc,
        Mutex,
        SetOnce,
        SpinLock, //
    },
    time::Delta, //
};

/// The workers.
pub(crate) struct Pool {
    /// By the number of the CPU; [`None`] for those that are not to have one.
    cores: KVec<Option<Core>>,
    /// What all connections hold.
    pub(crate) memory: Arc<Memory>,
    pub(crate) sweeper: Sweeper,
}

/// A worker and its thread.
struct Core {
    /// Since the CPU was online first. Dropped first: the thread is stopped then.
    thread: SetOnce<Kthread<Worker>>,
    worker: Arc<Worker>,
}

impl Pool {
    /// Creates the workers of the CPUs that are allowed. They start as [`CpuEvents`] tells that the CPUs are online.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let mut cores = KVec::new();
        for cpu in (0..kernel::cpu::nr_cpu_ids()).filter_map(CpuId::from_u32) {
            let core = if CPUS.contains(cpu) {
                Some(Core {
                    thread: SetOnce::new(),
                    worker: Arc::pin_init(Worker::new(cpu), GFP_KERNEL)?,
                })
            } else {
                None
            };
            cores.push(core, GFP_KERNEL)?;
        }
        let memory = Arc::new(Memory::new(), GFP_KERNEL)?;
        Ok(Arc::new(
            Self {
                cores,
                sweeper: Sweeper::start(&memory)?,
                memory,
            },
            GFP_KERNEL,
        )?)
    }

    /// Queues `conn` on the worker of the current CPU, or on another one if that has none.
    ///
    /// Any context. To be called by who was told to by [`Turns`](crate::sys::turns::Turns).
    pub(crate) fn queue(&self, conn: Arc<Linked<Conn>>) {
        self.queue_on(CpuId::current(), conn);
    }

    /// Queues `conn` on the worker of `cpu`, or on another one if that has none.
    ///
    /// As [`queue()`](Self::queue()).
    pub(crate) fn queue_on(&self, cpu: CpuId, conn: Arc<Linked<Conn>>) {
        let Some(core) = self.core_for(cpu) else {
            return;
        };
        // A connection that is to be queued is on no list.
        if let (Ok(true), Some(thread)) = (core.worker.conns.push(conn), core.thread.as_ref()) {
            thread.wake();
        }
    }

    /// Returns the core of `cpu`, or the next one that is active, or, when all that may be used are offline, any one that has
    /// a thread, which is somewhere else then.
    fn core_for(&self, cpu: CpuId) -> Option<&Core> {
        if let Some(core) = self.core(cpu).filter(|core| core.worker.is_active()) {
            return Some(core);
        }
        let near = self.cores.get(cpu.as_u32() as usize..).unwrap_or_default();
        let is_active = |core: &&Core| core.worker.is_active();
        near.iter()
            .flatten()
            .find(is_active)
            .or_else(|| self.cores.iter().flatten().find(is_active))
            .or_else(|| {
                self.cores
                    .iter()
                    .flatten()
                    .find(|core| core.thread.as_ref().is_some())
            })
    }

    /// Returns the core of `cpu`, active or not.
    fn core(&self, cpu: CpuId) -> Option<&Core> {
        self.cores.get(cpu.as_u32() as usize)?.as_ref()
    }

    /// Returns the workers, by CPU.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.cores.iter().flatten().map(|core| &*core.worker)
    }

    /// Returns the CPUs that are online and have a worker.
    pub(crate) fn active_cpus(&self) -> impl Iterator<Item = CpuId> + '_ {
        let active = self.workers().filter(|worker| worker.is_active());
        active.map(|worker| worker.cpu)
    }

    /// Calls `with` with what softirqs of the current CPU serve with, or returns [`None`] when there is nothing: another
    /// CPU's worker has to do it. If it is not `is_bounded`, that is not so for want of budget, for something else bounds it.
    ///
    /// Softirq.
    pub(crate) fn with_inline<R>(
        &self,
        is_bounded: bool,
        with: impl FnOnce(&mut Inline) -> R,
    ) -> Option<R> {
        let core = self.core(CpuId::current())?;
        // Softirqs do not interrupt each other; only who reads the statistics may hold it, for a moment.
        let mut inline = core.worker.inline.try_lock()?;
        let inline = (*inline).as_mut()?;
        if !is_bounded {
            inline.requests_left = BUDGET.get();
        } else if !inline.has_budget() {
            return None;
        }
        Some(with(inline))
    }
}

impl CpuEvents for Pool {
    fn online(cpu: CpuId) -> Result {
        let Some(pool) = global::pool() else {
            return Ok(());
        };
        match pool.core(cpu) {
            Some(core) => core.online(),
            None => Ok(()),
        }
    }

    fn offline(cpu: CpuId) {
        if let Some(pool) = global::pool() {
            if let Some(core) = pool.core(cpu) {
                // The scheduler takes the thread elsewhere, where it goes on with what it has. It is not waited for: it may be
                // closing a socket, which waits for the end of this.
                core.worker.is_active.store(false, Release);
            }
        }
    }
}

impl Core {
    /// The CPU is online: starts the thread, or has it come back to the CPU.
    fn online(&self) -> Result {
        match self.thread.as_ref() {
            Some(thread) => {
                self.worker.is_to_be_bound.store(true, Release);
                thread.wake();
            }
            None => {
                self.worker.prepare()?;
                let thread = Kthread::start(self.worker.cpu, self.worker.clone())?;
                // Only this CPU's hotplug thread comes here, one call after the other.
                self.thread.populate(thread);
            }
        }
        self.worker.is_active.store(true, Release);
        Ok(())
    }
}

/// The buffers that all connections of a context share, one after the other.
pub(crate) struct Scratch {
    /// Where replies are made.
    pub(crate) outgoing: Outgoing,
    /// Where bytes are put behind each other.
    pub(crate) view: KVVec<u8>,
    /// Where TCP copies replies to.
    pub(crate) frag: PageFrag,
}

impl Scratch {
    fn new() -> Result<Self> {
        Ok(Self {
            outgoing: Outgoing::new(REPLY_BYTES)?,
            view: KVVec::from_elem(0, VIEW_BYTES, GFP_KERNEL)?,
            frag: PageFrag::new(),
        })
    }
}

/// What a turn is had with.
pub(crate) struct Cx<'a> {
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) cpu: CpuId,
    pub(crate) slot: Slot,
    pub(crate) is_softirq: bool,
    /// Whether the service may sleep now.
    pub(crate) may_sleep: bool,
    /// When the turn began.
    pub(crate) start: Ticks,
    /// With what flags memory may be allocated.
    pub(crate) flags: Flags,
    /// How many requests may be served.
    pub(crate) requests_left: u64,
    /// Connections that are to be run again after a while.
    delayed: Option<&'a List<Conn>>,
}

impl Cx<'_> {
    /// Has `conn` run again after a while.
    pub(crate) fn delay(&mut self, conn: Arc<Linked<Conn>>) {
        if let Some(delayed) = self.delayed {
            // Still queued, it is on no other list.
            let _ = delayed.push(conn);
        }
    }
}

/// What softirqs of a CPU serve with.
pub(crate) struct Inline {
    scratch: Scratch,
    cpu: CpuId,
    /// The run of the softirq that the budget is for.
    run: u32,
    requests_left: u64,
    pub(crate) turns: u64,
    pub(crate) budget_ends: u64,
}

impl Inline {
    /// Returns whether something may be served in this run of the softirq.
    fn has_budget(&mut self) -> bool {
        let run = softirq::run_number();
        if run != self.run {
            self.run = run;
            self.requests_left = BUDGET.get();
        }
        if self.requests_left == 0 {
            self.budget_ends += 1;
        }
        self.requests_left != 0
    }

    /// Returns where this context counts.
    pub(crate) fn slot(&self) -> Slot {
        Slot::softirq(self.cpu)
    }

    /// Has a turn that began at `start`.
    pub(crate) fn serve<R>(&mut self, start: Ticks, turn: impl FnOnce(&mut Cx<'_>) -> R) -> R {
        self.turns += 1;
        let mut cx = Cx {
            slot: self.slot(),
            scratch: &mut self.scratch,
            cpu: self.cpu,
            is_softirq: true,
            may_sleep: false,
            start,
            flags: GFP_ATOMIC | kernel::alloc::flags::__GFP_NOWARN,
            requests_left: self.requests_left,
            delayed: None,
        };
        let result = turn(&mut cx);
        // A turn costs something even if no request was complete.
        self.requests_left = cx.requests_left.min(self.requests_left - 1);
        result
    }
}

/// What the thread of one CPU works on.
#[pin_data]
pub(crate) struct Worker {
    pub(crate) cpu: CpuId,
    conns: List<Conn>,
    /// The CPU is online, and what is woken there is queued here.
    is_active: Atomic<bool>,
    /// The CPU was offline, and the thread may be somewhere else since.
    is_to_be_bound: Atomic<bool>,
    /// Only the thread takes it, and keeps it.
    #[pin]
    scratch: Mutex<Option<Scratch>>,
    /// Only softirqs on this CPU take it.
    #[pin]
    inline: SpinLock<Option<Inline>>,
    pub(crate) stats: WorkerStats,
}

/// What a worker counts; only its thread writes.
pub(crate) struct WorkerStats {
    /// How often the thread went on after it had slept.
    pub(crate) wakeups: Once64,
    /// How many turns it had.
    pub(crate) turns: Once64,
    /// How often it polled its list before it would sleep.
    pub(crate) polls: Once64,
    /// How often something came meanwhile.
    pub(crate) poll_hits: Once64,
}

/// After how long a connection is tried again that could not go on because something was short.
const RETRY_MS: u64 = 10;

impl Worker {
    fn new(cpu: CpuId) -> impl PinInit<Self> {
        pin_init!(Self {
            cpu,
            conns: List::new(),
            is_active: Atomic::new(false),
            is_to_be_bound: Atomic::new(false),
            scratch <- new_mutex!(None),
            inline <- new_spinlock!(None),
            stats: WorkerStats {
                wakeups: Once64::new(0),
                turns: Once64::new(0),
                polls: Once64::new(0),
                poll_hits: Once64::new(0),
            },
        })
    }

    /// Returns whether the CPU is online.
    pub(crate) fn is_active(&self) -> bool {
        self.is_active.load(Acquire)
    }

    /// Returns how many turns there were in softirq, and how often their budget was spent.
    ///
    /// Process context.
    pub(crate) fn inline_stats(&self) -> (u64, u64) {
        let _off = softirq::disable();
        match &*self.inline.lock() {
            Some(inline) => (inline.turns, inline.budget_ends),
            None => (0, 0),
        }
    }

    /// Makes the buffers, before the thread starts.
    fn prepare(&self) -> Result {
        *self.scratch.lock() = Some(Scratch::new()?);
        let inline = Inline {
            scratch: Scratch::new()?,
            cpu: self.cpu,
            run: 0,
            requests_left: 0,
            turns: 0,
            budget_ends: 0,
        };
        let _off = softirq::disable();
        *self.inline.lock() = Some(inline);
        Ok(())
    }

    /// Has the turns of `conns`.
    fn run_batch(
        &self,
        conns: impl Iterator<Item = Arc<Linked<Conn>>>,
        thread: &Current,
        scratch: &mut Scratch,
        delayed: &List<Conn>,
    ) {
        for conn in conns {
            let mut cx = Cx {
                scratch,
                cpu: self.cpu,
                slot: Slot::worker(self.cpu),
                is_softirq: false,
                may_sleep: true,
                start: Ticks::ZERO,
                flags: GFP_KERNEL,
                requests_left: BUDGET.get(),
                delayed: Some(delayed),
            };
            if let Some(conn) = Linked::run(conn, &mut cx) {
                cx.delay(conn);
            }
            self.stats.turns.add(1);
            thread.cond_resched();
        }
    }

    /// Waits a little for something to come. Returns whether something has.
    fn poll(&self, thread: &Current) -> bool {
        let limit_us = BUSY_POLL_US.get();
        if limit_us == 0 {
            return false;
        }
        self.stats.polls.add(1);
        let start = Ticks::now();
        while self.conns.is_empty() {
            let is_over = clock::ticks_to_ns(Ticks::now().since(start)) >= limit_us * 1000;
            if is_over || thread.need_resched() || thread.should_stop() {
                return false;
            }
            thread.relax();
        }
        self.stats.poll_hits.add(1);
        true
    }
}

impl Body for Worker {
    fn run(&self, thread: &Current) {
        let mut scratch = self.scratch.lock();
        let Some(scratch) = (*scratch).as_mut() else {
            return;
        };
        let delayed = List::new();
        // When the delayed connections are tried again.
        let mut retry_at = None;
        while !thread.should_stop() {
            if self.is_to_be_bound.load(Acquire) && self.is_to_be_bound.xchg(false, Full) {
                thread.bind(self.cpu);
            }
            let now = clock::coarse_ms();
            if retry_at.take_if(|at| now >= *at).is_some() {
                let batch = delayed.take();
                self.run_batch(batch, thread, scratch, &delayed);
            }
            if !self.conns.is_empty() {
                let batch = self.conns.take();
                self.run_batch(batch, thread, scratch, &delayed);
            }
            if !delayed.is_empty() && retry_at.is_none() {
                retry_at = Some(now + RETRY_MS);
            }
            if !self.conns.is_empty() || self.poll(thread) {
                continue;
            }
            // CAST: Milliseconds.
            let limit = retry_at.map(|at| Delta::from_millis(at.saturating_sub(now) as i64));
            thread.sleep_unless(
                || {
                    thread.should_stop()
                        || self.is_to_be_bound.load(Acquire)
                        || !self.conns.is_empty()
                },
                limit,
            );
            self.stats.wakeups.add(1);
        }
    }
}
