// SPDX-License-Identifier: GPL-2.0

//! The manual page and the completions.

use std::fs;

use crate::rpctest;

#[test]
fn the_manual_page_is_that_of_these_options() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man/rpctest.1");
    let run = rpctest("man");
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    assert!(
        run.out
            .contains("\nrpctest \\- Measures an ONC RPC or NFS server"),
        "{}",
        run.out
    );
    assert!(
        fs::read_to_string(path).is_ok_and(|page| page == run.out),
        "docs/man/rpctest.1 is out of date: make man"
    );
}

#[test]
fn shells_complete_the_options() {
    for (shell, option) in [
        ("bash", "--in-flight"),
        ("zsh", "--in-flight"),
        ("fish", "-l in-flight"),
    ] {
        let run = rpctest(&format!("completions {shell}"));
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
        assert!(run.out.contains(option), "{shell}: {}", run.out);
    }
    assert_eq!(rpctest("completions").status, Some(2));
    assert_eq!(rpctest("completions tcsh").status, Some(2));
}

#[test]
fn a_subcommand_takes_no_load() {
    let run = rpctest("man -c 1");
    assert_eq!(run.status, Some(2), "{}{}", run.out, run.err);
}
