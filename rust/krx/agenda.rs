// SPDX-License-Identifier: GPL-2.0

//! When connections are to be looked at.

use kernel::prelude::*;
use rx::Instant;

/// Moments and the connections that they belong to, the earliest first: a binary heap.
///
/// A connection that is to be looked at earlier than before is in it twice; who looks knows what is over.
pub(crate) struct Agenda {
    entries: KVVec<(Instant, usize)>,
}

impl Agenda {
    /// Creates an empty one.
    pub(crate) fn new() -> Self {
        Self {
            entries: KVVec::new(),
        }
    }

    /// Returns the earliest moment.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.entries.first().map(|(at, _)| *at)
    }

    /// Adds a moment.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn push(&mut self, at: Instant, connection: usize) -> Result {
        self.entries.push((at, connection), GFP_ATOMIC)?;
        let mut child = self.entries.len() - 1;
        while child != 0 {
            let parent = (child - 1) / 2;
            if self.at(parent) <= self.at(child) {
                break;
            }
            self.entries.swap(parent, child);
            child = parent;
        }
        Ok(())
    }

    /// Takes the earliest moment out, if it is not after `now`, and returns it with its connection.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, usize)> {
        if self.first()? > now {
            return None;
        }
        let last = self.entries.len() - 1;
        self.entries.swap(0, last);
        let first = self.entries.pop();
        let mut parent = 0;
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            let child = if self.at(right) < self.at(left) {
                right
            } else {
                left
            };
            if self.at(child) >= self.at(parent) {
                return first;
            }
            self.entries.swap(parent, child);
            parent = child;
        }
    }

    /// Returns the moment at a place; after all others, if there is none.
    fn at(&self, place: usize) -> Instant {
        let never = Instant::from_micros(u64::MAX);
        self.entries.get(place).map_or(never, |(at, _)| *at)
    }
}

#[kunit_tests(krx_agenda)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_out_in_order() -> Result {
        let mut agenda = Agenda::new();
        let mut number = 1_u64;
        for connection in 0..1000 {
            number = number.wrapping_mul(6364136223846793005).wrapping_add(1);
            agenda.push(Instant::from_micros(number >> 54), connection)?;
        }
        let mut last = Instant::default();
        for _ in 0..1000 {
            assert!(agenda.pop(last).is_none_or(|(at, _)| at == last) || agenda.first().is_none());
            let Some(first) = agenda.first() else {
                break;
            };
            assert!(first >= last);
            last = first;
        }
        while agenda.pop(Instant::from_micros(1 << 54)).is_some() {}
        assert!(agenda.first().is_none());
        Ok(())
    }
}
