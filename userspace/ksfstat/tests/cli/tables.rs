// SPDX-License-Identifier: GPL-2.0

//! What is in the tables, in one report.

use crate::{
    fixture::Fixture,
    ksfstat, //
};

/// A service with all its keys.
const SERVICE: &str = "service=kecho net=4026531840 bind=:: port=60007 proto=tcp serve=inline conns=1024 \
    accepted=123456 refused_conns=3 refused_peer_conns=1 refused_memory=0 refused_service=0 closed_peer=1200 \
    closed_error=1 closed_service=2 closed_idle=3 closed_first_byte=4 closed_request=1 closed_send=2 closed_memory=5 \
    closed_stop=6 \
    bytes_in=1234567890 bytes_out=2234567890 requests=98765432 replies=98765432 datagrams_in=0 datagrams_out=0 \
    dropped_source=1 dropped_multicast=2 dropped_size=3 dropped_memory=4 dropped_service=5 turns_inline=3000 \
    turns_worker=1000 budget_ends=4 sends=98765432 send_blocked=0 memory_stops=0 \
    queue_delay_ns=512:3,1024:700,65536:8 service_time_ns=128:90000,1048576:2\n";

const WORKERS: &str = "\
    cpu=0 state=running wakeups=1000 turns=2500 polls=1000 poll_hits=10 inline_turns=9999 inline_budget_ends=3\n\
    cpu=1 state=parked wakeups=0 turns=0 polls=0 poll_hits=0 inline_turns=0 inline_budget_ends=0\n";

/// The cells of a line.
fn cells(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The cells of the lines below a table's title, but for the line of groups.
fn table<'a>(out: &'a str, title: &str) -> Vec<Vec<&'a str>> {
    let lines = out.lines().skip_while(|line| *line != title).skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    lines
        .filter(|line| !line.contains("--"))
        .map(cells)
        .collect()
}

#[test]
fn services_and_workers_are_shown() {
    let fixture = Fixture::new()
        .with("services", SERVICE)
        .with("workers", WORKERS);
    let out = ksfstat(&fixture, "").good();
    assert_eq!(
        table(&out, "services, since loading"),
        [
            cells("service proto address conns accept refuse reqs in out drop inline snd/rq p50 p99 p50 p99"),
            cells(
                "kecho tcp *:60007 1.02k 123k 4 98.8M 1.23G 2.23G 15 75.0% 1.00 <2.0us <131us <256ns <256ns"
            ),
        ]
    );
    assert_eq!(
        table(&out, "workers, since loading"),
        [
            cells("cpu state wakeups turns turns/wakeup all hits hit turns budget ends"),
            cells("0 running 1.00k 2.50k 2.50 1.00k 10 1.0% 10.0k 3"),
            cells("1 parked 0 0 - 0 0 - 0 0"),
        ]
    );
}

#[test]
fn the_other_tables_are_shown_if_they_are_asked_for() {
    let fixture = Fixture::new()
        .with(
            "conns",
            "service=kecho peer=[::1]:5 local=[::1]:7 cpu=1 state=open age_ms=61000 idle_ms=5 bytes_in=10 \
             bytes_out=2000 requests=7 memory=4096 unsent=0\n",
        )
        .with("limits", "scope=ksf limit=memory value=8192 used=4096 hits=2\n")
        .with("peers", "service=kecho peer=2001:db8::/64 conns=3 refused=1 memory=4096\n");
    let out = ksfstat(&fixture, "-t peers,limits,conns").good();
    assert_eq!(
        table(&out, "conns, since loading"),
        [
            cells("service peer local cpu state age idle reqs in out memory unsent"),
            cells("kecho [::1]:5 [::1]:7 1 open 1m01s 5ms 7 10 2.00k 4.10k 0"),
        ]
    );
    assert_eq!(
        table(&out, "limits, since loading"),
        [
            cells("scope limit value used used % hits"),
            cells("ksf memory 8.19k 4.10k 50.0% 2"),
        ]
    );
    assert_eq!(
        table(&out, "peers, since loading"),
        [
            cells("service peer conns refuse"),
            cells("kecho 2001:db8::/64 3 1"),
        ]
    );
    let title = |word: &str| out.find(&format!("{word}, since")).unwrap();
    assert!(title("peers") < title("limits") && title("limits") < title("conns"));
}

const RPC_PROCEDURES: &str = "\
    service=krpc program=100003 name=nfs version=2 procedure=0 procedure_name=NULL calls=0 failed=0\n\
    service=krpc program=100003 name=nfs version=3 procedure=0 procedure_name=NULL calls=123456 failed=0\n\
    service=krpc program=536898405 name=ksf_echo version=1 procedure=1 procedure_name=ECHO calls=2000 failed=25\n";

const RPC_ERRORS: &str = "\
    service=krpc error=runt count=0\n\
    service=krpc error=garbage_args count=20\n\
    service=krpc error=system_err count=5\n";

#[test]
fn the_procedures_and_the_errors_of_krpc_are_shown() {
    let fixture = Fixture::new()
        .with("rpc_procedures", RPC_PROCEDURES)
        .with("rpc_errors", RPC_ERRORS);
    let out = ksfstat(&fixture, "-t rpc_procedures,rpc_errors").good();
    assert!(out.contains("-program---------- -procedure-"), "{out}");
    assert_eq!(
        table(&out, "rpc_procedures, since loading"),
        [
            cells("service number name version number name calls failed failed %"),
            cells("krpc 100003 nfs 2 0 NULL 0 0 -"),
            cells("krpc 100003 nfs 3 0 NULL 123k 0 0.0%"),
            cells("krpc 536898405 ksf_echo 1 1 ECHO 2.00k 25 1.2%"),
        ]
    );
    assert_eq!(
        table(&out, "rpc_errors, since loading"),
        [
            cells("service error count"),
            cells("krpc runt 0"),
            cells("krpc garbage_args 20"),
            cells("krpc system_err 5"),
        ]
    );
    let out = ksfstat(&fixture, "--json -t rpc_procedures,rpc_errors").good();
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let values = &document["tables"]["rpc_procedures"]["rows"][2]["values"];
    assert_eq!(
        (&values["program"], &values["calls"]),
        (&536_898_405.into(), &2000.into())
    );
    assert_eq!(values["procedure_name"], "ECHO");
}

#[test]
fn lines_are_no_longer_than_a_terminal_and_columns_are_aligned() {
    let address = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:60007";
    let conn = format!(
        "service=kecho peer={address} local={address} cpu=127 state=established age_ms=3599000 idle_ms=3599000 \
         bytes_in=999499 bytes_out=999499 requests=999499 memory=999499 unsent=999499\n"
    );
    let short = "service=k peer=[::1]:5 local=[::1]:7 cpu=1 state=open\n";
    let busy = SERVICE.replace("bind=::", "bind=2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff");
    let far = busy.replace("net=4026531840", "net=4026532999");
    let fixture = Fixture::new()
        .with("services", &[SERVICE, &busy, &far].concat())
        .with("conns", &[&conn, short].concat());
    let out = ksfstat(&fixture, "-t services,conns").good();
    for line in out.lines() {
        assert!(line.len() <= 120, "{}: {line}", line.len());
        assert_eq!(line.trim_end(), line);
    }
    // The last column is of figures, so all rows end where its name does.
    for title in ["services", "conns"] {
        let lines = out.lines().skip_while(|line| !line.starts_with(title));
        let lines = lines.skip(1).take_while(|line| !line.is_empty());
        let lengths: Vec<_> = lines.map(str::len).collect();
        assert!(lengths.len() > 3, "{out}");
        assert!(lengths.iter().all(|&length| length == lengths[0]), "{out}");
    }
    // Both ends of a long address are there, and the short one is whole.
    assert!(out.contains("~") && out.contains("ff]:60007"), "{out}");
    assert!(out.contains("[::1]:5 "), "{out}");
}

#[test]
fn the_network_namespace_is_shown_where_there_are_several() {
    let other = SERVICE.replace("net=4026531840", "net=4026532999");
    let fixture = Fixture::new().with("services", SERVICE);
    let out = ksfstat(&fixture, "-t services").good();
    assert!(!out.contains("4026531840"), "{out}");
    let fixture = fixture.with("services", &[SERVICE, &other].concat());
    let out = ksfstat(&fixture, "-t services").good();
    assert!(
        out.contains(" 4026531840 ") && out.contains(" 4026532999 "),
        "{out}"
    );
}

#[test]
fn a_missing_key_is_a_dash_and_an_unknown_one_is_not_in_the_way() {
    let fixture = Fixture::new().with(
        "workers",
        "moon=full cpu=0 turns=2500 what? wakeups= polls=many poll_hits=1\n",
    );
    let out = ksfstat(&fixture, "-t workers").good();
    assert_eq!(
        table(&out, "workers, since loading")[1],
        cells("0 - - 2.50k - - 1 - - -")
    );
    let fixture = fixture.with("services", "service=x port=7\n");
    let out = ksfstat(&fixture, "-t services").good();
    assert_eq!(
        table(&out, "services, since loading")[1],
        [["x"].as_slice(), &["-"; 15]].concat()
    );
}

#[test]
fn a_table_without_rows_says_so() {
    let fixture = Fixture::new().with("peers", "").with("conns", "\n");
    let out = ksfstat(&fixture, "-t peers,conns").good();
    assert_eq!(
        out,
        "peers, since loading: none\n\nconns, since loading: none\n"
    );
}

#[test]
fn json_has_all_that_ksf_says() {
    let line = SERVICE.replace("conns=1024", "conns=1024 moon=full stars=7");
    let fixture = Fixture::new().with("services", &line);
    let out = ksfstat(&fixture, "--json -t services").good();
    assert_eq!(out.lines().count(), 1);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(document["time"].as_f64().unwrap() > 1.7e9);
    let table = &document["tables"]["services"];
    assert!(table["seconds"].is_null());
    let row = &table["rows"][0];
    assert!(row["rates"].is_null());
    let values = row["values"].as_object().unwrap();
    assert_eq!(values.len(), line.split_whitespace().count());
    assert_eq!(values["service"], "kecho");
    assert_eq!(values["bind"], "::");
    assert_eq!(values["port"], 60007);
    assert_eq!(values["bytes_in"], 1_234_567_890);
    assert_eq!(values["moon"], "full");
    assert_eq!(values["stars"], 7);
    assert_eq!(
        values["queue_delay_ns"],
        serde_json::json!([[512, 3], [1024, 700], [65536, 8]])
    );
    assert_eq!(
        row["percentiles"]["queue_delay_ns"],
        serde_json::json!({ "count": 711, "p50_below": 2048, "p99_below": 131_072 })
    );
}

#[test]
fn a_name_of_digits_stays_a_name_in_json() {
    let fixture = Fixture::new().with("peers", "service=1 peer=2 conns=3 refused=4\n");
    let out = ksfstat(&fixture, "-j -t peers").good();
    let values = r#""values":{"conns":3,"peer":"2","refused":4,"service":"1"}"#;
    assert!(out.contains(values), "{out}");
}
