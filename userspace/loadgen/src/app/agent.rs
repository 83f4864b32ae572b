// SPDX-License-Identifier: GPL-2.0

//! What an agent has beside other processes that measure: somebody on its standard input who says when runs begin.

use std::{
    io::{self, BufRead, Write},
    sync::mpsc::{channel, Receiver},
    thread,
};

use anyhow::Context;

use super::Tool;
use crate::interrupt::Interrupt;

/// What an agent prints, before its name and version, when its connections are open and it waits for a line.
pub(super) const READY: &str = "ready";

/// Who says when the runs of this process begin.
#[derive(Debug)]
pub(super) struct Starter {
    ready: String,
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
            ready: format!("{READY} {} {}", T::NAME, T::VERSION),
            lines,
        })
    }

    /// Says that the connections of a run are open, and waits until those of the other agents are.
    ///
    /// # Errors
    ///
    /// There will be no run.
    pub(super) fn wait(&self) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", self.ready)
            .and_then(|()| out.flush())
            .context("cannot write to standard output")?;
        self.lines
            .recv()
            .context("nobody waits for this agent any more")
    }
}
