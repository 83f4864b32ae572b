// SPDX-License-Identifier: GPL-2.0

//! The latencies over time as an HDR histogram log, which HdrHistogram's own tools and those of others read.
//!
//! The format is that of `HistogramLogWriter` in HdrHistogram (version 1.3 of the log, histograms in the compressed V2
//! encoding): a line for each interval with its start and length in seconds, its maximum in milliseconds, and its histogram
//! of nanoseconds. Where several servers or latencies are in one log, each line has a tag.

use std::{
    borrow::Cow,
    io::{self, Write},
    time::{Duration, SystemTime},
};

use hdrhistogram::serialization::{
    interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag},
    V2DeflateSerializer,
};

use super::provenance::rfc3339;
use crate::{result::Distribution, Histogram};

/// One line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'a> {
    /// When the interval began.
    pub start: SystemTime,
    /// How long it was.
    pub length: Duration,
    /// What distinguishes it from others of the same time; none if it is empty. Commas, spaces and ends of lines are left
    /// out.
    pub tag: Cow<'a, str>,
    /// Its latencies, in nanoseconds.
    pub latencies: &'a Distribution,
}

/// Writes a log. The lines should be in the order of their time, the first being the earliest.
///
/// # Errors
///
/// The writer's.
pub fn write<'a>(
    out: &mut impl Write,
    comment: &str,
    lines: impl IntoIterator<Item = Line<'a>>,
) -> io::Result<()> {
    const NS_IN_MS: f64 = 1e6;

    let mut lines = lines.into_iter().peekable();
    let start = lines
        .peek()
        .map_or(SystemTime::UNIX_EPOCH, |line| line.start);
    let seconds = start
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    for line in comment.lines() {
        writeln!(out, "#[{line}]")?;
    }
    writeln!(out, "#[Histogram log format version 1.3]")?;
    for name in ["StartTime", "BaseTime"] {
        let seconds = seconds.as_secs_f64();
        writeln!(
            out,
            "#[{name}: {seconds:.3} (seconds since epoch), {}]",
            rfc3339(start)
        )?;
    }
    writeln!(
        out,
        "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
    )?;
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(NS_IN_MS)
        .begin_log_with(out, &mut serializer)?;
    for line in lines {
        let tag: String = line
            .tag
            .chars()
            .filter(|c| !", \r\n".contains(*c))
            .collect();
        let tag = Some(tag).filter(|tag| !tag.is_empty());
        let histogram = Histogram::from(line.latencies);
        let offset = line.start.duration_since(start).unwrap_or_default();
        let tag = tag.as_deref().and_then(Tag::new);
        log.write_histogram(histogram.as_hdr(), offset, line.length, tag)
            .map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::{
        interval_log::{IntervalLogIterator, LogEntry},
        Deserializer,
    };

    const START: Duration = Duration::from_millis(1_700_000_000_250);

    fn latencies(of: impl IntoIterator<Item = u64>) -> Distribution {
        let mut histogram = Histogram::new();
        of.into_iter().for_each(|ns| histogram.record(ns));
        histogram.distribution()
    }

    fn log(parts: &[(u64, &str, &Distribution)]) -> String {
        let lines = parts.iter().map(|&(ms, tag, latencies)| Line {
            start: SystemTime::UNIX_EPOCH + START + Duration::from_millis(ms),
            length: Duration::from_millis(100),
            tag: tag.into(),
            latencies,
        });
        let mut out = Vec::new();
        write(&mut out, "echotest 0.1.0\nclosed loop", lines).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What another reader finds: times in milliseconds, tag, maximum, and buckets with their count.
    type Found = (u128, u128, Option<String>, f64, Vec<(u64, u64)>);

    fn read(log: &str) -> Vec<Found> {
        let entries = IntervalLogIterator::new(log.as_bytes()).map(Result::unwrap);
        let intervals = entries.filter_map(|entry| match entry {
            LogEntry::Interval(interval) => Some(interval),
            LogEntry::StartTime(time) | LogEntry::BaseTime(time) => {
                assert_eq!(time, START);
                None
            }
        });
        intervals
            .map(|interval| {
                let bytes = base64(interval.encoded_histogram());
                let histogram: hdrhistogram::Histogram<u64> =
                    Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                let buckets = histogram.iter_recorded();
                (
                    interval.start_timestamp().as_millis(),
                    interval.duration().as_millis(),
                    interval.tag().map(|tag| tag.as_str().to_owned()),
                    interval.max(),
                    buckets
                        .map(|b| (b.value_iterated_to(), b.count_at_value()))
                        .collect(),
                )
            })
            .collect()
    }

    fn base64(text: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = text.trim_end_matches('=').bytes();
        let digits = digits.map(|c| ALPHABET.iter().position(|&a| a == c).unwrap() as u32);
        let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
        for digit in digits {
            (bits, held) = ((bits << 6) | digit, held + 6);
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held) as u8);
            }
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        let first = latencies([1_000, 1_000, 20_000, 123_456_789]);
        let second = latencies(1..=5_000);
        let none = latencies([]);
        let log = log(&[(0, "A", &first), (100, "B", &second), (200, "", &none)]);
        let found = read(&log);
        let tag = |tag: &str| Some(tag.to_owned());
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].0, found[0].1, &found[0].2), (0, 100, &tag("A")));
        assert!((found[0].3 - 123.456).abs() < 0.13);
        assert_eq!(found[0].4, first.buckets);
        assert_eq!(
            (found[1].0, &found[1].2, &found[1].4),
            (100, &tag("B"), &second.buckets)
        );
        assert_eq!(
            (found[2].0, &found[2].2, &found[2].4),
            (200, &None, &Vec::new())
        );
    }

    /// The lines that `HistogramLogReader` looks for, by its own documentation.
    #[test]
    fn the_log_begins_as_the_format_has_it() {
        let log = log(&[(0, "", &latencies([1_000]))]);
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(
            lines[..7],
            [
                "#[echotest 0.1.0]",
                "#[closed loop]",
                "#[Histogram log format version 1.3]",
                "#[StartTime: 1700000000.250 (seconds since epoch), 2023-11-14T22:13:20.250Z]",
                "#[BaseTime: 1700000000.250 (seconds since epoch), 2023-11-14T22:13:20.250Z]",
                "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
                "#[MaxValueDivisor: 1000000.000]",
            ]
        );
        let cells: Vec<_> = lines[7].split(',').collect();
        assert_eq!(cells[..3], ["0.000", "0.100", "0.001"]);
        // The cookie of a compressed histogram in the V2 encoding, 0x1c849314.
        assert!(cells[3].starts_with("HISTFAAA"), "{}", cells[3]);
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn tags_cannot_break_a_line() {
        let found = read(&log(&[(0, "a, b\r\nc", &latencies([7]))]));
        assert_eq!(found[0].2, Some("abc".to_owned()));
        assert_eq!(read(&log(&[(0, ",", &latencies([7]))]))[0].2, None);
    }

    #[test]
    fn a_log_without_intervals_is_one_too() {
        assert!(IntervalLogIterator::new(log(&[]).as_bytes()).all(|entry| entry.is_ok()));
    }
}
