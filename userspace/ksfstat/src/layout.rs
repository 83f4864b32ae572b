// SPDX-License-Identifier: GPL-2.0

//! Aligned text, no wider than a terminal that is not small.

use std::fmt::Write;

/// The longest line.
const WIDTH: usize = 120;

/// How short a text may be cut.
const SHORTEST_TEXT: usize = 8;

/// The head of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// What stands above several columns, or nothing.
    pub(crate) group: &'static str,
    /// The name.
    pub(crate) name: &'static str,
    /// Text, which is aligned to the left and may be cut, not a figure.
    pub(crate) is_text: bool,
    /// At least so wide, so that columns do not move from report to report.
    pub(crate) width: usize,
}

/// Returns the lines of a table: the groups if there are any, the names, and a line for each row, with a cell for each
/// of `heads`.
pub(crate) fn lines(heads: &[Head], rows: &[Vec<String>]) -> String {
    let widths = widths(heads, rows);
    let mut lines = String::new();
    if heads.iter().any(|head| !head.group.is_empty()) {
        push(&mut lines, &group_line(heads, &widths));
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, head), &width) in cells.zip(heads).zip(&widths) {
            let cell = cut(cell, width);
            // Writing to a string never fails.
            let _ = if head.is_text {
                write!(line, "{cell:<width$} ")
            } else {
                write!(line, "{cell:>width$} ")
            };
        }
        line
    };
    push(&mut lines, &line(&mut heads.iter().map(|head| head.name)));
    for row in rows {
        push(&mut lines, &line(&mut row.iter().map(String::as_str)));
    }
    lines
}

/// Adds a line without the spaces at its end.
fn push(lines: &mut String, line: &str) {
    lines.push_str(line.trim_end());
    lines.push('\n');
}

/// How wide each column is.
fn widths(heads: &[Head], rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths: Vec<_> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells
                .max()
                .unwrap_or(0)
                .max(head.name.len())
                .max(head.width)
        })
        .collect();
    for (group, columns) in groups(heads) {
        let last = columns.end - 1;
        // The name has a dash on both sides.
        let missing = (group.len() + 2).saturating_sub(span(&widths[columns]));
        widths[last] += if group.is_empty() { 0 } else { missing };
    }
    // The widest text is cut until all have room.
    while span(&widths) > WIDTH {
        let texts = (0..heads.len()).filter(|&column| {
            let head = &heads[column];
            head.is_text && widths[column] > SHORTEST_TEXT.max(head.name.len())
        });
        let Some(widest) = texts.max_by_key(|&column| widths[column]) else {
            break;
        };
        widths[widest] -= 1;
    }
    widths
}

/// How wide columns are with a space between them.
fn span(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + widths.len().saturating_sub(1)
}

/// The names of groups, and the columns that are below each.
fn groups(heads: &[Head]) -> Vec<(&'static str, std::ops::Range<usize>)> {
    let mut start = 0;
    heads
        .chunk_by(|left, right| left.group == right.group)
        .map(|chunk| {
            let columns = start..start + chunk.len();
            start = columns.end;
            (chunk[0].group, columns)
        })
        .collect()
}

/// The line above the names.
fn group_line(heads: &[Head], widths: &[usize]) -> String {
    let mut line = String::new();
    for (group, columns) in groups(heads) {
        let width = span(&widths[columns]);
        let _ = if group.is_empty() {
            write!(line, "{:width$} ", "")
        } else {
            write!(line, "{group:-^width$} ")
        };
    }
    line
}

/// Takes out of the middle what does not fit: how a name begins, and an address ends, says most.
fn cut(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let tail = kept / 2;
    let head = text.chars().take(kept - tail);
    head.chain(['~'])
        .chain(text.chars().skip(length - tail))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn head(group: &'static str, name: &'static str, is_text: bool) -> Head {
        Head {
            group,
            name,
            is_text,
            width: 0,
        }
    }

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn text_is_to_the_left_and_figures_are_to_the_right() {
        let heads = [head("", "name", true), head("", "n", false)];
        let rows = [row(&["a", "1000"]), row(&["longer", "1"])];
        assert_eq!(
            lines(&heads, &rows),
            "name      n\na      1000\nlonger    1\n"
        );
    }

    #[test]
    fn a_group_is_above_its_columns_and_has_room() {
        let heads = [
            head("", "name", true),
            head("bytes", "in", false),
            head("bytes", "out", false),
            head("", "n", false),
        ];
        let expected = "     -bytes-\nname in  out n\nx     1    2 3\n";
        assert_eq!(lines(&heads, &[row(&["x", "1", "2", "3"])]), expected);
    }

    #[test]
    fn columns_stay_where_they_are() {
        let wide = Head {
            width: 6,
            ..head("", "n", false)
        };
        assert_eq!(lines(&[wide], &[row(&["1"])]), "     n\n     1\n");
    }

    #[test]
    fn the_widest_text_gives_way_and_no_figure_does() {
        let heads = [
            head("", "peer", true),
            head("", "local", true),
            head("", "n", false),
        ];
        let peer = format!("[{}]:1234", "f".repeat(100));
        let row = row(&[&peer, "127.0.0.1:60007", "123456789"]);
        let text = lines(&heads, &[row]);
        let line = text.lines().last().unwrap();
        assert_eq!(line.len(), WIDTH);
        assert!(
            line.starts_with("[fff") && line.contains("fff~fff"),
            "{line}"
        );
        assert!(
            line.ends_with("fff]:1234 127.0.0.1:60007 123456789"),
            "{line}"
        );
    }

    #[test]
    fn what_cannot_be_cut_stays() {
        let figures = "1".repeat(WIDTH);
        let heads = [head("", "a", true), head("", "b", false)];
        let text = lines(&heads, &[row(&["12345678x", &figures])]);
        assert_eq!(text.lines().last(), Some(&*format!("1234~78x {figures}")));
    }

    #[test]
    fn the_middle_is_cut_by_characters() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 5), "ab~ef");
        assert_eq!(cut("abcdef", 4), "ab~f");
        assert_eq!(cut("\u{e4}\u{f6}\u{fc}\u{df}", 3), "\u{e4}~\u{df}");
    }
}
