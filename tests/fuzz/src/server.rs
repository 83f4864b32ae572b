// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a message to a server: nothing panics, and the answer is the one that is due, however much room there is.

#![no_main]

// It also has messages to begin with, which are found here without it.
#[allow(dead_code)]
#[path = "../../../rust/wire/tests/oracle/calls.rs"]
mod calls;
#[path = "../../../rust/wire/tests/oracle/programs.rs"]
mod programs;
#[path = "../../../rust/wire/tests/oracle/server.rs"]
mod server;

use wire::rpc::server::Answer;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let due = match (calls::Server { has_echo: true }).answer(bytes) {
        calls::Answer::Reply(reply) => Ok(reply),
        calls::Answer::Nothing => Err(Answer::Drop),
        calls::Answer::Close => Err(Answer::Close),
    };
    assert_eq!(server::check(bytes), due);
});
