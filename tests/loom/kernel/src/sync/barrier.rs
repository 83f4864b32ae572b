// SPDX-License-Identifier: GPL-2.0

//! Barriers.

use loom::sync::atomic::{
    fence,
    Ordering, //
};

/// A full memory barrier.
pub fn smp_mb() {
    fence(Ordering::SeqCst);
}
