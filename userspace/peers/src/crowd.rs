// SPDX-License-Identifier: GPL-2.0

//! Many connections in one thread.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use crate::{events::Events, failure::Failure, stream::Shared, until::Until};

/// What a connection waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    /// For the others to have their turn.
    Again,
    /// For its socket to change, but no longer than to this time.
    Wait(Instant),
    /// For nothing more.
    Done,
}

/// One of many connections.
pub(crate) trait Member {
    /// Goes on without waiting. It is called at first, when the socket has changed, and at the time it waits for.
    ///
    /// It is to send and receive until its socket blocks, or to return [`Next::Again`]. A socket that it opens is to be
    /// watched for its number among the members.
    fn advance(
        &mut self,
        number: usize,
        shared: &mut Shared,
        events: &Events,
    ) -> Result<Next, Failure>;
}

/// The members that failed, by number, in the order in which they did.
pub(crate) type Failures = Vec<(usize, Failure)>;

/// Where a member is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Outside,
    InQueue,
    Waiting(Instant),
    Over,
}

/// Lets all members go on, `at_once` of them at the same time, until they are done, or until it is over.
pub(crate) fn run<M: Member>(
    members: &mut [M],
    at_once: usize,
    shared: &mut Shared,
    events: &mut Events,
    until: &Until,
) -> io::Result<Failures> {
    let mut failures = Failures::new();
    let mut places = vec![Place::Outside; members.len()];
    let (mut begun, mut active) = (0, 0);
    let mut queue = VecDeque::new();
    let mut owners = Vec::new();
    // No member waits for a time before this one.
    let mut look_at: Option<Instant> = None;
    loop {
        while active < at_once && begun < members.len() {
            places[begun] = Place::InQueue;
            queue.push_back(begun);
            begun += 1;
            active += 1;
        }
        for _ in 0..queue.len() {
            let Some(number) = queue.pop_front() else {
                break;
            };
            places[number] = match members[number].advance(number, shared, events) {
                Ok(Next::Again) => {
                    queue.push_back(number);
                    Place::InQueue
                }
                Ok(Next::Wait(at)) => {
                    look_at = Some(look_at.map_or(at, |before| before.min(at)));
                    Place::Waiting(at)
                }
                Ok(Next::Done) => {
                    active -= 1;
                    Place::Over
                }
                Err(failure) => {
                    failures.push((number, failure));
                    active -= 1;
                    Place::Over
                }
            };
        }
        if active == 0 && begun == members.len() {
            return Ok(failures);
        }
        let must_go_on = !queue.is_empty() || (active < at_once && begun < members.len());
        let limit = if must_go_on {
            Some(Duration::ZERO)
        } else {
            look_at.map(|at| at.saturating_duration_since(Instant::now()))
        };
        if events.wait(until, limit, &mut owners)? {
            return Ok(failures);
        }
        for number in owners.drain(..) {
            if let Place::Waiting(_) = places[number] {
                places[number] = Place::InQueue;
                queue.push_back(number);
            }
        }
        let now = Instant::now();
        if look_at.is_some_and(|at| now >= at) {
            look_at = None;
            for (number, place) in places.iter_mut().enumerate() {
                match *place {
                    Place::Waiting(at) if now >= at => {
                        *place = Place::InQueue;
                        queue.push_back(number);
                    }
                    Place::Waiting(at) => {
                        look_at = Some(look_at.map_or(at, |before| before.min(at)))
                    }
                    _ => {}
                }
            }
        }
    }
}
