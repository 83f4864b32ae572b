// SPDX-License-Identifier: GPL-2.0

//! What of an output is the same each time.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A word with all that belongs to it, such as `p99.9`; or a number with its unit, several that belong together such as an
/// address, or what stands for one that cannot be told.
static WORD_OR_NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?x)
        \bn/a\b
        | \[[0-9a-f]*:[0-9a-f:.]*\] (?: :\d+ )?
        | (?<word> [[:alpha:]_][\w.-]* )
        | [-+]? \d+ (?: [.,:/-]\d+ )* (?: \ ?(?:ns|us|µs|ms|s|min|h|k|K|M|G)\b | \ ?% )?";
    Regex::new(pattern).expect("the pattern is right")
});

/// Returns `output` with all numbers replaced by `#`, one space where there are more, and one line of those that are equal
/// then and follow each other.
///
/// So an output may have more or fewer rows of figures than another one, and other figures, and be of the same shape.
pub fn shape(output: &str) -> String {
    let replaced = |found: &Captures<'_>| match found.name("word") {
        Some(word) => word.as_str().to_owned(),
        None => "#".to_owned(),
    };
    let lines = output.lines().map(|line| {
        let line = WORD_OR_NUMBER.replace_all(line, replaced);
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    let mut lines: Vec<_> = lines.collect();
    lines.dedup();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_widths_are_no_part_of_a_shape() {
        let one = "TCP to 192.0.2.1:7, 50000 messages/s\n run  p99.9      max\n   1  113.0  0.9 ms\n   2    n/a   12 us";
        let other = "TCP to [2001:db8::1]:60007, 50k messages/s\nrun p99.9 max\n1 n/a 1.5s";
        assert_eq!(shape(one), "TCP to #, # messages/s\nrun p99.9 max\n# # #");
        assert_eq!(shape(one), shape(other));
    }

    #[test]
    fn words_and_the_order_of_lines_are() {
        for (one, other) in [
            ("1 lost", "1 late"),
            ("p99 5", "p90 5"),
            ("a\nb", "b\na"),
            ("[1, 2]", "[1, 2, 3]"),
            ("5 messages", "messages"),
        ] {
            assert_ne!(shape(one), shape(other), "{one:?} and {other:?}");
        }
    }
}
