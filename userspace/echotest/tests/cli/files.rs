// SPDX-License-Identifier: GPL-2.0

//! What is written for other programs, and where it cannot be written.

use std::{
    fs,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use base64::{engine::general_purpose::STANDARD, Engine};
use hdrhistogram::serialization::{
    interval_log::{IntervalLogIterator, LogEntry},
    Deserializer,
};

use crate::{
    command, echotest,
    server::{Server, LENGTH},
    stage::{document, Stage},
    Ledger,
};

#[test]
fn json_takes_the_place_of_the_table() {
    let (server, _) = Server::good();
    for more in ["", "-H", "--live"] {
        let run = echotest(&format!("--json {more} -c 100 -i 2 {}", server.address));
        assert_eq!((run.status, &run.err[..]), (Some(0), ""), "{more}");
        assert_eq!(run.out.lines().count(), 1, "{more}");
        let document = document(&run.out);
        let ledger = &document["servers"][0]["ledger"];
        assert_eq!(
            (&ledger["answered"], &ledger["lost"]),
            (&200.into(), &0.into())
        );
        assert_eq!(document["servers"][0]["response"]["count"], 200);
        assert_eq!(document["runs"].as_array().unwrap().len(), 2);
        assert_eq!(document["targets"][0], server.address.to_string());
        assert_eq!(document["request_bytes"], LENGTH);
        assert!(document["stopped"].is_null());
        let from = &document["provenance"][0];
        assert_eq!(
            (&from["tool"], &from["version"]),
            (&"echotest".into(), &env!("CARGO_PKG_VERSION").into())
        );
        assert_eq!(from["command"][1], "--json");
    }
}

#[test]
fn json_in_a_file_is_beside_the_table() {
    let (server, _) = Server::good();
    let stage = Stage::new("json_in_a_file_is_beside_the_table");
    let run = stage.echotest(&format!("--json=out.json -c 100 {}", server.address));
    run.assert_good(&[("1", 100)]);
    let document = document(&stage.read("out.json"));
    assert_eq!(document["servers"][0]["ledger"]["answered"], 100);
}

#[test]
fn json_tells_of_a_failure_what_was_measured() {
    let server = Server::new(|stream, _| {
        crate::server::echo_messages(stream, |message, number| {
            if number == 7 {
                message[5] ^= 1;
            }
        })
    });
    let run = echotest(&format!("--json -c 20 -i 3 {}", server.address));
    assert_eq!(
        (run.status, run.err.lines().count()),
        (Some(1), 1),
        "{}",
        run.err
    );
    let document = document(&run.out);
    let run = &document["runs"][0]["result"];
    let ledger = &run["ledger"];
    assert_eq!(
        ["scheduled", "sent", "answered", "lost", "mismatched"].map(|name| ledger[name].as_u64()),
        [20, 7, 6, 1, 1].map(Some)
    );
    assert_eq!(run["failures"].as_array().unwrap().len(), 1);
    assert_eq!(document["stopped"], "a run failed");
}

#[test]
fn json_of_a_server_that_is_not_there_has_no_runs() {
    let stage = Stage::new("json_of_a_server_that_is_not_there_has_no_runs");
    // Port 1 of a loopback address that nobody binds.
    let run = stage.echotest("--json=out.json 127.77.77.77:1");
    assert_eq!((run.status, &run.out[..]), (Some(1), ""));
    let document = document(&stage.read("out.json"));
    assert_eq!(document["runs"].as_array().map(Vec::len), Some(0));
    let stopped = document["stopped"].as_str().unwrap();
    assert_eq!(run.err, format!("echotest: {stopped}\n"));
}

#[test]
fn an_hdr_log_has_every_latency() {
    let (server, _) = Server::good();
    let stage = Stage::new("an_hdr_log_has_every_latency");
    let run = stage.echotest(&format!(
        "--hdr-log out.hlog -c 1000 -i 2 {}",
        server.address
    ));
    run.assert_good(&[("1", 1000), ("2", 1000), ("all", 2000)]);
    let log = stage.read("out.hlog");
    let mut latencies = 0;
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
            let histogram: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            latencies += histogram.len();
            // Of a reply within the time that a test may take, in nanoseconds.
            assert!(histogram.max() < 60_000_000_000);
        }
    }
    assert_eq!(latencies, 2000);
}

#[test]
fn a_plot_is_a_picture_of_its_own_or_a_page() {
    let (server, _) = Server::good();
    let stage = Stage::new("a_plot_is_a_picture_of_its_own_or_a_page");
    for file in ["out.svg", "out.html"] {
        let run = stage.echotest(&format!("--plot {file} -c 1000 {}", server.address));
        run.assert_good(&[("1", 1000)]);
        let text = stage.read(file);
        let from = text.find("<svg").unwrap();
        let to = text.rfind("</svg>").unwrap() + "</svg>".len();
        if file == "out.html" {
            assert!(text.to_ascii_lowercase().starts_with("<!doctype html>"));
        }
        // A page may have several.
        let pictures = format!("<all>{}</all>", &text[from..to]);
        let whole = if file == "out.svg" { &text } else { &pictures };
        let tree = roxmltree::Document::parse(whole).unwrap();
        let texts: String = tree.descendants().filter_map(|node| node.text()).collect();
        assert!(
            (texts + &text[..from]).contains(&server.address.to_string()),
            "{text}"
        );
    }
}

#[test]
fn a_plot_is_not_drawn_in_any_other_format() {
    let (server, _) = Server::good();
    for name in ["out.png", "out", ".svg", "svg"] {
        let run = echotest(&format!("--plot {name} {}", server.address));
        assert_eq!((run.status, &run.out[..]), (Some(2), ""), "{name}");
        assert!(
            run.err.contains(&format!("'{name}' for '--plot <FILE>'")),
            "{}",
            run.err
        );
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_measured() {
    let (server, _) = Server::good();
    for (option, name) in [
        ("--json=", "/dev/null/x"),
        ("--hdr-log=", "/dev/null/x"),
        ("--plot=", "/dev/null/x.svg"),
    ] {
        let run = echotest(&format!("{option}{name} {}", server.address));
        run.assert_failed(&format!(
            "cannot write {name}: Not a directory (os error 20)"
        ));
        assert_eq!(run.out, "");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_full_disk_is_told_and_the_table_is_there() {
    let (server, _) = Server::good();
    for option in ["--json", "--hdr-log"] {
        let run = echotest(&format!("{option}=/dev/full -c 100 {}", server.address));
        run.assert_failed("cannot write /dev/full: No space left on device (os error 28)");
        assert_eq!(run.ledger(), Ledger::clean(100));
    }
}

#[test]
fn nobody_measures_for_hours_when_nobody_reads() {
    let (server, _) = Server::good();
    for (arguments, connections) in [
        ("-c 1000M -i 2", 1),
        ("-H -c 10 -i 1M", 1),
        ("--json -c 10", 1),
    ] {
        let (writer, reader) = UnixStream::pair().unwrap();
        drop(reader);
        let before = server.connections();
        let child = command()
            .args(arguments.split_whitespace())
            .arg(server.address.to_string())
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(writer))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "echotest: cannot write to standard output: Broken pipe (os error 32)\n",
            "{arguments}"
        );
        assert_eq!(output.status.code(), Some(1));
        // Those of the first run, unless it is over before the server takes them.
        assert!(server.connections() - before <= connections);
    }
}

#[test]
fn what_is_there_is_replaced() {
    let (server, _) = Server::good();
    let stage = Stage::new("what_is_there_is_replaced");
    fs::write(stage.path("out.json"), "x".repeat(1 << 20)).unwrap();
    let run = stage.echotest(&format!("--json=out.json -c 10 {}", server.address));
    run.assert_good(&[("1", 10)]);
    document(&stage.read("out.json"));
}

#[test]
fn a_document_says_when_it_began_and_what_was_measured() {
    let server = Server::new(|stream, _| {
        crate::server::echo_messages(stream, |_, _| thread::sleep(Duration::from_millis(10)))
    });
    let port = server.address.port();
    let run = echotest(&format!("--json -c 2 --bind 127.0.0.1 localhost:{port}"));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let document = document(&run.out);
    assert_eq!(document["targets"][0], format!("localhost:{port}"));
    assert_eq!(document["addresses"][0], server.address.to_string());
    assert_eq!(document["bind"], "127.0.0.1");
    let time = document["provenance"][0]["time"].as_str().unwrap();
    let date = Command::new("date")
        .args(["--date", time, "+%s%N"])
        .output()
        .unwrap();
    let time: u64 = String::from_utf8(date.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let started = document["runs"][0]["started_unix_ns"].as_u64().unwrap();
    assert!(time <= started, "{time} {started}");
    let response = &document["servers"][0]["response"];
    assert!(response["mean_ns"].as_f64() >= Some(1e7), "{response}");
    assert!(response["stddev_ns"].as_f64() >= Some(0.0), "{response}");
}

#[test]
fn many_runs_are_kept_in_little_memory() {
    let (server, _) = Server::good();
    // A run's histograms are 442 kB as long as they are recorded into.
    let run = Command::new("sh")
        .args(["-c", "ulimit -v 250000 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_echotest"))
        .args(["--json", "-c", "1", "-i", "1000"])
        .arg(server.address.to_string())
        .output()
        .unwrap();
    let document = document(&String::from_utf8(run.stdout).unwrap());
    assert_eq!(document["runs"].as_array().unwrap().len(), 1_000);
}

#[test]
fn a_search_is_drawn() {
    let (server, _) = Server::good();
    let stage = Stage::new("a_search_is_drawn");
    let run = stage.echotest(&format!(
        "--search p50<1000s --rate 1k --resolution 100% --duration 20ms --plot out.svg {}",
        server.address
    ));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let text = stage.read("out.svg");
    assert!(text.contains("Latency by rate"), "{text}");
}
