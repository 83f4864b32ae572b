// SPDX-License-Identifier: GPL-2.0

//! Each valid call in pieces.

use std::time::Instant;

use anyhow::{ensure, Context};
use clap::Args;

use super::{
    marked, resolve,
    rows::{self, Tcp},
    talk::{End, Step, Talk},
    Server,
};
use crate::print;

/// Sends each valid call of the table in two pieces, cut at every byte, and then byte by byte
///
/// Each piece is a segment of its own, for nothing is held back.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    server: Server,
}

/// What is longer has nothing of interest in its midst.
const LONGEST: usize = 1_000;

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let target = resolve(&options.server.target)?;
    let timeout = options.server.patience.timeout;
    let begun = Instant::now();
    let echo = rows::echo().filter(|_| !options.server.no_echo);
    let rows = rows::messages().chain(echo);
    let (mut calls, mut cuts) = (0, 0);
    for row in rows.filter(|row| row.is_served() && row.message.len() <= LONGEST) {
        let Tcp::Reply(reply) = row.tcp else {
            continue;
        };
        let (sent, due) = (marked(row.message), marked(reply));
        let mut talk = Talk::connect(target, timeout)?;
        let mut take =
            |steps: &[Step<'_>]| steps.iter().try_for_each(|step| talk.step(*step, false));
        for cut in 1..sent.len() {
            let (head, tail) = sent.split_at(cut);
            take(&[(head, b""), (tail, &due)])
                .with_context(|| format!("{}, cut at {cut}", row.name))?;
            cuts += 1;
        }
        let (last, others) = sent.split_last().context("a record has a mark")?;
        others
            .chunks(1)
            .try_for_each(|byte| take(&[(byte, b"")]))
            .and_then(|()| take(&[(&[*last], &due)]))
            .with_context(|| format!("{}, byte by byte", row.name))?;
        talk.end(End::Ours)
            .with_context(|| format!("{}, at the end", row.name))?;
        calls += 1;
    }
    ensure!(calls > 0, "the table has no valid calls");
    print(&format!(
        "splits: calls={calls} cuts={cuts} seconds={:.3}",
        begun.elapsed().as_secs_f64()
    ))
}
