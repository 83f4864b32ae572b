// SPDX-License-Identifier: GPL-2.0

//! One run: clients that start at the same time, a thread each, and what they measured together.

use std::{io, panic, thread, time::Duration};

use crate::{course::Course, Histogram};

/// What became of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Requests that were to be made.
    pub scheduled: u64,
    /// Requests that were begun.
    pub sent: u64,
    /// Requests whose reply came and was right.
    pub answered: u64,
    /// Replies that came when their request had been given up as lost. Datagrams only, as are the next two.
    pub late: u64,
    /// Replies to a request that was answered already.
    pub duplicated: u64,
    /// Replies that came after the reply to a later request.
    pub reordered: u64,
}

impl Ledger {
    /// Requests that were begun and have no right reply, or have it too late.
    pub fn lost(&self) -> u64 {
        self.sent - self.answered
    }

    /// Adds the requests and replies of `other`.
    fn merge(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.sent += other.sent;
        self.answered += other.answered;
        self.late += other.late;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

/// The time in which every client was active, from the last one's start to the first one's end.
///
/// Before and after it the server has fewer clients than were asked for, and a rate would be that of another load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// How long it was; zero if the clients were never active all at once.
    pub length: Duration,
    /// Replies that came in it.
    pub answered: u64,
}

/// The figures of a run, or of several.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// What became of the requests.
    pub ledger: Ledger,
    /// The round trips of all answered requests.
    pub histogram: Histogram,
    /// From the first client's start to the last one's end; for several runs, the sum.
    pub elapsed: Duration,
    /// When all clients were active; for several runs, the sum.
    pub window: Window,
}

impl Measured {
    /// Adds the figures of another run.
    pub fn merge(&mut self, other: &Self) {
        self.ledger.merge(&other.ledger);
        self.histogram.merge(&other.histogram);
        self.elapsed += other.elapsed;
        self.window.length += other.window.length;
        self.window.answered += other.window.answered;
    }
}

/// What a run brought.
#[derive(Debug)]
pub struct Outcome<E> {
    /// The figures, also of clients that failed later.
    pub measured: Measured,
    /// The clients that failed, by index, in the order in which they did.
    pub failures: Vec<(usize, E)>,
}

/// Runs `work` on every client, each in a thread of its own, all starting at the same time.
///
/// All together are to make `scheduled` requests. Once one has failed, [`Recorder::stopped`] tells the others to make no
/// more.
///
/// # Errors
///
/// The system has no thread for every client; then none has worked.
pub fn run<C: Send, E: Send>(
    clients: &mut [C],
    scheduled: u64,
    work: impl Fn(&mut C, &mut Recorder<'_>) -> Result<(), E> + Sync,
) -> io::Result<Outcome<E>> {
    let course = Course::new(clients.len());
    let one = |client: &mut C| {
        let mut recorder = Recorder::new(&course);
        if !course.wait_for_all() {
            return None;
        }
        let began = course.enter();
        let result = work(client, &mut recorder);
        let ended = course.leave(result.is_err());
        Some((recorder, began, ended, result))
    };
    let finished = thread::scope(|scope| {
        let one = &one;
        let mut threads = Vec::with_capacity(clients.len());
        for client in clients {
            match thread::Builder::new().spawn_scoped(scope, move || one(client)) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    course.cancel();
                    return Err(error);
                }
            }
        }
        let mut finished = Vec::with_capacity(threads.len());
        for thread in threads {
            // A panic is a defect of the generator, and not to be reported as the server's.
            finished.extend(
                thread
                    .join()
                    .unwrap_or_else(|defect| panic::resume_unwind(defect)),
            );
        }
        Ok(finished)
    })?;

    let mut measured = Measured::default();
    measured.ledger.scheduled = scheduled;
    measured.window.length = course.window();
    let first = finished.iter().map(|&(_, began, ..)| began).min();
    let last = finished.iter().map(|&(_, _, ended, _)| ended).max();
    measured.elapsed = last
        .zip(first)
        .map_or(Duration::ZERO, |(last, first)| last - first);
    let mut failures = Vec::new();
    for (client, (recorder, _, ended, result)) in finished.into_iter().enumerate() {
        measured.ledger.merge(&recorder.ledger);
        measured.window.answered += recorder.in_window;
        measured.histogram.merge(&recorder.histogram);
        failures.extend(result.err().map(|error| (ended, client, error)));
    }
    failures.sort_by_key(|&(ended, ..)| ended);
    let failures = failures
        .into_iter()
        .map(|(_, client, error)| (client, error))
        .collect();
    Ok(Outcome { measured, failures })
}

/// Where a client enters what it does.
#[derive(Debug)]
pub struct Recorder<'a> {
    course: &'a Course,
    ledger: Ledger,
    in_window: u64,
    histogram: Histogram,
}

impl<'a> Recorder<'a> {
    fn new(course: &'a Course) -> Self {
        Self {
            course,
            ledger: Ledger::default(),
            in_window: 0,
            histogram: Histogram::new(),
        }
    }

    /// Whether another client has failed: no new requests then, only the replies that are still due.
    #[inline]
    pub fn stopped(&self) -> bool {
        self.course.has_failed()
    }

    /// A request is begun.
    #[inline]
    pub fn sent(&mut self) {
        self.ledger.sent += 1;
    }

    /// A right reply has come, this long after its request was begun.
    #[inline]
    pub fn answered(&mut self, round_trip: Duration) {
        self.ledger.answered += 1;
        self.in_window += u64::from(self.course.all_are_active());
        self.histogram
            .record(u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX));
    }

    /// A right reply has come to a request that had been given up.
    pub fn late(&mut self) {
        self.ledger.late += 1;
    }

    /// A right reply has come once more.
    pub fn duplicated(&mut self) {
        self.ledger.duplicated += 1;
    }

    /// The reply that has just come was overtaken by a later one.
    pub fn reordered(&mut self) {
        self.ledger.reordered += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_micros(5);

    fn exchange(recorder: &mut Recorder<'_>) {
        recorder.sent();
        recorder.answered(ROUND_TRIP);
    }

    #[test]
    fn the_figures_are_those_of_all_clients() {
        let mut clients = [1, 20, 300];
        let outcome = run(&mut clients, 900, |client, recorder| {
            (0..*client).for_each(|_| exchange(recorder));
            *client = 0;
            Ok::<_, ()>(())
        })
        .unwrap();
        assert_eq!(clients, [0; 3]);
        assert_eq!(outcome.failures, []);
        let Measured {
            ledger, histogram, ..
        } = outcome.measured;
        assert_eq!(
            ledger,
            Ledger {
                scheduled: 900,
                sent: 321,
                answered: 321,
                ..Ledger::default()
            }
        );
        assert_eq!((histogram.len(), histogram.max()), (321, Some(ROUND_TRIP)));
    }

    #[test]
    fn a_single_client_is_active_all_the_time() {
        let outcome = run(&mut [()], 50, |(), recorder| {
            (0..50).for_each(|_| exchange(recorder));
            Ok::<_, ()>(())
        })
        .unwrap();
        let Measured {
            window, elapsed, ..
        } = outcome.measured;
        assert_eq!(window.answered, 50);
        assert_eq!(window.length, elapsed);
    }

    #[test]
    fn replies_that_are_out_of_order_are_counted_apart() {
        let outcome = run(&mut [(), ()], 2, |(), recorder| {
            exchange(recorder);
            recorder.reordered();
            recorder.duplicated();
            recorder.duplicated();
            recorder.sent();
            recorder.late();
            Ok::<_, ()>(())
        })
        .unwrap();
        let ledger = outcome.measured.ledger;
        assert_eq!((ledger.sent, ledger.answered, ledger.lost()), (4, 2, 2));
        assert_eq!(
            (ledger.late, ledger.duplicated, ledger.reordered),
            (2, 4, 2)
        );
    }

    #[test]
    fn only_replies_while_all_are_active_count_for_the_rate() {
        let course = Course::new(2);
        let (mut early, mut late) = (Recorder::new(&course), Recorder::new(&course));
        course.enter();
        (0..2).for_each(|_| exchange(&mut early));
        course.enter();
        (0..3).for_each(|_| exchange(&mut early));
        exchange(&mut late);
        course.leave(false);
        (0..5).for_each(|_| exchange(&mut late));
        course.leave(false);
        assert_eq!((early.in_window, late.in_window), (3, 1));
        assert_eq!((early.histogram.len(), late.histogram.len()), (5, 6));
    }

    #[test]
    fn a_failure_is_reported_with_its_client_and_stops_the_others() {
        // The second client would go on for years.
        let outcome = run(&mut [0, u64::MAX, 0], 21, |&mut client, recorder| {
            recorder.sent();
            for _ in 0..client {
                if recorder.stopped() {
                    recorder.answered(ROUND_TRIP);
                    return Ok(());
                }
            }
            Err("lost")
        })
        .unwrap();
        let mut failures = outcome.failures;
        failures.sort_unstable();
        assert_eq!(failures, [(0, "lost"), (2, "lost")]);
        let ledger = outcome.measured.ledger;
        assert_eq!(
            ledger,
            Ledger {
                scheduled: 21,
                sent: 3,
                answered: 1,
                ..Ledger::default()
            }
        );
        assert_eq!(ledger.lost(), 2);
    }

    #[test]
    fn failures_come_in_the_order_in_which_they_happened() {
        let outcome = run(&mut [false, true], 1, |&mut is_first, recorder| {
            while !is_first && !recorder.stopped() {
                thread::yield_now();
            }
            Err::<(), _>(is_first)
        })
        .unwrap();
        assert_eq!(outcome.failures, [(1, true), (0, false)]);
    }

    #[test]
    fn merging_adds_everything_up() {
        let mut total = Measured::default();
        for scale in 1..=2 {
            let mut histogram = Histogram::new();
            histogram.record(scale * 1_000);
            total.merge(&Measured {
                ledger: Ledger {
                    scheduled: 100 * scale,
                    sent: 10 * scale,
                    answered: scale,
                    late: 1_000 * scale,
                    duplicated: 2_000 * scale,
                    reordered: 4_000 * scale,
                },
                histogram,
                elapsed: Duration::from_secs(scale),
                window: Window {
                    length: Duration::from_millis(scale),
                    answered: 5 * scale,
                },
            });
        }
        assert_eq!(
            total.ledger,
            Ledger {
                scheduled: 300,
                sent: 30,
                answered: 3,
                late: 3_000,
                duplicated: 6_000,
                reordered: 12_000
            }
        );
        assert_eq!(
            (total.histogram.len(), total.histogram.max()),
            (2, Some(Duration::from_micros(2)))
        );
        assert_eq!(total.elapsed, Duration::from_secs(3));
        assert_eq!(
            total.window,
            Window {
                length: Duration::from_millis(3),
                answered: 15
            }
        );
    }
}
