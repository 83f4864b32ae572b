// SPDX-License-Identifier: GPL-2.0

//! What it takes to write SVG: elements, and text in which nothing can be mistaken for them.

use std::fmt::Write;

/// How text is anchored at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing, as it grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Svg(String);

impl Svg {
    /// Markup as it is.
    pub(super) fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(short);
        self.write(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>\n"
        ));
    }

    /// A line of text, with its base line at this place.
    pub(super) fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        self.turned_text(class, anchor, (x, y), 0, text);
    }

    /// The same, turned by so many degrees.
    pub(super) fn turned_text(
        &mut self,
        class: &str,
        anchor: Anchor,
        (x, y): (f64, f64),
        degrees: i32,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y) = (short(x), short(y));
        let turn = match degrees {
            0 => String::new(),
            _ => format!(" transform=\"rotate({degrees} {x} {y})\""),
        };
        let text = escaped(text);
        self.write(format_args!(
            "<text class=\"{class}\"{anchor} x=\"{x}\" y=\"{y}\"{turn}>{text}</text>\n"
        ));
    }

    /// Lines through places, one for each part, with what is told of it when it is pointed at.
    pub(super) fn path(&mut self, class: &str, parts: &[Vec<(f64, f64)>], title: &str) {
        let mut path = String::new();
        for part in parts {
            for (number, &(x, y)) in part.iter().enumerate() {
                let command = if number == 0 { 'M' } else { 'L' };
                path.push_str(&format!("{command}{} {}", short(x), short(y)));
            }
        }
        if !path.is_empty() {
            let title = escaped(title);
            self.write(format_args!(
                "<path class=\"{class}\" d=\"{path}\"><title>{title}</title></path>\n"
            ));
        }
    }

    /// A dot.
    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let [x, y, radius] = [x, y, radius].map(short);
        self.write(format_args!(
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>\n"
        ));
    }

    /// All of it.
    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn write(&mut self, markup: std::fmt::Arguments<'_>) {
        // Writing to a string never fails.
        let _ = self.0.write_fmt(markup);
    }
}

/// Text that stands for itself in XML and in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no way to write them.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A coordinate, to a tenth of a pixel.
fn short(coordinate: f64) -> String {
    let text = format!("{coordinate:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Leaves places out that cannot be told from the last one that stays; the first and the last stay.
pub(super) fn thinned(places: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    /// As near that it makes no difference, in pixels.
    const NEAR: f64 = 0.35;
    let last = places.len().saturating_sub(1);
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (number, place) in places.into_iter().enumerate() {
        let near = kept
            .last()
            .is_some_and(|kept| (place.0 - kept.0).abs() < NEAR && (place.1 - kept.1).abs() < NEAR);
        if !near || number == last {
            kept.push(place);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_be_mistaken_for_markup() {
        assert_eq!(
            escaped("<a b=\"c\" d='e'>&\u{0}\u{1b}[0m\u{ffff}ü</a>"),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;  [0m\u{fffd}ü&lt;/a&gt;"
        );
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!(
            [0.0, 1.04, 1.06, 960.0].map(short),
            ["0", "1", "1.1", "960"]
        );
    }

    #[test]
    fn places_that_cannot_be_told_apart_are_left_out() {
        let places = vec![
            (0.0, 0.0),
            (0.1, 0.1),
            (0.2, 0.3),
            (0.2, 0.5),
            (0.3, 0.6),
            (0.4, 0.6),
        ];
        assert_eq!(thinned(places), [(0.0, 0.0), (0.2, 0.5), (0.4, 0.6)]);
        assert_eq!(thinned(Vec::new()), []);
    }
}
