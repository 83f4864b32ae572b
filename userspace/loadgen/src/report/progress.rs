// SPDX-License-Identifier: GPL-2.0

//! How far a campaign is, while it goes on: a line for the terminal.

use std::collections::VecDeque;

use super::number::{clock, grouped, rate};
use crate::{
    engine::Nanos,
    load::{Extent, Load},
    pulse::Look,
    result::Distribution,
};

/// How far back the figures of the present look.
const PRESENT: Nanos = 1_000_000_000;

/// Where a campaign is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// How long a run takes, if it is told by time.
    run_ns: Option<Nanos>,
    /// How many requests a run has on all connections, if it is told by their number.
    requests: Option<u64>,
    began: Nanos,
    run_began: Nanos,
    run: u64,
    of: Option<Of>,
    /// What the threads of earlier runs told in the end, all together.
    before: Look,
    /// What those of this run told last.
    last: Option<Look>,
    /// What was told in the last second, with all before it: short runs follow each other faster than anybody looks.
    looks: VecDeque<Look>,
}

/// How many runs there will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// So many, if nothing goes wrong.
    Runs(u64),
    /// So many, or fewer.
    AtMost(u64),
}

impl Of {
    fn runs(self) -> u64 {
        match self {
            Self::Runs(runs) | Self::AtMost(runs) => runs,
        }
    }
}

/// The figures of the last second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Present {
    /// Replies per second; `None` if the threads have not told enough.
    pub(crate) rate: Option<f64>,
    /// Response latencies.
    pub(super) latencies: Distribution,
}

impl Progress {
    /// A campaign of runs of this load that begins now.
    pub fn new(load: &Load, now: Nanos) -> Self {
        let (run_ns, requests) = match load.extent {
            Extent::Duration(duration) => (Some(load.warmup_ns.saturating_add(duration)), None),
            Extent::Count(count) => (None, Some(count.saturating_mul(load.connections as u64))),
        };
        Self {
            run_ns,
            requests,
            began: now,
            run_began: now,
            run: 0,
            of: None,
            before: Look::default(),
            last: None,
            looks: VecDeque::new(),
        }
    }

    /// The run with this number, from 1, begins now, and all was told that there is to be told of the one before. As things
    /// are, it is one of so many.
    pub fn begin(&mut self, now: Nanos, run: u64, of: Option<Of>) {
        (self.run_began, self.run, self.of) = (now, run, of);
        if let Some(last) = self.last.take() {
            self.before += &last;
        }
    }

    /// The threads told this.
    pub fn tell(&mut self, look: Look) {
        if look.at == 0 {
            // They have not told anything yet.
            return;
        }
        let mut all = self.before.clone();
        all += &look;
        all.at = look.at;
        self.last = Some(look);
        let look = all;
        // One that is older than a second stays, so that there is always a whole second to look at.
        while self
            .looks
            .get(1)
            .is_some_and(|second| look.at.saturating_sub(second.at) >= PRESENT)
        {
            self.looks.pop_front();
        }
        self.looks.push_back(look);
    }

    /// How things are, in one line.
    pub fn line(&self, now: Nanos) -> String {
        let mut line = self.where_it_is(now);
        if let Some(present) = self.present().rate {
            line.push_str(&format!(", {}/s", rate(present)));
        }
        line
    }

    /// Which run it is, how much of all is done and how long the rest takes.
    pub(crate) fn where_it_is(&self, now: Nanos) -> String {
        let run = match self.of {
            Some(Of::Runs(of)) => format!("run {} of {}", grouped(self.run), grouped(of)),
            Some(Of::AtMost(of)) => {
                format!("run {} of at most {}", grouped(self.run), grouped(of))
            }
            None => format!("run {}", grouped(self.run)),
        };
        let elapsed = now.saturating_sub(self.began);
        let so_far = clock(elapsed / 1_000_000_000);
        let Some(part) = self.part(now) else {
            return format!("{run}, {so_far} so far");
        };
        // The first moments tell nothing of the rest.
        let known = part > 0.01 && elapsed > PRESENT;
        let left = if known {
            let left = elapsed as f64 * (1.0 - part) / part;
            let bound = match self.of {
                Some(Of::AtMost(_)) => "at most ",
                Some(Of::Runs(_)) | None => "",
            };
            format!("{bound}{} left", clock((left * 1e-9).round() as u64))
        } else {
            format!("{so_far} so far")
        };
        format!("{run}, {:.0} %, {left}", (part * 100.0).floor())
    }

    /// Which part of all runs is done; `None` if nobody knows how many there will be.
    pub(super) fn part(&self, now: Nanos) -> Option<f64> {
        let of = self.of?.runs() as f64;
        let part = match (self.run_ns, self.requests) {
            (Some(run_ns), _) => now.saturating_sub(self.run_began) as f64 / run_ns.max(1) as f64,
            (None, Some(requests)) => {
                let done = self
                    .last
                    .as_ref()
                    .map_or(0, |look| look.ledger.scheduled.saturating_sub(look.warmup));
                done as f64 / requests.max(1) as f64
            }
            (None, None) => 0.0,
        };
        let before = self.run.saturating_sub(1) as f64;
        Some(((before + part.clamp(0.0, 1.0)) / of.max(1.0)).min(1.0))
    }

    /// What the threads of this run told last.
    pub(super) fn look(&self) -> Option<&Look> {
        self.last.as_ref()
    }

    /// The figures of the last second.
    pub(crate) fn present(&self) -> Present {
        let (Some(first), Some(last)) = (self.looks.front(), self.looks.back()) else {
            return Present::default();
        };
        let length = last.at.saturating_sub(first.at);
        let answered = last.ledger.answered.saturating_sub(first.ledger.answered);
        Present {
            rate: (length != 0).then(|| answered as f64 / (length as f64 * 1e-9)),
            latencies: last.latencies_since(first),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{pulse::Pulses, report::tests::closed, Ledger};

    const SECOND: Nanos = 1_000_000_000;

    /// What the threads have told when so many requests were sent, and nearly all answered.
    pub(in crate::report) fn look(at: Nanos, sent: u64, latencies: &[(u64, u64)]) -> Look {
        let pulses = Pulses::new(1);
        let ledger = Ledger {
            scheduled: sent,
            sent,
            answered: sent.saturating_sub(128),
            ..Ledger::default()
        };
        let latencies = Distribution {
            buckets: latencies.to_vec(),
        };
        pulses
            .thread(0)
            .unwrap()
            .publish(at, &ledger, &Ledger::default(), &latencies);
        pulses.look()
    }

    fn load(extent: Extent) -> Load {
        Load {
            extent,
            ..closed().load
        }
    }

    #[test]
    fn runs_that_are_told_by_time_have_the_time_left() {
        let load = Load {
            warmup_ns: SECOND,
            ..load(Extent::Duration(9 * SECOND))
        };
        let mut progress = Progress::new(&load, 5 * SECOND);
        progress.begin(5 * SECOND, 1, Some(Of::Runs(4)));
        assert_eq!(progress.line(5 * SECOND), "run 1 of 4, 0 %, 0:00 so far");
        progress.tell(look(7 * SECOND, 1_128, &[]));
        progress.tell(look(8 * SECOND, 51_128, &[]));
        assert_eq!(
            progress.line(10 * SECOND),
            "run 1 of 4, 12 %, 0:35 left, 50,000/s"
        );
        progress.begin(35 * SECOND, 4, Some(Of::Runs(4)));
        assert_eq!(
            progress.where_it_is(44 * SECOND),
            "run 4 of 4, 97 %, 0:01 left"
        );
        // It takes longer than it was to.
        assert_eq!(
            progress.where_it_is(50 * SECOND),
            "run 4 of 4, 100 %, 0:00 left"
        );
    }

    #[test]
    fn runs_that_are_told_by_their_number_have_what_was_sent() {
        let mut progress = Progress::new(&load(Extent::Count(1_000)), 0);
        progress.begin(0, 1, Some(Of::Runs(1)));
        progress.tell(look(2 * SECOND, 1_000, &[]));
        // Four connections have 1,000 each.
        assert_eq!(progress.line(2 * SECOND), "run 1 of 1, 25 %, 0:06 left");
    }

    #[test]
    fn nobody_knows_how_many_runs_it_takes_until_it_is_told() {
        let mut progress = Progress::new(&load(Extent::Duration(SECOND)), 0);
        progress.begin(3_599 * SECOND, 1_234, None);
        assert_eq!(progress.line(3_600 * SECOND), "run 1,234, 1:00:00 so far");
    }

    #[test]
    fn the_present_is_the_last_second() {
        let mut progress = Progress::new(&load(Extent::Count(1)), 0);
        progress.begin(0, 1, None);
        assert_eq!(progress.present(), Present::default());
        for (quarter, sent) in [
            (1, 1_000),
            (2, 2_000),
            (3, 3_000),
            (4, 4_000),
            (5, 5_000),
            (6, 8_000),
        ] {
            progress.tell(look(quarter * SECOND / 4, sent, &[(1_000, sent)]));
        }
        // From 0.5 s to 1.5 s.
        assert_eq!(progress.present().rate, Some(6_000.0));
        assert_eq!(progress.present().latencies.len(), 6_000);
        // If nothing is told any more, the rate is not known.
        let mut silent = Progress::new(&load(Extent::Count(1)), 0);
        silent.tell(look(SECOND, 1_000, &[]));
        silent.tell(look(SECOND, 1_000, &[]));
        assert_eq!(silent.present().rate, None);
    }

    #[test]
    fn there_may_be_an_upper_bound_of_the_time_left() {
        let mut progress = Progress::new(&load(Extent::Duration(SECOND)), 0);
        progress.begin(9 * SECOND, 10, Some(Of::AtMost(99)));
        assert_eq!(
            progress.line(10 * SECOND),
            "run 10 of at most 99, 10 %, at most 1:29 left"
        );
    }

    #[test]
    fn the_last_second_is_seen_however_short_runs_are() {
        let mut progress = Progress::new(&load(Extent::Count(1_000)), 0);
        // Each is looked at once.
        for run in 1..=40 {
            progress.begin(run * SECOND / 10, run, Some(Of::Runs(40)));
            progress.tell(look(run * SECOND / 10 + 1, 1_128, &[(1_000, 1_000)]));
        }
        assert_eq!(progress.present().rate, Some(10_000.0));
        assert_eq!(progress.present().latencies.len(), 10_000);
        assert_eq!(
            progress.look().map(|look| look.ledger.answered),
            Some(1_000)
        );
    }

    #[test]
    fn threads_that_have_told_nothing_yet_are_not_asked() {
        let mut progress = Progress::new(&load(Extent::Count(1)), 0);
        progress.begin(0, 1, None);
        progress.tell(Look::default());
        progress.tell(look(7 * SECOND, 1_000, &[]));
        assert_eq!(progress.present().rate, None);
    }
}
