// SPDX-License-Identifier: GPL-2.0

use std::sync::LazyLock;

use roxmltree::{Document, Node};

use super::*;
use crate::{
    result::{Interval, RunResult},
    stats::order::{least_sample, CONFIDENCE},
};

const SECOND: u64 = 1_000_000_000;

/// A run of so many intervals of 100 ms, with a latency that wanders and a tail.
fn run(intervals: u64, base_ns: u64) -> RunResult {
    let mut run = RunResult::default();
    let mut random = fastrand::Rng::with_seed(intervals ^ base_ns);
    for number in 0..intervals {
        let mut histogram = Histogram::new();
        for _ in 0..500 {
            let wave = base_ns / 5 * (number % 20) / 10;
            let tail = (1.0 / (1.0 - random.f64())).powf(0.6);
            let ns = (base_ns + wave) as f64 * tail.min(10_000.0);
            histogram.record(ns as u64);
        }
        run.response.merge(&histogram);
        run.intervals.push(Interval {
            start_ns: number * SECOND / 10,
            length_ns: SECOND / 10,
            response: histogram.distribution(),
        });
    }
    run
}

fn series(name: &str, runs: &[RunResult]) -> Series {
    let mut series = Series {
        name: name.to_owned(),
        rate: Some(5_000.0),
        latencies: Histogram::new(),
        timeline: Timeline::default(),
        asked: None,
    };
    for run in runs {
        series.latencies.merge(&run.response);
        series.timeline.add(run);
    }
    series
}

fn plot(series: Vec<Series>) -> Plot {
    Plot {
        title: "rpctest: NFS 3 NULL over TCP to <a&b>:2049".to_owned(),
        notes: vec![
            "open loop, exponential arrivals at 50,000/s, at most 4,096 in flight on each connection: latency from the \
             intended time"
                .to_owned(),
            "rpctest --rate 50k --arrivals exponential --duration 10 -i 3 --plot \"a\".svg server".to_owned(),
        ],
        series,
    }
}

/// What a search measured at a rate.
fn tried(rate: u64, base_ns: u64, verdict: Verdict) -> Series {
    Series {
        asked: Some((rate, verdict)),
        timeline: Timeline::default(),
        ..series(&format!("{rate}/s"), &[run(2, base_ns)])
    }
}

fn searched() -> Plot {
    plot(vec![
        tried(1_000, 20_000, Verdict::Met),
        tried(2_000, 25_000, Verdict::Met),
        tried(64_000, 90_000_000, Verdict::Missed),
    ])
}

#[test]
fn a_search_is_drawn_by_its_rates() {
    let svg = searched().render(Format::Svg);
    for text in [
        "Latency by rate",
        "the objective is met: 2 rates from 1,000/s to 2,000/s",
        "the objective is missed: 1 rate from 64,000/s to 64,000/s",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("Nothing was answered") && !svg.contains("over time"));
    // One dot in the legend for each verdict, and one for each rate.
    let dots = |class: &str| svg.matches(&format!("<circle class=\"{class}\"")).count();
    assert_eq!((dots("f2"), dots("f1"), dots("f7")), (3, 2, 0));
    assert!(searched().render(Format::Html).contains("<th>64000/s</th>"));
}

static EXAMPLES: LazyLock<Vec<Plot>> = LazyLock::new(|| {
    let few = || series("few", &[run(2, 1_000_000)]);
    vec![
        plot(vec![
            series("A server-a:2049", &[run(20, 12_000), run(30, 12_500)]),
            series("B server-b:2049", &[run(45, 30_000)]),
        ]),
        plot(vec![few()]),
        plot(vec![few(), series("nothing", &[])]),
        plot(vec![Series {
            latencies: {
                let mut one = Histogram::new();
                one.record(7);
                one
            },
            ..series("one", &[])
        }]),
        plot(vec![series("nothing", &[])]),
        plot(Vec::new()),
        plot(vec![tried(7, 500_000, Verdict::Unknown)]),
        searched(),
        plot(
            (0..11)
                .map(|n| series(&format!("server {n}"), &[run(3, 1_000 << n)]))
                .collect(),
        ),
    ]
});

/// The places that an element of the drawing reaches to, as far as that is known without its fonts.
fn places(node: Node<'_, '_>) -> Vec<(f64, f64)> {
    let number = |name: &str| {
        node.attribute(name)
            .map(|text| text.parse::<f64>().unwrap())
    };
    let pair = |x: &str, y: &str| number(x).zip(number(y));
    let mut places = vec![
        pair("x", "y"),
        pair("x1", "y1"),
        pair("x2", "y2"),
        pair("cx", "cy"),
    ];
    for part in node
        .attribute("d")
        .unwrap_or_default()
        .split(['M', 'L'])
        .skip(1)
    {
        let (x, y) = part.split_once(' ').unwrap();
        places.push(Some((x.parse().unwrap(), y.parse().unwrap())));
    }
    places.into_iter().flatten().collect()
}

fn lines<'a>(document: &'a Document<'a>, class: &str) -> Vec<Node<'a, 'a>> {
    let of_class = |node: &Node<'_, '_>| node.attribute("class") == Some(class);
    document.descendants().filter(of_class).collect()
}

#[test]
fn all_is_well_formed_and_inside_of_the_picture() {
    for plot in EXAMPLES.iter() {
        let text = plot.render(Format::Svg);
        let document = Document::parse(&text).unwrap();
        let root = document.root_element();
        let size = |name| root.attribute(name).unwrap().parse::<f64>().unwrap();
        let (width, height) = (size("width"), size("height"));
        assert_eq!(
            root.attribute("viewBox"),
            Some(format!("0 0 {width} {height}").as_str())
        );
        for (x, y) in document.descendants().flat_map(places) {
            assert!(
                (0.0..=width).contains(&x) && (0.0..=height).contains(&y),
                "{x}, {y}"
            );
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}

#[test]
fn pages_are_well_formed_too() {
    for plot in EXAMPLES.iter() {
        let page = plot.render(Format::Html);
        let Some(markup) = page.strip_prefix("<!doctype html>\n") else {
            panic!("{page}");
        };
        let document = Document::parse(markup).unwrap();
        let rows = document
            .descendants()
            .filter(|node| node.has_tag_name("tr"));
        let widths: Vec<_> = rows
            .map(|row| row.children().filter(Node::is_element).count())
            .collect();
        assert_eq!(widths, vec![10; plot.series.len() + 1]);
    }
}

#[test]
fn nothing_is_fetched() {
    for text in EXAMPLES
        .iter()
        .flat_map(|plot| [plot.render(Format::Svg), plot.render(Format::Html)])
    {
        let without_namespace = text.replace("http://www.w3.org/2000/svg", "");
        for reference in [
            "http:", "https:", "href", "src=", "url(", "@import", "<script",
        ] {
            assert!(!without_namespace.contains(reference), "{reference}");
        }
    }
}

#[test]
fn the_spectrum_never_decreases() {
    let text = EXAMPLES[0].render(Format::Svg);
    let document = Document::parse(&text).unwrap();
    // The first is the legend's.
    for class in ["s0", "s1"] {
        let spectrum = places(lines(&document, class)[1]);
        assert!(spectrum.len() > 50);
        for pair in spectrum.windows(2) {
            // Down the page is down the scale.
            assert!(pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1, "{pair:?}");
        }
    }
}

#[test]
fn each_server_has_its_lines_in_each_chart() {
    let text = EXAMPLES[0].render(Format::Svg);
    let document = Document::parse(&text).unwrap();
    for class in ["s0", "s1"] {
        // In the legend, and in each of the three charts.
        assert_eq!(lines(&document, class).len(), 4);
        // What is not sure in the spectrum, and p99.
        assert_eq!(lines(&document, &format!("{class} thin")).len(), 2);
    }
    let titles: Vec<_> = lines(&document, "h2")
        .into_iter()
        .filter_map(|node| node.text())
        .collect();
    assert_eq!(
        titles,
        [
            "Latency by percentile",
            "Latency over time",
            "Rate over time"
        ]
    );
}

#[test]
fn a_line_ends_where_its_run_does() {
    let text = EXAMPLES[0].render(Format::Svg);
    let document = Document::parse(&text).unwrap();
    let rate_of = |class| {
        let path = lines(&document, class)[3]
            .attribute("d")
            .unwrap()
            .to_owned();
        path.matches('M').count()
    };
    assert_eq!((rate_of("s0"), rate_of("s1")), (2, 1));
}

#[test]
fn what_too_few_requests_tell_is_not_drawn_over_time() {
    let mut few = run(50, 10_000);
    let enough = least_sample(0.99, CONFIDENCE);
    for interval in &mut few.intervals {
        interval.response.buckets = vec![(10_000, enough - 1)];
    }
    few.response = {
        let mut all = Histogram::new();
        (0..50 * (enough - 1)).for_each(|_| all.record(10_000));
        all
    };
    let text = plot(vec![series("few", &[few])]).render(Format::Svg);
    // 40 points of two intervals each, so that p99 can be told; but for the maximum, which is all there is of fewer.
    assert!(text.contains("few: p99"));
    let mut fewer = run(1, 10_000);
    fewer.intervals[0].response.buckets = vec![(10_000, enough - 1)];
    let text = plot(vec![series("fewer", &[fewer])]).render(Format::Svg);
    assert!(text.contains("fewer: p50") && !text.contains("fewer: p99"));
}

#[test]
fn forms_are_told_by_the_ends_of_names() {
    for (name, format) in [
        ("a.html", Ok(Format::Html)),
        ("/b/c.d.SVG", Ok(Format::Svg)),
        ("html", Err(FormatError)),
        ("a.png", Err(FormatError)),
        ("", Err(FormatError)),
    ] {
        assert_eq!(Format::of(Path::new(name)), format, "{name}");
    }
}

#[test]
fn long_lines_are_wrapped_between_words() {
    assert_eq!(wrapped("aa bb  cc", 5), ["aa bb", "cc"]);
    assert_eq!(wrapped("aaaaaaa b", 5), ["aaaaaaa", "b"]);
    assert_eq!(wrapped("", 5), [""; 0]);
}
