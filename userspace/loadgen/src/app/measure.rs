// SPDX-License-Identifier: GPL-2.0

//! Measures one server, or compares two.

use std::{cell::RefCell, time::Duration};

use anyhow::{bail, Context};

use super::{
    agent::{self, Starter, HELLO, READY},
    cli::{OutputOptions, ViewOptions},
    output::{self, Results},
    printer::{Printer, Style},
    Problem, Tool,
};
use crate::{
    campaign::{conduct, Assignment, Observer, Plan, Runner, Stopped},
    interrupt::Interrupt,
    load::{Extent, Load, Pace, Transport},
    options::LoadOptions,
    protocol::Protocol,
    report::{json::Question, provenance::Provenance, Subject},
    result::RunResult,
    schedule::{Arrivals, Rate},
    screen::View,
    session::Session,
    target::{Server, Target},
};

/// How long a run of a search is, unless that was said.
const SEARCH_RUN: Duration = Duration::from_secs(2);

/// What is to be measured, and how.
#[derive(Debug)]
pub(super) struct Measurement<'a, T> {
    pub(super) load: &'a LoadOptions,
    pub(super) tool: &'a T,
    pub(super) output: &'a OutputOptions,
    pub(super) view: ViewOptions,
    /// Whether the columns are those of ksf's tool.
    pub(super) ksf: bool,
    pub(super) plan: Plan,
    /// As many as the plan takes.
    pub(super) servers: Vec<&'a Server>,
    /// Whether another process says when a run begins, and reads the results.
    pub(super) is_agent: bool,
}

impl<T: Tool> Measurement<'_, T> {
    /// Measures and reports.
    pub(super) fn measure(mut self) -> Result<(), Problem> {
        let load = self.load().map_err(Problem::Usage)?;
        let request_bytes = self.tool.request_bytes(load.transport);
        self.load
            .check_batch(request_bytes)
            .map_err(Problem::Usage)?;
        let protocol = self.tool.protocol(load.transport, load.seed);
        let protocol = protocol.map_err(Problem::Usage)?;
        Ok(self.conduct(load, &protocol)?)
    }

    /// The load of each run; a search is in open loop, and its runs are no longer than they need to be.
    fn load(&mut self) -> Result<Load, String> {
        let options = self.load;
        let Plan::Search(plan) = &self.plan else {
            return options.load(T::KIND);
        };
        let mut options = options.clone();
        if options.rate.is_none() {
            options.rate = Rate::per_second(plan.first as f64).ok();
        }
        let mut load = options.load(T::KIND)?;
        if options.count.is_none() && options.duration.is_none() {
            load.extent = Extent::Duration(SEARCH_RUN.as_nanos() as u64);
        }
        Ok(load)
    }

    fn conduct(self, load: Load, protocol: &T::Protocol) -> anyhow::Result<()> {
        let targets = self
            .servers
            .iter()
            .map(|server| self.target(server, load.transport))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let interrupt = Interrupt::by_signals().context("cannot handle signals")?;
        let machine = self.load.machine();
        let sessions = targets
            .iter()
            .map(|target| {
                Session::new(
                    protocol,
                    target,
                    machine.clone(),
                    self.load.socket_options(),
                    interrupt.clone(),
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        output::can_be_written(self.output)?;
        let transport = load.transport.name();
        let what = match self.tool.subject() {
            Some(subject) => format!("{subject} over {transport}"),
            None => transport.to_owned(),
        };
        let request_bytes = self.tool.request_bytes(load.transport) as u64;
        let reply_bytes = self.tool.reply_bytes(load.transport);
        let reply_bytes = reply_bytes.map(|bytes| bytes as u64);
        let subject = Subject {
            tool: T::NAME,
            what: what.clone(),
            requests: T::REQUESTS,
            load: load.clone(),
            searches: matches!(self.plan, Plan::Search(_)),
            polls: machine.busy_poll,
            request_bytes,
            reply_bytes,
        };
        let names: Vec<_> = targets.iter().map(ToString::to_string).collect();
        let style = Style {
            no_headers: self.load.no_headers,
            is_quiet: self.is_agent || output::takes_stdout(self.output),
            is_agent: self.is_agent,
            ksf: self.tool.ksf_columns().filter(|_| self.ksf),
            view: if self.view.live {
                View::Live
            } else {
                View::Progress
            },
            keeps_runs: self.is_agent || output::needs_runs(self.output),
        };
        let printer = RefCell::new(Printer::new(subject, &self.plan, names.clone(), style));
        let mut question = Question {
            // It says when it began.
            provenance: Provenance::here(T::NAME, T::VERSION, load.seed),
            targets: names,
            addresses: sessions.iter().map(Session::address).collect(),
            bind: self.load.socket_options().bind,
            what,
            request_bytes,
            reply_bytes,
            load: load.clone(),
            client: machine,
            plan: self.plan,
        };
        let mut runs = Runs {
            sessions,
            load: load.clone(),
            printer: &printer,
            starter: self
                .is_agent
                .then(|| Starter::new::<T>(interrupt.clone()))
                .transpose()?,
            interrupt,
        };
        let mut observer = Watcher {
            printer: &printer,
            question: self.is_agent.then_some(&question),
        };
        let conclusion = conduct(&question.plan, load.seed, &mut runs, &mut observer);
        // Of several addresses of a name, the first may not have answered.
        question.addresses = runs.sessions.iter().map(Session::address).collect();
        let mut printer = printer.into_inner();
        printer.conclude(&conclusion, &question.plan);
        let results = Results {
            question,
            runs: printer.take_runs(),
            warnings: printer.warnings(),
            series: printer.take_series(&conclusion.answer),
            heading: printer.heading(),
        };
        output::write(self.output, self.is_agent, results, &conclusion)?;
        printer.check()?;
        match conclusion.stopped {
            Some(Stopped::NoRun(error)) => Err(error),
            Some(Stopped::Failure) | None => printer.judge(&conclusion.answer),
            Some(Stopped::Interrupt) => bail!("interrupted"),
        }
    }

    fn target(&self, server: &Server, transport: Transport) -> anyhow::Result<Target> {
        match server.port() {
            Some(port) => Ok(server.at(port)),
            None => {
                let options = self.load.socket_options();
                self.tool.default_target(server, transport, &options)
            }
        }
    }
}

/// Has runs printed and, by an agent, told to the process that started it.
struct Watcher<'a> {
    printer: &'a RefCell<Printer>,
    question: Option<&'a Question>,
}

impl Observer for Watcher<'_> {
    fn begins(&mut self, assignment: &Assignment, of: Option<u64>) {
        let mut printer = self.printer;
        printer.begins(assignment, of);
    }

    fn ended(&mut self, assignment: &Assignment, result: &RunResult) {
        let mut printer = self.printer;
        printer.ended(assignment, result);
        let run = printer.borrow().last_run().cloned();
        if let (Some(question), Some(run)) = (self.question, run) {
            let told = agent::tell_run(question.clone(), run);
            printer.borrow_mut().note(told);
        }
    }
}

/// Makes the runs.
struct Runs<'a, P> {
    sessions: Vec<Session<'a, P>>,
    load: Load,
    printer: &'a RefCell<Printer>,
    /// Who says when a run of an agent begins.
    starter: Option<Starter>,
    interrupt: Interrupt,
}

impl<P: Protocol> Runner for Runs<'_, P> {
    type Error = anyhow::Error;

    fn run(&mut self, assignment: &Assignment) -> anyhow::Result<RunResult> {
        self.printer.borrow_mut().check()?;
        let load = self.load_of(assignment);
        if let Some(starter) = &self.starter {
            starter.wait(HELLO)?;
        }
        let session = &mut self.sessions[assignment.target];
        let sockets = session.connect(&load)?;
        self.printer
            .borrow_mut()
            .connected(session.address(), sockets.busy_poll_refused.as_ref())?;
        if let Some(starter) = &self.starter {
            starter.wait(READY)?;
        }
        self.printer.borrow_mut().starts();
        let pulses = self.printer.borrow().watch(assignment, load.threads);
        Ok(session.run(&load, sockets, pulses.as_deref())?)
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_raised()
    }
}

impl<P> Runs<'_, P> {
    fn load_of(&self, assignment: &Assignment) -> Load {
        let arrivals = match self.load.pace {
            Pace::Open { arrivals, .. } => arrivals,
            Pace::Closed => Arrivals::default(),
        };
        let rate = assignment
            .rate
            .and_then(|rate| Rate::per_second(rate as f64).ok());
        Load {
            seed: assignment.seed,
            pace: rate.map_or(self.load.pace, |rate| Pace::Open { rate, arrivals }),
            ..self.load.clone()
        }
    }
}
