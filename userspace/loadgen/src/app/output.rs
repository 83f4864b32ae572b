// SPDX-License-Identifier: GPL-2.0

//! The files that results are written to.

use std::{
    fmt::Display,
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context;

use super::cli::OutputOptions;
use crate::{
    campaign::Conclusion,
    report::{
        hdr_log,
        json::{Document, Question, Run},
        plot::{Plot, Series},
        warnings::Warning,
    },
};

/// Everything that files are made of.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) question: Question,
    /// All runs, if they are needed.
    pub(super) runs: Vec<Run>,
    /// What is to be said against them.
    pub(super) warnings: Vec<Warning>,
    /// What is drawn.
    pub(super) series: Vec<Series>,
    /// What was measured.
    pub(super) heading: String,
}

/// The name that stands for standard output.
const STDOUT: &str = "-";

/// Whether standard output is not for the table.
pub(super) fn takes_stdout(options: &OutputOptions) -> bool {
    options.json.as_deref() == Some(Path::new(STDOUT))
}

/// Whether every run has to be kept.
pub(super) fn needs_runs(options: &OutputOptions) -> bool {
    options.json.is_some() || options.hdr_log.is_some()
}

/// Checks that all files that are asked for can be written, before there is anything that could be lost.
///
/// # Errors
///
/// One of them cannot. Those that were not there are there now, and empty.
pub(super) fn can_be_written(options: &OutputOptions) -> anyhow::Result<()> {
    let json = options
        .json
        .iter()
        .filter(|path| *path != Path::new(STDOUT));
    let plot = options.plot.iter().map(|plot| &plot.path);
    for path in json.chain(&options.hdr_log).chain(plot) {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Writes all files that are asked for. An agent writes its document to standard output.
///
/// # Errors
///
/// One of them could not be written; the others may be there.
pub(super) fn write<E: Display>(
    options: &OutputOptions,
    is_agent: bool,
    results: Results,
    conclusion: &Conclusion<E>,
) -> anyhow::Result<()> {
    let Results {
        question,
        runs,
        warnings,
        mut series,
        heading,
    } = results;
    for (series, server) in series.iter_mut().zip(&conclusion.servers) {
        series.rate = server.total.window.rate();
    }
    let document = Document::new(question, runs, conclusion).with_warnings(warnings);
    if is_agent {
        document
            .write(&mut io::stdout().lock())
            .context("cannot write to standard output")?;
    }
    write_document(options, &document)?;
    write_plot(options, &document, &heading, series)
}

/// Writes what is made of a document alone.
pub(super) fn write_document(options: &OutputOptions, document: &Document) -> anyhow::Result<()> {
    if let Some(path) = &options.json {
        if path == Path::new(STDOUT) {
            let mut out = io::stdout().lock();
            document
                .write(&mut out)
                .and_then(|()| out.flush())
                .context("cannot write to standard output")?;
        } else {
            to_file(path, |out| document.write(out))?;
        }
    }
    if let Some(path) = &options.hdr_log {
        let command = document.provenance.first();
        let comment = command.map_or_else(String::new, |from| from.command.join(" "));
        to_file(path, |out| {
            hdr_log::write(out, &comment, document.hdr_lines())
        })?;
    }
    Ok(())
}

/// Draws.
pub(super) fn write_plot(
    options: &OutputOptions,
    document: &Document,
    heading: &str,
    series: Vec<Series>,
) -> anyhow::Result<()> {
    let Some(file) = &options.plot else {
        return Ok(());
    };
    let (title, kind) = heading.split_once('\n').unwrap_or((heading, ""));
    let mut notes = vec![kind.to_owned()];
    for from in &document.provenance {
        let machine = &from.machine;
        notes.push(from.command.join(" "));
        notes.push(format!(
            "{}; {}, {} CPUs; {}{}; seed {}",
            from.time,
            machine.kernel.as_deref().unwrap_or("kernel not known"),
            machine.cpus,
            machine.cpu_model.as_deref().unwrap_or("CPU not known"),
            if machine.is_virtual { ", virtual" } else { "" },
            from.seed
        ));
    }
    let plot = Plot {
        title: title.to_owned(),
        notes,
        series,
    };
    to_file(&file.path, |out| {
        out.write_all(plot.render(file.format).as_bytes())
    })
}

fn to_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> anyhow::Result<()> {
    File::create(path)
        .map(BufWriter::new)
        .and_then(|mut out| {
            write(&mut out)?;
            out.flush()
        })
        .with_context(|| format!("cannot write {}", path.display()))
}
