// SPDX-License-Identifier: GPL-2.0

//! The options that say what a person gets to see.

use std::{ffi::OsString, path::PathBuf, str::FromStr};

use clap::{builder::ValueParserFactory, Args};

use super::{
    ksf::RpcTest,
    plot::{Format, FormatError},
    Subject,
};
use crate::stats::ksf::Middle;

/// The options of ksf's rpctest that say which columns it prints.
#[derive(Args, Clone, Debug, Default)]
pub struct KsfOptions {
    /// With --ksf: averages in place of medians
    #[arg(short, long)]
    pub mean: bool,

    /// With --ksf: these percentiles [default: .3,4.6,31.7,50,68.3,95.4,99.7]
    #[arg(short, long, value_name = "LIST", value_parser = quantiles)]
    pub quantiles: Option<Quantiles>,

    /// With --ksf: more columns
    #[arg(short = 'x', long)]
    pub extended: bool,
}

impl KsfOptions {
    /// The first option that is there, as it is written; it says nothing without ksf's columns.
    pub fn given(&self) -> Option<&'static str> {
        let quantiles = self.quantiles.is_some();
        [
            (self.mean, "--mean"),
            (quantiles, "--quantiles <LIST>"),
            (self.extended, "--extended"),
        ]
        .into_iter()
        .find_map(|(is_given, name)| is_given.then_some(name))
    }

    /// Whether medians or means are printed.
    pub fn middle(&self) -> Middle {
        if self.mean {
            Middle::Mean
        } else {
            Middle::Median
        }
    }

    /// The columns that are asked for.
    pub fn columns<'a>(&self, subject: &'a Subject) -> RpcTest<'a> {
        let mut columns = RpcTest::new(subject).with_middle(self.middle());
        if let Some(Quantiles(quantiles)) = &self.quantiles {
            columns = columns.with_quantiles(quantiles.clone());
        }
        if self.extended {
            columns = columns.extended();
        }
        columns
    }
}

/// Where a picture is to be written, and in what form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotFile {
    /// The file.
    pub path: PathBuf,
    /// What its name says.
    pub format: Format,
}

impl TryFrom<OsString> for PlotFile {
    type Error = FormatError;

    fn try_from(name: OsString) -> Result<Self, FormatError> {
        let path = PathBuf::from(name);
        Format::of(&path).map(|format| Self { path, format })
    }
}

impl ValueParserFactory for PlotFile {
    type Parser = clap::builder::ValueParser;

    fn value_parser() -> Self::Parser {
        use clap::builder::{OsStringValueParser, TypedValueParser};
        OsStringValueParser::new().try_map(Self::try_from).into()
    }
}

/// Percentiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles(pub Vec<f64>);

/// Reads percentiles between commas, as rpctest takes them.
fn quantiles(text: &str) -> Result<Quantiles, String> {
    let one = |text: &str| {
        let text = text.trim();
        // The standard library would also take signs, exponents and infinity.
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let percent = f64::from_str(text).ok().filter(|_| plain)?;
        (percent > 0.0 && percent < 100.0).then_some(percent)
    };
    let quantiles: Option<Vec<_>> = text.split(',').map(one).collect();
    quantiles
        .map(Quantiles)
        .ok_or_else(|| "not a list of percentiles between 0 and 100, such as 50,99.9".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::closed;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Tool {
        #[arg(long)]
        plot: Option<PlotFile>,
        #[command(flatten)]
        ksf: KsfOptions,
    }

    fn read(line: &str) -> Result<Tool, clap::Error> {
        Tool::try_parse_from(["tool"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn a_picture_has_the_form_that_its_name_says() {
        let plot = read("--plot a/b.html").unwrap().plot.unwrap();
        assert_eq!(
            (plot.path, plot.format),
            (PathBuf::from("a/b.html"), Format::Html)
        );
        let error = read("--plot a.png").unwrap_err().to_string();
        assert!(error.contains("does not end with .html or .svg"), "{error}");
    }

    #[test]
    fn ksf_has_its_own_columns() {
        let subject = closed();
        let header = |line: &str| read(line).unwrap().ksf.columns(&subject).header();
        assert!(header("").contains(" MedRPC") && !header("").contains("TotalRPC"));
        let header = header("-m -x -q 99.9,50");
        for name in ["AvgRPC", "      50    99.9", "TotalRPC"] {
            assert!(header.contains(name), "{header}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in ["-q 0", "-q 100", "-q 5e1", "-q 50,", "-q nan"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
