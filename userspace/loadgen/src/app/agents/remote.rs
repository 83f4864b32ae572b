// SPDX-License-Identifier: GPL-2.0

//! One agent, as the process that started it sees it.

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{channel, Receiver, Sender},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, Context};

use super::super::{
    agent::{self, HELLO, READY, RUN},
    tell, Tool,
};
use crate::{report::json::Document, screen::PULSE_PREFIX};

/// How long the last words of an agent that has ended may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often it is looked whether an agent has ended.
const LOOK: Duration = Duration::from_millis(10);

/// What an agent does.
#[derive(Debug)]
pub(super) enum Event {
    /// It waits for the others, and is this program in this version.
    Waits(String),
    /// It measures: so many replies a second, and where it is.
    Measures(f64, String),
    /// It has made a run.
    Run(String),
    /// It has measured.
    Document(String),
    /// It says no more.
    End,
}

impl Event {
    /// What a line says; `None` if it is not the agent's.
    fn of(line: &str) -> Option<Self> {
        let waits = line.strip_prefix(HELLO).or(line.strip_prefix(READY));
        if let Some(who) = waits {
            return Some(Self::Waits(who.trim().to_owned()));
        }
        if let Some(pulse) = line.strip_prefix(PULSE_PREFIX) {
            let (rate, place) = pulse.split_once(' ')?;
            return Some(Self::Measures(rate.parse().ok()?, place.to_owned()));
        }
        if let Some(run) = line.strip_prefix(RUN).filter(|run| run.starts_with('{')) {
            return Some(Self::Run(run.to_owned()));
        }
        line.starts_with('{')
            .then(|| Self::Document(line.to_owned()))
    }
}

/// An agent; ended when it is dropped.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) host: String,
    process: Child,
    input: Option<ChildStdin>,
    /// A document of each run that it has made.
    pub(super) runs: Vec<Document>,
    document: Option<Document>,
    pub(super) is_ready: bool,
    pub(super) has_ended: bool,
    /// The replies a second and the place that it told last, while it measures.
    pub(super) pulse: Option<(f64, String)>,
    /// When it did something last, or was told to.
    heard: Instant,
    /// Whether it has said what it is.
    is_known: bool,
    /// Whether it is no longer of interest what it complains about.
    dismissed: Arc<AtomicBool>,
    /// Disconnected when it can complain no more.
    complaints: Option<Receiver<()>>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.input = None;
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(complaints) = self.complaints.take() {
            // A shell may leave somebody behind who keeps standard error open.
            let _ = complaints.recv_timeout(LAST_WORDS);
        }
    }
}

impl Agent {
    /// Starts it.
    pub(super) fn start(
        place: usize,
        host: &str,
        shell: &str,
        command: &OsStr,
        events: &Sender<(usize, Event)>,
    ) -> anyhow::Result<Self> {
        let mut words = shell.split_whitespace();
        let program = words.next().context("--agent-shell is empty")?;
        let context = || format!("cannot start {program} for the agent {host}");
        let mut process = Command::new(program)
            .args(words)
            .arg(host)
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // What is typed at the terminal is for this process, which tells its agents.
            .process_group(0)
            .spawn()
            .with_context(context)?;
        let (output, errors) = (process.stdout.take(), process.stderr.take());
        let mut agent = Self {
            host: host.to_owned(),
            input: process.stdin.take(),
            process,
            runs: Vec::new(),
            document: None,
            is_ready: false,
            has_ended: false,
            pulse: None,
            heard: Instant::now(),
            is_known: false,
            dismissed: Arc::default(),
            complaints: None,
        };
        let (told, complaints) = channel::<()>();
        agent.complaints = Some(complaints);
        let (dismissed, name) = (Arc::clone(&agent.dismissed), host.to_owned());
        thread::Builder::new()
            .spawn(move || {
                let _told = told;
                for line in errors.into_iter().flat_map(lines) {
                    if !dismissed.load(Relaxed) {
                        pass_on(&name, &line);
                    }
                }
            })
            .with_context(context)?;
        let (events, name) = (events.clone(), host.to_owned());
        thread::Builder::new()
            .spawn(move || {
                for line in output.into_iter().flat_map(lines) {
                    let Some(event) = Event::of(&line) else {
                        // What its shell greets with.
                        pass_on(&name, &line);
                        continue;
                    };
                    // When nobody listens any more, it is over.
                    if events.send((place, event)).is_err() {
                        return;
                    }
                }
                let _ = events.send((place, Event::End));
            })
            .with_context(context)?;
        Ok(agent)
    }

    /// Notes what it does.
    pub(super) fn take<T: Tool>(&mut self, event: Event) -> anyhow::Result<()> {
        self.heard = Instant::now();
        match event {
            Event::Waits(who) => {
                check_version::<T>(&who)?;
                self.check_build::<T>(&who);
                self.is_ready = true;
                self.pulse = None;
            }
            Event::Measures(rate, place) => self.pulse = Some((rate, place)),
            Event::Run(text) => self.runs.push(read::<T>(&text)?),
            Event::Document(text) => self.document = Some(read::<T>(&text)?),
            Event::End => {
                self.is_ready = false;
                self.has_ended = true;
                self.pulse = None;
                let Some(status) = self.exit_status()? else {
                    bail!("says no more, and does not end");
                };
                match (&self.document, self.runs.len()) {
                    (Some(_), _) => {}
                    (None, 0) => bail!("ended without having measured ({status})"),
                    (None, _) => bail!("ended before all was measured ({status})"),
                }
                if !status.success() {
                    bail!("not all is well there ({status})");
                }
            }
        }
        Ok(())
    }

    /// The exit status of a process that says no more; `None` if it goes on nevertheless.
    fn exit_status(&mut self) -> io::Result<Option<ExitStatus>> {
        let until = Instant::now() + LAST_WORDS;
        loop {
            let status = self.process.try_wait()?;
            if status.is_some() || Instant::now() >= until {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
    }

    /// Warns if the program is another one there, though of the same version.
    fn check_build<T: Tool>(&mut self, who: &str) {
        let here = agent::build::<T>();
        if !std::mem::replace(&mut self.is_known, true) && who != here {
            let [there, here] =
                [who, &here[..]].map(|build| build.rsplit(' ').next().unwrap_or_default());
            let warning = format!(
                "warning: agent {}: built from another commit ({there}, and {here} here)",
                self.host
            );
            tell(T::NAME, [&warning[..]]);
        }
    }

    /// Whether it has said nothing for so long, although it has something to do.
    pub(super) fn is_silent(&self, patience: Duration) -> bool {
        !self.is_ready && !self.has_ended && self.heard.elapsed() >= patience
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
    }

    /// What it has measured, also if it did not come to its end.
    pub(super) fn take_document(&mut self) -> Option<Document> {
        if let Some(document) = self.document.take() {
            return Some(document);
        }
        let mut runs = self.runs.drain(..);
        let mut document = runs.next()?;
        document.runs.extend(runs.flat_map(|run| run.runs));
        document.stopped = Some(format!("agent {} has ended", self.host));
        Some(document)
    }

    /// Whether it makes no more runs although there are more to be made.
    pub(super) fn has_given_up(&self) -> bool {
        self.document
            .as_ref()
            .is_none_or(|document| document.stopped.is_some())
    }

    /// Has the agent go on, now that all others are as far.
    pub(super) fn go(&mut self) {
        self.is_ready = false;
        self.heard = Instant::now();
        if let Some(input) = &mut self.input {
            // If it has ended meanwhile, that is told soon.
            let _ = input.write_all(b"go\n").and_then(|()| input.flush());
        }
    }

    /// Has the agent make no more runs, and tell what it has measured.
    pub(super) fn dismiss(&mut self) {
        self.is_ready = false;
        // Before it can have anything to complain about.
        if !self.has_ended {
            self.dismissed.store(true, Relaxed);
        }
        self.input = None;
    }
}

/// Reads a document of an agent.
fn read<T: Tool>(text: &str) -> anyhow::Result<Document> {
    let document = Document::read(text)?;
    for from in &document.provenance {
        check_version::<T>(&format!("{} {}", from.tool, from.version))?;
    }
    Ok(document)
}

/// Agents of different versions may measure in different ways.
fn check_version<T: Tool>(who: &str) -> anyhow::Result<()> {
    let here = format!("{} {}", T::NAME, T::VERSION);
    let words: Vec<_> = who.split(' ').take(2).collect();
    let there = words.join(" ");
    if there != here {
        bail!("'{there}' is there, and '{here}' here: they must be the same");
    }
    Ok(())
}

/// The lines of a stream, until it ends or fails.
fn lines(stream: impl Read) -> impl Iterator<Item = String> {
    let lines = BufReader::new(stream).split(b'\n').map_while(Result::ok);
    lines.map(|line| String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Prints a line of an agent.
fn pass_on(host: &str, line: &str) {
    // If nobody reads it, the exit status has to do.
    let _ = writeln!(io::stderr(), "{host}: {line}");
}
