// SPDX-License-Identifier: GPL-2.0

//! What cannot be done, and the command line.

use std::fs::OpenOptions;

use crate::{
    bare_command,
    command,
    fixture::Fixture,
    ksfstat,
    run, //
};

#[test]
fn a_missing_directory_is_named() {
    let fixture = Fixture::new();
    let dir = fixture.dir.join("ksf");
    let run = run(bare_command().arg("--dir").arg(&dir));
    run.assert_failed(&format!("there is no directory {}", dir.display()));
}

#[test]
fn a_missing_table_is_named() {
    let fixture = Fixture::new().with("services", "service=a\n");
    let path = fixture.dir.join("workers");
    ksfstat(&fixture, "").assert_failed(&format!(
        "there is no {}: this ksf does not have that table",
        path.display()
    ));
}

#[test]
fn a_service_that_is_not_loaded_has_no_rows() {
    let mut fixture = Fixture::new();
    let out = ksfstat(&fixture, "-t rpc_procedures,rpc_errors").good();
    let none = "rpc_procedures, since loading: none\n\nrpc_errors, since loading: none\n";
    assert_eq!(out, none);
    for table in ["services", "workers", "conns", "limits", "peers"] {
        fixture = fixture.with(table, "");
    }
    assert!(ksfstat(&fixture, "-a").good().ends_with(none));
    // Without ksf itself there is nothing to say that of.
    let dir = fixture.dir.join("ksf");
    let run = run(bare_command().args(["-t", "rpc_errors", "--dir"]).arg(&dir));
    run.assert_failed(&format!("there is no directory {}", dir.display()));
}

#[test]
fn another_error_is_said_as_the_system_says_it() {
    let fixture = Fixture::new();
    let path = fixture.dir.join("peers");
    std::fs::create_dir(&path).unwrap();
    ksfstat(&fixture, "-t peers").assert_failed(&format!(
        "cannot read {}: Is a directory (os error 21)",
        path.display()
    ));
}

#[test]
fn output_that_fails_is_an_error() {
    let fixture = Fixture::new().with("services", "service=a\n");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = command(&fixture)
        .args(["-t", "services"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(child.status.code(), Some(1));
    let err = String::from_utf8(child.stderr).unwrap();
    assert!(
        err.starts_with("ksfstat: cannot write to standard output: "),
        "{err}"
    );
}

#[test]
fn a_wrong_command_line_is_status_2_and_prints_nothing() {
    let fixture = Fixture::new().with("services", "service=a\n");
    for (arguments, complaint) in [
        ("-t moons", "invalid value 'moons'"),
        ("-a -t conns", "cannot be used with"),
        ("0", "'0' for '[INTERVAL]': not in 0.1 to 86400"),
        ("1s", "'1s' for '[INTERVAL]': not a number of seconds"),
        (
            "services",
            "'services' for '[INTERVAL]': not a number of seconds",
        ),
        ("1 0", "'0' for '[COUNT]'"),
        ("1 2 3", "unexpected argument '3'"),
        ("-y", "required arguments were not provided"),
        ("--frobnicate", "unexpected argument '--frobnicate'"),
    ] {
        let run = ksfstat(&fixture, arguments);
        assert_eq!((run.status, run.out.as_str()), (Some(2), ""), "{arguments}");
        assert!(run.err.contains(complaint), "{arguments}: {}", run.err);
    }
}

#[test]
fn help_names_all_options_and_tables_and_explains_the_figures() {
    let run = run(bare_command().arg("--help"));
    let out = run.good();
    for word in [
        "[INTERVAL] [COUNT]",
        "-t, --tables <TABLE>",
        "-a, --all",
        "-j, --json",
        "-y, --skip-first",
        "--dir <DIR>",
        "-V, --version",
        "/sys/kernel/debug/ksf",
        "services",
        "workers",
        "conns",
        "limits",
        "peers",
        "rpc_procedures",
        "rpc_errors",
        "k is 1000",
        "powers of two",
    ] {
        assert!(out.contains(word), "{word}: {out}");
    }
    for line in out.lines() {
        assert!(line.len() <= 120, "{line}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let out = run(bare_command().arg("-V")).good();
    assert_eq!(out, concat!("ksfstat ", env!("CARGO_PKG_VERSION"), "\n"));
}
