// SPDX-License-Identifier: GPL-2.0

//! One connection of a worker: how far it has come, and what its replies mean.

use std::collections::VecDeque;

use crate::{
    clock::{ThreadClock, ThreadTimes},
    engine::{Engine, Nanos, Requests, Sent},
    load::{Extent, Load, Transport},
    protocol::Connection,
    recorder::Recorder,
    report::number::count_of,
    result::FailureKind,
    schedule::Schedule,
    window::{Outstanding, Reply},
};

/// A socket on which nothing has come for so many timeouts, while so many datagrams were lost, is given up.
const PATIENCE: u32 = 5;

/// So many bytes of a reply that is not whole yet are progress.
const MUCH: usize = 64 << 10;

/// What went wrong on a connection.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

impl Broken {
    fn mismatch(message: impl ToString) -> Self {
        Self {
            kind: FailureKind::Mismatch,
            message: message.to_string(),
        }
    }

    fn no_progress(timeout: Nanos) -> Self {
        Self {
            kind: FailureKind::NoProgress,
            message: format!("no progress for {}", seconds(timeout)),
        }
    }
}

/// A length of time in seconds, without needless digits.
pub(crate) fn seconds(time: Nanos) -> String {
    format!("{} s", time as f64 * 1e-9)
}

/// What can be done with the connection's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    /// It takes requests.
    Ready,
    /// It takes none before it has sent what the engine keeps.
    Full,
    /// It takes none any more, and what came from it is still to be delivered.
    Failing,
    /// Nothing: it is at its end.
    Gone,
}

/// One connection of a worker.
#[derive(Debug)]
pub(crate) struct Link<C> {
    pub(crate) protocol: C,
    pub(crate) outstanding: Outstanding,
    pub(crate) socket: Socket,
    /// In open loop, when the next request is due.
    pub(crate) schedule: Option<Schedule>,
    /// In open loop, when the requests were due that wait for the socket to take them.
    pub(crate) due: VecDeque<Nanos>,
    /// How many more requests after the warm-up may be due. In a run of a duration, that is more than there ever are.
    pub(crate) left: u64,
    /// What the engine was told to receive with one call at most.
    limit: usize,
    /// How many requests the system has not begun to take, and how many it has not taken whole; 0 while the socket is
    /// ready.
    unsent: usize,
    unfinished: usize,
    /// The number of the first request after the warm-up, once it was sent.
    pub(crate) first_measured: u64,
    /// Since when no reply has come and nothing could be sent, although replies were waited for.
    pub(crate) quiet_since: Nanos,
    /// Bytes of parts of replies, since these were much for the last time.
    in_parts: usize,
    /// Datagrams that were lost since then.
    lost_meanwhile: u32,
    /// When the last right reply in time came, or the last request was sent that was given up; 0 before.
    pub(crate) active_until: Nanos,
    /// The request to which a part of the reply came last, of those that were the oldest then, and when that was.
    oldest_part: (u64, Nanos),
    /// Right replies after the warm-up, if they come in parts.
    pub(crate) answered: u64,
}

/// What is the same for all replies of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) transport: Transport,
    /// The end of the warm-up.
    pub(crate) measure_from: Nanos,
    /// How long from then replies count for the rate.
    pub(crate) measured: Nanos,
    /// How long nothing may happen on a stream, and how long a datagram may take to be answered.
    pub(crate) timeout: Nanos,
    /// When what is in flight has had its time after the end of the run, although the server goes on.
    pub(crate) replies_until: Nanos,
}

/// What has come on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: Nanos,
    /// Whether it is after the warm-up and all threads are active.
    pub(crate) in_window: bool,
}

impl Limits {
    /// Those of a run that began at `start`.
    pub(crate) fn new(load: &Load, start: Nanos) -> Self {
        Self {
            transport: load.transport,
            measure_from: start.saturating_add(load.warmup_ns),
            measured: match load.extent {
                // Later than any time there is, and not so late that what is before seems to be after.
                Extent::Count(_) => Nanos::MAX / 2,
                Extent::Duration(duration) => duration.min(Nanos::MAX / 2),
            },
            timeout: load.timeout_ns,
            replies_until: Nanos::MAX,
        }
    }

    /// Whether this is a time in which replies count for the rate.
    #[inline]
    pub(crate) fn is_measured(&self, at: Nanos) -> bool {
        at.wrapping_sub(self.measure_from) <= self.measured
    }
}

/// Which part of which reply has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The number of the request.
    pub(crate) number: u64,
    /// Where it begins in the reply, in bytes.
    pub(crate) offset: u64,
    /// Whether nothing follows.
    pub(crate) is_last: bool,
}

impl<C: Connection> Link<C> {
    pub(crate) fn new(protocol: C, load: &Load) -> Self {
        Self {
            protocol,
            // In open loop, few connections ever have as many as they may.
            outstanding: Outstanding::new(load.in_flight.min(64)),
            socket: Socket::Ready,
            schedule: None,
            due: VecDeque::new(),
            left: match load.extent {
                Extent::Count(count) => count,
                Extent::Duration(_) => u64::MAX,
            },
            limit: usize::MAX,
            unsent: 0,
            unfinished: 0,
            first_measured: u64::MAX,
            quiet_since: 0,
            in_parts: 0,
            lost_meanwhile: 0,
            active_until: 0,
            oldest_part: (0, 0),
            answered: 0,
        }
    }

    /// Whether a request with this number is none of the warm-up.
    #[inline]
    pub(crate) fn is_measured(&self, number: u64) -> bool {
        number >= self.first_measured
    }

    /// Sends so many requests with one call, which the caller enters as outstanding; returns when that was.
    #[inline(always)]
    pub(crate) fn send<E: Engine>(
        &mut self,
        place: usize,
        count: usize,
        engine: &mut E,
        requests: &mut Requests,
    ) -> Nanos {
        let next = self.outstanding.next();
        let (now, sent) = if count == 1 {
            let request = self.protocol.request(next);
            (engine.now(), engine.send_one(place, request, requests))
        } else {
            requests.clear();
            for number in next..next + count as u64 {
                requests.push(self.protocol.request(number));
            }
            (engine.now(), engine.send(place, requests))
        };
        match sent {
            Sent::All => {}
            Sent::Partly => self.set_socket(place, Socket::Full, engine),
            Sent::Failed => self.set_socket(place, Socket::Failing, engine),
        }
        // If nothing was waited for until now, that begins.
        if self.outstanding.waiting() == 0 && self.lost_meanwhile == 0 {
            self.quiet_since = now;
        }
        now
    }

    /// The next request is one after the warm-up. With the first of a thread, its processor time begins to count.
    #[inline]
    pub(crate) fn measure(&mut self, thread: &ThreadClock, times_before: &mut Option<ThreadTimes>) {
        if self.first_measured == u64::MAX {
            self.first_measured = self.outstanding.next();
            times_before.get_or_insert_with(|| thread.read());
        }
    }

    /// Says how much one call shall receive: as many replies as a batch has, or all that there is if no more than these
    /// are due, so that what should not be there is noticed.
    #[inline(always)]
    pub(crate) fn set_limit<E: Engine>(&mut self, place: usize, load: &Load, engine: &mut E) {
        if load.transport == Transport::Stream {
            let limit = if self.outstanding.waiting() > load.batch {
                self.protocol.reply_bytes(load.batch)
            } else {
                usize::MAX
            };
            if limit != self.limit {
                self.limit = limit;
                engine.limit(place, limit);
            }
        }
    }

    /// The engine has said something else of the socket.
    #[cold]
    pub(crate) fn set_socket<E: Engine>(&mut self, place: usize, socket: Socket, engine: &E) {
        self.socket = socket;
        (self.unsent, self.unfinished) = match socket {
            Socket::Ready => (0, 0),
            _ => (engine.unsent(place), engine.unfinished(place)),
        };
    }

    /// A reply has come, or something could be sent.
    #[inline]
    pub(crate) fn note_progress(&mut self, now: Nanos) {
        self.quiet_since = now;
        self.lost_meanwhile = 0;
    }

    /// A part of a reply has come, which is progress only if there is enough of it: or else a server could make a run as
    /// long as it likes.
    fn note_part(&mut self, bytes: usize, now: Nanos) {
        self.in_parts += bytes;
        if self.in_parts >= MUCH {
            self.in_parts = 0;
            self.note_progress(now);
        }
    }

    /// Enters what has come, if it is one usual reply, and to the request that is to be answered next. Otherwise returns the
    /// request that it is a usual reply to, if it is one, for [`Link::receive`].
    #[inline(always)]
    pub(crate) fn receive_usual(
        &mut self,
        arrival: Arrival<'_>,
        limits: &Limits,
        recorder: &mut Recorder,
    ) -> Result<(), Option<u64>> {
        if limits.transport != Transport::Stream || self.socket != Socket::Ready {
            return Err(None);
        }
        let sent = self.outstanding.next();
        let number = self.protocol.usual_reply(arrival.bytes, sent).ok_or(None)?;
        let times = self.outstanding.settle_next(number).ok_or(Some(number))?;
        self.note_progress(arrival.at);
        self.answered(number, times, arrival, recorder);
        Ok(())
    }

    /// Enters what has come, whatever it is: a usual reply to this request, or anything else.
    #[inline(never)]
    pub(crate) fn receive(
        &mut self,
        usual: Option<u64>,
        arrival: Arrival<'_>,
        limits: &Limits,
        recorder: &mut Recorder,
    ) -> Result<(), Broken> {
        let verified = match limits.transport {
            Transport::Stream => self.receive_stream(usual, arrival, recorder),
            Transport::Datagrams => self.receive_datagram(arrival, limits, recorder),
            Transport::Rx => Err(Broken::mismatch(format_args!(
                "a defect of the load generator: {} bytes of no call",
                arrival.bytes.len()
            ))),
        };
        if verified.is_err() {
            recorder
                .ledger(arrival.at >= limits.measure_from)
                .mismatched += 1;
        }
        verified
    }

    /// Enters a part of a reply.
    pub(crate) fn receive_part(
        &mut self,
        part: Part,
        arrival: Arrival<'_>,
        limits: &Limits,
        recorder: &mut Recorder,
    ) -> Result<(), Broken> {
        let Part {
            number,
            offset,
            is_last,
        } = part;
        let verified = self.protocol.part(number, offset, arrival.bytes, is_last);
        let entered = verified.map_err(Broken::mismatch).and_then(|()| {
            if is_last {
                self.settle_in_stream(number, arrival, recorder)?;
                self.answered += u64::from(self.is_measured(number));
            } else {
                self.note_part(arrival.bytes.len(), arrival.at);
                if number == self.outstanding.oldest() {
                    self.oldest_part = (number, arrival.at);
                }
            }
            Ok(())
        });
        if entered.is_err() {
            recorder
                .ledger(arrival.at >= limits.measure_from)
                .mismatched += 1;
        }
        entered
    }

    fn receive_stream(
        &mut self,
        usual: Option<u64>,
        arrival: Arrival<'_>,
        recorder: &mut Recorder,
    ) -> Result<(), Broken> {
        if let Some(number) = usual {
            return self.settle_in_stream(number, arrival, recorder);
        }
        // A reply may begin as soon as its request has, but must not end before.
        let begun = self.outstanding.next() - self.unsent as u64;
        let mut rest = arrival.bytes;
        while !rest.is_empty() {
            let progress = self
                .protocol
                .stream(rest, begun)
                .map_err(Broken::mismatch)?;
            if !(1..=rest.len()).contains(&progress.consumed) {
                // Nothing is skipped or read twice, whatever the protocol says.
                return Err(Broken::mismatch(format_args!(
                    "a defect of the load generator: {} of {} bytes were verified",
                    progress.consumed,
                    rest.len()
                )));
            }
            rest = &rest[progress.consumed..];
            match progress.answered {
                Some(number) => self.settle_in_stream(number, arrival, recorder)?,
                None => self.note_part(progress.consumed, arrival.at),
            }
        }
        Ok(())
    }

    /// Enters a right reply that came in a stream, which delivers everything once.
    fn settle_in_stream(
        &mut self,
        number: u64,
        arrival: Arrival<'_>,
        recorder: &mut Recorder,
    ) -> Result<(), Broken> {
        if self.unfinished != 0 && number >= self.outstanding.next() - self.unfinished as u64 {
            return Err(too_early(number));
        }
        match self.settle(number, arrival, recorder)? {
            Reply::Answer { .. } => Ok(()),
            _ => Err(second_reply(number)),
        }
    }

    fn receive_datagram(
        &mut self,
        arrival: Arrival<'_>,
        limits: &Limits,
        recorder: &mut Recorder,
    ) -> Result<(), Broken> {
        // What comes too late is late, however rarely anybody looks.
        self.give_up(arrival.at, limits, recorder);
        let sent = self.outstanding.next() - self.unsent as u64;
        let number = self
            .protocol
            .datagram(arrival.bytes, sent)
            .map_err(Broken::mismatch)?;
        self.settle(number, arrival, recorder).map(drop)
    }

    /// Enters the answer to a request that was intended and sent at these times.
    #[inline(always)]
    fn answered(
        &mut self,
        number: u64,
        (intended, sent): (Nanos, Nanos),
        arrival: Arrival<'_>,
        recorder: &mut Recorder,
    ) {
        self.active_until = arrival.at;
        recorder.in_window += u64::from(arrival.in_window);
        if self.is_measured(number) {
            recorder.ledger.answered += 1;
            recorder.record(intended, sent, arrival.at);
        } else {
            recorder.warmup.answered += 1;
        }
    }

    /// Enters a right reply.
    fn settle(
        &mut self,
        number: u64,
        arrival: Arrival<'_>,
        recorder: &mut Recorder,
    ) -> Result<Reply, Broken> {
        let measured = self.is_measured(number);
        let reply = self.outstanding.settle(number);
        let ledger = recorder.ledger(measured);
        match reply {
            Reply::Answer {
                intended,
                sent,
                reordered,
            } => {
                self.note_progress(arrival.at);
                ledger.reordered += u64::from(reordered);
                self.answered(number, (intended, sent), arrival, recorder);
            }
            Reply::Late => {
                ledger.late += 1;
                ledger.lost -= 1;
                self.note_progress(arrival.at);
            }
            Reply::Duplicate => ledger.duplicated += 1,
            Reply::Unasked => {
                return Err(Broken::mismatch(format_args!(
                    "a reply to request {}, which was not sent",
                    number.saturating_add(1)
                )))
            }
        }
        Ok(reply)
    }

    /// Gives up the datagrams whose time is over.
    #[inline]
    pub(crate) fn give_up(&mut self, now: Nanos, limits: &Limits, recorder: &mut Recorder) {
        let Some(limit) = now.checked_sub(limits.timeout) else {
            return;
        };
        while let Some((number, sent)) = self.outstanding.give_up(limit) {
            self.active_until = self.active_until.max(sent);
            recorder.ledger(self.is_measured(number)).lost += 1;
            self.lost_meanwhile = self.lost_meanwhile.saturating_add(1);
        }
    }

    /// What is to be said of a connection on which nothing happens.
    pub(crate) fn check(
        &mut self,
        now: Nanos,
        limits: &Limits,
        recorder: &mut Recorder,
    ) -> Result<(), Broken> {
        let timeout = limits.timeout;
        let quiet = now.saturating_sub(self.quiet_since);
        match limits.transport {
            Transport::Datagrams => {
                self.give_up(now, limits, recorder);
                let patience = timeout.saturating_mul(PATIENCE.into());
                let is_dead = self.lost_meanwhile >= PATIENCE || self.socket == Socket::Full;
                if is_dead && quiet >= patience {
                    return Err(Broken::no_progress(patience));
                }
            }
            Transport::Stream | Transport::Rx => {
                let waits_since = self.outstanding.oldest_sent();
                if waits_since.is_none() && self.due.is_empty() {
                    return Ok(());
                }
                if quiet >= timeout {
                    return Err(Broken::no_progress(timeout));
                }
                let waits_since = waits_since.filter(|_| self.outstanding.is_overtaken());
                // A large reply may take longer than smaller ones that were asked for after it.
                let (number, part_at) = self.oldest_part;
                let is_coming = number == self.outstanding.oldest();
                let part_at = if is_coming { part_at } else { 0 };
                let waits_since = waits_since.map(|since| since.max(part_at));
                if waits_since.is_some_and(|since| now.saturating_sub(since) >= timeout) {
                    return Err(Broken {
                        kind: FailureKind::Unanswered,
                        message: format!(
                            "no reply to request {} within {}, though to later ones",
                            self.outstanding.oldest() + 1,
                            seconds(timeout)
                        ),
                    });
                }
            }
        }
        // Datagrams that were sent have a time of their own.
        let missing = self.due.len()
            + match limits.transport {
                Transport::Stream | Transport::Rx => self.outstanding.waiting(),
                Transport::Datagrams => self.unfinished,
            };
        if now >= limits.replies_until && missing != 0 {
            return Err(Broken {
                kind: FailureKind::Unanswered,
                message: format!(
                    "replies missing {} after the end: {missing}",
                    seconds(timeout)
                ),
            });
        }
        Ok(())
    }

    /// Looks whether the stream may end here, after the last reply.
    pub(crate) fn check_end(&self) -> Result<(), Broken> {
        match self.protocol.partial_bytes() {
            0 => Ok(()),
            partial => Err(Broken::mismatch(format_args!(
                "{} of a reply that never ends",
                count_of(partial as u64, "byte")
            ))),
        }
    }

    /// What came after the last reply was due to be the end of the stream.
    pub(crate) fn surplus(&mut self, bytes: &[u8]) -> Broken {
        let number = match self.protocol.stream(bytes, self.outstanding.next()) {
            Err(mismatch) => return Broken::mismatch(mismatch),
            Ok(progress) => progress.answered,
        };
        number.map_or_else(
            || {
                let bytes = count_of(bytes.len() as u64, "byte");
                Broken::mismatch(format_args!("{bytes} after the last reply"))
            },
            second_reply,
        )
    }
}

#[cold]
fn too_early(number: u64) -> Broken {
    Broken::mismatch(format_args!(
        "a reply to request {} before it was sent whole",
        number + 1
    ))
}

#[cold]
fn second_reply(number: u64) -> Broken {
    Broken::mismatch(format_args!("a second reply to request {}", number + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Progress;

    /// Says that it has verified so many bytes, whatever came.
    struct Defect(usize);

    impl Connection for Defect {
        type Mismatch = std::convert::Infallible;

        fn request(&mut self, _: u64) -> &[u8] {
            &[]
        }

        fn stream(&mut self, _: &[u8], _: u64) -> Result<Progress, Self::Mismatch> {
            Ok(Progress {
                consumed: self.0,
                answered: None,
            })
        }

        fn datagram(&mut self, _: &[u8], _: u64) -> Result<u64, Self::Mismatch> {
            Ok(0)
        }

        fn reply_bytes(&self, _: usize) -> usize {
            1
        }

        fn partial_bytes(&self) -> usize {
            0
        }
    }

    #[test]
    fn no_byte_is_left_out_whatever_the_protocol_says() {
        let load = Load::of_one(Transport::Stream);
        let limits = Limits::new(&load, 0);
        let arrival = Arrival {
            bytes: b"reply",
            at: 0,
            in_window: true,
        };
        for consumed in [0, 6, usize::MAX] {
            let mut link = Link::new(Defect(consumed), &load);
            let mut recorder = Recorder::new(false, 1);
            let broken = link
                .receive(None, arrival, &limits, &mut recorder)
                .unwrap_err();
            assert_eq!(broken.kind, FailureKind::Mismatch);
            assert!(broken.message.contains("defect"), "{}", broken.message);
            assert_eq!(recorder.ledger.mismatched, 1);
        }
        let mut link = Link::new(Defect(1), &load);
        let received = link.receive(None, arrival, &limits, &mut Recorder::new(false, 1));
        assert!(received.is_ok());
    }

    #[test]
    fn a_large_reply_has_time_while_parts_of_it_come() {
        const LARGE: &[u8] = &[0; MUCH];
        let load = Load {
            timeout_ns: 100,
            in_flight: 3,
            ..Load::of_one(Transport::Rx)
        };
        let limits = Limits::new(&load, 0);
        let mut link = Link::new(Defect(1), &load);
        let mut recorder = Recorder::new(false, 1);
        for _ in 0..3 {
            link.outstanding.push(0, 0);
        }
        link.first_measured = 0;
        for (number, is_last, at) in [(1, true, 50), (0, false, 90), (2, true, 180)] {
            let part = Part {
                number,
                offset: 0,
                is_last,
            };
            let arrival = Arrival {
                bytes: LARGE,
                at,
                in_window: true,
            };
            let entered = link.receive_part(part, arrival, &limits, &mut recorder);
            assert!(entered.is_ok());
        }
        assert_eq!((link.answered, recorder.ledger.answered), (2, 2));
        assert!(link.check(189, &limits, &mut recorder).is_ok());
        let broken = link.check(190, &limits, &mut recorder).unwrap_err();
        assert_eq!(broken.kind, FailureKind::Unanswered);
        // A second reply is none.
        let part = Part {
            number: 1,
            offset: 0,
            is_last: true,
        };
        let arrival = Arrival {
            bytes: b"",
            at: 190,
            in_window: true,
        };
        let broken = link
            .receive_part(part, arrival, &limits, &mut recorder)
            .unwrap_err();
        assert_eq!(broken.message, "a second reply to request 2");
        assert_eq!(recorder.ledger.mismatched, 1);
    }
}
