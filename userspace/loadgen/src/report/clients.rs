// SPDX-License-Identifier: GPL-2.0

//! What is said of clients that know of their paths: goodput, fairness, packets, round trips and windows.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{
    labelled,
    number::{bits, count_of, grouped, latency, NOT_AVAILABLE},
};
use crate::{
    result::{ClientResult, PathResult},
    stats::fairness::Fairness,
    RunResult,
};

/// The figures of all clients together; of several runs, of those of each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientFigures {
    /// How many there were.
    pub count: u64,
    /// The bits of the replies per second, while all threads were active.
    pub goodput_bits_per_second: Option<f64>,
    /// The lowest rate of a client, in replies per second.
    pub least_rate: Option<f64>,
    /// The highest.
    pub most_rate: Option<f64>,
    /// Jain's index of the clients' rates.
    pub jain_index: Option<f64>,
    /// Packets that were sent, without those that were sent again.
    pub packets_sent: u64,
    /// Packets that were sent again.
    pub packets_resent: u64,
    /// Packets that were received, with duplicates.
    pub packets_received: u64,
    /// Packets that were received and had been received before.
    pub packets_duplicated: u64,
    /// Packets that came before one that was to come first.
    pub packets_reordered: u64,
    /// The shortest smoothed round trip time that a client had in the end.
    pub least_rtt_ns: Option<u64>,
    /// The longest.
    pub most_rtt_ns: Option<u64>,
    /// The smallest congestion window that a client had in the end, in packets.
    pub least_congestion_window: u64,
    /// The largest.
    pub most_congestion_window: u64,
    /// How many packets the server may send to a client in one call that are not acknowledged.
    pub receive_window: u64,
}

impl ClientFigures {
    /// Those of runs, with replies of so many bytes; `None` if there are no clients that know of their paths.
    pub fn of(total: &RunResult, reply_bytes: Option<u64>) -> Option<Self> {
        let clients = &total.clients[..];
        let windows = range(clients, |path| Some(path.congestion_window))?;
        let rtts = range(clients, |path| path.smoothed_rtt_ns);
        let fairness = Fairness::of(clients);
        let sum = |of: fn(&PathResult) -> u64| clients.iter().map(|client| of(&client.path)).sum();
        let bits = reply_bytes.map(|bytes| bytes as f64 * 8.0);
        Some(Self {
            count: clients.len() as u64,
            goodput_bits_per_second: total
                .window
                .rate()
                .zip(bits)
                .map(|(rate, bits)| rate * bits),
            least_rate: fairness.map(|fairness| fairness.least),
            most_rate: fairness.map(|fairness| fairness.most),
            jain_index: fairness.map(|fairness| fairness.jain),
            packets_sent: sum(|path| path.packets_sent),
            packets_resent: sum(|path| path.packets_resent),
            packets_received: sum(|path| path.packets_received),
            packets_duplicated: sum(|path| path.packets_duplicated),
            packets_reordered: sum(|path| path.packets_reordered),
            least_rtt_ns: rtts.as_ref().map(|rtts| *rtts.start()),
            most_rtt_ns: rtts.as_ref().map(|rtts| *rtts.end()),
            least_congestion_window: *windows.start(),
            most_congestion_window: *windows.end(),
            receive_window: range(clients, |path| Some(path.receive_window))
                .map_or(0, |windows| *windows.end()),
        })
    }

    /// The same in lines, of runs with replies of so many bytes.
    pub(super) fn lines(&self, reply_bytes: Option<u64>) -> Vec<String> {
        let mut goodput = vec![format!(
            "{} of replies",
            self.goodput_bits_per_second
                .map_or_else(|| NOT_AVAILABLE.to_owned(), bits)
        )];
        if let (Some(least), Some(most), Some(jain)) =
            (self.least_rate, self.most_rate, self.jain_index)
        {
            if self.count > 1 {
                let of_client = |rate: f64| match reply_bytes {
                    Some(bytes) => bits(rate * bytes as f64 * 8.0),
                    None => format!("{rate:.1}/s"),
                };
                goodput.push(format!(
                    "{} with {} to {} each, Jain's index {jain:.3}",
                    count_of(self.count, "client"),
                    of_client(least),
                    of_client(most)
                ));
            }
        }
        let [sent, resent, received, duplicated, reordered] = [
            self.packets_sent,
            self.packets_resent,
            self.packets_received,
            self.packets_duplicated,
            self.packets_reordered,
        ]
        .map(grouped);
        let packets = [
            format!("{received} received, {duplicated} of them duplicated, {reordered} reordered"),
            format!("{sent} sent, {resent} of them again"),
        ];
        let rtt = match (self.least_rtt_ns, self.most_rtt_ns) {
            (Some(least), Some(most)) => between(latency(least as f64), latency(most as f64)),
            _ => NOT_AVAILABLE.to_owned(),
        };
        let path = [
            format!("smoothed round trip {rtt}"),
            format!(
                "congestion window {}, receive window {}",
                between(
                    grouped(self.least_congestion_window),
                    grouped(self.most_congestion_window)
                ),
                grouped(self.receive_window)
            ),
        ];
        vec![
            labelled("goodput", &goodput),
            labelled("packets", &packets),
            labelled("path", &path),
        ]
    }
}

/// From the least to the most that a figure of clients is; `None` if none has one.
fn range(
    clients: &[ClientResult],
    of: impl Fn(&PathResult) -> Option<u64>,
) -> Option<RangeInclusive<u64>> {
    let all = clients.iter().filter_map(|client| of(&client.path));
    Some(all.clone().min()?..=all.max()?)
}

/// Two ends, which may be the same.
fn between(least: String, most: String) -> String {
    if least == most {
        least
    } else {
        format!("{least} to {most}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::WIDTH, result::Window};

    fn client(answered: u64, rtt: Option<u64>, window: u64) -> ClientResult {
        ClientResult {
            answered,
            active_ns: 1_000_000_000,
            path: PathResult {
                packets_sent: 100,
                packets_resent: 1,
                packets_received: 74_300,
                packets_duplicated: 2,
                packets_reordered: 30,
                smoothed_rtt_ns: rtt,
                congestion_window: window,
                receive_window: 255,
            },
        }
    }

    fn said(clients: Vec<ClientResult>) -> Vec<String> {
        let total = RunResult {
            clients,
            window: Window {
                length_ns: 1_000_000_000,
                answered: 200,
            },
            ..RunResult::default()
        };
        let figures = ClientFigures::of(&total, Some(1 << 20));
        figures.map_or(Vec::new(), |figures| figures.lines(Some(1 << 20)))
    }

    #[test]
    fn clients_are_told_in_three_lines() {
        let lines = said(vec![
            client(50, Some(110_000), 10),
            client(150, None, 255),
            client(50, Some(3_210_000), 20),
        ]);
        let expected = [
            "goodput     1.68 Gbit/s of replies; 3 clients with 419 Mbit/s to 1.26 Gbit/s each, Jain's index 0.758",
            "packets     222,900 received, 6 of them duplicated, 90 reordered; 300 sent, 3 of them again",
            "path        smoothed round trip 110 us to 3.21 ms; congestion window 10 to 255, receive window 255",
        ];
        assert_eq!(lines, expected);
        assert!(lines.iter().all(|line| line.len() <= WIDTH));
    }

    #[test]
    fn one_client_is_not_compared_with_others() {
        let lines = said(vec![client(50, None, 10)]);
        assert_eq!(lines[0], "goodput     1.68 Gbit/s of replies");
        assert_eq!(
            lines[2],
            "path        smoothed round trip n/a; congestion window 10, receive window 255"
        );
        assert_eq!(said(Vec::new()), [""; 0]);
    }
}
