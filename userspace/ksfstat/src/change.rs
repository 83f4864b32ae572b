// SPDX-License-Identifier: GPL-2.0

//! What happened to the objects of a table between two reads.

use std::collections::{
    HashMap,
    VecDeque, //
};

use crate::{
    histogram::Histogram,
    record::Record,
    source::Snapshot,
    table::{
        Kind,
        Table, //
    }, //
};

/// The changes of all objects of a table.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    /// Which table.
    pub(crate) table: Table,
    /// The time between the two reads, or `None` if there was only one.
    pub(crate) seconds: Option<f64>,
    /// The objects that are there now, in ksf's order.
    pub(crate) rows: Vec<Change<'a>>,
}

/// The change of one object.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// The object as it is now.
    pub(crate) now: &'a Record,
    /// The object as it was, or `None` if it began at zero: all that it has counted is new.
    before: Option<&'a Record>,
    /// As in [`Changes`].
    seconds: Option<f64>,
}

impl<'a> Changes<'a> {
    /// Compares two reads of a table, or takes one as the change since ksf was loaded.
    pub(crate) fn new(now: &'a Snapshot, before: Option<&'a Snapshot>) -> Self {
        let seconds = before.map(|before| (now.at - before.at).as_secs_f64());
        Self::over(
            now.table,
            seconds,
            &now.records,
            before.map_or(&[], |before| &before.records),
        )
    }

    /// Compares the objects of two reads.
    fn over(table: Table, seconds: Option<f64>, now: &'a [Record], before: &'a [Record]) -> Self {
        // Objects that have all these keys in common are taken to be in the same order in both reads.
        let mut earlier = HashMap::<_, VecDeque<_>>::new();
        for record in before {
            earlier
                .entry(identity(table, record))
                .or_default()
                .push_back(record);
        }
        let rows = now.iter().map(|now| Change {
            now,
            before: earlier
                .get_mut(&identity(table, now))
                .and_then(VecDeque::pop_front)
                // What counts less than before is another object by the same name.
                .filter(|before| is_continued(table, now, before)),
            seconds,
        });
        Self {
            table,
            seconds,
            rows: rows.collect(),
        }
    }
}

/// By what an object is known.
fn identity(table: Table, record: &Record) -> Vec<Option<&str>> {
    let keys = table.identity().iter();
    keys.map(|key| record.get(key)).collect()
}

/// Returns whether nothing counts less `now` than `before`.
fn is_continued(table: Table, now: &Record, before: &Record) -> bool {
    before.fields().all(|(key, _)| match table.kind(key) {
        Some(Kind::Counter) => now
            .number(key)
            .zip(before.number(key))
            .is_none_or(|(now, before)| now >= before),
        Some(Kind::Histogram) => now
            .histogram(key)
            .zip(before.histogram(key))
            .is_none_or(|(now, before)| now.since(&before).is_some()),
        _ => true,
    })
}

impl Change<'_> {
    /// By how much the counter `key` grew.
    pub(crate) fn count(&self, key: &str) -> Option<u64> {
        let now = self.now.number(key)?;
        match self.before {
            Some(before) => now.checked_sub(before.number(key)?),
            None => Some(now),
        }
    }

    /// By how much all counters grew together whose keys begin with `prefix`, or `None` if there are none.
    pub(crate) fn sum(&self, prefix: &str) -> Option<u64> {
        self.now
            .fields()
            .filter(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, _)| self.count(key))
            .reduce(u64::saturating_add)
    }

    /// The times that were added to the histogram `key`.
    pub(crate) fn histogram(&self, key: &str) -> Option<Histogram> {
        let now = self.now.histogram(key)?;
        match self.before {
            Some(before) => now.since(&before.histogram(key)?),
            None => Some(now),
        }
    }

    /// What a growth by `count` is per second, or `None` if that was since ksf was loaded.
    pub(crate) fn per_second(&self, count: u64) -> Option<f64> {
        self.seconds.map(|seconds| count as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(lines: &[&str]) -> Vec<Record> {
        lines.iter().map(|line| Record::parse(line)).collect()
    }

    /// The growth of `key` in each row, when two seconds passed from `before` to `now`.
    fn counts(key: &str, before: &[&str], now: &[&str]) -> Vec<Option<u64>> {
        let (before, now) = (records(before), records(now));
        let changes = Changes::over(Table::Services, Some(2.0), &now, &before);
        changes.rows.iter().map(|row| row.count(key)).collect()
    }

    #[test]
    fn one_read_is_the_change_since_loading() {
        let now = records(&["service=a accepted=7 queue_delay_ns=1024:2"]);
        let changes = Changes::over(Table::Services, None, &now, &[]);
        let row = &changes.rows[0];
        assert_eq!(row.count("accepted"), Some(7));
        assert_eq!(row.per_second(7), None);
        assert_eq!(row.histogram("queue_delay_ns").unwrap().len(), 2);
    }

    #[test]
    fn objects_are_found_again_wherever_they_are() {
        assert_eq!(
            counts(
                "requests",
                &[
                    "service=a port=1 requests=10",
                    "service=a port=2 requests=20"
                ],
                &[
                    "service=a port=2 requests=25",
                    "service=a port=1 requests=11"
                ],
            ),
            [Some(5), Some(1)]
        );
    }

    #[test]
    fn objects_that_look_the_same_are_told_apart_by_their_order() {
        let before = ["service=a requests=10", "service=a requests=1000"];
        let now = ["service=a requests=11", "service=a requests=1003"];
        assert_eq!(counts("requests", &before, &now), [Some(1), Some(3)]);
    }

    #[test]
    fn what_appears_counts_from_zero() {
        let now = ["service=a requests=11", "service=b requests=4"];
        assert_eq!(
            counts("requests", &["service=a requests=10"], &now),
            [Some(1), Some(4)]
        );
    }

    #[test]
    fn what_was_loaded_again_counts_from_zero_in_all() {
        // That it has taken more bytes than before does not make it the same one.
        let before = ["service=a accepted=10 bytes_in=10 queue_delay_ns=1:10"];
        let now = ["service=a accepted=9 bytes_in=15 queue_delay_ns=1:12"];
        assert_eq!(counts("accepted", &before, &now), [Some(9)]);
        assert_eq!(counts("bytes_in", &before, &now), [Some(15)]);
        let (before, now) = (records(&before), records(&now));
        let changes = Changes::over(Table::Services, Some(1.0), &now, &before);
        let times = changes.rows[0].histogram("queue_delay_ns").unwrap();
        assert_eq!(times.len(), 12);
    }

    #[test]
    fn fewer_times_are_a_new_beginning_too() {
        let before = ["service=a accepted=1 queue_delay_ns=1:10"];
        let now = ["service=a accepted=2 queue_delay_ns=2:10"];
        assert_eq!(counts("accepted", &before, &now), [Some(2)]);
    }

    #[test]
    fn what_goes_up_and_down_is_no_new_beginning() {
        let before = ["service=a conns=9 accepted=10 moon=5"];
        let now = ["service=a conns=2 accepted=11 moon=4"];
        assert_eq!(counts("accepted", &before, &now), [Some(1)]);
    }

    #[test]
    fn what_is_missing_cannot_be_told() {
        let (with, without) = ["service=a accepted=3", "service=a"].into();
        assert_eq!(counts("accepted", &[with], &[without]), [None]);
        assert_eq!(counts("accepted", &[without], &[with]), [None]);
    }

    #[test]
    fn a_sum_is_of_all_reasons_that_are_there() {
        let before = records(&["service=a refused_conns=1 refused_memory=5"]);
        let now = records(&["service=a refused_conns=3 refused_memory=5 accepted=100"]);
        let changes = Changes::over(Table::Services, Some(1.0), &now, &before);
        assert_eq!(changes.rows[0].sum("refused_"), Some(2));
        assert_eq!(changes.rows[0].sum("dropped_"), None);
    }

    #[test]
    fn a_rate_is_per_second() {
        let (before, now) = (records(&["cpu=0 turns=10"]), records(&["cpu=0 turns=15"]));
        let changes = Changes::over(Table::Workers, Some(2.0), &now, &before);
        assert_eq!(changes.rows[0].per_second(5), Some(2.5));
    }
}
