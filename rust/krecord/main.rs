// SPDX-License-Identifier: GPL-2.0

//! krecord: answers each record with its length, the sum of its bytes, and how many records all connections have sent.
//!
//! A record is a length of 4 bytes, the highest first, and as many bytes. An answer is three numbers of 4 bytes. It is there to
//! test what kecho and kupper do not use: requests larger than a receive buffer, work that only a worker may do, and state
//! that all connections share.

use core::net::SocketAddr;
use kernel::prelude::*;
use ksf::{
    Progress,
    Service,
    SoftirqLock,
    Stream,
    Svc, //
};

module! {
    type: Krecord,
    name: "krecord",
    authors: ["The ksf authors"],
    description: "Service in the kernel that tests large records",
    license: "GPL",
}

ksf::service_params! {
    static PARAMS: port = 60009;
}

ksf::module_param! {
    /// The longest record.
    static MAX_RECORD: max_record = 1048576 in 1..=16777216, mode 0o644, "bytes of a record at most";
}

ksf::module_param! {
    /// From how many bytes on a record is summed by a worker.
    static DEFER: defer = 8192 in 0..=16777216, mode 0o644, "bytes of a record from which on a worker sums it";
}

/// How many bytes are summed at a time.
const STEP: usize = 1024;

struct Records {
    total: SoftirqLock<u32>,
}

impl Service for Records {
    type Conn = ();
    type Core = ();

    fn open(&self, _peer: SocketAddr) -> Result {
        Ok(())
    }

    fn stream(&self, _conn: &mut (), stream: &mut Stream<'_>) -> Result<Progress> {
        while stream.may_go_on() {
            let Some(prefix) = stream.peek_array::<4>() else {
                return Ok(Progress::Need(4));
            };
            let len = u32::from_be_bytes(prefix);
            if u64::from(len) > MAX_RECORD.get() {
                return Err(EMSGSIZE);
            }
            let whole = (len as usize).saturating_add(prefix.len());
            if stream.available() < whole {
                return Ok(Progress::Need(whole));
            }
            if u64::from(len) >= DEFER.get() && !stream.may_sleep() {
                return Ok(Progress::Defer);
            }
            stream.consume(prefix.len());
            let mut left = len as usize;
            let mut sum = 0u32;
            while left != 0 {
                let step = left.min(STEP);
                let bytes = stream.view(step).ok_or(EIO)?;
                sum = bytes
                    .iter()
                    .fold(sum, |sum, byte| sum.wrapping_add(u32::from(*byte)));
                stream.consume(step);
                left -= step;
            }
            let total = self.total.with(|total| {
                *total = total.wrapping_add(1);
                *total
            });
            for number in [len, sum, total] {
                stream.reply(&number.to_be_bytes())?;
            }
            stream.count_request();
        }
        Ok(Progress::Need(1))
    }
}

struct Krecord {
    _svc: Svc,
}

impl kernel::Module for Krecord {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let records = Records {
            total: SoftirqLock::new(0)?,
        };
        let svc = Svc::start(c"krecord", records, &PARAMS)?;
        pr_info!("serving {} on {:?}\n", PARAMS.proto.word(), svc.address());
        Ok(Krecord { _svc: svc })
    }
}
