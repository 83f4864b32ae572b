// SPDX-License-Identifier: GPL-2.0

//! What became of the requests, in numbers that must add up.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What became of the requests of a thread, of a run or of several.
///
/// Every request that was scheduled was sent or skipped, and every one that was sent was answered in time, answered late
/// or lost. Each of these is counted where it happens, and none is computed from the others: so [`Ledger::adds_up`] can
/// tell whether a request went astray in the load generator itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Requests that were due.
    pub scheduled: u64,
    /// Requests that were sent, or at least begun to be.
    pub sent: u64,
    /// Requests that were due and not sent: in open loop because as many as allowed were in flight, or because the client
    /// had not come to them when the run was over; and in both kinds of loop because the run was aborted before.
    pub skipped: u64,
    /// Requests whose reply was right and came in time.
    pub answered: u64,
    /// Requests whose right reply came after they had been given up as lost. They are not among the lost ones.
    pub late: u64,
    /// Requests that have no right reply.
    pub lost: u64,
    /// Replies to requests that had their reply already.
    pub duplicated: u64,
    /// Requests that were answered in time, but after a request that was sent later.
    pub reordered: u64,
    /// Replies that were wrong. The request that such a reply was meant for, if any, is lost.
    pub mismatched: u64,
}

impl Ledger {
    /// Whether every request is accounted for exactly once.
    pub fn adds_up(&self) -> bool {
        self.sent.checked_add(self.skipped) == Some(self.scheduled)
            && self
                .answered
                .checked_add(self.late)
                .and_then(|replied| replied.checked_add(self.lost))
                == Some(self.sent)
    }

    /// Whether every request that was sent has a right reply that came in time, and no reply was wrong.
    pub fn is_clean(&self) -> bool {
        self.adds_up() && self.answered == self.sent && self.mismatched == 0
    }
}

impl AddAssign<&Self> for Ledger {
    fn add_assign(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.sent += other.sent;
        self.skipped += other.skipped;
        self.answered += other.answered;
        self.late += other.late;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.mismatched += other.mismatched;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Ledger = Ledger {
        scheduled: 100,
        sent: 90,
        skipped: 10,
        answered: 80,
        late: 7,
        lost: 3,
        duplicated: 1_000,
        reordered: 50,
        mismatched: 0,
    };

    #[test]
    fn a_ledger_adds_up_if_everything_is_counted_once() {
        assert!(Ledger::default().adds_up());
        assert!(GOOD.adds_up());
        for wrong in [
            Ledger {
                scheduled: 99,
                ..GOOD
            },
            Ledger { sent: 91, ..GOOD },
            Ledger {
                skipped: 11,
                ..GOOD
            },
            Ledger {
                answered: 79,
                ..GOOD
            },
            Ledger { late: 8, ..GOOD },
            Ledger { lost: 2, ..GOOD },
            Ledger {
                lost: u64::MAX,
                ..GOOD
            },
            Ledger {
                skipped: u64::MAX,
                ..GOOD
            },
        ] {
            assert!(!wrong.adds_up(), "{wrong:?}");
        }
    }

    #[test]
    fn it_is_clean_only_if_all_that_was_sent_came_back_in_time() {
        assert!(!GOOD.is_clean());
        let clean = Ledger {
            answered: 90,
            late: 0,
            lost: 0,
            ..GOOD
        };
        assert!(clean.is_clean());
        assert!(!Ledger {
            mismatched: 1,
            ..clean
        }
        .is_clean());
        assert!(!Ledger {
            scheduled: 101,
            ..clean
        }
        .is_clean());
    }

    #[test]
    fn ledgers_add_up_together() {
        let mut sum = GOOD;
        sum += &GOOD;
        assert!(sum.adds_up());
        let doubled = [
            sum.scheduled,
            sum.sent,
            sum.skipped,
            sum.answered,
            sum.late,
            sum.lost,
            sum.duplicated,
            sum.reordered,
        ];
        assert_eq!(doubled, [200, 180, 20, 160, 14, 6, 2_000, 100]);
        sum += &Ledger {
            mismatched: 2,
            ..Ledger::default()
        };
        assert_eq!(sum.mismatched, 2);
    }
}
