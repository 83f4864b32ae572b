// SPDX-License-Identifier: GPL-2.0

//! The threads: a listener receives and answers, and a timer does what is due when nothing comes.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant as Clock},
};

use rx::Instant;

use crate::{
    incoming::Incoming,
    outgoing::Outgoing,
    table::{Shard, Table},
    Options, Transmission,
};

/// What a listener and its timer share.
#[derive(Debug)]
pub(crate) struct Shared {
    table: Table,
    socket: UdpSocket,
    began: Clock,
    timer: Timer,
}

/// When the timer's thread is to look at the table.
#[derive(Debug, Default)]
struct Timer {
    at: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Shared {
    /// With a table of so many parts, and the socket.
    pub(crate) fn new(shards: usize, socket: UdpSocket) -> Arc<Self> {
        Arc::new(Self {
            table: Table::new(shards),
            socket,
            began: Clock::now(),
            timer: Timer::default(),
        })
    }

    fn now(&self) -> Instant {
        // More than 500,000 years fit.
        Instant::from_micros(self.began.elapsed().as_micros() as u64)
    }

    /// Puts what a client is to be sent into `outgoing`.
    fn transmit(
        &self,
        now: Instant,
        mut shard: MutexGuard<'_, Shard>,
        client: SocketAddr,
        outgoing: &mut Outgoing,
    ) {
        let deadline = shard.transmit(now, client, outgoing);
        drop(shard);
        if let Some(at) = deadline {
            self.timer.set(at);
        }
    }
}

impl Timer {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        // A panic ends the process.
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the thread look at the table at `at`, if it would not before.
    fn set(&self, at: Instant) {
        let mut earliest = self.lock();
        if earliest.is_none_or(|earliest| at < earliest) {
            *earliest = Some(at);
            self.changed.notify_one();
        }
    }
}

/// Receives and answers.
///
/// # Errors
///
/// The system's, for no reason that a client could give.
pub(crate) fn listen(shared: &Shared, options: &Options) -> io::Result<Infallible> {
    let mut incoming = Incoming::new(options.batch());
    let mut outgoing = Outgoing::new(options.batch(), !options.no_gso);
    let mut turns: Vec<SocketAddr> = Vec::new();
    loop {
        incoming.receive(&shared.socket)?;
        let now = shared.now();
        for (from, datagram) in incoming.datagrams() {
            let mut shard = shared.table.lock(shared.table.place(from));
            if !shard.receive(now, from, datagram, &mut outgoing) {
                continue;
            }
            match options.transmit {
                Transmission::AtOnce => {
                    shared.transmit(now, shard, from, &mut outgoing);
                    outgoing.flush(&shared.socket)?;
                }
                Transmission::Deferred if turns.contains(&from) => {}
                Transmission::Deferred => turns.push(from),
            }
        }
        for client in turns.drain(..) {
            let shard = shared.table.lock(shared.table.place(client));
            shared.transmit(now, shard, client, &mut outgoing);
            if outgoing.is_full() {
                outgoing.flush(&shared.socket)?;
            }
        }
        outgoing.flush(&shared.socket)?;
    }
}

/// Does what is due when nothing comes.
///
/// # Errors
///
/// The system's, for no reason that a client could give.
pub(crate) fn keep_time(shared: &Shared, options: &Options) -> io::Result<Infallible> {
    let mut outgoing = Outgoing::new(options.batch(), !options.no_gso);
    loop {
        wait(shared);
        let now = shared.now();
        for place in 0..shared.table.shards() {
            let next = shared.table.lock(place).expire(now, &mut outgoing);
            if let Some(at) = next {
                shared.timer.set(at);
            }
        }
        outgoing.flush(&shared.socket)?;
    }
}

/// Waits until it is time to look at the table.
fn wait(shared: &Shared) {
    let mut at = shared.timer.lock();
    loop {
        let us = at.map(|at| at.us_since(shared.now()));
        at = match us {
            Some(0) => {
                *at = None;
                return;
            }
            Some(us) => {
                let timeout = Duration::from_micros(us);
                let waited = shared.timer.changed.wait_timeout(at, timeout);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = shared.timer.changed.wait(at);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}
