// SPDX-License-Identifier: GPL-2.0

//! Prints the tables in ksf's directory of debugfs, and with an interval how fast they grow, as iostat does for disks.
//!
//! [`source`] reads a table into [`record`]s, [`change`] compares them with those of the last read, and [`view`] or
//! [`json`] writes down what came of it.

mod change;
mod histogram;
mod human;
mod json;
mod layout;
mod options;
mod record;
mod source;
mod table;
mod view;

use std::{
    io::{
        self,
        ErrorKind,
        Write, //
    },
    process::ExitCode,
    thread,
    time::Instant, //
};

use anyhow::Context;
use clap::Parser;

use crate::{
    change::Changes,
    options::Options,
    source::{
        Snapshot,
        Source, //
    }, //
};

fn main() -> ExitCode {
    match watch(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, the exit status has to do.
            let _ = writeln!(io::stderr(), "ksfstat: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints all reports, or as many as somebody reads.
fn watch(options: &Options) -> anyhow::Result<()> {
    let source = Source::new(&options.dir);
    let tables = options.tables();
    let mut before: Option<Vec<Snapshot>> = None;
    let mut printed = 0;
    loop {
        let now = tables
            .iter()
            .map(|&table| source.read(table))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let read_at = Instant::now();
        if before.is_some() || !options.skip_first {
            let goes_on = print(&report(options, &now, before.as_deref(), printed == 0))?;
            printed += 1;
            if !goes_on {
                return Ok(());
            }
        }
        let Some(interval) = options
            .interval
            .filter(|_| options.count.is_none_or(|count| printed < count))
        else {
            return Ok(());
        };
        before = Some(now);
        // Never shorter than the interval: what little comes to it at each read does no harm.
        thread::sleep((read_at + interval).saturating_duration_since(Instant::now()));
    }
}

/// Makes one report of what was read `now`, compared with the last time.
fn report(
    options: &Options,
    now: &[Snapshot],
    before: Option<&[Snapshot]>,
    is_first: bool,
) -> String {
    let changes: Vec<_> = now
        .iter()
        .enumerate()
        .map(|(index, now)| Changes::new(now, before.map(|before| &before[index])))
        .collect();
    if options.json {
        return json::document(&changes);
    }
    // An empty line before each table but the first one.
    let blank = if is_first { "" } else { "\n" };
    let tables: Vec<_> = changes.iter().map(view::table).collect();
    format!("{blank}{}", tables.join("\n"))
}

/// Prints at once, for the next report may be a while away. Returns `false` when nobody reads it.
fn print(lines: &str) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        result => result
            .context("cannot write to standard output")
            .map(|()| true),
    }
}
