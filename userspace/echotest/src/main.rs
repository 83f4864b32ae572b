// SPDX-License-Identifier: GPL-2.0

//! Load generator for echo servers, after ksf's tool of the same name.
//!
//! Every byte that comes back is verified; round trips are kept in full, not only as a mean.

mod echo;
mod pattern;

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::app::main::<echo::EchoTool>()
}
