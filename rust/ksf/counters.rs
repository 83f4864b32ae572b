// SPDX-License-Identifier: GPL-2.0

//! What a service counts for itself, in the way of [`stats`](crate::stats): each context of each core has its own numbers.

use crate::{
    stats::Slot,
    sys::once::Once64, //
};
use kernel::prelude::*;

/// How many numbers there are in a line, which no two contexts share.
const LINE_NUMBERS: usize = 16;

/// Numbers of one context.
#[repr(align(128))]
struct Line([Once64; LINE_NUMBERS]);

/// Numbers that a service counts, each known by its index.
///
/// They are added up when somebody reads them. The sum is that of some moment between the beginning and the end of reading.
pub struct Counters {
    lines: KVVec<Line>,
    /// How many lines a context has.
    stride: usize,
}

impl Counters {
    /// Creates `count` numbers that are all 0.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(count: usize) -> Result<Self> {
        let stride = count.div_ceil(LINE_NUMBERS);
        let len = stride.checked_mul(Slot::count()).ok_or(ENOMEM)?;
        let mut lines = KVVec::with_capacity(len, GFP_KERNEL)?;
        for _ in 0..len {
            let line = Line(core::array::from_fn(|_| Once64::new(0)));
            lines.push(line, GFP_KERNEL)?;
        }
        Ok(Self { lines, stride })
    }

    /// Adds one to number `index`, in the context of the call that has [`slot`](crate::Received::slot()). Without a number of
    /// this index, nothing is counted.
    ///
    /// Only during that call.
    #[inline]
    pub fn count(&self, slot: Slot, index: usize) {
        if cfg!(ksf_uncounted) || index / LINE_NUMBERS >= self.stride {
            return;
        }
        let line = slot.index() * self.stride + index / LINE_NUMBERS;
        if let Some(line) = self.lines.get(line) {
            line.0[index % LINE_NUMBERS].add(1);
        }
    }

    /// Returns how often `index` was counted, in all contexts.
    ///
    /// Any context.
    pub fn sum(&self, index: usize) -> u64 {
        if index / LINE_NUMBERS >= self.stride {
            return 0;
        }
        let of_contexts = self.lines.chunks_exact(self.stride);
        of_contexts.fold(0, |sum, lines| {
            sum.wrapping_add(lines[index / LINE_NUMBERS].0[index % LINE_NUMBERS].get())
        })
    }
}

#[kunit_tests(ksf_counters)]
mod tests {
    use super::*;
    use kernel::cpu::CpuId;

    #[test]
    fn numbers_are_added_up_over_contexts() -> Result {
        let counters = Counters::new(LINE_NUMBERS + 1)?;
        let cpu = CpuId::current();
        for slot in [Slot::worker(cpu), Slot::softirq(cpu)] {
            counters.count(slot, 0);
            counters.count(slot, LINE_NUMBERS);
        }
        counters.count(Slot::worker(cpu), LINE_NUMBERS);
        assert_eq!((counters.sum(0), counters.sum(1)), (2, 0));
        assert_eq!(counters.sum(LINE_NUMBERS), 3);
        Ok(())
    }

    #[test]
    fn what_has_no_number_is_not_counted() -> Result {
        let cpu = CpuId::current();
        for counters in [Counters::new(0)?, Counters::new(1)?] {
            counters.count(Slot::worker(cpu), 2 * LINE_NUMBERS);
            assert_eq!((counters.sum(0), counters.sum(2 * LINE_NUMBERS)), (0, 0));
        }
        Ok(())
    }
}
