// SPDX-License-Identifier: GPL-2.0

//! Atomic values.

use super::barrier::smp_mb;
use core::ffi::c_void;
use loom::sync::atomic::{
    AtomicPtr,
    AtomicU32,
    Ordering as LoomOrdering, //
};

pub use Ordering::*;

/// How an operation is ordered with what comes before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Not at all.
    Relaxed,
    /// Its load before all that follows.
    Acquire,
    /// Its store after all that came before.
    Release,
    /// As between two full barriers.
    Full,
}

impl Ordering {
    /// The nearest that loom has for an operation which loads and stores.
    fn to_loom(self) -> LoomOrdering {
        match self {
            Relaxed => LoomOrdering::Relaxed,
            Acquire => LoomOrdering::Acquire,
            Release => LoomOrdering::Release,
            Full => LoomOrdering::SeqCst,
        }
    }

    /// The barrier that a full operation has on each side.
    fn barrier(self) {
        if self == Full {
            smp_mb();
        }
    }
}

/// A type that atomics exist of.
pub trait Value: Copy + PartialEq {
    /// Loom's atomic.
    type Loom;

    /// Creates loom's atomic.
    fn into_loom(self) -> Self::Loom;
    /// Loads.
    fn load(atomic: &Self::Loom, ordering: LoomOrdering) -> Self;
    /// Stores.
    fn store(atomic: &Self::Loom, value: Self, ordering: LoomOrdering);
    /// Exchanges.
    fn swap(atomic: &Self::Loom, value: Self, ordering: LoomOrdering) -> Self;
    /// Exchanges if the value is `old`; if not, that is a relaxed load.
    fn compare_exchange(
        atomic: &Self::Loom,
        old: Self,
        new: Self,
        ordering: LoomOrdering,
    ) -> Result<Self, Self>;
}

/// Implements [`Value`] for a type by an atomic of loom, and the conversions to and from what is in there.
macro_rules! value {
    ($type:ty, $atomic:ty, $to:expr, $from:expr) => {
        impl Value for $type {
            type Loom = $atomic;

            fn into_loom(self) -> $atomic {
                <$atomic>::new($to(self))
            }

            fn load(atomic: &$atomic, ordering: LoomOrdering) -> Self {
                $from(atomic.load(ordering))
            }

            fn store(atomic: &$atomic, value: Self, ordering: LoomOrdering) {
                atomic.store($to(value), ordering);
            }

            fn swap(atomic: &$atomic, value: Self, ordering: LoomOrdering) -> Self {
                $from(atomic.swap($to(value), ordering))
            }

            fn compare_exchange(
                atomic: &$atomic,
                old: Self,
                new: Self,
                ordering: LoomOrdering,
            ) -> Result<Self, Self> {
                atomic
                    .compare_exchange($to(old), $to(new), ordering, LoomOrdering::Relaxed)
                    .map($from)
                    .map_err($from)
            }
        }
    };
}

value!(u32, AtomicU32, |value| value, |value| value);
value!(
    *const c_void,
    AtomicPtr<c_void>,
    <*const c_void>::cast_mut,
    <*mut c_void>::cast_const
);

/// An atomic value.
///
/// To find the orders that are worth trying, loom remembers only who was the last to reach a value. A thread that loads
/// and then exchanges finds itself there, and loom never tries what others may see in between. So each operation begins
/// with an exchange of its own, which orders nothing but is never overlooked, and loom tries all orders of these.
#[derive(Debug)]
pub struct Atomic<T: Value> {
    value: T::Loom,
    order: AtomicU32,
}

impl<T: Value> Atomic<T> {
    /// Creates one.
    pub fn new(value: T) -> Self {
        Self {
            value: value.into_loom(),
            order: AtomicU32::new(0),
        }
    }

    /// Loads, [`Relaxed`] or with [`Acquire`].
    pub fn load(&self, ordering: Ordering) -> T {
        self.begin();
        T::load(&self.value, ordering.to_loom())
    }

    /// Stores, [`Relaxed`] or with [`Release`].
    pub fn store(&self, value: T, ordering: Ordering) {
        self.begin();
        at_once(|| T::store(&self.value, value, ordering.to_loom()));
    }

    /// Exchanges.
    pub fn xchg(&self, value: T, ordering: Ordering) -> T {
        self.begin();
        ordering.barrier();
        let old = at_once(|| T::swap(&self.value, value, ordering.to_loom()));
        ordering.barrier();
        old
    }

    /// Exchanges if the value is `old`. If it is not, that is no more than a relaxed load, whatever the ordering.
    pub fn cmpxchg(&self, old: T, new: T, ordering: Ordering) -> Result<T, T> {
        self.begin();
        // As such a load may, and loom's exchange does not, this finds what is no longer the newest value.
        let now = T::load(&self.value, LoomOrdering::Relaxed);
        if now != old {
            return Err(now);
        }
        ordering.barrier();
        let result = at_once(|| T::compare_exchange(&self.value, old, new, ordering.to_loom()));
        if result.is_ok() {
            ordering.barrier();
        }
        result
    }

    /// Lets loom try all orders of this operation and others on the same value.
    fn begin(&self) {
        self.order.swap(0, LoomOrdering::Relaxed);
    }
}

/// Does an operation whose order was found already.
fn at_once<R>(operation: impl FnOnce() -> R) -> R {
    loom::stop_exploring();
    let result = operation();
    loom::explore();
    result
}
