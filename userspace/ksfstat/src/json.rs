// SPDX-License-Identifier: GPL-2.0

//! The tables for a program.

use std::time::SystemTime;

use serde_json::{
    json,
    Map,
    Value, //
};

use crate::{
    change::{
        Change,
        Changes, //
    },
    record::number,
    table::{
        Kind,
        Table, //
    }, //
};

/// Returns the document of one report, on a line.
///
/// `time` is when the report was made, in seconds since 1970. `tables` has, for each table by its name, the `seconds`
/// between the two reads, or null in a report since loading, and the `rows`. Of these each has ksf's own `values`, the
/// `rates` of its counters per second, which are not there in a report since loading, and the `percentiles`.
pub(crate) fn document(tables: &[Changes<'_>]) -> String {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let table = |changes: &Changes<'_>| {
        let rows = changes.rows.iter().map(|change| row(changes.table, change));
        let rows = rows.collect::<Vec<_>>();
        let table = json!({ "seconds": changes.seconds, "rows": rows });
        (changes.table.name().to_owned(), table)
    };
    let tables = tables.iter().map(table).collect::<Map<_, _>>();
    let document = json!({
        "time": time.unwrap_or_default().as_secs_f64(),
        "tables": tables,
    });
    format!("{document}\n")
}

/// One object.
fn row(table: Table, change: &Change<'_>) -> Value {
    let mut values = Map::new();
    let mut rates = Map::new();
    let mut percentiles = Map::new();
    for (key, text) in change.now.fields() {
        let kind = table.kind(key);
        values.insert(key.to_owned(), value(kind, change, key, text));
        match kind {
            Some(Kind::Counter) => {
                let rate = change.count(key).and_then(|count| change.per_second(count));
                if let Some(rate) = rate {
                    rates.insert(key.to_owned(), json!(rate));
                }
            }
            Some(Kind::Histogram) => {
                if let Some(times) = change.histogram(key) {
                    let times = json!({
                        "count": u64::try_from(times.len()).unwrap_or(u64::MAX),
                        "p50_below": times.percentile_below(50),
                        "p99_below": times.percentile_below(99),
                    });
                    percentiles.insert(key.to_owned(), times);
                }
            }
            _ => {}
        }
    }
    let mut row = Map::from_iter([("values".to_owned(), Value::Object(values))]);
    // A table without any need not say so.
    for (name, map) in [("rates", rates), ("percentiles", percentiles)] {
        if !map.is_empty() {
            row.insert(name.to_owned(), Value::Object(map));
        }
    }
    Value::Object(row)
}

/// What ksf says: a number where it is one, and a histogram as pairs of a lower bound in ns and a count.
fn value(kind: Option<Kind>, change: &Change<'_>, key: &str, text: &str) -> Value {
    let value = match kind {
        // A name may be of digits.
        Some(Kind::Text) => None,
        Some(Kind::Histogram) => change
            .now
            .histogram(key)
            .map(|times| json!(times.buckets().collect::<Vec<_>>())),
        Some(Kind::Gauge | Kind::Counter) | None => number(text).map(Value::from),
    };
    value.unwrap_or_else(|| Value::from(text))
}
