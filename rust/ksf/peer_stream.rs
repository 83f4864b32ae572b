// SPDX-License-Identifier: GPL-2.0

//! A TCP connection in service.
//!
//! A turn never waits for a peer. When a peer does not take its replies, the connection stops reading until there is room to
//! send, so that the peer's window closes.

use crate::{
    batching::Batching,
    conn::{
        Closing,
        Conn,
        Info,
        Next, //
    },
    holding::Holding,
    limits::{
        Charge,
        PeerGuard, //
    },
    outgoing::Unsent,
    pool::Cx,
    received::Received,
    service::{
        CloseReason,
        Progress, //
    },
    stats::{
        Core,
        Counter, //
    },
    stream::{
        Replies,
        Stream, //
    },
    svc::{
        AnyStream,
        Place, //
    },
    sys::{
        clock,
        list::Linked,
        tcp::{
            Attached,
            Locked,
            Status, //
        },
        trace, //
    }, //
};
use kernel::prelude::*;

/// How many bytes a turn of a worker serves, beyond the last request.
const TURN_BYTES: usize = 256 * 1024;

/// From how many waiting bytes on a batch is better served by a worker.
const INLINE_BYTES: u32 = 16 * 1024;

/// More than any buffer has: nothing is kept from growing.
const UNBOUNDED: u32 = i32::MAX as u32;

/// A TCP connection.
pub(crate) struct PeerStream {
    socket: Attached<Linked<Conn>>,
    serving: Serving,
    /// The end of the stream was sent, for this reason.
    finished: Option<CloseReason>,
    /// Up to where the peer had acknowledged what was sent at the last look after that.
    acknowledged: u32,
    _peer: PeerGuard,
    _place: Place,
}

/// What is done under the socket's lock.
struct Serving {
    service: KBox<dyn AnyStream>,
    unsent: Unsent,
    /// What was taken out of the receive queue and is not consumed.
    held: Holding,
    /// How many bytes the service needs to go on.
    need: usize,
    /// The service wants a worker for what is next.
    is_deferred: bool,
    /// The service wants to close when all is sent.
    is_closing: bool,
    /// The last turn ended for want of room to send.
    is_blocked: bool,
    /// How many bytes there were of a request that is not complete.
    seen: usize,
    /// Up to where the peer had acknowledged what was sent when it had not acknowledged all.
    acknowledged: u32,
    /// Up to where the peer has to acknowledge what was sent to change [`Info::unacknowledged_ms`].
    written: u32,
    /// What a turn in softirq found to be the end, which only a worker can bring about.
    verdict: Option<Next>,
    charge: Charge,
    batching: Batching,
    published: Published,
}

/// What others know of how a turn has left the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Published {
    cpu: Cpu,
    memory: usize,
    unsent: usize,
    phase: u64,
}

/// The number of a CPU.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cpu(u32);

impl Cpu {
    /// The one that the turn is had on.
    fn of(cx: &Cx<'_>) -> Self {
        Self(cx.cpu.as_u32())
    }
}

impl PeerStream {
    /// Creates a connection.
    pub(crate) fn new(
        socket: Attached<Linked<Conn>>,
        service: KBox<dyn AnyStream>,
        charge: Charge,
        peer: PeerGuard,
        place: Place,
    ) -> Self {
        Self {
            socket,
            serving: Serving {
                service,
                unsent: Unsent::new(),
                held: Holding::new(),
                need: 1,
                is_deferred: false,
                is_closing: false,
                is_blocked: false,
                seen: 0,
                acknowledged: 0,
                written: 0,
                verdict: None,
                charge,
                batching: Batching::new(),
                published: Published {
                    cpu: Cpu(u32::MAX),
                    memory: 0,
                    unsent: 0,
                    phase: Info::OPEN,
                },
            },
            finished: None,
            acknowledged: 0,
            _peer: peer,
            _place: place,
        }
    }

    /// Has a turn in a worker.
    pub(crate) fn turn(&mut self, conn: &Conn, closing: Option<Closing>, cx: &mut Cx<'_>) -> Next {
        if conn.is_giving_up() && self.gives_up(conn) {
            return Next::Abort(CloseReason::Memory);
        }
        let next = match (closing, self.finished) {
            (Some(Closing::Abort(_)), Some(reason)) => return Next::Abort(reason),
            (_, Some(reason)) => return self.wait_for_end(reason, conn),
            (Some(Closing::Abort(reason)), None) => return Next::Abort(reason),
            // What the peer does not take now it may never take.
            (Some(Closing::Gently(reason)), None) if self.serving.unsent.len() != 0 => {
                return Next::Abort(reason);
            }
            (Some(Closing::Gently(reason)), None) => Next::Finish(reason),
            (None, None) => {
                self.serving.is_deferred = false;
                if let Some(verdict) = self.serving.verdict {
                    return self.act(verdict, conn);
                }
                let before = conn.info.bytes_in.get();
                let next = self.serving.serve(&mut self.socket.lock(), conn, cx);
                let bytes = conn.info.bytes_in.get().wrapping_sub(before);
                let prefers_worker = &conn.info.prefers_worker;
                if prefers_worker.get() != 0 && !self.serving.batching.worker_turn(cx.start, bytes)
                {
                    prefers_worker.set(0);
                }
                self.serving.publish(conn, Cpu::of(cx));
                next
            }
        };
        self.act(next, conn)
    }

    /// Looks whether the connection still holds something and gets nowhere, and memory is still short.
    fn gives_up(&mut self, conn: &Conn) -> bool {
        let mut locked = self.socket.lock();
        let status = locked.status(UNBOUNDED);
        self.serving.note_unacknowledged(&locked, &status, conn);
        self.serving.charge.set_all(self.serving.memory(&status));
        let is_stuck = conn.takes_give_up();
        // The rest of the request may have come in the meantime.
        let available = status.unread as usize + self.serving.held.bytes();
        let is_complete = conn.info.request_ms.get() != 0 && available >= self.serving.need;
        let gives_up = is_stuck && !is_complete && self.serving.charge.must_give_up();
        if gives_up {
            let bytes = self.serving.charge.bytes() as u64;
            trace::limit_hit(conn.shared.name, c"memory_bytes", bytes);
        }
        gives_up
    }

    /// Begins what a turn has led to.
    fn act(&mut self, next: Next, conn: &Conn) -> Next {
        let Next::Finish(reason) = next else {
            return next;
        };
        self.finished = Some(reason);
        // It is a part of a request that will not be complete.
        self.serving.held.consume(usize::MAX);
        conn.info.request_ms.set(0);
        conn.info.phase.set(Info::CLOSING);
        conn.info.active_ms.set(clock::coarse_ms());
        self.socket.shutdown_send();
        self.wait_for_end(reason, conn)
    }

    /// Has a turn in softirq, where `locked` is the socket.
    pub(crate) fn turn_inline(
        &mut self,
        locked: &mut Locked,
        conn: &Conn,
        cx: &mut Cx<'_>,
    ) -> Next {
        let serving = &mut self.serving;
        if self.finished.is_some()
            || serving.is_deferred
            || serving.unsent.len() != 0
            || !serving.held.is_empty()
            || serving.verdict.is_some()
        {
            return Next::Again;
        }
        let before = conn.info.bytes_in.get();
        let next = serving.serve(locked, conn, cx);
        if !matches!(next, Next::Wait | Next::Again | Next::Later) {
            serving.verdict = Some(next);
        }
        let bytes = conn.info.bytes_in.get().wrapping_sub(before);
        if serving.batching.inline_turn(cx.start, bytes) && next == Next::Wait {
            conn.info.prefers_worker.set(1);
        }
        serving.publish(conn, Cpu::of(cx));
        next
    }

    /// Waits until the peer has acknowledged the end of the stream, so that nothing that was sent before is lost: a socket
    /// of the kernel that is released does not retransmit.
    fn wait_for_end(&mut self, reason: CloseReason, conn: &Conn) -> Next {
        let mut locked = self.socket.lock();
        let unread = locked.status(UNBOUNDED).unread;
        // Nobody reads what still comes, and what is unread would make the close a reset.
        locked.read_done(unread as usize);
        let status = locked.status(UNBOUNDED);
        if status.finished || status.error != 0 {
            locked.prepare_release();
            return Next::Close(reason);
        }
        // A peer that takes it slowly has time for as long as it takes anything.
        let acknowledged = locked.acknowledged();
        if acknowledged != self.acknowledged {
            self.acknowledged = acknowledged;
            conn.info.active_ms.set(clock::coarse_ms());
        }
        self.serving.note_unacknowledged(&locked, &status, conn);
        self.serving.charge.set_all(self.serving.memory(&status));
        conn.info.memory.set(self.serving.charge.bytes() as u64);
        Next::Wait
    }

    /// Closes the socket, then gives up what the service kept, then the place among its connections.
    ///
    /// Process context, in the worker.
    pub(crate) fn close(mut self, conn: &Conn, reason: CloseReason, is_abort: bool, core: &Core) {
        let counter = Counter::from(reason);
        core.count(counter);
        if let Some(peer) = conn.info.peer {
            trace::conn_close(
                conn.shared.name,
                peer,
                counter.name(),
                conn.info.bytes_in.get(),
                conn.info.bytes_out.get(),
            );
        }
        if is_abort {
            self.socket.reset_on_close();
        }
        drop(self.socket);
        self.serving.service.close(reason);
    }
}

impl Serving {
    /// Receives, serves and sends. In softirq it does the little that is allowed there and leaves the rest to a worker:
    /// then the result is something else than [`Next::Wait`].
    fn serve(&mut self, locked: &mut Locked, conn: &Conn, cx: &mut Cx<'_>) -> Next {
        let core = conn.shared.stats.core(cx.slot);
        let params = conn.shared.params;
        let mut bytes_left = TURN_BYTES;
        self.is_blocked = false;
        // The first call of the turn was made.
        let mut is_later = false;
        // The rest is for what the kernel allows beyond them, and for replies that do not fit.
        // CAST: Below 2^32, as the range of the parameter says.
        let buffer_bytes = (params.conn_bytes.get() / 8 * 3) as u32;
        loop {
            let status = locked.status(buffer_bytes);
            if status.error != 0 {
                return Next::Abort(CloseReason::Error);
            }
            let available = status.unread as usize + self.held.bytes();
            let memory = self.memory(&status);
            if available != 0 && available < self.need {
                // There may be many of those, for long.
                self.charge.set_all(memory);
            } else {
                self.charge.set(memory);
            }
            if !is_later {
                self.note_unacknowledged(locked, &status, conn);
            }
            if status.sent_all {
                if conn.info.untaken_ms.get() != 0 {
                    conn.info.untaken_ms.set(0);
                }
            } else if !is_later && self.is_untaken(locked, conn) {
                return Next::Abort(CloseReason::Send);
            }
            if self.unsent.len() != 0 {
                let before = self.unsent.len();
                let result = self.unsent.send(locked, &mut cx.scratch.frag);
                let sent = (before - self.unsent.len()) as u64;
                core.count(Counter::Sends);
                core.add(Counter::BytesOut, sent);
                conn.info.bytes_out.add(sent);
                if sent != 0 {
                    conn.info.active_ms.set(clock::coarse_ms());
                }
                match result {
                    Ok(()) => continue,
                    Err(error) if error == EAGAIN => return self.blocked(&status, conn, core),
                    Err(_) => return Next::Abort(CloseReason::Error),
                }
            }
            if self.is_closing {
                return Next::Finish(CloseReason::Service);
            }
            if available < self.need {
                if status.receive_shutdown {
                    return Next::Finish(CloseReason::Peer);
                }
                if available > self.seen {
                    conn.info.has_received.set(1);
                    conn.info.active_ms.set(clock::coarse_ms());
                }
                self.seen = available;
                if available != 0 && Self::is_overdue(conn) {
                    return Next::Finish(CloseReason::Request);
                }
                // The rest of the request may not fit into the receive buffer.
                if !status.crowded || status.unread == 0 {
                    return Next::Wait;
                }
                match self.hold(locked, conn, cx) {
                    Ok(()) => continue,
                    Err(next) => return next,
                }
            }
            if cx.is_softirq && status.unread > INLINE_BYTES {
                return Next::Again;
            }
            // Below the limit, one call every now and then gives up what is there already.
            if self.charge.must_wait() && (is_later || conn.shared.pool.memory.is_exceeded()) {
                // It is not the peer that is slow.
                conn.info.request_ms.set(0);
                return self.wait_for_memory(conn, core);
            }
            if status.room == 0 {
                if locked.want_room() {
                    continue;
                }
                // Nor was it with this request.
                conn.info.request_ms.set(0);
                return self.blocked(&status, conn, core);
            }
            if cx.requests_left == 0 || bytes_left == 0 {
                core.count(Counter::BudgetEnds);
                return Next::Again;
            }
            let consumed = match self.serve_once(locked, &status, available, conn, cx) {
                Ok(consumed) => consumed,
                Err(next) => return next,
            };
            bytes_left = bytes_left.saturating_sub(consumed);
            is_later = true;
            let is_pending = self.unsent.len() != 0 || self.is_closing;
            if cx.is_softirq && (is_pending || self.is_deferred) {
                return Next::Again;
            }
            // What comes while the lock is held announces itself.
            if consumed == available && !status.receive_shutdown && !is_pending {
                if self.charge.bytes() != 0 {
                    let status = locked.status(buffer_bytes);
                    self.charge.set(status.memory as usize);
                }
                return Next::Wait;
            }
        }
    }

    /// Calls the service with what is there, and sends its replies. Returns how many bytes it has consumed.
    fn serve_once(
        &mut self,
        locked: &mut Locked,
        status: &Status,
        available: usize,
        conn: &Conn,
        cx: &mut Cx<'_>,
    ) -> Result<usize, Next> {
        let core = conn.shared.stats.core(cx.slot);
        let scratch = &mut *cx.scratch;
        scratch.outgoing.clear();
        let mut stream = Stream {
            received: Received::new(
                locked.received(self.held.packets(), status.unread),
                &mut scratch.view,
                cx.slot,
            ),
            replies: Replies::new(
                &mut scratch.outgoing,
                status.room as usize,
                cx.requests_left,
            ),
            may_sleep: cx.may_sleep,
            peer: conn
                .info
                .peer
                .as_ref()
                .ok_or(Next::Abort(CloseReason::Error))?,
        };
        let progress = self.service.stream(&mut stream);
        let (consumed, requests) = (stream.received.consumed(), stream.replies.requests());
        let progress = progress.map_err(|_| Next::Abort(CloseReason::Service))?;

        let of_queue = consumed - self.held.consume(consumed);
        if of_queue != 0 {
            locked.read_done(of_queue);
        }
        cx.requests_left = cx.requests_left.saturating_sub(requests.max(1));
        core.add(Counter::BytesIn, consumed as u64);
        core.add(Counter::Requests, requests);
        conn.info.bytes_in.add(consumed as u64);
        conn.info.requests.add(requests);
        conn.info.active_ms.set(clock::coarse_ms());
        if consumed != 0 {
            conn.info.request_ms.set(0);
        }

        let replied = scratch.outgoing.len();
        if replied != 0 {
            let calls = scratch
                .outgoing
                .send(locked, &mut scratch.frag, &mut self.unsent, cx.flags)
                .map_err(|error| {
                    if error == ENOMEM {
                        Next::Abort(CloseReason::Memory)
                    } else {
                        Next::Abort(CloseReason::Error)
                    }
                })?;
            let sent = replied.saturating_sub(self.unsent.len()) as u64;
            core.add(Counter::Sends, calls);
            core.add(Counter::Replies, requests);
            core.add(Counter::BytesOut, sent);
            conn.info.bytes_out.add(sent);
        }
        match progress {
            // Nothing was done with what is there, so the service needs more, whatever it says.
            Progress::Need(need) if consumed == 0 && replied == 0 => {
                self.need = need.max(available.saturating_add(1));
            }
            Progress::Need(need) => self.need = need.max(1),
            Progress::Defer if cx.is_softirq => {
                self.is_deferred = true;
                self.need = 1;
            }
            Progress::Defer if consumed != 0 => self.need = 1,
            Progress::Defer => {
                kernel::pr_warn_once!("a service defers in a worker what is there to be served\n");
                return Err(Next::Abort(CloseReason::Service));
            }
            Progress::Close => self.is_closing = true,
        }
        Ok(consumed)
    }

    /// Notes when a request was begun that is not complete, and returns whether that is too long ago.
    fn is_overdue(conn: &Conn) -> bool {
        let now = clock::coarse_ms();
        let begun = conn.info.request_ms.get();
        if begun == 0 {
            conn.info.request_ms.set(now);
            return false;
        }
        let limit = conn.shared.params.request_timeout_ms.get();
        limit != 0 && now.saturating_sub(begun) >= limit
    }

    /// Notes since when the peer acknowledges nothing, and returns whether that is for too long. Not all is acknowledged.
    fn is_untaken(&mut self, locked: &Locked, conn: &Conn) -> bool {
        let now = clock::coarse_ms();
        let acknowledged = locked.acknowledged();
        let since = conn.info.untaken_ms.get();
        if since == 0 || acknowledged != self.acknowledged {
            self.acknowledged = acknowledged;
            conn.info.untaken_ms.set(now);
            return false;
        }
        let limit = conn.shared.params.send_timeout_ms.get();
        limit != 0 && now.saturating_sub(since) >= limit
    }

    /// Notes since when something that was sent is not acknowledged. That stays until all is that was sent up to then, so some bytes
    /// now and then change nothing.
    fn note_unacknowledged(&mut self, locked: &Locked, status: &Status, conn: &Conn) {
        let since = &conn.info.unacknowledged_ms;
        if status.sent_all {
            if since.get() != 0 {
                since.set(0);
            }
            return;
        }
        // Sequence numbers wrap around.
        let left = self.written.wrapping_sub(locked.acknowledged());
        if since.get() == 0 || left == 0 || left > u32::MAX / 2 {
            self.written = locked.written();
            // Nothing was sent after that.
            since.set(conn.info.active_ms.get());
        }
    }

    /// Returns how much memory the connection takes.
    fn memory(&self, status: &Status) -> usize {
        status.memory as usize + self.unsent.len() + self.held.memory()
    }

    /// The socket has no room for replies.
    fn blocked(&mut self, status: &Status, conn: &Conn, core: &Core) -> Next {
        // Without bytes under way it is not the peer that is slow, but memory that is short.
        if status.sent_all {
            return Next::Later;
        }
        self.is_blocked = true;
        core.count(Counter::SendBlocked);
        if let Some(peer) = conn.info.peer {
            trace::send_blocked(conn.shared.name, peer, self.unsent.len() as u64);
        }
        Next::Wait
    }

    /// Nothing more is read until less memory is held in all.
    fn wait_for_memory(&self, conn: &Conn, core: &Core) -> Next {
        core.count(Counter::MemoryStops);
        trace::limit_hit(
            conn.shared.name,
            c"memory_bytes",
            self.charge.bytes() as u64,
        );
        Next::Later
    }

    /// Takes what is there of a large request out of the receive queue, so that the rest can come.
    fn hold(&mut self, locked: &mut Locked, conn: &Conn, cx: &mut Cx<'_>) -> Result<(), Next> {
        if cx.is_softirq {
            return Err(Next::Again);
        }
        let limit = conn.shared.params.conn_bytes.get();
        if self.need as u64 > limit || self.charge.bytes() as u64 > limit {
            trace::limit_hit(conn.shared.name, c"conn_bytes", self.need as u64);
            return Err(Next::Abort(CloseReason::Memory));
        }
        if self.charge.must_wait() {
            return Err(self.wait_for_memory(conn, conn.shared.stats.core(cx.slot)));
        }
        self.held.take(locked).map_err(|_| Next::Later)
    }

    /// Lets others know how the turn has left the connection.
    fn publish(&mut self, conn: &Conn, cpu: Cpu) {
        let info = &conn.info;
        let unsent = self.unsent.len();
        let now = Published {
            cpu,
            memory: self.charge.bytes(),
            unsent,
            phase: if self.is_blocked {
                Info::BLOCKED
            } else {
                Info::OPEN
            },
        };
        // It is the same after most turns.
        if now != self.published {
            if now.memory > self.published.memory {
                conn.shared.pool.sweeper.grown();
            }
            info.cpu.set(u64::from(cpu.0));
            info.memory.set(now.memory as u64);
            info.unsent.set(now.unsent as u64);
            info.phase.set(now.phase);
            self.published = now;
        }
    }
}
