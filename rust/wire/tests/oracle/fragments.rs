// SPDX-License-Identifier: GPL-2.0

//! Records as they are sent.

use std::num::NonZeroU32;

use wire::record::Fragments;

/// These bytes as a record of so many fragments.
pub(crate) fn sent(record: &[u8], count: u32) -> Vec<u8> {
    let count = NonZeroU32::new(count).unwrap();
    let fragments = Fragments::new(record, count).unwrap();
    fragments
        .flat_map(|(mark, bytes)| [&mark.to_bytes(), bytes].concat())
        .collect()
}
