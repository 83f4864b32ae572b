// SPDX-License-Identifier: GPL-2.0

//! Who gives up memory when it is short.
//!
//! Those do who hold some and get nowhere: whose request is not complete, or who do not take their replies. What counts is for how
//! long, times what all connections of the same peer hold; so a peer with many such connections comes before one with few, whatever each
//! of them holds, and a peer that sends or reads a byte now and then comes no later for that.
//!
//! Connections are looked at twice, without a list of them: first it is found out how far down one has to go to find enough, then all
//! that are above are asked.

use crate::{
    conn::Conn,
    limits::Memory,
    sys::{
        clock,
        global,
        kthread::Current,
        list::Linked, //
    }, //
};
use kernel::prelude::*;

/// How long a connection may get nowhere when memory is short, in ms. A peer far away that reads what it is sent takes no longer.
const PATIENCE_MS: u64 = 1000;

/// How long it may when more is held than may be.
const PATIENCE_AT_LIMIT_MS: u64 = 100;

/// How many ranks there are: two for each power of two.
const RANKS: usize = 128;

/// Asks connections to give up what they hold, until enough of it is free.
///
/// Process context.
pub(crate) fn run(memory: &Memory, thread: &Current) {
    let now = clock::coarse_ms();
    let patience = if memory.is_exceeded() {
        PATIENCE_AT_LIMIT_MS
    } else {
        PATIENCE_MS
    };
    global::with_registry(|registry| {
        let mut candidates = Candidates::new();
        for shared in registry.services() {
            shared.table.visit(thread, |conn| {
                if conn.is_giving_up() {
                    candidates.expect(conn.info.memory.get());
                } else if let Some(candidate) = Candidate::find(&conn, now, patience) {
                    candidates.add(&candidate);
                }
            });
        }
        let Some(mut choice) = candidates.choose(memory.surplus()) else {
            return;
        };
        for shared in registry.services() {
            shared.table.visit(thread, |conn| {
                if conn.is_giving_up() {
                    return;
                }
                if let Some(candidate) = Candidate::find(&conn, now, patience) {
                    if choice.takes(&candidate) {
                        Linked::give_up(conn, candidate.since);
                    }
                }
            });
        }
    });
}

/// A connection that holds something and gets nowhere.
struct Candidate {
    /// The more it costs the others, the higher.
    rank: usize,
    /// What it holds.
    bytes: u64,
    /// Since when it gets nowhere.
    since: u64,
}

impl Candidate {
    /// Looks at a connection.
    fn find(conn: &Conn, now: u64, patience: u64) -> Option<Self> {
        let bytes = conn.info.memory.get();
        let peer = conn.info.used_by_peer.as_ref()?;
        if bytes == 0 {
            return None;
        }
        let since = conn.info.stuck_since();
        let time = now.saturating_sub(since);
        (time >= patience).then(|| Self {
            rank: rank(peer.bytes(), time),
            bytes,
            since,
        })
    }
}

/// The rank of a connection that gets nowhere for `time` ms, of a peer that holds `used` bytes.
fn rank(used: u64, time: u64) -> usize {
    let product = used.saturating_mul(time).max(1);
    let power = product.ilog2();
    // The bit below the highest one.
    let half = (product << (u64::BITS - 1 - power)) >> (u64::BITS - 2) & 1;
    // CAST: Less than 64, and less than 2.
    power as usize * 2 + half as usize
}

/// What connections hold that may be asked, by rank.
struct Candidates {
    bytes: [u64; RANKS],
    /// What those hold who were asked already.
    expected: u64,
}

impl Candidates {
    fn new() -> Self {
        Self {
            bytes: [0; RANKS],
            expected: 0,
        }
    }

    /// So much will be given up anyway.
    fn expect(&mut self, bytes: u64) {
        self.expected = self.expected.saturating_add(bytes);
    }

    fn add(&mut self, candidate: &Candidate) {
        if let Some(bytes) = self.bytes.get_mut(candidate.rank) {
            *bytes = bytes.saturating_add(candidate.bytes);
        }
    }

    /// Chooses those of the highest ranks who hold `surplus` bytes, or all, unless that much is expected already.
    fn choose(&self, surplus: u64) -> Option<Choice> {
        let mut left = surplus.saturating_sub(self.expected);
        if left == 0 {
            return None;
        }
        for (rank, bytes) in self.bytes.iter().enumerate().rev() {
            if *bytes >= left {
                return Some(Choice { rank, left });
            }
            left -= bytes;
        }
        Some(Choice { rank: 0, left })
    }
}

/// Who is asked.
struct Choice {
    /// The lowest rank.
    rank: usize,
    /// How many bytes those of the lowest rank have still to give up.
    left: u64,
}

impl Choice {
    /// Returns whether a candidate is asked, which counts then.
    fn takes(&mut self, candidate: &Candidate) -> bool {
        if candidate.rank != self.rank {
            return candidate.rank > self.rank;
        }
        let takes = self.left != 0;
        self.left = self.left.saturating_sub(candidate.bytes);
        takes
    }
}

#[kunit_tests(ksf_reclaim)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    fn candidate(rank: usize, bytes: u64) -> Candidate {
        Candidate {
            rank,
            bytes,
            since: 1,
        }
    }

    #[test]
    fn ranks_are_half_powers_of_two() {
        for (product, expected) in [
            (0, 0),
            (1, 0),
            (2, 2),
            (3, 3),
            (4, 4),
            (5, 4),
            (6, 5),
            (7, 5),
            (8, 6),
        ] {
            assert_eq!(rank(product, 1), expected);
            assert_eq!(rank(1, product), expected);
        }
        assert_eq!(rank(u64::MAX, u64::MAX), RANKS - 1);
        assert_eq!(rank(1 << 63, 1), RANKS - 2);
    }

    #[test]
    fn a_peer_with_many_connections_comes_before_one_with_few() {
        // A thousand that have just come, and one that is slow.
        assert!(rank(1024 * 14 * KIB, 100) > rank(14 * KIB, 9000));
        // Of as many peers as connections, the one that waits longest.
        assert!(rank(14 * KIB, 1000) > rank(14 * KIB, 500));
        // Or who holds most.
        assert!(rank(MIB, 1000) > rank(14 * KIB, 1000));
    }

    #[test]
    fn the_highest_ranks_are_chosen_until_it_is_enough() -> Result {
        let mut candidates = Candidates::new();
        for (rank, bytes) in [(3, 100), (7, 100), (7, 100), (9, 100)] {
            candidates.add(&candidate(rank, bytes));
        }
        let mut choice = candidates.choose(150).ok_or(EINVAL)?;
        assert!(!choice.takes(&candidate(3, 100)));
        assert!(choice.takes(&candidate(7, 100)));
        assert!(!choice.takes(&candidate(7, 100)));
        assert!(choice.takes(&candidate(9, 100)));
        Ok(())
    }

    #[test]
    fn when_all_are_not_enough_all_are_chosen() -> Result {
        let mut candidates = Candidates::new();
        candidates.add(&candidate(0, 100));
        candidates.add(&candidate(RANKS - 1, 100));
        let mut choice = candidates.choose(1000).ok_or(EINVAL)?;
        for rank in [0, 0, 1, RANKS - 1] {
            assert!(choice.takes(&candidate(rank, 100)));
        }
        Ok(())
    }

    #[test]
    fn what_was_asked_for_already_counts() {
        let mut candidates = Candidates::new();
        candidates.add(&candidate(5, 100));
        candidates.expect(60);
        assert!(candidates.choose(60).is_none());
        assert!(candidates.choose(0).is_none());
        assert_eq!(candidates.choose(61).map(|choice| choice.left), Some(1));
    }
}
