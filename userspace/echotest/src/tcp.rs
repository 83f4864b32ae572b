// SPDX-License-Identifier: GPL-2.0

//! One TCP connection: sends messages, and compares what comes back.

use std::{
    collections::VecDeque,
    io::{self, Read},
    net::{Shutdown, TcpStream},
    time::Instant,
};

use loadgen::{target::ConnectError, Peer, Recorder};
use rustix::{
    event::{poll, PollFd, PollFlags, Timespec},
    io::Errno,
    net::{send, SendFlags},
};

use crate::{
    failure::Failure,
    job::{Connection, Work},
    pattern::Pattern,
};

/// What can be done about sending.
#[derive(Debug)]
enum Sending {
    /// The socket may take bytes.
    Ready,
    /// The socket is full.
    Full,
    /// The socket takes nothing any more. Replies may still be waiting in it.
    Failed(io::Error),
}

/// A connection and how far it has come.
///
/// Sending never blocks, and receiving only when all that may be sent is on its way. So one message in flight costs one
/// call to send and one to receive, and many large ones cannot bring client and server to wait for each other.
#[derive(Debug)]
pub(crate) struct Tcp<'a> {
    stream: TcpStream,
    number: u64,
    pattern: &'a Pattern,
    work: Work,
    sending: Sending,
    /// Messages that were begun.
    sent: u64,
    /// How much of the last of them was sent already, if it is not complete.
    partly_sent: Option<usize>,
    /// When the messages that have no complete reply were begun, the oldest first.
    begun: VecDeque<Instant>,
    /// How much of the oldest one's reply has come.
    partly_received: usize,
}

impl<'a> Connection<'a> for Tcp<'a> {
    const PROTOCOL: &'static str = "TCP";

    fn open(
        peer: &mut Peer,
        number: u64,
        pattern: &'a Pattern,
        work: Work,
    ) -> Result<Self, ConnectError> {
        Ok(Self {
            stream: peer.connect(work.timeout)?,
            number,
            pattern,
            work,
            sending: Sending::Ready,
            sent: 0,
            partly_sent: None,
            begun: VecDeque::with_capacity(work.in_flight),
            partly_received: 0,
        })
    }

    fn send(&mut self, recorder: &mut Recorder<'_>) -> Result<(), Failure> {
        while matches!(self.sending, Sending::Ready) {
            let from = match self.partly_sent {
                Some(from) => from,
                None if self.may_begin(recorder) => {
                    self.sent += 1;
                    recorder.sent();
                    self.begun.push_back(Instant::now());
                    0
                }
                None => break,
            };
            let message = &self.pattern.message(self.number, self.sent - 1)[from..];
            let sent = match send(
                &self.stream,
                message,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(sent) => sent,
                Err(Errno::AGAIN | Errno::INTR) => 0,
                Err(error) => {
                    self.sending = Sending::Failed(error.into());
                    break;
                }
            };
            if sent == message.len() {
                self.partly_sent = None;
            } else {
                self.partly_sent = Some(from + sent);
                self.sending = Sending::Full;
            }
        }
        // Why sending failed, if it did, is told when all replies that have come were received.
        Ok(())
    }

    fn is_waiting(&self) -> bool {
        !self.begun.is_empty()
    }

    fn receive(&mut self, buffer: &mut [u8], recorder: &mut Recorder<'_>) -> Result<(), Failure> {
        if matches!(self.sending, Sending::Full) && !self.wait_for_either()? {
            return Ok(());
        }
        let received = match self.stream.read(buffer) {
            Ok(0) => return Err(self.end_of_stream()),
            Ok(received) => received,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => return Ok(()),
                io::ErrorKind::WouldBlock => return Err(Failure::NoProgress(self.work.timeout)),
                _ => return Err(error.into()),
            },
        };
        let mut rest = &buffer[..received];
        while !rest.is_empty() {
            let Some(begun) = self.begun.front() else {
                return Err(Failure::Surplus {
                    bytes: rest.len(),
                    message: self.sent,
                });
            };
            let number = self.sent - self.begun.len() as u64;
            let expected = &self.pattern.message(self.number, number)[self.partly_received..];
            let (got, later) = rest.split_at(rest.len().min(expected.len()));
            if *got != expected[..got.len()] {
                return Err(Failure::wrong_byte(
                    number,
                    self.partly_received,
                    expected,
                    got,
                ));
            }
            rest = later;
            if got.len() < expected.len() {
                self.partly_received += got.len();
            } else {
                recorder.answered(begun.elapsed());
                self.begun.pop_front();
                self.partly_received = 0;
            }
        }
        Ok(())
    }

    fn end(&self) -> Result<(), Failure> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    fn expect_end(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(()),
                Ok(bytes) => {
                    return Err(Failure::Surplus {
                        bytes,
                        message: self.sent,
                    })
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Err(Failure::NotClosed(self.work.timeout)),
                    _ => return Err(error.into()),
                },
            }
        }
    }
}

impl Tcp<'_> {
    fn may_begin(&self, recorder: &Recorder<'_>) -> bool {
        self.begun.len() < self.work.in_flight && self.sent < self.work.count && !recorder.stopped()
    }

    /// Waits until the full socket takes or has bytes; returns whether it has.
    fn wait_for_either(&mut self) -> Result<bool, Failure> {
        let timeout = Timespec::try_from(self.work.timeout)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN | PollFlags::OUT)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Err(Failure::NoProgress(self.work.timeout)),
            Ok(_) => {}
            // A stop and continue; the wait begins anew.
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let events = fds[0].revents();
        if events.contains(PollFlags::OUT) {
            self.sending = Sending::Ready;
        }
        // An error or the end of the stream is what receiving returns.
        Ok(events.intersects(PollFlags::IN | PollFlags::ERR | PollFlags::HUP))
    }

    /// What it means that the stream ended while a reply was due.
    #[cold]
    fn end_of_stream(&mut self) -> Failure {
        match std::mem::replace(&mut self.sending, Sending::Full) {
            // The socket tells of a reset only once. A broken pipe is but the end of the stream seen from the other side.
            Sending::Failed(error) if error.kind() != io::ErrorKind::BrokenPipe => error.into(),
            _ => Failure::ClosedEarly,
        }
    }
}
