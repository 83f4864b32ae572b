// SPDX-License-Identifier: GPL-2.0

//! A UDP client that asks one thing at a time, and asks again when no reply comes.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use crate::failure::Failure;

/// The most bytes of a datagram, over IPv6.
const LARGEST: usize = 65_527;

/// How many requests are remembered that replies may still come to.
const OWED: usize = 256;

/// How often and for how long it asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long it waits for a reply before it asks again, or gives up.
    pub(crate) wait: Duration,
    /// How often it asks again.
    pub(crate) resends: u32,
}

/// A socket without a peer, from `source` or from where the system decides.
pub(crate) fn open(target: SocketAddr, source: Option<SocketAddr>) -> io::Result<UdpSocket> {
    let any = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    UdpSocket::bind(source.unwrap_or(any))
}

/// The client.
#[derive(Debug)]
pub(crate) struct Asker {
    socket: UdpSocket,
    target: SocketAddr,
    is_connected: bool,
    /// Requests that were sent more often than they were answered, and how much more often.
    owed: VecDeque<(Vec<u8>, u32)>,
    buffer: Box<[u8]>,
}

impl Asker {
    /// A client of `target`, from `source` or from where the system decides.
    ///
    /// If it is connected, the system gives it the replies that come from `target` only. Otherwise it gets all, and
    /// looks itself where they come from.
    pub(crate) fn new(
        target: SocketAddr,
        source: Option<SocketAddr>,
        is_connected: bool,
    ) -> io::Result<Self> {
        let socket = open(target, source)?;
        if is_connected {
            socket.connect(target)?;
        }
        Ok(Self {
            socket,
            target,
            is_connected,
            owed: VecDeque::new(),
            // One byte more than there can be.
            buffer: vec![0; LARGEST + 1].into(),
        })
    }

    /// Sends `request` until its reply comes, and returns how often.
    ///
    /// # Errors
    ///
    /// Also that something came that is no reply. Late replies to what was asked more than once are none.
    pub(crate) fn ask(&mut self, request: &[u8], patience: Patience) -> Result<u32, Failure> {
        for sends in 1..=patience.resends + 1 {
            self.send(request)?;
            if self.wait_for(request, patience.wait)? {
                self.owe(request, sends - 1);
                return Ok(sends);
            }
        }
        let sends = patience.resends + 1;
        self.owe(request, sends);
        Err(Failure::NoReply {
            size: request.len(),
            sends,
        })
    }

    /// Sends `request`, and does not wait.
    pub(crate) fn send(&self, request: &[u8]) -> Result<(), Failure> {
        if self.is_connected {
            self.socket.send(request)?;
        } else {
            self.socket.send_to(request, self.target)?;
        }
        Ok(())
    }

    /// Makes sure that nothing comes, for the time `wait`, but late replies.
    pub(crate) fn expect_silence(&mut self, wait: Duration) -> Result<(), Failure> {
        let until = Instant::now() + wait;
        while let Some(size) = self.receive(until)? {
            if !self.is_owed(size) {
                return Err(Failure::Answered { size });
            }
        }
        Ok(())
    }

    /// Remembers that so many replies to `request` may still come.
    fn owe(&mut self, request: &[u8], times: u32) {
        if times > 0 {
            self.owed.push_front((request.to_vec(), times));
            self.owed.truncate(OWED);
        }
    }

    /// Whether what was received is a reply to an earlier request, which it then is no more.
    fn is_owed(&mut self, size: usize) -> bool {
        let got = &self.buffer[..size];
        let owed = self
            .owed
            .iter_mut()
            .find(|(request, times)| *times > 0 && request == got);
        owed.map(|(_, times)| *times -= 1).is_some()
    }

    /// Waits for the reply to `request`, and returns whether it came.
    fn wait_for(&mut self, request: &[u8], wait: Duration) -> Result<bool, Failure> {
        let until = Instant::now() + wait;
        while let Some(size) = self.receive(until)? {
            let got = &self.buffer[..size];
            if got == request {
                return Ok(true);
            }
            if !self.is_owed(size) {
                return Err(self.wrong(request, size));
            }
        }
        Ok(false)
    }

    /// What it means that something came that is no reply.
    #[cold]
    fn wrong(&self, request: &[u8], size: usize) -> Failure {
        if size == request.len() {
            Failure::wrong_byte(0, request, &self.buffer[..size])
        } else {
            Failure::WrongDatagram {
                expected: request.len(),
                got: size,
            }
        }
    }

    /// Receives a datagram and returns its size, or `None` if there is none until then.
    fn receive(&mut self, until: Instant) -> Result<Option<usize>, Failure> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            // A microsecond is what a socket can wait at least.
            self.socket
                .set_read_timeout(Some(left.max(Duration::from_micros(1))))?;
            match self.socket.recv_from(&mut self.buffer) {
                Ok((_, from)) if from != self.target => return Err(Failure::WrongSource(from)),
                Ok((size, _)) => return Ok(Some(size)),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }
}
