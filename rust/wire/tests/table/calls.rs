// SPDX-License-Identifier: GPL-2.0

//! What is called, and what is no call.

use super::{
    Row, Tcp, BADCRED, BADVERF, CALL, NONE, NULL, PROC_UNAVAIL, PROG_MISMATCH_2_4, PROG_UNAVAIL,
    RPC_MISMATCH, SUCCESS, XID,
};

/// The program of ksf_echo, its version 1.
const ECHO_1: [u8; 8] = *b"\x20\0\x6b\x65\0\0\0\x01";
/// A call of ECHO by nobody, up to the argument.
const ECHO_CALL: [u8; 40] =
    *b"\x9a\x3b\x5c\x7d\0\0\0\0\0\0\0\x02\x20\0\x6b\x65\0\0\0\x01\0\0\0\x01\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// A reply that says success, up to its results.
const RESULTS: [u8; 24] = *b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const GARBAGE_ARGS: &[u8] = b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04";
const SYSTEM_ERR: &[u8] = b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05";
const PROG_MISMATCH_1_1: &[u8] =
    b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x01";
const TOOWEAK: &[u8] = b"\x9a\x3b\x5c\x7d\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x05";

/// A credential of AUTH_SYS: root, of no groups, on no machine.
const ROOT: [u8; 28] = *b"\0\0\0\x01\0\0\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// AUTH_TLS, with which a client asks for TLS.
const TLS: [u8; 8] = *b"\0\0\0\x07\0\0\0\0";

pub(super) static CALLS: &[Row] = &[
    // SUCCESS.
    Row::reply(
        "NFSv2 NULL",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x02\0\0\0\0", NONE, NONE],
        SUCCESS,
    ),
    Row::reply("NFSv3 NULL", bytes![CALL, NULL, NONE, NONE], SUCCESS),
    Row::reply(
        "NFSv4 NULL",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x04\0\0\0\0", NONE, NONE],
        SUCCESS,
    ),
    Row::reply(
        "xid 0",
        bytes![*b"\0\0\0\0\0\0\0\0\0\0\0\x02", NULL, NONE, NONE],
        b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
    Row::reply(
        "the largest xid",
        bytes![*b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x02", NULL, NONE, NONE],
        b"\xff\xff\xff\xff\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
    Row::reply(
        "NULL with an argument",
        bytes![CALL, NULL, NONE, NONE, *b"\0\0\0\x01"],
        SUCCESS,
    ),
    Row::reply(
        "NULL with an odd byte after it",
        bytes![CALL, NULL, NONE, NONE, *b"\xff"],
        SUCCESS,
    ),
    Row::reply(
        "NULL with 60000 bytes after it",
        bytes![CALL, NULL, NONE, NONE, [0xff; 60_000]],
        SUCCESS,
    ),
    // PROG_UNAVAIL.
    Row::reply(
        "program 0",
        bytes![CALL, *b"\0\0\0\0\0\0\0\x03\0\0\0\0", NONE, NONE],
        PROG_UNAVAIL,
    ),
    Row::reply(
        "program 100000, rpcbind",
        bytes![CALL, *b"\0\x01\x86\xa0\0\0\0\x02\0\0\0\0", NONE, NONE],
        PROG_UNAVAIL,
    ),
    Row::reply(
        "program 100002, below NFS",
        bytes![CALL, *b"\0\x01\x86\xa2\0\0\0\x03\0\0\0\0", NONE, NONE],
        PROG_UNAVAIL,
    ),
    Row::reply(
        "program 100004, above NFS",
        bytes![CALL, *b"\0\x01\x86\xa4\0\0\0\x03\0\0\0\0", NONE, NONE],
        PROG_UNAVAIL,
    ),
    Row::reply(
        "program 100227, NFSACL",
        bytes![CALL, *b"\0\x01\x87\x83\0\0\0\x03\0\0\0\0", NONE, NONE],
        PROG_UNAVAIL,
    ),
    Row::reply(
        "program 400122, LOCALIO",
        bytes![CALL, *b"\0\x06\x1a\xfa\0\0\0\x01\0\0\0\0", NONE, NONE],
        PROG_UNAVAIL,
    ),
    Row::reply(
        "the largest program",
        bytes![CALL, *b"\xff\xff\xff\xff\0\0\0\x03\0\0\0\0", NONE, NONE],
        PROG_UNAVAIL,
    ),
    Row::reply(
        "NFS with its bytes the wrong way round",
        bytes![CALL, *b"\xa3\x86\x01\0\0\0\0\x03\0\0\0\0", NONE, NONE],
        PROG_UNAVAIL,
    ),
    // PROG_MISMATCH.
    Row::reply(
        "version 0, by which rpcinfo asks for the range",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\0\0\0\0\0", NONE, NONE],
        PROG_MISMATCH_2_4,
    ),
    Row::reply(
        "version 1",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x01\0\0\0\0", NONE, NONE],
        PROG_MISMATCH_2_4,
    ),
    Row::reply(
        "version 5",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x05\0\0\0\0", NONE, NONE],
        PROG_MISMATCH_2_4,
    ),
    Row::reply(
        "the largest version",
        bytes![CALL, *b"\0\x01\x86\xa3\xff\xff\xff\xff\0\0\0\0", NONE, NONE],
        PROG_MISMATCH_2_4,
    ),
    // PROC_UNAVAIL.
    Row::reply(
        "NFSv2 procedure 1",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x02\0\0\0\x01", NONE, NONE],
        PROC_UNAVAIL,
    ),
    Row::reply(
        "NFSv3 procedure 1",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0\x01", NONE, NONE],
        PROC_UNAVAIL,
    ),
    Row::reply(
        "NFSv3 procedure 22, which nobody has",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0\x16", NONE, NONE],
        PROC_UNAVAIL,
    ),
    Row::reply(
        "NFSv4 procedure 1",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x04\0\0\0\x01", NONE, NONE],
        PROC_UNAVAIL,
    ),
    Row::reply(
        "a procedure whose number is negative to some",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x03\x80\0\0\0", NONE, NONE],
        PROC_UNAVAIL,
    ),
    Row::reply(
        "the largest procedure",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x03\xff\xff\xff\xff",
            NONE,
            NONE
        ],
        PROC_UNAVAIL,
    ),
    Row::reply(
        "a procedure that the server has not, with arguments",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0\x01",
            NONE,
            NONE,
            [7; 36]
        ],
        PROC_UNAVAIL,
    ),
    // RPC_MISMATCH.
    Row::reply(
        "RPC version 0",
        bytes![XID, *b"\0\0\0\0\0\0\0\0", NULL, NONE, NONE],
        RPC_MISMATCH,
    ),
    Row::reply(
        "RPC version 1",
        bytes![XID, *b"\0\0\0\0\0\0\0\x01", NULL, NONE, NONE],
        RPC_MISMATCH,
    ),
    Row::reply(
        "RPC version 3",
        bytes![XID, *b"\0\0\0\0\0\0\0\x03", NULL, NONE, NONE],
        RPC_MISMATCH,
    ),
    Row::reply(
        "the largest RPC version",
        bytes![XID, *b"\0\0\0\0\xff\xff\xff\xff", NULL, NONE, NONE],
        RPC_MISMATCH,
    ),
    Row::reply(
        "RPC version 3, and nothing after the procedure",
        bytes![XID, *b"\0\0\0\0\0\0\0\x03", NULL],
        RPC_MISMATCH,
    ),
    // Two things are wrong: what comes first in the message is told, and the credential before what it is for.
    Row::reply(
        "RPC version 3 before a credential of a flavor that is unknown",
        bytes![
            XID,
            *b"\0\0\0\0\0\0\0\x03",
            NULL,
            *b"\0\0\0\x08\0\0\0\0",
            NONE
        ],
        RPC_MISMATCH,
    ),
    Row::reply(
        "RPC version 3 before a program that is unknown",
        bytes![
            XID,
            *b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0",
            NONE,
            NONE
        ],
        RPC_MISMATCH,
    ),
    Row::reply(
        "a credential before the program",
        bytes![
            CALL,
            *b"\0\0\0\0\0\0\0\x03\0\0\0\0",
            *b"\0\0\0\x08\0\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "a credential before the version",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x05\0\0\0\0",
            *b"\0\0\0\x08\0\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "a credential before the procedure",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0\x16",
            *b"\0\0\0\x08\0\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "a credential before the verifier",
        bytes![CALL, NULL, *b"\0\0\0\x08\0\0\0\0", *b"\0\0\0\x01\0\0\0\0"],
        BADCRED,
    ),
    Row::reply(
        "a verifier before the program",
        bytes![
            CALL,
            *b"\0\0\0\0\0\0\0\x03\0\0\0\0",
            NONE,
            *b"\0\0\0\x01\0\0\0\0"
        ],
        BADVERF,
    ),
    Row::reply(
        "a verifier before the version",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x05\0\0\0\0",
            ROOT,
            *b"\0\0\0\x01\0\0\0\0"
        ],
        BADVERF,
    ),
    Row::reply(
        "a verifier before the procedure",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0\x16",
            NONE,
            *b"\0\0\0\x01\0\0\0\0"
        ],
        BADVERF,
    ),
    Row::reply(
        "a verifier before a procedure that AUTH_TLS is not for",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0\x01",
            TLS,
            *b"\0\0\0\x01\0\0\0\0"
        ],
        BADVERF,
    ),
    Row::reply(
        "a program before its version and procedure",
        bytes![
            CALL,
            *b"\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
            ROOT,
            NONE
        ],
        PROG_UNAVAIL,
    ),
    Row::reply(
        "a version before its procedure",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x05\xff\xff\xff\xff",
            ROOT,
            NONE
        ],
        PROG_MISMATCH_2_4,
    ),
    Row::reply(
        "a version that has NULL only by a Unix user",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x02\0\0\0\x05", ROOT, NONE],
        PROC_UNAVAIL,
    ),
    // Messages of other types.
    Row::nothing(
        "a reply",
        bytes![XID, *b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"],
    ),
    Row::nothing(
        "a call, if it were not of type 1",
        bytes![XID, *b"\0\0\0\x01\0\0\0\x02", NULL, NONE, NONE],
    ),
    Row::nothing(
        "a call, if it were not of type 2",
        bytes![XID, *b"\0\0\0\x02\0\0\0\x02", NULL, NONE, NONE],
    ),
    Row::nothing(
        "a call, if it were not of the largest type",
        bytes![XID, *b"\xff\xff\xff\xff\0\0\0\x02", NULL, NONE, NONE],
    ),
    Row::nothing(
        "a type before the RPC version",
        bytes![XID, *b"\0\0\0\x02\0\0\0\x03", NULL, NONE, NONE],
    ),
    Row::nothing("a type, and nothing after it", bytes![XID, *b"\0\0\0\x01"]),
    Row::nothing(
        "a type, and less after it than a call has",
        bytes![XID, *b"\0\0\0\x01\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03\0\0\0"],
    ),
    // Less than an xid and a type.
    Row::close("no bytes", b""),
    Row::close("1 byte", b"\x9a"),
    Row::close("2 bytes", b"\x9a\x3b"),
    Row::close("3 bytes", b"\x9a\x3b\x5c"),
    Row::close("an xid", b"\x9a\x3b\x5c\x7d"),
    Row::close("an xid and a byte", b"\x9a\x3b\x5c\x7d\0"),
    Row::close("an xid and two bytes", b"\x9a\x3b\x5c\x7d\0\0"),
    Row::close("an xid and three bytes", b"\x9a\x3b\x5c\x7d\0\0\0"),
    Row::close(
        "an xid and three bytes of another type",
        b"\x9a\x3b\x5c\x7d\0\0\x01",
    ),
    // A call that ends before its credential.
    Row::close("a call up to its type", bytes![XID, *b"\0\0\0\0"]),
    Row::close("a call in its RPC version", bytes![XID, *b"\0\0\0\0\0\0\0"]),
    Row::close("a call up to its RPC version", bytes![CALL]),
    Row::close("a call in its program", bytes![CALL, *b"\0\x01"]),
    Row::close("a call up to its program", bytes![CALL, *b"\0\x01\x86\xa3"]),
    Row::close("a call in its version", bytes![CALL, *b"\0\x01\x86\xa3\0"]),
    Row::close(
        "a call up to its version",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x03"],
    ),
    Row::close(
        "a call in its procedure",
        bytes![CALL, *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0"],
    ),
    Row::close(
        "a call of RPC version 3 up to its version",
        bytes![XID, *b"\0\0\0\0\0\0\0\x03\0\x01\x86\xa3\0\0\0\x03"],
    ),
];

pub(super) static ECHO: &[Row] = &[
    Row::reply(
        "ksf_echo NULL",
        bytes![CALL, ECHO_1, *b"\0\0\0\0", NONE, NONE],
        SUCCESS,
    ),
    Row::reply(
        "ECHO of nothing",
        bytes![ECHO_CALL, *b"\0\0\0\0"],
        bytes![RESULTS, *b"\0\0\0\0"],
    ),
    Row::reply(
        "ECHO of one byte",
        bytes![ECHO_CALL, *b"\0\0\0\x01a\0\0\0"],
        bytes![RESULTS, *b"\0\0\0\x01a\0\0\0"],
    ),
    Row::reply(
        "ECHO of four bytes, which is the most over UDP",
        bytes![ECHO_CALL, *b"\0\0\0\x04abcd"],
        bytes![RESULTS, *b"\0\0\0\x04abcd"],
    ),
    Row::reply(
        "ECHO with padding that is not zero, which nobody looks at",
        bytes![ECHO_CALL, *b"\0\0\0\x02ab\xff\xff"],
        bytes![RESULTS, *b"\0\0\0\x02ab\0\0"],
    ),
    Row::reply(
        "ECHO by a Unix user",
        bytes![CALL, ECHO_1, *b"\0\0\0\x01", ROOT, NONE, *b"\0\0\0\x04abcd"],
        bytes![RESULTS, *b"\0\0\0\x04abcd"],
    ),
    Row {
        name: "ECHO of five bytes",
        message: bytes![ECHO_CALL, *b"\0\0\0\x05abcde\0\0\0"],
        tcp: Tcp::Reply(bytes![RESULTS, *b"\0\0\0\x05abcde\0\0\0"]),
        udp: Some(SYSTEM_ERR),
    },
    Row {
        name: "ECHO of 2048 bytes, which is the most",
        message: bytes![ECHO_CALL, *b"\0\0\x08\0", [b'x'; 2_048]],
        tcp: Tcp::Reply(bytes![RESULTS, *b"\0\0\x08\0", [b'x'; 2_048]]),
        udp: Some(SYSTEM_ERR),
    },
    Row::reply(
        "ECHO of 2049 bytes",
        bytes![ECHO_CALL, *b"\0\0\x08\x01", [b'x'; 2_052]],
        GARBAGE_ARGS,
    ),
    Row::reply(
        "ECHO with 5000 bytes after its argument",
        bytes![ECHO_CALL, *b"\0\0\0\x04abcd", [0; 5_000]],
        GARBAGE_ARGS,
    ),
    Row::reply("ECHO without its argument", &ECHO_CALL, GARBAGE_ARGS),
    Row::reply(
        "ECHO with half a length",
        bytes![ECHO_CALL, *b"\0\0"],
        GARBAGE_ARGS,
    ),
    Row::reply(
        "ECHO of bytes that are not there",
        bytes![ECHO_CALL, *b"\0\0\0\x04"],
        GARBAGE_ARGS,
    ),
    Row::reply(
        "ECHO of bytes of which one is not there",
        bytes![ECHO_CALL, *b"\0\0\0\x04abc"],
        GARBAGE_ARGS,
    ),
    Row::reply(
        "ECHO without padding",
        bytes![ECHO_CALL, *b"\0\0\0\x01a"],
        GARBAGE_ARGS,
    ),
    Row::reply(
        "ECHO with a byte after its argument",
        bytes![ECHO_CALL, *b"\0\0\0\x04abcd\0"],
        GARBAGE_ARGS,
    ),
    Row::reply(
        "ECHO with a second argument",
        bytes![ECHO_CALL, *b"\0\0\0\x04abcd\0\0\0\0"],
        GARBAGE_ARGS,
    ),
    Row::reply(
        "ECHO with the largest length",
        bytes![ECHO_CALL, *b"\xff\xff\xff\xffabcd"],
        GARBAGE_ARGS,
    ),
    Row::reply(
        "ECHO with a length that is 0 if it is rounded up",
        bytes![ECHO_CALL, *b"\xff\xff\xff\xfe"],
        GARBAGE_ARGS,
    ),
    Row::reply(
        "ksf_echo version 0",
        bytes![CALL, *b"\x20\0\x6b\x65\0\0\0\0\0\0\0\0", NONE, NONE],
        PROG_MISMATCH_1_1,
    ),
    Row::reply(
        "ksf_echo version 2",
        bytes![CALL, *b"\x20\0\x6b\x65\0\0\0\x02\0\0\0\x01", NONE, NONE],
        PROG_MISMATCH_1_1,
    ),
    Row::reply(
        "ksf_echo procedure 2",
        bytes![CALL, ECHO_1, *b"\0\0\0\x02", NONE, NONE],
        PROC_UNAVAIL,
    ),
    Row::reply(
        "the largest procedure of ksf_echo",
        bytes![CALL, ECHO_1, *b"\xff\xff\xff\xff", NONE, NONE],
        PROC_UNAVAIL,
    ),
    Row::reply(
        "ECHO with AUTH_TLS, which is for NULL only",
        bytes![CALL, ECHO_1, *b"\0\0\0\x01", TLS, NONE, *b"\0\0\0\x04abcd"],
        BADCRED,
    ),
    Row::reply(
        "a credential before the arguments",
        bytes![CALL, ECHO_1, *b"\0\0\0\x01\0\0\0\x08\0\0\0\0", NONE],
        BADCRED,
    ),
    Row::reply(
        "a verifier before the arguments",
        bytes![CALL, ECHO_1, *b"\0\0\0\x01", NONE, *b"\0\0\0\x01\0\0\0\0"],
        BADVERF,
    ),
];

pub(super) static UNPRIVILEGED: &[Row] = &[
    Row::reply("NFSv3 NULL", bytes![CALL, NULL, NONE, NONE], SUCCESS),
    Row::reply(
        "ksf_echo NULL",
        bytes![CALL, ECHO_1, *b"\0\0\0\0", NONE, NONE],
        SUCCESS,
    ),
    Row::reply(
        "NULL by a Unix user",
        bytes![CALL, NULL, ROOT, NONE],
        SUCCESS,
    ),
    Row::reply("ECHO", bytes![ECHO_CALL, *b"\0\0\0\x04abcd"], TOOWEAK),
    Row::reply(
        "ECHO by a Unix user",
        bytes![CALL, ECHO_1, *b"\0\0\0\x01", ROOT, NONE, *b"\0\0\0\x04abcd"],
        TOOWEAK,
    ),
    Row::reply(
        "a port before the arguments",
        bytes![ECHO_CALL, *b"\xff\xff\xff\xff"],
        TOOWEAK,
    ),
    Row::reply(
        "a credential before the port",
        bytes![CALL, ECHO_1, *b"\0\0\0\x01\0\0\0\x08\0\0\0\0", NONE],
        BADCRED,
    ),
];
