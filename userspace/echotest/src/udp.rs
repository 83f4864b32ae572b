// SPDX-License-Identifier: GPL-2.0

//! One UDP socket: sends datagrams, and tells what became of each.
//!
//! A datagram begins with its number, so that the one that comes back says which it is, whatever happened to the others.
//! The numbers of a socket begin at a place of its own among all that 64 bits hold: another socket's, or another run's,
//! are none that it ever sent.

use std::{
    collections::{HashSet, VecDeque},
    io,
    net::UdpSocket,
    time::Instant,
};

use loadgen::{target::ConnectError, Peer, Recorder};
use rustix::{
    io::Errno,
    net::{send, SendFlags},
};

use crate::{
    failure::Failure,
    job::{Connection, Work},
    pattern::Pattern,
};

/// The bytes of a datagram's number, which is the least that a datagram has.
pub(crate) const NUMBER_BYTES: usize = 8;

/// The most that UDP over IPv4 takes.
pub(crate) const MAX_BYTES: usize = 65_507;

/// The client gives up if nothing has come for so many times what a datagram may take.
const PATIENCE: u32 = 5;

/// A lost datagram is noticed late by at most this part of the time that it may take.
const PRECISION: u32 = 8;

/// A socket and how far it has come.
///
/// One datagram in flight costs one call to send and one to receive. A datagram that is lost makes room for the next when
/// its time is over, and holds up nothing but itself until then.
#[derive(Debug)]
pub(crate) struct Udp<'a> {
    socket: UdpSocket,
    number: u64,
    pattern: &'a Pattern,
    work: Work,
    /// What is sent next, made here from its number and the pattern.
    datagram: Vec<u8>,
    /// Datagrams that were sent.
    sent: u64,
    /// When those from the oldest that waits to the last were sent; `None` for one that came back.
    begun: VecDeque<Option<Instant>>,
    /// How many of them wait.
    waiting: usize,
    /// Those that were given up, and have not come back since.
    lost: HashSet<u64>,
    /// All that came back have lower numbers than this.
    next_in_order: u64,
    /// When something came last.
    heard: Instant,
}

impl<'a> Connection<'a> for Udp<'a> {
    const PROTOCOL: &'static str = "UDP";

    fn open(
        peer: &mut Peer,
        number: u64,
        pattern: &'a Pattern,
        work: Work,
    ) -> Result<Self, ConnectError> {
        let socket = peer.connect_datagrams()?;
        socket
            .set_read_timeout(Some(work.timeout / PRECISION))
            .map_err(|error| ConnectError {
                address: peer.address(),
                error,
            })?;
        Ok(Self {
            socket,
            number,
            pattern,
            work,
            datagram: Vec::new(),
            sent: 0,
            begun: VecDeque::with_capacity(work.in_flight),
            waiting: 0,
            lost: HashSet::new(),
            next_in_order: 0,
            heard: Instant::now(),
        })
    }

    fn send(&mut self, recorder: &mut Recorder<'_>) -> Result<(), Failure> {
        while self.waiting < self.work.in_flight
            && self.sent < self.work.count
            && !recorder.stopped()
        {
            let content = self.pattern.message(self.number, self.sent);
            self.datagram.clear();
            self.datagram
                .extend_from_slice(&self.first_number().wrapping_add(self.sent).to_be_bytes());
            self.datagram.extend_from_slice(&content[NUMBER_BYTES..]);
            self.sent += 1;
            recorder.sent();
            self.begun.push_back(Some(Instant::now()));
            self.waiting += 1;
            // Blocks only while the system's own queues are full: no server can keep them so.
            loop {
                match send(&self.socket, &self.datagram, SendFlags::empty()) {
                    Ok(_) => break,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(io::Error::from(error).into()),
                }
            }
        }
        Ok(())
    }

    fn is_waiting(&self) -> bool {
        self.waiting != 0
    }

    fn receive(&mut self, buffer: &mut [u8], recorder: &mut Recorder<'_>) -> Result<(), Failure> {
        let received = self.socket.recv(buffer);
        let now = Instant::now();
        match received {
            Ok(length) => {
                self.heard = now;
                let number = self.verify(&buffer[..length])?;
                self.settle(number, now, recorder);
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                _ => return Err(error.into()),
            },
        }
        self.give_up_the_lost(now);
        let patience = self.work.timeout * PATIENCE;
        if now - self.heard >= patience {
            return Err(Failure::NoProgress(patience));
        }
        Ok(())
    }

    fn end(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn expect_end(&mut self, _buffer: &mut [u8]) -> Result<(), Failure> {
        Ok(())
    }
}

impl Udp<'_> {
    /// What the number of the first datagram is on the wire.
    fn first_number(&self) -> u64 {
        // Multiples of the golden ratio are as far apart as so many places can be.
        (self.number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Compares a datagram with the one that was sent, and returns that one's number from 0.
    fn verify(&self, datagram: &[u8]) -> Result<u64, Failure> {
        let expected = self.pattern.message(self.number, 0).len();
        let (number, content) = match datagram.split_first_chunk::<NUMBER_BYTES>() {
            Some((number, content)) if datagram.len() == expected => (number, content),
            _ => {
                return Err(Failure::WrongLength {
                    expected,
                    got: datagram.len(),
                })
            }
        };
        let number = u64::from_be_bytes(*number).wrapping_sub(self.first_number());
        if number >= self.sent {
            return Err(Failure::NeverSent);
        }
        let expected = &self.pattern.message(self.number, number)[NUMBER_BYTES..];
        if content != expected {
            return Err(Failure::wrong_byte(number, NUMBER_BYTES, expected, content));
        }
        Ok(number)
    }

    /// Enters that the datagram with this number, from 0, has come back.
    fn settle(&mut self, number: u64, now: Instant, recorder: &mut Recorder<'_>) {
        let oldest = self.sent - self.begun.len() as u64;
        // What is older than the oldest that waits has come back, or was given up.
        let begun = number
            .checked_sub(oldest)
            .and_then(|place| self.begun.get_mut(place as usize))
            .and_then(Option::take);
        match begun {
            Some(begun) => {
                recorder.answered(now - begun);
                self.waiting -= 1;
                if number < self.next_in_order {
                    recorder.reordered();
                }
                self.next_in_order = self.next_in_order.max(number + 1);
                self.forget_settled();
            }
            None if self.lost.remove(&number) => recorder.late(),
            None => recorder.duplicated(),
        }
    }

    /// Gives up those whose time is over.
    fn give_up_the_lost(&mut self, now: Instant) {
        while let Some(&Some(begun)) = self.begun.front() {
            if now - begun < self.work.timeout {
                break;
            }
            self.lost.insert(self.sent - self.begun.len() as u64);
            self.waiting -= 1;
            self.begun.pop_front();
            self.forget_settled();
        }
    }

    /// Makes the oldest that waits the first of those that are remembered.
    fn forget_settled(&mut self) {
        while let Some(None) = self.begun.front() {
            self.begun.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen::{run::Ledger, Target};
    use std::time::Duration;

    const TIMEOUT: Duration = Duration::from_secs(1);

    /// A socket with this many datagrams on their way, all sent at the returned time, and nobody who answers.
    fn socket(pattern: &Pattern, in_flight: usize) -> (UdpSocket, Udp<'_>, Instant) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let mut peer = Target::parse("127.0.0.1", port).unwrap().resolve().unwrap();
        let work = Work {
            count: in_flight as u64,
            in_flight,
            timeout: TIMEOUT,
        };
        let mut udp = Udp::open(&mut peer, 7, pattern, work).unwrap();
        let begun = Instant::now();
        udp.sent = in_flight as u64;
        udp.waiting = in_flight;
        udp.begun = vec![Some(begun); in_flight].into();
        (server, udp, begun)
    }

    /// What the recorder has after `steps`.
    fn ledger(udp: &mut Udp<'_>, steps: impl Fn(&mut Udp<'_>, &mut Recorder<'_>) + Sync) -> Ledger {
        let outcome = loadgen::run(&mut [udp], 0, |udp, recorder| {
            steps(udp, recorder);
            Ok::<_, ()>(())
        });
        outcome.unwrap().measured.ledger
    }

    #[test]
    fn replies_in_order_are_answers_and_nothing_else() {
        let pattern = Pattern::new(32);
        let (_server, mut udp, now) = socket(&pattern, 3);
        let ledger = ledger(&mut udp, |udp, recorder| {
            (0..3).for_each(|number| udp.settle(number, now, recorder));
        });
        let expected = Ledger {
            answered: 3,
            ..Ledger::default()
        };
        assert_eq!(ledger, expected);
        assert_eq!((udp.waiting, udp.begun.len()), (0, 0));
    }

    #[test]
    fn a_reply_that_was_overtaken_is_reordered() {
        let pattern = Pattern::new(32);
        let (_server, mut udp, now) = socket(&pattern, 4);
        let ledger = ledger(&mut udp, |udp, recorder| {
            for number in [2, 0, 3, 1] {
                udp.settle(number, now, recorder);
            }
        });
        assert_eq!((ledger.answered, ledger.reordered), (4, 2));
        assert_eq!((ledger.late, ledger.duplicated), (0, 0));
        assert_eq!((udp.waiting, udp.begun.len()), (0, 0));
    }

    #[test]
    fn a_second_reply_is_duplicated_whether_its_place_is_remembered_or_not() {
        let pattern = Pattern::new(32);
        let (_server, mut udp, now) = socket(&pattern, 3);
        let ledger = ledger(&mut udp, |udp, recorder| {
            for number in [1, 1, 0, 0] {
                udp.settle(number, now, recorder);
            }
        });
        assert_eq!((ledger.answered, ledger.duplicated), (2, 2));
        assert_eq!((ledger.late, udp.waiting), (0, 1));
    }

    #[test]
    fn what_comes_after_it_was_given_up_is_late_once() {
        let pattern = Pattern::new(32);
        let (_server, mut udp, now) = socket(&pattern, 3);
        let ledger = ledger(&mut udp, |udp, recorder| {
            udp.settle(1, now, recorder);
            udp.give_up_the_lost(now + TIMEOUT);
            udp.settle(0, now + TIMEOUT, recorder);
            udp.settle(0, now + TIMEOUT, recorder);
        });
        assert_eq!((ledger.answered, ledger.late, ledger.duplicated), (1, 1, 1));
        // The last one was given up too, and is still not there.
        assert_eq!((udp.waiting, udp.begun.len(), udp.lost.len()), (0, 0, 1));
    }

    #[test]
    fn nothing_is_given_up_before_its_time() {
        let pattern = Pattern::new(32);
        let (_server, mut udp, now) = socket(&pattern, 2);
        udp.begun[1] = Some(now + TIMEOUT / 2);
        udp.give_up_the_lost(now + TIMEOUT - Duration::from_nanos(1));
        assert_eq!((udp.waiting, udp.lost.len()), (2, 0));
        udp.give_up_the_lost(now + TIMEOUT);
        assert_eq!((udp.waiting, udp.lost.len()), (1, 1));
    }

    #[test]
    fn sockets_share_no_numbers() {
        let pattern = Pattern::new(NUMBER_BYTES);
        let (_server, mut udp, _) = socket(&pattern, 1);
        for other in (0..10_000).filter(|&other| other != 7) {
            udp.number = other;
            let foreign = udp.first_number().to_be_bytes();
            udp.number = 7;
            udp.sent = 1 << 40;
            assert!(matches!(udp.verify(&foreign), Err(Failure::NeverSent)));
        }
        assert_eq!(udp.verify(&udp.first_number().to_be_bytes()).unwrap(), 0);
    }
}
