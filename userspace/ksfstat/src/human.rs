// SPDX-License-Identifier: GPL-2.0

//! Figures in five or six characters.

/// What follows the digits: each stands for 1000 of the one before.
const SUFFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];

/// A number of whole things.
pub(crate) fn count(count: u64) -> String {
    if count < 1000 {
        count.to_string()
    } else {
        scaled(count as f64)
    }
}

/// A number per second.
pub(crate) fn rate(rate: f64) -> String {
    if rate == 0.0 {
        "0".to_owned()
    } else if rate < 0.005 {
        // Not nothing.
        "<0.01".to_owned()
    } else {
        scaled(rate)
    }
}

/// Three digits of `value` and a suffix.
fn scaled(mut value: f64) -> String {
    let mut suffixes = SUFFIXES.into_iter();
    let mut suffix = suffixes.next().unwrap_or_default();
    // From here on it would be rounded to four digits.
    while value >= 999.5 {
        let Some(next) = suffixes.next() else { break };
        suffix = next;
        value /= 1000.0;
    }
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{suffix}")
}

/// How many of `whole` are `part`, or `None` if there are none.
pub(crate) fn percent(part: u64, whole: u64) -> Option<String> {
    ratio(part, whole).map(|ratio| format!("{:.1}%", ratio * 100.0))
}

/// How many of `part` there are for each of `whole`, or `None` if there is none.
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}

/// That a time was less than so many ns, with two digits or all of a whole number.
pub(crate) fn below(ns: u64) -> String {
    let (value, unit) = match ns as f64 {
        ns @ ..1e3 => return format!("<{ns}ns"),
        ns @ ..1e6 => (ns / 1e3, "us"),
        ns @ ..1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = if value < 9.95 { 1 } else { 0 };
    format!("<{value:.decimals$}{unit}")
}

/// How long something has lasted, in ms.
pub(crate) fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..=59 => format!("{seconds}.{}s", ms / 100 % 10),
        60..=3_599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_while_they_are_short() {
        for (number, text) in [
            (0, "0"),
            (7, "7"),
            (999, "999"),
            (1_000, "1.00k"),
            (9_994, "9.99k"),
            (9_999, "10.0k"),
            (123_456, "123k"),
            (999_499, "999k"),
            (999_500, "1.00M"),
            (1_500_000_000, "1.50G"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn rates_have_three_digits() {
        for (number, text) in [
            (0.0, "0"),
            (0.001, "<0.01"),
            (0.017, "0.02"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (999.6, "1.00k"),
            (12_345.0, "12.3k"),
            (3e6, "3.00M"),
        ] {
            assert_eq!(rate(number), text);
        }
    }

    #[test]
    fn nothing_is_no_whole() {
        assert_eq!(percent(1, 3).as_deref(), Some("33.3%"));
        assert_eq!(percent(7, 7).as_deref(), Some("100.0%"));
        assert_eq!(percent(0, 7).as_deref(), Some("0.0%"));
        assert_eq!(percent(0, 0), None);
        assert_eq!(ratio(3, 2), Some(1.5));
        assert_eq!(ratio(3, 0), None);
    }

    #[test]
    fn the_ends_of_buckets_are_short() {
        for (shift, text) in [
            (0, "<1ns"),
            (9, "<512ns"),
            (10, "<1.0us"),
            (11, "<2.0us"),
            (13, "<8.2us"),
            (14, "<16us"),
            (19, "<524us"),
            (20, "<1.0ms"),
            (29, "<537ms"),
            (30, "<1.1s"),
            (40, "<1100s"),
        ] {
            assert_eq!(below(1 << shift), text);
        }
    }

    #[test]
    fn ages_have_their_two_largest_units() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1.0s"),
            (59_999, "59.9s"),
            (60_000, "1m00s"),
            (3_599_000, "59m59s"),
            (3_600_000, "1h00m"),
            (86_399_000, "23h59m"),
            (90_000_000, "1d01h"),
        ] {
            assert_eq!(age(ms), text);
        }
    }
}
