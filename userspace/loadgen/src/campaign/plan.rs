// SPDX-License-Identifier: GPL-2.0

//! What a campaign is to find out.

use serde::{Deserialize, Serialize};

use crate::stats::search::SearchPlan;

/// What a campaign is to find out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// The figures of so many runs.
    Iterations(u64),
    /// The median latency and the rate, until the intervals of both are narrow.
    UntilCi {
        /// How wide they may be, relative to the figure.
        width: f64,
        /// How many runs are made at most.
        most: u64,
    },
    /// The highest rate that keeps a latency objective.
    Search(SearchPlan),
    /// Which of two servers is faster.
    Compare(ComparePlan),
}

/// How two servers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparePlan {
    /// How many pairs of runs are made; at most, if there is a width.
    pub pairs: u64,
    /// How wide the intervals of the ratios may be if that ends the comparison.
    pub width: Option<f64>,
    /// The difference that does not matter, relative.
    pub threshold: f64,
}

impl Plan {
    /// How many servers it takes.
    pub fn targets(&self) -> usize {
        match self {
            Self::Compare(_) => 2,
            _ => 1,
        }
    }
}
