// SPDX-License-Identifier: GPL-2.0

//! The peers, a command each.

pub(crate) mod datagrams;
pub(crate) mod flood;
pub(crate) mod good;
pub(crate) mod half_close;
pub(crate) mod hoard;
pub(crate) mod idle;
pub(crate) mod late;
pub(crate) mod many;
pub(crate) mod never_read;
pub(crate) mod reset;
pub(crate) mod rpc;
pub(crate) mod slow;
