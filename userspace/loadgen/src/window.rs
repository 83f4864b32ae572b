// SPDX-License-Identifier: GPL-2.0

//! The requests of one connection that wait for their reply, and what is remembered of those that do not any more.

use std::collections::HashSet;

use crate::engine::Nanos;

/// What was sent on a connection, from the oldest request that waits to the last one.
///
/// Requests are numbered from 0. The room that this takes is that of the requests from the oldest that waits to the
/// newest, and a few bytes for each that was given up.
#[derive(Debug)]
pub(crate) struct Outstanding {
    /// A ring: the request with a number is at that place, modulo the length, which is a power of two.
    requests: Box<[Request]>,
    /// The number of the next request to be sent.
    next: u64,
    /// The number of the oldest request that waits, or that of the next if none does.
    oldest: u64,
    /// How many wait.
    waiting: usize,
    /// Those that were given up, and not answered since.
    given_up: HashSet<u64>,
    /// All that were answered in time have lower numbers than this.
    next_in_order: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Request {
    intended: Nanos,
    sent: Nanos,
    waits: bool,
}

/// What a reply turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// That to a request that waited for it.
    Answer {
        /// When the request was intended to be sent.
        intended: Nanos,
        /// When it was sent.
        sent: Nanos,
        /// Whether a later request was answered before.
        reordered: bool,
    },
    /// That to a request that had been given up.
    Late,
    /// Not the first to its request.
    Duplicate,
    /// To a request that was not sent.
    Unasked,
}

impl Outstanding {
    /// Nothing was sent; at first there is room for `expected` requests.
    pub(crate) fn new(expected: usize) -> Self {
        Self {
            requests: ring(expected.next_power_of_two()),
            next: 0,
            oldest: 0,
            waiting: 0,
            given_up: HashSet::new(),
            next_in_order: 0,
        }
    }

    /// The number of the next request, which is how many were sent.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// How many requests wait.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The request with this number, which is one of those that are remembered.
    #[inline]
    fn request(&mut self, number: u64) -> &mut Request {
        let mask = self.requests.len() - 1;
        &mut self.requests[number as usize & mask]
    }

    /// The next request is sent. No time is before that of an earlier request.
    #[inline]
    pub(crate) fn push(&mut self, intended: Nanos, sent: Nanos) {
        if self.next - self.oldest == self.requests.len() as u64 {
            self.grow();
        }
        *self.request(self.next) = Request {
            intended,
            sent,
            waits: true,
        };
        self.next += 1;
        self.waiting += 1;
    }

    /// Makes room, because an old request waits while many later ones were answered.
    #[cold]
    fn grow(&mut self) {
        let mut larger = ring(self.requests.len() * 2);
        let mask = larger.len() - 1;
        for number in self.oldest..self.next {
            larger[number as usize & mask] = *self.request(number);
        }
        self.requests = larger;
    }

    /// A right reply to this request has come. If no later one was answered before, nor an older one waits, returns when it
    /// was intended to be sent and when it was sent; otherwise nothing happens, and [`Outstanding::settle`] is to be asked.
    #[inline(always)]
    pub(crate) fn settle_next(&mut self, number: u64) -> Option<(Nanos, Nanos)> {
        if number != self.oldest || number >= self.next || number < self.next_in_order {
            return None;
        }
        // It waits, as the oldest always does, and so do all after it.
        self.oldest += 1;
        self.next_in_order = self.oldest;
        self.waiting -= 1;
        let request = self.request(number);
        Some((request.intended, request.sent))
    }

    /// A right reply to this request has come.
    pub(crate) fn settle(&mut self, number: u64) -> Reply {
        // One comparison is enough: what is before the oldest is far beyond the next then.
        if number.wrapping_sub(self.oldest) >= self.next - self.oldest {
            return self.settle_old(number);
        }
        let request = self.request(number);
        if !request.waits {
            return Reply::Duplicate;
        }
        request.waits = false;
        let (intended, sent) = (request.intended, request.sent);
        let reordered = number < self.next_in_order;
        self.waiting -= 1;
        self.next_in_order = self.next_in_order.max(number + 1);
        if number == self.oldest {
            self.forget_settled();
        }
        Reply::Answer {
            intended,
            sent,
            reordered,
        }
    }

    /// A reply to a request that is not remembered any more, or not sent yet.
    #[cold]
    fn settle_old(&mut self, number: u64) -> Reply {
        if number >= self.next {
            Reply::Unasked
        } else if self.given_up.remove(&number) {
            Reply::Late
        } else {
            Reply::Duplicate
        }
    }

    /// When the oldest request that waits was sent.
    #[inline]
    pub(crate) fn oldest_sent(&mut self) -> Option<Nanos> {
        (self.waiting != 0).then(|| self.request(self.oldest).sent)
    }

    /// Whether a request was answered that was sent after the oldest that waits.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.waiting != 0 && self.next_in_order > self.oldest
    }

    /// The number of the oldest request that waits, or that of the next if none does.
    pub(crate) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Gives up the oldest request if it waits since `limit` or longer, and returns its number and since when.
    #[inline]
    pub(crate) fn give_up(&mut self, limit: Nanos) -> Option<(u64, Nanos)> {
        let sent = self.oldest_sent()?;
        if sent > limit {
            return None;
        }
        let number = self.drain()?;
        self.given_up.insert(number);
        Some((number, sent))
    }

    /// Takes the oldest request that waits away, as the connection will not answer it any more, and returns its number.
    pub(crate) fn drain(&mut self) -> Option<u64> {
        if self.waiting == 0 {
            return None;
        }
        let number = self.oldest;
        self.request(number).waits = false;
        self.waiting -= 1;
        self.forget_settled();
        Some(number)
    }

    /// Takes the last request back, which was not sent after all; returns its number if it waits.
    pub(crate) fn take_back(&mut self) -> Option<u64> {
        if self.next == self.oldest {
            return None;
        }
        self.next -= 1;
        let last = self.next;
        let waits = std::mem::take(&mut self.request(last).waits);
        self.waiting -= usize::from(waits);
        waits.then_some(last)
    }

    /// Makes the oldest that waits the first of those that are remembered.
    #[inline]
    fn forget_settled(&mut self) {
        while self.oldest < self.next && !self.request(self.oldest).waits {
            self.oldest += 1;
        }
    }
}

fn ring(length: usize) -> Box<[Request]> {
    vec![Request::default(); length].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that were sent at 100, 110, 120 and so on, and each intended one before.
    fn sent(count: u64) -> Outstanding {
        let mut outstanding = Outstanding::new(1);
        (0..count).for_each(|number| outstanding.push(99 + number * 10, 100 + number * 10));
        outstanding
    }

    fn answer(number: u64, reordered: bool) -> Reply {
        Reply::Answer {
            intended: 99 + number * 10,
            sent: 100 + number * 10,
            reordered,
        }
    }

    #[test]
    fn replies_in_order_are_answers() {
        let mut outstanding = sent(3);
        for number in 0..3 {
            assert_eq!(outstanding.settle(number), answer(number, false));
        }
        assert_eq!(
            (outstanding.waiting(), outstanding.oldest_sent()),
            (0, None)
        );
        assert_eq!((outstanding.next(), outstanding.oldest()), (3, 3));
    }

    #[test]
    fn the_next_reply_is_settled_at_once_and_no_other() {
        let mut outstanding = sent(5);
        assert_eq!(outstanding.settle_next(0), Some((99, 100)));
        assert_eq!(outstanding.settle_next(0), None);
        assert_eq!(outstanding.settle_next(2), None);
        assert_eq!(outstanding.settle(2), answer(2, false));
        // One that was overtaken is not the next in order.
        assert_eq!(outstanding.settle_next(1), None);
        assert_eq!(outstanding.settle(1), answer(1, true));
        assert_eq!(outstanding.give_up(130), Some((3, 130)));
        assert_eq!(outstanding.settle_next(3), None);
        assert_eq!(outstanding.settle_next(4), Some((139, 140)));
        assert_eq!((outstanding.oldest(), outstanding.waiting()), (5, 0));
        assert_eq!(outstanding.settle_next(5), None);
        assert_eq!(outstanding.settle(4), Reply::Duplicate);
    }

    #[test]
    fn a_reply_that_was_overtaken_is_reordered() {
        let mut outstanding = sent(4);
        assert!(!outstanding.is_overtaken());
        assert_eq!(outstanding.settle(2), answer(2, false));
        assert!(outstanding.is_overtaken());
        assert_eq!(outstanding.settle(0), answer(0, true));
        assert_eq!(outstanding.settle(3), answer(3, false));
        assert_eq!(outstanding.oldest_sent(), Some(110));
        assert_eq!(outstanding.settle(1), answer(1, true));
        assert!(!outstanding.is_overtaken());
    }

    #[test]
    fn a_second_reply_is_a_duplicate_whether_its_request_is_remembered_or_not() {
        let mut outstanding = sent(3);
        outstanding.settle(1);
        assert_eq!(outstanding.settle(1), Reply::Duplicate);
        outstanding.settle(0);
        assert_eq!(outstanding.settle(0), Reply::Duplicate);
        assert_eq!(outstanding.waiting(), 1);
    }

    #[test]
    fn what_comes_after_it_was_given_up_is_late_once() {
        let mut outstanding = sent(3);
        outstanding.settle(1);
        assert_eq!(outstanding.give_up(99), None);
        assert_eq!(outstanding.give_up(100), Some((0, 100)));
        assert_eq!(outstanding.give_up(119), None);
        assert_eq!(outstanding.settle(0), Reply::Late);
        assert_eq!(outstanding.settle(0), Reply::Duplicate);
        assert_eq!(outstanding.give_up(120), Some((2, 120)));
        assert_eq!(outstanding.give_up(Nanos::MAX), None);
        assert_eq!(outstanding.waiting(), 0);
    }

    #[test]
    fn what_was_not_sent_cannot_be_answered() {
        let mut outstanding = sent(1);
        assert_eq!(outstanding.settle(1), Reply::Unasked);
        assert_eq!(outstanding.settle(u64::MAX), Reply::Unasked);
        outstanding.push(0, 0);
        assert_eq!(outstanding.take_back(), Some(1));
        assert_eq!(outstanding.settle(1), Reply::Unasked);
        assert_eq!(outstanding.waiting(), 1);
    }

    #[test]
    fn an_old_request_is_remembered_while_many_follow() {
        let mut outstanding = sent(1);
        for number in 1..1_000 {
            outstanding.push(99 + number * 10, 100 + number * 10);
            assert_eq!(outstanding.settle(number), answer(number, false));
        }
        assert_eq!(outstanding.oldest_sent(), Some(100));
        assert_eq!(outstanding.settle(0), answer(0, true));
        assert_eq!((outstanding.oldest(), outstanding.waiting()), (1_000, 0));
    }

    #[test]
    fn what_is_drained_is_what_waits() {
        let mut outstanding = sent(4);
        outstanding.settle(1);
        outstanding.settle(3);
        assert_eq!(outstanding.take_back(), None);
        assert_eq!(outstanding.drain(), Some(0));
        assert_eq!(outstanding.drain(), Some(2));
        assert_eq!(outstanding.drain(), None);
        assert_eq!(outstanding.waiting(), 0);
    }
}
