// SPDX-License-Identifier: GPL-2.0

//! The options that say what a campaign is to find out.

use std::{error, fmt};

use clap::Args;

use super::{ComparePlan, Plan};
use crate::{
    load::Pace,
    schedule::Arrivals,
    stats::{objective::Objectives, search::SearchPlan},
};

/// What is to be found out, beside the number of runs; for the options of a tool.
#[derive(Args, Clone, Debug)]
pub struct CampaignOptions {
    /// Make runs until the 95 % confidence intervals of the median latency and of the rate are as narrow as this, relative
    /// to the figure; of their ratios with compare
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub until_ci: Option<f64>,
}

/// How the highest rate is searched for; for the options of a tool.
#[derive(Args, Clone, Debug)]
pub struct SearchOptions {
    /// Search for the highest rate that keeps the latency below a limit, such as p99<50us or p50<20us,max<1ms
    #[arg(long, value_name = "OBJECTIVE", conflicts_with_all = ["iterations", "until_ci"])]
    pub search: Option<Objectives>,

    /// How close the rate that is found and the next one that is too high are to be
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = percent, requires = "search")]
    pub resolution: f64,
}

/// How two servers are compared; for the options of the subcommand compare.
#[derive(Args, Clone, Debug)]
pub struct CompareOptions {
    /// The difference that does not matter
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = threshold)]
    pub threshold: f64,
}

impl CampaignOptions {
    /// How many runs --until-ci makes at most, which is what ksf makes always.
    const MOST_RUNS: u64 = 99;
    /// How many pairs of runs a comparison makes.
    const PAIRS: u64 = 20;

    /// The plan for one server, with so many runs if that was said. A search begins at the rate of the load, if it has one.
    pub fn plan(&self, search: &SearchOptions, iterations: Option<u64>, pace: Pace) -> Plan {
        if let Some(objectives) = &search.search {
            let mut plan = SearchPlan::new(objectives.clone());
            if let Pace::Open { rate, arrivals } = pace {
                plan.first = (rate.as_per_second() as u64).max(1);
                plan.random_arrivals = arrivals == Arrivals::Exponential;
            }
            plan.resolution = search.resolution;
            return Plan::Search(plan);
        }
        match self.until_ci {
            Some(width) => Plan::UntilCi {
                width,
                most: iterations.unwrap_or(Self::MOST_RUNS),
            },
            None => Plan::Iterations(iterations.unwrap_or(1)),
        }
    }

    /// The plan for a comparison, with so many pairs of runs if that was said.
    pub fn compare_plan(&self, options: &CompareOptions, iterations: Option<u64>) -> Plan {
        let pairs = match self.until_ci {
            Some(_) => Self::MOST_RUNS,
            None => Self::PAIRS,
        };
        Plan::Compare(ComparePlan {
            pairs: iterations.unwrap_or(pairs),
            width: self.until_ci,
            threshold: options.threshold,
        })
    }
}

/// Why a part was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentError;

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a percentage above 0 and up to 100, such as 2%")
    }
}

impl error::Error for PercentError {}

/// Reads a percentage; the sign may be left out.
fn percent(text: &str) -> Result<f64, PercentError> {
    threshold(text).and_then(|part| {
        if part > 0.0 {
            Ok(part)
        } else {
            Err(PercentError)
        }
    })
}

/// Reads a percentage that may be 0.
fn threshold(text: &str) -> Result<f64, PercentError> {
    let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
    // The standard library would also take signs, exponents and infinity.
    if !digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(PercentError);
    }
    let part = digits.parse::<f64>().map_err(|_| PercentError)? / 100.0;
    if part <= 1.0 {
        Ok(part)
    } else {
        Err(PercentError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Kind, LoadOptions};
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Tool {
        #[command(flatten)]
        load: LoadOptions,
        #[command(flatten)]
        campaign: CampaignOptions,
        #[command(flatten)]
        search: SearchOptions,
        #[command(flatten)]
        compare: CompareOptions,
    }

    fn read(line: &str) -> Result<Tool, clap::Error> {
        Tool::try_parse_from(["tool"].into_iter().chain(line.split_whitespace()))
    }

    fn plan(line: &str) -> Plan {
        let Tool {
            load,
            campaign,
            search,
            ..
        } = read(line).unwrap();
        campaign.plan(
            &search,
            load.iterations,
            load.load(Kind::USUAL).unwrap().pace,
        )
    }

    fn compare_plan(line: &str) -> Plan {
        let tool = read(line).unwrap();
        tool.campaign
            .compare_plan(&tool.compare, tool.load.iterations)
    }

    #[test]
    fn without_options_there_is_one_run() {
        assert_eq!(plan(""), Plan::Iterations(1));
        assert_eq!(plan("-i 99"), Plan::Iterations(99));
    }

    #[test]
    fn until_ci_takes_the_iterations_as_the_most() {
        assert_eq!(
            plan("--until-ci 2%"),
            Plan::UntilCi {
                width: 0.02,
                most: 99
            }
        );
        let expected = Plan::UntilCi {
            width: 0.005,
            most: 30,
        };
        assert_eq!(plan("--until-ci=0.5 --iterations=30"), expected);
    }

    #[test]
    fn a_search_begins_at_the_rate_of_the_load() {
        let search = |line: &str| match plan(line) {
            Plan::Search(plan) => plan,
            other => panic!("{other:?}"),
        };
        let found = search("--search p99<50us,max<2ms --resolution 5%");
        assert_eq!(
            (found.first, found.resolution, found.random_arrivals),
            (1_000, 0.05, false)
        );
        assert_eq!(found.objectives.to_string(), "p99<50us,max<2ms");
        let found = search("--search p99<50us --rate 7k --arrivals exponential");
        assert_eq!(
            (found.first, found.resolution, found.random_arrivals),
            (7_000, 0.02, true)
        );
    }

    #[test]
    fn a_comparison_has_pairs_and_a_threshold() {
        let plan = |pairs, width, threshold| {
            Plan::Compare(ComparePlan {
                pairs,
                width,
                threshold,
            })
        };
        assert_eq!(compare_plan(""), plan(20, None, 0.01));
        assert_eq!(
            compare_plan("--until-ci 3% --threshold 0"),
            plan(99, Some(0.03), 0.0)
        );
        assert_eq!(compare_plan("-i 5 --threshold 2.5%"), plan(5, None, 0.025));
        assert_eq!(compare_plan("").targets(), 2);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "-i 0",
            "--until-ci 0%",
            "--until-ci 101%",
            "--until-ci -2%",
            "--until-ci 1e1%",
            "--until-ci %",
            "--until-ci nan",
            "--search p99",
            "--search p99<50us -i 3",
            "--search p99<50us --until-ci 2%",
            "--resolution 5%",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
