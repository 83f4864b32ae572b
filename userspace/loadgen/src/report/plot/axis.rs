// SPDX-License-Identifier: GPL-2.0

//! Scales of a chart: from a value to a place, and where the ticks are.

/// How values are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// From the lowest value, at the first place, to the highest, at the last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    scale: Scale,
    values: (f64, f64),
    places: (f64, f64),
}

impl Axis {
    /// From `low` to `high` as they are; values beyond them are drawn at the ends.
    pub(super) fn exact(low: f64, high: f64, places: (f64, f64)) -> Self {
        // A range without extent has its value in the middle.
        let values = if high > low {
            (low, high)
        } else {
            (low - 0.5, low + 0.5)
        };
        Self {
            scale: Scale::Linear,
            values,
            places,
        }
    }

    /// From 0 to a round number that is at least `high`.
    pub(super) fn from_zero(high: f64, places: (f64, f64)) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = round_step(high / 5.0);
        Self {
            scale: Scale::Linear,
            values: (0.0, (high / step).ceil() * step),
            places,
        }
    }

    /// For what has magnitudes, such as latencies, from `low` to `high`: logarithmic if they differ so much that the lower ones would be one line.
    pub(super) fn of_magnitudes(low: f64, high: f64, places: (f64, f64)) -> Self {
        /// The ratio from which on the scale is logarithmic.
        const FAR_APART: f64 = 20.0;
        let low = low.max(1.0);
        if high < low * FAR_APART {
            return Self::from_zero(high, places);
        }
        Self {
            scale: Scale::Logarithmic,
            values: (round_down(low), round_step(high)),
            places,
        }
    }

    /// Where a value is.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let value = value.clamp(low, high);
        let part = match self.scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Logarithmic => (value / low).ln() / (high / low).ln(),
        };
        self.places.0 + part * (self.places.1 - self.places.0)
    }

    /// The places of the first and of the last value.
    pub(super) fn places(&self) -> (f64, f64) {
        self.places
    }

    /// The values that are labelled, from the lowest.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        match self.scale {
            Scale::Linear => {
                let step = round_step((high - low) / 6.0);
                let first = (low / step - 1e-9).ceil();
                let last = (high / step + 1e-9).floor();
                let count = (last - first) as usize + 1;
                (0..count)
                    .map(|tick| (first + tick as f64) * step)
                    .collect()
            }
            Scale::Logarithmic => {
                // All of 1, 2 and 5 of each decade as long as there is room.
                let decades = (high / low).log10();
                let of_decade: &[f64] = if decades <= 3.5 {
                    &SERIES[..3]
                } else {
                    &SERIES[..1]
                };
                let first = low.log10().floor() as i32;
                let last = high.log10().ceil() as i32;
                (first..=last)
                    .flat_map(|decade| of_decade.iter().map(move |step| step * 10_f64.powi(decade)))
                    .filter(|tick| (low * 0.999..=high * 1.001).contains(tick))
                    .collect()
            }
        }
    }
}

/// Round numbers of a decade, and the first of the next.
const SERIES: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// The greatest round number that is at most this.
fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let steps = SERIES.iter().rev().map(|step| step * decade);
    steps
        .into_iter()
        .find(|&tick| tick <= value * 1.000_001)
        .unwrap_or(decade)
}

/// The least round number that is at least this.
fn round_step(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let mut steps = SERIES.iter().map(|step| step * decade);
    steps
        .find(|&step| step >= value * 0.999_999)
        .unwrap_or(decade * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= expected.abs() * 1e-9 + 1e-12,
                "{found}"
            );
        }
    }

    #[test]
    fn linear_axes_have_round_ticks() {
        near(
            &Axis::from_zero(93_000.0, (0.0, 1.0)).ticks(),
            &[0.0, 20_000.0, 40_000.0, 60_000.0, 80_000.0, 100_000.0],
        );
        near(
            &Axis::exact(0.0, 2.5, (0.0, 1.0)).ticks(),
            &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5],
        );
    }

    #[test]
    fn logarithmic_axes_have_fewer_ticks_the_longer_they_are() {
        let axis = Axis::of_magnitudes(12_000.0, 450_000.0, (0.0, 1.0));
        near(&axis.ticks(), &[1e4, 2e4, 5e4, 1e5, 2e5, 5e5]);
        let axis = Axis::of_magnitudes(12_000.0, 1.1e9, (0.0, 1.0));
        near(&axis.ticks(), &[1e4, 1e5, 1e6, 1e7, 1e8, 1e9]);
    }

    #[test]
    fn values_are_between_the_ends() {
        for axis in [
            Axis::exact(3.0, 9.0, (100.0, 20.0)),
            Axis::from_zero(7.0, (100.0, 20.0)),
            Axis::of_magnitudes(10.0, 1e9, (100.0, 20.0)),
            Axis::of_magnitudes(10.0, 20.0, (100.0, 20.0)),
        ] {
            let places: Vec<_> = [0.0, 1.0, 3.5, 8.0, 1e5, 1e12]
                .map(|value| axis.place(value))
                .into();
            assert!(places.iter().all(|place| (20.0..=100.0).contains(place)));
            assert!(
                places.windows(2).all(|pair| pair[1] <= pair[0]),
                "{places:?}"
            );
            assert!((axis.place(f64::MIN_POSITIVE) - 100.0).abs() < 1e-9);
            assert!((axis.place(1e12) - 20.0).abs() < 1e-9);
        }
    }

    #[test]
    fn nothing_and_one_value_have_axes_too() {
        assert_eq!(Axis::exact(5.0, 5.0, (0.0, 10.0)).place(5.0), 5.0);
        for axis in [
            Axis::from_zero(0.0, (0.0, 10.0)),
            Axis::of_magnitudes(0.0, 0.0, (0.0, 10.0)),
            Axis::of_magnitudes(1.0, 1.0, (0.0, 10.0)),
            Axis::exact(0.0, 0.0, (0.0, 10.0)),
        ] {
            assert!(axis.place(0.0).is_finite());
            assert!(axis.ticks().len() >= 2, "{axis:?}");
        }
    }
}
