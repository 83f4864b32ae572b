// SPDX-License-Identifier: GPL-2.0

//! The percentile spectrum: which latency which part of the requests does not exceed.

use crate::{stats::order::CONFIDENCE, Histogram};

/// A spectrum, along `log10(1 / (1 - quantile))`: 0 is the minimum, 1 is p90, 2 is p99 and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Spectrum {
    /// Where each latency, in nanoseconds, is reached; both never decrease.
    pub(super) points: Vec<(f64, f64)>,
    /// Up to where there are enough requests to tell.
    pub(super) supported: f64,
}

impl Spectrum {
    /// The spectrum of a histogram; it ends with the maximum, half a request before all of them.
    pub(super) fn of(histogram: &Histogram) -> Self {
        let (Some(min), Some(max)) = (histogram.min(), histogram.max()) else {
            return Self::default();
        };
        let (min, max) = (min.as_nanos() as f64, max.as_nanos() as f64);
        let all = histogram.len() as f64;
        // What is below the last half of a request, as if it were a whole.
        let place = |seen: f64| -((all - seen).max(0.5) / all).log10();
        let mut points = vec![(0.0, min)];
        let mut seen = 0;
        for &(ns, count) in &histogram.distribution().buckets {
            seen += count;
            points.push((place(seen as f64), (ns as f64).clamp(min, max)));
        }
        if let Some(last) = points.last_mut() {
            last.1 = max;
        }
        // The greatest quantile of which this many requests are a sample that is large enough.
        let least = ((1.0 - CONFIDENCE) / 2.0).ln() / all;
        Self {
            points,
            supported: -(1.0 - least.exp()).log10(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        values.into_iter().for_each(|ns| histogram.record(ns));
        histogram
    }

    #[test]
    fn percentiles_are_where_they_are_expected() {
        let spectrum = Spectrum::of(&filled(1..=1_000));
        let at = |latency: f64| {
            let point = spectrum.points.iter().rfind(|point| point.1 == latency);
            point.unwrap().0
        };
        for (latency, place) in [(1.0, 0.0), (900.0, 1.0), (990.0, 2.0), (999.0, 3.0)] {
            assert!(
                (at(latency) - place).abs() < 1e-3,
                "{latency}: {}",
                at(latency)
            );
        }
        assert!((at(1_000.0) - 2_000_f64.log10()).abs() < 1e-9);
    }

    #[test]
    fn it_never_decreases() {
        let values = (0..10_000_u64).map(|i| i * i % 7_919 + 50);
        let spectrum = Spectrum::of(&filled(values));
        for pair in spectrum.points.windows(2) {
            assert!(pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1, "{pair:?}");
        }
    }

    #[test]
    fn what_is_supported_is_what_the_report_shows() {
        // 368 are enough for p99, and 367 are not.
        assert!(Spectrum::of(&filled(1..=368)).supported >= 2.0);
        assert!(Spectrum::of(&filled(1..=367)).supported < 2.0);
    }

    #[test]
    fn nothing_has_no_spectrum_and_one_has_its_latency() {
        assert_eq!(Spectrum::of(&Histogram::new()), Spectrum::default());
        let one = Spectrum::of(&filled([7]));
        assert_eq!(one.points.first(), Some(&(0.0, 7.0)));
        assert_eq!(one.points.last().map(|point| point.1), Some(7.0));
    }
}
