// SPDX-License-Identifier: GPL-2.0

//! Time, as it is handed in.

/// A moment, in µs of a clock that never goes back. When its zero was is of no matter.
///
/// Spans of time are plain numbers of µs, with `_us` in their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The moment `us` after the zero of the clock.
    #[inline]
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// How long after the zero of the clock this is, in µs.
    #[inline]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The moment `us` later.
    #[inline]
    pub const fn after_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// How many µs ago `earlier` was, seen from this moment; 0 if it is not earlier.
    #[inline]
    pub const fn us_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Returns the earlier of two moments that may never come.
#[inline]
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
