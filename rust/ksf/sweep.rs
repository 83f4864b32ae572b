// SPDX-License-Identifier: GPL-2.0

//! Looking for connections that were idle, or whose peers were slow, for too long.
//!
//! A thread of its own does it, so that a worker sleeps without a timer. It only asks for connections to be closed or looked at.

use crate::sys::{
    global,
    kthread::{
        Body,
        Current,
        Kthread, //
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
}

impl Sweeper {
    /// Starts the thread.
    ///
    /// Process context.
    pub(crate) fn start() -> Result<Self> {
        let state = Arc::new(
            State {
                is_needed: Atomic::new(false),
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
                    .filter_map(|shared| shared.table.sweep(shared))
                    .min()
            });
            if let Some(interval) = interval {
                self.is_needed.xchg(true, Full);
                // CAST: A second at most.
                let interval = Delta::from_millis(interval as i64);
                thread.sleep_unless(|| thread.should_stop(), Some(interval));
            }
        }
    }
}
