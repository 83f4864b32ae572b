// SPDX-License-Identifier: GPL-2.0

use super::*;

/// A server in which latencies are those of an M/M/1 queue: exponential, of the mean 1/(capacity − rate).
struct Server {
    capacity: f64,
    seconds: f64,
    /// The standard deviation of a factor, in which whole runs differ.
    noise: f64,
    /// One run in so many is spoilt by a stall.
    spoilt: Option<u32>,
    rng: fastrand::Rng,
}

impl Server {
    fn new(seed: u64) -> Self {
        Self {
            capacity: 100_000.0,
            seconds: 1.0,
            noise: 0.0,
            spoilt: None,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// The highest rate at which the p99, the 990th of the thousand quantiles, is below so many nanoseconds.
    fn truth(&self, below_ns: f64) -> f64 {
        self.capacity + (1.0_f64 - 0.9895).ln() / (below_ns * 1e-9)
    }

    fn measure(&mut self, rate: u64) -> Trial {
        let rate = rate as f64;
        let spoilt = self
            .spoilt
            .is_some_and(|one_in| self.rng.u32(..one_in) == 0);
        if rate >= self.capacity || spoilt {
            return Trial {
                sustained: false,
                latencies: Distribution {
                    buckets: vec![(1_000_000_000, 1_000)],
                },
            };
        }
        // The sum of 12 uniform numbers is nearly normal.
        let deviation: f64 = (0..12).map(|_| self.rng.f64() - 0.5).sum();
        let mean_ns = 1e9 / (self.capacity - rate) * (1.0 + self.noise * deviation);
        // A thousand quantiles, each as often as it takes for the rate.
        let each = (rate * self.seconds / 1_000.0) as u64;
        let few = if each == 0 {
            (rate * self.seconds) as u64
        } else {
            1_000
        };
        let quantile = |i: u64| -mean_ns * (1.0 - (i as f64 + 0.5) / few as f64).ln();
        Trial {
            sustained: true,
            latencies: Distribution {
                buckets: (0..few)
                    .map(|i| (quantile(i) as u64, each.max(1)))
                    .collect(),
            },
        }
    }
}

fn plan(objectives: &str) -> SearchPlan {
    SearchPlan::new(objectives.parse().unwrap())
}

fn search(plan: SearchPlan, mut measure: impl FnMut(u64) -> Trial) -> (Found, Vec<u64>) {
    let mut search = Search::new(plan);
    let mut rates = Vec::new();
    loop {
        match search.next() {
            Step::Measure(rate) => {
                search.measured(rate, &measure(rate));
                rates.push(rate);
            }
            Step::Done(found) => return (found, rates),
        }
    }
}

#[test]
fn the_rate_is_found_to_the_resolution_if_nothing_is_left_to_chance() {
    for first in [1, 1_000, 53_951, 80_000, 100_000, 5_000_000] {
        let mut server = Server::new(1);
        let truth = server.truth(100_000.0);
        let asked = SearchPlan {
            first,
            resolution: 0.001,
            ..plan("p99<100us")
        };
        let (found, rates) = search(asked, |rate| server.measure(rate));
        assert_eq!(found.end, End::Resolved);
        let (met, missed) = (found.met.unwrap() as f64, found.missed.unwrap() as f64);
        assert!((met / truth - 1.0).abs() < 0.002, "{first}: {met} {truth}");
        assert!(met < missed && missed <= met * 1.001 + 1.0);
        assert!(rates.len() < 80, "{} runs", rates.len());
    }
}

#[test]
fn it_begins_with_doubling_and_goes_on_with_the_middle() {
    let sharp = |rate: u64| Trial {
        sustained: rate < 5_000,
        latencies: Distribution {
            buckets: vec![(1_000, 100_000)],
        },
    };
    let (found, rates) = search(
        SearchPlan {
            resolution: 0.1,
            ..plan("p99<50us")
        },
        sharp,
    );
    // Each rate that was not sustained is tried twice, and the answer as well.
    assert_eq!(
        rates,
        [1_000, 2_000, 4_000, 8_000, 8_000, 5_657, 5_657, 4_757, 5_188, 5_188, 4_757]
    );
    let expected = Found {
        met: Some(4_757),
        missed: Some(5_188),
        met_above: None,
        missed_below: None,
        end: End::Resolved,
    };
    assert_eq!(found, expected);
}

#[test]
fn noise_between_runs_moves_the_answer_by_little() {
    let mut worst: f64 = 0.0;
    for seed in 0..100 {
        let mut server = Server {
            noise: 0.05,
            ..Server::new(seed)
        };
        let truth = server.truth(100_000.0);
        let (found, _) = search(plan("p99<100us"), |rate| server.measure(rate));
        assert_eq!(found.end, End::Resolved);
        worst = worst.max((found.met.unwrap() as f64 / truth - 1.0).abs());
    }
    // There, 5 % of latency are 4.3 % of rate.
    assert!(worst < 0.1, "{worst}");
}

#[test]
fn spoilt_runs_do_not_mislead_it() {
    let mut near = 0;
    for seed in 0..100 {
        let mut server = Server {
            noise: 0.02,
            spoilt: Some(15),
            ..Server::new(seed)
        };
        let truth = server.truth(100_000.0);
        let (found, _) = search(plan("p99<100us"), |rate| server.measure(rate));
        near += u32::from((found.met.unwrap() as f64 / truth - 1.0).abs() < 0.06);
    }
    assert!(near >= 95, "{near} of 100");
}

#[test]
fn the_same_measurements_give_the_same_search() {
    let once = || {
        let mut server = Server {
            noise: 0.1,
            spoilt: Some(10),
            ..Server::new(7)
        };
        search(plan("p99<100us"), |rate| server.measure(rate))
    };
    assert_eq!(once(), once());
}

#[test]
fn a_server_that_always_keeps_the_objective_is_tried_at_the_highest_rate() {
    let fast = |_| Trial {
        sustained: true,
        latencies: Distribution {
            buckets: vec![(1_000, 100_000)],
        },
    };
    let (found, rates) = search(
        SearchPlan {
            most: 5_000,
            ..plan("p99<50us")
        },
        fast,
    );
    let expected = Found {
        met: Some(5_000),
        missed: None,
        met_above: None,
        missed_below: None,
        end: End::MetAtMost,
    };
    assert_eq!(found, expected);
    assert_eq!(rates, [1_000, 2_000, 4_000, 5_000, 5_000]);
}

#[test]
fn a_server_that_never_keeps_the_objective_is_tried_at_the_lowest_rate() {
    let slow = |_| Trial {
        sustained: true,
        latencies: Distribution {
            buckets: vec![(1_000_000, 100_000)],
        },
    };
    let (found, rates) = search(
        SearchPlan {
            least: 300,
            ..plan("p99<50us")
        },
        slow,
    );
    let expected = Found {
        met: None,
        missed: Some(300),
        met_above: None,
        missed_below: None,
        end: End::MissedAtLeast,
    };
    assert_eq!(found, expected);
    // Higher rates are tried first: a server may be faster there.
    let probes = [4_000, 16_000, 64_000, 256_000];
    assert_eq!(rates, [&[1_000][..], &probes, &[500, 300, 300]].concat());
}

#[test]
fn a_rate_that_is_not_sustained_is_missed_whatever_the_latencies() {
    assert!(is_sustained(1_000.0, 990.0, 0, 0.0));
    assert!(!is_sustained(1_000.0, 989.9, 0, 0.0));
    assert!(!is_sustained(1_000.0, 1_000.0, 1, 0.0));
    assert!(is_sustained(1_000.0, 975.0, 0, 0.03));
    let (found, _) = search(
        SearchPlan {
            most: 100_000,
            ..plan("p99<1s")
        },
        |rate| Trial {
            sustained: rate <= 30_000,
            latencies: Distribution {
                buckets: vec![(1_000, 100_000)],
            },
        },
    );
    let (met, missed) = (found.met.unwrap(), found.missed.unwrap());
    assert!(met <= 30_000 && 30_000 < missed);
}

#[test]
fn too_few_latencies_are_passed_over_and_said_if_they_decide() {
    // p99.9 needs 3,688 latencies: at 0.1 s a run that takes a rate of 36,880, or a third of it with three runs.
    let mut server = Server {
        seconds: 0.1,
        ..Server::new(3)
    };
    let asked = SearchPlan {
        first: 500,
        ..plan("p99.9<200us")
    };
    let (found, rates) = search(asked.clone(), |rate| server.measure(rate));
    assert_eq!(found.end, End::Resolved);
    let truth = 100_000.0 - 1_000_f64.ln() / 200e-6;
    assert!(
        (found.met.unwrap() as f64 / truth - 1.0).abs() < 0.05,
        "{found:?} {truth}"
    );
    // While nothing is missed, a rate that cannot be judged is not tried twice.
    assert_eq!(rates[..3], [500, 1_000, 2_000]);

    let mut server = Server {
        seconds: 0.001,
        capacity: 10_000.0,
        ..Server::new(3)
    };
    let (found, _) = search(asked, |rate| server.measure(rate));
    assert_eq!((found.met, found.end), (None, End::TooFewLatencies));
}

#[test]
fn it_ends_after_as_many_runs_as_are_allowed() {
    let mut server = Server {
        noise: 0.5,
        ..Server::new(9)
    };
    let asked = SearchPlan {
        most_runs: 7,
        resolution: 0.000_1,
        ..plan("p99<100us")
    };
    let (found, rates) = search(asked, |rate| server.measure(rate));
    assert_eq!((found.end, rates.len()), (End::OutOfRuns, 7));
}

#[test]
fn it_ends_whatever_it_is_told() {
    for seed in 0..100 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (_, rates) = search(plan("p99<50us"), |_| Trial {
            sustained: rng.u32(..4) > 0,
            latencies: Distribution {
                buckets: match rng.u32(..4) {
                    0 => vec![(1_000, 100_000)],
                    1 => vec![(1_000_000, 100_000)],
                    2 => vec![(50_000, 100_000)],
                    _ => Vec::new(),
                },
            },
        });
        assert!(rates.len() <= 100);
        assert!(rates.iter().all(|rate| (1..=1_000_000_000).contains(rate)));
    }
}

#[test]
fn limits_that_make_no_sense_are_put_right() {
    let asked = SearchPlan {
        first: 0,
        least: 0,
        most: 0,
        ..plan("p99<50us")
    };
    let (found, rates) = search(asked, |_| Trial {
        sustained: true,
        latencies: Distribution {
            buckets: vec![(1_000, 100_000)],
        },
    });
    assert_eq!((found.met, rates), (Some(1), vec![1, 1]));
}

/// A server that is slow when it has been idle: the p50 is 6 ms below 600 requests a second.
fn sleepy(rate: u64) -> Trial {
    let latency = if rate < 600 { 6_000_000 } else { 100_000 };
    Trial {
        sustained: rate <= 20_000,
        latencies: Distribution {
            buckets: vec![(latency, rate * 2)],
        },
    }
}

#[test]
fn a_server_that_is_faster_under_load_is_found_to_be() {
    let asked = SearchPlan {
        first: 100,
        ..plan("p50<4ms")
    };
    let (found, rates) = search(asked, sleepy);
    let met = found.met.unwrap();
    assert!((19_000..=20_000).contains(&met), "{found:?}");
    assert_eq!(found.end, End::Resolved);
    // That a lower rate misses it is told, and was made sure of.
    assert_eq!(found.missed_below, Some(400));
    assert_eq!(rates.iter().filter(|&&rate| rate == 400).count(), 3);
}

#[test]
fn a_higher_rate_that_keeps_it_is_told() {
    let run = |ns| Trial {
        sustained: true,
        latencies: Distribution {
            buckets: vec![(ns, 100_000)],
        },
    };
    let mut search = Search::new(plan("p50<1ms"));
    for (rate, ns) in [
        (1_000, 1),
        (4_000, 1),
        (2_000, 5_000_000),
        (2_000, 5_000_000),
    ] {
        search.measured(rate, &run(ns));
    }
    // The one that contradicts is measured as often as may be.
    assert_eq!(search.next(), Step::Measure(2_000));
    let found = loop {
        match search.next() {
            Step::Measure(rate) => {
                search.measured(rate, &run(if rate < 2_000 { 1 } else { 5_000_000 }))
            }
            Step::Done(found) => break found,
        }
    };
    assert!(
        found.met < Some(2_000) && found.missed <= Some(2_000),
        "{found:?}"
    );
    assert_eq!((found.met_above, found.missed_below), (Some(4_000), None));
}

#[test]
fn where_runs_are_too_short_it_does_not_go_down() {
    // Of p99, 368 latencies tell, and runs of a second have them at 123 a second and more.
    let (found, rates) = search(plan("p99<50us"), |rate| Trial {
        sustained: rate <= 1_000,
        latencies: Distribution {
            buckets: vec![(1_000_000, rate)],
        },
    });
    assert_eq!((found.met, found.end), (None, End::TooFewLatencies));
    assert!(rates.iter().all(|&rate| rate >= 123), "{rates:?}");
}
