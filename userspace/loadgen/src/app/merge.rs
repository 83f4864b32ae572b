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
        json::{Document, Run},
        labelled, merge,
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
    let document = merge::merge_stored(documents, options.any_time).map_err(|error| match error
        .document()
    {
        Some(place) => anyhow::anyhow!("{}: {error}", options.files[place].display()),
        None => error.into(),
    })?;
    let rows = Rows::new(&options.output, options.no_headers);
    report::<T>(document, &options.output, rows, &[])
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

/// The rows of a table, as far as they are printed.
#[derive(Debug)]
pub(super) struct Rows {
    no_headers: bool,
    /// Whether standard output is for something else.
    is_quiet: bool,
    printed: usize,
}

impl Rows {
    /// None yet.
    pub(super) fn new(options: &OutputOptions, no_headers: bool) -> Self {
        Self {
            no_headers,
            is_quiet: output::takes_stdout(options),
            printed: 0,
        }
    }

    /// How many there are.
    pub(super) fn printed(&self) -> usize {
        self.printed
    }

    /// Prints the rows of runs that follow those which are printed.
    ///
    /// # Errors
    ///
    /// They cannot be printed.
    pub(super) fn print<T: Tool>(
        &mut self,
        document: &Document,
        runs: &[Run],
    ) -> anyhow::Result<()> {
        if self.is_quiet {
            self.printed += runs.len();
            return Ok(());
        }
        let subject = subject::<T>(document);
        let table = Table::of_runs(&subject);
        if self.printed == 0 && !self.no_headers {
            print(&format!("{}\n\n{}", subject.heading(), table.header()))?;
        }
        for run in runs {
            print(&table.row(&(run.number + 1).to_string(), &(&run.result).into()))?;
            self.printed += 1;
        }
        Ok(())
    }
}

/// Reports what several machines measured, as what one measures is. Some rows may be printed already; `machines` is what is
/// to be said of each of them.
pub(super) fn report<T: Tool>(
    document: Document,
    options: &OutputOptions,
    mut rows: Rows,
    machines: &[String],
) -> anyhow::Result<()> {
    let subject = subject::<T>(&document);
    let total = total(&document);
    let mut warnings = Warnings::default();
    for run in &document.runs {
        warnings.add(&(&run.result).into(), &subject);
        warnings.add_skew(run);
    }
    let document = &document.with_warnings(warnings.all());
    let warnings = warnings.lines();
    let left = document.runs.get(rows.printed..).unwrap_or_default();
    rows.print::<T>(document, left)?;
    if !rows.is_quiet && document.runs.len() > 1 {
        print(&Table::of_runs(&subject).total("all", &total))?;
    }
    if rows.is_quiet || rows.no_headers {
        tell(T::NAME, warnings.iter().map(String::as_str));
    } else {
        print_summary(document, &subject, &total, machines)?;
        if !warnings.is_empty() {
            print(&format!("\n{}", warnings.join("\n")))?;
        }
    }
    output::write_document(options, document)?;
    let series = Series {
        name: document.targets.join(", "),
        rate: total.window.rate(),
        latencies: total.response.clone(),
        timeline: timeline(document),
        asked: None,
    };
    output::write_plot(options, document, &subject.heading(), vec![series])?;
    let failed = document
        .runs
        .iter()
        .find_map(|run| failure::of_run(run.number + 1, &(&run.result).into(), &subject));
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
        total.merge(&(&run.result).into());
    }
    total.intervals.clear();
    total
}

fn timeline(document: &Document) -> Timeline {
    let mut timeline = Timeline::default();
    for run in &document.runs {
        timeline.add(&(&run.result).into());
    }
    timeline
}

fn print_summary(
    document: &Document,
    subject: &Subject,
    total: &RunResult,
    machines: &[String],
) -> anyhow::Result<()> {
    for figures in &document.servers {
        let summary = Summary {
            runs: figures.runs,
            total: total.clone(),
            headline: figures.headline,
        };
        let mut text = summary::summary(&summary, subject);
        if !machines.is_empty() {
            text.push('\n');
            text.push_str(&labelled("machines", machines));
        }
        print(&format!("\n{text}"))?;
    }
    Ok(())
}
