// SPDX-License-Identifier: GPL-2.0

//! ONC RPC version 2, RFC 5531: the messages, and who says to be who.
//!
//! A message is a datagram, or a [record](crate::record) of a stream. What follows the header of a call, its arguments, and
//! that of a successful reply, its results, are the program's matter.

mod auth;
mod call;
mod reply;
pub mod server;

pub use auth::{
    AuthStat,
    AuthSys,
    AuthSysView,
    Credential,
    Flavor,
    Groups,
    OpaqueAuth, //
};
pub use call::{
    Call,
    CallError,
    CallView, //
};
pub use reply::{
    AcceptStatus,
    Denial,
    Reply,
    ReplyBody,
    ReplyError,
    ReplyView, //
};

/// The version of the protocol.
pub const VERSION: u32 = 2;

/// The procedure that each program has, which takes and returns nothing.
pub const NULL: u32 = 0;

/// The most bytes that the body of a credential or a verifier has.
pub const MAX_AUTH_BYTES: u32 = 400;

/// The type of a message that calls.
const CALL: u32 = 0;

/// The type of a message that replies.
const REPLY: u32 = 1;
