// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::{
    campaign::{conduct, ComparePlan, Runner},
    load::{Extent, Pace, Transport},
    report::hdr_log,
    result::{ClientResult, Failure, FailureKind, Interval, ThreadResult, Window},
    schedule::{Arrivals, Rate},
    stats::search::SearchPlan,
};

/// A server whose latencies are random, by the run's seed.
struct Simulated {
    fails: bool,
}

impl Runner for Simulated {
    type Error = String;

    fn run(&mut self, assignment: &Assignment) -> Result<RunResult, String> {
        let mut rng = fastrand::Rng::with_seed(assignment.seed);
        let latencies: Vec<u64> = (0..5_000).map(|_| rng.u64(1_000..50_000)).collect();
        let mut result = run_of(&latencies, 2);
        result.clients = vec![ClientResult::default(); 2];
        if self.fails {
            result.failures.push(Failure {
                connection: 0,
                at_ns: 12,
                kind: FailureKind::NoProgress,
                message: "no progress for 10 s".to_owned(),
            });
        }
        Ok(result)
    }
}

/// A run of a second by so many threads, with these latencies.
pub(in crate::report) fn run_of(latencies: &[u64], threads: usize) -> RunResult {
    let mut run = RunResult {
        elapsed_ns: 1_000_000_000,
        window: Window {
            length_ns: 1_000_000_000,
            answered: latencies.len() as u64,
        },
        threads: vec![
            ThreadResult {
                cpu: Some(1),
                cpu_ns: 5_000,
                ..ThreadResult::default()
            };
            threads
        ],
        ..RunResult::default()
    };
    run.ledger.scheduled = latencies.len() as u64;
    run.ledger.sent = run.ledger.scheduled;
    run.ledger.answered = run.ledger.scheduled;
    for half in latencies.chunks(latencies.len().div_ceil(2).max(1)) {
        let mut histogram = Histogram::new();
        half.iter().for_each(|&ns| histogram.record(ns));
        run.service.merge(&histogram);
        run.intervals.push(Interval {
            start_ns: run.intervals.len() as u64 * 500_000_000,
            length_ns: 500_000_000,
            response: histogram.distribution(),
        });
    }
    run.response = run.service.clone();
    run
}

pub(in crate::report) fn question(plan: Plan) -> Question {
    Question {
        provenance: Provenance::here("echotest", "0.1.0", 7),
        targets: vec!["server".to_owned(); plan.targets()],
        addresses: vec![([127, 0, 0, 1], 7).into(); plan.targets()],
        bind: Some([127, 0, 0, 2].into()),
        what: "TCP".to_owned(),
        request_bytes: 32,
        reply_bytes: Some(32),
        load: Load {
            transport: Transport::Stream,
            threads: 2,
            connections: 2,
            in_flight: 4096,
            pace: Pace::Open {
                rate: Rate::per_second(5_000.0).unwrap(),
                arrivals: Arrivals::Exponential,
            },
            extent: Extent::Duration(1_000_000_000),
            warmup_ns: 250_000_000,
            batch: 1,
            timeout_ns: 1,
            interval_ns: 500_000_000,
            seed: u64::MAX,
        },
        client: Machine::default(),
        plan,
    }
}

fn document(plan: Plan, fails: bool) -> Document {
    let mut log = RunLog::default();
    let conclusion = conduct(&plan, 1, &mut Simulated { fails }, &mut log);
    Document::new(question(plan), log.runs, &conclusion)
}

fn search() -> Plan {
    let mut plan = SearchPlan::new("p99<40us,max<1s".parse().unwrap());
    plan.most_runs = 6;
    Plan::Search(plan)
}

fn all_kinds() -> Vec<Document> {
    let compare = ComparePlan {
        pairs: 6,
        width: Some(0.01),
        threshold: 0.02,
    };
    vec![
        document(Plan::Iterations(6), false),
        document(Plan::Iterations(2), true),
        document(
            Plan::UntilCi {
                width: 0.5,
                most: 11,
            },
            false,
        ),
        document(search(), false),
        document(Plan::Compare(compare), false),
    ]
}

fn text(document: &Document) -> String {
    let mut out = Vec::new();
    document.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_kind_of_document_is_read_back_as_it_was() {
    for document in all_kinds() {
        assert!(Document::read(&text(&document)).unwrap() == document);
    }
}

/// The schema for documents that have nothing but what is in it.
fn without_additions(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(fields) => {
            for field in fields.values_mut() {
                *field = without_additions(field.take());
            }
            if fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(values) => {
            for value in values {
                *value = without_additions(value.take());
            }
        }
        _ => {}
    }
    schema
}

#[test]
fn every_kind_of_document_is_of_the_published_form() {
    let schema = include_str!("../../../../../docs/loadgen.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let published = jsonschema::validator_for(&schema).unwrap();
    let validator = jsonschema::validator_for(&without_additions(schema)).unwrap();
    for document in all_kinds() {
        let value: serde_json::Value = serde_json::from_str(&text(&document)).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");

        // And the published form says it all: nothing may be missing, and nothing is there besides. A later one may have
        // more.
        for field in value.as_object().unwrap().keys() {
            let mut less = value.clone();
            less.as_object_mut().unwrap().remove(field);
            assert!(!validator.is_valid(&less), "without {field}");
        }
        let mut more = value;
        more["runs"][0]["result"]["surprise"] = 1.into();
        assert!(!validator.is_valid(&more) && published.is_valid(&more));
        assert!(Document::read(&more.to_string()).is_ok());
    }
}

#[test]
fn the_figures_are_those_of_all_runs() {
    let document = document(Plan::Iterations(6), false);
    let [figures] = &document.servers[..] else {
        panic!("{} servers", document.servers.len());
    };
    assert_eq!((figures.runs, document.runs.len()), (6, 6));
    assert_eq!(figures.response.count, 30_000);
    assert_eq!(figures.response.p99_99_ns, None);
    let p99 = figures.response.p99_ns.unwrap();
    assert!((49_000..50_100).contains(&p99), "{p99}");
    assert_eq!(figures.cpu_ns_per_reply, Some(2.0));
    assert!(figures.headline.rate.unwrap().interval.is_some());
    assert_eq!(document.stopped, None);
}

#[test]
fn a_campaign_that_was_stopped_says_why() {
    let document = document(Plan::Iterations(2), true);
    assert_eq!(document.stopped.as_deref(), Some("a run failed"));
    assert_eq!(document.runs[0].result.failures.len(), 1);
    assert_eq!(document.runs.len(), 1);
}

#[test]
fn an_hdr_log_has_every_interval_of_every_run() {
    let compare = ComparePlan {
        pairs: 5,
        width: None,
        threshold: 0.0,
    };
    let document = document(Plan::Compare(compare), false);
    let lines: Vec<_> = document.hdr_lines().collect();
    assert_eq!(lines.len(), 20);
    for (line, run) in lines.iter().step_by(2).zip(&document.runs) {
        let measured = Duration::from_nanos(run.started_unix_ns + 250_000_000);
        assert_eq!(line.start, UNIX_EPOCH + measured);
        assert_eq!(line.tag, ["A", "B"][run.target]);
    }
    let count: u64 = lines.iter().map(|line| line.latencies.len()).sum();
    assert_eq!(count, 50_000);
    let mut out = Vec::new();
    hdr_log::write(&mut out, "echotest", document.hdr_lines()).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("\nTag=B,"));
}

#[test]
fn an_hdr_log_of_a_search_tells_the_rates_apart() {
    let document = document(search(), false);
    let tags: Vec<_> = document.hdr_lines().map(|line| line.tag).collect();
    assert_eq!(tags[..2], ["1000", "1000"]);
    let last = document.runs.last().unwrap().rate.unwrap();
    assert_eq!(tags.last().unwrap(), &last.to_string());
}

#[test]
fn what_is_summed_up_for_each_request_may_be_great() {
    let mut document = document(Plan::Iterations(1), false);
    // Ten milliseconds for each of ten milliards.
    document.runs[0].result.threads[0].lag_total_ns = 100_000_000_000_000_000;
    assert!(Document::read(&text(&document)).unwrap() == document);
}

#[test]
fn what_is_no_document_is_refused() {
    let good = text(&document(Plan::Iterations(1), false));
    let refused = |text: &str| Document::read(text).unwrap_err().to_string();
    let format = "not the JSON document of a load generator of ksf";
    assert_eq!(refused("{}"), format);
    assert_eq!(refused("[1]"), format);
    assert_eq!(refused(r#"{"format":"other","version":1}"#), format);
    let newer = good.replacen("\"version\":1,", "\"version\":2,", 1);
    assert_eq!(
        refused(&newer),
        "a document of version 2, and only 1 is known"
    );
    assert!(refused("nonsense").contains("line 1"));
    assert!(refused(&good[..good.len() / 2]).contains("EOF"));
    assert!(refused(&good.replacen("\"runs\":", "\"walks\":", 1)).contains("runs"));
}
