// SPDX-License-Identifier: GPL-2.0

//! The command line.

use crate::{FETCH, RPC, RXTEST};

#[test]
fn a_wrong_command_line_is_told_before_anything_is_done() {
    for (tool, arguments, what) in [
        (RXTEST, "", "Usage: rxtest <COMMAND>"),
        (RXTEST, "host", "unrecognized subcommand"),
        (RXTEST, "version", "required arguments"),
        (
            FETCH,
            "",
            "Usage: rxtest fetch [OPTIONS] HOST[:PORT] | COMMAND",
        ),
        (FETCH, "--size 3g host", "not a number"),
        (FETCH, "--size 2147483648 host", "not in 0 to 2147483647"),
        (FETCH, "--send 1 host", "unexpected argument"),
        (
            FETCH,
            "--content what host",
            "[possible values: auto, pattern, zeros]",
        ),
        (FETCH, "-u host", "'--udp' cannot be used over Rx"),
        (
            RPC,
            "--batch 2 host",
            "'--batch <N>' cannot be used over Rx",
        ),
        (
            RPC,
            "--engine io_uring host",
            "'--engine <KIND>' cannot be used over Rx",
        ),
        (
            RPC,
            "--ksf host",
            "'--ksf' cannot be used: ksf has no such tool",
        ),
        (RPC, "compare -u a b", "'--udp' cannot be used over Rx"),
        (RPC, "--send 65m host", "not in 0 to 67108864"),
        (
            RPC,
            "completions bash",
            "completions are those of the whole program",
        ),
        (RPC, "host:0", "not a number from 1 to 65535"),
    ] {
        let run = tool.run(arguments);
        assert_eq!((run.status, &run.out[..]), (Some(2), ""), "{arguments}");
        assert!(run.err.contains(what), "{arguments}: {}", run.err);
    }
}

#[test]
fn help_names_the_options_that_there_are() {
    for (tool, options) in [
        (
            FETCH,
            &["--size", "--files", "--streams", "--clients", "--content"][..],
        ),
        (
            RPC,
            &["--send", "--receive", "--streams", "--clients", "--rate"],
        ),
    ] {
        let run = tool.run("--help");
        assert_eq!((run.status, &run.err[..]), (Some(0), ""));
        for option in options {
            assert!(run.out.contains(option), "{option}: {}", run.out);
        }
        for option in ["--udp", "--batch", "--engine", "--ksf", "completions"] {
            assert!(
                !run.out.contains(&format!("{option} ")),
                "{option}: {}",
                run.out
            );
        }
        assert!(run.out.contains("default port is 7009"), "{}", run.out);
    }
    let run = RXTEST.run("--help");
    for command in ["fetch", "rpc", "version", "completions", "man"] {
        let line = format!("\n  {command} ");
        assert!(run.out.contains(&line), "{command}: {}", run.out);
    }
}
