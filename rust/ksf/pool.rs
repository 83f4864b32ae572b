// SPDX-License-Identifier: GPL-2.0

//! One worker thread per CPU.
//!
//! A connection is served by the worker of the CPU where it was woken, that is, where its packets arrive.

use crate::{
    conn::Conn,
    service::STREAM_BYTES,
    sys::{
        kthread::{
            Body,
            Current,
            Kthread, //
        },
        list::{
            Linked,
            List, //
        }, //
    }, //
};
use kernel::{
    cpu::CpuId,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// The workers.
pub(crate) struct Pool {
    /// By the number of the CPU; [`None`] where the CPU was offline.
    workers: KVec<Option<Kthread<Worker>>>,
}

impl Pool {
    /// Starts a worker on each CPU that is online.
    ///
    /// Process context.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let mut workers = KVec::new();
        for cpu in (0..kernel::cpu::nr_cpu_ids()).filter_map(CpuId::from_u32) {
            let worker = if crate::sys::kthread::is_online(cpu) {
                Some(Kthread::start(cpu, Worker::new()?)?)
            } else {
                None
            };
            workers.push(worker, GFP_KERNEL)?;
        }
        Ok(Arc::new(Self { workers }, GFP_KERNEL)?)
    }

    /// Queues `conn` on the worker of the current CPU.
    ///
    /// Any context. To be called by who was told to by [`Turns`](crate::sys::turns::Turns).
    pub(crate) fn queue(&self, conn: Arc<Linked<Conn>>) {
        let cpu = CpuId::current().as_u32() as usize;
        // A CPU that came online later is served by another one's worker; there is always one, for `new()` ran on it.
        let workers = self.workers.get(cpu..).unwrap_or_default();
        let worker = workers.iter().flatten().next();
        let Some(worker) = worker.or_else(|| self.workers.iter().flatten().next()) else {
            return;
        };
        // A connection that is still on a list is served from there.
        if let Ok(true) = worker.body().conns.push(conn) {
            worker.wake();
        }
    }

    /// How many workers there are.
    pub(crate) fn len(&self) -> usize {
        self.workers.iter().flatten().count()
    }
}

/// What the thread of one CPU works on.
#[pin_data]
pub(crate) struct Worker {
    conns: List<Conn>,
    /// Only the thread takes it, and keeps it.
    #[pin]
    scratch: Mutex<Scratch>,
}

/// The buffers that all connections of a worker share, one after the other.
pub(crate) struct Scratch {
    /// Where bytes are received.
    pub(crate) received: KVVec<u8>,
    /// Where replies are made.
    pub(crate) replies: KVVec<u8>,
}

impl Worker {
    fn new() -> Result<Arc<Self>> {
        let scratch = Scratch {
            received: KVVec::from_elem(0, STREAM_BYTES, GFP_KERNEL)?,
            replies: KVVec::from_elem(0, STREAM_BYTES, GFP_KERNEL)?,
        };
        Arc::pin_init(
            pin_init!(Self {
                conns: List::new(),
                scratch <- new_mutex!(scratch),
            }),
            GFP_KERNEL,
        )
    }
}

/// After how long a connection is tried again that could not go on because something was short.
const RETRY: Delta = Delta::from_millis(10);

impl Body for Worker {
    fn run(&self, thread: &Current) {
        let mut scratch = self.scratch.lock();
        let delayed = List::new();
        // When the first of the delayed connections was delayed.
        let mut delayed_since = None;
        while !thread.should_stop() {
            let is_over = |since: Instant<Monotonic>| since.elapsed() >= RETRY;
            if delayed_since.is_some_and(is_over) {
                delayed_since = None;
                for conn in delayed.take() {
                    if let Some(conn) = Linked::run_delayed(conn, &mut scratch) {
                        delayed_since.get_or_insert_with(Instant::now);
                        // Woken meanwhile, it may be on the worker's list already.
                        let _ = delayed.push(conn);
                    }
                }
            }
            for conn in self.conns.take() {
                if let Some(conn) = Linked::run(conn, &mut scratch) {
                    delayed_since.get_or_insert_with(Instant::now);
                    let _ = delayed.push(conn);
                }
                thread.cond_resched();
            }
            thread.sleep_unless(
                || thread.should_stop() || !self.conns.is_empty(),
                delayed_since.map(|_| RETRY),
            );
        }
    }
}
