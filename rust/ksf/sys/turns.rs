// SPDX-License-Identifier: GPL-2.0

//! Exclusive turns without a lock.
//!
//! To have something done to a value, a context calls [`Turns::wake()`]. If that moved the value from idle to queued, the
//! caller has to put it on a queue. Whoever takes it off the queue calls [`Turns::begin()`] and has the value to itself
//! until the turn ends.

use core::{
    cell::UnsafeCell,
    ops::{
        Deref,
        DerefMut, //
    }, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed, //
    }, //
};

/// Nobody has anything to do.
const IDLE: u32 = 0;
/// On a worker's list.
const QUEUED: u32 = 1;
/// Someone has the turn.
const RUNNING: u32 = 2;
/// Someone has the turn, and was asked for another one since it began.
const RUNNING_WOKEN: u32 = 3;

/// A value of which one context at a time has the turn.
///
/// # Invariants
///
/// There is at most one [`Turn`], and only while `state` is [`RUNNING`] or [`RUNNING_WOKEN`].
pub(crate) struct Turns<T> {
    state: Atomic<u32>,
    value: UnsafeCell<T>,
}

// SAFETY: Sending it sends the value.
unsafe impl<T: Send> Send for Turns<T> {}

// SAFETY: Only the one [`Turn`] reaches the value, so sharing it does no more than send the value from turn to turn.
unsafe impl<T: Send> Sync for Turns<T> {}

impl<T> Turns<T> {
    /// Creates an idle value.
    pub(crate) fn new(value: T) -> Self {
        // INVARIANT: There is no turn yet.
        Self {
            state: Atomic::new(IDLE),
            value: UnsafeCell::new(value),
        }
    }

    /// Asks for a turn that begins after this call. Returns whether the caller has to queue the value.
    ///
    /// Any context.
    #[must_use]
    pub(crate) fn wake(&self) -> bool {
        let mut state = self.state.load(Relaxed);
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => RUNNING_WOKEN,
                // Even then the caller's earlier writes must be visible to the turn to come.
                _ => state,
            };
            match self.state.cmpxchg(state, next, Full) {
                Ok(_) => return state == IDLE,
                Err(now) => state = now,
            }
        }
    }

    /// Begins a turn at once, without a queue, or returns [`None`] if the value is not idle.
    ///
    /// Any context.
    pub(crate) fn begin_idle(&self) -> Option<Turn<'_, T>> {
        // INVARIANT: Only one caller can move the state from idle to running.
        // ORDERING: An acquire, to come after the `Full` with which the turn before ended.
        self.state
            .cmpxchg(IDLE, RUNNING, Acquire)
            .is_ok()
            .then_some(Turn { turns: self })
    }

    /// Begins the turn of a value that came off its queue, or returns [`None`] if it is not queued.
    pub(crate) fn begin(&self) -> Option<Turn<'_, T>> {
        // INVARIANT: Only one caller can move the state from queued to running.
        self.state
            .cmpxchg(QUEUED, RUNNING, Acquire)
            .is_ok()
            .then_some(Turn { turns: self })
    }
}

/// A turn, with exclusive access to the value. It has to be given back with [`Turn::end()`]: a value whose turn was dropped
/// has no other one.
pub(crate) struct Turn<'a, T> {
    turns: &'a Turns<T>,
}

impl<T> Turn<'_, T> {
    /// Ends the turn. Returns whether the caller has to queue the value: when it wants `more`, or was woken meanwhile.
    #[must_use]
    pub(crate) fn end(self, more: bool) -> bool {
        let state = &self.turns.state;
        // INVARIANT: The turn is consumed.
        // ORDERING: Full, so that the next turn sees what this one wrote, and what a context wrote that woke this one.
        if !more && state.cmpxchg(RUNNING, IDLE, Full).is_ok() {
            return false;
        }
        state.xchg(QUEUED, Full);
        true
    }
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the invariants of `Turns` this is the only turn.
        unsafe { &*self.turns.value.get() }
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the invariants of `Turns` this is the only turn, and it is borrowed exclusively.
        unsafe { &mut *self.turns.value.get() }
    }
}

#[kunit_tests(ksf_turns)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wake_queues() {
        let turns = Turns::new(());
        assert!(turns.begin().is_none());
        assert!(turns.wake());
        assert!(!turns.wake());
        assert!(turns.begin().is_some());
        assert!(turns.begin().is_none());
    }

    #[test]
    fn a_turn_ends_idle() -> Result {
        let turns = Turns::new(1);
        assert!(turns.wake());
        let mut turn = turns.begin().ok_or(EINVAL)?;
        *turn += 1;
        assert!(!turn.end(false));
        assert!(turns.wake());
        assert_eq!(*turns.begin().ok_or(EINVAL)?, 2);
        Ok(())
    }

    #[test]
    fn a_wake_during_a_turn_asks_for_another() -> Result {
        let turns = Turns::new(());
        assert!(turns.wake());
        let turn = turns.begin().ok_or(EINVAL)?;
        assert!(!turns.wake());
        assert!(!turns.wake());
        assert!(turn.end(false));
        let turn = turns.begin().ok_or(EINVAL)?;
        assert!(!turn.end(false));
        assert!(turns.begin().is_none());
        Ok(())
    }

    #[test]
    fn an_idle_value_needs_no_queue() -> Result {
        let turns = Turns::new(());
        let turn = turns.begin_idle().ok_or(EINVAL)?;
        assert!(turns.begin_idle().is_none());
        assert!(turns.begin().is_none());
        assert!(!turns.wake());
        assert!(turn.end(false));
        assert!(turns.begin_idle().is_none());
        assert!(!turns.begin().ok_or(EINVAL)?.end(false));
        assert!(turns.begin_idle().is_some());
        Ok(())
    }

    #[test]
    fn a_turn_can_ask_for_more() -> Result {
        let turns = Turns::new(());
        assert!(turns.wake());
        assert!(turns.begin().ok_or(EINVAL)?.end(true));
        assert!(!turns.wake());
        assert!(!turns.begin().ok_or(EINVAL)?.end(false));
        Ok(())
    }
}
