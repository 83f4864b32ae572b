// SPDX-License-Identifier: GPL-2.0

//! How knfsd and krpc differ, and why.
//!
//! What is not asked is not here: krpc closes a connection with a mark that announces more than 64 KiB, where knfsd waits
//! for the rest of what it has room for.

use std::fmt;

use super::{
    calls::{word, MAX_FRAGMENTS, MAX_RECORD, NFS},
    hex,
};

/// What was sent to both.
#[derive(Debug)]
pub(super) struct Asked {
    /// All of it.
    pub(super) sent: Vec<u8>,
    /// Without marks.
    pub(super) message: Vec<u8>,
    pub(super) fragments: usize,
    pub(super) is_udp: bool,
}

impl Asked {
    /// What `record` asks; it has its marks, and need not be whole.
    pub(super) fn over_tcp(record: Vec<u8>) -> Self {
        let (mut message, mut fragments, mut at) = (Vec::new(), 0, 0);
        while let Some(mark) = word(&record, at) {
            let end = (at + 4 + (mark & 0x7fff_ffff) as usize).min(record.len());
            message.extend_from_slice(&record[at + 4..end]);
            fragments += 1;
            at = end;
        }
        Self {
            sent: record,
            message,
            fragments,
            is_udp: false,
        }
    }

    /// The longest fragment that a mark announces, in bytes.
    pub(super) fn announced(&self) -> u32 {
        let (mut longest, mut at) = (0, 0);
        while let Some(mark) = word(&self.sent, at) {
            longest = longest.max(mark & 0x7fff_ffff);
            at += 4 + (mark & 0x7fff_ffff) as usize;
        }
        longest
    }

    fn word(&self, at: usize) -> Option<u32> {
        word(&self.message, at)
    }

    fn flavor(&self) -> Option<u32> {
        self.word(24)
    }
}

/// What became of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The replies, without marks.
    pub(super) replies: Vec<Vec<u8>>,
    /// Whether the server has closed the connection, or reset it.
    pub(super) is_closed: bool,
}

impl Outcome {
    /// Whether the reply ends so, after its xid.
    fn says(&self, rest: &[u8]) -> bool {
        matches!(&self.replies[..], [reply] if reply.get(4..) == Some(rest))
    }

    /// Whether the reply begins so, after its xid.
    fn begins(&self, rest: &[u8]) -> bool {
        matches!(&self.replies[..], [reply] if reply.get(4..).is_some_and(|it| it.starts_with(rest)))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replies: Vec<_> = self.replies.iter().map(|reply| hex(reply)).collect();
        match (&replies[..], self.is_closed) {
            ([], true) => f.write_str("closed"),
            ([], false) => f.write_str("nothing"),
            (_, true) => write!(f, "{} and closed", replies.join(", ")),
            (_, false) => f.write_str(&replies.join(", ")),
        }
    }
}

const ACCEPTED: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0";
const PROG_UNAVAIL: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
const PROG_MISMATCH: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02";
const PROC_UNAVAIL: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03";
const BADCRED: &[u8] = b"\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01";
const STARTTLS: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x08STARTTLS";

/// A difference that there is to be.
struct Known {
    name: &'static str,
    reason: &'static str,
    /// Whether it is this one: what was asked, what knfsd and what krpc said.
    is: fn(&Asked, &Outcome, &Outcome) -> bool,
}

const KNOWN: &[Known] = &[
    Known {
        name: "record-size",
        reason: "krpc takes records of up to 64 KiB, knfsd of what its threads have room for",
        is: |asked, _, ours| asked.message.len() > MAX_RECORD && ours.is_closed,
    },
    Known {
        name: "fragments",
        reason: "krpc takes 64 fragments of a record, knfsd any number",
        is: |asked, _, ours| asked.fragments > MAX_FRAGMENTS && ours.is_closed,
    },
    Known {
        name: "not-calls",
        reason: "krpc closes a connection with its 16th message that is no call, knfsd never",
        is: |asked, theirs, ours| {
            let is_other = asked.word(4).is_some_and(|kind| kind != 0);
            is_other && ours.replies.is_empty() && ours.is_closed && *theirs == Outcome::default()
        },
    },
    Known {
        name: "auth-sys-length",
        reason: "krpc wants the length of AUTH_SYS to be that of what is in it, knfsd does not look at it",
        is: |asked, _, ours| asked.flavor() == Some(1) && ours.says(BADCRED) && has_other_length(asked),
    },
    Known {
        name: "rpcsec-gss",
        reason: "knfsd has RPCSEC_GSS, krpc has not",
        is: |asked, _, ours| asked.flavor() == Some(6) && ours.says(BADCRED),
    },
    Known {
        name: "starttls",
        reason: "knfsd offers TLS over TCP, and closes when nobody shakes hands; krpc has no TLS",
        is: |asked, theirs, ours| {
            let is_probe = asked.flavor() == Some(7) && asked.word(20) == Some(0);
            is_probe && theirs.begins(STARTTLS) && ours.begins(ACCEPTED)
        },
    },
    Known {
        name: "nfs-versions",
        reason: "krpc has NULL of NFS 2 to 4, knfsd those versions that it was started with",
        is: |asked, theirs, ours| {
            let is_version_2 = asked.word(16) == Some(2) && ours.begins(ACCEPTED);
            asked.word(12) == Some(NFS)
                && theirs.begins(PROG_MISMATCH)
                && (ours.begins(PROG_MISMATCH) || is_version_2)
        },
    },
    Known {
        name: "nfs-4-over-udp",
        reason: "knfsd has NFS 4 over TCP only, for it wants congestion control; krpc has its NULL over UDP, too",
        is: |asked, theirs, ours| {
            let is_version_4 = asked.word(12) == Some(NFS) && asked.word(16) == Some(4);
            asked.is_udp && is_version_4 && theirs.begins(PROG_MISMATCH) && ours.begins(ACCEPTED)
        },
    },
    Known {
        name: "nfs-procedures",
        reason: "knfsd has all procedures of NFS, krpc NULL only",
        is: |asked, _, ours| {
            let has_version = asked.word(16).is_some_and(|version| (2..=4).contains(&version));
            asked.word(12) == Some(NFS) && has_version && ours.says(PROC_UNAVAIL)
        },
    },
    Known {
        name: "nfs-programs",
        reason: "knfsd has NFSACL and LOCALIO, krpc has not",
        is: |asked, _, ours| {
            let is_theirs = matches!(asked.word(12), Some(100_227 | 400_122));
            is_theirs && ours.says(PROG_UNAVAIL)
        },
    },
];

/// The name of the difference, if it is a known one.
pub(super) fn difference(asked: &Asked, theirs: &Outcome, ours: &Outcome) -> Option<&'static str> {
    let known = KNOWN.iter().find(|known| (known.is)(asked, theirs, ours))?;
    Some(known.name)
}

/// Why there is the difference of this name.
pub(super) fn reason(name: &str) -> &'static str {
    let known = KNOWN.iter().find(|known| known.name == name);
    known.map_or("", |known| known.reason)
}

/// Whether the parts of AUTH_SYS, if they are all within their limits, have another length than it says.
fn has_other_length(asked: &Asked) -> bool {
    let (Some(length), Some(name)) = (asked.word(28), asked.word(36)) else {
        return false;
    };
    let name = (name as usize).div_ceil(4) * 4;
    let Some(groups) = asked.word(40 + name + 8) else {
        return false;
    };
    let parts = 20 + name + 4 * groups as usize;
    name <= 256 && groups <= 16 && parts != length as usize
}
