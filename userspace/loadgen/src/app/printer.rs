// SPDX-License-Identifier: GPL-2.0

//! What is printed on standard output while a campaign goes on, and what is kept of it for the end.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{bail, Context};

use super::{print, tell, KsfColumns, NoAnswer};
use crate::{
    campaign::{Answer, Assignment, Conclusion, Observer, Plan, Summary},
    pulse::Pulses,
    report::{
        answer, failure,
        json::{Run, RunLog},
        ksf,
        number::grouped,
        plot::{Series, Timeline},
        progress::Of,
        summary,
        table::Table,
        warnings::{Warning, Warnings},
        Subject,
    },
    result::{RunResult, Window},
    screen::{Screen, View, Viewer},
    stats::{ksf::Running, search::Verdict},
    Histogram, Ledger,
};

/// What is printed, and what is kept.
#[derive(Clone, Debug)]
pub(super) struct Style {
    /// Only rows, and the answer.
    pub(super) no_headers: bool,
    /// Nothing: standard output is for something else.
    pub(super) is_quiet: bool,
    /// Warnings are told by another process.
    pub(super) is_agent: bool,
    /// The columns of ksf's tool in place of ours.
    pub(super) ksf: Option<KsfColumns>,
    /// What is shown below while a campaign goes on.
    pub(super) view: View,
    /// Whether every run is kept, with all its latencies.
    pub(super) keeps_runs: bool,
}

/// Prints a row for each run, and in the end what is to be said of all of them.
#[derive(Debug)]
pub(super) struct Printer {
    subject: Subject,
    labels: Labels,
    /// The servers, as they were named.
    names: Vec<String>,
    style: Style,
    /// What is shown while the campaign goes on.
    screen: Option<Screen>,
    /// How many runs there are to be, as things are.
    of: Option<Of>,
    /// How many there are to be at most, if that depends on what is measured.
    at_most: Option<u64>,
    /// The address of the first server that was connected to.
    address: Option<SocketAddr>,
    log: RunLog,
    series: Vec<Series>,
    warnings: Warnings,
    /// For ksf's columns.
    running: Running,
    /// What became of the requests of all runs, and of their warm-ups.
    total: Ledger,
    /// Those of a search, for each rate, and the figures that are drawn.
    rates: BTreeMap<u64, AtRate>,
    /// What went wrong first.
    failure: Option<String>,
    /// Why nothing can be printed any more.
    broken: Option<anyhow::Error>,
}

/// What a search found at a rate.
#[derive(Clone, Debug, Default)]
struct AtRate {
    ledger: Ledger,
    latencies: Histogram,
    window: Window,
}

/// What rows are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Labels {
    Runs,
    Rates,
    Servers,
}

impl Printer {
    pub(super) fn new(subject: Subject, plan: &Plan, names: Vec<String>, style: Style) -> Self {
        let labels = match plan {
            Plan::Iterations(_) | Plan::UntilCi { .. } => Labels::Runs,
            Plan::Search(_) => Labels::Rates,
            Plan::Compare(_) => Labels::Servers,
        };
        let running = match &style.ksf {
            Some(KsfColumns::RpcTest(options)) => Running::new(options.middle()),
            Some(KsfColumns::EchoTest) | None => Running::default(),
        };
        let series = match labels {
            Labels::Rates => Vec::new(),
            Labels::Runs | Labels::Servers => names.iter().map(|name| series(name)).collect(),
        };
        Self {
            subject,
            labels,
            names,
            style,
            screen: None,
            of: None,
            at_most: match plan {
                Plan::UntilCi { most, .. } => Some(*most),
                Plan::Compare(plan) => Some(2 * plan.pairs),
                Plan::Iterations(_) | Plan::Search(_) => None,
            },
            address: None,
            log: RunLog::default(),
            series,
            warnings: Warnings::default(),
            running,
            total: Ledger::default(),
            rates: BTreeMap::new(),
            failure: None,
            broken: None,
        }
    }

    fn table(&self) -> Table<'_> {
        match self.labels {
            Labels::Runs => Table::of_runs(&self.subject),
            Labels::Rates => Table::of_rates(&self.subject),
            Labels::Servers => Table::of_servers(&self.subject),
        }
    }

    /// The connections of a run are open; before the first run, that is when the headers are printed.
    pub(super) fn connected(
        &mut self,
        address: SocketAddr,
        busy_poll_refused: Option<&io::Error>,
    ) -> anyhow::Result<()> {
        if self.address.is_some() {
            return Ok(());
        }
        self.address = Some(address);
        if let Some(error) = busy_poll_refused {
            // It is a hint, and nothing depends on it.
            let _ = writeln!(
                io::stderr(),
                "{}: threads look for replies all the time, and not at the network device itself: {error}",
                self.subject.tool
            );
        }
        self.subject.what = match &self.names[..] {
            [a, b] => format!("{} to A: {a} and B: {b}", self.subject.what),
            _ => format!("{} to {address}", self.subject.what),
        };
        if !self.style.is_quiet {
            self.print_header();
        }
        let viewer = if self.style.is_agent {
            Viewer::Starter
        } else {
            Viewer::Person
        };
        let screen = Screen::begin(viewer, self.style.view, &self.subject);
        self.screen = Some(screen.context("cannot start a thread")?);
        self.check()
    }

    fn print_header(&mut self) {
        if self.style.no_headers {
            return;
        }
        let header = match &self.style.ksf {
            None => self.table().header(),
            Some(KsfColumns::RpcTest(options)) => options.columns(&self.subject).header(),
            Some(KsfColumns::EchoTest) => ksf::echotest_header(),
        };
        self.print(&format!("{}\n\n{header}", self.subject.heading()));
    }

    /// A run begins: where its threads tell what they do, if somebody looks.
    pub(super) fn watch(&self, assignment: &Assignment, threads: usize) -> Option<Arc<Pulses>> {
        let screen = self.screen.as_ref().filter(|screen| screen.is_seen())?;
        let pulses = Arc::new(Pulses::new(threads));
        screen.begin_run(assignment.number + 1, self.of, Arc::clone(&pulses));
        Some(pulses)
    }

    /// The first request of a run is sent soon.
    pub(super) fn starts(&mut self) {
        self.log.starts();
    }

    /// What was measured, in two lines.
    pub(super) fn heading(&self) -> String {
        self.subject.heading()
    }

    fn print(&mut self, lines: &str) {
        if !self.style.is_quiet && self.broken.is_none() {
            let printed = match &self.screen {
                Some(screen) => screen.print(|| print(lines)),
                None => print(lines),
            };
            self.broken = printed.err();
        }
    }

    /// Whether all could be printed.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.broken.take().map_or(Ok(()), Err)
    }

    fn row(&mut self, assignment: &Assignment, result: &RunResult) {
        let row = match &self.style.ksf {
            None => {
                let label = match self.labels {
                    Labels::Runs => (assignment.number + 1).to_string(),
                    Labels::Rates => assignment.rate.unwrap_or_default().to_string(),
                    Labels::Servers => letter(assignment.target).to_owned(),
                };
                self.table().row(&label, result)
            }
            Some(KsfColumns::RpcTest(options)) => {
                self.running.add(result);
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let date = now.map_or(0, |since| since.as_secs());
                options.columns(&self.subject).row(date, &self.running)
            }
            Some(KsfColumns::EchoTest) => ksf::echotest_row(result, &self.subject),
        };
        self.print(&row);
    }

    /// Prints what is to be said of all runs together. Warnings are for people, and where standard output is not, they are
    /// told on standard error.
    pub(super) fn conclude<E>(&mut self, conclusion: &Conclusion<E>, plan: &Plan) {
        self.screen = None;
        let is_for_people = !self.style.is_quiet && !self.style.no_headers;
        let mut paragraphs = Vec::new();
        if self.style.ksf.is_none() {
            for (place, server) in conclusion.servers.iter().enumerate() {
                paragraphs.extend(self.total(place, server));
            }
        }
        if self.style.no_headers {
            paragraphs.clear();
        }
        let answer = self.answer(conclusion, plan);
        let warnings = self.warnings.lines();
        if is_for_people && self.style.ksf.is_none() {
            paragraphs.extend(answer);
            if !warnings.is_empty() {
                paragraphs.push(warnings.join("\n"));
            }
            // If there was no run, there is nothing to be said.
            if !paragraphs.is_empty() {
                self.print(&format!("\n{}", paragraphs.join("\n\n")));
            }
            return;
        }
        if self.style.ksf.is_none() {
            answer.iter().for_each(|answer| self.print(answer));
        } else {
            // Columns that programs read are not to be followed by prose.
            tell(
                self.subject.tool,
                answer.iter().flat_map(|text| text.lines()),
            );
        }
        if !self.style.is_agent {
            tell(self.subject.tool, warnings.iter().map(String::as_str));
        }
    }

    /// What was found out; without headers, only what follows from all runs.
    fn answer<E>(&self, conclusion: &Conclusion<E>, plan: &Plan) -> Option<String> {
        match (&conclusion.answer, plan) {
            (Answer::Searched(searched), Plan::Search(plan)) => {
                if self.style.no_headers {
                    return answer::found(searched, &plan.objectives);
                }
                Some(answer::search(searched, &plan.objectives))
            }
            (Answer::Compared(compared), _) => {
                let text = answer::comparison(compared);
                let rows = text.split_once('\n').map(|(_, rows)| rows.to_owned());
                rows.filter(|_| self.style.no_headers).or(Some(text))
            }
            (Answer::UntilCi(decision), &Plan::UntilCi { width, .. }) => {
                let runs = conclusion.servers.iter().map(|server| server.runs).sum();
                answer::until_ci(*decision, width, runs)
            }
            _ => None,
        }
    }

    /// What is to be said against the runs.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.warnings.all()
    }

    /// Prints the row of all runs with a server, unless one row says it all; returns what else is to be said of it.
    fn total(&mut self, place: usize, server: &Summary) -> Option<String> {
        if server.runs > 1 {
            let label = match self.labels {
                Labels::Servers => format!("all {}", letter(place)),
                Labels::Runs | Labels::Rates => "all".to_owned(),
            };
            let row = self.table().total(&label, &server.total);
            self.print(&row);
        }
        let text = summary::summary(server, &self.subject);
        (server.runs != 0).then(|| match self.labels {
            Labels::Servers => format!("{}: {}\n{text}", letter(place), self.names[place]),
            Labels::Runs | Labels::Rates => text,
        })
    }

    /// The run that ended last, if runs are kept.
    pub(super) fn last_run(&self) -> Option<&Run> {
        self.log.runs.last()
    }

    /// Whether what another has written could be.
    pub(super) fn note(&mut self, written: anyhow::Result<()>) {
        if self.broken.is_none() {
            self.broken = written.err();
        }
    }

    /// The runs that were kept.
    pub(super) fn take_runs(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.log.runs)
    }

    /// What is to be drawn: of each server, or of each rate of a search.
    pub(super) fn take_series(&mut self, answer: &Answer) -> Vec<Series> {
        let Answer::Searched(searched) = answer else {
            return std::mem::take(&mut self.series);
        };
        let one = |(&rate, at_rate): (&u64, &AtRate)| {
            let mut tried = searched.tried.iter();
            let found = tried.find(|tried| tried.0 == rate);
            let verdict = found.map_or(Verdict::Unknown, |tried| tried.1);
            Series {
                rate: at_rate.window.rate(),
                latencies: at_rate.latencies.clone(),
                asked: Some((rate, verdict)),
                ..series(&format!("{}/s", grouped(rate)))
            }
        };
        self.rates.iter().map(one).collect()
    }

    /// Says what went wrong first, or what became of requests that have no reply in time.
    ///
    /// A search looks for the load that is too much, so that what is lost at rates that are too high is part of the answer.
    /// If all is well, it says whether the question has no answer.
    pub(super) fn judge(&mut self, answer: &Answer) -> anyhow::Result<()> {
        if let Some(failure) = self.failure.take() {
            bail!(failure);
        }
        if let Answer::Searched(searched) = answer {
            let is_met = |tried: &&(u64, Verdict, u32)| tried.1 == Verdict::Met;
            self.total = Ledger::default();
            for (rate, ..) in searched.tried.iter().filter(is_met) {
                if let Some(at_rate) = self.rates.get(rate) {
                    self.total += &at_rate.ledger;
                }
            }
        }
        if let Some(problem) = failure::of_total(&self.total, &self.subject) {
            bail!(problem);
        }
        answer::missing(answer).map_or(Ok(()), |missing| bail!(NoAnswer(missing.to_owned())))
    }
}

impl Observer for &RefCell<Printer> {
    fn begins(&mut self, _assignment: &Assignment, of: Option<u64>) {
        let mut printer = self.borrow_mut();
        printer.of = of.map(Of::Runs).or(printer.at_most.map(Of::AtMost));
    }

    fn ended(&mut self, assignment: &Assignment, result: &RunResult) {
        let mut printer = self.borrow_mut();
        printer.row(assignment, result);
        if printer.style.keeps_runs {
            printer.log.ended(assignment, result);
        }
        if let Some(series) = printer.series.get_mut(assignment.target) {
            series.latencies.merge(&result.response);
            series.timeline.add(result);
        }
        let Printer {
            warnings, subject, ..
        } = &mut *printer;
        warnings.add(result, subject);
        printer.total += &result.ledger;
        printer.total += &result.warmup;
        if let Some(rate) = assignment.rate {
            let at_rate = printer.rates.entry(rate).or_default();
            at_rate.ledger += &result.ledger;
            at_rate.ledger += &result.warmup;
            at_rate.latencies.merge(&result.response);
            at_rate.window.length_ns += result.window.length_ns;
            at_rate.window.answered += result.window.answered;
        }
        if printer.failure.is_none() {
            printer.failure = failure::of_run(assignment.number + 1, result, &printer.subject);
        }
    }
}

/// What a server is called in a comparison.
fn letter(target: usize) -> &'static str {
    if target == 0 {
        "A"
    } else {
        "B"
    }
}

fn series(name: &str) -> Series {
    Series {
        name: name.to_owned(),
        rate: None,
        latencies: Histogram::new(),
        timeline: Timeline::default(),
        asked: None,
    }
}
