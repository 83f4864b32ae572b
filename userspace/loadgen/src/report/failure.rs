// SPDX-License-Identifier: GPL-2.0

//! What went wrong, in one line.

use super::Subject;
use crate::{Ledger, RunResult};

/// What went wrong first in the run with this number (from 1), and what became of its requests; `None` if nothing did.
pub fn of_run(number: u64, run: &RunResult, subject: &Subject) -> Option<String> {
    let ledger = &run.ledger;
    if !ledger.adds_up() || !run.warmup.adds_up() {
        return Some(format!(
            "run {number}: a defect of this program: its figures do not add up: {ledger:?}, {:?}",
            run.warmup
        ));
    }
    let first = run.failures.first()?;
    let more = match run.failures.len() - 1 {
        0 => String::new(),
        others => format!("; failed connections besides this one: {others}"),
    };
    Some(format!(
        "run {number}, connection {} of {}: {} ({}{more})",
        first.connection as u64 + 1,
        subject.load.connections,
        first.message,
        in_words(ledger, subject),
    ))
}

/// Why not all is well although nothing failed, if this is what became of all requests and of those of the warm-ups; `None`
/// if all is.
pub fn of_total(total: &Ledger, subject: &Subject) -> Option<String> {
    let what = match (total.lost, total.late) {
        (0, 0) => return None,
        (0, _) => "datagrams came late",
        _ => "datagrams were lost",
    };
    Some(format!("{what} ({})", in_words(total, subject)))
}

fn in_words(ledger: &Ledger, subject: &Subject) -> String {
    let late = match ledger.late {
        0 => String::new(),
        late => format!(", {late} late"),
    };
    format!(
        "{}: {} scheduled, {} sent, {} answered{late}, {} lost",
        subject.requests, ledger.scheduled, ledger.sent, ledger.answered, ledger.lost,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::tests::closed,
        result::{Failure, FailureKind},
    };

    const LEDGER: Ledger = Ledger {
        scheduled: 1_000,
        sent: 999,
        skipped: 1,
        answered: 995,
        late: 1,
        lost: 3,
        duplicated: 0,
        reordered: 0,
        mismatched: 0,
    };

    fn failed(connections: &[usize]) -> RunResult {
        let failure = |&connection: &usize| Failure {
            connection,
            at_ns: 1_234_567_890,
            kind: FailureKind::System,
            message: "Connection reset by peer (os error 104)".to_owned(),
        };
        RunResult {
            ledger: LEDGER,
            failures: connections.iter().map(failure).collect(),
            ..RunResult::default()
        }
    }

    #[test]
    fn the_first_failure_says_it_all() {
        let text = "run 3, connection 2 of 4: Connection reset by peer (os error 104) \
                    (requests: 1000 scheduled, 999 sent, 995 answered, 1 late, 3 lost";
        let of = |connections: &[usize]| of_run(3, &failed(connections), &closed());
        assert_eq!(of(&[1]).unwrap(), format!("{text})"));
        assert_eq!(
            of(&[1, 0]).unwrap(),
            format!("{text}; failed connections besides this one: 1)")
        );
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn figures_that_do_not_add_up_are_a_failure() {
        for warmup in [false, true] {
            let mut run = failed(&[]);
            let ledger = if warmup {
                &mut run.warmup
            } else {
                &mut run.ledger
            };
            ledger.answered += 1;
            let text = of_run(3, &run, &closed()).unwrap();
            assert!(text.contains("do not add up"), "{text}");
        }
    }

    #[test]
    fn what_has_no_reply_in_time_is_told() {
        let of = |late, lost| {
            let ledger = Ledger {
                late,
                lost,
                ..LEDGER
            };
            of_total(&ledger, &closed())
        };
        assert_eq!(of(0, 0), None);
        assert_eq!(
            of(1, 3).unwrap(),
            "datagrams were lost (requests: 1000 scheduled, 999 sent, 995 answered, 1 late, 3 lost)"
        );
        assert_eq!(
            of(1, 0).unwrap(),
            "datagrams came late (requests: 1000 scheduled, 999 sent, 995 answered, 1 late, 0 lost)"
        );
    }
}
