// SPDX-License-Identifier: GPL-2.0

//! Puts together what several machines measured at the same time.

use std::{fs, path::Path};

use anyhow::{bail, Context};

use super::{
    cli::{Merge, OutputOptions},
    output, print, tell, Tool,
};
use crate::{
    campaign::Summary,
    report::{
        failure,
        json::Document,
        merge,
        number::count_of,
        plot::{Series, Timeline},
        summary,
        table::Table,
        warnings::Warnings,
        Subject,
    },
    result::RunResult,
};

/// Merges documents that were stored, and reports.
pub(super) fn merge<T: Tool>(options: &Merge) -> anyhow::Result<()> {
    let documents = options
        .files
        .iter()
        .map(|path| read::<T>(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let document = merge::merge(documents).map_err(|error| match error.document() {
        Some(place) => anyhow::anyhow!("{}: {error}", options.files[place].display()),
        None => error.into(),
    })?;
    report::<T>(document, &options.output, options.no_headers)
}

fn read<T: Tool>(path: &Path) -> anyhow::Result<Document> {
    let context = || format!("cannot read {}", path.display());
    let text = fs::read_to_string(path).with_context(context)?;
    let document = Document::read(&text).with_context(context)?;
    for from in &document.provenance {
        if from.tool != T::NAME {
            bail!("{} is of {}, not of {}", path.display(), from.tool, T::NAME);
        }
    }
    Ok(document)
}

/// Reports what several machines measured, as what one measures is.
pub(super) fn report<T: Tool>(
    document: Document,
    options: &OutputOptions,
    no_headers: bool,
) -> anyhow::Result<()> {
    let subject = subject::<T>(&document);
    let total = total(&document);
    let mut warnings = Warnings::default();
    for run in &document.runs {
        warnings.add(&run.result, &subject);
    }
    let document = &document.with_warnings(warnings.all());
    let warnings = warnings.lines();
    let is_quiet = output::takes_stdout(options);
    if !is_quiet {
        print_table(document, &subject, &total, no_headers)?;
    }
    if is_quiet || no_headers {
        tell(T::NAME, warnings.iter().map(String::as_str));
    } else if !warnings.is_empty() {
        print(&format!("\n{}", warnings.join("\n")))?;
    }
    output::write_document(options, document)?;
    let series = Series {
        name: document.targets.join(", "),
        rate: total.window.rate(),
        latencies: total.response.clone(),
        timeline: timeline(document),
    };
    output::write_plot(options, document, &subject.heading(), vec![series])?;
    let failed = document
        .runs
        .iter()
        .find_map(|run| failure::of_run(run.number + 1, &run.result, &subject));
    if let Some(failure) = failed {
        bail!(failure);
    }
    if let Some(stopped) = &document.stopped {
        bail!("not all runs were made: {stopped}");
    }
    let mut ledger = total.ledger;
    ledger += &total.warmup;
    match failure::of_total(&ledger, &subject) {
        Some(problem) => bail!(problem),
        None => Ok(()),
    }
}

fn subject<T: Tool>(document: &Document) -> Subject {
    Subject {
        tool: T::NAME,
        what: format!(
            "{} to {}, from {}",
            document.what,
            document.targets.join(", "),
            count_of(document.provenance.len() as u64, "machine")
        ),
        requests: T::REQUESTS,
        load: document.load.clone(),
        searches: false,
        polls: document.client.busy_poll,
        request_bytes: document.request_bytes,
        reply_bytes: document.reply_bytes,
    }
}

fn total(document: &Document) -> RunResult {
    let mut total = RunResult::default();
    for run in &document.runs {
        total.merge(&run.result);
    }
    total.intervals.clear();
    total
}

fn timeline(document: &Document) -> Timeline {
    let mut timeline = Timeline::default();
    for run in &document.runs {
        timeline.add(&run.result);
    }
    timeline
}

fn print_table(
    document: &Document,
    subject: &Subject,
    total: &RunResult,
    no_headers: bool,
) -> anyhow::Result<()> {
    let table = Table::of_runs(subject);
    if !no_headers {
        print(&format!("{}\n\n{}", subject.heading(), table.header()))?;
    }
    for run in &document.runs {
        print(&table.row(&(run.number + 1).to_string(), &run.result))?;
    }
    if document.runs.len() > 1 {
        print(&table.total("all", total))?;
    }
    if no_headers {
        return Ok(());
    }
    for figures in &document.servers {
        let summary = Summary {
            runs: figures.runs,
            total: total.clone(),
            headline: figures.headline,
        };
        print(&format!("\n{}", summary::summary(&summary, subject)))?;
    }
    Ok(())
}
