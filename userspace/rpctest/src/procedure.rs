// SPDX-License-Identifier: GPL-2.0

//! What is called.

use std::fmt;

use wire::{program, rpc};

/// A procedure of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Procedure {
    pub(crate) program: u32,
    pub(crate) version: u32,
    pub(crate) number: u32,
}

impl Procedure {
    /// Whether it is the one that returns nothing, in every program.
    pub(crate) fn is_null(self) -> bool {
        self.number == rpc::NULL
    }

    /// The program and its version in words.
    pub(crate) fn program_version(self) -> String {
        match program::name(self.program) {
            Some(name) => format!("{name} version {}", self.version),
            None => format!("program {} version {}", self.program, self.version),
        }
    }
}

impl fmt::Display for Procedure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program_version())?;
        if self.is_null() {
            f.write_str(" NULL")
        } else {
            write!(f, " procedure {}", self.number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_used_where_there_are_any() {
        let text = |program, version, number| {
            let procedure = Procedure {
                program,
                version,
                number,
            };
            procedure.to_string()
        };
        assert_eq!(text(100_003, 3, 0), "nfs version 3 NULL");
        assert_eq!(text(100_000, 2, 4), "rpcbind version 2 procedure 4");
        assert_eq!(text(536_870_912, 1, 0), "program 536870912 version 1 NULL");
    }
}
