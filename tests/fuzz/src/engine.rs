// SPDX-License-Identifier: GPL-2.0

//! Packets that are nearly right, an application and time, in any order: the Rx engine survives them, sends no storm, tells the
//! end of each call once, and holds nothing when nobody speaks any more.

#![no_main]
#![allow(dead_code, reason = "what only the simulator uses")]

#[path = "../../../rust/rx/tests/engine/choices.rs"]
mod choices;
#[path = "../../../rust/rx/tests/engine/endpoint.rs"]
mod endpoint;
#[path = "../../../rust/rx/tests/engine/ledger.rs"]
mod ledger;
#[path = "../../../rust/rx/tests/engine/link.rs"]
mod link;
#[path = "../../../rust/rx/tests/engine/packet.rs"]
mod packet;
#[path = "../../../rust/rx/tests/engine/plan.rs"]
mod plan;
#[path = "../../../rust/rx/tests/engine/storage.rs"]
mod storage;
#[path = "../../../rust/rx/tests/engine/victim.rs"]
mod victim;
#[path = "../../../rust/rx/tests/engine/watch.rs"]
mod watch;

use choices::Choices;
use watch::Side;

/// The fuzzer's bytes, and zeros when there are no more.
struct Bytes<'a>(&'a [u8]);

impl Choices for Bytes<'_> {
    fn word(&mut self) -> u32 {
        (0..4).fold(0, |word, _| (word << 8) | self.below(256))
    }

    fn below(&mut self, end: u32) -> u32 {
        if end > 256 {
            return self.word() % end;
        }
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        u32::from(*byte) % end
    }

    fn goes_on(&mut self) -> bool {
        !self.0.is_empty()
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let choices = &mut Bytes(rest);
    match kind % 3 {
        0 => victim::survive(Side::Server, choices),
        1 => victim::survive(Side::Client, choices),
        _ => victim::serve_beside(choices),
    }
});
