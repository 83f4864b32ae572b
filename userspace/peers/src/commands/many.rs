// SPDX-License-Identifier: GPL-2.0

//! Many connections at once, all of them in use.

use std::time::Instant;

use anyhow::bail;
use clap::Args;
use loadgen::args::number_in;

use crate::{
    allow_sockets, check,
    crowd::{self, Failures},
    echo::Echo,
    events::Events,
    failure::Failure,
    options::{Common, Crowd},
    print,
    stream::Shared,
    until::Until,
};

/// Opens many connections, has an echo on each in every round, and ends all
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    crowd: Crowd,

    /// Rounds in which each connection has one echo; the first is right after it was opened
    #[arg(long, value_name = "N", default_value = "3", value_parser = number_in::<u64>(1..=1_000_000))]
    rounds: u64,

    /// Bytes of an echo
    #[arg(short, long, value_name = "N", default_value = "32", value_parser = number_in::<u64>(1..=1 << 30))]
    length: u64,

    /// Connections that are opened at the same time
    #[arg(long, value_name = "N", default_value = "64", value_parser = number_in::<usize>(1..=1_000_000))]
    at_once: usize,

    /// How many the server is to refuse, that is not to let in, or to close before their first echo
    #[arg(long, value_name = "N", default_value = "0", value_parser = number_in::<usize>(0..=1_000_000))]
    refused: usize,

    /// After the rounds, hold all open until standard input has a byte or ends, and have one round more
    #[arg(long)]
    hold: bool,

    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let crowd = &options.crowd;
    allow_sockets(crowd.connections)?;
    let mut all = All {
        options,
        members: (0..crowd.connections)
            .map(|number| Echo::new(crowd.origin(number)))
            .collect(),
        shared: options.common.shared()?,
        events: Events::new()?,
        begun: Instant::now(),
        round: 0,
    };
    all.open()?;
    while all.round < options.rounds {
        all.have_round()?;
    }
    if options.hold {
        print("many: holding")?;
        Until::new(None, true).wait(None, None)?;
        all.have_round()?;
    }
    all.end()
}

/// All connections.
struct All<'a> {
    options: &'a Options,
    members: Vec<Echo>,
    shared: Shared,
    events: Events,
    begun: Instant,
    round: u64,
}

impl All<'_> {
    /// The first round, in which some may be refused.
    fn open(&mut self) -> anyhow::Result<()> {
        let failures = self.go_on(self.options.length, false, self.options.at_once)?;
        let members = &self.members;
        let is_refusal = |(number, failure): &(usize, Failure)| {
            failure.is_end() && members[*number].received() == 0
        };
        let (refusals, failures): (Vec<_>, Vec<_>) = failures.into_iter().partition(is_refusal);
        check(&failures, self.members.len())?;
        let refused = self.options.refused;
        if refusals.len() != refused {
            let first = refusals
                .first()
                .map(|(number, failure)| format!("; connection {}: {failure}", number + 1));
            bail!(
                "{} of {} connections were refused instead of {refused}{}",
                refusals.len(),
                self.members.len(),
                first.unwrap_or_default()
            );
        }
        for (number, _) in refusals {
            self.members[number].leave();
        }
        self.report()
    }

    fn have_round(&mut self) -> anyhow::Result<()> {
        let failures = self.go_on(self.options.length, false, self.members.len())?;
        check(&failures, self.members.len())?;
        self.report()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let failures = self.go_on(0, true, self.members.len())?;
        check(&failures, self.members.len())
    }

    fn go_on(&mut self, more: u64, ends: bool, at_once: usize) -> anyhow::Result<Failures> {
        for member in &mut self.members {
            member.next(more, ends);
        }
        let failures = crowd::run(
            &mut self.members,
            at_once,
            &mut self.shared,
            &mut self.events,
            &Until::NEVER,
        )?;
        Ok(failures)
    }

    fn report(&mut self) -> anyhow::Result<()> {
        self.round += 1;
        let refused = self.options.refused;
        print(&format!(
            "many: round={} connections={} refused={refused} seconds={:.3}",
            self.round,
            self.members.len() - refused,
            self.begun.elapsed().as_secs_f64()
        ))
    }
}
