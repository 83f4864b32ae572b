// SPDX-License-Identifier: GPL-2.0

//! A UDP socket, of which each core has one.

use crate::{
    conn::{
        Conn,
        Next, //
    },
    datagram::{
        Datagram,
        Reply, //
    },
    pool::Cx,
    received::Received,
    service::Verdict,
    stats::{
        Core,
        Counter, //
    },
    svc::{
        AnyPort,
        Shared, //
    },
    sys::{
        cursor::Cursor,
        errno,
        list::Linked,
        skb::Skb,
        softirq,
        udp::{
            self,
            Arrived,
            Attached,
            Flow, //
        }, //
    }, //
};
use kernel::prelude::*;

/// How many datagrams that were deferred to a worker may wait for it.
const DEFERRED: usize = 64;

/// How many datagrams a worker serves while it keeps softirqs off.
const BATCH: usize = 16;

/// A UDP socket.
pub(crate) struct Port {
    socket: Attached<Linked<Conn>>,
    service: KBox<dyn AnyPort>,
    deferred: KVec<Skb>,
}

impl Port {
    /// Creates the port of an attached socket.
    ///
    /// Process context.
    pub(crate) fn new(socket: Attached<Linked<Conn>>, service: KBox<dyn AnyPort>) -> Result<Self> {
        Ok(Self {
            socket,
            service,
            deferred: KVec::with_capacity(DEFERRED, GFP_KERNEL)?,
        })
    }

    /// Serves what is queued.
    ///
    /// Process context, in the worker.
    pub(crate) fn turn(&mut self, shared: &Shared, cx: &mut Cx<'_>) -> Next {
        let core = shared.stats.core(cx.slot);
        // Those that were deferred came first.
        while let Some(skb) = first(&mut self.deferred) {
            self.serve(skb, shared, cx);
        }
        while cx.requests_left != 0 && self.deferred.is_empty() {
            // One interruption for all the replies of a batch, unless the service may sleep.
            let off = (!shared.may_sleep).then(softirq::disable);
            cx.may_sleep = off.is_none();
            let mut is_empty = false;
            for _ in 0..BATCH {
                let Some(skb) = self.socket.receive() else {
                    is_empty = true;
                    break;
                };
                self.serve(skb, shared, cx);
            }
            drop(off);
            cx.may_sleep = true;
            if is_empty && self.deferred.is_empty() {
                return Next::Wait;
            }
        }
        if !self.deferred.is_empty() {
            return Next::Again;
        }
        core.count(Counter::BudgetEnds);
        Next::Again
    }

    /// Serves a datagram that has arrived, which is taken then, unless others wait already.
    ///
    /// Softirq.
    pub(crate) fn turn_inline(
        &mut self,
        arrived: &mut Option<Arrived>,
        shared: &Shared,
        cx: &mut Cx<'_>,
    ) -> Next {
        if !self.deferred.is_empty() || !self.socket.is_empty() {
            return Next::Again;
        }
        match arrived.take().map(Arrived::take) {
            Some(Some(skb)) => self.serve(skb, shared, cx),
            _ => {
                let core = shared.stats.core(cx.slot);
                core.count(Counter::DatagramsIn);
                core.count(Counter::DroppedSize);
            }
        }
        if self.deferred.is_empty() {
            Next::Wait
        } else {
            Next::Again
        }
    }

    /// Serves a datagram.
    fn serve(&mut self, skb: Skb, shared: &Shared, cx: &mut Cx<'_>) {
        let core = shared.stats.core(cx.slot);
        let flow = Flow::of(&skb);
        let len = skb.len();
        let scratch = &mut *cx.scratch;
        scratch.outgoing.clear();
        let mut datagram = Datagram {
            received: Received::new(Cursor::of_packet(&skb), &mut scratch.view, cx.slot),
            outgoing: &mut scratch.outgoing,
            reply: Reply::Nothing,
            may_sleep: cx.may_sleep,
            peer: flow.peer(),
            local: flow.local(),
        };
        let verdict = self.service.datagram(&mut datagram);
        let reply = datagram.reply;
        cx.requests_left = cx.requests_left.saturating_sub(1);
        if let (Ok(Verdict::Defer), false) = (verdict, cx.may_sleep) {
            if self.deferred.push_within_capacity(skb).is_err() {
                core.count(Counter::DatagramsIn);
                core.count(Counter::DroppedMemory);
            }
            return;
        }
        core.count(Counter::DatagramsIn);
        core.add(Counter::BytesIn, len as u64);
        match verdict {
            Ok(Verdict::Done) => core.count(Counter::Requests),
            Ok(Verdict::RefuseSource) => return core.count(Counter::DroppedSource),
            // It may sleep already: there is nothing to defer it to.
            Ok(Verdict::Defer) | Err(_) => return core.count(Counter::DroppedService),
        }
        match reply {
            Reply::Nothing => skb.consume(),
            Reply::SendBack if udp::is_reusable(&skb) => self.send(skb, &flow, core),
            Reply::SendBack => {
                let cursor = Cursor::of_packet(&skb);
                cx.scratch.outgoing.clear();
                cx.scratch.outgoing.copy(len, |buffer| cursor.copy(buffer));
                skb.consume();
                self.send_copy(cx.scratch.outgoing.copied(), &flow, core, cx.may_sleep);
            }
            Reply::Written => {
                skb.consume();
                self.send_copy(cx.scratch.outgoing.copied(), &flow, core, cx.may_sleep);
            }
        }
    }

    fn send_copy(&self, bytes: &[u8], flow: &Flow, core: &Core, may_sleep: bool) {
        let skb = Skb::new_datagram(bytes.len(), may_sleep)
            .and_then(|mut skb| skb.write(0, bytes).map(|()| skb));
        match skb {
            Ok(skb) => self.send(skb, flow, core),
            Err(_) => core.count(Counter::DroppedMemory),
        }
    }

    fn send(&self, skb: Skb, flow: &Flow, core: &Core) {
        let len = skb.len() as u64;
        let off = softirq::disable();
        let result = self.socket.reply(skb, flow, &off);
        drop(off);
        core.count(Counter::Sends);
        match result {
            Ok(()) => {
                core.count(Counter::DatagramsOut);
                core.count(Counter::Replies);
                core.add(Counter::BytesOut, len);
            }
            Err(error) if error == ENOMEM || error == EAGAIN || error == errno::no_buffers() => {
                core.count(Counter::DroppedMemory);
            }
            Err(_) => core.count(Counter::DroppedRoute),
        }
    }
}

/// Takes the first of some datagrams.
fn first(skbs: &mut KVec<Skb>) -> Option<Skb> {
    if skbs.is_empty() {
        return None;
    }
    skbs.remove(0).ok()
}
