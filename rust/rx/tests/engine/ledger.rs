// SPDX-License-Identifier: GPL-2.0

//! What is to become of the calls of a simulation, and what has: both sides' bytes are held against what they have to be.

use std::{collections::HashMap, rc::Rc};

use crate::{
    link::Nanos,
    plan::{Call, Plan},
    watch::{Key, Side},
};

/// How a call ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The whole reply came.
    Complete,
    /// The other side aborted it, or the connection.
    Aborted(i32),
    /// This side did.
    Given(i32),
    /// Nothing was heard for too long.
    TimedOut,
}

/// What a side has got of a call's data.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    bytes: usize,
    is_whole: bool,
}

/// A call, planned and done.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) client: usize,
    pub(crate) plan: Call,
    request: Rc<[u8]>,
    reply: Rc<[u8]>,
    pub(crate) key: Option<Key>,
    at_server: Progress,
    at_client: Progress,
    pub(crate) made_at: Option<Nanos>,
    pub(crate) ended: Option<(End, Nanos)>,
    /// How it ended for the server.
    pub(crate) served: Option<End>,
}

impl Entry {
    /// What `side` sends.
    pub(crate) fn contents(&self, side: Side) -> Rc<[u8]> {
        match side {
            Side::Client => self.request.clone(),
            Side::Server => self.reply.clone(),
        }
    }

    /// Whether the server got the whole request.
    pub(crate) fn is_executed(&self) -> bool {
        self.at_server.is_whole
    }
}

/// All calls, in the order in which they were planned.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) entries: Vec<Entry>,
    by_key: HashMap<Key, usize>,
    /// Whether what arrives is what was sent.
    is_honest: bool,
}

impl Ledger {
    pub(crate) fn new(plan: &Plan) -> Self {
        let calls = plan
            .clients
            .iter()
            .enumerate()
            .flat_map(|(client, of)| of.calls.iter().map(move |call| (client, call)));
        let entries = calls.enumerate().map(|(index, (client, call))| {
            let mut random = fastrand::Rng::with_seed(plan.seed ^ ((index as u64 + 1) << 32));
            let mut bytes = |len| {
                let mut bytes = vec![0; len];
                random.fill(&mut bytes);
                Rc::from(bytes)
            };
            Entry {
                client,
                plan: call.clone(),
                request: bytes(call.request_bytes),
                reply: bytes(call.reply_bytes),
                key: None,
                at_server: Progress::default(),
                at_client: Progress::default(),
                made_at: None,
                ended: None,
                served: None,
            }
        });
        Self {
            entries: entries.collect(),
            by_key: HashMap::new(),
            is_honest: plan.is_honest(),
        }
    }

    /// A client made call `index`.
    pub(crate) fn made(&mut self, now: Nanos, index: usize, key: Key) {
        let entry = &mut self.entries[index];
        assert!(entry.key.replace(key).is_none(), "a call is made twice");
        entry.made_at = Some(now);
        assert!(
            self.by_key.insert(key, index).is_none(),
            "two calls are {key:?}"
        );
    }

    /// The call that the packets call so.
    pub(crate) fn find(&self, key: Key) -> Option<usize> {
        self.by_key.get(&key).copied()
    }

    /// `side` was handed data of a call.
    pub(crate) fn got(&mut self, index: usize, side: Side, bytes: &[u8], is_last: bool) {
        let entry = &mut self.entries[index];
        let due = entry.contents(side.other());
        let has_ended = match side {
            Side::Client => entry.ended.is_some(),
            Side::Server => entry.served.is_some(),
        };
        let progress = match side {
            Side::Client => &mut entry.at_client,
            Side::Server => &mut entry.at_server,
        };
        assert!(!progress.is_whole, "data after the last");
        assert!(!has_ended, "data of a call that has ended");
        let end = progress.bytes + bytes.len();
        let due_bytes = due
            .get(progress.bytes..end)
            .expect("more bytes than were sent");
        assert!(
            bytes == due_bytes,
            "wrong bytes between {} and {end}",
            progress.bytes
        );
        progress.bytes = end;
        progress.is_whole = is_last;
        assert!(
            !is_last || end == due.len(),
            "the last at {end} of {} bytes",
            due.len()
        );
    }

    /// How many bytes of its reply each call's client has.
    pub(crate) fn received(&self) -> Vec<usize> {
        self.entries
            .iter()
            .map(|entry| entry.at_client.bytes)
            .collect()
    }

    /// A call has ended for `side`.
    pub(crate) fn ended(&mut self, now: Nanos, index: usize, side: Side, end: End) {
        let entry = &mut self.entries[index];
        match side {
            Side::Client => {
                assert!(
                    entry.ended.is_none(),
                    "call {index} ended as {:?} and as {end:?}",
                    entry.ended
                );
                assert!(
                    end != End::Complete || entry.at_client.is_whole || !self.is_honest,
                    "a reply that is not whole"
                );
                entry.ended = Some((end, now));
            }
            Side::Server => {
                assert!(
                    entry.served.is_none(),
                    "call {index} ended as {:?} and as {end:?}",
                    entry.served
                );
                entry.served = Some(end);
            }
        }
    }
}
