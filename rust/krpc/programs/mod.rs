// SPDX-License-Identifier: GPL-2.0

//! The programs that are served. To add one, write a file like [`nfs`], and put it into the list here.

mod echo;
mod nfs;

use wire::rpc::server::{
    registry,
    Entry, //
};

/// What all procedures are given.
pub(crate) type Context = ();

/// Lists the programs, and again with the one to test with behind them.
macro_rules! programs {
    ($($program:ty),*) => {
        static PROGRAMS: &[Entry<Context>] = &registry([$(Entry::of::<$program>()),*]);
        static WITH_ECHO: &[Entry<Context>] =
            &registry([$(Entry::of::<$program>(),)* Entry::of::<echo::Echo>()]);
    };
}

programs!(nfs::Nfs);

/// Returns the programs, with or without the one to test with.
pub(crate) fn served(with_echo: bool) -> &'static [Entry<Context>] {
    if with_echo {
        WITH_ECHO
    } else {
        PROGRAMS
    }
}
