// SPDX-License-Identifier: GPL-2.0

//! Calls to the kernel, which hand requests over and wait for completions.

use std::{io, thread, time::Duration};

use io_uring::{
    cqueue, squeue,
    types::{CancelBuilder, SubmitArgs, Timespec},
    EnterFlags,
};
use rustix::io::Errno;

use crate::{
    completion::{result_of, tag},
    socket::Sending,
    Arrival, Completion, Ring,
};

/// How long the kernel is asked again when it has no memory for requests: so often, after such a pause.
const REFUSALS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// How long the end of the ring waits for the kernel to answer what was cancelled, which it does at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long [`Ring::enter`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// For a completion.
    Forever,
    /// For a completion, but no longer than this.
    For(Duration),
}

/// How often in a row the kernel did not take requests.
#[derive(Debug, Default)]
pub(crate) struct Refusals(u32);

impl Ring {
    /// How many requests were collected and are not handed over yet.
    #[inline]
    pub fn requests(&self) -> u64 {
        self.collected - self.handed_over
    }

    /// Whether there is a completion already.
    #[inline]
    pub fn has_completions(&mut self) -> bool {
        !self.uring.completion().is_empty()
    }

    /// Hands over all that was collected, without waiting and without looking for what has come.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests.
    #[inline]
    pub fn submit(&mut self) -> io::Result<()> {
        // It may lack the memory for some at times.
        while self.requests() != 0 {
            self.call(0, EnterFlags::empty(), None)?;
        }
        Ok(())
    }

    /// Hands over what was collected, and waits for a completion. It may return without one, such as after a signal.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests.
    #[inline]
    pub fn enter(&mut self, wait: Wait) -> io::Result<()> {
        match wait {
            Wait::No => self.call(0, EnterFlags::GETEVENTS, None),
            Wait::Forever => self.call(1, EnterFlags::GETEVENTS, None),
            Wait::For(longest) => {
                let longest = Timespec::from(longest);
                self.call(
                    1,
                    EnterFlags::GETEVENTS | EnterFlags::EXT_ARG,
                    Some(&SubmitArgs::new().timespec(&longest)),
                )
            }
        }
    }

    /// The next completion that is there already.
    // The usual ones are taken apart by the caller: the compiler shall see both.
    #[inline(always)]
    pub fn next_completion(&mut self) -> Option<Completion> {
        loop {
            let entry = self.uring.completion().next()?;
            let last = !cqueue::more(entry.flags());
            let place = (entry.user_data() >> tag::BITS) as usize;
            let tag = entry.user_data() & ((1 << tag::BITS) - 1);
            self.unanswered -= usize::from(last && tag != tag::SEND);
            match tag {
                tag::SEND | tag::WAITING_SEND => {
                    if tag == tag::WAITING_SEND {
                        self.sockets[place].sending = Sending::Queued(0);
                    }
                    return Some(Completion::Sent {
                        socket: place,
                        result: result_of(&entry),
                    });
                }
                tag::RECEIVE => {
                    self.sockets[place].is_receiving = !last;
                    return Some(Completion::Received {
                        socket: place,
                        result: self.arrival(&entry),
                        last,
                    });
                }
                tag::ALARM => return Some(Completion::Alarm),
                tag::ACCEPT => {
                    return Some(Completion::Accepted {
                        result: result_of(&entry).map(|place| self.accepted(place)),
                        last,
                    });
                }
                _ => {}
            }
        }
    }

    #[inline(always)]
    fn arrival(&mut self, entry: &cqueue::Entry) -> io::Result<Option<Arrival>> {
        let length = result_of(entry);
        let Some(buffer) = cqueue::buffer_select(entry.flags()) else {
            return length.map(|_| None);
        };
        self.buffers.lend(buffer, *length.as_ref().unwrap_or(&0));
        let arrival = Arrival { buffer };
        match length {
            Ok(_) => Ok(Some(arrival)),
            Err(error) => {
                self.give_back(arrival);
                Err(error)
            }
        }
    }

    /// Collects a request.
    ///
    /// # Safety
    ///
    /// The memory that it refers to is there, and only the kernel uses it, until the kernel does not need it any more.
    #[inline]
    pub(crate) unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: the caller's promise is what is asked for.
        if unsafe { self.uring.submission().push(entry) }.is_err() {
            self.submit()?;
            // SAFETY: as above; the request was not taken.
            unsafe { self.uring.submission().push(entry) }
                .map_err(|_| io::Error::from(Errno::AGAIN))?;
        }
        self.collected += 1;
        Ok(())
    }

    #[inline]
    fn call(
        &mut self,
        complete: u32,
        flags: EnterFlags,
        arguments: Option<&SubmitArgs<'_, '_>>,
    ) -> io::Result<()> {
        let submit = self.uring.submission().len() as u32;
        let submitter = self.uring.submitter();
        // SAFETY: the queue has so many requests, each of which was collected by `push`; and the arguments, which are what
        // `EXT_ARG` says, refer to what is there during the call.
        let called = unsafe { submitter.enter(submit, complete, flags.bits(), arguments) };
        let taken = match called {
            Ok(taken) => Some(taken as u32),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::TIME | Errno::INTR) if submit == 0 => Some(0),
                Some(Errno::TIME | Errno::INTR | Errno::AGAIN | Errno::BUSY) => None,
                _ => return Err(error),
            },
        };
        if taken == Some(submit) {
            self.handed_over = self.collected;
            self.refusals = Refusals::default();
            while let Some(buffer) = self.answering.pop() {
                self.buffers.give_back(buffer);
            }
            return Ok(());
        }
        // What the kernel has no memory for just now, it gets with the next call.
        self.refusals.add()?;
        thread::sleep(PAUSE);
        Ok(())
    }

    /// Cancels all requests; returns whether the kernel has answered them.
    pub(crate) fn cancel_all(&mut self) -> bool {
        let mut is_asked = self.unanswered == 0 || self.cancel(CancelBuilder::any()).is_ok();
        while is_asked && self.unanswered != 0 {
            let before = self.unanswered;
            is_asked = self.enter(Wait::For(PATIENCE)).is_ok();
            while self.next_completion().is_some() {}
            is_asked &= self.unanswered != before;
        }
        self.unanswered == 0
    }
}

impl Refusals {
    /// One more.
    ///
    /// # Errors
    ///
    /// It was to be the last.
    #[cold]
    fn add(&mut self) -> io::Result<()> {
        self.0 += 1;
        if self.0 > REFUSALS {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                "the kernel has no memory for io_uring's requests",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_not_asked_for_ever() {
        let mut refusals = Refusals::default();
        for _ in 0..REFUSALS {
            refusals.add().unwrap();
        }
        let error = refusals.add().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
}
