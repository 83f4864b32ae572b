// SPDX-License-Identifier: GPL-2.0

//! Several reports, one after the other.

use std::{
    io::{
        BufRead,
        BufReader, //
    },
    process::{
        Child,
        ChildStdout,
        Stdio, //
    }, //
};

use serde_json::Value;

use crate::{
    command,
    fixture::Fixture,
    ksfstat, //
};

/// A ksfstat that runs, and what it prints.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it on `fixture` with these arguments, separated by spaces.
    fn start(fixture: &Fixture, arguments: &str) -> Self {
        let mut command = command(fixture);
        command.args(arguments.split(' ')).stdout(Stdio::piped());
        let mut child = command.spawn().expect("timeout, of coreutils, is there");
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The next line, without its end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the output ended: {line:?}");
        line.trim_end().to_owned()
    }

    /// The next line as a document.
    fn document(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Waits for an end without complaint and without another line.
    fn finish(mut self) {
        let mut line = String::new();
        assert_eq!(self.out.read_line(&mut line).unwrap(), 0, "{line}");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

/// Checks that the rate of `key` in a row of the services times the table's seconds is `count`.
#[track_caller]
fn assert_count(document: &Value, row: usize, key: &str, count: f64) {
    assert_counts(document, "services", row, &[(key, count)]);
}

/// The same of several keys in a row of any table.
#[track_caller]
fn assert_counts(document: &Value, table: &str, row: usize, counts: &[(&str, f64)]) {
    let table = &document["tables"][table];
    let seconds = table["seconds"].as_f64().unwrap();
    for (key, count) in counts {
        let rate = table["rows"][row]["rates"][key].as_f64();
        let rate = rate.unwrap_or_else(|| panic!("no rate of {key}: {document}"));
        assert!((rate * seconds - count).abs() < 1e-6, "{key}: {document}");
    }
}

#[test]
fn rates_are_of_the_time_between_two_reads() {
    let fixture = Fixture::new().with_pipe("services");
    let mut running = Running::start(&fixture, "--json -t services 0.2 3");
    fixture.say(
        "services",
        "service=a conns=5 accepted=100 requests=1000 queue_delay_ns=1024:50,65536:50\n",
    );
    let first = running.document();
    assert!(first["tables"]["services"]["seconds"].is_null());
    fixture.say(
        "services",
        "service=a conns=4 accepted=100 requests=1300 queue_delay_ns=1024:50,2048:7,65536:50\n",
    );
    let second = running.document();
    assert!(second["tables"]["services"]["seconds"].as_f64().unwrap() >= 0.2);
    assert_count(&second, 0, "accepted", 0.0);
    assert_count(&second, 0, "requests", 300.0);
    let row = &second["tables"]["services"]["rows"][0];
    assert_eq!(row["values"]["conns"], 4);
    assert!(row["rates"]["conns"].is_null());
    let times = &row["percentiles"]["queue_delay_ns"];
    assert_eq!(
        (&times["count"], &times["p99_below"]),
        (&7.into(), &4096.into())
    );
    fixture.say(
        "services",
        "service=a conns=4 accepted=101 requests=1300 queue_delay_ns=1024:50,2048:7,65536:50\n",
    );
    let third = running.document();
    assert_count(&third, 0, "accepted", 1.0);
    assert_count(&third, 0, "requests", 0.0);
    let times = &third["tables"]["services"]["rows"][0]["percentiles"]["queue_delay_ns"];
    assert!(times["p50_below"].is_null(), "{third}");
    running.finish();
}

#[test]
fn what_appears_or_was_loaded_again_counts_from_zero() {
    let fixture = Fixture::new().with_pipe("services");
    let mut running = Running::start(&fixture, "--json -t services 0.1 2");
    fixture.say(
        "services",
        "service=gone requests=1\nservice=again requests=1000000 bytes_in=5\nservice=stays requests=7\n",
    );
    running.document();
    fixture.say(
        "services",
        "service=new requests=40\nservice=again requests=30 bytes_in=900\nservice=stays requests=9\n",
    );
    let document = running.document();
    assert_count(&document, 0, "requests", 40.0);
    assert_count(&document, 1, "requests", 30.0);
    assert_count(&document, 1, "bytes_in", 900.0);
    assert_count(&document, 2, "requests", 2.0);
    running.finish();
}

#[test]
fn what_krpc_counts_has_rates_also_if_it_was_loaded_later() {
    let procedure = |version: u32, calls: u32, failed: u32| {
        format!(
            "service=krpc program=100003 name=nfs version={version} procedure=0 procedure_name=NULL calls={calls} \
             failed={failed}\n"
        )
    };
    let fixture = Fixture::new()
        .with_pipe("rpc_procedures")
        .with("rpc_errors", "service=krpc error=runt count=7\n");
    let mut running = Running::start(&fixture, "--json -t rpc_procedures,rpc_errors 0.1 3");
    fixture.say("rpc_procedures", "\n");
    assert_eq!(
        running.document()["tables"]["rpc_procedures"]["rows"],
        Value::Array(vec![])
    );
    fixture.say("rpc_procedures", &procedure(3, 100, 1));
    assert_counts(
        &running.document(),
        "rpc_procedures",
        0,
        &[("calls", 100.0), ("failed", 1.0)],
    );
    let both = procedure(2, 4, 0) + &procedure(3, 150, 1);
    fixture.say("rpc_procedures", &both);
    let document = running.document();
    assert_counts(&document, "rpc_procedures", 0, &[("calls", 4.0)]);
    assert_counts(
        &document,
        "rpc_procedures",
        1,
        &[("calls", 50.0), ("failed", 0.0)],
    );
    assert_counts(&document, "rpc_errors", 0, &[("count", 0.0)]);
    running.finish();
}

#[test]
fn tables_are_told_apart_by_a_line_that_says_how_long_they_took() {
    let fixture = Fixture::new().with_pipe("peers");
    let mut running = Running::start(&fixture, "-t peers 0.1 2");
    fixture.say("peers", "service=a peer=::1 conns=1 refused=0\n");
    assert_eq!(running.line(), "peers, since loading");
    running.line();
    assert!(running.line().ends_with("     1      0"));
    fixture.say("peers", "service=a peer=::1 conns=2 refused=0\n");
    assert_eq!(running.line(), "");
    let title = running.line();
    let seconds = title
        .strip_prefix("peers, per second over ")
        .and_then(|rest| rest.strip_suffix(" s"));
    assert!(seconds.unwrap().parse::<f64>().unwrap() >= 0.1, "{title}");
    running.line();
    assert!(running.line().ends_with("     2      0"));
    running.finish();
}

#[test]
fn the_first_report_can_be_left_out() {
    let fixture = Fixture::new().with("services", "service=a requests=7\n");
    let out = ksfstat(&fixture, "-y -j -t services 0.1 2").good();
    assert_eq!(out.lines().count(), 2);
    for line in out.lines() {
        assert_count(&serde_json::from_str(line).unwrap(), 0, "requests", 0.0);
    }
    let out = ksfstat(&fixture, "-y -t services 0.1 1").good();
    assert!(out.starts_with("services, per second over 0.1"), "{out}");
}

#[test]
fn it_ends_when_nobody_reads_any_more() {
    let fixture = Fixture::new().with_pipe("services");
    let mut running = Running::start(&fixture, "-t services 0.1");
    fixture.say("services", "service=a\n");
    running.line();
    let Running { mut child, out } = running;
    drop(out);
    fixture.say("services", "service=a\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
