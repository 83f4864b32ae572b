// SPDX-License-Identifier: GPL-2.0

//! One run: threads that start at the same time, and what they measured together.

use std::{error, fmt, io, num::NonZeroU64, os::fd::OwnedFd, panic, sync::Arc, thread};

use rustix::thread::{sched_getaffinity, sched_setaffinity, set_current_timer_slack, CpuSet};
use serde::{Deserialize, Serialize};

use crate::{
    clock,
    course::Course,
    engine::{plain::Plain, uring::Uring, Engine, Nanos},
    interrupt::Interrupt,
    intervals::merge_intervals,
    load::{Extent, Load},
    protocol::Protocol,
    pulse::{Pulse, Pulses},
    result::{RunResult, ThreadResult, Window},
    worker::{Finished, Worker},
};

/// By which system calls requests are sent and replies received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// One call that sends and one that receives.
    #[default]
    Plain,
    /// One call that sends on all connections and waits for all, by io_uring.
    #[value(name = "io_uring")]
    IoUring,
}

/// How the threads use the machine that they run on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processors that threads are bound to: the first thread to the first, and again from the first when there are
    /// more threads. If there are none, the system decides.
    pub cpus: Vec<usize>,
    /// Whether threads look for replies all the time instead of sleeping until one comes.
    pub busy_poll: bool,
    /// How requests are sent and replies received.
    pub engine: EngineKind,
}

/// Why there was no run.
#[derive(Debug)]
pub enum RunError {
    /// The system has no thread, or not what a thread needs to wait for its connections.
    Thread(io::Error),
    /// A thread could not be bound to this processor.
    Cpu(usize, io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
            Self::Cpu(cpu, error) => write!(f, "cannot run a thread on CPU {cpu}: {error}"),
        }
    }
}

impl error::Error for RunError {}

/// Puts a load on a server, over connections that are there already, until it is over, something fails, or the interrupt is
/// raised.
///
/// There is a socket for each of the load's connections, and the protocol is told that the first has the number
/// `first_number`. Threads have connections that follow each other. All start at the same time; once one connection has
/// failed, none sends any more, and all receive the replies that are still due. What threads do is told to the
/// pulses meanwhile.
///
/// # Errors
///
/// A thread could not be started as it should; then none has sent anything. What goes wrong later is in the result.
pub fn run<P: Protocol>(
    protocol: &P,
    load: &Load,
    machine: &Machine,
    sockets: Vec<OwnedFd>,
    first_number: u64,
    pulses: Option<&Pulses>,
    interrupt: &Interrupt,
) -> Result<RunResult, RunError> {
    let course = Course::new(load.threads, interrupt.clone());
    let mut sockets = sockets.into_iter();
    let mut jobs = (0..load.threads).map(|thread| {
        let first = thread * load.connections / load.threads;
        let end = (thread + 1) * load.connections / load.threads;
        Job {
            protocol,
            load,
            machine,
            course: &course,
            cpu: machine
                .cpus
                .get(thread % machine.cpus.len().max(1))
                .copied(),
            sockets: sockets.by_ref().take(end - first).collect(),
            first,
            first_number,
            pulse: pulses.and_then(|pulses| pulses.thread(thread)),
        }
    });
    let finished = match jobs.next() {
        // In a process without other threads, the kernel need not count who uses a descriptor.
        Some(only) if load.threads == 1 => only.work()?.into_iter().collect(),
        first => in_threads(first.into_iter().chain(jobs), &course)?,
    };
    Ok(collect(load, &course, finished))
}

/// Does each job in a thread of its own.
fn in_threads<'a, P: Protocol + 'a>(
    jobs: impl Iterator<Item = Job<'a, P>>,
    course: &Course,
) -> Result<Vec<Done>, RunError> {
    thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut failed = None;
        for job in jobs {
            match thread::Builder::new().spawn_scoped(scope, move || job.work()) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    failed = Some(RunError::Thread(error));
                    course.cancel();
                    break;
                }
            }
        }
        let mut finished = Vec::with_capacity(threads.len());
        for thread in threads {
            // A panic is a defect of the generator, and not to be reported as the server's.
            match thread
                .join()
                .unwrap_or_else(|defect| panic::resume_unwind(defect))
            {
                Ok(result) => finished.extend(result),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(finished), Err)
    })
}

/// What a thread is to do.
struct Job<'a, P> {
    protocol: &'a P,
    load: &'a Load,
    machine: &'a Machine,
    course: &'a Course,
    cpu: Option<usize>,
    sockets: Vec<OwnedFd>,
    first: usize,
    first_number: u64,
    pulse: Option<Arc<Pulse>>,
}

/// Lets the other threads go if this one panics.
struct CancelOnPanic<'a>(&'a Course);

impl Drop for CancelOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.cancel();
        }
    }
}

impl<P: Protocol> Job<'_, P> {
    /// What the thread did; `None` if the run was cancelled.
    fn work(mut self) -> Result<Option<Done>, RunError> {
        let _guard = CancelOnPanic(self.course);
        let mut sockets = std::mem::take(&mut self.sockets);
        let connections = sockets.len();
        let busy_poll = self.machine.busy_poll;
        let bound = self.cpu.map(Bound::to).transpose();
        let _bound = bound.inspect_err(|_| self.course.cancel())?;
        // By default, the system lets every sleep last 50 us longer. If it insists, sleeps are less precise.
        let _ = set_current_timer_slack(NonZeroU64::new(1));
        let own = self.protocol.engine(&mut sockets, self.load, busy_poll);
        let done = own.and_then(|own| match (own, self.machine.engine) {
            (Some(engine), _) => Ok(self.work_with(engine, connections)),
            (None, EngineKind::Plain) => Plain::new(sockets, self.load, busy_poll)
                .map(|engine| self.work_with(engine, connections)),
            (None, EngineKind::IoUring) => Uring::new(sockets, self.load, busy_poll)
                .map(|engine| self.work_with(engine, connections)),
        });
        done.inspect_err(|_| self.course.cancel())
            .map_err(RunError::Thread)
    }

    fn work_with<E: Engine>(&mut self, engine: E, connections: usize) -> Option<Done> {
        let numbers = (self.first_number + self.first as u64..).take(connections);
        let protocols = numbers.map(|number| self.protocol.connection(number));
        let mut worker = Worker::new(self.load, self.course, engine, protocols, self.first);
        if let Some(pulse) = self.pulse.take() {
            worker.watch(pulse);
        }
        let start = self.course.wait_for_start(clock::now())?;
        Some(Done {
            start,
            cpu: self.cpu,
            finished: worker.run(start),
        })
    }
}

/// What a thread did.
pub(crate) struct Done {
    /// When the run began.
    pub(crate) start: Nanos,
    pub(crate) cpu: Option<usize>,
    pub(crate) finished: Finished,
}

/// This thread is bound to one processor for as long as this is there.
struct Bound {
    before: CpuSet,
}

impl Bound {
    fn to(cpu: usize) -> Result<Self, RunError> {
        let bind = || {
            if cpu >= CpuSet::MAX_CPU {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let before = sched_getaffinity(None)?;
            let mut only = CpuSet::new();
            only.set(cpu);
            sched_setaffinity(None, &only)?;
            Ok(Self { before })
        };
        bind().map_err(|error| RunError::Cpu(cpu, error))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Processors may have gone meanwhile: then it stays where it is.
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// Puts together what the threads did, which is not none.
pub(crate) fn collect(load: &Load, course: &Course, threads: Vec<Done>) -> RunResult {
    let mut result = RunResult::default();
    let mut intervals = Vec::with_capacity(threads.len());
    let mut at_end = Vec::new();
    result.window = window(load, course, &threads);
    for done in threads {
        let Finished {
            mut recorder,
            failures,
            ended,
            active_until,
            ..
        } = done.finished;
        let measure_from = done.start.saturating_add(load.warmup_ns);
        let elapsed_ns = ended.saturating_sub(measure_from);
        result.ledger += &recorder.ledger;
        result.warmup += &recorder.warmup;
        result.elapsed_ns = result.elapsed_ns.max(elapsed_ns);
        result.threads.push(ThreadResult {
            cpu: done.cpu,
            connections: done.finished.connections,
            answered: recorder.ledger.answered,
            elapsed_ns,
            cpu_ns: done.finished.times.map_or(0, |times| times.cpu_ns),
            waited_ns: done.finished.times.and_then(|times| times.waited_ns),
            sent: recorder.ledger.sent,
            lag_total_ns: recorder.lag_total,
            lag_max_ns: recorder.lag_max,
        });
        result.failures.extend(failures);
        result.clients.extend(done.finished.clients);
        at_end.extend(done.finished.at_end);
        let recorded = recorder.finish(active_until);
        result.service.merge(&recorded.service);
        result.response.merge(&recorded.response);
        intervals.push(recorded.intervals);
    }
    result.intervals = merge_intervals(&intervals);
    result.failures.sort_by_key(|failure| failure.at_ns);
    if result.failures.is_empty() {
        // All were waiting for the same then: the first connection stands for all.
        result
            .failures
            .extend(at_end.into_iter().min_by_key(|failure| failure.connection));
    }
    result
}

/// When all threads were active, and what was answered then.
///
/// A thread that has nothing more to send, and waits for replies that are lost, is not active: its wait would only make the
/// rate smaller.
fn window(load: &Load, course: &Course, threads: &[Done]) -> Window {
    let (Some((opened, closed)), Some(first)) = (course.window(), threads.first()) else {
        return Window::default();
    };
    let measure_from = first.start.saturating_add(load.warmup_ns);
    let from = opened.max(measure_from);
    let last = match load.extent {
        Extent::Count(_) => Nanos::MAX,
        Extent::Duration(duration) => measure_from.saturating_add(duration),
    };
    let until = |done: &Done| done.finished.active_until.min(last);
    let length = threads.iter().map(until).min().unwrap_or_default();
    let length = length.saturating_sub(from);
    let answered = threads.iter().map(|done| {
        // While another thread waited in vain, this one went on, and what it counted is of a longer time.
        let counted = until(done).min(closed).saturating_sub(from);
        let part = length as f64 / counted.max(length).max(1) as f64;
        (done.finished.recorder.in_window as f64 * part).round() as u64
    });
    Window {
        length_ns: length,
        answered: answered.sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::Transport, recorder::Recorder};

    const MS: Nanos = 1_000_000;

    #[test]
    fn the_window_ends_where_the_first_thread_waits_for_losses_only() {
        let load = Load {
            threads: 2,
            connections: 2,
            extent: Extent::Count(1_000),
            timeout_ns: 500 * MS,
            interval_ns: 100 * MS,
            ..Load::of_one(Transport::Datagrams)
        };
        let done = |answered, active_until, ended| {
            let mut recorder = Recorder::new(false, load.interval_ns);
            recorder.in_window = answered;
            Done {
                start: 10 * MS,
                cpu: None,
                finished: Finished {
                    recorder,
                    failures: Vec::new(),
                    at_end: None,
                    connections: 1,
                    ended,
                    active_until,
                    times: None,
                    clients: Vec::new(),
                },
            }
        };
        let course = Course::new(2, Interrupt::default());
        course.enter(10 * MS);
        course.enter(10 * MS);
        course.leave(1_510 * MS);
        course.leave(2_010 * MS);
        // Both have 1,000 a second. The first has its last reply after 1 s and gives up at 1.5 s, until when the second counts.
        let threads = [
            done(1_000, 1_010 * MS, 1_510 * MS),
            done(1_500, 2_010 * MS, 2_010 * MS),
        ];
        let window = window(&load, &course, &threads);
        assert_eq!((window.length_ns, window.answered), (1_000 * MS, 2_000));
    }
}
