// SPDX-License-Identifier: GPL-2.0

//! How a core of a packet service has its turns.

use super::{
    service::AnyCore,
    site::{
        Load,
        Receiver,
        Site,
        Sites, //
    },
    turn::Turn, //
};
use crate::{
    conn::{
        Info,
        Next, //
    },
    pool::Cx,
    stats::Counter,
    svc::Shared,
    sys::{
        arrivals::Batch,
        clock,
        sender::Sender,
        socket::Socket,
        softirq,
        timer::Timer,
        udp::Attached, //
    }, //
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    sync::Arc, //
};

/// How much memory may be sent until the first of it is gone, in bytes: 3 ms at 10 Gbit/s.
const SEND_BYTES: u32 = 4 * 1024 * 1024;

/// After how many µs a turn is had again that could not send all, for nobody tells when there is room.
const RETRY_US: u64 = 250;

/// How many packets, each of which may be several datagrams, a turn sends before others should have theirs.
const SENDS: u64 = 64;

/// The core of a packet service. What is in it is in the order in which it goes.
pub(crate) struct PacketPort {
    timer: Timer<Receiver>,
    /// For when the timer was started, in ns, unless that is over.
    timer_at: Option<u64>,
    socket: Attached<Receiver>,
    core: KBox<dyn AnyCore>,
    buffers: Buffers,
    sites: Arc<Sites>,
    cpu: CpuId,
}

/// What a turn receives and sends with.
pub(super) struct Buffers {
    /// What was taken off the list and not received yet.
    pub(super) batch: Batch,
    pub(super) sender: Sender,
    /// The CPUs of the cores whose turn is to be asked for.
    pub(super) to_wake: KVec<CpuId>,
}

impl PacketPort {
    /// Creates the core of `cpu`, which `socket` is for.
    ///
    /// Process context. The site is open.
    ///
    /// # Errors
    ///
    /// Those of [`PacketService::core()`](crate::PacketService::core()), `ENOMEM`.
    pub(crate) fn new(
        socket: Socket,
        sites: &Arc<Sites>,
        shared: &Arc<Shared>,
        cpu: CpuId,
    ) -> Result<Self> {
        let core = sites.service().core(cpu)?;
        let buffers = Buffers {
            batch: Batch::new(),
            sender: Sender::new()?,
            to_wake: KVec::with_capacity(sites.cpus().len(), GFP_KERNEL)?,
        };
        let receiver = Receiver::new(sites.clone(), shared.clone(), cpu);
        let receiver = Arc::new(receiver, GFP_KERNEL)?;
        socket.set_send_buffer(SEND_BYTES);
        Ok(Self {
            timer: Timer::new(receiver.clone())?,
            timer_at: None,
            socket: Attached::new(socket, receiver),
            core,
            buffers,
            sites: sites.clone(),
            cpu,
        })
    }

    /// Returns what waits for it.
    pub(crate) fn site(&self) -> Option<&Site> {
        self.sites.site(self.cpu)
    }

    /// Has a turn.
    ///
    /// Any context but hard interrupts.
    pub(crate) fn turn(&mut self, shared: &Shared, info: &Info, cx: &mut Cx<'_>) -> Next {
        let mut at_us = None;
        let mut now_us = 0;
        let is_short = self.with_turn(shared, info, cx, |core, turn| {
            now_us = turn.now_us();
            at_us = core.turn(turn);
        });
        if is_short {
            at_us = Some(at_us.unwrap_or(u64::MAX).min(now_us + RETRY_US));
        }
        let is_left =
            !self.buffers.batch.is_empty() || self.site().is_some_and(|site| !site.is_empty());
        if is_left && cx.requests_left == 0 {
            shared.stats.core(cx.slot).count(Counter::BudgetEnds);
        }
        if is_left || at_us.is_some_and(|at| at <= now_us) {
            return Next::Again;
        }
        if let Some(at_us) = at_us {
            self.start_timer(at_us.saturating_mul(1000), now_us.saturating_mul(1000));
        }
        Next::Wait
    }

    /// Has the last turn.
    ///
    /// Process context.
    pub(crate) fn stop(&mut self, shared: &Shared, info: &Info, cx: &mut Cx<'_>) {
        self.with_turn(shared, info, cx, |core, turn| core.stop(turn));
    }

    /// Calls `with` with a turn. Returns whether something could not be sent for want of room or memory.
    fn with_turn(
        &mut self,
        shared: &Shared,
        info: &Info,
        cx: &mut Cx<'_>,
        with: impl FnOnce(&mut dyn AnyCore, &mut Turn<'_>),
    ) -> bool {
        let Some(site) = self.sites.site(self.cpu) else {
            return false;
        };
        let core = shared.stats.core(cx.slot);
        let off = softirq::disable();
        let mut turn = Turn {
            sites: &self.sites,
            site,
            buffers: &mut self.buffers,
            socket: &self.socket,
            core,
            slot: cx.slot,
            now_us: clock::monotonic_ns() / 1000,
            left: cx.requests_left,
            sends_left: SENDS,
            served: Load::default(),
            handed_over: 0,
            bytes_in: 0,
            bytes_out: 0,
            is_short: false,
            off: &off,
        };
        with(&mut *self.core, &mut turn);
        turn.end();
        let (served, is_short) = (turn.served, turn.is_short);
        info.bytes_in.add(turn.bytes_in);
        info.bytes_out.add(turn.bytes_out);
        // Sending takes as long as receiving.
        cx.requests_left = turn.left.saturating_sub(SENDS - turn.sends_left);
        // Who receives it at last counts it.
        core.add(
            Counter::DatagramsIn,
            served.packets().saturating_sub(turn.handed_over),
        );
        core.add(Counter::BytesIn, turn.bytes_in);
        site.served(served);
        site.turns.add(1);
        site.received.add(served.packets());
        drop(off);
        is_short
    }

    /// Has the next turn come at `at`, in ns, or earlier. A turn that comes early does no harm, and costs less than to move the
    /// timer each time that the moment is put off.
    fn start_timer(&mut self, at: u64, now: u64) {
        if self
            .timer_at
            .is_some_and(|before| before > now && before <= at)
        {
            return;
        }
        self.timer_at = Some(at);
        let _off = softirq::disable();
        self.timer.start(at);
    }
}

impl Drop for PacketPort {
    fn drop(&mut self) {
        // What others hand over from now on is dropped. Dropping the socket waits for who does not know that yet.
        if let Some(site) = self.site() {
            site.close();
        }
    }
}
