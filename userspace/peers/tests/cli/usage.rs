// SPDX-License-Identifier: GPL-2.0

//! The command line.

use crate::{peers, server::Server};

#[test]
fn a_wrong_command_line_is_status_2_and_does_nothing() {
    let server = Server::good();
    let address = server.address;
    for (arguments, complaint) in [
        (String::new(), "Usage: peers"),
        (
            format!("frobnicate {address}"),
            "unrecognized subcommand 'frobnicate'",
        ),
        ("many".to_owned(), "<HOST[:PORT]>"),
        (
            format!("many -c 0 {address}"),
            "'0' for '--connections <N>': not in 1 to 1000000",
        ),
        (format!("many --sources 2 {address}"), "--source <ADDRESS>"),
        (format!("never-read {address}"), "--seconds <SECONDS>"),
        (format!("never-read --seconds -1 {address}"), "'-1'"),
        (
            format!("never-read --seconds 1h {address}"),
            "'1h' for '--seconds <SECONDS>': not a number from 0 to 86400",
        ),
        (format!("flood {address}"), "--until-told"),
        (
            format!("datagrams --sizes 65508 {address}"),
            "not in 0 to 65507",
        ),
        (
            format!("half-close --bytes 1,x {address}"),
            "'x' for '--bytes <N,...>': not a number",
        ),
        (format!("idle {address}"), "--latest <SECONDS>"),
        (format!("hoard {address}"), "--until-told"),
        ("rpc".to_owned(), "Usage: peers rpc"),
        (
            format!("rpc malformed -c 0 {address}"),
            "'0' for '--connections <N>': not in 1 to 256",
        ),
        (format!("rpc compare {address}"), "<HOST[:PORT]>"),
        (
            format!("rpc table --unprivileged --no-echo {address}"),
            "cannot be used with",
        ),
    ] {
        let run = peers(&arguments);
        assert_eq!((run.status, run.out.as_str()), (Some(2), ""), "{arguments}");
        assert!(run.err.contains(complaint), "{arguments}: {}", run.err);
    }
    assert_eq!(server.seen().opened, 0);
}

#[test]
fn help_names_all_peers() {
    let run = peers("--help");
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    for peer in [
        "many",
        "never-read",
        "late",
        "slow",
        "idle",
        "hoard",
        "half-close",
        "reset",
        "datagrams",
        "flood",
        "good",
    ] {
        assert!(
            run.out.contains(&format!("\n  {peer} ")),
            "{peer}: {}",
            run.out
        );
        let run = peers(&format!("{peer} --help"));
        assert!(
            run.out.contains("--seed") && run.out.contains("60007"),
            "{peer}: {}",
            run.out
        );
    }
}

#[test]
fn help_names_all_peers_of_an_rpc_server() {
    let run = peers("rpc --help");
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    for peer in ["table", "splits", "malformed", "compare"] {
        assert!(run.out.contains(&format!("\n  {peer} ")), "{}", run.out);
        let run = peers(&format!("rpc {peer} --help"));
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{peer}");
        assert!(run.out.contains("--timeout"), "{peer}: {}", run.out);
    }
}
