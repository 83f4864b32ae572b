// SPDX-License-Identifier: GPL-2.0

//! Open loop: when each request is due, whatever became of those before it.

use std::{error, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::engine::Nanos;

/// Requests per second of all connections together, in steps of a thousandth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct Rate {
    /// Requests in 1,000 seconds.
    millihertz: u64,
}

/// Why a rate was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateError {
    /// Not a decimal number with at most one of the suffixes.
    Malformed,
    /// Less than one request in 1,000 seconds, or more than a thousand million a second.
    OutOfRange,
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a number with an optional suffix k or M",
            Self::OutOfRange => "not in 0.001 to 1000M",
        })
    }
}

impl error::Error for RateError {}

impl Rate {
    const MAX_MILLIHERTZ: u64 = 1_000_000_000_000;

    /// So many requests a second, rounded to a thousandth.
    pub fn per_second(rate: f64) -> Result<Self, RateError> {
        let millihertz = (rate * 1e3).round();
        // NaN is in no range.
        if (1.0..=Self::MAX_MILLIHERTZ as f64).contains(&millihertz) {
            Ok(Self {
                millihertz: millihertz as u64,
            })
        } else {
            Err(RateError::OutOfRange)
        }
    }

    /// Requests per second.
    pub fn as_per_second(self) -> f64 {
        self.millihertz as f64 * 1e-3
    }

    /// When the request with this number is due, from the first one, if they follow each other evenly.
    fn even(self, number: u64) -> Nanos {
        // Exact but for the last nanosecond, so that nothing drifts, however many there are.
        let ns = u128::from(number) * 1_000_000_000_000 / u128::from(self.millihertz);
        ns.try_into().unwrap_or(Nanos::MAX)
    }

    /// How many requests are due in so many nanoseconds from the first one, if they follow each other evenly.
    fn before(self, length: Nanos) -> u64 {
        let requests = u128::from(length) * u128::from(self.millihertz);
        requests
            .div_ceil(1_000_000_000_000)
            .try_into()
            .unwrap_or(u64::MAX)
    }
}

/// Reads a decimal number, possibly with a suffix: `k` is a thousand and `M` a million, in capitals or not. A rate is not
/// a size, and never counted in powers of two.
impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (digits, unit) = match text.char_indices().last() {
            Some((end, 'k' | 'K')) => (&text[..end], 1e3),
            Some((end, 'm' | 'M')) => (&text[..end], 1e6),
            _ => (text, 1.0),
        };
        // The standard library would also take signs, exponents and infinity.
        if !digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            return Err(RateError::Malformed);
        }
        let number: f64 = digits.parse().map_err(|_| RateError::Malformed)?;
        Self::per_second(number * unit)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_per_second().fmt(f)
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.as_per_second()
    }
}

impl TryFrom<f64> for Rate {
    type Error = RateError;

    fn try_from(rate: f64) -> Result<Self, RateError> {
        Self::per_second(rate)
    }
}

/// How requests follow each other in open loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly; those of different connections in turn.
    #[default]
    Fixed,
    /// At random, each independent of those before it, as those of many users do (a Poisson process).
    Exponential,
}

/// How many random arrivals are drawn to learn how many there are.
const MOST_DRAWN: u64 = 1 << 20;

/// The times at which the requests of one connection are due, in order.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start: Nanos,
    /// When the next request is due.
    next: Nanos,
    gaps: Gaps,
}

#[derive(Clone, Debug)]
enum Gaps {
    /// The numbers of this connection's requests among those of all are equally far apart.
    Fixed { rate: Rate, number: u64, step: u64 },
    Exponential {
        random: SplitMix,
        mean_ns: f64,
        /// From the start. A float adds up gaps without a noticeable error for years: it has 53 bits, and an error of a
        /// nanosecond at most until 2^53 of them.
        elapsed_ns: f64,
    },
}

impl Schedule {
    /// The share of connection `place`, from 0, of all `connections` in the rate.
    ///
    /// The schedule depends on nothing but these arguments.
    pub(crate) fn new(
        rate: Rate,
        arrivals: Arrivals,
        place: usize,
        connections: usize,
        start: Nanos,
        seed: u64,
    ) -> Self {
        let gaps = match arrivals {
            Arrivals::Fixed => Gaps::Fixed {
                rate,
                number: place as u64,
                step: connections as u64,
            },
            Arrivals::Exponential => Gaps::Exponential {
                random: SplitMix::of_connection(seed, place as u64),
                mean_ns: connections as f64 * 1e12 / rate.millihertz as f64,
                elapsed_ns: 0.0,
            },
        };
        let mut schedule = Self {
            start,
            next: start,
            gaps,
        };
        match &schedule.gaps {
            Gaps::Fixed { rate, number, .. } => {
                schedule.next = start.saturating_add(rate.even(*number));
            }
            Gaps::Exponential { .. } => schedule.advance(),
        }
        schedule
    }

    /// When the next request is due.
    #[inline]
    pub(crate) fn next(&self) -> Nanos {
        self.next
    }

    /// Goes on to the request after the next.
    #[inline]
    pub(crate) fn advance(&mut self) {
        let elapsed = match &mut self.gaps {
            Gaps::Fixed { rate, number, step } => {
                *number += *step;
                rate.even(*number)
            }
            Gaps::Exponential {
                random,
                mean_ns,
                elapsed_ns,
            } => {
                // From 1 down to, but without, 0: the logarithm is finite.
                *elapsed_ns -= (1.0 - random.unit()).ln() * *mean_ns;
                *elapsed_ns as Nanos
            }
        };
        self.next = self.start.saturating_add(elapsed);
    }

    /// Goes past all requests that are due before `end`, and returns how many these are. It does not take the longer the
    /// more they are: of random arrivals, as many as there are on average are left out after [`MOST_DRAWN`].
    pub(crate) fn skip_to(&mut self, end: Nanos) -> u64 {
        let length = end.saturating_sub(self.start);
        let mut skipped = 0;
        if let Gaps::Fixed { rate, number, step } = &mut self.gaps {
            skipped = rate.before(length).saturating_sub(*number).div_ceil(*step);
            *number += skipped * *step;
            self.next = self.start.saturating_add(rate.even(*number));
        }
        while self.next < end {
            if let Gaps::Exponential {
                mean_ns,
                elapsed_ns,
                ..
            } = &mut self.gaps
            {
                if skipped == MOST_DRAWN {
                    // They have no memory, and may go on from anywhere.
                    skipped += ((length as f64 - *elapsed_ns) / *mean_ns) as u64;
                    *elapsed_ns = length as f64;
                }
            }
            self.advance();
            skipped += 1;
        }
        skipped
    }
}

/// Steele, Lea and Flood's SplitMix64: small, good, and the same for ever, as a seed that is printed in a report must be.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix {
    state: u64,
}

impl SplitMix {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator for each connection, that has nothing to do with the others'.
    fn of_connection(seed: u64, place: u64) -> Self {
        let key = Self::new(seed).next();
        Self::new(Self::new(key ^ place).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to 1, without 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(schedule: &mut Schedule, count: usize) -> Vec<Nanos> {
        let mut next = || {
            let due = schedule.next();
            schedule.advance();
            due
        };
        (0..count).map(|_| next()).collect()
    }

    fn rate(per_second: f64) -> Rate {
        Rate::per_second(per_second).unwrap()
    }

    #[test]
    fn rates_are_decimal() {
        for (text, per_second) in [
            ("1", 1.0),
            ("50k", 50_000.0),
            ("50K", 50_000.0),
            ("2.5M", 2_500_000.0),
            ("1m", 1_000_000.0),
            ("0.001", 0.001),
            (".5k", 500.0),
        ] {
            assert_eq!(text.parse(), Ok(rate(per_second)), "{text}");
        }
        for text in [
            "", "k", ".", "-1", "+1", "1e3", "inf", "nan", "1 k", "1kk", "1.2.3", "\u{663}",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Malformed), "{text}");
        }
        for text in ["0", "0.0004", "1000.1M", "99999999999999999999"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::OutOfRange), "{text}");
        }
        assert_eq!(rate(1.5).to_string(), "1.5");
    }

    #[test]
    fn fixed_arrivals_are_even_and_take_turns() {
        let mut connections: Vec<_> = (0..3)
            .map(|place| Schedule::new(rate(3_000.0), Arrivals::Fixed, place, 3, 50, 0))
            .collect();
        let all: Vec<_> = connections
            .iter_mut()
            .map(|schedule| times(schedule, 3))
            .collect();
        assert_eq!(all[0], [50, 1_000_050, 2_000_050]);
        assert_eq!(all[1], [333_383, 1_333_383, 2_333_383]);
        assert_eq!(all[2], [666_716, 1_666_716, 2_666_716]);
    }

    #[test]
    fn fixed_arrivals_do_not_drift() {
        // A third of a nanosecond's multiple: adding rounded gaps would be off by a third of a second here.
        let rate = rate(3_000_000.0);
        assert_eq!(rate.even(3_000_000_000), 1_000_000_000_000);
        // 100 days of the highest rate, and as many years of the lowest.
        let highest = Rate::per_second(1e9).unwrap();
        assert_eq!(highest.even(8_640_000_000_000_000), 8_640_000_000_000_000);
        assert_eq!(Rate::per_second(0.001).unwrap().even(3), 3_000_000_000_000);
    }

    #[test]
    fn all_that_are_due_before_an_end_are_skipped_and_no_more() {
        for arrivals in [Arrivals::Fixed, Arrivals::Exponential] {
            let new = || Schedule::new(rate(3_000_000.0), arrivals, 1, 7, 50, 1);
            let all = times(&mut new(), 1_000);
            let mut schedule = new();
            let mut before = 0;
            for end in [0, 50, all[0], all[0] + 1, all[9], all[500], all[500], 70] {
                before += schedule.skip_to(end);
                let after = all.iter().filter(|&&due| due < end).count() as u64;
                assert_eq!(before, after.max(before), "{arrivals:?}, {end}");
                assert_eq!(schedule.next(), all[before as usize]);
            }
            assert_eq!(before, 500);
            assert_eq!(times(&mut schedule, 3), all[500..503]);
        }
    }

    #[test]
    fn any_number_of_requests_is_skipped_at_once() {
        // 1,000 million a second for 100 days.
        let end = 8_640_000_000_000_000;
        let mut schedule = Schedule::new(rate(1e9), Arrivals::Fixed, 0, 1, 0, 1);
        assert_eq!((schedule.skip_to(end), schedule.next()), (end, end));
        let mut schedule = Schedule::new(rate(1e9), Arrivals::Exponential, 0, 1, 0, 1);
        let skipped = schedule.skip_to(end);
        // Within what the drawn ones may deviate.
        assert!(skipped.abs_diff(end) < 10_000, "{skipped}");
        assert!((end..end + 100).contains(&schedule.next()));
    }

    #[test]
    fn exponential_arrivals_have_the_mean_and_the_spread_of_their_kind() {
        const COUNT: usize = 100_000;
        let mut schedule = Schedule::new(rate(1_000.0), Arrivals::Exponential, 1, 2, 0, 42);
        let times = times(&mut schedule, COUNT);
        let gaps = || {
            let earlier = [0].iter().chain(&times);
            times
                .iter()
                .zip(earlier)
                .map(|(time, earlier)| (time - earlier) as f64)
        };
        // One of two connections: 500 a second. Mean and deviation are the same, and that of the sample's mean is smaller
        // by the square root of the count: four times that includes all but one sample in 10,000.
        let expected = 2_000_000.0;
        let bound = 4.0 / (COUNT as f64).sqrt();
        let mean = gaps().sum::<f64>() / COUNT as f64;
        assert!((mean / expected - 1.0).abs() < bound, "{mean}");
        let variance = gaps().map(|gap| (gap - mean).powi(2)).sum::<f64>() / COUNT as f64;
        // The variance of the variance is eight times the mean's fourth power over the count.
        assert!(
            (variance / (expected * expected) - 1.0).abs() < bound * 8_f64.sqrt(),
            "{variance}"
        );
        // The median is ln 2 of the mean.
        let below = gaps().filter(|&gap| gap < expected * 2_f64.ln()).count() as f64 / COUNT as f64;
        assert!((below - 0.5).abs() < bound / 2.0, "{below}");
    }

    #[test]
    fn exponential_arrivals_depend_on_seed_and_connection_and_on_nothing_else() {
        let of = |place, seed| {
            let mut schedule = Schedule::new(rate(10.0), Arrivals::Exponential, place, 4, 7, seed);
            times(&mut schedule, 50)
        };
        assert_eq!(of(0, 1), of(0, 1));
        assert_ne!(of(0, 1), of(1, 1));
        assert_ne!(of(0, 1), of(0, 2));
        // Neighbours in both are no relatives either.
        assert_ne!(of(0, 1), of(1, 0));
        assert!(of(0, 1).is_sorted());
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // Of its authors' reference implementation, for the seed 1234567.
        let mut random = SplitMix::new(1_234_567);
        let numbers = [random.next(), random.next(), random.next()];
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }
}
