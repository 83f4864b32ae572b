// SPDX-License-Identifier: GPL-2.0

//! The live view: the last second in figures, and the last minute as a line of bars.

use std::collections::VecDeque;

use super::{
    number::{grouped, latency, rate, NOT_AVAILABLE},
    progress::{Of, Progress},
    Subject,
};
use crate::{
    engine::Nanos,
    pulse::Look,
    stats::order::{least_sample, CONFIDENCE},
};

/// How many seconds the bars are of.
const BARS: usize = 48;

/// What is seen of a campaign while it goes on.
#[derive(Clone, Debug)]
pub struct Live {
    title: String,
    requests: &'static str,
    progress: Progress,
    /// When the last bar was added.
    last_bar: Nanos,
    /// The rate and p99 of each second, as far as they are known.
    bars: VecDeque<[Option<f64>; 2]>,
}

impl Live {
    /// The view of a campaign that begins now.
    pub fn new(subject: &Subject, now: Nanos) -> Self {
        Self {
            title: format!("{}: {}", subject.tool, subject.what),
            requests: subject.requests,
            progress: Progress::new(&subject.load, now),
            last_bar: now,
            bars: VecDeque::with_capacity(BARS),
        }
    }

    /// The run with this number, from 1, begins now. As things are, it is one of so many.
    pub fn begin(&mut self, now: Nanos, run: u64, of: Option<Of>) {
        self.progress.begin(now, run, of);
    }

    /// The threads told this.
    pub fn tell(&mut self, now: Nanos, look: Look) {
        self.progress.tell(look);
        if now.saturating_sub(self.last_bar) >= 1_000_000_000 {
            self.last_bar = now;
            if self.bars.len() == BARS {
                self.bars.pop_front();
            }
            let [.., p99] = self.percentiles();
            self.bars.push_back([self.progress.present().rate, p99]);
        }
    }

    /// How things are, in lines of at most 79 columns unless the title is longer.
    pub fn lines(&self, now: Nanos) -> Vec<String> {
        let [p50, p99] = self.percentiles().map(|ns| ns.map(latency));
        let known = |text: Option<String>| text.unwrap_or_else(|| NOT_AVAILABLE.to_owned());
        let present = self.progress.present().rate.map(rate);
        let figure = |name: &str, figure: Option<String>, bars: String| {
            format!("{name:<12}{:>14}   {bars}", known(figure))
                .trim_end()
                .to_owned()
        };
        let look = self.progress.look();
        let in_flight = look.map(|look| grouped(look.in_flight()));
        let mut lines = vec![
            self.title.clone(),
            self.progress.where_it_is(now),
            figure(&format!("{}/s", self.requests), present, self.bars(0)),
            figure("p50", p50, String::new()),
            figure("p99", p99, self.bars(1)),
            figure("in flight", in_flight, String::new()),
        ];
        let ledger = look.map(|look| look.ledger).unwrap_or_default();
        lines.push(figure(
            "answered",
            Some(grouped(ledger.answered)),
            String::new(),
        ));
        let others = [
            (ledger.skipped, "skipped"),
            (ledger.late, "late"),
            (ledger.lost, "lost"),
            (ledger.duplicated, "duplicated"),
            (ledger.reordered, "reordered"),
            (ledger.mismatched, "mismatched"),
        ];
        let told: Vec<_> = others
            .iter()
            .filter(|(count, _)| *count != 0)
            .map(|(count, name)| format!("{} {name}", grouped(*count)))
            .collect();
        let others = if told.is_empty() {
            "no errors".to_owned()
        } else {
            told.join(", ")
        };
        lines.push(format!("{:<12}{others}", ""));
        lines
    }

    /// The median and p99 of the last second; `None` if too few tell of them.
    fn percentiles(&self) -> [Option<f64>; 2] {
        let latencies = self.progress.present().latencies;
        [0.5, 0.99].map(|quantile| {
            let enough = latencies.len() >= least_sample(quantile, CONFIDENCE);
            let ns = enough.then(|| latencies.quantile(quantile)).flatten();
            ns.map(|ns| ns as f64)
        })
    }

    /// The last seconds of one of the figures: the highest one is a whole bar.
    fn bars(&self, figure: usize) -> String {
        const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let values = self.bars.iter().map(|bar| bar[figure].unwrap_or(0.0));
        let most = values.clone().fold(0.0, f64::max);
        let bar = |value: f64| {
            let eighths = if most > 0.0 {
                (value / most * 8.0).ceil()
            } else {
                0.0
            };
            EIGHTHS.get(eighths as usize).copied().unwrap_or(' ')
        };
        values.map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{progress::tests::look, tests::closed};

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn before_anything_is_told_nothing_is_known() {
        let mut live = Live::new(&closed(), 0);
        live.begin(0, 1, Some(Of::Runs(3)));
        let expected = "\
rpctest: NFS 3 NULL over TCP to [::1]:2049
run 1 of 3, 0 %, 0:00 so far
requests/s             n/a
p50                    n/a
p99                    n/a
in flight              n/a
answered                 0
            no errors";
        assert_eq!(live.lines(0).join("\n"), expected);
    }

    #[test]
    fn the_last_second_and_the_last_minute_are_seen() {
        let mut live = Live::new(&closed(), 0);
        live.begin(0, 2, None);
        let mut sent = 128;
        let pulses = crate::pulse::Pulses::new(1);
        for second in 1..=5 {
            sent += 10_000 * second;
            let ledger = crate::Ledger {
                scheduled: sent,
                sent,
                answered: sent - 128,
                reordered: 1_000,
                lost: 28,
                ..crate::Ledger::default()
            };
            let latencies = crate::result::Distribution {
                buckets: vec![(12_000, 9_800 * second), (48_000, 200 * second)],
            };
            pulses.thread(0).unwrap().publish(
                second * SECOND,
                &ledger,
                &crate::Ledger::default(),
                &latencies,
            );
            live.tell(second * SECOND, pulses.look());
        }
        let expected = "\
rpctest: NFS 3 NULL over TCP to [::1]:2049
run 2, 0:05 so far
requests/s          50,000    ▄▅▇█
p50                12.0 us
p99                48.1 us    ████
in flight              100
answered           150,000
            28 lost, 1,000 reordered";
        assert_eq!(live.lines(5 * SECOND).join("\n"), expected);
    }

    #[test]
    fn short_runs_have_bars_too() {
        let mut live = Live::new(&closed(), 0);
        for run in 1..=30 {
            let now = run * SECOND / 10;
            live.begin(now, run, Some(Of::Runs(30)));
            live.tell(now, look(now, 1_128, &[(1_000, 1_000)]));
        }
        let lines = live.lines(3 * SECOND);
        assert_eq!(lines[2], "requests/s          10,000   ███");
        assert_eq!(lines[4], "p99                1.01 us   ███");
    }

    #[test]
    fn the_view_is_narrow_enough_for_any_terminal() {
        let mut live = Live::new(&closed(), 0);
        live.begin(0, 1, Some(Of::Runs(1)));
        for second in 1..200 {
            live.tell(
                second * SECOND,
                look(second * SECOND, second * second * 1_000_000, &[]),
            );
        }
        let lines = live.lines(200 * SECOND);
        assert!(
            lines.iter().all(|line| line.chars().count() < 80),
            "{lines:?}"
        );
        // The first of all seconds are gone, and the last one is the highest.
        assert_eq!(
            lines[2].chars().filter(|c| ('▁'..='█').contains(c)).count(),
            BARS
        );
        assert!(lines[2].ends_with('█'));
    }
}
