// SPDX-License-Identifier: GPL-2.0

//! A server of NFS NULL and of ksf_echo, without sockets: what krpc does with what comes, by the codec that it uses.

use wire::{
    record::{Finder, Found, Limits},
    rpc::{
        server::{serve_if, Answer, Request},
        AuthStat, NULL,
    },
};

#[path = "../oracle/programs.rs"]
mod programs;

use programs::PROGRAMS;

/// What krpc has by default.
const LIMITS: Limits = Limits {
    bytes: 65_536,
    fragments: 64,
};

/// How much of a message is looked at, in bytes.
const SEEN: usize = 4_096;

/// The most bytes of a reply over UDP.
const MAX_DATAGRAM: usize = 32;

/// The message that is no call that closes its connection.
const CLOSING_OTHER: u32 = 16;

/// What may be called.
pub(crate) type Admit = fn(&Request<'_, ()>) -> Result<(), AuthStat>;

/// Lets a port that is not privileged call NULL only.
pub(crate) fn admit_null(request: &Request<'_, ()>) -> Result<(), AuthStat> {
    if request.procedure() == NULL {
        Ok(())
    } else {
        Err(AuthStat::TOOWEAK)
    }
}

/// Lets everybody call everything.
pub(crate) fn admit_all(_: &Request<'_, ()>) -> Result<(), AuthStat> {
    Ok(())
}

/// The reply to a datagram.
pub(crate) fn datagram(message: &[u8], admit: Admit) -> Option<Vec<u8>> {
    let mut reply = [0; MAX_DATAGRAM];
    let room = &mut reply[..message.len().min(MAX_DATAGRAM)];
    let seen = &message[..message.len().min(SEEN)];
    match serve_if(&PROGRAMS, &(), seen, room, admit).answer {
        Answer::Reply(len) => Some(reply[..len].to_vec()),
        Answer::Drop | Answer::Close => None,
    }
}

/// What is done about a message that came over TCP; the reply is appended, with its mark.
pub(crate) fn message(message: &[u8], admit: Admit, replies: &mut Vec<u8>) -> Answer {
    let mut reply = [0; SEEN];
    let seen = &message[..message.len().min(SEEN)];
    let answer = serve_if(&PROGRAMS, &(), seen, &mut reply, admit).answer;
    if let Answer::Reply(len) = answer {
        replies.extend_from_slice(&(0x8000_0000 | len as u32).to_be_bytes());
        replies.extend_from_slice(&reply[..len]);
    }
    answer
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    finder: Finder,
    /// What was received and not served yet.
    received: Vec<u8>,
    /// Messages that are no calls.
    others: u32,
    is_closed: bool,
    admit: Admit,
}

impl Connection {
    /// One on which nothing has come yet.
    pub(crate) fn new(admit: Admit) -> Self {
        Self {
            finder: Finder::new(LIMITS),
            received: Vec::new(),
            others: 0,
            is_closed: false,
            admit,
        }
    }

    /// Takes more of the stream, appends replies with their marks, and returns whether the connection is to be closed.
    pub(crate) fn take(&mut self, bytes: &[u8], replies: &mut Vec<u8>) -> bool {
        self.received.extend_from_slice(bytes);
        let mut from = 0;
        while !self.is_closed {
            let stream = &self.received[from..];
            let found = self
                .finder
                .next(stream.len(), |at| stream.get(at..)?.first_chunk().copied());
            match found {
                Ok(Found::Need(_)) => break,
                Ok(Found::Record(extent)) => {
                    let record = joined(&stream[..extent.span]);
                    assert_eq!(record.len(), extent.bytes as usize);
                    from += extent.span;
                    self.is_closed = match message(&record, self.admit, replies) {
                        Answer::Reply(_) => false,
                        Answer::Close => true,
                        Answer::Drop => {
                            self.others += 1;
                            self.others == CLOSING_OTHER
                        }
                    };
                }
                Err(_) => self.is_closed = true,
            }
        }
        self.received.drain(..from);
        self.is_closed
    }
}

/// The fragments of a record without their marks.
fn joined(mut stream: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    while let Some((mark, rest)) = stream.split_first_chunk() {
        let length = (u32::from_be_bytes(*mark) & 0x7fff_ffff) as usize;
        record.extend_from_slice(&rest[..length]);
        stream = &rest[length..];
    }
    record
}
