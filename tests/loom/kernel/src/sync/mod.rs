// SPDX-License-Identifier: GPL-2.0

//! Sharing between contexts.

pub mod atomic;
pub mod barrier;

/// Not loom's: how references are counted is the kernel's affair, and each of loom's counts makes more orders.
pub use std::sync::Arc;
