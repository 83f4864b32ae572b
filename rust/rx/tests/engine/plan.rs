// SPDX-License-Identifier: GPL-2.0

//! What happens in a simulation: the network, the hosts and their calls, all drawn from a seed.

use crate::link::{Conditions, Corrupted, Nanos, MICROSECOND, MILLISECOND, SECOND};

/// A blackout that all calls survive.
const SHORT: Nanos = 4 * SECOND;

/// What a server does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serve {
    /// It replies, so long after the request was whole.
    Reply(Nanos),
    /// It aborts the call with this code, so long after the request was whole.
    Abort(i32, Nanos),
    /// It aborts the call when its first bytes are there.
    AbortEarly(i32),
}

/// A call that a client makes.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Which of the client's connections it is of.
    pub(crate) connection: usize,
    /// When the client wants to make it; it waits for a free channel.
    pub(crate) start: Nanos,
    pub(crate) request_bytes: usize,
    pub(crate) reply_bytes: usize,
    pub(crate) serve: Serve,
    /// The client aborts it so long after it was made, if it has not ended.
    pub(crate) client_aborts: Option<Nanos>,
}

/// A client host: an address of its own.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) connections: usize,
    pub(crate) calls: Vec<Call>,
}

/// What a seed stands for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// There is no reason to send anything again: nothing is lost or late.
    pub(crate) is_perfect: bool,
    /// From the clients to the server.
    pub(crate) up: Conditions,
    pub(crate) down: Conditions,
    /// For how long a host lets datagrams gather before it looks at them.
    pub(crate) gather: Nanos,
    /// How many packets a call's storage has places for, on either side.
    pub(crate) places: usize,
    pub(crate) clients: Vec<Client>,
}

impl Plan {
    /// A network that changes nothing, and clients with one connection each.
    pub(crate) fn quiet(seed: u64, delay: Nanos, clients: Vec<Vec<Call>>) -> Self {
        let conditions = Conditions {
            delay,
            ..Conditions::PERFECT
        };
        let clients = clients
            .into_iter()
            .map(|calls| Client {
                connections: 1,
                calls,
            })
            .collect();
        Self {
            seed,
            is_perfect: true,
            up: conditions.clone(),
            down: conditions,
            gather: 0,
            places: 256,
            clients,
        }
    }

    /// Whether what the network delivers is what was sent.
    pub(crate) fn is_honest(&self) -> bool {
        let passes = |conditions: &Conditions| {
            conditions.flipped > 0.0 && conditions.corrupted == Corrupted::Passes
        };
        !passes(&self.up) && !passes(&self.down)
    }

    /// Whether a side may have good reason to think that the other is gone.
    pub(crate) fn is_dark(&self) -> bool {
        let is_long = |conditions: &Conditions| {
            let blackout = conditions.blackout.as_ref();
            blackout.is_some_and(|blackout| blackout.end - blackout.start > SHORT)
        };
        is_long(&self.up) || is_long(&self.down)
    }

    /// What `seed` stands for.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random(fastrand::Rng::with_seed(seed));
        let is_perfect = random.chance(0.15);
        // A slow link with a long queue delays what it does not lose.
        let slowest = if is_perfect { 1_000_000_000 } else { 100_000 };
        let rate = random
            .chance(0.6)
            .then(|| random.between(slowest, 10_000_000_000));
        let mut up = random.conditions(rate, is_perfect);
        let mut down = random.conditions(rate, is_perfect);
        if !is_perfect && random.chance(0.04) {
            for conditions in [&mut up, &mut down] {
                conditions.flipped = random.between(1, 300) as f64 / 1_000.0;
                conditions.corrupted = Corrupted::Passes;
            }
        }
        // What would take longer than some seconds is a test of patience.
        let most_bytes = rate.map_or(200_000, |rate| (rate / 8 * 3 / 2).clamp(20_000, 200_000));
        let clients = (0..random.between(1, 3))
            .map(|_| random.client(most_bytes as usize))
            .collect();
        Self {
            seed,
            is_perfect,
            up,
            down,
            gather: if random.chance(0.5) {
                0
            } else {
                random.between(1_000, 2 * MILLISECOND)
            },
            places: *random.choice(&[256, 256, 128, 64, 32, 16]),
            clients,
        }
    }
}

/// Draws.
struct Random(fastrand::Rng);

impl Random {
    fn chance(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// From `low` to `high`, each order of magnitude as likely as the others.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        let (from, to) = ((low as f64).ln(), ((high + 1) as f64).ln());
        let drawn = (from + self.0.f64() * (to - from)).exp() as u64;
        drawn.clamp(low, high)
    }

    fn choice<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.usize(..of.len())]
    }

    /// A probability of up to `most` of something that happens in every other simulation.
    fn probability(&mut self, most: f64) -> f64 {
        if self.chance(0.5) {
            self.between(1, 1_000) as f64 / 1_000.0 * most
        } else {
            0.0
        }
    }

    fn conditions(&mut self, bits_per_second: Option<u64>, is_perfect: bool) -> Conditions {
        // Where nothing is sent again, a queue does not look like a loss.
        let shortest = if is_perfect { MILLISECOND } else { MICROSECOND };
        let delay = self.between(shortest, 200 * MILLISECOND);
        let calm = Conditions {
            bits_per_second,
            delay,
            ..Conditions::PERFECT
        };
        if is_perfect {
            return calm;
        }
        let jitter = if self.chance(0.5) {
            self.between(1_000, delay.max(1_000))
        } else {
            0
        };
        let queue_bytes = if self.chance(0.5) {
            self.between(6_000, 1_000_000)
        } else {
            u64::MAX
        };
        let blackout = self.chance(0.25).then(|| {
            let begin = self.between(MILLISECOND, 5 * SECOND);
            let length = if self.chance(0.8) {
                self.between(MILLISECOND, SHORT)
            } else {
                self.between(SHORT, 120 * SECOND)
            };
            begin..begin + length
        });
        Conditions {
            jitter,
            queue_bytes,
            blackout,
            held: self.probability(0.1),
            held_for: self.between(MICROSECOND, SECOND),
            loss: self.probability(0.15),
            burst_begins: self.probability(0.01),
            burst_ends: self.between(300, 1_000) as f64 / 1_000.0,
            duplicated: self.probability(0.2),
            flipped: self.probability(0.05),
            ..calm
        }
    }

    fn client(&mut self, most_bytes: usize) -> Client {
        let connections = self.0.usize(1..=2);
        let calls = self.between(1, 12);
        let calls = (0..calls)
            .map(|_| self.call(connections, most_bytes))
            .collect();
        Client { connections, calls }
    }

    fn call(&mut self, connections: usize, most_bytes: usize) -> Call {
        let (little, much) = (
            self.between(1, 3_000) as usize,
            self.between(1, most_bytes as u64) as usize,
        );
        let (request_bytes, reply_bytes) = *self.choice(&[
            (little, little),
            (little, little),
            (little, much),
            (little, much),
            (much, little),
            (much, much / 2),
            (0, little),
            (little, 0),
            (0, 0),
            (1412, 1412),
            (2824, 1411),
            (1413, 2824),
        ]);
        let wait = if self.chance(0.2) {
            self.between(MICROSECOND, 30 * SECOND)
        } else {
            0
        };
        let code = *self.choice(&[-455, -1, 110, i32::MIN, i32::MAX]);
        let serve = match self.0.u32(..20) {
            0 => Serve::Abort(code, wait),
            1 => Serve::AbortEarly(code),
            _ => Serve::Reply(wait),
        };
        Call {
            connection: self.0.usize(..connections),
            start: if self.chance(0.5) {
                0
            } else {
                self.between(1_000, 5 * SECOND)
            },
            request_bytes,
            reply_bytes,
            serve,
            client_aborts: self
                .chance(0.05)
                .then(|| self.between(MICROSECOND, 10 * SECOND)),
        }
    }
}
