// SPDX-License-Identifier: GPL-2.0

//! Storage for the engine, of which it is counted how much is held.

use std::{cell::Cell, rc::Rc};

/// Counts what the engines hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Rc<Cell<usize>>);

impl Meter {
    /// How many things are held.
    pub(crate) fn held(&self) -> usize {
        self.0.get()
    }

    pub(crate) fn hold<T>(&self, value: T) -> Held<T> {
        self.0.set(self.0.get() + 1);
        Held {
            value,
            meter: self.clone(),
        }
    }
}

/// A thing that is counted for as long as it exists.
#[derive(Debug)]
pub(crate) struct Held<T> {
    pub(crate) value: T,
    meter: Meter,
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.meter.0.set(self.meter.0.get() - 1);
    }
}

/// Places of a window.
impl<T> AsMut<[T]> for Held<Vec<T>> {
    fn as_mut(&mut self) -> &mut [T] {
        &mut self.value
    }
}

impl<T> AsRef<[T]> for Held<Vec<T>> {
    fn as_ref(&self) -> &[T] {
        &self.value
    }
}

/// What the simulated hosts hand in.
#[derive(Debug)]
pub(crate) struct Simulated;

impl rx::Storage for Simulated {
    type Payload = Held<Vec<u8>>;
    type Unread = Held<Vec<Option<Self::Payload>>>;
    type Unacked = Held<Vec<rx::Sent>>;
}
