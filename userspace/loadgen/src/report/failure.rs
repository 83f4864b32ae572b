// SPDX-License-Identifier: GPL-2.0

//! What went wrong, in one line.

use super::{
    number::{count_of, grouped},
    Subject,
};
use crate::RunResult;

/// What went wrong in the run with this number (from 1), the first first; `None` if nothing did.
pub fn of_run(number: u64, run: &RunResult, subject: &Subject) -> Option<String> {
    let first = run.failures.first()?;
    let others = match run.failures.len() as u64 - 1 {
        0 => String::new(),
        others => format!("; {} failed after it", count_of(others, "other connection")),
    };
    Some(format!(
        "run {}, connection {} of {}, after {:.3} s: {}{others}",
        grouped(number),
        grouped(first.connection as u64 + 1),
        grouped(subject.load.connections as u64),
        first.at_ns as f64 * 1e-9,
        first.message,
    ))
}

/// Why not all is well although nothing failed; `None` if all is.
pub fn of_total(total: &RunResult) -> Option<String> {
    let (ledger, warmup) = (&total.ledger, &total.warmup);
    if !ledger.adds_up() || !warmup.adds_up() {
        return Some("the ledger does not add up: a defect of the load generator".to_owned());
    }
    let sum = |of: fn(&crate::Ledger) -> u64| of(ledger) + of(warmup);
    let counts = [
        (sum(|ledger| ledger.lost), "lost"),
        (sum(|ledger| ledger.late), "answered late"),
        (sum(|ledger| ledger.mismatched), "answered wrongly"),
    ];
    let told: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, what)| format!("{} {what}", grouped(count)))
        .collect();
    (!told.is_empty()).then(|| {
        let sent = count_of(sum(|ledger| ledger.sent), "request");
        format!("of {sent} that were sent: {}", told.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::tests::closed,
        result::{Failure, FailureKind},
    };

    fn failed(connections: &[usize]) -> RunResult {
        let failure = |&connection: &usize| Failure {
            connection,
            at_ns: 1_234_567_890,
            kind: FailureKind::System,
            message: "Connection reset by peer (os error 104)".to_owned(),
        };
        RunResult {
            failures: connections.iter().map(failure).collect(),
            ..RunResult::default()
        }
    }

    #[test]
    fn the_first_failure_says_it_all() {
        let text =
            "run 3, connection 2 of 4, after 1.235 s: Connection reset by peer (os error 104)";
        let of = |connections: &[usize]| of_run(3, &failed(connections), &closed());
        assert_eq!(of(&[1]).unwrap(), text);
        assert_eq!(
            of(&[1, 0]).unwrap(),
            format!("{text}; 1 other connection failed after it")
        );
        assert_eq!(
            of(&[1, 0, 2]).unwrap(),
            format!("{text}; 2 other connections failed after it")
        );
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_not_accounted_for_is_told() {
        let mut run = RunResult::default();
        run.ledger.scheduled = 1_000;
        run.ledger.sent = 1_000;
        run.ledger.answered = 1_000;
        assert_eq!(of_total(&run), None);
        run.ledger.answered = 996;
        run.ledger.late = 1;
        run.ledger.lost = 3;
        run.warmup.mismatched = 2;
        assert_eq!(
            of_total(&run).unwrap(),
            "of 1,000 requests that were sent: 3 lost, 1 answered late, 2 answered wrongly"
        );
        run.ledger.lost = 2;
        assert!(of_total(&run).unwrap().contains("does not add up"));
    }
}
