// SPDX-License-Identifier: GPL-2.0

//! What an agent has beside other processes that measure: somebody on its standard input who says when runs begin.

use std::{
    io::{self, BufRead, Write},
    sync::mpsc::{channel, Receiver},
    thread,
};

use anyhow::Context;

use super::Tool;
use crate::{
    campaign::{Answer, Conclusion},
    interrupt::Interrupt,
    report::{
        json::{Document, Question, Run},
        provenance::GIT_COMMIT,
    },
};

/// What an agent prints, before its name, version and commit, when it waits for a line to open the connections of a run.
pub(super) const HELLO: &str = "hello ";

/// The same, when they are open and it waits for a line to begin.
pub(super) const READY: &str = "ready ";

/// What it prints before a document of one run, when that is over.
pub(super) const RUN: &str = "run ";

/// What this program is called, its version, and the commit that it was built from.
pub(super) fn build<T: Tool>() -> String {
    let commit = GIT_COMMIT.unwrap_or("unknown");
    format!("{} {} {commit}", T::NAME, T::VERSION)
}

/// Who says when the runs of this process begin.
#[derive(Debug)]
pub(super) struct Starter {
    build: String,
    lines: Receiver<()>,
}

impl Starter {
    /// One who speaks by lines on standard input. When that ends, the interrupt is raised: nobody waits for results of
    /// further requests.
    ///
    /// # Errors
    ///
    /// There is no thread to listen.
    pub(super) fn new<T: Tool>(interrupt: Interrupt) -> anyhow::Result<Self> {
        let (sender, lines) = channel();
        thread::Builder::new()
            .spawn(move || {
                for line in io::stdin().lock().split(b'\n') {
                    if line.is_err() || sender.send(()).is_err() {
                        break;
                    }
                }
                interrupt.raise();
            })
            .context("cannot start a thread")?;
        Ok(Self {
            build: build::<T>(),
            lines,
        })
    }

    /// Says how far this agent is, and waits until all others are.
    ///
    /// # Errors
    ///
    /// There will be no run.
    pub(super) fn wait(&self, state: &str) -> anyhow::Result<()> {
        say(|out| writeln!(out, "{state}{}", self.build))
            .context("cannot write to standard output")?;
        self.lines
            .recv()
            .context("nobody waits for this agent any more")
    }
}

/// Tells what a run brought.
///
/// # Errors
///
/// Nobody reads it.
pub(super) fn tell_run(question: Question, run: Run) -> anyhow::Result<()> {
    let conclusion = Conclusion::<String> {
        servers: Vec::new(),
        answer: Answer::Iterated,
        stopped: None,
    };
    let document = Document::new(question, vec![run], &conclusion);
    say(|out| {
        out.write_all(RUN.as_bytes())?;
        document.write(out)
    })
    .context("cannot write to standard output")
}

/// Writes a line, whole and at once.
fn say(write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write(&mut out)?;
    out.flush()
}
