// SPDX-License-Identifier: GPL-2.0

//! Every command that the documentation shows works, and prints what it shows.

use std::{fs, path::Path};

use documented::{documents, in_manual, in_markdown, Example, Stage};

use crate::{
    rpctest,
    server::{answer, answer_datagrams_at, record, success},
};

const TOOL: &str = "rpctest";

/// Runs the examples of one document, with a server of this test in the place of theirs.
fn check(name: &str, examples: &[Example]) {
    let address = answer(|call, _| record(&success(call.xid)));
    answer_datagrams_at(address, |call, _| vec![success(call.xid)]);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let stage = Stage::new(directory, Path::new(env!("CARGO_BIN_EXE_rpctest")))
        .expect("the target's directory can be written")
        .with_host("localhost", address)
        .with_host("server", address)
        .with_value("--duration", "200ms")
        .with_value("--until-ci", "100%")
        .with_value("--warmup", "50ms");
    for example in examples {
        stage.check(example);
    }
}

#[test]
fn what_the_documents_show_works() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = 0;
    for document in documents(&checkout).expect("there are documents") {
        let text = fs::read_to_string(&document).expect("documents are UTF-8");
        let name = document
            .file_name()
            .expect("it has a name")
            .to_string_lossy();
        let examples = in_markdown(&name, &text, TOOL);
        found += examples.len();
        check(&name, &examples);
    }
    assert!(found > 0, "no document shows how {TOOL} is used");
}

#[test]
fn what_the_help_shows_works() {
    let help = rpctest("--help");
    check("help", &in_manual("--help", &help.out, TOOL));
}
