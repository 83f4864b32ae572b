// SPDX-License-Identifier: GPL-2.0

//! Randomness.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use super::bindings;

/// Returns a number that nobody can foresee.
///
/// Any context.
pub fn random() -> u64 {
    // SAFETY: It may be called in any context.
    unsafe { bindings::get_random_u64() }
}
