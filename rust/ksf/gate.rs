// SPDX-License-Identifier: GPL-2.0

//! Counting who is inside of a service, so that its end can wait for them.

use crate::sys::completion::Event;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    },
    time::Msecs, //
};

/// What those who are inside are counted by.
pub(crate) struct Gate {
    inner: Arc<Inside>,
    closed: Atomic<bool>,
}

#[pin_data]
struct Inside {
    /// Guards, and one until the gate is closed.
    count: Atomic<i32>,
    #[pin]
    empty: Event,
}

impl Inside {
    fn leave(&self) {
        if self.count.fetch_sub(1, Full) == 1 {
            self.empty.happen();
        }
    }
}

/// Someone who is inside.
pub(crate) struct GateGuard {
    inner: Arc<Inside>,
}

impl Gate {
    /// Creates an open gate with nobody inside.
    pub(crate) fn new() -> Result<Self> {
        let inner = Arc::pin_init(
            pin_init!(Inside {
                count: Atomic::new(1),
                empty <- Event::new(),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self {
            inner,
            closed: Atomic::new(false),
        })
    }

    /// Enters, until the guard is dropped. To be called only by who is inside already, or before [`Gate::close()`].
    pub(crate) fn enter(&self) -> GateGuard {
        self.inner.count.add(1, Relaxed);
        GateGuard {
            inner: self.inner.clone(),
        }
    }

    /// Lets nobody in any more, and waits until all have left, but not longer than `limit`. Returns whether they have.
    ///
    /// Process context.
    pub(crate) fn close(&self, limit: Msecs) -> bool {
        if !self.closed.xchg(true, Full) {
            self.inner.leave();
        }
        self.inner.empty.wait_for(limit)
    }

    /// Waits until all have left, after [`close()`](Self::close()).
    ///
    /// Process context.
    pub(crate) fn wait(&self) {
        self.inner.empty.wait();
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        self.inner.leave();
    }
}

#[kunit_tests(ksf_gate)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_waits_for_who_is_inside() -> Result {
        let gate = Gate::new()?;
        let one = gate.enter();
        let two = gate.enter();
        assert!(!gate.close(1));
        drop(one);
        assert!(!gate.close(1));
        drop(two);
        assert!(gate.close(1));
        gate.wait();
        Ok(())
    }

    #[test]
    fn an_empty_gate_closes_at_once() -> Result {
        assert!(Gate::new()?.close(0));
        Ok(())
    }
}
