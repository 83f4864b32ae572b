// SPDX-License-Identifier: GPL-2.0

//! One socket and what is done with it, a turn at a time.
//!
//! A socket's callbacks only wake it, and put it on the list of the worker of the current CPU if it is on none; or, where that
//! is allowed, take its turn at once, in softirq. Who has the turn alone receives, serves and sends. Connections, listeners
//! and UDP sockets are all served this way.

use crate::{
    gate::GateGuard,
    limits::Used,
    listener::Listener,
    packets::port::PacketPort,
    params::Serve,
    peer_stream::PeerStream,
    pool::Cx,
    port::Port,
    service::CloseReason,
    stats::{
        Core,
        Counter,
        Slot, //
    },
    svc::Shared,
    sys::{
        clock::{
            self,
            Ticks, //
        },
        list::Linked,
        napi::Polled,
        once::Once64,
        tcp::{
            self,
            Locked, //
        },
        trace,
        turns::{
            Turn,
            Turns, //
        },
        udp::{
            self,
            Arrived, //
        }, //
    }, //
};
use core::{
    mem,
    net::SocketAddr, //
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    }, //
};

/// A socket of a service.
pub(crate) struct Conn {
    turns: Turns<State>,
    /// A [`Closing`], or 0. Set before the wake-up that makes a turn look at it.
    closing: Atomic<u32>,
    /// It is to be closed, for memory is short, if it gets nowhere since this time, in ms; or 0.
    give_up: Once64,
    /// When it was queued: [`Ticks`].
    woken: Once64,
    pub(crate) info: Info,
    pub(crate) shared: Arc<Shared>,
    /// The last to be dropped: the service may be freed, and its module unloaded, afterwards.
    _gate: GateGuard,
}

/// What only the turn touches.
pub(crate) enum State {
    /// To accept connections.
    Listener(Listener),
    /// To serve a peer.
    Stream(PeerStream),
    /// To serve datagrams.
    Port(Port),
    /// To serve packets of a protocol.
    Packets(PacketPort),
    /// Nothing is left to do, or nothing was begun.
    Closed,
}

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait until woken.
    Wait,
    /// Have another turn, in a worker, when the others had theirs.
    Again,
    /// Have another turn after a while, for something is short, and nothing will say when it no longer is.
    Later,
    /// Send the end of the stream, and close when the peer has acknowledged it.
    Finish(CloseReason),
    /// Close the socket.
    Close(CloseReason),
    /// Close the socket with a reset.
    Abort(CloseReason),
}

/// What is asked of a connection from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// To close for this reason, with what was sent acknowledged by the peer first.
    Gently(CloseReason),
    /// To close at once.
    Abort(CloseReason),
}

impl Closing {
    const ABORT: u32 = 0x100;

    fn to_bits(self) -> u32 {
        match self {
            Self::Gently(reason) => reason as u32 + 1,
            Self::Abort(reason) => (reason as u32 + 1) | Self::ABORT,
        }
    }

    fn from_bits(bits: u32) -> Option<Self> {
        let number = (bits & !Self::ABORT).checked_sub(1)?;
        let reason = *CloseReason::ALL.get(number as usize)?;
        Some(if bits & Self::ABORT == 0 {
            Self::Gently(reason)
        } else {
            Self::Abort(reason)
        })
    }
}

/// What others may know of a connection. Only the turn writes to it.
pub(crate) struct Info {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) opened_ms: u64,
    /// When something was last received or sent.
    pub(crate) active_ms: Once64,
    /// When the request that is not complete was begun, or 0.
    pub(crate) request_ms: Once64,
    /// Since when the peer is known to have acknowledged nothing of what was sent, or 0.
    pub(crate) untaken_ms: Once64,
    /// Since when something that was sent is known not to be acknowledged, or 0.
    pub(crate) unacknowledged_ms: Once64,
    pub(crate) bytes_in: Once64,
    pub(crate) bytes_out: Once64,
    pub(crate) requests: Once64,
    pub(crate) memory: Once64,
    /// What all connections of the same peer hold.
    pub(crate) used_by_peer: Option<Arc<Used>>,
    pub(crate) unsent: Once64,
    pub(crate) cpu: Once64,
    pub(crate) phase: Once64,
    /// Something was received.
    pub(crate) has_received: Once64,
    /// With `serve=auto`: a worker serves it cheaper, for requests come faster than replies are read.
    pub(crate) prefers_worker: Once64,
}

impl Info {
    /// What `phase` may be: in service; waiting for room to send; waiting for the peer to acknowledge the end.
    pub(crate) const PHASES: [&'static str; 3] = ["open", "blocked", "closing"];
    pub(crate) const OPEN: u64 = 0;
    pub(crate) const BLOCKED: u64 = 1;
    pub(crate) const CLOSING: u64 = 2;

    fn new(peer: Option<(SocketAddr, Arc<Used>)>, local: Option<SocketAddr>) -> Self {
        let (peer, used_by_peer) = peer.unzip();
        let now = clock::coarse_ms();
        Self {
            peer,
            local,
            opened_ms: now,
            active_ms: Once64::new(now),
            request_ms: Once64::new(0),
            untaken_ms: Once64::new(0),
            unacknowledged_ms: Once64::new(0),
            bytes_in: Once64::new(0),
            bytes_out: Once64::new(0),
            requests: Once64::new(0),
            memory: Once64::new(0),
            used_by_peer,
            unsent: Once64::new(0),
            cpu: Once64::new(u64::from(CpuId::current().as_u32())),
            phase: Once64::new(Self::OPEN),
            has_received: Once64::new(0),
            prefers_worker: Once64::new(0),
        }
    }

    /// Returns since when the connection holds what it holds and gets nowhere, in ms: by serving a request, or by having all
    /// acknowledged that was sent before. Some bytes of either are not enough.
    pub(crate) fn stuck_since(&self) -> u64 {
        let since = [self.request_ms.get(), self.unacknowledged_ms.get()];
        let since = since.into_iter().filter(|ms| *ms != 0).min();
        // Otherwise it waits for memory itself.
        since.unwrap_or_else(|| self.active_ms.get())
    }

    /// Returns how many bytes were received and sent.
    fn bytes(&self) -> (u64, u64) {
        (self.bytes_in.get(), self.bytes_out.get())
    }
}

impl Conn {
    /// Creates a socket's place, without the socket.
    ///
    /// Process context.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        peer: Option<(SocketAddr, Arc<Used>)>,
        local: Option<SocketAddr>,
    ) -> Result<Arc<Linked<Self>>> {
        let conn = Self {
            turns: Turns::new(State::Closed),
            closing: Atomic::new(0),
            give_up: Once64::new(0),
            woken: Once64::new(0),
            info: Info::new(peer, local),
            shared: shared.clone(),
            _gate: shared.gate.enter(),
        };
        Ok(Arc::new(Linked::new(conn), GFP_KERNEL)?)
    }

    fn closing(&self) -> Option<Closing> {
        Closing::from_bits(self.closing.load(Acquire))
    }

    /// Returns whether it was asked to give up what it holds, and no turn has looked at that.
    pub(crate) fn is_giving_up(&self) -> bool {
        self.give_up.get() != 0
    }

    /// Returns whether it was asked to give up what it holds if it gets nowhere, and still does not. The turn knows better.
    pub(crate) fn takes_give_up(&self) -> bool {
        let since = self.give_up.get();
        if since != 0 {
            self.give_up.set(0);
        }
        since != 0 && self.info.stuck_since() <= since
    }
}

impl Linked<Conn> {
    /// Gives a connection what it is there for, and has a worker look at it, for what came before its callbacks were there.
    ///
    /// Process context. To be called before anybody else knows of the connection; `make` may make it known.
    pub(crate) fn start(this: Arc<Self>, make: impl FnOnce(&Arc<Self>) -> Result<State>) -> Result {
        // Whoever wakes it from now on waits for the end of this turn.
        let mut turn = this.turns.begin_idle().ok_or(EBUSY)?;
        let result = make(&this).map(|state| *turn = state);
        if turn.end(true) {
            Self::queue(this.as_arc_borrow());
        }
        result
    }

    /// Asks for the socket to be closed.
    ///
    /// Any context.
    pub(crate) fn close(this: ArcBorrow<'_, Self>, closing: Closing) {
        // What is to be aborted stays so.
        let mut before = this.closing.load(Relaxed);
        while before & Closing::ABORT == 0 {
            // ORDERING: A release, for the turn that it is to be seen by.
            match this.closing.cmpxchg(before, closing.to_bits(), Full) {
                Ok(_) => break,
                Err(now) => before = now,
            }
        }
        Self::wake(this);
    }

    /// Asks for the connection to be closed, for memory is short, unless it got somewhere after the time `since`, in ms.
    ///
    /// Any context.
    pub(crate) fn give_up(this: ArcBorrow<'_, Self>, since: u64) {
        this.give_up.set(since.max(1));
        Self::wake(this);
    }

    /// Asks for a turn.
    ///
    /// Any context.
    pub(crate) fn wake(this: ArcBorrow<'_, Self>) {
        if this.turns.wake() {
            Self::queue(this);
        }
    }

    /// Asks for a turn. Returns whether the caller has to see to it that there is one.
    ///
    /// Any context.
    #[must_use]
    pub(crate) fn wake_for(this: ArcBorrow<'_, Self>) -> bool {
        let is_queued = this.turns.wake();
        if is_queued {
            this.woken.set(Ticks::now().to_bits());
        }
        is_queued
    }

    /// Puts a connection that is to be queued on the list of the worker of the current CPU.
    fn queue(this: ArcBorrow<'_, Self>) {
        this.woken.set(Ticks::now().to_bits());
        this.shared.pool.queue(this.into());
    }

    /// As [`start()`](Self::start()), but has the first turn right here. Returns the connection if it is to be run again
    /// after a while.
    ///
    /// Process context, in the worker.
    pub(crate) fn start_and_run(
        this: Arc<Self>,
        make: impl FnOnce(&Arc<Self>, &mut Cx<'_>) -> State,
        cx: &mut Cx<'_>,
    ) -> Option<Arc<Self>> {
        let mut turn = this.turns.begin_idle()?;
        *turn = make(&this, cx);
        let measure = Measure::start(&this, Ticks::now(), 0);
        Self::run_turn(&this, turn, measure, cx).then_some(this)
    }

    /// Has the turn of a connection that came off a worker's list. Returns the connection if it is to be run again
    /// after a while.
    ///
    /// Process context, in the worker.
    pub(crate) fn run(this: Arc<Self>, cx: &mut Cx<'_>) -> Option<Arc<Self>> {
        let turn = this.turns.begin()?;
        Self::run_turn(&this, turn, Measure::start_queued(&this), cx).then_some(this)
    }

    /// Has a turn in a worker. Returns whether to have the next one after a while.
    fn run_turn(
        this: &Arc<Self>,
        mut turn: Turn<'_, State>,
        measure: Measure,
        cx: &mut Cx<'_>,
    ) -> bool {
        let core = this.shared.stats.core(cx.slot);
        cx.start = measure.start;
        core.count(Counter::TurnsWorker);
        let closing = this.closing();
        let (next, what) = match &mut *turn {
            State::Closed => (Next::Wait, c"closed"),
            State::Listener(_) | State::Port(_) if closing.is_some() => {
                (Next::Close(CloseReason::Stop), c"closed")
            }
            State::Listener(listener) => (listener.turn(this, cx), c"listener"),
            State::Port(port) => (port.turn(&this.shared, cx), c"datagrams"),
            State::Packets(port) if closing.is_some() => {
                port.stop(&this.shared, &this.info, cx);
                (Next::Close(CloseReason::Stop), c"closed")
            }
            State::Packets(port) => (port.turn(&this.shared, &this.info, cx), c"packets"),
            State::Stream(stream) => (stream.turn(this, closing, cx), c"stream"),
        };
        if let Next::Close(reason) | Next::Abort(reason) = next {
            let is_abort = matches!(next, Next::Abort(_));
            match mem::replace(&mut *turn, State::Closed) {
                State::Stream(stream) => stream.close(this, reason, is_abort, core),
                state => drop(state),
            }
        }
        measure.end(this, core, what, false);
        let is_queued = turn.end(matches!(next, Next::Again | Next::Later));
        if let Next::Later = next {
            // Not at once even if it was woken meanwhile: TCP itself announces room when it finds none. It stays queued
            // for so long, so that nobody who wakes it puts it on another list.
            return true;
        }
        if is_queued {
            Self::queue(this.as_arc_borrow());
        }
        false
    }

    /// Has a turn in softirq, if that may be; a worker has it if `serve` returns [`None`], which is that it did nothing.
    /// Returns whether there was a turn.
    ///
    /// Softirq.
    fn run_inline(
        this: ArcBorrow<'_, Self>,
        what: &CStr,
        serve: impl FnOnce(&mut State, &mut Cx<'_>) -> Option<Next>,
    ) -> bool {
        let shared = &this.shared;
        let is_allowed = match shared.params.serve() {
            Serve::Auto => this.info.prefers_worker.get() == 0,
            Serve::Inline => true,
            Serve::Worker => false,
        };
        if shared.may_sleep || !is_allowed {
            return false;
        }
        let had = shared.pool.with_inline(true, |inline| {
            let Some(mut turn) = this.turns.begin_idle() else {
                return false;
            };
            let core = shared.stats.core(inline.slot());
            let measure = Measure::start(&this, Ticks::now(), 0);
            let next = match this.closing() {
                None => inline.serve(measure.start, |cx| serve(&mut turn, cx)),
                Some(_) => None,
            };
            if next.is_some() {
                core.count(Counter::TurnsInline);
                measure.end(&this, core, what, true);
            }
            if turn.end(next != Some(Next::Wait)) {
                Self::queue(this);
            }
            true
        });
        had.unwrap_or(false)
    }
}

impl Linked<Conn> {
    /// Has the turn of a packet service's core in softirq, as it was asked to. A worker has it if it must not be here.
    ///
    /// Softirq.
    pub(crate) fn run_packets(this: ArcBorrow<'_, Self>) -> Polled {
        let shared = &this.shared;
        // Softirq's own budget is the only one where everything is to be served in it.
        let is_bounded = match shared.params.serve() {
            Serve::Inline => false,
            Serve::Auto => true,
            Serve::Worker => {
                Self::queue(this);
                return Polled::default();
            }
        };
        let had = shared.pool.with_inline(is_bounded, |inline| {
            let Some(mut turn) = this.turns.begin() else {
                return Polled::default();
            };
            let State::Packets(port) = &mut *turn else {
                // It was closed meanwhile.
                if turn.end(false) {
                    Self::queue(this);
                }
                return Polled::default();
            };
            if this.closing().is_some() {
                if turn.end(true) {
                    Self::queue(this);
                }
                return Polled::default();
            }
            let core = shared.stats.core(inline.slot());
            let measure = Measure::start_queued(&this);
            let mut work = 0;
            let next = inline.serve(measure.start, |cx| {
                let before = cx.requests_left;
                let next = port.turn(shared, &this.info, cx);
                // CAST: As many as a budget allows, which are less than 2^32.
                work = (before - cx.requests_left) as u32;
                next
            });
            core.count(Counter::TurnsInline);
            measure.end(&this, core, c"packets", true);
            let again = turn.end(next != Next::Wait);
            if again {
                this.woken.set(Ticks::now().to_bits());
            }
            Polled {
                work: work.max(1),
                again,
            }
        });
        had.unwrap_or_else(|| {
            Self::queue(this);
            Polled::default()
        })
    }
}

/// Measures a turn.
struct Measure {
    start: Ticks,
    delay: u64,
    /// What had been received and sent before, if somebody looks.
    before: Option<(u64, u64)>,
}

impl Measure {
    fn start(conn: &Conn, start: Ticks, delay: u64) -> Self {
        Self {
            start,
            delay,
            before: trace::turn_is_on().then(|| conn.info.bytes()),
        }
    }

    /// Measures the turn of a connection that was queued.
    fn start_queued(conn: &Conn) -> Self {
        let now = Ticks::now();
        let delay = clock::ticks_to_ns(now.since(Ticks::from_bits(conn.woken.get())));
        Self::start(conn, now, delay)
    }

    fn end(self, conn: &Conn, core: &Core, what: &CStr, is_inline: bool) {
        if self.delay != 0 {
            core.queue_delay(self.delay);
        }
        let time = clock::ticks_to_ns(Ticks::now().since(self.start));
        core.service_time(time);
        trace::turn(conn.shared.name, || {
            let (bytes_in, bytes_out) = conn.info.bytes();
            let before = self.before.unwrap_or((bytes_in, bytes_out));
            trace::Turn {
                what,
                is_inline,
                bytes_in: bytes_in.wrapping_sub(before.0),
                bytes_out: bytes_out.wrapping_sub(before.1),
                delay: self.delay,
                time,
            }
        });
    }
}

impl tcp::Events for Linked<Conn> {
    fn wake(this: ArcBorrow<'_, Self>) {
        Linked::wake(this);
    }

    fn receive_inline(this: ArcBorrow<'_, Self>, locked: &mut Locked) {
        let had = Self::run_inline(this, c"stream", |state, cx| match state {
            State::Stream(stream) => Some(stream.turn_inline(locked, &this, cx)),
            _ => None,
        });
        if !had {
            Linked::wake(this);
        }
    }
}

impl udp::Events for Linked<Conn> {
    fn datagrams_queued(this: ArcBorrow<'_, Self>) {
        Linked::wake(this);
    }

    fn datagram_arrived(this: ArcBorrow<'_, Self>, arrived: Arrived) -> Option<Arrived> {
        if !arrived.is_unicast() {
            let core = this.shared.stats.core(Slot::softirq(CpuId::current()));
            core.count(Counter::DatagramsIn);
            core.count(Counter::DroppedMulticast);
            return None;
        }
        let mut arrived = Some(arrived);
        Self::run_inline(this, c"datagrams", |state, cx| {
            let State::Port(port) = state else {
                return None;
            };
            let next = port.turn_inline(&mut arrived, &this.shared, cx);
            arrived.is_none().then_some(next)
        });
        arrived
    }
}
