// SPDX-License-Identifier: GPL-2.0

//! Streams of records.

use super::{Stream, Then, BADCRED, CALL, NONE, NULL, RPC_MISMATCH, SUCCESS, XID};

/// The mark of a record of 40 bytes.
const MARK_40: [u8; 4] = *b"\x80\0\0\x28";
/// A mark of no bytes, and more to come.
const EMPTY: [u8; 4] = *b"\0\0\0\0";
/// Eight of them.
const EMPTY_8: [u8; 32] = [0; 32];
/// A record with a call of NULL.
const RECORD: [u8; 44] =
    *b"\x80\0\0\x28\x9a\x3b\x5c\x7d\0\0\0\0\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// A call of NULL, a fragment a byte: 40 of them.
const BYTEWISE: [u8; 200] = *b"\0\0\0\x01\x9a\0\0\0\x01\x3b\0\0\0\x01\x5c\0\0\0\x01\x7d\
    \0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\x02\
    \0\0\0\x01\0\0\0\0\x01\x01\0\0\0\x01\x86\0\0\0\x01\xa3\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\x03\
    \0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\
    \0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\
    \0\0\0\x01\0\0\0\0\x01\0\0\0\0\x01\0\x80\0\0\x01\0";
/// A record with a reply, as short as it can be told from a call.
const OTHER: [u8; 12] = *b"\x80\0\0\x08\x9a\x3b\x5c\x7d\0\0\0\x01";
/// Five of them, of different types and lengths.
const OTHER_5: [u8; 69] =
    *b"\x80\0\0\x08\x9a\x3b\x5c\x7d\0\0\0\x01\x80\0\0\x08\x9a\x3b\x5c\x7d\xff\xff\xff\xff\
    \x80\0\0\x0c\x9a\x3b\x5c\x7d\0\0\0\x02\0\0\0\0\x80\0\0\x09\x9a\x3b\x5c\x7d\0\0\0\x01\0\
    \0\0\0\x04\x9a\x3b\x5c\x7d\x80\0\0\x04\0\0\0\x01";

pub(crate) static STREAMS: &[Stream] = &[
    Stream {
        name: "nothing",
        stream: b"",
        replies: &[],
        then: Then::Kept,
    },
    Stream {
        name: "a record",
        stream: &RECORD,
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "a record but for its last byte",
        stream: bytes![MARK_40, CALL, NULL, NONE, *b"\0\0\0\0\0\0\0"],
        replies: &[],
        then: Then::Waits,
    },
    Stream {
        name: "half a mark",
        stream: bytes![RECORD, *b"\x80\0"],
        replies: &[SUCCESS],
        then: Then::Waits,
    },
    Stream {
        name: "three records at once",
        stream: bytes![
            *b"\x80\0\0\x28\0\0\0\x01\0\0\0\0\0\0\0\x02",
            NULL,
            NONE,
            NONE,
            *b"\x80\0\0\x28\0\0\0\x02\0\0\0\0\0\0\0\x02",
            NULL,
            NONE,
            NONE,
            *b"\x80\0\0\x28\0\0\0\x03\0\0\0\0\0\0\0\x02",
            NULL,
            NONE,
            NONE
        ],
        replies: &[
            b"\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            b"\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            b"\0\0\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ],
        then: Then::Kept,
    },
    Stream {
        name: "the same record twice, which is two calls",
        stream: bytes![RECORD, RECORD],
        replies: &[SUCCESS, SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "records that are refused among others",
        stream: bytes![
            RECORD,
            *b"\x80\0\0\x18",
            CALL,
            NULL,
            RECORD,
            *b"\x80\0\0\x18",
            XID,
            *b"\0\0\0\0\0\0\0\x03",
            NULL,
            OTHER,
            RECORD
        ],
        replies: &[SUCCESS, BADCRED, SUCCESS, RPC_MISMATCH, SUCCESS],
        then: Then::Kept,
    },
    // Fragments.
    Stream {
        name: "two fragments",
        stream: bytes![*b"\0\0\0\x18", CALL, NULL, *b"\x80\0\0\x10", NONE, NONE],
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "an empty fragment at first",
        stream: bytes![EMPTY, RECORD],
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "an empty fragment at last",
        stream: bytes![*b"\0\0\0\x28", CALL, NULL, NONE, NONE, *b"\x80\0\0\0"],
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "empty fragments between others",
        stream: bytes![
            *b"\0\0\0\x18",
            CALL,
            NULL,
            EMPTY,
            EMPTY,
            *b"\x80\0\0\x10",
            NONE,
            NONE
        ],
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "a fragment a byte",
        stream: &BYTEWISE,
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "64 fragments, of which 24 are empty",
        stream: bytes![EMPTY_8, EMPTY_8, EMPTY_8, BYTEWISE],
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "64 fragments, of which 63 are empty, twice",
        stream: bytes![[0; 252], RECORD, [0; 252], RECORD],
        replies: &[SUCCESS, SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "a 65th fragment, the last",
        stream: bytes![EMPTY_8, EMPTY_8, EMPTY_8, EMPTY, BYTEWISE],
        replies: &[],
        then: Then::ClosedBefore,
    },
    Stream {
        name: "the mark of a 65th fragment, the last",
        stream: bytes![[0; 256], MARK_40],
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "65 empty fragments",
        stream: &[0; 260],
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "64 empty fragments, which may be followed by nothing",
        stream: &[0; 256],
        replies: &[],
        then: Then::Waits,
    },
    Stream {
        name: "replies before a 65th fragment",
        stream: bytes![RECORD, [0; 252], RECORD, [0; 260]],
        replies: &[SUCCESS, SUCCESS],
        then: Then::Closed,
    },
    // Lengths.
    Stream {
        name: "a record of 65536 bytes",
        stream: bytes![*b"\x80\x01\0\0", CALL, NULL, NONE, NONE, [0; 65_496]],
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "two fragments of 65536 bytes together",
        stream: bytes![
            *b"\0\0\0\x18",
            CALL,
            NULL,
            *b"\x80\0\xff\xe8",
            NONE,
            NONE,
            [0xff; 65_496]
        ],
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "65536 bytes of a record that are followed by an empty fragment",
        stream: bytes![
            *b"\0\x01\0\0",
            CALL,
            NULL,
            NONE,
            NONE,
            [0; 65_496],
            *b"\x80\0\0\0"
        ],
        replies: &[SUCCESS],
        then: Then::Kept,
    },
    Stream {
        name: "the mark of a record of 65537 bytes",
        stream: b"\x80\x01\0\x01",
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "a record of 65540 bytes, and a call in it",
        stream: bytes![*b"\x80\x01\0\x04", CALL, NULL, NONE, NONE],
        replies: &[],
        then: Then::ClosedBefore,
    },
    Stream {
        name: "the mark of a fragment of 65537 bytes, not the last",
        stream: b"\0\x01\0\x01",
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "the mark of a record of 2^31-1 bytes",
        stream: b"\xff\xff\xff\xff",
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "the mark of a fragment of 2^31-1 bytes, not the last",
        stream: b"\x7f\xff\xff\xff",
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "fragments that are too long together",
        stream: bytes![*b"\0\0\0\x18", CALL, NULL, *b"\x80\0\xff\xe9"],
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "a last fragment with which the record is too long even if that is added in 31 bits",
        stream: bytes![*b"\0\0\0\x18", CALL, NULL, *b"\xff\xff\xff\xff"],
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "a fragment of 2^31-1 bytes after another, not the last",
        stream: bytes![*b"\0\0\0\x18", CALL, NULL, *b"\x7f\xff\xff\xff"],
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "replies before a record that is too long",
        stream: bytes![RECORD, RECORD, *b"\xff\xff\xff\xff"],
        replies: &[SUCCESS, SUCCESS],
        then: Then::Closed,
    },
    Stream {
        name: "what is no RPC, a line of HTTP",
        stream: b"GET / HTTP/1.1\r\n\r\n",
        replies: &[],
        then: Then::ClosedBefore,
    },
    // What ends a connection.
    Stream {
        name: "an empty record",
        stream: b"\x80\0\0\0",
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "64 fragments, all of them empty",
        stream: bytes![[0; 252], *b"\x80\0\0\0"],
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "replies before an empty record",
        stream: bytes![RECORD, RECORD, *b"\x80\0\0\0"],
        replies: &[SUCCESS, SUCCESS],
        then: Then::Closed,
    },
    Stream {
        name: "a reply before seven bytes, in fragments",
        stream: bytes![RECORD, *b"\0\0\0\x04", XID, *b"\x80\0\0\x03\0\0\0"],
        replies: &[SUCCESS],
        then: Then::Closed,
    },
    Stream {
        name: "a reply before a call that ends before its credential",
        stream: bytes![
            RECORD,
            *b"\x80\0\0\x17",
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0"
        ],
        replies: &[SUCCESS],
        then: Then::Closed,
    },
    Stream {
        name: "no reply to a call after an empty record",
        stream: bytes![RECORD, *b"\x80\0\0\0", RECORD],
        replies: &[SUCCESS],
        then: Then::ClosedBefore,
    },
    // What is no call, again and again.
    Stream {
        name: "15 messages that are no calls",
        stream: bytes![OTHER_5, OTHER_5, OTHER_5],
        replies: &[],
        then: Then::Kept,
    },
    Stream {
        name: "16 messages that are no calls",
        stream: bytes![OTHER_5, OTHER_5, OTHER_5, OTHER],
        replies: &[],
        then: Then::Closed,
    },
    Stream {
        name: "16 messages that are no calls among calls",
        stream: bytes![RECORD, OTHER_5, RECORD, OTHER_5, RECORD, OTHER_5, RECORD, OTHER],
        replies: &[SUCCESS, SUCCESS, SUCCESS, SUCCESS],
        then: Then::Closed,
    },
];
