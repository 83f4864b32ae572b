// SPDX-License-Identifier: GPL-2.0

//! The command line.

use crate::{echotest, server::Server};

#[test]
fn a_wrong_command_line_is_status_2_and_measures_nothing() {
    let (server, _) = Server::good();
    let address = server.address;
    for (arguments, complaint) in [
        (String::new(), "Usage: echotest"),
        (
            format!("-j 0 {address}"),
            "'0' for '--jobs <N>': not in 1 to 4096",
        ),
        (
            format!("-a 65537 {address}"),
            "'65537' for '--in-flight <N>': not in 1 to 65536",
        ),
        (
            format!("-c ten {address}"),
            "'ten' for '--count <N>': not a number",
        ),
        (
            format!("-i 0 {address}"),
            "'0' for '--iterations <N>': not in 1 to 1000000",
        ),
        (
            format!("-l 0 {address}"),
            "'0' for '--length <N>': not in 1 to 16777216",
        ),
        (
            format!("-l 17m {address}"),
            "'17m' for '--length <N>': not in 1 to 16777216",
        ),
        (
            format!("-u -l 7 {address}"),
            "'7' for '--length <N>' with '--udp': not in 8 to 65507",
        ),
        (
            format!("--udp -l 65508 {address}"),
            "'65508' for '--length <N>' with '--udp': not in 8 to 65507",
        ),
        (
            format!("--connections 65537 {address}"),
            "'65537' for '--connections <N>': not in 1 to 65536",
        ),
        (
            format!("-j 3 --connections 2 {address}"),
            "'2' for '--connections <N>': less than the 3 threads",
        ),
        (
            format!("--timeout 0 {address}"),
            "'0' for '--timeout <TIME>': not in 1ms to 86400s",
        ),
        (
            format!("--rate 0 {address}"),
            "'0' for '--rate <RATE>': not in 0.001 to 1000M",
        ),
        (
            format!("--arrivals exponential {address}"),
            "required arguments were not provided",
        ),
        (
            format!("--rate 1 --arrivals bursts {address}"),
            "invalid value 'bursts' for '--arrivals <KIND>'",
        ),
        (
            format!("-c 1 --duration 1 {address}"),
            "'--count <N>' cannot be used with '--duration <TIME>'",
        ),
        (
            format!("--duration 0 {address}"),
            "'0' for '--duration <TIME>': not in 1ms to 86400s",
        ),
        (
            format!("--batch 1025 {address}"),
            "'1025' for '--batch <N>': not in 1 to 1024",
        ),
        (
            format!("-u --batch 65 {address}"),
            "'65' for '--batch <N>' with '--udp': not in 1 to 64",
        ),
        (
            format!("-l 16m -a 256 --batch 256 {address}"),
            "'256' for '--batch <N>' with requests of 16777216 bytes: not in 1 to 4",
        ),
        (
            format!("--cpus 1-0 {address}"),
            "'1-0' for '--cpus <LIST>': not a list",
        ),
        (
            format!("--bind localhost {address}"),
            "'localhost' for '--bind <ADDRESS>'",
        ),
        (
            format!("--engine warp {address}"),
            "invalid value 'warp' for '--engine <KIND>'",
        ),
        (
            format!("--frobnicate {address}"),
            "unexpected argument '--frobnicate'",
        ),
        (
            format!("{address} {address}"),
            "cannot be used with '<HOST[:PORT]>'",
        ),
        (
            "127.0.0.1:0".to_owned(),
            "the port is not a number from 1 to 65535",
        ),
        ("[::1".to_owned(), "not an IPv6 address"),
    ] {
        let run = echotest(&arguments);
        assert_eq!((run.status, run.out.as_str()), (Some(2), ""), "{arguments}");
        assert!(run.err.contains(complaint), "{arguments}: {}", run.err);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn help_names_all_options_and_the_kind_of_loop() {
    let run = echotest("--help");
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    for word in [
        "-u, --udp",
        "-j, --jobs <N>",
        "--connections <N>",
        "-a, --in-flight <N>",
        "-c, --count <N>",
        "-i, --iterations <N>",
        "-l, --length <N>",
        "-H, --no-headers",
        "--timeout <TIME>",
        "--duration <TIME>",
        "--warmup <TIME>",
        "--rate <RATE>",
        "--arrivals <KIND>",
        "--batch <N>",
        "--bind <ADDRESS>",
        "--cpus <LIST>",
        "--busy-poll",
        "--engine <KIND>",
        "--seed <N>",
        "-V, --version",
        "-h, --help",
        "HOST[:PORT]",
        "60007",
        "Closed loop",
        "Open loop",
    ] {
        assert!(run.out.contains(word), "{word}: {}", run.out);
    }
    assert_eq!(echotest("-h").status, Some(0));
}

#[test]
fn the_version_is_the_packages() {
    let run = echotest("-V");
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    assert_eq!(
        run.out,
        concat!("echotest ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
