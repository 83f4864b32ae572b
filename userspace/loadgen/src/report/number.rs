// SPDX-License-Identifier: GPL-2.0

//! Numbers, as a person reads them.

/// What stands for a figure that cannot be told.
pub const NOT_AVAILABLE: &str = "n/a";

/// A whole number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place != 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of what `one` of them is called.
pub fn count_of(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {one}{ending}", grouped(number))
}

/// Something per second, to at least three digits.
pub fn rate(per_second: f64) -> String {
    if per_second >= 99.95 {
        return grouped(per_second.round() as u64);
    }
    let text = significant(per_second, 3);
    if text.contains('.') {
        // 7 a second is not known to be 7.00: it is what was asked for.
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Bits per second, to three digits.
pub fn bits(per_second: f64) -> String {
    let (unit, name) = if per_second < 999_500.0 {
        (1e3, "kbit/s")
    } else if per_second < 999_500_000.0 {
        (1e6, "Mbit/s")
    } else {
        (1e9, "Gbit/s")
    };
    format!("{} {name}", significant(per_second / unit, 3))
}

/// Microseconds of nanoseconds, to a tenth as far as that is in the precision of a histogram, in at most 8 columns.
pub fn microseconds(ns: f64) -> String {
    let us = ns * 1e-3;
    if us < 99_999.95 {
        format!("{us:.1}")
    } else if us < 99_999_999.5 {
        format!("{us:.0}")
    } else {
        format!("{:.1}s", us * 1e-6)
    }
}

/// A latency with its unit, to three digits.
pub fn latency(ns: f64) -> String {
    let unit = Unit::of(ns);
    format!("{} {}", unit.number(ns, 3), unit.name)
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// Its symbol.
    pub name: &'static str,
    ns: f64,
}

impl Unit {
    /// The unit that suits a number of nanoseconds.
    pub fn of(ns: f64) -> Self {
        let (name, unit) = if ns < 999.5 {
            ("ns", 1.0)
        } else if ns < 999_500.0 {
            ("us", 1e3)
        } else if ns < 999_500_000.0 {
            ("ms", 1e6)
        } else {
            ("s", 1e9)
        };
        Self { name, ns: unit }
    }

    /// How many of this unit so many nanoseconds are, to so many digits; nanoseconds are whole.
    pub fn number(self, ns: f64, digits: usize) -> String {
        if self.ns == 1.0 {
            format!("{ns:.0}")
        } else {
            significant(ns / self.ns, digits)
        }
    }
}

/// A part of a whole.
pub fn percent(part: f64) -> String {
    let percent = part * 100.0;
    // One digit that is not 0 is always there.
    if percent != 0.0 && percent.abs() < 0.095 {
        format!("{} %", significant(percent, 1))
    } else if percent != 0.0 && percent.abs() < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// Hours, minutes and seconds.
pub fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours == 0 {
        format!("{minutes}:{seconds:02}")
    } else {
        format!("{hours}:{minutes:02}:{seconds:02}")
    }
}

/// A number to so many digits, or to more if they are before the point.
fn significant(value: f64, digits: usize) -> String {
    // The number as it is rounded decides, or 9.996 would have a digit more than 10.0.
    let rounded = format!("{value:.*e}", digits - 1);
    let exponent: i32 = rounded
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0);
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_three_digits() {
        for (per_second, text) in [
            (0.0, "0.00 kbit/s"),
            (999_400.0, "999 kbit/s"),
            (999_600.0, "1.00 Mbit/s"),
            (999_600_000.0, "1.00 Gbit/s"),
            (123_456_000_000.0, "123 Gbit/s"),
        ] {
            assert_eq!(bits(per_second), text);
        }
    }

    #[test]
    fn thousands_are_told_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (123_456, "123,456"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(count_of(1, "run"), "1 run");
        assert_eq!(count_of(1_000, "run"), "1,000 runs");
    }

    #[test]
    fn rates_have_three_digits() {
        for (per_second, text) in [
            (0.001, "0.001"),
            (0.0, "0"),
            (7.0, "7"),
            (7.256, "7.26"),
            (7.5, "7.5"),
            (10.0, "10"),
            (9.999, "10"),
            (99.96, "100"),
            (12.34, "12.3"),
            (1_234_567.8, "1,234,568"),
        ] {
            assert_eq!(rate(per_second), text);
        }
    }

    #[test]
    fn microseconds_take_eight_columns() {
        for (ns, text) in [
            (0.0, "0.0"),
            (49.0, "0.0"),
            (51.0, "0.1"),
            (12_345.0, "12.3"),
            (99_999_940.0, "99999.9"),
            (99_999_960.0, "100000"),
            (60_000_000_000.0, "60000000"),
            (99_999_999_499.0, "99999999"),
            (100_000_000_000.0, "100.0s"),
            (999_999_900_000_000.0, "999999.9s"),
        ] {
            assert_eq!(microseconds(ns), text);
            assert!(text.len() <= 8 || ns > 1e14);
        }
    }

    #[test]
    fn latencies_have_the_unit_that_suits_them() {
        for (ns, text) in [
            (1.0, "1 ns"),
            (999.4, "999 ns"),
            (999.6, "1.00 us"),
            (12_345.0, "12.3 us"),
            (999_499.0, "999 us"),
            (999_501.0, "1.00 ms"),
            (1_500_000_000.0, "1.50 s"),
            (61_000_000_000.0, "61.0 s"),
            (9_996.0, "10.0 us"),
        ] {
            assert_eq!(latency(ns), text);
        }
        let unit = Unit::of(12_345.0);
        assert_eq!(
            (unit.number(12_345.0, 4).as_str(), unit.name),
            ("12.35", "us")
        );
        assert_eq!(unit.number(1_234_500.0, 4), "1234");
    }

    #[test]
    fn parts_and_times_are_short() {
        for (part, text) in [
            (0.0, "0 %"),
            (0.000_1, "0.01 %"),
            (0.000_5, "0.05 %"),
            (0.001, "0.1 %"),
            (0.012, "1.2 %"),
            (0.097, "9.7 %"),
            (0.0999, "10 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(part), text);
        }
        for (seconds, text) in [
            (0, "0:00"),
            (61, "1:01"),
            (3_599, "59:59"),
            (3_600, "1:00:00"),
            (360_000, "100:00:00"),
        ] {
            assert_eq!(clock(seconds), text);
        }
    }
}
