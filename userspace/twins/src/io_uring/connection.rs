// SPDX-License-Identifier: GPL-2.0

//! One connection.

use std::mem;

use crate::{Served, Service};

/// A connection. What is sent on it is in the ring.
#[derive(Debug, Default)]
pub(super) struct Connection<S> {
    stream: S,
    /// How much of what is outgoing was sent, if the socket is full. Until the rest is sent nothing is served nor received,
    /// so that a client that does not read is stopped by its window.
    pub(super) blocked_at: Option<usize>,
    /// What has come nevertheless.
    waiting: Vec<u8>,
    /// Whether there are answers of this turn.
    pub(super) is_answered: bool,
    /// Whether nothing more is served.
    pub(super) is_over: bool,
    /// Whether the stream to the client was ended.
    pub(super) is_shut_down: bool,
    /// Whether nothing more comes.
    pub(super) is_at_end: bool,
}

impl<S> Connection<S> {
    /// Serves what has come, or keeps it.
    #[inline]
    pub(super) fn serve(
        &mut self,
        service: &mut impl Service<Stream = S>,
        bytes: &[u8],
        outgoing: Option<&mut Vec<u8>>,
    ) {
        if self.is_over {
            return;
        }
        let Some(outgoing) = outgoing else {
            self.waiting.extend_from_slice(bytes);
            return;
        };
        let Served { answer, is_last } = service.stream(&mut self.stream, bytes);
        self.is_over = is_last;
        if !answer.is_empty() {
            if !mem::replace(&mut self.is_answered, true) {
                // Answers of an earlier turn, which were sent.
                outgoing.clear();
            }
            outgoing.extend_from_slice(answer);
        }
    }

    /// Serves what was kept, after all was sent.
    pub(super) fn serve_on(
        &mut self,
        service: &mut impl Service<Stream = S>,
        outgoing: Option<&mut Vec<u8>>,
    ) {
        self.blocked_at = None;
        let waiting = mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            self.serve(service, &waiting, outgoing);
        }
    }

    /// Sends nothing more: the client does not take it.
    pub(super) fn give_up(&mut self) {
        self.blocked_at = None;
        self.waiting = Vec::new();
        self.is_over = true;
    }

    /// Whether there is something to do after the answers were sent.
    #[inline]
    pub(super) fn is_ending(&self) -> bool {
        self.is_over || self.is_at_end
    }

    /// Whether answers are not sent yet.
    pub(super) fn has_answers(&self) -> bool {
        self.is_answered || self.blocked_at.is_some()
    }
}
