// SPDX-License-Identifier: GPL-2.0

//! Statistics: pure functions and small types, without input or output, and the same for the same seed.

pub mod bootstrap;
pub mod compare;
pub mod objective;
pub mod order;
pub mod pooled;
pub mod search;
pub mod steady;
pub mod until_ci;
