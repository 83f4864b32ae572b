// SPDX-License-Identifier: GPL-2.0

//! Measures from several machines at the same time: the same program is started on each, their runs begin together, and what
//! they measured is merged.
//!
//! An agent opens the connections of a run, prints `ready` with its name and version, and waits for a line; when all wait,
//! each gets it. In the end each prints its JSON document. An agent whose standard input ends comes to its end, so that none
//! goes on without this process.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{channel, Receiver, RecvTimeoutError, Sender},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail, Context};

use super::{
    agent::READY,
    cli::{Cli, OutputOptions},
    merge, output, Tool,
};
use crate::{
    interrupt::Interrupt,
    report::{self, json::Document},
};

/// How long agents may take to tell what they measured when one of them failed.
const GRACE: Duration = Duration::from_secs(5);

/// How soon it is noticed that somebody wants an end.
const ATTENTION: Duration = Duration::from_millis(100);

/// How long the last words of an agent that has ended may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What an agent does.
#[derive(Debug)]
enum Event {
    /// It waits for the others, and is this program in this version.
    Ready(String),
    /// It has measured.
    Document(String),
    /// It says no more.
    End,
}

/// An agent; ended when it is dropped.
#[derive(Debug)]
struct Agent {
    host: String,
    process: Child,
    input: Option<ChildStdin>,
    document: Option<Document>,
    is_ready: bool,
    has_ended: bool,
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

/// Measures by agents, and reports.
pub(super) fn measure<T: Tool>(cli: &Cli<T>) -> anyhow::Result<()> {
    output::can_be_written(&cli.output)?;
    let interrupt = Interrupt::by_signals().context("cannot handle signals")?;
    let mut words = env::args_os();
    let own_name = words.next().unwrap_or_else(|| T::NAME.into());
    let program = cli
        .agents
        .agent_program
        .as_ref()
        .map_or(own_name, OsString::from);
    let command = remote_command(&program, agent_arguments(words));
    let (sender, events) = channel();
    let mut agents = cli
        .agents
        .agents
        .iter()
        .enumerate()
        .map(|(place, host)| Agent::start(place, host, &cli.agents.agent_shell, &command, &sender))
        .collect::<anyhow::Result<Vec<_>>>()?;
    drop(sender);
    let outcome = follow::<T>(&mut agents, &events, &interrupt);
    let reported = report::<T>(&mut agents, &outcome, &cli.output, cli.load.no_headers);
    outcome.and(reported)
}

/// Starts runs together until all agents have ended. When one cannot go on, none does.
///
/// # Errors
///
/// One could not go on, or found that not all was well; or somebody wants an end.
fn follow<T: Tool>(
    agents: &mut [Agent],
    events: &Receiver<(usize, Event)>,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    let mut deadline: Option<Instant> = None;
    loop {
        if deadline.is_none() && interrupt.is_raised() {
            outcome = Err(anyhow!("interrupted"));
            deadline = Some(Instant::now() + GRACE);
            agents.iter_mut().for_each(Agent::dismiss);
        }
        let patience = match deadline {
            None => ATTENTION,
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
        };
        let (place, event) = match events.recv_timeout(patience) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) if deadline.is_none() => continue,
            // No event is left, or no time.
            Err(_) => return outcome,
        };
        let agent = &mut agents[place];
        if let Err(error) = agent.take::<T>(event) {
            outcome = outcome.and(Err(error.context(format!("agent {}", agent.host))));
            if agent.has_given_up() && deadline.is_none() {
                deadline = Some(Instant::now() + GRACE);
                agents.iter_mut().for_each(Agent::dismiss);
            }
        }
        let waits = |agent: &Agent| agent.is_ready || agent.has_ended;
        if deadline.is_none() && agents.iter().all(waits) {
            agents
                .iter_mut()
                .filter(|agent| agent.is_ready)
                .for_each(Agent::go);
        }
    }
}

/// Reports what was measured. Of agents that could not go on together, that is the runs that all of them made who made any.
fn report<T: Tool>(
    agents: &mut [Agent],
    outcome: &anyhow::Result<()>,
    options: &OutputOptions,
    no_headers: bool,
) -> anyhow::Result<()> {
    let all = agents.len();
    let (hosts, mut documents): (Vec<_>, Vec<_>) = agents
        .iter_mut()
        .filter_map(|agent| Some((&agent.host, agent.document.take()?)))
        .filter(|(_, document)| !document.runs.is_empty())
        .unzip();
    if let Err(error) = outcome {
        let runs = documents.iter().map(|document| document.runs.len()).min();
        for document in &mut documents {
            document.runs.truncate(runs.unwrap_or_default());
            if hosts.len() < all {
                document.stopped.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }
    if documents.is_empty() {
        return Ok(());
    }
    let document = report::merge::merge(documents).map_err(|error| match error.document() {
        Some(place) => anyhow::anyhow!("agent {}: {error}", hosts[place]),
        None => error.into(),
    })?;
    merge::report::<T>(document, options, no_headers)
}

impl Agent {
    fn start(
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
            document: None,
            is_ready: false,
            has_ended: false,
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
                    let event = match line.strip_prefix(READY) {
                        Some(who) => Event::Ready(who.trim().to_owned()),
                        None if line.starts_with('{') => Event::Document(line),
                        None => {
                            // What its shell greets with.
                            pass_on(&name, &line);
                            continue;
                        }
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
    fn take<T: Tool>(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Ready(who) => {
                check_version::<T>(&who)?;
                self.is_ready = true;
            }
            Event::Document(text) => {
                let document = Document::read(&text)?;
                for from in &document.provenance {
                    check_version::<T>(&format!("{} {}", from.tool, from.version))?;
                }
                self.document = Some(document);
            }
            Event::End => {
                self.is_ready = false;
                self.has_ended = true;
                let status = self.process.wait()?;
                if self.document.is_none() {
                    bail!("ended without having measured ({status})");
                }
                if !status.success() {
                    bail!("not all is well there ({status})");
                }
            }
        }
        Ok(())
    }

    /// Whether it makes no more runs although there are more to be made.
    fn has_given_up(&self) -> bool {
        self.document
            .as_ref()
            .is_none_or(|document| document.stopped.is_some())
    }

    /// Has the agent begin its run.
    fn go(&mut self) {
        self.is_ready = false;
        if let Some(input) = &mut self.input {
            // If it has ended meanwhile, that is told soon.
            let _ = input.write_all(b"go\n").and_then(|()| input.flush());
        }
    }

    /// Has the agent make no more runs, and tell what it has measured.
    fn dismiss(&mut self) {
        self.is_ready = false;
        self.input = None;
        if !self.has_ended {
            self.dismissed.store(true, Relaxed);
        }
    }
}

/// Agents of different versions may measure in different ways.
fn check_version<T: Tool>(who: &str) -> anyhow::Result<()> {
    let here = format!("{} {}", T::NAME, T::VERSION);
    if who != here {
        bail!("'{who}' is there, and '{here}' here: they must be the same");
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

/// Options that are for the process that starts the agents, and whether a value follows as a word of its own.
const OWN: [(&str, bool); 6] = [
    ("--agents", true),
    ("--agent-shell", true),
    ("--agent-program", true),
    ("--hdr-log", true),
    ("--plot", true),
    ("--json", false),
];

/// The arguments of an agent: those of this process, without what is not for it.
fn agent_arguments(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = vec![OsString::from("--agent")];
    let mut is_value = false;
    for word in words {
        if std::mem::take(&mut is_value) {
            continue;
        }
        let text = word.to_string_lossy();
        let (name, has_value) = match text.split_once('=') {
            Some((name, _)) => (name, true),
            None => (&*text, false),
        };
        match OWN.iter().find(|(own, _)| *own == name) {
            Some(&(_, takes_value)) => is_value = takes_value && !has_value,
            None => arguments.push(word),
        }
    }
    arguments
}

/// The command as a shell reads it.
fn remote_command(program: &OsStr, arguments: Vec<OsString>) -> OsString {
    let mut command = quoted(program);
    for argument in arguments {
        command.push(" ");
        command.push(quoted(&argument));
    }
    command
}

fn quoted(word: &OsStr) -> OsString {
    let text = word.to_string_lossy();
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> String {
        let words = agent_arguments(line.split(' ').map(OsString::from));
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn an_agent_is_told_about_the_load_and_nothing_else() {
        assert_eq!(
            arguments(
                "--agents a,b -j 2 --agent-shell=ssh --json --plot p.svg --hdr-log=x server:7"
            ),
            "--agent -j 2 server:7"
        );
        assert_eq!(
            arguments("--agents=a --json=f.json -c 5 --agent-program /x/y server"),
            "--agent -c 5 server"
        );
    }

    #[test]
    fn a_shell_reads_every_argument_as_it_was() {
        let command = remote_command(
            OsStr::new("/a b/tool"),
            vec!["--search".into(), "p99<50us".into(), "it's".into()],
        );
        assert_eq!(
            command.to_string_lossy(),
            r"'/a b/tool' '--search' 'p99<50us' 'it'\''s'"
        );
    }
}
