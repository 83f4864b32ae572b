// SPDX-License-Identifier: GPL-2.0

//! The built-in source of data.

use kernel::prelude::*;
use ksf::{
    Pages,
    Part, //
};
use rx::content::{
    fill,
    PERIOD, //
};

/// Data of any length that is the same again after a while: pages that all replies share.
pub(crate) struct Content {
    pages: Pages,
}

impl Content {
    /// Makes it.
    ///
    /// Process context.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            pages: Pages::new(PERIOD, |offset, bytes| fill(offset as u64, bytes))?,
        })
    }

    /// Returns where `bytes` bytes from `offset` on are: there may be the end between them.
    pub(crate) fn parts(&self, offset: u64, bytes: usize) -> [Part<'_>; 2] {
        // CAST: Less than the period.
        let start = (offset % PERIOD as u64) as usize;
        let first = bytes.min(PERIOD - start);
        [
            Part::Pages(&self.pages, start, first),
            Part::Pages(&self.pages, 0, bytes - first),
        ]
    }
}
