// SPDX-License-Identifier: GPL-2.0

//! Load generator for ONC RPC and NFS servers, after ksf's tool of the same name.
//!
//! Every reply is checked, in whatever order and fragments it comes: all but the results of what is not NULL.

mod connection;
mod credential;
mod mismatch;
mod procedure;
mod reply;
mod request;
mod rpcbind;
mod tool;

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::app::main::<tool::RpcTool>()
}
