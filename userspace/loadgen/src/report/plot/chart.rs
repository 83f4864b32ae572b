// SPDX-License-Identifier: GPL-2.0

//! The charts.

use super::{
    axis::Axis,
    spectrum::Spectrum,
    svg::{thinned, Anchor, Svg},
    timeline::Point,
    Series, COLOURS, LEFT, RIGHT,
};
use crate::{
    histogram::Percentile,
    report::number::{count_of, grouped, latency, rate},
    stats::search::Verdict,
};

/// How high a chart is, with everything that belongs to it.
pub(super) const HEIGHT: f64 = 376.0;

/// How many points a line over time has at most.
const MOST_POINTS: usize = 280;

/// What is around the lines.
struct Frame<'a> {
    title: &'a str,
    note: &'a str,
    x_title: &'a str,
    y_title: &'a str,
    x_ticks: Vec<(f64, String)>,
    y_ticks: Vec<(f64, String)>,
}

/// Where the lines are, of a chart that begins at `top`: the first and the last place, across and down.
fn places(top: f64) -> ((f64, f64), (f64, f64)) {
    ((LEFT, RIGHT), (top + HEIGHT - 58.0, top + 36.0))
}

/// The latency that which part of the requests does not exceed.
pub(super) fn spectrum(svg: &mut Svg, series: &[Series], top: f64) {
    let spectra: Vec<_> = series
        .iter()
        .map(|one| Spectrum::of(&one.latencies))
        .collect();
    let (across, down) = places(top);
    let all = || spectra.iter().flat_map(|spectrum| &spectrum.points);
    let widest = all().map(|point| point.0).fold(1.0, f64::max);
    let low = all().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let high = all().map(|point| point.1).fold(0.0, f64::max);
    let x = Axis::exact(0.0, widest, across);
    let y = Axis::of_magnitudes(low, high, down);
    let mut x_ticks = vec![(0.0, "0 %".to_owned()), (2_f64.log10(), "50 %".to_owned())];
    x_ticks.extend((1..=widest as usize).map(|nines| {
        let name = match nines {
            1 => "90 %".to_owned(),
            2 => "99 %".to_owned(),
            more => format!("99.{} %", "9".repeat(more - 2)),
        };
        (nines as f64, name)
    }));
    Frame {
        title: "Latency by percentile",
        note: "thin where there are too few requests to tell",
        x_title: "percentile of the requests",
        y_title: "latency",
        x_ticks,
        y_ticks: latency_ticks(&y),
    }
    .draw(svg, &x, &y);
    for (number, (spectrum, one)) in spectra.iter().zip(series).enumerate() {
        let place = |&(at, ns): &(f64, f64)| (x.place(at), y.place(ns));
        let known = spectrum
            .points
            .partition_point(|point| point.0 <= spectrum.supported);
        let (told, rest) = spectrum.points.split_at(known);
        // The rest begins where the known part ends.
        let rest = told.last().into_iter().chain(rest).map(place).collect();
        let told = told.iter().map(place).collect();
        let colour = number % COLOURS;
        svg.path(&format!("s{colour} thin"), &[thinned(rest)], &one.name);
        svg.path(&format!("s{colour}"), &[thinned(told)], &one.name);
    }
}

/// How large a dot is that tells a verdict.
pub(super) const DOT: f64 = 4.0;

/// What each verdict is called, and its colour.
const VERDICTS: [(Verdict, &str, usize); 3] = [
    (Verdict::Met, "the objective is met", 2),
    (Verdict::Missed, "the objective is missed", 1),
    (Verdict::Unknown, "the runs are too short to tell", 7),
];

/// Of a search, how many rates have which verdict, and its colour.
pub(super) fn verdicts(series: &[Series]) -> impl Iterator<Item = (usize, String)> + '_ {
    VERDICTS.iter().filter_map(|&(verdict, name, colour)| {
        let rates = series.iter().filter_map(|one| one.asked);
        let rates: Vec<_> = rates.filter(|&(_, found)| found == verdict).collect();
        let (&(first, _), &(last, _)) = (rates.first()?, rates.last()?);
        let count = count_of(rates.len() as u64, "rate");
        let (first, last) = (grouped(first), grouped(last));
        Some((
            colour,
            format!("{name}: {count} from {first}/s to {last}/s"),
        ))
    })
}

/// Of a search, the median, p99 and maximum of the latencies at each rate.
pub(super) fn latency_by_rate(svg: &mut Svg, series: &[Series], top: f64) {
    let mut tried: Vec<_> = series
        .iter()
        .filter_map(|one| Some((one.asked?, one)))
        .collect();
    tried.retain(|(_, one)| !one.latencies.is_empty());
    tried.sort_by_key(|((rate, _), _)| *rate);
    let at = |one: &Series, hundredths| {
        let known = one.latencies.percentile(Percentile(hundredths));
        known.map(|latency| latency.as_nanos() as f64)
    };
    let max = |one: &Series| one.latencies.max().map_or(0.0, |max| max.as_nanos() as f64);
    let (across, down) = places(top);
    let rates = || tried.iter().map(|((rate, _), _)| *rate as f64);
    let x = Axis::of_magnitudes(
        rates().fold(f64::INFINITY, f64::min),
        rates().fold(0.0, f64::max),
        across,
    );
    let least = |one: &Series| at(one, 5_000).unwrap_or_else(|| max(one));
    let y = Axis::of_magnitudes(
        tried
            .iter()
            .map(|(_, one)| least(one))
            .fold(f64::INFINITY, f64::min),
        tried.iter().map(|(_, one)| max(one)).fold(0.0, f64::max),
        down,
    );
    Frame {
        title: "Latency by rate",
        note: "p50 thick, p99 thin, maximum as dots",
        x_title: "requests per second that were asked for",
        y_title: "latency",
        x_ticks: x
            .ticks()
            .into_iter()
            .map(|tick| (tick, rate(tick)))
            .collect(),
        y_ticks: latency_ticks(&y),
    }
    .draw(svg, &x, &y);
    for (name, hundredths, class) in [("p99", 9_900, "s0 thin"), ("p50", 5_000, "s0")] {
        let known = tried.iter().filter_map(|((rate, _), one)| {
            Some((x.place(*rate as f64), y.place(at(one, hundredths)?)))
        });
        svg.path(class, &[known.collect()], name);
    }
    for ((rate, verdict), one) in &tried {
        let colour = VERDICTS
            .iter()
            .find(|(of, ..)| of == verdict)
            .map_or(0, |of| of.2);
        let place = (x.place(*rate as f64), y.place(max(one)));
        svg.dot(&format!("f{colour}"), place, DOT);
    }
}

/// The median, p99 and maximum of the latencies over time.
pub(super) fn latency_over_time(svg: &mut Svg, series: &[Series], top: f64) {
    let lines = points(series);
    let (across, down) = places(top);
    let all = || lines.iter().flatten();
    let of = |point: &Point| [point.median, point.p99, point.max];
    let known = || all().flat_map(of).flatten().map(|ns| ns as f64);
    let y = Axis::of_magnitudes(
        known().fold(f64::INFINITY, f64::min),
        known().fold(0.0, f64::max),
        down,
    );
    let x = time_axis(&lines, across);
    Frame {
        title: "Latency over time",
        note: "p50 thick, p99 thin, maximum as dots",
        x_title: "time in runs, s",
        y_title: "latency",
        x_ticks: time_ticks(&x),
        y_ticks: latency_ticks(&y),
    }
    .draw(svg, &x, &y);
    for (number, (line, one)) in lines.iter().zip(series).enumerate() {
        let colour = number % COLOURS;
        for point in line {
            if let Some(max) = point.max {
                let at = x.place((point.from + point.to) / 2.0);
                svg.dot(&format!("f{colour}"), (at, y.place(max as f64)), 2.0);
            }
        }
        let name = |what: &str| format!("{}: {what}", one.name);
        let p99 = steps(line, &x, |point| point.p99.map(|ns| y.place(ns as f64)));
        svg.path(&format!("s{colour} thin"), &p99, &name("p99"));
        let median = steps(line, &x, |point| point.median.map(|ns| y.place(ns as f64)));
        svg.path(&format!("s{colour}"), &median, &name("p50"));
    }
}

/// The replies per second over time.
pub(super) fn rate_over_time(svg: &mut Svg, series: &[Series], top: f64) {
    let lines = points(series);
    let (across, down) = places(top);
    let high = lines
        .iter()
        .flatten()
        .map(|point| point.rate)
        .fold(0.0, f64::max);
    // A steady line is not to be taken for the frame's.
    let y = Axis::from_zero(high * 1.05, down);
    let x = time_axis(&lines, across);
    Frame {
        title: "Rate over time",
        note: "",
        x_title: "time in runs, s",
        y_title: "replies per second",
        x_ticks: time_ticks(&x),
        y_ticks: y
            .ticks()
            .into_iter()
            .map(|tick| (tick, rate(tick)))
            .collect(),
    }
    .draw(svg, &x, &y);
    for (number, (line, one)) in lines.iter().zip(series).enumerate() {
        let steps = steps(line, &x, |point| Some(y.place(point.rate)));
        svg.path(&format!("s{}", number % COLOURS), &steps, &one.name);
    }
}

impl Frame<'_> {
    fn draw(&self, svg: &mut Svg, x: &Axis, y: &Axis) {
        let ((left, right), (bottom, top)) = (x.places(), y.places());
        svg.text("h2", Anchor::Start, (left, top - 14.0), self.title);
        svg.text("small", Anchor::End, (right, top - 14.0), self.note);
        for (value, label) in &self.y_ticks {
            let at = y.place(*value);
            svg.line("grid", (left, at), (right, at));
            svg.text("tick", Anchor::End, (left - 8.0, at + 4.0), label);
        }
        let last = self.x_ticks.len().saturating_sub(1);
        for (number, (value, label)) in self.x_ticks.iter().enumerate() {
            let at = x.place(*value);
            svg.line("grid", (at, bottom), (at, top));
            // The last label is not to reach beyond the drawing.
            let anchor = if number == last && at > right - 20.0 {
                Anchor::End
            } else {
                Anchor::Middle
            };
            let at = if anchor == Anchor::End { right } else { at };
            svg.text("tick", anchor, (at, bottom + 18.0), label);
        }
        svg.line("axis", (left, bottom), (right, bottom));
        svg.line("axis", (left, bottom), (left, top));
        let middle = ((left + right) / 2.0, (bottom + top) / 2.0);
        svg.text(
            "title",
            Anchor::Middle,
            (middle.0, bottom + 38.0),
            self.x_title,
        );
        svg.turned_text("title", Anchor::Middle, (18.0, middle.1), -90, self.y_title);
    }
}

fn points(series: &[Series]) -> Vec<Vec<Point>> {
    let points = |one: &Series| {
        // As many as have enough replies each for a p99, if that leaves a line.
        let most = (one.latencies.len() / 1_000).clamp(40, MOST_POINTS as u64);
        one.timeline.points(most as usize)
    };
    series.iter().map(points).collect()
}

fn time_axis(lines: &[Vec<Point>], across: (f64, f64)) -> Axis {
    let ends = lines.iter().filter_map(|line| line.last());
    Axis::exact(0.0, ends.map(|point| point.to).fold(0.0, f64::max), across)
}

fn time_ticks(axis: &Axis) -> Vec<(f64, String)> {
    let ticks = axis.ticks();
    let step = ticks.get(1).map_or(1.0, |second| second - ticks[0]);
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let label = |tick: f64| {
        let text = if decimals == 0 {
            grouped(tick.round() as u64)
        } else {
            format!("{tick:.decimals$}")
        };
        (tick, text)
    };
    ticks.into_iter().map(label).collect()
}

fn latency_ticks(axis: &Axis) -> Vec<(f64, String)> {
    let label = |tick: f64| {
        let text = latency(tick);
        // 20.0 us and 1.00 ms are exact.
        let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
        let number = if number.contains('.') {
            number.trim_end_matches('0').trim_end_matches('.')
        } else {
            number
        };
        (
            tick,
            if tick == 0.0 {
                "0".to_owned()
            } else {
                format!("{number} {unit}")
            },
        )
    };
    axis.ticks().into_iter().map(label).collect()
}

/// A line that is level for each point's time, interrupted between runs and where there is no figure.
fn steps(line: &[Point], x: &Axis, height: impl Fn(&Point) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
    let mut parts: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut broken = true;
    for point in line {
        let Some(y) = height(point) else {
            broken = true;
            continue;
        };
        if broken || !point.goes_on {
            parts.push(Vec::new());
        }
        broken = false;
        if let Some(part) = parts.last_mut() {
            part.extend([(x.place(point.from), y), (x.place(point.to), y)]);
        }
    }
    parts
}
