// SPDX-License-Identifier: GPL-2.0

//! The code under test.

#[path = "../../../rust/ksf/sys/list.rs"]
pub(crate) mod list;
#[path = "../../../rust/ksf/sys/turns.rs"]
pub(crate) mod turns;
