// SPDX-License-Identifier: GPL-2.0

//! Looking for connections that were idle, or whose peers were slow, for too long, and for those that have to give up memory.
//!
//! A thread of its own does it, so that a worker sleeps without a timer. It only asks for connections to be closed or looked at.

use crate::{
    limits::Memory,
    reclaim,
    sys::{
        clock::{
            self,
            Ticks, //
        },
        global,
        kthread::{
            Body,
            Current,
            Kthread, //
        }, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    },
    time::Delta, //
};

/// How often connections are looked at, in ms, at least.
const INTERVAL_MS: u64 = 1000;

/// How long to wait until it is looked at again who has to give up memory, in ms, and how many times as long as looking took:
/// most of a processor is for others, however many connections there are.
const RECLAIM_INTERVAL_MS: u64 = 20;
const RECLAIM_PAUSES: u64 = 8;

/// How often connections are looked at when the shortest time limit is `limit_ms`.
pub(crate) fn interval_ms(limit_ms: Option<u64>) -> u64 {
    (limit_ms.unwrap_or(INTERVAL_MS) / 8).clamp(50, INTERVAL_MS)
}

/// The thread that looks. Dropping it stops it.
pub(crate) struct Sweeper {
    thread: Kthread<State>,
    state: Arc<State>,
}

/// What the thread works with.
struct State {
    /// There may be connections.
    is_needed: Atomic<bool>,
    /// Memory may be short.
    is_pressed: Atomic<bool>,
    memory: Arc<Memory>,
}

impl Sweeper {
    /// Starts the thread.
    ///
    /// Process context.
    pub(crate) fn start(memory: &Arc<Memory>) -> Result<Self> {
        let state = Arc::new(
            State {
                is_needed: Atomic::new(false),
                is_pressed: Atomic::new(false),
                memory: memory.clone(),
            },
            GFP_KERNEL,
        )?;
        Ok(Self {
            thread: Kthread::start_unbound(state.clone())?,
            state,
        })
    }

    /// There is a connection.
    ///
    /// Any context.
    pub(crate) fn connected(&self) {
        // Only the first one after a pause writes to what all cores read.
        if !self.state.is_needed.load(Relaxed) && !self.state.is_needed.xchg(true, Full) {
            self.thread.wake();
        }
    }

    /// A connection holds more than before.
    ///
    /// Any context.
    pub(crate) fn grown(&self) {
        let state = &self.state;
        if state.memory.is_short()
            && !state.is_pressed.load(Relaxed)
            && !state.is_pressed.xchg(true, Full)
        {
            self.thread.wake();
        }
    }
}

impl State {
    /// Waits for so long. Meanwhile, has memory given up whenever it is short.
    fn wait(&self, thread: &Current, interval_ms: u64) {
        let end = clock::coarse_ms().saturating_add(interval_ms);
        while !thread.should_stop() {
            // Before looking, so that what grows meanwhile is not forgotten.
            self.is_pressed.xchg(false, Full);
            let left = end.saturating_sub(clock::coarse_ms());
            if left == 0 {
                return;
            }
            if self.memory.is_short() {
                let start = Ticks::now();
                reclaim::run(&self.memory, thread);
                let took_ms = clock::ticks_to_ns(Ticks::now().since(start)) / 1_000_000;
                let pause = millis(RECLAIM_INTERVAL_MS + took_ms * RECLAIM_PAUSES);
                thread.sleep_unless(|| thread.should_stop(), Some(pause));
            } else {
                let is_woken = || thread.should_stop() || self.is_pressed.load(Relaxed);
                thread.sleep_unless(is_woken, Some(millis(left)));
            }
        }
    }
}

/// A time of so many ms, which are few.
fn millis(ms: u64) -> Delta {
    // CAST: Less than 2^63.
    Delta::from_millis(ms as i64)
}

impl Body for State {
    fn run(&self, thread: &Current) {
        while !thread.should_stop() {
            thread.sleep_unless(
                || thread.should_stop() || self.is_needed.load(Relaxed),
                None,
            );
            // Before looking, so that who connects meanwhile is not forgotten.
            self.is_needed.xchg(false, Full);
            let interval = global::with_registry(|registry| {
                let services = registry.services();
                services
                    .filter_map(|shared| shared.table.sweep(shared, thread))
                    .min()
            });
            if let Some(interval) = interval {
                self.is_needed.xchg(true, Full);
                self.wait(thread, interval);
            }
        }
    }
}
