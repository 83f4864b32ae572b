// SPDX-License-Identifier: GPL-2.0

//! The terminal while a campaign goes on: progress, or the live view, below what was printed.
//!
//! It is on standard error. If that is no terminal, a row for each run tells how far things are, and a line a minute if runs
//! are long. A thread of its own looks at what the threads of a run tell, a few times a second.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    clock,
    engine::Nanos,
    load::{Extent, Load},
    pulse::Pulses,
    report::{
        live::Live,
        progress::{Of, Progress},
        Subject,
    },
};

/// How often it is refreshed.
const REFRESH: Duration = Duration::from_millis(250);

/// A run that is over sooner has no progress to be seen.
const SHORT: Nanos = 1_000_000_000;

/// How often a log has a line.
const LOG: Duration = Duration::from_secs(60);

/// How often the process that started this one is told.
const PULSE: Duration = Duration::from_secs(1);

/// A run of more requests may take minutes.
const MANY: u64 = 20_000_000;

/// What an agent's line on standard output begins with that tells its rate and where it is.
pub(crate) const PULSE_PREFIX: &str = "pulse ";

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Who has standard error before them.
    Person,
    /// The process that started this one, and reads a line a second from standard output.
    Starter,
}

/// What is shown while a campaign goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// A line: how far it is, the time left, and the rate.
    Progress,
    /// Several lines: also the latencies of the last second, and what goes wrong.
    Live,
}

/// The lower end of the terminal, until it is dropped.
#[derive(Debug)]
pub struct Screen {
    shared: Arc<Shared>,
    painter: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    bar: ProgressBar,
    medium: Medium,
    state: Mutex<State>,
    ends: Condvar,
}

#[derive(Debug)]
struct State {
    shown: Shown,
    began: Nanos,
    pulses: Option<Arc<Pulses>>,
    ended: bool,
}

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Terminal,
    /// Lines on standard error, of the tool with this name.
    Log(&'static str),
    /// Lines on standard output.
    Pulse,
    /// Nobody would see it.
    None,
}

#[derive(Debug)]
enum Shown {
    Progress(Progress),
    Live(Live),
}

impl Screen {
    /// Begins to show a campaign.
    ///
    /// # Errors
    ///
    /// There is no thread for it.
    pub fn begin(viewer: Viewer, view: View, subject: &Subject) -> io::Result<Self> {
        let target = match viewer {
            Viewer::Person => ProgressDrawTarget::stderr(),
            Viewer::Starter => ProgressDrawTarget::hidden(),
        };
        Self::on(target, viewer, view, subject)
    }

    fn on(
        target: ProgressDrawTarget,
        viewer: Viewer,
        view: View,
        subject: &Subject,
    ) -> io::Result<Self> {
        let bar = bar(target);
        let medium = match viewer {
            Viewer::Starter => Medium::Pulse,
            Viewer::Person if !bar.is_hidden() => Medium::Terminal,
            Viewer::Person if may_be_long(&subject.load) => Medium::Log(subject.tool),
            Viewer::Person => Medium::None,
        };
        let now = clock::now();
        let shown = match view {
            _ if medium != Medium::Terminal => Shown::Progress(Progress::new(&subject.load, now)),
            View::Progress => Shown::Progress(Progress::new(&subject.load, now)),
            View::Live => Shown::Live(Live::new(subject, now)),
        };
        let shared = Arc::new(Shared {
            bar,
            medium,
            state: Mutex::new(State {
                shown,
                began: now,
                pulses: None,
                ended: false,
            }),
            ends: Condvar::new(),
        });
        // Where nobody sees it, nobody needs to draw it.
        let painter = (medium != Medium::None)
            .then(|| {
                let shared = Arc::clone(&shared);
                thread::Builder::new()
                    .name("screen".to_owned())
                    .spawn(move || shared.paint())
            })
            .transpose()?;
        Ok(Self { shared, painter })
    }

    /// Whether anybody sees it, so that threads are to tell what they do.
    pub fn is_seen(&self) -> bool {
        self.painter.is_some()
    }

    /// The run with this number, from 1, begins now, and its threads tell what they do. As things are, it is one of so many.
    pub fn begin_run(&self, number: u64, of: Option<Of>, pulses: Arc<Pulses>) {
        let now = clock::now();
        let mut state = self.shared.lock();
        // What there was since the last look at the run before.
        state.look(now);
        match &mut state.shown {
            Shown::Progress(progress) => progress.begin(now, number, of),
            Shown::Live(live) => live.begin(now, number, of),
        }
        state.pulses = Some(pulses);
    }

    /// Does something that prints, and keeps out of its way meanwhile.
    pub fn print<T>(&self, prints: impl FnOnce() -> T) -> T {
        self.shared.bar.suspend(prints)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.ends.notify_all();
        if let Some(painter) = self.painter.take() {
            // It has nothing to say but that it panicked, and then the picture is all that is missing.
            let _ = painter.join();
        }
        self.shared.bar.finish_and_clear();
    }
}

impl Shared {
    /// Draws until the end.
    fn paint(&self) {
        let mut state = self.lock();
        loop {
            let timeout = self
                .ends
                .wait_timeout_while(state, self.medium.period(), |state| !state.ended);
            state = timeout.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                return;
            }
            let now = clock::now();
            let text = state.look(now);
            // If nobody reads it, that is no reason to end.
            let _ = match (self.medium, text) {
                (Medium::Terminal, Some(text)) => {
                    self.bar.set_message(text);
                    Ok(())
                }
                (Medium::Log(tool), Some(text)) => writeln!(io::stderr(), "{tool}: {text}"),
                (Medium::Pulse, _) => {
                    let pulse = state.pulse(now);
                    let mut out = io::stdout().lock();
                    writeln!(out, "{PULSE_PREFIX}{pulse}").and_then(|()| out.flush())
                }
                (Medium::Log(_) | Medium::Terminal | Medium::None, _) => Ok(()),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic that would matter here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Medium {
    /// How often it is told.
    fn period(self) -> Duration {
        match self {
            Self::Terminal | Self::None => REFRESH,
            Self::Log(_) => LOG,
            Self::Pulse => PULSE,
        }
    }
}

/// Whether a run of this load may take so long that a log is to say how far it is. Where it does not, there is no further
/// thread in this process, which would make system calls of the others slower.
fn may_be_long(load: &Load) -> bool {
    match load.extent {
        Extent::Duration(ns) => u128::from(ns) + u128::from(load.warmup_ns) > LOG.as_nanos(),
        Extent::Count(count) => count.saturating_mul(load.connections as u64) >= MANY,
    }
}

impl State {
    /// The rate of the last second, if it is known, and where things are.
    fn pulse(&self, now: Nanos) -> String {
        match &self.shown {
            Shown::Progress(progress) => {
                let rate = progress.present().rate.unwrap_or(0.0);
                format!("{rate:.1} {}", progress.where_it_is(now))
            }
            Shown::Live(_) => String::new(),
        }
    }

    /// Looks at what the threads tell; `None` if it is not worth to be seen yet.
    fn look(&mut self, now: Nanos) -> Option<String> {
        let look = self.pulses.as_ref()?.look();
        match &mut self.shown {
            Shown::Progress(progress) => {
                progress.tell(look);
                (now.saturating_sub(self.began) >= SHORT).then(|| progress.line(now))
            }
            Shown::Live(live) => {
                live.tell(now, look);
                Some(live.lines(now).join("\n"))
            }
        }
    }
}

/// A line on standard error that says how far other processes are: in place on a terminal, and a line a minute in a log.
#[derive(Debug)]
pub(crate) struct Line {
    bar: ProgressBar,
    tool: &'static str,
    /// When a log was told last.
    told: Nanos,
}

impl Line {
    /// A line of this tool.
    pub(crate) fn new(tool: &'static str) -> Self {
        Self {
            bar: bar(ProgressDrawTarget::stderr()),
            tool,
            told: clock::now(),
        }
    }

    /// Shows this, if it is time.
    pub(crate) fn show(&mut self, text: &str) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text.to_owned());
            return;
        }
        let now = clock::now();
        if u128::from(now.saturating_sub(self.told)) >= LOG.as_nanos() {
            self.told = now;
            // If nobody reads it, that is no reason to end.
            let _ = writeln!(io::stderr(), "{}: {text}", self.tool);
        }
    }

    /// Does something that prints, and keeps out of its way meanwhile.
    pub(crate) fn print<T>(&self, prints: impl FnOnce() -> T) -> T {
        self.bar.suspend(prints)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar of which the message is all there is; without it, nothing is drawn.
fn bar(target: ProgressDrawTarget) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target);
    bar.set_style(
        ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::tests::closed, result::Distribution, Ledger};
    use indicatif::InMemoryTerm;

    fn pulses(sent: u64) -> Arc<Pulses> {
        let pulses = Pulses::new(1);
        let ledger = Ledger {
            scheduled: sent,
            sent,
            answered: sent,
            ..Ledger::default()
        };
        let at = clock::now();
        if let Some(pulse) = pulses.thread(0) {
            pulse.publish(at, &ledger, &Ledger::default(), &Distribution::default());
        }
        Arc::new(pulses)
    }

    fn screen(view: View) -> (Screen, InMemoryTerm) {
        let terminal = InMemoryTerm::new(20, 80);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let screen = Screen::on(target, Viewer::Person, view, &closed()).unwrap();
        (screen, terminal)
    }

    /// Looks until something is there.
    fn seen(terminal: &InMemoryTerm, text: &str) -> String {
        loop {
            let contents = terminal.contents();
            if contents.contains(text) {
                return contents;
            }
            thread::yield_now();
        }
    }

    #[test]
    fn the_live_view_is_replaced_in_place_and_gone_at_the_end() {
        let (screen, terminal) = screen(View::Live);
        screen.begin_run(1, Some(Of::Runs(2)), pulses(1_000));
        let first = seen(&terminal, "1,000");
        assert_eq!(first.lines().count(), 8, "{first}");
        screen.begin_run(2, Some(Of::Runs(2)), pulses(2_000));
        let second = seen(&terminal, "2,000");
        assert!(
            second.contains("run 2 of 2") && !second.contains("run 1 of 2"),
            "{second}"
        );
        assert_eq!(second.lines().count(), 8, "{second}");
        drop(screen);
        assert_eq!(terminal.contents(), "");
    }

    #[test]
    fn what_is_printed_meanwhile_stays_above() {
        let (screen, terminal) = screen(View::Live);
        screen.begin_run(1, None, pulses(1_000));
        seen(&terminal, "1,000");
        use indicatif::TermLike;
        screen.print(|| terminal.write_line("a row").unwrap());
        assert!(seen(&terminal, "1,000").starts_with("a row\nrpctest"));
        drop(screen);
        assert_eq!(terminal.contents(), "a row");
    }

    #[test]
    fn progress_is_a_line() {
        let (screen, terminal) = screen(View::Progress);
        screen.begin_run(3, Some(Of::Runs(4)), pulses(2_000));
        let line = seen(&terminal, "run 3 of 4, 62 %");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn short_runs_have_no_progress() {
        let mut state = State {
            shown: Shown::Progress(Progress::new(&closed().load, 0)),
            began: 0,
            pulses: None,
            ended: false,
        };
        assert_eq!(state.look(SHORT), None);
        state.pulses = Some(pulses(0));
        assert_eq!(state.look(SHORT - 1), None);
        assert!(state.look(SHORT).is_some());
    }

    #[test]
    fn a_log_has_lines_of_long_runs_only() {
        let of = |extent| {
            let load = Load {
                extent,
                ..closed().load
            };
            let subject = Subject { load, ..closed() };
            let hidden = ProgressDrawTarget::hidden();
            let screen = Screen::on(hidden, Viewer::Person, View::Live, &subject).unwrap();
            assert_eq!(screen.is_seen(), screen.shared.medium != Medium::None);
            screen.shared.medium
        };
        let second = 1_000_000_000;
        assert_eq!(of(Extent::Duration(60 * second)), Medium::None);
        assert_eq!(of(Extent::Duration(61 * second)), Medium::Log("rpctest"));
        assert_eq!(of(Extent::Count(10_000)), Medium::None);
        assert_eq!(of(Extent::Count(1_000_000_000)), Medium::Log("rpctest"));
    }

    #[test]
    fn whoever_started_this_process_is_told_rate_and_place() {
        let mut state = State {
            shown: Shown::Progress(Progress::new(&closed().load, 0)),
            began: 0,
            pulses: None,
            ended: false,
        };
        assert_eq!(state.pulse(0), "0.0 run 0, 0:00 so far");
        if let Shown::Progress(progress) = &mut state.shown {
            progress.begin(0, 2, Some(Of::Runs(3)));
        }
        assert_eq!(state.pulse(0), "0.0 run 2 of 3, 33 %, 0:00 so far");
    }

    #[test]
    fn where_nobody_sees_it_nothing_is_drawn() {
        let hidden = ProgressDrawTarget::hidden();
        let screen = Screen::on(hidden, Viewer::Person, View::Live, &closed()).unwrap();
        assert!(!screen.is_seen());
        screen.begin_run(1, None, pulses(1));
        assert_eq!(screen.print(|| 7), 7);
    }
}
