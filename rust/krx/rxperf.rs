// SPDX-License-Identifier: GPL-2.0

//! The service of rxperf, as `rx` has it, with storage of the kernel.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use rx::{
    rxperf::Call,
    CallCounters,
    Identity,
    Outcome,
    Service,
    Verdict, //
};
use wire::rx::AbortCode;

use crate::{
    params,
    storage::{
        self,
        Memory,
        Payload,
        Places,
        Quota, //
    }, //
};

/// How many bytes of a request are looked at in one piece.
const PIECE_BYTES: usize = 256;

/// The service on one core.
pub(crate) struct Rxperf {
    receiving: Arc<Quota>,
    sending: Arc<Quota>,
}

impl Rxperf {
    /// Creates it.
    ///
    /// Process context.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            receiving: Quota::new()?,
            sending: Quota::new()?,
        })
    }
}

impl Service for Rxperf {
    type Storage = Memory;
    type Call = Call;

    fn unread(&mut self) -> Option<Places<Option<Payload>>> {
        storage::unread(&self.receiving, params::MAX_RECEIVING.get())
    }

    fn unacked(&mut self, packets: u64) -> Option<Places<rx::Sent>> {
        storage::unacked(&self.sending, params::MAX_SENDING.get(), packets)
    }

    fn begin(&mut self, _identity: Identity) -> Result<Call, AbortCode> {
        Ok(Call::new())
    }

    fn request(&mut self, call: &mut Call, part: Payload, is_last: bool) -> Verdict {
        let mut buffer = [0; PIECE_BYTES];
        match part.read(&mut buffer, |bytes| call.push(bytes)) {
            Err(code) => Verdict::Abort(code),
            Ok(()) if is_last => call.finish(),
            Ok(()) => Verdict::Wait,
        }
    }

    fn end(&mut self, _call: Call, _outcome: Outcome, _counters: &CallCounters) {}
}
