// SPDX-License-Identifier: GPL-2.0

//! Measures from several machines at the same time: the same program is started on each, their runs begin together, and what
//! they measured is merged.
//!
//! An agent says hello with its name and version, and waits for a line; when all have, each gets it, opens the connections of
//! a run, says that it is ready and waits again. While it measures it tells each second how far it is, and after each run
//! what that brought; in the end, its JSON document. An agent whose standard input ends comes to its end, so that none goes on
//! without this process.

mod remote;

use std::{
    env,
    ffi::{OsStr, OsString},
    sync::mpsc::{channel, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{anyhow, Context};

use self::remote::{Agent, Event};
use super::{
    cli::{Cli, OutputOptions},
    merge::{self, Rows},
    output, Tool,
};
use crate::{
    interrupt::Interrupt,
    report::{
        self,
        json::Document,
        number::{grouped, rate, NOT_AVAILABLE},
    },
    result::Window,
    screen::Line,
};

/// How long agents may take to tell what they measured when one of them failed.
const GRACE: Duration = Duration::from_secs(5);

/// How soon it is noticed that somebody wants an end.
const ATTENTION: Duration = Duration::from_millis(100);

/// How long an agent may say nothing beside the time that it may wait for the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures by agents, and reports.
pub(super) fn measure<T: Tool>(cli: &Cli<T>) -> anyhow::Result<()> {
    output::can_be_written(&cli.output)?;
    let interrupt = Interrupt::by_signals().context("cannot handle signals")?;
    let mut words = env::args_os();
    let own_name = words.next().unwrap_or_else(|| T::NAME.into());
    // A program may have several tools.
    let subcommand: Vec<_> = words.by_ref().take(T::COMMAND.len() - 1).collect();
    let options = &cli.agents;
    let program = options
        .agent_program
        .as_ref()
        .map_or(own_name, OsString::from);
    let arguments = agent_arguments(words);
    let (sender, events) = channel();
    let hosts = options.agents.iter().enumerate();
    let agents = hosts
        .map(|(place, host)| {
            let own = own_arguments(cli.load.seed, place);
            let command = remote_command(&program, subcommand.iter().chain(&own).chain(&arguments));
            Agent::start(place, host, &options.agent_shell, &command, &sender)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    drop(sender);
    let patience = options.agent_timeout;
    let mut party = Party {
        agents,
        patience: patience.unwrap_or(PATIENCE + cli.load.timeout()),
        rows: Rows::new(&cli.output, cli.load.no_headers),
        line: Line::new(T::NAME),
    };
    let outcome = party.follow::<T>(&events, &interrupt);
    let reported = party.report::<T>(&outcome, &cli.output);
    outcome.and(reported)
}

/// All agents.
#[derive(Debug)]
struct Party {
    agents: Vec<Agent>,
    /// How long one may say nothing.
    patience: Duration,
    rows: Rows,
    line: Line,
}

impl Party {
    /// Starts runs together until all agents have ended. When one cannot go on, none does.
    ///
    /// # Errors
    ///
    /// One could not go on, or found that not all was well; or somebody wants an end.
    fn follow<T: Tool>(
        &mut self,
        events: &Receiver<(usize, Event)>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        let mut deadline: Option<Instant> = None;
        loop {
            if deadline.is_none() {
                if let Err(error) = self.check(interrupt) {
                    outcome = outcome.and(Err(error));
                    deadline = Some(self.dismiss());
                }
            }
            self.line.show(&self.place());
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
            let is_run = matches!(event, Event::Run(_));
            let agent = &mut self.agents[place];
            let mut goes_on = true;
            if let Err(error) = agent.take::<T>(event) {
                outcome = outcome.and(Err(error.context(format!("agent {}", agent.host))));
                goes_on = !agent.has_given_up();
            }
            if is_run {
                if let Err(error) = self.print_rows::<T>() {
                    outcome = outcome.and(Err(error));
                    goes_on = false;
                }
            }
            if !goes_on && deadline.is_none() {
                deadline = Some(self.dismiss());
            }
            let waits = |agent: &Agent| agent.is_ready || agent.has_ended;
            if deadline.is_none() && self.agents.iter().all(waits) {
                let ready = self.agents.iter_mut().filter(|agent| agent.is_ready);
                ready.for_each(Agent::go);
            }
        }
    }

    /// Checks that nobody wants an end, and that all agents do something.
    fn check(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        if interrupt.is_raised() {
            return Err(anyhow!("interrupted"));
        }
        let patience = self.patience;
        let silent = self
            .agents
            .iter_mut()
            .find(|agent| agent.is_silent(patience));
        match silent {
            None => Ok(()),
            Some(agent) => {
                agent.kill();
                let seconds = patience.as_secs();
                Err(anyhow!(
                    "agent {}: said nothing for {seconds} s",
                    agent.host
                ))
            }
        }
    }

    /// Has all agents come to their end; returns how long they may take for it.
    fn dismiss(&mut self) -> Instant {
        self.agents.iter_mut().for_each(Agent::dismiss);
        Instant::now() + GRACE
    }

    /// How far things are, and who is waited for.
    fn place(&self) -> String {
        let measuring = self.agents.iter().filter_map(|agent| agent.pulse.as_ref());
        let replies: f64 = measuring.clone().map(|(replies, _)| replies).sum();
        let mut parts = Vec::new();
        if let Some((_, place)) = measuring.clone().next() {
            parts.push(format!("{place}, {}/s", rate(replies)));
        }
        let some_wait = self.agents.iter().any(|agent| agent.is_ready);
        let awaited = self.agents.iter().filter(|agent| {
            let is_measuring = agent.pulse.is_some();
            !agent.is_ready && !agent.has_ended && (some_wait || !is_measuring)
        });
        let awaited: Vec<_> = awaited.map(|agent| &agent.host[..]).collect();
        if !awaited.is_empty() {
            parts.push(format!("waiting for: {}", awaited.join(", ")));
        }
        parts.join("; ")
    }

    /// Prints the rows of the runs that all agents have made.
    fn print_rows<T: Tool>(&mut self) -> anyhow::Result<()> {
        let made = self.agents.iter().map(|agent| agent.runs.len());
        for number in self.rows.printed()..made.min().unwrap_or_default() {
            let runs = self.agents.iter();
            let runs =
                runs.filter_map(|agent| Some((&agent.host, agent.runs.get(number)?.clone())));
            let (hosts, documents): (Vec<_>, Vec<_>) = runs.unzip();
            let document = merged(&hosts, documents)?;
            let rows = &mut self.rows;
            self.line
                .print(|| rows.print::<T>(&document, &document.runs))?;
        }
        Ok(())
    }

    /// Reports what was measured. Of agents that could not go on together, that is the runs that all of them made who made
    /// any.
    fn report<T: Tool>(
        mut self,
        outcome: &anyhow::Result<()>,
        options: &OutputOptions,
    ) -> anyhow::Result<()> {
        drop(self.line);
        let all = self.agents.len();
        let (hosts, mut documents): (Vec<_>, Vec<_>) = self
            .agents
            .iter_mut()
            .filter_map(|agent| Some((agent.take_document()?, &agent.host)))
            .filter(|(document, _)| !document.runs.is_empty())
            .map(|(document, host)| (host, document))
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
        let machines: Vec<_> = hosts.iter().zip(&documents).map(machine).collect();
        let document = merged(&hosts, documents)?;
        merge::report::<T>(document, options, self.rows, &machines)
    }
}

/// Merges what hosts measured together.
fn merged(hosts: &[&String], documents: Vec<Document>) -> anyhow::Result<Document> {
    report::merge::merge(documents).map_err(|error| match error.document() {
        Some(place) => anyhow!("agent {}: {error}", hosts[place]),
        None => error.into(),
    })
}

/// What one of the machines measured.
fn machine((host, document): (&&String, &Document)) -> String {
    let mut window = Window::default();
    let mut answered = 0;
    for run in &document.runs {
        answered += run.result.ledger.answered;
        window.length_ns += run.result.window.length_ns;
        window.answered += run.result.window.answered;
    }
    let rate = window.rate().map_or(NOT_AVAILABLE.to_owned(), rate);
    format!("{host}: {} answered, {rate}/s", grouped(answered))
}

/// What only one agent is told. If they had the same seed, their random arrivals would be the same, and come in bunches.
fn own_arguments(seed: Option<u64>, place: usize) -> Vec<OsString> {
    let seed = seed.map(|seed| format!("--seed={}", seed.wrapping_add(place as u64)));
    let seed = seed.into_iter().map(OsString::from);
    [OsString::from("--agent")]
        .into_iter()
        .chain(seed)
        .collect()
}

/// Options that are for the process that starts the agents, and whether a value follows as a word of its own.
const OWN: [(&str, bool); 8] = [
    ("--agents", true),
    ("--agent-shell", true),
    ("--agent-program", true),
    ("--agent-timeout", true),
    ("--seed", true),
    ("--hdr-log", true),
    ("--plot", true),
    ("--json", false),
];

/// The arguments of all agents: those of this process, without what is not for them.
fn agent_arguments(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = Vec::new();
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
fn remote_command<'a>(program: &OsStr, arguments: impl Iterator<Item = &'a OsString>) -> OsString {
    let mut command = quoted(program);
    for argument in arguments {
        command.push(" ");
        command.push(quoted(argument));
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
            "-j 2 server:7"
        );
        assert_eq!(
            arguments("--agents=a --json=f.json -c 5 --seed 7 --agent-timeout=9 --agent-program /x/y server"),
            "-c 5 server"
        );
    }

    #[test]
    fn agents_have_seeds_of_their_own() {
        assert_eq!(own_arguments(None, 3), ["--agent"]);
        assert_eq!(own_arguments(Some(7), 0), ["--agent", "--seed=7"]);
        assert_eq!(own_arguments(Some(u64::MAX), 2), ["--agent", "--seed=1"]);
    }

    #[test]
    fn a_shell_reads_every_argument_as_it_was() {
        let command = remote_command(
            OsStr::new("/a b/tool"),
            ["--search", "p99<50us", "it's"].map(OsString::from).iter(),
        );
        assert_eq!(
            command.to_string_lossy(),
            r"'/a b/tool' '--search' 'p99<50us' 'it'\''s'"
        );
    }
}
