// SPDX-License-Identifier: GPL-2.0

//! Ending a measurement early, with all that was measured so far.

use std::{
    io,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        Arc,
    },
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// Whether somebody wants this process to come to its end. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// One that is raised by SIGINT and SIGTERM. After that, these signals end the process at once, as they usually do.
    ///
    /// # Errors
    ///
    /// The system takes no handler.
    pub fn by_signals() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag not yet set.
            flag::register_conditional_default(signal, Arc::clone(&interrupt.0))?;
            flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        Ok(interrupt)
    }

    /// Has everyone who looks at it end.
    pub fn raise(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether it was raised.
    #[inline]
    pub fn is_raised(&self) -> bool {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_clone_is_told() {
        let interrupt = Interrupt::default();
        let other = interrupt.clone();
        assert!(!other.is_raised());
        interrupt.raise();
        assert!(other.is_raised());
    }

    #[test]
    fn a_signal_raises_it() {
        let interrupt = Interrupt::by_signals().unwrap();
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(interrupt.is_raised());
    }
}
