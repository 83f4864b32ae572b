// SPDX-License-Identifier: GPL-2.0

//! How evenly clients were served.

use crate::result::ClientResult;

/// How evenly clients were served, by the rate at which each got replies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fairness {
    /// The lowest rate, in replies per second.
    pub least: f64,
    /// The highest.
    pub most: f64,
    /// Jain's index: 1 if all are served alike, and 1/n if one of n is served alone (Jain, Chiu and Hawe: *A Quantitative
    /// Measure of Fairness and Discrimination*, DEC-TR-301, 1984).
    pub jain: f64,
}

impl Fairness {
    /// That of some clients, each of which has a rate of its own, from the end of the warm-up to its last reply. `None` if
    /// nobody was served.
    pub fn of(clients: &[ClientResult]) -> Option<Self> {
        let rates = clients.iter().map(|client| {
            if client.answered == 0 {
                0.0
            } else {
                client.answered as f64 / (client.active_ns.max(1) as f64 * 1e-9)
            }
        });
        let (sum, squares) = rates.clone().fold((0.0, 0.0), |(sum, squares), rate| {
            (sum + rate, squares + rate * rate)
        });
        (sum > 0.0).then(|| Self {
            least: rates.clone().fold(f64::INFINITY, f64::min),
            most: rates.fold(0.0, f64::max),
            jain: sum * sum / (squares * clients.len() as f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(all: &[(u64, u64)]) -> Vec<ClientResult> {
        let client = |&(answered, ms): &(u64, u64)| ClientResult {
            answered,
            active_ns: ms * 1_000_000,
            ..ClientResult::default()
        };
        all.iter().map(client).collect()
    }

    #[test]
    fn the_index_is_that_of_the_rates() {
        let of = |all| Fairness::of(&clients(all)).map(|it| (it.least, it.most, it.jain));
        assert_eq!(of(&[(10, 500), (20, 1_000)]), Some((20.0, 20.0, 1.0)));
        assert_eq!(
            of(&[(10, 1_000), (0, 0), (0, 9)]),
            Some((0.0, 10.0, 1.0 / 3.0))
        );
        assert_eq!(of(&[(1, 1_000), (3, 1_000)]), Some((1.0, 3.0, 0.8)));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(0, 1)]), None);
    }
}
