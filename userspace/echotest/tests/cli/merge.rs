// SPDX-License-Identifier: GPL-2.0

//! Documents of several machines as one.

use serde_json::Value;

use crate::{
    server::Server,
    stage::{document, Stage},
    Ledger,
};

/// A stage with a document of two runs of 100 messages, and the server that it is of.
fn stage(test: &str) -> (Stage, Server) {
    let (server, _) = Server::good();
    let stage = Stage::new(test);
    let run = stage.echotest(&format!("-c 100 -i 2 --json=a.json {}", server.address));
    assert_eq!(run.status, Some(0), "{}", run.err);
    (stage, server)
}

#[test]
fn what_is_merged_adds_up() {
    let (stage, server) = stage("what_is_merged_adds_up");
    let more = format!("-j 2 -c 100 -i 2 --json=b.json {}", server.address);
    assert_eq!(stage.echotest(&more).status, Some(0));
    // They were made one after the other, as nothing here says how long a run takes.
    let run = stage.echotest("merge a.json b.json");
    run.assert_failed(
        "b.json: run 1 was not at the same time as the first machine's, by their clocks (--any-time: that does not matter)",
    );
    let run = stage
        .echotest("merge --any-time a.json b.json --json=m.json --hdr-log m.hlog --plot m.svg");
    run.assert_good(&[("1", 300), ("2", 300), ("all", 600)]);
    assert_eq!(run.ledger(), Ledger::clean(600));
    assert!(
        run.out
            .contains(", from 2 machines; 3 threads, 3 connections\n"),
        "{}",
        run.out
    );
    let [a, b, merged] = ["a.json", "b.json", "m.json"].map(|name| document(&stage.read(name)));
    let count = |of: &Value| of["servers"][0]["response"]["count"].as_u64().unwrap();
    assert_eq!(count(&a) + count(&b), count(&merged));
    assert_eq!(merged["provenance"].as_array().unwrap().len(), 2);
    // What was merged can be merged.
    stage
        .echotest("merge -H m.json")
        .assert_good(&[("1", 300), ("2", 300), ("all", 600)]);
    // To standard output, there is the document and nothing else.
    let run = stage.echotest("merge --any-time a.json b.json --json");
    assert_eq!((run.status, run.out.lines().count()), (Some(0), 1));
    assert!(document(&run.out) == merged);
    // Nothing is counted twice.
    for files in ["a.json b.json a.json", "m.json a.json"] {
        let run = stage.echotest(&format!("merge --any-time {files}"));
        run.assert_failed("a.json: it is among the others already");
    }
}

#[test]
fn what_is_no_document_is_told() {
    let (stage, _) = stage("what_is_no_document_is_told");
    let good = stage.read("a.json");
    let format = "not the JSON document of a load generator of ksf";
    for (text, problem) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{}", format),
        ("[]", format),
        ("7", format),
        ("<svg/>", "expected value at line 1 column 1"),
        (&good[..good.len() / 2], "EOF while parsing"),
        (
            r#"{"format":"ksf.loadgen","version":2}"#,
            "a document of version 2, and only 1 is known",
        ),
        (r#"{"format":"ksf.loadgen","version":1}"#, "missing field"),
        (r#"{"format":"another","version":1}"#, format),
    ] {
        stage.write("x.json", text);
        let run = stage.echotest("merge a.json x.json");
        let start = format!("echotest: cannot read x.json: {problem}");
        assert!(run.err.starts_with(&start), "{}", run.err);
        assert_eq!(
            (run.status, run.err.lines().count()),
            (Some(1), 1),
            "{}",
            run.err
        );
        assert_eq!(run.out, "");
    }
    stage
        .echotest("merge a.json nowhere.json")
        .assert_failed("cannot read nowhere.json: No such file or directory (os error 2)");
    stage
        .echotest("merge .")
        .assert_failed("cannot read .: Is a directory (os error 21)");
    stage.write(
        "x.json",
        &good.replace(r#""tool":"echotest""#, r#""tool":"rpctest""#),
    );
    stage
        .echotest("merge a.json x.json")
        .assert_failed("x.json is of rpctest, not of echotest");
    assert_eq!(stage.echotest("merge").status, Some(2));
}

#[test]
fn documents_that_do_not_go_together_are_told() {
    let (stage, server) = stage("documents_that_do_not_go_together_are_told");
    for (options, problem) in [
        (
            "-c 100 -a 2 -i 2",
            "another load than the first: requests in flight",
        ),
        (
            "-c 101 -i 2",
            "another load than the first: count or duration",
        ),
        (
            "-c 100 -i 2 --rate 10k -a 1",
            "another load than the first: pace",
        ),
        ("-c 100 -i 3", "runs: 3, and in the first 2"),
        ("-c 100 -i 2 -l 99", "another load than the first: length"),
        (
            "-c 100 -i 2 --engine io_uring",
            "another load than the first: engine",
        ),
    ] {
        let run = stage.echotest(&format!("{options} --json=b.json {}", server.address));
        assert_eq!(run.status, Some(0), "{}", run.err);
        let run = stage.echotest("merge a.json b.json");
        run.assert_failed(&format!("b.json: {problem}"));
        assert_eq!(run.out, "");
    }
}

/// All numbers in a document.
fn numbers(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Number(_) => vec![value],
        Value::Array(values) => values.iter_mut().flat_map(numbers).collect(),
        Value::Object(fields) => fields.values_mut().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn no_number_in_a_document_does_any_harm() {
    let (server, _) = Server::good();
    let stage = Stage::new("no_number_in_a_document_does_any_harm");
    let run = stage.echotest(&format!("-c 2 --json=a.json {}", server.address));
    assert_eq!(run.status, Some(0), "{}", run.err);
    let good = document(&stage.read("a.json"));
    for place in 0..numbers(&mut good.clone()).len() {
        for number in [0, 1 << 56, u64::MAX] {
            let mut bad = good.clone();
            *numbers(&mut bad)[place] = number.into();
            stage.write("x.json", &bad.to_string());
            let run =
                stage.echotest("merge --any-time a.json x.json --plot x.svg --hdr-log x.hlog");
            assert!(
                [Some(0), Some(1)].contains(&run.status) && run.err.lines().count() <= 1,
                "{bad}: {}",
                run.err
            );
        }
    }
}
