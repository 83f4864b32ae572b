// SPDX-License-Identifier: GPL-2.0

//! What is written, to people and to programs.

use serde_json::Value;

use crate::{server::good, FETCH, RPC};

/// The published one.
fn schema() -> jsonschema::Validator {
    let schema = include_str!("../../../../docs/loadgen.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn json_is_as_the_published_schema_has_it() {
    let run = FETCH.run(&format!("--json -c 5 -i 2 --clients 3 -s 10k {}", good()));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""));
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let schema = schema();
    let errors: Vec<_> = schema.iter_errors(&document).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(document["provenance"][0]["tool"], "rxtest-fetch");
    assert_eq!(document["what"], "files of 10240 bytes over Rx");
    assert_eq!(document["load"]["transport"], "rx");
    assert_eq!(document["reply_bytes"], 10_244);
    let clients = &document["servers"][0]["clients"];
    assert_eq!(clients["count"], 6);
    assert_eq!(clients["packets_sent"], 30);
    let received = clients["packets_received"].as_u64().unwrap();
    assert!(received >= 30 * 8, "{clients}");
    assert!(
        clients["goodput_bits_per_second"].as_f64() > Some(0.0),
        "{clients}"
    );
    let jain = clients["jain_index"].as_f64().unwrap();
    assert!(jain > 0.1 && jain <= 1.0 + 1e-9, "{clients}");
    for run in document["runs"].as_array().unwrap() {
        let clients = run["result"]["clients"].as_array().unwrap();
        assert_eq!(clients.len(), 3);
        for client in clients {
            assert_eq!(client["answered"], 5);
            assert!(client["active_ns"].as_u64() > Some(0), "{client}");
        }
    }
}

#[test]
fn people_are_told_of_clients_packets_and_paths() {
    let run = RPC.run(&format!("-c 20 --clients 4 {}", good()));
    run.assert_good(&[("1", 80)]);
    let line = |label: &str| {
        let mut lines = run.out.lines();
        let line = lines.find(|line| line.starts_with(label));
        line.unwrap_or_else(|| panic!("{}", run.out)).to_owned()
    };
    let goodput = line("goodput ");
    assert!(
        goodput.contains(" of replies; 4 clients with "),
        "{goodput}"
    );
    assert!(goodput.contains(" each, Jain's index "), "{goodput}");
    let packets = line("packets ");
    assert!(packets.contains("; 80 sent, 0 of them again"), "{packets}");
    let path = line("path ");
    assert!(
        path.contains("congestion window 10, receive window 255"),
        "{path}"
    );
    let title = run.out.lines().next().unwrap();
    assert!(
        title
            .starts_with("rxtest-rpc: calls that send 4 bytes and receive 4 over Rx to 127.0.0.1:"),
        "{title}"
    );
}

#[test]
fn several_machines_are_merged_with_all_their_clients() {
    // The shell of an agent runs the command, which is the last argument.
    let shell = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("rxtest-shell");
    std::fs::write(
        &shell,
        "#!/bin/sh\nfor last; do :; done\neval \"exec $last\"\n",
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&shell, mode).unwrap();
    let run = RPC.run(&format!(
        "--agents one,two --agent-shell {} --json -c 20 --clients 3 {}",
        shell.display(),
        good()
    ));
    assert_eq!((run.status, &run.err[..]), (Some(0), ""), "{}", run.out);
    let document: Value = serde_json::from_str(&run.out).unwrap();
    assert!(schema().is_valid(&document), "{document}");
    assert_eq!(document["servers"][0]["ledger"]["answered"], 120);
    assert_eq!(document["servers"][0]["clients"]["count"], 6);
}
