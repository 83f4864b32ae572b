// SPDX-License-Identifier: GPL-2.0

//! Every command that the documentation shows works, and prints what it shows.

use std::path::Path;

use documented::{in_documents, in_manual, Example, Stage};

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
    let tool = Path::new(env!("CARGO_BIN_EXE_rpctest"));
    let stage = Stage::of_load_generator(directory, tool, address)
        .expect("the target's directory can be written");
    for example in examples {
        stage.check(example);
    }
}

#[test]
fn what_the_documents_show_works() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (name, examples) in in_documents(&checkout, TOOL) {
        check(&name, &examples);
    }
}

#[test]
fn what_the_help_shows_works() {
    let help = rpctest("--help");
    check("help", &in_manual("--help", &help.out, TOOL));
}

#[test]
fn what_the_manual_page_shows_works() {
    let page = include_str!("../../../../docs/man/rpctest.1");
    check("man", &in_manual("rpctest.1", page, TOOL));
}
