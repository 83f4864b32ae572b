// SPDX-License-Identifier: GPL-2.0

//! What can be wrong with a reply.

use std::{error, fmt};

use crate::content::Difference;

/// Why a reply is not what it had to be. Requests are numbered from 0 here, and from 1 where it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The request.
    pub(crate) number: u64,
    pub(crate) wrong: Wrong,
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A byte of its content. It has so many bytes in all.
    Byte(Difference, u64),
    /// The cookie that ends it.
    Cookie(Difference),
    /// It has no more than so many bytes of so many.
    TooShort(u64, u64),
    /// It has at least so many bytes, instead of so many.
    TooLong(u64, u64),
    /// It has bytes that belong to no call.
    NoCall,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number + 1;
        write!(f, "request {number}: ")?;
        match self.wrong {
            Wrong::Byte(
                Difference {
                    at,
                    found,
                    expected,
                },
                bytes,
            ) => {
                let place = at + 1;
                write!(
                    f,
                    "byte {place} of {bytes} is {found:#04x} instead of {expected:#04x}"
                )
            }
            Wrong::Cookie(Difference {
                found, expected, ..
            }) => write!(
                f,
                "a byte of the cookie that ends the reply is {found:#04x} instead of {expected:#04x}"
            ),
            Wrong::TooShort(bytes, expected) => {
                write!(f, "a reply of {bytes} bytes instead of {expected}")
            }
            Wrong::TooLong(bytes, expected) => {
                write!(f, "a reply of at least {bytes} bytes instead of {expected}")
            }
            Wrong::NoCall => f.write_str("bytes that belong to no call"),
        }
    }
}

impl error::Error for Mismatch {}
