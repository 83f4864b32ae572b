// SPDX-License-Identifier: GPL-2.0

//! All that was measured, as one JSON document: for scripts, and to be merged with those of other machines.
//!
//! Its form is published in `docs/loadgen.schema.json`. Numbers whose name ends in `_ns` are nanoseconds, rates are requests
//! per second, and `null` stands for what cannot be told. Histograms are lists of pairs, the longest latency that a bucket
//! takes and how many there are: merging them is adding up.

use std::{
    borrow::Cow,
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{clients::ClientFigures, hdr_log::Line, provenance::Provenance, warnings::Warning};
use crate::{
    campaign::{Answer, Assignment, Conclusion, Observer, Plan, Summary},
    histogram::Percentile,
    result::StoredResult,
    run::Machine,
    stats::pooled::Headline,
    Histogram, Ledger, Load, RunResult,
};

/// What the first field of a document says.
const FORMAT: &str = "ksf.loadgen";
/// The version of the form; another one if readers of this one could go wrong.
const VERSION: u32 = 1;

/// One invocation of a load generator, or several on different machines that were merged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Always `ksf.loadgen`.
    pub format: String,
    /// The version of this form.
    pub version: u32,
    /// Where the figures come from; several if documents were merged.
    pub provenance: Vec<Provenance>,
    /// The servers, as they were named.
    pub targets: Vec<String>,
    /// The address of each that was measured.
    pub addresses: Vec<SocketAddr>,
    /// The address of the client, if it was not left to the system.
    pub bind: Option<IpAddr>,
    /// What was asked of them, and over what.
    pub what: String,
    /// How many bytes of the protocol a request has.
    pub request_bytes: u64,
    /// How many bytes of the protocol a usual reply has; `null` if that is not known.
    pub reply_bytes: Option<u64>,
    /// The load of each run; where the campaign chose a rate, the run has it. Of merged documents, all loads together.
    pub load: Load,
    /// How the client used its machine.
    pub client: Machine,
    /// What was to be found out.
    pub plan: Plan,
    /// What was found out.
    pub answer: Answer,
    /// Why not all runs were made; `null` if they were.
    pub stopped: Option<String>,
    /// Why figures may not be what they seem, the gravest first.
    pub warnings: Vec<Warning>,
    /// The figures of all runs with each server together. None for a search, whose runs have different loads.
    pub servers: Vec<Figures>,
    /// Every run, in order.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its number, from 0.
    pub number: u64,
    /// The server's place in the document's `targets`.
    pub target: usize,
    /// The rate that the campaign chose.
    pub rate: Option<u64>,
    /// What its random arrivals depended on.
    pub seed: u64,
    /// When it began, since 1970 in UTC, after its connections had been opened.
    pub started_unix_ns: u64,
    /// Of merged runs, how much later than the first machine's the last one's began, by their clocks.
    pub start_skew_ns: u64,
    /// What was measured.
    pub result: StoredResult,
}

/// The figures of all runs with one server together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The server's place in the document's `targets`.
    pub target: usize,
    /// How many runs there were.
    pub runs: u64,
    /// What became of the requests.
    pub ledger: Ledger,
    /// What became of the requests of the warm-ups.
    pub warmup: Ledger,
    /// The figures with their 95 % confidence intervals over runs.
    pub headline: Headline,
    /// From when a request was intended to be sent to its reply.
    pub response: Latencies,
    /// From when a request was sent to its reply.
    pub service: Latencies,
    /// The processor time of the client's threads for each reply.
    pub cpu_ns_per_reply: Option<f64>,
    /// The figures of the clients, if they know of their paths, as with Rx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientFigures>,
}

/// The latencies at the usual places of a distribution; `null` where there are too few to tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// How many there are.
    pub count: u64,
    /// The shortest.
    pub min_ns: Option<u64>,
    /// The median.
    pub p50_ns: Option<u64>,
    /// 90 % are at most as long.
    pub p90_ns: Option<u64>,
    /// 99 % are at most as long.
    pub p99_ns: Option<u64>,
    /// 99.9 % are at most as long.
    pub p99_9_ns: Option<u64>,
    /// 99.99 % are at most as long.
    pub p99_99_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
    /// The mean.
    pub mean_ns: Option<f64>,
    /// The standard deviation.
    pub stddev_ns: Option<f64>,
}

impl From<&Histogram> for Latencies {
    fn from(histogram: &Histogram) -> Self {
        let at = |hundredths| histogram.percentile(Percentile(hundredths)).and_then(nanos);
        Self {
            count: histogram.len(),
            min_ns: histogram.min().and_then(nanos),
            p50_ns: at(5_000),
            p90_ns: at(9_000),
            p99_ns: at(9_900),
            p99_9_ns: at(9_990),
            p99_99_ns: at(9_999),
            max_ns: histogram.max().and_then(nanos),
            mean_ns: histogram.moments().map(|(mean, _)| mean),
            stddev_ns: histogram.moments().map(|(_, deviation)| deviation),
        }
    }
}

fn nanos(time: Duration) -> Option<u64> {
    time.as_nanos().try_into().ok()
}

impl Figures {
    /// Those of the server with this place, whose replies have so many bytes.
    pub fn of(target: usize, summary: &Summary, reply_bytes: Option<u64>) -> Self {
        let total = &summary.total;
        let cpu: u64 = total.threads.iter().map(|thread| thread.cpu_ns).sum();
        let answered = total.ledger.answered;
        Self {
            target,
            runs: summary.runs,
            ledger: total.ledger,
            warmup: total.warmup,
            headline: summary.headline,
            response: (&total.response).into(),
            service: (&total.service).into(),
            cpu_ns_per_reply: (answered != 0).then(|| cpu as f64 / answered as f64),
            clients: ClientFigures::of(total, reply_bytes),
        }
    }
}

/// What was asked for, and by whom.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where the figures come from.
    pub provenance: Provenance,
    /// The servers, as they were named.
    pub targets: Vec<String>,
    /// The address of each that was measured.
    pub addresses: Vec<SocketAddr>,
    /// The address of the client, if it is not left to the system.
    pub bind: Option<IpAddr>,
    /// What is asked of them, and over what.
    pub what: String,
    /// How many bytes of the protocol a request has.
    pub request_bytes: u64,
    /// How many bytes of the protocol a usual reply has, if that is known.
    pub reply_bytes: Option<u64>,
    /// The load of each run.
    pub load: Load,
    /// How the client uses its machine.
    pub client: Machine,
    /// What is to be found out.
    pub plan: Plan,
}

impl Document {
    /// Puts a document together, when a campaign has come to its end or was stopped.
    pub fn new<E: fmt::Display>(
        question: Question,
        runs: Vec<Run>,
        conclusion: &Conclusion<E>,
    ) -> Self {
        let servers = conclusion.servers.iter().enumerate();
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            provenance: vec![question.provenance],
            targets: question.targets,
            addresses: question.addresses,
            bind: question.bind,
            what: question.what,
            request_bytes: question.request_bytes,
            reply_bytes: question.reply_bytes,
            load: question.load,
            client: question.client,
            plan: question.plan,
            answer: conclusion.answer.clone(),
            stopped: conclusion.stopped.as_ref().map(ToString::to_string),
            warnings: Vec::new(),
            servers: servers
                .map(|(place, summary)| Figures::of(place, summary, question.reply_bytes))
                .collect(),
            runs,
        }
    }

    /// The document with these warnings in place of its own.
    #[must_use]
    pub fn with_warnings(mut self, warnings: Vec<Warning>) -> Self {
        self.warnings = warnings;
        self
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// It is not one, or of a version that is not known here.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        /// What all versions have.
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }

        match serde_json::from_str(text) {
            Ok(Head { format, .. }) if format != FORMAT => Err(ReadError::Format),
            Ok(Head { version, .. }) if version != VERSION => Err(ReadError::Version(version)),
            Ok(_) => {
                let value = serde_json::from_str(text).map_err(ReadError::Json)?;
                match absurd(&value) {
                    Some(number) => Err(ReadError::Absurd(number)),
                    None => serde_json::from_str(text).map_err(ReadError::Json),
                }
            }
            Err(error) if error.is_data() => Err(ReadError::Format),
            Err(error) => Err(ReadError::Json(error)),
        }
    }

    /// Writes the document, in one line.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }

    /// The latencies over time, for an HDR log; those of two servers have the tags A and B, and those of a search the rate.
    pub fn hdr_lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.runs.iter().flat_map(move |run| {
            let tag = match (run.rate, self.targets.len(), run.target) {
                (Some(rate), ..) => Cow::Owned(rate.to_string()),
                (None, ..=1, _) => Cow::Borrowed(""),
                (None, _, 0) => Cow::Borrowed("A"),
                _ => Cow::Borrowed("B"),
            };
            let measured = UNIX_EPOCH
                + Duration::from_nanos(run.started_unix_ns)
                + Duration::from_nanos(self.load.warmup_ns);
            run.result.intervals.iter().map(move |interval| Line {
                start: measured + Duration::from_nanos(interval.start_ns),
                length: Duration::from_nanos(interval.length_ns),
                tag: tag.clone(),
                latencies: &interval.response,
            })
        })
    }
}

/// The most that any measured number is: two years in nanoseconds. Sums of them are still far from what 64 bits hold.
const MOST: u64 = 1 << 56;

/// A number that nothing that was measured can be.
fn absurd(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().filter(|&number| number > MOST),
        Value::Array(values) => values.iter().find_map(absurd),
        Value::Object(fields) => fields
            .iter()
            // These need all bits, or are sums of as many as there are requests.
            .filter(|(name, _)| {
                !matches!(name.as_str(), "seed" | "started_unix_ns" | "lag_total_ns")
            })
            .find_map(|(_, value)| absurd(value)),
        _ => None,
    }
}

/// Why a document could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// It is not a load generator's.
    Format,
    /// It is of another version.
    Version(u32),
    /// This number is in it, which nothing that was measured can be.
    Absurd(u64),
    /// It is not well-formed.
    Json(serde_json::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("not the JSON document of a load generator of ksf"),
            Self::Version(version) => {
                write!(
                    f,
                    "a document of version {version}, and only {VERSION} is known"
                )
            }
            Self::Absurd(number) => write!(f, "{number} is more than anything can be"),
            Self::Json(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// Keeps every run of a campaign for its document.
#[derive(Clone, Debug, Default)]
pub struct RunLog {
    /// The runs so far.
    pub runs: Vec<Run>,
    started_unix_ns: u64,
}

impl RunLog {
    /// The run that is to come begins to send now.
    pub fn starts(&mut self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.started_unix_ns = since.ok().and_then(nanos).unwrap_or_default();
    }
}

impl Observer for RunLog {
    fn ended(&mut self, assignment: &Assignment, result: &RunResult) {
        self.runs.push(Run {
            number: assignment.number,
            target: assignment.target,
            rate: assignment.rate,
            seed: assignment.seed,
            started_unix_ns: self.started_unix_ns,
            start_skew_ns: 0,
            result: result.into(),
        });
    }
}

#[cfg(test)]
pub(super) mod tests;
