// SPDX-License-Identifier: GPL-2.0

//! What is said against figures, and what was found out, for those who read neither the table nor its headers.

use documented::Run;
use serde_json::Value;

use crate::{
    echotest,
    server::Server,
    stage::{document, Stage},
};

/// In closed loop, far fewer requests than there is room for: they never are all in flight.
const ODD: &str = "-a 1k -c 10";

/// The warnings on standard error, without the tool's name.
#[track_caller]
fn warnings(run: &Run) -> Vec<&str> {
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let lines = run.warnings.iter();
    lines
        .map(|line| line.trim_end().trim_start_matches("echotest: "))
        .collect()
}

#[test]
fn warnings_are_in_the_document() {
    let (server, _) = Server::good();
    let stage = Stage::new("warnings_are_in_the_document");
    let run = stage.echotest(&format!("{ODD} -i 2 --json {}", server.address));
    let document = document(&run.out);
    let in_document = document["warnings"].as_array().unwrap();
    let of_both = |warning: &&Value| warning["runs"] == 2 && warning["first_run"] == 0;
    assert!(in_document.iter().any(|it| of_both(&it)), "{in_document:?}");
    let texts = in_document.iter().map(|warning| &warning["text"]);
    let texts: Vec<_> = texts.map(|text| text.as_str().unwrap()).collect();
    let told = warnings(&run);
    assert_eq!(told.len(), texts.len());
    assert!(told
        .iter()
        .zip(&texts)
        .all(|(line, text)| line.ends_with(text)));

    // And in one that several are merged to.
    stage.write("a.json", &run.out);
    let merged = stage.echotest("merge a.json --json");
    assert_eq!(warnings(&merged), told);
    assert_eq!(
        crate::stage::document(&merged.out)["warnings"],
        document["warnings"]
    );
}

#[test]
fn warnings_are_on_standard_error_unless_there_is_the_table() {
    let (server, _) = Server::good();
    let stage = Stage::new("warnings_are_on_standard_error_unless_there_is_the_table");
    for options in ["-H", "--ksf", "--json", "--ksf -H"] {
        let run = stage.echotest(&format!("{ODD} {options} {}", server.address));
        assert!(!warnings(&run).is_empty(), "{options}");
        assert!(!run.out.contains("warning: "), "{options}: {}", run.out);
    }
    let run = stage.echotest(&format!("{ODD} --json=a.json {}", server.address));
    assert!(warnings(&run).is_empty() && run.out.contains("\nwarning: "));
    let run = stage.echotest("merge -H a.json");
    assert!(!warnings(&run).is_empty() && !run.out.contains("warning: "));
}

#[test]
fn the_answer_is_there_without_headers() {
    let ((a, _), (b, _)) = (Server::good(), Server::good());
    let last = |arguments: &str, rows: usize| {
        let run = echotest(arguments);
        assert!(
            run.status < Some(124) && run.status != Some(2),
            "{}",
            run.err
        );
        let lines: Vec<_> = run.out.lines().map(str::to_owned).collect();
        lines[rows..].to_vec()
    };
    let compared = last(
        &format!("compare -H -i 2 -c 10 {} {}", a.address, b.address),
        4 + 2,
    );
    let names = ["rate ", "median latency ", "p99 latency "];
    assert!(compared.len() >= names.len(), "{compared:?}");
    assert!(
        compared
            .iter()
            .zip(names)
            .all(|(line, name)| line.starts_with(name)),
        "{compared:?}"
    );

    let until = last(
        &format!("-H --until-ci 100% -i 10 -c 50 {}", a.address),
        10 + 1,
    );
    assert_eq!(until.len(), 1, "{until:?}");
    assert!(until[0].starts_with("after 10 runs, "), "{until:?}");

    let search = "-H --search max<1000s --rate 1k --resolution 100% --duration 10ms";
    let search = last(&format!("{search} {}", a.address), 0);
    let answer = search.iter().filter(|line| line.contains("max<1000s"));
    assert!(answer.count() >= 1, "{search:?}");
}
