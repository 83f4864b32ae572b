// SPDX-License-Identifier: GPL-2.0

//! The tables for a person: which columns they have, and what is in their cells.

use crate::{
    change::{
        Change,
        Changes, //
    },
    human,
    layout::{
        self,
        Head, //
    },
    table::Table, //
};

/// What is in the cells of a column. Strings are keys of ksf.
#[derive(Clone, Copy, Debug)]
enum Cell {
    /// As it is, to the left.
    Text(&'static str),
    /// As it is, to the right.
    Number(&'static str),
    /// The address and the port of a service.
    Endpoint,
    /// What goes up and down.
    Gauge(&'static str),
    /// Milliseconds.
    Age(&'static str),
    /// How much of a limit, the second, is used.
    Used(&'static str, &'static str),
    /// A counter: its total, or its rate.
    Count(&'static str),
    /// All counters with this prefix, as one.
    Sum(&'static str),
    /// Which part of all these counters the first is.
    Share(&'static str, &'static [&'static str]),
    /// How many of the first there are for each of the second.
    Per(&'static str, &'static str),
    /// A percentile of a histogram.
    Below(&'static str, u8),
}

/// A column: its group, its name, and its cells.
type Column = (&'static str, &'static str, Cell);

const SERVICES: &[Column] = &[
    ("", "service", Cell::Text("service")),
    ("", "proto", Cell::Text("proto")),
    ("", "address", Cell::Endpoint),
    ("", "net", Cell::Number("net")),
    ("", "conns", Cell::Gauge("conns")),
    ("", "accept", Cell::Count("accepted")),
    ("", "refuse", Cell::Sum("refused_")),
    ("", "reqs", Cell::Count("requests")),
    ("bytes", "in", Cell::Count("bytes_in")),
    ("bytes", "out", Cell::Count("bytes_out")),
    ("", "drop", Cell::Sum("dropped_")),
    (
        "",
        "inline",
        Cell::Share("turns_inline", &["turns_inline", "turns_worker"]),
    ),
    ("", "snd/rq", Cell::Per("sends", "requests")),
    ("queue delay", "p50", Cell::Below("queue_delay_ns", 50)),
    ("queue delay", "p99", Cell::Below("queue_delay_ns", 99)),
    ("serve time", "p50", Cell::Below("service_time_ns", 50)),
    ("serve time", "p99", Cell::Below("service_time_ns", 99)),
];

const WORKERS: &[Column] = &[
    ("", "cpu", Cell::Number("cpu")),
    ("", "state", Cell::Text("state")),
    ("", "wakeups", Cell::Count("wakeups")),
    ("", "turns", Cell::Count("turns")),
    ("", "turns/wakeup", Cell::Per("turns", "wakeups")),
    ("polls", "all", Cell::Count("polls")),
    ("polls", "hits", Cell::Count("poll_hits")),
    ("polls", "hit", Cell::Share("poll_hits", &["polls"])),
    ("inline", "turns", Cell::Count("inline_turns")),
    ("inline", "budget ends", Cell::Count("inline_budget_ends")),
];

const CONNS: &[Column] = &[
    ("", "service", Cell::Text("service")),
    ("", "peer", Cell::Text("peer")),
    ("", "local", Cell::Text("local")),
    ("", "cpu", Cell::Number("cpu")),
    ("", "state", Cell::Text("state")),
    ("", "age", Cell::Age("age_ms")),
    ("", "idle", Cell::Age("idle_ms")),
    ("", "reqs", Cell::Count("requests")),
    ("bytes", "in", Cell::Count("bytes_in")),
    ("bytes", "out", Cell::Count("bytes_out")),
    ("bytes", "memory", Cell::Gauge("memory")),
    ("bytes", "unsent", Cell::Gauge("unsent")),
];

const LIMITS: &[Column] = &[
    ("", "scope", Cell::Text("scope")),
    ("", "limit", Cell::Text("limit")),
    ("", "value", Cell::Gauge("value")),
    ("", "used", Cell::Gauge("used")),
    ("", "used %", Cell::Used("used", "value")),
    ("", "hits", Cell::Count("hits")),
];

const PEERS: &[Column] = &[
    ("", "service", Cell::Text("service")),
    ("", "peer", Cell::Text("peer")),
    ("", "conns", Cell::Gauge("conns")),
    ("", "refuse", Cell::Count("refused")),
];

const RPC_PROCEDURES: &[Column] = &[
    ("", "service", Cell::Text("service")),
    ("program", "number", Cell::Number("program")),
    ("program", "name", Cell::Text("name")),
    ("program", "version", Cell::Number("version")),
    ("procedure", "number", Cell::Number("procedure")),
    ("procedure", "name", Cell::Text("procedure_name")),
    ("", "calls", Cell::Count("calls")),
    ("", "failed", Cell::Count("failed")),
    ("", "failed %", Cell::Share("failed", &["calls"])),
];

const RPC_ERRORS: &[Column] = &[
    ("", "service", Cell::Text("service")),
    ("", "error", Cell::Text("error")),
    ("", "count", Cell::Count("count")),
];

/// Returns the lines of a table, below one that says what they are.
pub(crate) fn table(changes: &Changes<'_>) -> String {
    let name = changes.table.name();
    let title = match changes.seconds {
        Some(seconds) => format!("{name}, per second over {seconds:.2} s"),
        None => format!("{name}, since loading"),
    };
    if changes.rows.is_empty() {
        return format!("{title}: none\n");
    }
    let columns = match changes.table {
        Table::Services => SERVICES,
        Table::Workers => WORKERS,
        Table::Conns => CONNS,
        Table::Limits => LIMITS,
        Table::Peers => PEERS,
        Table::RpcProcedures => RPC_PROCEDURES,
        Table::RpcErrors => RPC_ERRORS,
    };
    // Services are rarely in several network namespaces, and the column is wide.
    let first = changes.rows[0].now;
    let has_namespaces = |row: &Change<'_>| row.now.get("net") != first.get("net");
    let has_namespaces = changes.rows.iter().any(has_namespaces);
    let is_shown = |&&(_, name, _): &&Column| name != "net" || has_namespaces;
    let columns: Vec<_> = columns.iter().filter(is_shown).collect();

    let heads: Vec<_> = columns.iter().copied().map(head).collect();
    let rows: Vec<Vec<_>> = changes
        .rows
        .iter()
        .map(|row| {
            columns
                .iter()
                .map(|(_, _, cell)| text(*cell, row))
                .collect()
        })
        .collect();
    format!("{title}\n{}", layout::lines(&heads, &rows))
}

/// How a column looks.
fn head(&(group, name, cell): &Column) -> Head {
    let (is_text, width) = match cell {
        Cell::Text(_) | Cell::Endpoint => (true, 0),
        Cell::Number(_) => (false, 0),
        Cell::Gauge(_) | Cell::Count(_) | Cell::Sum(_) | Cell::Per(..) => (false, 5),
        Cell::Age(_) | Cell::Used(..) | Cell::Share(..) | Cell::Below(..) => (false, 6),
    };
    Head {
        group,
        name,
        is_text,
        width,
    }
}

/// What is in a cell of a row; a dash is what cannot be told.
fn text(cell: Cell, row: &Change<'_>) -> String {
    let as_is = |key| {
        let value = row.now.get(key).filter(|value| !value.is_empty());
        value.map(str::to_owned)
    };
    let amount = |count| match row.per_second(count) {
        Some(rate) => human::rate(rate),
        None => human::count(count),
    };
    let text = match cell {
        Cell::Text(key) | Cell::Number(key) => as_is(key),
        Cell::Endpoint => endpoint(row),
        // What is no number may be a word that says more.
        Cell::Gauge(key) => row.now.number(key).map(human::count).or_else(|| as_is(key)),
        Cell::Age(key) => row.now.number(key).map(human::age),
        Cell::Used(part, whole) => row
            .now
            .number(part)
            .zip(row.now.number(whole))
            .and_then(|(part, whole)| human::percent(part, whole)),
        Cell::Count(key) => row.count(key).map(amount),
        Cell::Sum(prefix) => row.sum(prefix).map(amount),
        Cell::Share(part, all) => share(row, part, all),
        Cell::Per(part, whole) => row
            .count(part)
            .zip(row.count(whole))
            .and_then(|(part, whole)| human::ratio(part, whole))
            .map(human::rate),
        Cell::Below(key, percent) => row
            .histogram(key)
            .and_then(|times| times.percentile_below(percent))
            .map(human::below),
    };
    text.unwrap_or_else(|| "-".to_owned())
}

/// Which part of `all` counters `part` is.
fn share(row: &Change<'_>, part: &str, all: &[&str]) -> Option<String> {
    let counts = all.iter().map(|key| row.count(key));
    let whole = counts.sum::<Option<u64>>()?;
    human::percent(row.count(part)?, whole)
}

/// The address and the port of a service, as ss writes them.
fn endpoint(row: &Change<'_>) -> Option<String> {
    let bind = row.now.get("bind")?;
    let port = row.now.get("port")?;
    Some(match bind {
        "::" => format!("*:{port}"),
        _ if bind.contains(':') => format!("[{bind}]:{port}"),
        _ => format!("{bind}:{port}"),
    })
}
