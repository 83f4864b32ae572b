// SPDX-License-Identifier: GPL-2.0

//! Measures from several machines at the same time: the same program is started on each, their runs begin together, and what
//! they measured is merged.
//!
//! An agent opens the connections of a run, prints `ready` and waits for a line; when all wait, each gets it. In the end each
//! prints its JSON document. An agent whose standard input ends gives up, so that none goes on without this process.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{channel, Receiver, Sender},
    thread,
};

use anyhow::{bail, Context};

use super::{cli::Cli, measure::READY, merge, Tool};
use crate::report::{self, json::Document};

/// What an agent does.
#[derive(Debug)]
enum Event {
    /// It waits for the others.
    Ready,
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
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.input = None;
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Measures by agents, and reports.
pub(super) fn measure<T: Tool>(cli: &Cli<T>) -> anyhow::Result<()> {
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
    let outcome = follow(&mut agents, &events);
    let documents: Vec<_> = agents
        .iter_mut()
        .filter_map(|agent| agent.document.take())
        .collect();
    if !documents.is_empty() {
        let document = report::merge::merge(documents)?;
        merge::report::<T>(&document, &cli.output, cli.load.no_headers)?;
    }
    outcome
}

/// Starts runs together until all agents have ended.
///
/// # Errors
///
/// One ended without having measured, or found that not all was well.
fn follow(agents: &mut [Agent], events: &Receiver<(usize, Event)>) -> anyhow::Result<()> {
    for (place, event) in events {
        match event {
            Event::Ready => agents[place].is_ready = true,
            Event::Document(text) => {
                let agent = &mut agents[place];
                let document = Document::read(&text)
                    .with_context(|| format!("agent {}: not a document", agent.host))?;
                agent.document = Some(document);
            }
            Event::End => {
                let agent = &mut agents[place];
                agent.has_ended = true;
                let status = agent
                    .process
                    .wait()
                    .with_context(|| format!("agent {}", agent.host))?;
                if agent.document.is_none() {
                    bail!(
                        "agent {}: ended without having measured ({status})",
                        agent.host
                    );
                }
                if !status.success() {
                    bail!("agent {}: not all is well there ({status})", agent.host);
                }
            }
        }
        let waits = |agent: &Agent| agent.is_ready || agent.has_ended;
        if agents.iter().all(waits) && agents.iter().any(|agent| agent.is_ready) {
            for agent in agents.iter_mut().filter(|agent| agent.is_ready) {
                agent.go()?;
            }
        }
    }
    Ok(())
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
        let context = || format!("cannot start the agent on {host}");
        let mut process = Command::new(program)
            .args(words)
            .arg(host)
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(context)?;
        let input = process.stdin.take();
        let output = process.stdout.take();
        let mut agent = Self {
            host: host.to_owned(),
            process,
            input,
            document: None,
            is_ready: false,
            has_ended: false,
        };
        let Some(output) = output else {
            agent.has_ended = true;
            return Ok(agent);
        };
        let events = events.clone();
        thread::Builder::new()
            .spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let event = if line == READY {
                        Event::Ready
                    } else {
                        Event::Document(line)
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

    /// Has the agent begin its run.
    fn go(&mut self) -> anyhow::Result<()> {
        self.is_ready = false;
        let Some(input) = &mut self.input else {
            return Ok(());
        };
        input
            .write_all(b"go\n")
            .and_then(|()| input.flush())
            .with_context(|| format!("agent {}: cannot be told to begin", self.host))
    }
}

/// Options that are for the process that starts the agents, and whether a value follows as a word of its own.
const OWN: [(&str, bool); 8] = [
    ("--agents", true),
    ("--agent-shell", true),
    ("--agent-program", true),
    ("--hdr-log", true),
    ("--plot", true),
    ("--json", false),
    ("--ksf", false),
    ("--live", false),
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
