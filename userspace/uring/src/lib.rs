// SPDX-License-Identifier: GPL-2.0

//! Sockets by io_uring: many sends and receives with one call to the system.
//!
//! The kernel reads and writes a program's memory at times of its own choice here, so this crate has what must be unsafe
//! for it, and an interface that is safe whatever its caller does: memory that the kernel may use belongs to the
//! [`Ring`], which lends it to the caller at other times only, and frees it only when the kernel has answered all requests.
//!
//! A [`Ring`] collects requests until it is entered, and answers each by a [`Completion`]. Sockets are known by their
//! places, from 0, among those that it was made with; those that it accepts have the places after them.
//!
//! What it takes is Linux 6.1: one thread for each ring (`IORING_SETUP_SINGLE_ISSUER`), in whose own calls all the work is
//! done (`IORING_SETUP_DEFER_TASKRUN`); receives that go on until they are cancelled (multishot), into buffers that the
//! kernel chooses; and registered sockets.

mod accepting;
mod buffers;
mod completion;
mod datagrams;
mod entering;
mod socket;

use std::{
    io,
    marker::PhantomData,
    mem,
    ops::Range,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::Duration,
};

use io_uring::{
    opcode, squeue,
    types::{CancelBuilder, Fixed, Timespec},
    IoUring,
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags},
};

use buffers::{Buffers, GROUP};
use completion::{tag, user_data};
pub use completion::{Arrival, Completion};
use datagrams::Senders;
pub use datagrams::MAX_SENDER;
use entering::Refusals;
pub use entering::Wait;
use socket::{Held, Sending, Socket};

/// How many requests are collected at most before the kernel gets them. Entering it costs little beside so many, and the
/// first of them does not wait long.
const REQUESTS: u32 = 32;

/// Of a send: all or nothing, as far as it goes. The kernel calls it a flag of receives.
const MSG_WAITALL: i32 = RecvFlags::WAITALL.bits() as i32;

/// How many bytes one request sends at most (the kernel's `MAX_RW_COUNT`, for pages of any size).
pub const MAX_SEND: usize = i32::MAX as usize & !0xffff;

/// How many completions there is room for, without the kernel having to keep them elsewhere.
const COMPLETIONS: u32 = 4096;

/// Sockets of one thread, on which it sends and receives by io_uring.
pub struct Ring {
    // Dropped first: it uses the memory of the others.
    uring: IoUring,
    buffers: Buffers,
    sockets: Vec<Socket>,
    /// The buffers of datagrams that are being answered, which are read until the requests are handed over.
    answering: Vec<u16>,
    /// How much of a datagram's buffer its sender takes, for the kernel to read.
    senders: Box<Senders>,
    /// What the next alarm is to be, for the kernel to read.
    alarm: Box<Timespec>,
    /// Requests that the kernel has, or is going to get, and that it will answer once more at least.
    unanswered: usize,
    /// How many requests were collected, ever.
    collected: u64,
    /// How many of them the kernel has got.
    handed_over: u64,
    /// How often in a row the kernel did not take requests.
    refusals: Refusals,
    /// Only the thread that made it may use it.
    _thread: PhantomData<*const ()>,
}

impl Ring {
    /// A ring of these sockets, with so many buffers to receive into; there are powers of two, of at most 4096.
    ///
    /// # Errors
    ///
    /// The system has no io_uring, or an older one than this takes, or does not allow it, as the text of the error says.
    pub fn new(sockets: Vec<OwnedFd>, buffers: usize) -> io::Result<Self> {
        Self::with_room(sockets, 0, buffers)
    }

    /// As [`Ring::new`], and with room for so many sockets that are accepted.
    ///
    /// # Errors
    ///
    /// As [`Ring::new`]; also that a process must not have so many descriptors, though those of accepted sockets are none.
    pub fn with_room(sockets: Vec<OwnedFd>, room: u32, buffers: usize) -> io::Result<Self> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(REQUESTS)
            .map_err(explained)?;
        let descriptors: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        let places = room.saturating_add(descriptors.len() as u32);
        if places != 0 {
            uring.submitter().register_files_sparse(places)?;
        }
        if !descriptors.is_empty() {
            uring.submitter().register_files_update(0, &descriptors)?;
        }
        let mut buffers = Buffers::new(buffers);
        // SAFETY: `buffers` are dropped here, if something fails, when there are no requests yet, and otherwise by
        // `Ring::drop`, which forgets them instead if not all requests were answered. `Ring` makes none afterwards.
        unsafe { buffers.register(&uring) }?;
        Ok(Self {
            uring,
            buffers,
            sockets: sockets
                .into_iter()
                .map(Held::Here)
                .map(Socket::new)
                .collect(),
            answering: Vec::new(),
            senders: Box::default(),
            alarm: Box::default(),
            unanswered: 0,
            collected: 0,
            handed_over: 0,
            refusals: Refusals::default(),
            _thread: PhantomData,
        })
    }

    /// A socket, if it was not closed, and not accepted by the ring.
    pub fn socket(&self, socket: usize) -> Option<BorrowedFd<'_>> {
        match &self.sockets[socket].held {
            Held::Here(descriptor) => Some(descriptor.as_fd()),
            Held::InRing | Held::Nowhere => None,
        }
    }

    /// Whether the kernel has, or is going to get, a request to send on a socket.
    #[inline]
    pub fn is_sending(&self, socket: usize) -> bool {
        self.sockets[socket].is_sending(self.handed_over)
    }

    /// What a socket sends; `None` while the kernel has it.
    #[inline]
    pub fn outgoing(&mut self, socket: usize) -> Option<&mut Vec<u8>> {
        self.sockets[socket].lend_outgoing(self.handed_over)
    }

    /// Sends some of [`Ring::outgoing`], with the next [`Ring::submit`] or [`Ring::enter`]; at the end of the range is the
    /// end of a datagram.
    ///
    /// It is done when that returns, and has sent everything unless a [`Completion::Sent`] is there then, which should be
    /// looked for before anything else is sent. If the socket was full, its error is [`io::ErrorKind::WouldBlock`].
    ///
    /// # Errors
    ///
    /// The kernel does not take requests, or not so many bytes: more than [`MAX_SEND`].
    ///
    /// # Panics
    ///
    /// The kernel has what is outgoing already, or the range is not in it.
    #[inline]
    pub fn send(&mut self, socket: usize, range: Range<usize>) -> io::Result<()> {
        // Sends everything (MSG_WAITALL), or fails (MSG_DONTWAIT); and succeeds silently.
        let flags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
        let entry = self
            .to_send(socket, range)?
            .flags(flags.bits() as i32 | MSG_WAITALL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(user_data(socket, tag::SEND));
        // SAFETY: the kernel reads what is outgoing until `call` has handed the request over: it tries once, and because of
        // MSG_DONTWAIT it does nothing later. Until then it stays where it is and as it is: it is on the heap, `outgoing`
        // does not lend it while `is_sending`, and `Ring::drop` does not hand over what it frees.
        unsafe { self.push(&entry) }?;
        self.sockets[socket].sending = Sending::Queued(self.collected);
        Ok(())
    }

    /// Sends some of [`Ring::outgoing`] as soon as the socket has room. The kernel has it until [`Completion::Sent`].
    ///
    /// # Errors
    ///
    /// The kernel does not take requests.
    ///
    /// # Panics
    ///
    /// As [`Ring::send`].
    pub fn send_waiting(&mut self, socket: usize, range: Range<usize>) -> io::Result<()> {
        let entry = self
            .to_send(socket, range)?
            .flags(SendFlags::NOSIGNAL.bits() as i32)
            .build()
            .user_data(user_data(socket, tag::WAITING_SEND));
        // SAFETY: the kernel reads what is outgoing until it answers. Until then it stays where it is and as it is: it is
        // on the heap, `outgoing` does not lend it while `is_sending`, and `Ring::drop` forgets it if it must.
        unsafe { self.push(&entry) }?;
        self.sockets[socket].sending = Sending::Waiting;
        self.unanswered += 1;
        Ok(())
    }

    #[inline]
    fn to_send(&self, socket: usize, range: Range<usize>) -> io::Result<opcode::Send> {
        let sender = &self.sockets[socket];
        assert!(
            !sender.is_sending(self.handed_over),
            "the kernel has what is outgoing already"
        );
        let bytes = &sender.outgoing[range];
        if bytes.len() > MAX_SEND {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let socket = Fixed(socket as u32);
        Ok(opcode::Send::new(
            socket,
            bytes.as_ptr(),
            bytes.len() as u32,
        ))
    }

    /// Receives on a socket from now on until [`Completion::Received`] says that this was the last. Does nothing if it does
    /// so already.
    ///
    /// When there are no more buffers, the last one is an error with the number of `ENOBUFS`.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests.
    pub fn receive(&mut self, socket: usize) -> io::Result<()> {
        if self.sockets[socket].is_receiving {
            return Ok(());
        }
        let entry = opcode::RecvMulti::new(Fixed(socket as u32), GROUP)
            .build()
            .user_data(user_data(socket, tag::RECEIVE));
        // SAFETY: the kernel writes only to buffers that are its own, and these are there until it has answered.
        unsafe { self.push(&entry) }?;
        self.sockets[socket].is_receiving = true;
        self.unanswered += 1;
        Ok(())
    }

    /// Whether the kernel has a request to receive on a socket.
    pub fn is_receiving(&self, socket: usize) -> bool {
        self.sockets[socket].is_receiving
    }

    /// Ends [`Ring::receive`] without waiting for something: there is one more [`Completion::Received`], if only with an
    /// error. What has come already is left in the socket.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests.
    pub fn stop_receiving(&mut self, socket: usize) -> io::Result<()> {
        if self.sockets[socket].is_receiving {
            self.cancel(CancelBuilder::user_data(user_data(socket, tag::RECEIVE)))?;
        }
        Ok(())
    }

    /// Closes a socket, whatever is still to be done on it. Completions of earlier requests may follow.
    ///
    /// One that was accepted must be neither receiving nor [waiting](Ring::send_waiting) for room: its place may be that of
    /// the next one.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests, or an accepted socket is [`io::ErrorKind::ResourceBusy`].
    pub fn close(&mut self, socket: usize) -> io::Result<()> {
        match self.sockets[socket].held {
            Held::Here(_) => self.sockets[socket].held = Held::Nowhere,
            Held::InRing => return self.close_accepted(socket),
            Held::Nowhere => return Ok(()),
        }
        let submitter = self.uring.submitter();
        submitter.register_files_update(socket as u32, &[-1])?;
        if self.is_sending(socket) {
            self.cancel(CancelBuilder::user_data(user_data(
                socket,
                tag::WAITING_SEND,
            )))?;
        }
        self.stop_receiving(socket)?;
        // Requests keep a socket open until they are at their end.
        self.enter(Wait::No)
    }

    /// Has a [`Completion::Alarm`] come once after this time. Each call makes one more alarm.
    ///
    /// One that is set anew every second costs less than a limit to each of the waits in between.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests.
    pub fn set_alarm(&mut self, after: Duration) -> io::Result<()> {
        *self.alarm = Timespec::from(after);
        let entry = opcode::Timeout::new(&*self.alarm)
            .build()
            .user_data(user_data(0, tag::ALARM));
        // SAFETY: the kernel reads the time when the request is handed over, by a call of ours, and never again
        // (`IORING_FEAT_SUBMIT_STABLE`, Linux 5.5). It stays where it is for as long as requests can be handed over.
        unsafe { self.push(&entry) }?;
        self.unanswered += 1;
        Ok(())
    }

    /// What has come; nothing if it is of another ring.
    #[inline]
    pub fn bytes(&self, arrival: &Arrival) -> &[u8] {
        self.buffers.bytes(arrival.buffer)
    }

    /// What has come on a socket, and what it sends: [`Ring::bytes`] and [`Ring::outgoing`] at once.
    #[inline]
    pub fn bytes_and_outgoing(
        &mut self,
        arrival: &Arrival,
        socket: usize,
    ) -> (&[u8], Option<&mut Vec<u8>>) {
        let outgoing = self.sockets[socket].lend_outgoing(self.handed_over);
        (self.buffers.bytes(arrival.buffer), outgoing)
    }

    /// Gives a buffer back.
    #[inline]
    pub fn give_back(&mut self, arrival: Arrival) {
        self.buffers.give_back(arrival.buffer);
    }

    fn cancel(&mut self, which: CancelBuilder) -> io::Result<()> {
        let entry = opcode::AsyncCancel2::new(which)
            .build()
            .user_data(user_data(0, tag::CANCEL));
        // SAFETY: the request refers to no memory.
        unsafe { self.push(&entry) }?;
        self.unanswered += 1;
        Ok(())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !self.cancel_all() {
            // The kernel may still use this memory.
            mem::forget(mem::replace(&mut self.buffers, Buffers::new(1)));
            mem::forget(mem::take(&mut self.sockets));
        }
    }
}

/// Says what can be done about the errors with which a kernel refuses to make a ring.
fn explained(error: io::Error) -> io::Error {
    let text = match Errno::from_io_error(&error) {
        Some(Errno::NOSYS) => "this kernel has none",
        Some(Errno::PERM | Errno::ACCESS) => {
            "not allowed here: see the sysctl kernel.io_uring_disabled, or the container's seccomp rules"
        }
        Some(Errno::INVAL) => "this kernel's is too old: that of Linux 6.1 or a later one is needed",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("io_uring: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_can_be_done() {
        for (errno, says) in [
            (Errno::NOSYS, "has none"),
            (Errno::PERM, "kernel.io_uring_disabled"),
            (Errno::INVAL, "Linux 6.1"),
        ] {
            let error = explained(errno.into());
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.kind(), io::Error::from(errno).kind());
        }
        let other = explained(Errno::NOMEM.into());
        assert_eq!(Errno::from_io_error(&other), Some(Errno::NOMEM));
    }
}
