// SPDX-License-Identifier: GPL-2.0

//! Several runs that answer one question.

use std::{thread, time::Duration};

use crate::{
    echotest,
    server::{echo_messages, Server},
    stage::document,
    Ledger,
};

/// A server that takes so long for each message.
fn slow(time: Duration) -> Server {
    Server::new(move |stream, _| echo_messages(stream, |_, _| thread::sleep(time)))
}

#[test]
fn until_ci_ends_and_says_why() {
    let (server, _) = Server::good();
    let run = echotest(&format!("--until-ci 100% -c 200 -i 30 {}", server.address));
    // On a busy machine, runs may differ so much that 30 are too few.
    let gave_up =
        "echotest: the intervals are not narrow enough after as many runs as were allowed\n";
    let end = (run.status, &run.err[..]);
    assert!(
        [(Some(0), ""), (Some(3), gave_up)].contains(&end),
        "{end:?}"
    );
    let rows = run.rows();
    let runs = rows.len() - 1;
    // There are no intervals of fewer than ten runs.
    assert!((10..=30).contains(&runs), "{}", run.out);
    assert_eq!(rows[runs], ("all", 200 * runs as u64));
    assert_eq!(server.connections(), runs);
    assert_eq!(run.ledger(), Ledger::clean(200 * runs as u64));
    assert!(
        run.out.contains(&format!("\nafter {runs} runs, ")),
        "{}",
        run.out
    );
}

#[test]
fn until_ci_gives_up_when_it_may_not_go_on() {
    let (server, _) = Server::good();
    // No interval is that narrow unless all runs are the same to the nanosecond.
    let run = echotest(&format!(
        "--until-ci 0.000001% -c 50 -i 11 {}",
        server.address
    ));
    // That is not a failure, and not what was asked for either.
    assert_eq!((run.status, server.connections()), (Some(3), 11));
    assert_eq!(
        run.err,
        "echotest: the intervals are not narrow enough after as many runs as were allowed\n"
    );
    assert!(
        run.out
            .contains("after 11 runs, which are as many as were allowed, "),
        "{}",
        run.out
    );
}

#[test]
fn until_ci_is_not_asked_of_too_few_runs() {
    let (server, _) = Server::good();
    let two = format!("{} {}", server.address, server.address);
    for (command, servers) in [("", server.address.to_string()), ("compare ", two)] {
        let run = echotest(&format!("{command}--until-ci 2% -i 9 {servers}"));
        assert_eq!((run.status, &run.out[..]), (Some(2), ""));
        let why = "--until-ci takes at least 10 runs, and -i 9 allows fewer";
        assert!(run.err.contains(why), "{}", run.err);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_search_without_an_answer_is_told_by_the_exit_status() {
    let server = slow(Duration::from_millis(2));
    let run = echotest(&format!(
        "--search p50<1us --rate 10 --duration 100ms {}",
        server.address
    ));
    assert_eq!(run.status, Some(3), "{}", run.err);
    assert_eq!(
        run.err,
        "echotest: no rate is known that keeps the objective\n"
    );
}

#[test]
fn a_comparison_names_the_slower_one() {
    // Far longer than an echo takes on the loopback network, also if the machine has much else to do.
    let slow = slow(Duration::from_millis(20));
    let (fast, _) = Server::good();
    for (a, b, higher, faster) in [
        (slow.address, fast.address, "a", "B is faster"),
        (fast.address, slow.address, "b", "A is faster"),
    ] {
        let run = echotest(&format!("compare -i 6 -c 10 --json {a} {b}"));
        assert_eq!((run.status, &run.err[..]), (Some(0), ""));
        let document = document(&run.out);
        let compared = &document["answer"]["compared"];
        assert_eq!(compared["pairs"], 6);
        assert_eq!(compared["median"]["verdict"]["higher"], higher);
        assert_eq!(document["targets"][0], a.to_string());
        let run = echotest(&format!("compare -i 6 -c 10 {a} {b}"));
        let line = run
            .out
            .lines()
            .find(|line| line.starts_with("median latency "));
        assert!(
            line.is_some_and(|line| line.ends_with(faster)),
            "{}",
            run.out
        );
        assert!(
            run.out
                .contains(&format!(" over TCP to A: {a} and B: {b};")),
            "{}",
            run.out
        );
    }
}

#[test]
fn a_comparison_has_as_many_runs_with_each() {
    let ((a, _), (b, _)) = (Server::good(), Server::good());
    let run = echotest(&format!(
        "compare -i 5 -c 20 --seed 7 --json {} {}",
        a.address, b.address
    ));
    // Whether so few runs of two servers that are alike can tell anything is chance.
    let (status, said) = (run.status, &run.err[..]);
    let untold = "echotest: it cannot be told which server is faster\n";
    assert!([(Some(0), ""), (Some(3), untold)].contains(&(status, said)));
    assert_eq!((a.connections(), b.connections()), (5, 5));
    let document = document(&run.out);
    assert_eq!(document["answer"]["compared"]["pairs"], 5);
    for target in [0, 1] {
        assert_eq!(document["servers"][target]["runs"], 5);
        assert_eq!(document["servers"][target]["ledger"]["answered"], 100);
    }
    // In pairs, of which either may come first.
    let runs = document["runs"].as_array().unwrap().iter();
    let targets: Vec<_> = runs.map(|run| run["target"].as_u64().unwrap()).collect();
    assert!(
        targets.chunks(2).all(|pair| pair[0] + pair[1] == 1),
        "{targets:?}"
    );
}

#[test]
fn a_comparison_with_nobody_is_told() {
    let (server, _) = Server::good();
    let run = echotest(&format!(
        "compare -c 20 -i 2 {} 127.77.77.77:1",
        server.address
    ));
    run.assert_failed("cannot connect to 127.77.77.77:1: Connection refused (os error 111)");
}

#[test]
fn a_search_finds_no_more_than_the_server_can_do() {
    // One after the other, so that there are at most 500 a second; how many fewer is the system's business.
    let server = slow(Duration::from_millis(2));
    let run = echotest(&format!(
        "--search p50<20ms --rate 100 --resolution 20% --duration 100ms --json {}",
        server.address
    ));
    let document = document(&run.out);
    let found = &document["answer"]["searched"]["found"];
    let met = found["met"].as_u64();
    assert!(run.status == Some(0) || met.is_none(), "{}", run.err);
    assert!(met.unwrap_or(0) <= 1_000, "{found}");
    assert!(found["missed"].as_u64() > met, "{found}");
    let tried = document["answer"]["searched"]["tried"]
        .as_array()
        .unwrap()
        .len();
    assert!(tried >= 2 && tried <= document["runs"].as_array().unwrap().len());
}

#[test]
fn a_search_says_what_it_looks_for() {
    let (server, _) = Server::good();
    let run = echotest(&format!(
        "--search max<1000s --rate 1k --resolution 100% --duration 10ms {}",
        server.address
    ));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    assert!(
        run.out.contains("\nopen loop, fixed arrivals, at most "),
        "{}",
        run.out
    );
    assert!(
        run.out.contains(" asked/s  runs  max<1000s\n"),
        "{}",
        run.out
    );
}

#[test]
fn the_columns_of_ksf_are_in_its_order() {
    let (server, _) = Server::good();
    let run = echotest(&format!("--ksf -c 100 -i 2 {}", server.address));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let lines: Vec<_> = run
        .out
        .lines()
        .skip_while(|line| !line.is_empty())
        .collect();
    let names: Vec<_> = lines[1].split_whitespace().collect();
    let expected = [
        "totmsgs", "totusecs", "msgs/sec", "avglat", "Mbps", "cpu/msg",
    ];
    assert_eq!(names, expected);
    let rows = &lines[2..];
    assert_eq!(rows.len(), 2, "{}", run.out);
    for row in rows {
        let cells: Vec<f64> = row
            .split_whitespace()
            .map(|cell| cell.parse().unwrap())
            .collect();
        assert_eq!((cells.len(), cells[0]), (6, 100.0));
        assert!(cells[1..].iter().all(|&cell| cell > 0.0), "{row}");
    }
    let bare = echotest(&format!("--ksf -H -c 100 -i 2 {}", server.address));
    assert_eq!(
        (bare.status, bare.out.lines().count()),
        (Some(0), 2),
        "{}",
        bare.out
    );
}
