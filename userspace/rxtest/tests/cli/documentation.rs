// SPDX-License-Identifier: GPL-2.0

//! Every command that the documentation shows works, and prints what it shows.

use documented::Description;

use crate::{server::good, FETCH, RPC, RXTEST};

/// What is said of a tool.
fn description(tool: documented::Tool) -> Description {
    let scratch = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(tool.name());
    Description::new(tool, env!("CARGO_MANIFEST_DIR"), scratch)
}

#[test]
fn what_the_documents_show_works() {
    description(RXTEST).documents_work(good());
}

#[test]
fn what_the_help_shows_works() {
    for tool in [RXTEST, FETCH, RPC] {
        description(tool).help_works(good());
    }
}

#[test]
fn what_the_manual_pages_show_works() {
    for tool in [RXTEST, FETCH, RPC] {
        description(tool).manual_page_works(good());
    }
}

#[test]
fn the_manual_pages_are_those_of_these_options() {
    for (tool, summary) in [
        (RXTEST, "Measures Rx servers, and checks every byte"),
        (FETCH, "Measures how fast an Rx server sends files"),
        (
            RPC,
            "Measures round trips and calls per second of an Rx server",
        ),
    ] {
        description(tool).manual_page_is_current(summary);
    }
}

#[test]
fn shells_complete_the_options() {
    description(RXTEST).completions_have_the_options();
}

#[test]
fn a_subcommand_takes_no_load() {
    for tool in [RXTEST, FETCH, RPC] {
        description(tool).subcommands_take_no_load();
    }
}
