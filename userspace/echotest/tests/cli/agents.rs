// SPDX-License-Identifier: GPL-2.0

//! Several machines that measure together: here, they are all this one.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::Stdio,
    sync::{mpsc::channel, Barrier, Mutex},
};

use rustix::process::{kill_process, Pid, Signal};

use crate::{
    echotest, finished,
    interrupts::{signal, start, telling_server},
    server::{echo_messages, Server},
    stage::{document, Stage},
    Ledger, Run,
};

/// A stage with a shell that leaves out the host's name, once it has done this; in which `$1` is the host.
fn stage(test: &str, first: &str) -> Stage {
    let stage = Stage::new(test);
    stage.write("shell", &format!("{first}\neval \"exec $2\"\n"));
    stage
}

impl Stage {
    /// Measures by these agents.
    fn agents(&self, hosts: &str, arguments: &str) -> Run {
        let mut all = vec!["--agents", hosts, "--agent-shell", "sh shell"];
        all.extend(arguments.split_whitespace());
        self.echotest_with(&all)
    }
}

#[test]
fn agents_measure_together_and_their_results_are_merged() {
    // Answers nobody before both have asked, in every run.
    let both = Barrier::new(2);
    let server = Server::new(move |stream, _| {
        echo_messages(stream, |_, _| {
            both.wait();
        })
    });
    let stage = stage("agents_measure_together_and_their_results_are_merged", "");
    let run = stage.agents(
        "one,two",
        &format!("-c 50 -i 2 --json=out.json {}", server.address),
    );
    run.assert_good(&[("1", 100), ("2", 100), ("all", 200)]);
    assert_eq!(run.ledger(), Ledger::clean(200));
    assert_eq!(server.connections(), 4);
    let heading = format!(
        "echotest: messages of 32 bytes over TCP to {}, from 2 machines; 2 threads, 2 connections",
        server.address
    );
    assert_eq!(run.out.lines().next(), Some(&heading[..]));
    let machines = run
        .out
        .lines()
        .find(|line| line.starts_with("machines    "));
    let machines = machines.unwrap_or_else(|| panic!("{}", run.out));
    for host in ["one", "two"] {
        assert!(
            machines.contains(&format!(" {host}: 100 answered, ")),
            "{machines}"
        );
    }
    let document = document(&stage.read("out.json"));
    assert_eq!(document["provenance"].as_array().unwrap().len(), 2);
    assert_eq!(document["servers"][0]["response"]["count"], 200);
    for run in document["runs"].as_array().unwrap() {
        assert_eq!(run["result"]["ledger"]["answered"], 100);
    }
}

#[test]
fn an_agent_that_cannot_be_started_ends_it_for_all() {
    let (server, _) = Server::good();
    let first = "if [ $1 = bad ]; then echo 'no route to bad' >&2; exit 255; fi";
    let stage = stage("an_agent_that_cannot_be_started_ends_it_for_all", first);
    let run = stage.agents("good,bad", &format!("-c 1000M {}", server.address));
    assert_eq!(
        run.err,
        "bad: no route to bad\nechotest: agent bad: ended without having measured (exit status: 255)\n"
    );
    assert_eq!((run.status, &run.out[..]), (Some(1), ""));
}

#[test]
fn a_shell_that_is_not_there_is_told() {
    let run = echotest("--agents one --agent-shell ./nowhere server");
    run.assert_failed(
        "cannot start ./nowhere for the agent one: No such file or directory (os error 2)",
    );
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let stage = stage("a_program_that_is_not_there_is_told", "");
    let run = stage.agents("one", "--agent-program ./nowhere server");
    let lines: Vec<_> = run.err.lines().collect();
    assert!(
        lines[0].starts_with("one: ") && lines[0].contains("./nowhere"),
        "{}",
        run.err
    );
    assert_eq!(
        lines[1],
        "echotest: agent one: ended without having measured (exit status: 127)"
    );
    assert_eq!((run.status, &run.out[..]), (Some(1), ""));
}

/// A server that kills the agent called two when it has seen 10 messages of a connection.
fn kills_two(stage: &Stage) -> Server {
    let file = stage.path("two.pid");
    Server::new(move |stream, _| {
        echo_messages(stream, |_, number| {
            if number == 10 {
                let pid = fs::read_to_string(&file).unwrap();
                let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
                // It may be dead already.
                let _ = kill_process(pid, Signal::KILL);
            }
        })
    })
}

#[test]
fn what_the_others_measured_before_an_agent_was_killed_is_reported() {
    let name = "what_the_others_measured_before_an_agent_was_killed_is_reported";
    let stage = stage(name, "echo $$ > $1.pid");
    let server = kills_two(&stage);
    let run = stage.agents(
        "one,two",
        &format!("-c 500 -i 3 --json=out.json {}", server.address),
    );
    run.assert_failed("agent two: ended without having measured (signal: 9 (SIGKILL))");
    let [("1", answered @ 1..=500)] = run.rows()[..] else {
        panic!("{}", run.out);
    };
    assert_eq!(run.ledger().answered, answered);
    let document = document(&stage.read("out.json"));
    assert!(document["stopped"].is_string(), "{}", document["stopped"]);
}

#[test]
fn nobody_goes_on_for_hours_when_an_agent_was_killed() {
    let name = "nobody_goes_on_for_hours_when_an_agent_was_killed";
    let stage = stage(name, "echo $$ > $1.pid");
    let server = kills_two(&stage);
    let run = stage.agents("one,two", &format!("-c 1000M {}", server.address));
    run.assert_failed("agent two: ended without having measured (signal: 9 (SIGKILL))");
}

#[test]
fn agents_are_told_when_somebody_wants_an_end() {
    let (server, told) = telling_server();
    // As with ssh, the agent is not the process that is started here.
    let stage = Stage::new("agents_are_told_when_somebody_wants_an_end");
    stage.write("shell", "eval \"$2\"\nexit $?\n");
    let address = server.address.to_string();
    let shell = format!("sh {}", stage.path("shell").display());
    let options = ["--agents", "one,two", "--agent-shell", &shell];
    let child = start(
        &[&options[..], &["-c", "1000M", &address]].concat(),
        Stdio::null(),
    );
    (0..2).for_each(|_| told.recv().unwrap());
    signal(&child, Signal::INT);
    let run = finished(child.wait_with_output().unwrap());
    run.assert_failed("interrupted");
    let ledger = run.ledger();
    assert!(
        ledger.answered >= 20 && ledger.sent == ledger.answered,
        "{ledger:?}"
    );
}

#[test]
fn what_agents_complain_about_is_told_with_their_host() {
    // One of the two has a wrong reply; the other one has made its run.
    let server = Server::new(|stream, connection| {
        echo_messages(stream, |message, number| {
            if connection == 1 && number == 7 {
                message[3] ^= 1;
            }
        })
    });
    let stage = stage("what_agents_complain_about_is_told_with_their_host", "");
    let run = stage.agents("one,two", &format!("-c 20 {}", server.address));
    let lines: Vec<_> = run.err.lines().collect();
    let host = lines[0].split(':').next().unwrap_or_default();
    assert!(["one", "two"].contains(&host), "{}", run.err);
    let complaint =
        format!("{host}: echotest: run 1, connection 1 of 1: message 7, offset 3: expected 0x");
    assert!(lines[0].starts_with(&complaint), "{}", run.err);
    assert_eq!(
        lines[1..],
        [format!(
            "echotest: agent {host}: not all is well there (exit status: 1)"
        )]
    );
    assert_eq!((run.status, run.rows()), (Some(1), vec![("1", 26)]));
    let ledger = Ledger {
        scheduled: 40,
        sent: 27,
        skipped: 13,
        answered: 26,
        lost: 1,
        mismatched: 1,
        ..Ledger::default()
    };
    assert_eq!(run.ledger(), ledger);
}

#[test]
fn an_agent_that_says_nothing_is_named() {
    let (server, _) = Server::good();
    let first = "if [ $1 = stuck ]; then exec sleep 1000; fi";
    let stage = stage("an_agent_that_says_nothing_is_named", first);
    let run = stage.agents(
        "good,stuck",
        &format!("--agent-timeout 5 -c 20 {}", server.address),
    );
    run.assert_failed("agent stuck: said nothing for 5 s");
    // Nobody connects before all are there.
    assert_eq!((server.connections(), &run.out[..]), (0, ""));
}

#[test]
fn rows_are_printed_while_agents_measure() {
    // The second run goes on when the row of the first one was read.
    let (read, is_read) = channel::<()>();
    let is_read = Mutex::new(is_read);
    let server = Server::new(move |stream, connection| {
        if connection >= 2 {
            let _ = is_read.lock().unwrap().recv();
        }
        echo_messages(stream, |_, _| {})
    });
    let stage = stage("rows_are_printed_while_agents_measure", "");
    let shell = format!("sh {}", stage.path("shell").display());
    let address = server.address.to_string();
    let options = [
        "--agents",
        "one,two",
        "--agent-shell",
        &shell,
        "--timeout",
        "50",
    ];
    let mut child = start(
        &[&options[..], &["-c", "20", "-i", "2", &address]].concat(),
        Stdio::null(),
    );
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("   1 ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0);
    }
    drop(read);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let run = finished(child.wait_with_output().unwrap());
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let run = Run { out: rest, ..run };
    assert_eq!(run.rows(), [("2", 40), ("all", 80)]);
}

#[test]
fn agents_have_seeds_of_their_own() {
    let (server, _) = Server::good();
    let stage = stage("agents_have_seeds_of_their_own", "");
    let run = stage.agents(
        "one,two",
        &format!("--seed 7 -c 20 --json {}", server.address),
    );
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let document = document(&run.out);
    let seeds = [0, 1].map(|place| document["provenance"][place]["seed"].as_u64());
    assert_eq!(seeds, [Some(7), Some(8)]);
}

#[test]
fn agents_of_another_build_are_told() {
    let (server, _) = Server::good();
    let stage = Stage::new("agents_of_another_build_are_told");
    let other = r"s/^\(hello echotest [^ ]*\) .*/\1 other/";
    stage.write("shell", &format!("eval \"$2\" | sed -u '{other}'\n"));
    let run = stage.agents("one", &format!("-c 20 {}", server.address));
    run.assert_good(&[("1", 20)]);
    let warning = "echotest: warning: agent one: built from another commit (other, and ";
    assert!(run.warnings[0].starts_with(warning), "{:?}", run.warnings);
}

#[test]
fn agents_of_another_version_are_refused() {
    let (server, _) = Server::good();
    let first = "if [ $1 = old ]; then echo ready echotest 0.0.1; read -r line; exit; fi";
    let stage = stage("agents_of_another_version_are_refused", first);
    let run = stage.agents("new,old", &format!("-c 20 {}", server.address));
    run.assert_failed(&format!(
        "agent old: 'echotest 0.0.1' is there, and 'echotest {}' here: they must be the same",
        env!("CARGO_PKG_VERSION")
    ));
    assert_eq!(run.out, "");
}

#[test]
fn greetings_of_a_shell_do_no_harm_and_nonsense_is_told() {
    let (server, _) = Server::good();
    let greets = stage("greetings_of_a_shell_do_no_harm", "echo Welcome to $1");
    let run = greets.agents("one", &format!("-c 20 {}", server.address));
    assert_eq!((run.status, run.rows()), (Some(0), vec![("1", 20)]));
    assert_eq!(run.err, "one: Welcome to one\n");
    for (first, problem) in [
        (
            "echo '{}'; exit",
            "not the JSON document of a load generator of ksf",
        ),
        (
            r"head -c 100000 /dev/zero; exit 3",
            "ended without having measured (exit status: 3)",
        ),
    ] {
        let stage = stage("nonsense_of_a_shell_is_told", first);
        let run = stage.agents("one", &format!("-c 20 {}", server.address));
        let end = format!("echotest: agent one: {problem}\n");
        assert!(run.err.ends_with(&end), "{}", run.err.len());
        assert_eq!((run.status, &run.out[..]), (Some(1), ""));
    }
}

#[test]
fn what_makes_no_sense_with_agents_is_refused() {
    for arguments in [
        "--agents a,,b server",
        "--agents= server",
        "--agents=-oProxyCommand=x server",
        "--agents a --search p99<1ms server",
        "--agents a --until-ci 2% server",
        "--agents a --live server",
        "--agents a --ksf server",
        "--agent-shell ssh server",
        "--search p99<1ms --ksf server",
        "compare --ksf a b",
        "merge --live a",
    ] {
        let run = echotest(arguments);
        assert_eq!(
            (run.status, &run.out[..]),
            (Some(2), ""),
            "{arguments}: {}",
            run.err
        );
    }
}
