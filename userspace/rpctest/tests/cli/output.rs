// SPDX-License-Identifier: GPL-2.0

//! What is written in other forms than the table.

use serde_json::Value;

use crate::{
    rpctest,
    server::{answer, answer_datagrams, record, success},
};

/// The published one.
fn schema() -> jsonschema::Validator {
    let schema = include_str!("../../../../docs/loadgen.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn json_is_as_the_published_schema_has_it() {
    let schema = schema();
    let stream = answer(|call, _| record(&success(call.xid)));
    let datagrams = answer_datagrams(|call, _| vec![success(call.xid)]);
    for (options, address, transport) in [("-A sys", stream, "TCP"), ("-u", datagrams, "UDP")] {
        let run = rpctest(&format!("{options} --json -c 20 -i 2 {address}"));
        assert_eq!((run.status, &run.err[..]), (Some(0), ""), "{options}");
        assert_eq!(run.out.lines().count(), 1, "{options}");
        let document: Value = serde_json::from_str(&run.out).unwrap();
        assert!(schema.is_valid(&document), "{document}");
        assert_eq!(document["servers"][0]["ledger"]["answered"], 40);
        assert_eq!(document["provenance"][0]["tool"], "rpctest");
        let mark = if transport == "TCP" { 4 } else { 0 };
        assert_eq!(document["reply_bytes"], 24 + mark);
        let what = document["what"].as_str().unwrap();
        assert!(what.starts_with("nfs version 3 NULL by AUTH_"), "{what}");
        assert!(what.ends_with(&format!(" over {transport}")), "{what}");
    }
}

#[test]
fn the_length_of_replies_is_said_only_where_it_is_known() {
    let address = answer(|call, number| {
        let results = vec![0; number as usize % 3 * 4];
        record(&[success(call.xid), results].concat())
    });
    let run = rpctest(&format!("--procedure 5 --json -c 20 {address}"));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let document: Value = serde_json::from_str(&run.out).unwrap();
    assert!(schema().is_valid(&document), "{document}");
    assert_eq!(document["request_bytes"], 44);
    assert_eq!(document["reply_bytes"], Value::Null);
    let run = rpctest(&format!("--procedure 5 --ksf -H -c 20 {address}"));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let cells: Vec<_> = run.out.split_whitespace().collect();
    assert_eq!(cells[5], "n/a", "{}", run.out);
}

#[test]
fn the_columns_of_ksf_are_in_its_order() {
    let address = answer(|call, _| record(&success(call.xid)));
    let run = rpctest(&format!("--ksf -a 2 -c 1000 -i 3 {address}"));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let lines: Vec<_> = run
        .out
        .lines()
        .skip_while(|line| !line.is_empty())
        .collect();
    let names: Vec<_> = lines[1].split_whitespace().collect();
    let expected = ["Date", "TD", "INF", "MedRPC", "MedLat", "Mbps", "MinLat"];
    assert_eq!(names[..expected.len()], expected);
    assert_eq!(names.last(), Some(&"MaxLat"));
    let rows = &lines[2..];
    assert_eq!(rows.len(), 3, "{}", run.out);
    for row in rows {
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!((cells.len(), &cells[1..3]), (names.len(), &["1", "2"][..]));
        let figures = [3, 4, 5, 6, cells.len() - 1].map(|place| cells[place].parse::<f64>());
        assert!(
            figures
                .iter()
                .all(|figure| figure.as_ref().is_ok_and(|&it| it > 0.0)),
            "{row}"
        );
    }
}
