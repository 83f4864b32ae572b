// SPDX-License-Identifier: GPL-2.0

//! A connection or a socket on which all that comes back is known before.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context};
use rustix::{
    event::{poll, PollFd, PollFlags, Timespec},
    io::Errno,
};

use super::hex;
use crate::asker;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// This side ends it, and then the server does, and says nothing more.
    Ours,
    /// The server ends it by itself.
    Theirs,
    /// The server ends it by itself. It has not seen all that was sent, and may reset it.
    TheirsEarly,
}

/// A step of a conversation: what is sent, and what comes back before the next step.
pub(super) type Step<'a> = (&'a [u8], &'a [u8]);

/// A connection.
#[derive(Debug)]
pub(super) struct Talk {
    stream: TcpStream,
    timeout: Duration,
    buffer: Box<[u8]>,
}

impl Talk {
    pub(super) fn connect(target: SocketAddr, timeout: Duration) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&target, timeout);
        let stream = stream.with_context(|| format!("cannot connect to {target}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            timeout,
            buffer: vec![0; 1 << 16].into(),
        })
    }

    /// Takes all steps, and ends the connection.
    pub(super) fn have(
        target: SocketAddr,
        timeout: Duration,
        steps: &[Step<'_>],
        end: End,
    ) -> anyhow::Result<()> {
        let mut talk = Self::connect(target, timeout)?;
        for (number, step) in steps.iter().enumerate() {
            let is_last = number + 1 == steps.len();
            talk.step(*step, is_last && end == End::TheirsEarly)?;
        }
        talk.end(end)
    }

    /// Sends what is to be sent, until what is due came back, and both at the same time.
    ///
    /// If it `may_be_cut`, the server may be gone before all is sent.
    pub(super) fn step(
        &mut self,
        (mut sent, due): Step<'_>,
        may_be_cut: bool,
    ) -> anyhow::Result<()> {
        let mut received = 0;
        let mut progress_at = Instant::now();
        while !sent.is_empty() || received < due.len() {
            let mut has_gone_on = false;
            if !sent.is_empty() {
                match self.stream.write(sent) {
                    Ok(count) => {
                        sent = &sent[count..];
                        has_gone_on = true;
                    }
                    Err(error) if is_blocked(&error) => {}
                    Err(error) if may_be_cut && is_end(&error) => sent = &[],
                    Err(error) => bail!("cannot send: {error}"),
                }
            }
            if received < due.len() {
                match self.stream.read(&mut self.buffer) {
                    Ok(0) => bail!(
                        "closed by the server after {}, where {} is due",
                        hex(&due[..received]),
                        hex(due)
                    ),
                    Ok(count) => {
                        let got = &self.buffer[..count];
                        ensure!(
                            due[received..].starts_with(got),
                            "received {} after {}, where {} is due",
                            hex(got),
                            hex(&due[..received]),
                            hex(due)
                        );
                        received += count;
                        has_gone_on = true;
                    }
                    Err(error) if is_blocked(&error) => {}
                    Err(error) => bail!(
                        "{error} after {}, where {} is due",
                        hex(&due[..received]),
                        hex(due)
                    ),
                }
            }
            if has_gone_on {
                progress_at = Instant::now();
                continue;
            }
            self.wait(progress_at, !sent.is_empty()).with_context(|| {
                format!(
                    "received {}, where {} is due",
                    hex(&due[..received]),
                    hex(due)
                )
            })?;
        }
        Ok(())
    }

    /// Waits for the end of a connection on which nothing more comes.
    pub(super) fn end(mut self, end: End) -> anyhow::Result<()> {
        let begun = Instant::now();
        if end == End::Ours {
            // Nothing has come that is too much, nor an end.
            match self.stream.read(&mut self.buffer) {
                Err(error) if is_blocked(&error) => {}
                result => return Err(self.surplus(result, "where nothing is due")),
            }
            self.stream
                .shutdown(Shutdown::Write)
                .context("cannot end the stream")?;
        }
        loop {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Err(error) if is_blocked(&error) => self
                    .wait(begun, false)
                    .context("where the server is to close the connection")?,
                Err(error) if end == End::TheirsEarly && is_end(&error) => return Ok(()),
                result => return Err(self.surplus(result, "where an end is due")),
            }
        }
    }

    /// What came where something else is due.
    #[cold]
    fn surplus(&self, result: io::Result<usize>, due: &str) -> anyhow::Error {
        match result {
            Ok(0) => anyhow::anyhow!("closed by the server, {due}"),
            Ok(count) => anyhow::anyhow!("received {}, {due}", hex(&self.buffer[..count])),
            Err(error) => anyhow::anyhow!("{error}, {due}"),
        }
    }

    /// Sends and receives what it can, and says what has become of it: for those who do not know what is due.
    pub(super) fn take(
        &mut self,
        received: &mut Vec<u8>,
        sent: &mut &[u8],
    ) -> anyhow::Result<bool> {
        let begun = Instant::now();
        loop {
            if !sent.is_empty() {
                match self.stream.write(sent) {
                    Ok(count) => {
                        *sent = &sent[count..];
                        return Ok(true);
                    }
                    Err(error) if is_blocked(&error) => {}
                    // What came before that can still be read.
                    Err(error) if is_end(&error) => *sent = &[],
                    Err(error) => return Err(error.into()),
                }
            }
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    received.extend_from_slice(&self.buffer[..count]);
                    return Ok(true);
                }
                Err(error) if is_blocked(&error) => self.wait(begun, !sent.is_empty())?,
                Err(error) if is_end(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the socket to change.
    fn wait(&self, since: Instant, can_send: bool) -> anyhow::Result<()> {
        let left = (since + self.timeout).saturating_duration_since(Instant::now());
        ensure!(
            !left.is_zero(),
            "no progress for {:.3} s",
            self.timeout.as_secs_f64()
        );
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, can_send);
        let mut fds = [PollFd::new(&self.stream, flags)];
        match poll(&mut fds, Some(&Timespec::try_from(left)?)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_blocked(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    )
}

/// A socket.
#[derive(Debug)]
pub(super) struct Post {
    socket: UdpSocket,
    buffer: Box<[u8]>,
}

impl Post {
    pub(super) fn connect(target: SocketAddr, timeout: Duration) -> anyhow::Result<Self> {
        let socket = asker::open(target, None)?;
        socket
            .connect(target)
            .with_context(|| format!("cannot send to {target}"))?;
        // A microsecond is what a socket can wait at least.
        socket.set_read_timeout(Some(timeout.max(Duration::from_micros(1))))?;
        Ok(Self {
            socket,
            buffer: vec![0; 1 << 16].into(),
        })
    }

    pub(super) fn send(&self, message: &[u8]) -> anyhow::Result<()> {
        self.socket.send(message).context("cannot send")?;
        Ok(())
    }

    /// The next datagram, or `None` if none has come in time.
    pub(super) fn receive(&mut self) -> anyhow::Result<Option<&[u8]>> {
        loop {
            match self.socket.recv(&mut self.buffer) {
                Ok(count) => return Ok(Some(&self.buffer[..count])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot receive"),
            }
        }
    }
}
