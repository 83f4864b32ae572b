// SPDX-License-Identifier: GPL-2.0

//! What latencies are to be, as in `p99<50us,max<2ms`, and whether they are.

use std::{error, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::order::{least_sample, lower_rank, rank_of, upper_rank, value_at_rank, CONFIDENCE};
use crate::result::Distribution;

/// What of the latencies is limited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The percentile of this number, between 0 and 100.
    Percentile(f64),
    /// The mean.
    Mean,
    /// The longest.
    Max,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(percent) => write!(f, "p{percent}"),
            Self::Mean => f.write_str("mean"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// What is limited.
    pub measure: Measure,
    /// What it must be below, in nanoseconds.
    pub below_ns: f64,
}

/// One or more limits, all of which must be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Objectives(Vec<Objective>);

/// Why an objective was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectiveError {
    /// There is no `<`.
    NoLimit,
    /// Left of it is none of the measures there are.
    Measure(String),
    /// Right of it is no time with a unit.
    Time(String),
}

impl fmt::Display for ObjectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLimit => f.write_str("not of the form p99<50us"),
            Self::Measure(text) => write!(
                f,
                "'{text}' is not max, mean or a percentile such as p50 or p99.9"
            ),
            Self::Time(text) => write!(f, "'{text}' is not a time in ns, us, ms or s"),
        }
    }
}

impl error::Error for ObjectiveError {}

/// The units of time, the longer names first.
const UNITS: [(&str, f64); 5] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
];

impl FromStr for Objective {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Self, ObjectiveError> {
        let (measure, limit) = text.split_once('<').ok_or(ObjectiveError::NoLimit)?;
        let (measure, limit) = (measure.trim(), limit.trim());
        let no_measure = || ObjectiveError::Measure(measure.to_owned());
        let no_time = || ObjectiveError::Time(limit.to_owned());
        let (number, unit) = UNITS
            .iter()
            .find_map(|&(name, ns)| Some((limit.strip_suffix(name)?, ns)))
            .ok_or_else(no_time)?;
        let below_ns = decimal(number.trim_end()).ok_or_else(no_time)? * unit;
        if !(below_ns > 0.0 && below_ns.is_finite()) {
            return Err(no_time());
        }
        let measure = match measure {
            "max" => Measure::Max,
            "mean" => Measure::Mean,
            _ => measure
                .strip_prefix('p')
                .and_then(decimal)
                .filter(|percent| *percent > 0.0 && *percent < 100.0)
                .map(Measure::Percentile)
                .ok_or_else(no_measure)?,
        };
        Ok(Self { measure, below_ns })
    }
}

/// A number of digits with at most one point; the standard library would also take signs, exponents and infinity.
fn decimal(text: &str) -> Option<f64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        .then(|| text.parse().ok())?
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, ns) = match self.below_ns {
            limit if limit < 1e3 => UNITS[0],
            limit if limit < 1e6 => UNITS[1],
            limit if limit < 1e9 => UNITS[3],
            _ => UNITS[4],
        };
        write!(f, "{}<{}{unit}", self.measure, self.below_ns / ns)
    }
}

impl FromStr for Objectives {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Self, ObjectiveError> {
        text.split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl TryFrom<String> for Objectives {
    type Error = ObjectiveError;

    fn try_from(text: String) -> Result<Self, ObjectiveError> {
        text.parse()
    }
}

impl From<Objectives> for String {
    fn from(objectives: Objectives) -> Self {
        objectives.to_string()
    }
}

impl fmt::Display for Objectives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, objective) in self.0.iter().enumerate() {
            write!(f, "{}{objective}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Whether latencies keep a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// Clearly.
    Met,
    /// They do, but so barely that it may be by chance.
    NearlyMissed,
    /// There are too few of them to tell.
    TooFew,
    /// They do not, but that may be by chance.
    NearlyMet,
    /// Clearly not.
    Missed,
}

impl Objective {
    /// Judges latencies. What is nearer to the limit than `margin`, relative to it, or has the limit inside of its
    /// confidence interval, may be by chance.
    pub fn judge(&self, latencies: &Distribution, margin: f64) -> Judgement {
        let samples = latencies.len();
        let at = |rank: u64| value_at_rank(&latencies.buckets, rank).map(|ns| ns as f64);
        let (value, least, most) = match self.measure {
            Measure::Percentile(percent) => {
                let quantile = percent / 100.0;
                let lower = lower_rank(quantile, samples, CONFIDENCE).and_then(at);
                let upper = upper_rank(quantile, samples, CONFIDENCE).and_then(at);
                (at(rank_of(quantile, samples)), lower, upper)
            }
            Measure::Mean => (mean(latencies), mean(latencies), mean(latencies)),
            Measure::Max => (at(samples), at(samples), at(samples)),
        };
        let limit = self.below_ns;
        // Also too small a sample may show that a percentile is too long.
        if least.is_some_and(|least| least >= limit * (1.0 + margin)) {
            return Judgement::Missed;
        }
        match (value, most) {
            (Some(_), Some(most)) if most < limit * (1.0 - margin) => Judgement::Met,
            (Some(value), Some(_)) if value < limit => Judgement::NearlyMissed,
            (Some(_), Some(_)) => Judgement::NearlyMet,
            _ => Judgement::TooFew,
        }
    }
}

impl Objectives {
    /// Judges latencies by every limit; the worst counts.
    pub fn judge(&self, latencies: &Distribution, margin: f64) -> Judgement {
        let judgements = self
            .0
            .iter()
            .map(|objective| objective.judge(latencies, margin));
        judgements.max().unwrap_or(Judgement::Met)
    }

    /// How many latencies it takes to tell that all limits are kept.
    pub fn least_sample(&self) -> u64 {
        let of = |objective: &Objective| match objective.measure {
            // A percentile below the median takes them for its lower bound, which is not needed.
            Measure::Percentile(percent) => least_sample((percent / 100.0).max(0.5), CONFIDENCE),
            Measure::Mean | Measure::Max => 1,
        };
        self.0.iter().map(of).max().unwrap_or(1)
    }
}

/// The mean of what is in the buckets.
fn mean(latencies: &Distribution) -> Option<f64> {
    let sum: f64 = latencies
        .buckets
        .iter()
        .map(|&(ns, count)| ns as f64 * count as f64)
        .sum();
    (!latencies.is_empty()).then(|| sum / latencies.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(text: &str) -> Objective {
        text.parse().unwrap()
    }

    /// 1 us, 2 us and so on, as many as that.
    fn evenly(count: u64) -> Distribution {
        Distribution {
            buckets: (1..=count).map(|us| (us * 1_000, 1)).collect(),
        }
    }

    #[test]
    fn objectives_are_read() {
        for (text, measure, below_ns) in [
            ("p99<50us", Measure::Percentile(99.0), 50_000.0),
            ("p99.99 < 1.5 ms", Measure::Percentile(99.99), 1_500_000.0),
            ("p50<7\u{b5}s", Measure::Percentile(50.0), 7_000.0),
            ("max<2s", Measure::Max, 2e9),
            (" mean<800ns ", Measure::Mean, 800.0),
            ("p0.1<1ns", Measure::Percentile(0.1), 1.0),
        ] {
            assert_eq!(objective(text), Objective { measure, below_ns }, "{text}");
        }
    }

    #[test]
    fn what_is_no_objective_is_refused() {
        let measure = |text: &str| ObjectiveError::Measure(text.to_owned());
        let time = |text: &str| ObjectiveError::Time(text.to_owned());
        for (text, error) in [
            ("", ObjectiveError::NoLimit),
            ("p99", ObjectiveError::NoLimit),
            ("p99>50us", ObjectiveError::NoLimit),
            ("p100<1us", measure("p100")),
            ("p0<1us", measure("p0")),
            ("p<1us", measure("p")),
            ("p-1<1us", measure("p-1")),
            ("pinf<1us", measure("pinf")),
            ("99<1us", measure("99")),
            ("median<1us", measure("median")),
            ("p99<50", time("50")),
            ("p99<0us", time("0us")),
            ("p99<-1us", time("-1us")),
            ("p99<1e3us", time("1e3us")),
            ("p99<us", time("us")),
            ("p99<\u{b5}s", time("\u{b5}s")),
            ("p99<1m", time("1m")),
            ("p99<<1us", time("<1us")),
        ] {
            assert_eq!(text.parse::<Objective>(), Err(error), "{text}");
        }
        assert!("p99<1us,".parse::<Objectives>().is_err());
        let error = "p999<1us".parse::<Objective>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "'p999' is not max, mean or a percentile such as p50 or p99.9"
        );
    }

    #[test]
    fn objectives_are_printed_as_they_are_read() {
        for text in ["p99<50us", "p99.99<1.5ms,max<2s", "mean<800ns"] {
            assert_eq!(text.parse::<Objectives>().unwrap().to_string(), text);
        }
        assert_eq!(objective("p50<1500us").to_string(), "p50<1.5ms");
    }

    #[test]
    fn what_is_far_from_the_limit_is_clear() {
        // Of 1,000, the p90 is 900 us, and the interval from 881 to 919 us.
        let latencies = evenly(1_000);
        for (text, margin, judgement) in [
            ("p90<920us", 0.0, Judgement::Met),
            ("p90<919us", 0.0, Judgement::NearlyMissed),
            ("p90<901us", 0.0, Judgement::NearlyMissed),
            ("p90<900us", 0.0, Judgement::NearlyMet),
            ("p90<882us", 0.0, Judgement::NearlyMet),
            ("p90<881us", 0.0, Judgement::Missed),
            ("p90<930us", 0.05, Judgement::NearlyMissed),
            ("p90<850us", 0.05, Judgement::NearlyMet),
            ("p90<1000us", 0.05, Judgement::Met),
            ("p90<800us", 0.05, Judgement::Missed),
            ("mean<501us", 0.0, Judgement::Met),
            ("mean<500us", 0.0, Judgement::Missed),
            ("mean<510us", 0.05, Judgement::NearlyMissed),
            ("max<1001us", 0.0, Judgement::Met),
            ("max<1000us", 0.0, Judgement::Missed),
        ] {
            assert_eq!(
                objective(text).judge(&latencies, margin),
                judgement,
                "{text} {margin}"
            );
        }
    }

    #[test]
    fn too_few_latencies_can_miss_a_limit_but_not_meet_it() {
        let latencies = evenly(100);
        assert_eq!(
            objective("p99<1s").judge(&latencies, 0.05),
            Judgement::TooFew
        );
        assert_eq!(
            objective("p99<50us").judge(&latencies, 0.05),
            Judgement::Missed
        );
        let none = Distribution::default();
        for text in ["p50<1s", "mean<1s", "max<1s"] {
            assert_eq!(
                objective(text).judge(&none, 0.0),
                Judgement::TooFew,
                "{text}"
            );
        }
    }

    #[test]
    fn the_worst_of_several_limits_counts() {
        let judge = |text: &str| {
            text.parse::<Objectives>()
                .unwrap()
                .judge(&evenly(1_000), 0.0)
        };
        assert_eq!(judge("p50<2ms,p90<2ms"), Judgement::Met);
        assert_eq!(judge("p50<1us,p90<2ms"), Judgement::Missed);
        assert_eq!(judge("p50<2ms,p99.99<2ms"), Judgement::TooFew);
    }
}
