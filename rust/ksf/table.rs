// SPDX-License-Identifier: GPL-2.0

//! The connections of a service, in a part for each core.

use crate::{
    conn::{
        Closing,
        Conn,
        Info, //
    },
    service::CloseReason,
    svc::Shared,
    sweep,
    sys::{
        clock,
        errno,
        kthread::Current,
        list::Linked, //
    }, //
};
use kernel::{
    cpu::CpuId,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    }, //
};

/// After how long a connection that nothing happens on is looked at for what it holds.
const QUIET_MS: u64 = 1000;

/// How long a peer has to acknowledge the end of the stream, or some of what is before it.
const FINISH_TIMEOUT_MS: u64 = 10_000;

/// How many connections are visited before others may have the lock.
const VISITS: usize = 256;

/// The connections of a service.
pub(crate) struct Table {
    /// By the number of the CPU whose worker accepted them.
    parts: KVec<Pin<KBox<Part>>>,
}

#[pin_data]
struct Part {
    #[pin]
    slots: Mutex<Slots>,
}

struct Slots {
    conns: KVVec<Option<Arc<Linked<Conn>>>>,
    /// The slots that are empty. Its capacity is that of `conns`, so that giving a slot back needs no memory.
    free: KVVec<usize>,
    /// No connection is taken in any more.
    is_closed: bool,
}

/// Where a connection is in the table.
pub(crate) struct TableSlot {
    part: usize,
    slot: usize,
}

impl Table {
    /// Creates an empty table.
    ///
    /// Process context.
    pub(crate) fn new() -> Result<Self> {
        let mut parts = KVec::new();
        for _ in 0..kernel::cpu::nr_cpu_ids() {
            let slots = Slots {
                conns: KVVec::new(),
                free: KVVec::new(),
                is_closed: false,
            };
            let part = KBox::pin_init(pin_init!(Part { slots <- new_mutex!(slots) }), GFP_KERNEL)?;
            parts.push(part, GFP_KERNEL)?;
        }
        Ok(Self { parts })
    }

    /// Takes a connection in that the worker of `cpu` has accepted.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ESHUTDOWN` when the service stops, `ENOMEM`.
    pub(crate) fn insert(&self, cpu: CpuId, conn: &Arc<Linked<Conn>>) -> Result<TableSlot> {
        let part = cpu.as_u32() as usize;
        let mut slots = self.parts.get(part).ok_or(EINVAL)?.slots.lock();
        if slots.is_closed {
            return Err(errno::shutdown());
        }
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = slots.conns.len();
                slots.free.reserve(slot + 1, GFP_KERNEL)?;
                slots.conns.push(None, GFP_KERNEL)?;
                slot
            }
        };
        if let Some(place) = slots.conns.get_mut(slot) {
            *place = Some(conn.clone());
        }
        Ok(TableSlot { part, slot })
    }

    /// Gives the slot of a connection back.
    ///
    /// Process context.
    pub(crate) fn remove(&self, at: TableSlot) {
        let Some(part) = self.parts.get(at.part) else {
            return;
        };
        let mut slots = part.slots.lock();
        let conn = slots.conns.get_mut(at.slot).and_then(Option::take);
        if conn.is_some() && slots.free.push_within_capacity(at.slot).is_err() {
            kernel::pr_warn_once!("a connection's slot was lost\n");
        }
        drop(slots);
        // Possibly the last reference, which must not be dropped under the lock.
        drop(conn);
    }

    /// Asks all connections to close, and takes in no more.
    ///
    /// Process context.
    pub(crate) fn close(&self, closing: Closing) {
        for part in &self.parts {
            let mut slots = part.slots.lock();
            slots.is_closed = true;
            for conn in slots.conns.iter().flatten() {
                Linked::close(conn.as_arc_borrow(), closing);
            }
        }
    }

    /// Calls `each` with each connection.
    ///
    /// Process context.
    pub(crate) fn for_each<E>(
        &self,
        mut each: impl FnMut(&Conn) -> Result<(), E>,
    ) -> Result<(), E> {
        for part in &self.parts {
            for conn in part.slots.lock().conns.iter().flatten() {
                each(conn)?;
            }
        }
        Ok(())
    }

    /// Calls `each` with each connection, while others come and go: those that do may be missed.
    ///
    /// Process context, without a lock that is needed to have a turn.
    pub(crate) fn visit(
        &self,
        thread: &Current,
        mut each: impl FnMut(ArcBorrow<'_, Linked<Conn>>),
    ) {
        for part in &self.parts {
            let mut first = 0;
            loop {
                let slots = part.slots.lock();
                let rest = slots.conns.get(first..).unwrap_or_default();
                if rest.is_empty() {
                    break;
                }
                for conn in rest.iter().take(VISITS).flatten() {
                    each(conn.as_arc_borrow());
                }
                first += VISITS;
                drop(slots);
                thread.cond_resched();
            }
        }
    }

    /// Closes connections that were idle for too long, and has a turn look at those whose peers may be too slow. Returns after
    /// how many ms to do it again, or [`None`] when there is no connection.
    ///
    /// Process context.
    pub(crate) fn sweep(&self, shared: &Shared, thread: &Current) -> Option<u64> {
        let first_byte = shared.params.first_byte_timeout_ms.get();
        let idle = shared.params.idle_timeout_ms.get();
        let request = shared.params.request_timeout_ms.get();
        let send = shared.params.send_timeout_ms.get();
        let limits = [first_byte, idle, request, send].into_iter();
        let interval = sweep::interval_ms(limits.filter(|ms| *ms != 0).min());
        let now = clock::coarse_ms();
        let mut is_empty = true;
        self.visit(thread, |conn| {
            is_empty = false;
            let info = &conn.info;
            let quiet = now.saturating_sub(info.active_ms.get());
            let is_over = |limit: u64| limit != 0 && quiet >= limit;
            let has_sent = info.bytes_in.get() != 0 || info.has_received.get() != 0;
            let begun = info.request_ms.get();
            let is_overdue = request != 0 && begun != 0 && now.saturating_sub(begun) >= request;
            let is_open = info.phase.get() == Info::OPEN;
            // What it was charged for may have been acknowledged since.
            let may_have_less = is_open && quiet >= QUIET_MS && info.memory.get() != 0;
            let is_waiting = info.untaken_ms.get() != 0 || info.phase.get() == Info::BLOCKED;
            let may_be_untaken = send != 0 && is_waiting && quiet >= interval;
            if is_overdue || may_have_less || may_be_untaken {
                // The turn knows.
                Linked::wake(conn);
            }
            let closing = match info.phase.get() {
                Info::CLOSING if is_over(FINISH_TIMEOUT_MS) => Closing::Abort(CloseReason::Error),
                Info::CLOSING => {
                    // It looks whether the peer has acknowledged anything.
                    Linked::wake(conn);
                    return;
                }
                _ if !has_sent && first_byte != 0 => {
                    if !is_over(first_byte) {
                        return;
                    }
                    Closing::Gently(CloseReason::FirstByte)
                }
                _ if is_over(idle) => Closing::Gently(CloseReason::Idle),
                _ => return,
            };
            Linked::close(conn, closing);
        });
        (!is_empty).then_some(interval)
    }
}
