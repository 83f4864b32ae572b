// SPDX-License-Identifier: GPL-2.0

//! Where the decisions of a history come from: from a seed, or from the bytes of a fuzzer.

/// Decides.
pub(crate) trait Choices {
    /// Any number.
    fn word(&mut self) -> u32;

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: u32) -> u32;

    /// Whether there is more to decide.
    fn goes_on(&mut self) -> bool;

    /// One of these.
    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u32) as usize]
    }
}

/// From a seed, for some rounds.
pub(crate) struct Seeded {
    random: fastrand::Rng,
    rounds: u32,
}

impl Seeded {
    pub(crate) fn new(seed: u64, rounds: u32) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            rounds,
        }
    }
}

impl Choices for Seeded {
    fn word(&mut self) -> u32 {
        self.random.u32(..)
    }

    fn below(&mut self, end: u32) -> u32 {
        self.random.u32(..end)
    }

    fn goes_on(&mut self) -> bool {
        self.rounds = self.rounds.saturating_sub(1);
        self.rounds > 0
    }
}
