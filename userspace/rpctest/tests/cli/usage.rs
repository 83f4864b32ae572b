// SPDX-License-Identifier: GPL-2.0

//! The command line.

use crate::{
    rpctest,
    server::{answer, record, success},
};

#[test]
fn a_wrong_command_line_is_told_before_anything_is_done() {
    for (arguments, what) in [
        (
            "--program what host",
            "neither a number nor one of rpcbind, nfs, mount",
        ),
        ("--prog-version -1 host", "unexpected argument"),
        ("--procedure x host", "not a number"),
        ("-A gss host", "[possible values: none, sys]"),
        ("--fragments=0 host", "not in 1 to 1024"),
        ("-f -u host", "cannot be used with"),
        ("host:0", "not a number from 1 to 65535"),
        ("-x host", "'--extended' cannot be used without '--ksf'"),
        ("-m host", "'--mean' cannot be used without '--ksf'"),
        (
            "-q 50 host",
            "'--quantiles <LIST>' cannot be used without '--ksf'",
        ),
        (
            "compare -x a b",
            "'--extended' cannot be used without '--ksf'",
        ),
        (
            "--agents a -x host",
            "'--extended' cannot be used without '--ksf'",
        ),
        ("--ksf --json host", "cannot be used with '--ksf'"),
    ] {
        let run = rpctest(arguments);
        assert_eq!((run.status, &run.out[..]), (Some(2), ""), "{}", run.err);
        assert!(run.err.contains(what), "{arguments}: {}", run.err);
    }
}

#[test]
fn help_names_all_options_and_the_default_ports() {
    let run = rpctest("--help");
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    for text in [
        "-u, --udp",
        "-a, --in-flight",
        "-A, --auth",
        "-f, --fragments",
        "--program",
        "--prog-version",
        "--procedure",
        "--rpcbind-port",
        "2049 for nfs and 111 for rpcbind",
    ] {
        assert!(run.out.contains(text), "{text}: {}", run.out);
    }
}

#[test]
fn the_title_says_what_is_called() {
    let address = answer(|call, _| record(&success(call.xid)));
    let run = rpctest(&format!("-f -c 20 {address}"));
    run.assert_good(20);
    let title = format!(
        "rpctest: nfs version 3 NULL by AUTH_NONE in 3 fragments over TCP to {address}; 1 thread, 1 connection"
    );
    assert_eq!(run.out.lines().next(), Some(&title[..]));
}
