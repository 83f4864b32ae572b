// SPDX-License-Identifier: GPL-2.0

//! A picture of results: the percentile spectrum, and latency and rate over time, or of a search the latency at each rate, as
//! SVG or on a page of its own.
//!
//! Nothing in it is fetched from anywhere, and it follows the reader's choice of light or dark.

mod axis;
mod chart;
mod spectrum;
mod svg;
mod timeline;

use std::{error, ffi::OsStr, fmt, path::Path};

use svg::{escaped, Anchor, Svg};
pub use timeline::Timeline;

use super::{
    number::{count_of, grouped, latency, rate, NOT_AVAILABLE},
    table::PERCENTILES,
};
use crate::{stats::search::Verdict, Histogram};

/// The size of the drawing across, and where its charts begin and end.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 936.0;

/// How many colours there are.
const COLOURS: usize = 8;

/// In what form a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A page, with the figures as a table.
    Html,
    /// The drawing only.
    Svg,
}

/// The name of a file does not tell its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatError;

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name does not end with .html or .svg")
    }
}

impl error::Error for FormatError {}

impl Format {
    /// What the end of a file's name says.
    ///
    /// # Errors
    ///
    /// It says nothing, or something else.
    pub fn of(path: &Path) -> Result<Self, FormatError> {
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "html" | "htm" => Ok(Self::Html),
            "svg" => Ok(Self::Svg),
            _ => Err(FormatError),
        }
    }
}

/// What is drawn in one colour: a server, or a run.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is called.
    pub name: String,
    /// Replies per second.
    pub rate: Option<f64>,
    /// The response latencies.
    pub latencies: Histogram,
    /// How it went over time.
    pub timeline: Timeline,
    /// Of the runs of a search at one rate, that rate and what was found there.
    pub asked: Option<(u64, Verdict)>,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What is to be known of it, such as the kind of loop, the command line and the machine: a line each.
    pub notes: Vec<String>,
    /// What is drawn.
    pub series: Vec<Series>,
}

impl Plot {
    /// The picture in this form.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Html => self.html(),
            Format::Svg => format!("{XML}{}", self.svg()),
        }
    }

    fn svg(&self) -> String {
        let mut svg = Svg::default();
        let mut y = 18.0;
        for line in wrapped(&self.title, 80) {
            y += 22.0;
            svg.text("h1", Anchor::Start, (24.0, y), &line);
        }
        for line in self.notes.iter().flat_map(|note| wrapped(note, 125)) {
            y += 18.0;
            svg.text("small", Anchor::Start, (24.0, y), &line);
        }
        y += 8.0;
        let is_search = self.series.iter().any(|one| one.asked.is_some());
        if is_search {
            for (colour, line) in chart::verdicts(&self.series) {
                y += 20.0;
                svg.dot(&format!("f{colour}"), (36.0, y - 4.0), chart::DOT);
                svg.text("legend", Anchor::Start, (56.0, y), &line);
            }
        }
        let with_lines = self.series.iter().filter(|one| one.asked.is_none());
        for (number, one) in with_lines.enumerate() {
            for (part, line) in wrapped(&one.legend(), 124).iter().enumerate() {
                y += 20.0;
                if part == 0 {
                    let class = format!("s{}", number % COLOURS);
                    svg.path(&class, &[vec![(24.0, y - 4.0), (48.0, y - 4.0)]], &one.name);
                }
                svg.text("legend", Anchor::Start, (56.0, y), line);
            }
        }
        y += 20.0;
        if self.series.iter().any(|one| !one.latencies.is_empty()) {
            let first = if is_search {
                chart::latency_by_rate
            } else {
                chart::spectrum
            };
            let mut charts: Vec<fn(&mut Svg, &[Series], f64)> = vec![first];
            if self.series.iter().any(|one| !one.timeline.is_empty()) {
                charts.extend([
                    chart::latency_over_time as fn(&mut _, &_, _),
                    chart::rate_over_time,
                ]);
            }
            for chart in charts {
                chart(&mut svg, &self.series, y);
                y += chart::HEIGHT;
            }
        } else {
            y += 20.0;
            svg.text("legend", Anchor::Start, (24.0, y), "Nothing was answered.");
            y += 20.0;
        }
        let title = escaped(&self.title);
        let mut whole = Svg::default();
        whole.raw(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
             role=\"img\">\n<title>{title}</title>\n<style>\n{}</style>\n\
             <rect class=\"back\" width=\"{WIDTH}\" height=\"{y}\"/>\n{}</svg>\n",
            style(),
            svg.into_string()
        ));
        whole.into_string()
    }

    fn html(&self) -> String {
        let title = escaped(&self.title);
        let names = ["", "requests", "replies/s", "min"];
        let percentiles = PERCENTILES.iter().map(|&(name, _)| name);
        let names = names.into_iter().chain(percentiles).chain(["max"]);
        let head: Vec<_> = names.map(|name| format!("<th>{name}</th>")).collect();
        let head = head.concat();
        let row = |one: &Series| {
            let cells = one.cells().join("</td><td>");
            format!("<tr><th>{}</th><td>{cells}</td></tr>\n", escaped(&one.name))
        };
        let rows: String = self.series.iter().map(row).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{title}</title>\n<style>\n{PAGE}</style>\n</head>\n\
             <body>\n{}<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n\
             </body>\n</html>\n",
            self.svg()
        )
    }
}

impl Series {
    /// What the legend says.
    fn legend(&self) -> String {
        let mut parts = vec![count_of(self.latencies.len(), "request")];
        parts.extend(
            self.rate
                .map(|per_second| format!("{}/s", rate(per_second))),
        );
        for (name, percentile) in PERCENTILES {
            let known = self.latencies.percentile(percentile);
            parts.extend(known.map(|known| format!("{name} {}", latency(known.as_nanos() as f64))));
        }
        let max = self.latencies.max();
        parts.extend(max.map(|max| format!("max {}", latency(max.as_nanos() as f64))));
        format!("{}: {}", self.name, parts.join(", "))
    }

    /// What the table says.
    fn cells(&self) -> Vec<String> {
        let or_not = |text: Option<String>| text.unwrap_or_else(|| NOT_AVAILABLE.to_owned());
        let latencies = &self.latencies;
        let percentiles = PERCENTILES
            .iter()
            .map(|&(_, percentile)| latencies.percentile(percentile));
        let all = [latencies.min()]
            .into_iter()
            .chain(percentiles)
            .chain([latencies.max()]);
        let mut cells = vec![grouped(latencies.len()), or_not(self.rate.map(rate))];
        cells.extend(all.map(|ns| or_not(ns.map(|ns| latency(ns.as_nanos() as f64)))));
        cells
    }
}

/// Text in lines of at most so many characters, but for words that are longer.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The colours of lines, on light and on dark ground: told apart also by those who see few colours.
const LIGHT: [&str; COLOURS] = [
    "#0b62c4", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0e7490", "#be185d", "#525252",
];
const DARK: [&str; COLOURS] = [
    "#6cb2ff", "#ff9d5c", "#5fd38a", "#c79bff", "#ffd166", "#5fd7e6", "#ff8fc0", "#d4d4d4",
];

fn style() -> String {
    let colours = |colours: [&str; COLOURS], indent: &str| -> String {
        let lines = colours.iter().enumerate().map(|(number, colour)| {
            format!("{indent}.s{number} {{ stroke: {colour}; }} .f{number} {{ fill: {colour}; }}\n")
        });
        lines.collect()
    };
    format!(
        "{STYLE}{}@media (prefers-color-scheme: dark) {{\n{STYLE_DARK}{}}}\n",
        colours(LIGHT, ""),
        colours(DARK, "  ")
    )
}

const STYLE: &str = "\
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 13px; fill: #1f2328; }
.h1 { font-size: 19px; font-weight: 600; } .h2 { font-size: 15px; font-weight: 600; }
.small, .tick, .title { fill: #59636e; } .small, .tick { font-size: 12px; }
.back { fill: #ffffff; } .grid { stroke: #e4e7eb; } .axis { stroke: #8b949e; }
path { fill: none; stroke-width: 2.2; stroke-linejoin: round; } .thin { stroke-width: 1; }
circle { fill-opacity: 0.55; }
";
const STYLE_DARK: &str = "\
\x20 text { fill: #e6edf3; } .small, .tick, .title { fill: #9da7b1; }
  .back { fill: #0d1117; } .grid { stroke: #262c36; } .axis { stroke: #6e7681; }
";
const PAGE: &str = "\
:root { color-scheme: light dark; }
body { margin: 1rem auto; max-width: 960px; font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; background: #ffffff; color: #1f2328; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; padding: 0 24px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: right; border-bottom: 1px solid #d1d9e0; white-space: nowrap; }
tbody th { text-align: left; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3; } th, td { border-color: #30363d; } }
";

#[cfg(test)]
mod tests;
