// SPDX-License-Identifier: GPL-2.0

//! Time.
//!
//! C headers: [`include/linux/sched/clock.h`](srctree/include/linux/sched/clock.h),
//! [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h)

use super::{
    bindings,
    once::Once64, //
};

/// A moment, as a number of ticks: what the processor counts, for that is read in no time. Good for differences on one CPU.
#[derive(Clone, Copy)]
pub(crate) struct Ticks(u64);

impl Ticks {
    /// A moment before all others.
    pub(crate) const ZERO: Self = Self(0);

    /// Returns the current moment.
    ///
    /// Any context.
    #[inline(always)]
    pub(crate) fn now() -> Self {
        if cfg!(ksf_uncounted) {
            return Self::ZERO;
        }
        // SAFETY: It may be called in any context.
        Self(unsafe { bindings::ksf_shim_ticks() })
    }

    /// Returns the ticks from `earlier` to this; 0 if that was later, as it may be on another CPU.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the moment as a number that can be kept in shared memory.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// Undoes [`to_bits()`](Self::to_bits()).
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// How long a tick is: `ns = ticks * MULTIPLIER >> SHIFT`. Set when the module is loaded.
static MULTIPLIER: Once64 = Once64::new(0);
const SHIFT: u32 = 20;

/// Finds out how long a tick is. To be called first.
pub(crate) fn init() {
    // SAFETY: It may be called in any context.
    let per_ms = unsafe { bindings::ksf_shim_ticks_per_ms() }.max(1);
    MULTIPLIER.set((1_000_000 << SHIFT) / per_ms);
}

/// Returns how many ns so many ticks are.
///
/// Any context.
pub(crate) fn ticks_to_ns(ticks: u64) -> u64 {
    // Beyond some minutes, all that is asked is that it is long.
    ticks.min(1 << 40).wrapping_mul(MULTIPLIER.get()) >> SHIFT
}

/// Returns the jiffies since the kernel was started, in ms, as coarse as they are.
///
/// Any context.
pub fn coarse_ms() -> u64 {
    // SAFETY: It is a number that is always there; it is read while others may change it, which on a 64-bit machine is
    // whole.
    let jiffies = unsafe { core::ptr::read_volatile(&raw const bindings::jiffies) };
    (jiffies as u64).wrapping_mul(1000) / u64::from(bindings::CONFIG_HZ)
}

/// Returns the time since the kernel was started, in ns.
///
/// Any context.
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: It may be called in any context.
    unsafe { bindings::ksf_shim_monotonic_ns() }
}
