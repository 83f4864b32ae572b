// SPDX-License-Identifier: GPL-2.0

//! What is counted, and what debugfs shows of it: a line for each procedure, and one for each error, of `key=value`.

use crate::programs::Context;
use core::fmt;
use kernel::{
    prelude::*,
    sync::Arc, //
};
use ksf::{
    Counters,
    DebugFile,
    Show,
    Slot, //
};
use wire::{
    record,
    rpc::{
        server::{
            slots,
            Entry,
            Outcome,
            Reason, //
        },
        AuthStat, //
    }, //
};

/// Something that is wrong with a message, or with what carries it.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Runt,
    NotACall,
    ShortHeader,
    RpcMismatch,
    AuthBadCred,
    AuthBadVerf,
    AuthTooWeak,
    ProgUnavail,
    ProgMismatch,
    ProcUnavail,
    GarbageArgs,
    SystemErr,
    RecordTooLong,
    TooManyFragments,
    /// The peer was told of as many errors as it may be.
    UdpLimited,
    /// The reply would be longer than the request.
    UdpNoRoom,
}

impl Fault {
    /// The names, in the order of the numbers.
    const NAMES: [&'static str; 16] = [
        "runt",
        "not_a_call",
        "short_header",
        "rpc_mismatch",
        "auth_badcred",
        "auth_badverf",
        "auth_tooweak",
        "prog_unavail",
        "prog_mismatch",
        "proc_unavail",
        "garbage_args",
        "system_err",
        "record_too_long",
        "too_many_fragments",
        "udp_limited",
        "udp_no_room",
    ];
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Runt => Self::Runt,
            Reason::NotACall => Self::NotACall,
            Reason::ShortHeader => Self::ShortHeader,
            Reason::RpcMismatch => Self::RpcMismatch,
            Reason::Auth(AuthStat::BADVERF) => Self::AuthBadVerf,
            Reason::Auth(AuthStat::TOOWEAK) => Self::AuthTooWeak,
            Reason::Auth(_) => Self::AuthBadCred,
            Reason::ProgUnavail => Self::ProgUnavail,
            Reason::ProgMismatch { .. } => Self::ProgMismatch,
            Reason::ProcUnavail => Self::ProcUnavail,
            Reason::GarbageArgs => Self::GarbageArgs,
            Reason::SystemErr => Self::SystemErr,
        }
    }
}

impl From<record::Error> for Fault {
    fn from(error: record::Error) -> Self {
        match error {
            record::Error::TooLong { .. } => Self::RecordTooLong,
            record::Error::TooManyFragments { .. } => Self::TooManyFragments,
        }
    }
}

/// The numbers.
pub(crate) struct Stats {
    /// Those of the faults, then two for each procedure: all calls, and those that failed.
    counters: Counters,
    programs: &'static [Entry<Context>],
}

impl Stats {
    /// Creates numbers for these programs, which are all 0.
    ///
    /// Process context.
    pub(crate) fn new(programs: &'static [Entry<Context>]) -> Result<Self> {
        Ok(Self {
            counters: Counters::new(Fault::NAMES.len() + 2 * slots(programs))?,
            programs,
        })
    }

    /// Counts a fault.
    #[cold]
    pub(crate) fn fault(&self, slot: Slot, fault: Fault) {
        self.counters.count(slot, fault as usize);
    }

    /// Counts what became of a message.
    #[inline]
    pub(crate) fn outcome(&self, slot: Slot, outcome: &Outcome) {
        if let Some(procedure) = outcome.slot {
            self.counters.count(slot, Self::of_procedure(procedure));
            if outcome.reason.is_some() {
                self.counters.count(slot, Self::of_procedure(procedure) + 1);
            }
        }
        if let Some(reason) = outcome.reason {
            self.fault(slot, reason.into());
        }
    }

    /// The first number of a procedure.
    #[inline]
    fn of_procedure(procedure: usize) -> usize {
        Fault::NAMES.len() + 2 * procedure
    }

    fn show_procedures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = 0..;
        for program in self.programs {
            for version in program.versions {
                for (number, procedure) in version.procedures.iter().enumerate() {
                    let first = Self::of_procedure(numbers.next().unwrap_or_default());
                    writeln!(
                        f,
                        "service=krpc program={} name={} version={} procedure={} procedure_name={} calls={} failed={}",
                        program.number,
                        program.name,
                        version.number,
                        number,
                        procedure.name,
                        self.counters.sum(first),
                        self.counters.sum(first + 1),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn show_errors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in Fault::NAMES.iter().enumerate() {
            let count = self.counters.sum(number);
            writeln!(f, "service=krpc error={name} count={count}")?;
        }
        Ok(())
    }
}

/// The file of the procedures.
struct Procedures(Arc<Stats>);

impl Show for Procedures {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show_procedures(f)
    }
}

/// The file of the errors.
struct Errors(Arc<Stats>);

impl Show for Errors {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show_errors(f)
    }
}

/// The files in debugfs.
pub(crate) struct Files {
    _procedures: Option<DebugFile<Procedures>>,
    _errors: Option<DebugFile<Errors>>,
}

impl Files {
    /// Creates the files, if there is a debugfs.
    ///
    /// Process context.
    pub(crate) fn new(stats: Arc<Stats>) -> Result<Self> {
        Ok(Self {
            _procedures: DebugFile::new(c"rpc_procedures", Procedures(stats.clone()))?,
            _errors: DebugFile::new(c"rpc_errors", Errors(stats))?,
        })
    }
}
