// SPDX-License-Identifier: GPL-2.0

//! Credentials and verifiers.

use super::{Row, BADCRED, BADVERF, CALL, NONE, NULL, PROG_MISMATCH_2_4, PROG_UNAVAIL, SUCCESS};

/// AUTH_SYS of root on "client", in the groups 0 and 4: 36 bytes.
const CLIENT: [u8; 44] =
    *b"\0\0\0\x01\0\0\0\x24\x12\x34\x56\x78\0\0\0\x06client\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\x02\0\0\0\0\0\0\0\x04";
/// After a name: user 0, group 0, no other groups.
const ROOT: [u8; 12] = *b"\0\0\0\0\0\0\0\0\0\0\0\0";

pub(super) static CREDENTIALS: &[Row] = &[
    // AUTH_NONE.
    Row::reply(
        "AUTH_NONE of 1 byte",
        bytes![CALL, NULL, *b"\0\0\0\0\0\0\0\x01a\0\0\0", NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_NONE of 4 bytes",
        bytes![CALL, NULL, *b"\0\0\0\0\0\0\0\x04abcd", NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_NONE of 400 bytes",
        bytes![CALL, NULL, *b"\0\0\0\0\0\0\x01\x90", [0; 400], NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_NONE of 401 bytes",
        bytes![CALL, NULL, *b"\0\0\0\0\0\0\x01\x91", [0; 404], NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_NONE with a length that its verifier is in",
        bytes![CALL, NULL, *b"\0\0\0\0\0\0\0\x08", NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_NONE with the largest length",
        bytes![CALL, NULL, *b"\0\0\0\0\xff\xff\xff\xff", NONE],
        BADCRED,
    ),
    Row::reply("no credential", bytes![CALL, NULL], BADCRED),
    Row::reply("half a flavor", bytes![CALL, NULL, *b"\0\0"], BADCRED),
    Row::reply(
        "AUTH_NONE without a length",
        bytes![CALL, NULL, *b"\0\0\0\0"],
        BADCRED,
    ),
    // AUTH_SYS as it should be.
    Row::reply(
        "AUTH_SYS of no machine, in no groups",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x14\0\0\0\0\0\0\0\0", ROOT, NONE],
        SUCCESS,
    ),
    Row::reply("AUTH_SYS of a client", bytes![CALL, NULL, CLIENT, NONE], SUCCESS),
    Row::reply(
        "AUTH_SYS with padding that is not zero, which nobody looks at",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x18\0\0\0\0\0\0\0\x01a\xff\xff\xff",
            ROOT,
            NONE
        ],
        SUCCESS,
    ),
    Row::reply(
        "AUTH_SYS with the largest numbers",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x14\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
            NONE
        ],
        SUCCESS,
    ),
    Row::reply(
        "AUTH_SYS with a name of 255 bytes",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\x01\x14\0\0\0\0\0\0\0\xff",
            [b'x'; 255],
            *b"\0",
            ROOT,
            NONE
        ],
        SUCCESS,
    ),
    Row::reply(
        "AUTH_SYS in 16 groups",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x54\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10",
            [0xff; 64],
            NONE
        ],
        SUCCESS,
    ),
    Row::reply(
        "AUTH_SYS with a name of 255 bytes, in 16 groups",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\x01\x54\0\0\0\0\0\0\0\xff",
            [b'x'; 255],
            *b"\0\0\0\0\0\0\0\0\0\0\0\0\x10",
            [0; 64],
            NONE
        ],
        SUCCESS,
    ),
    // AUTH_SYS beyond its limits.
    Row::reply(
        "AUTH_SYS with a name of 256 bytes",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\x01\x14\0\0\0\0\0\0\x01\0",
            [b'x'; 256],
            ROOT,
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS with a name that is longer than its body",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x14\0\0\0\0\0\0\0\xff",
            ROOT,
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS with a name of the largest length",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x14\0\0\0\0\xff\xff\xff\xff",
            ROOT,
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS in 17 groups",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x58\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x11",
            [0; 68],
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS in as many groups as can be said",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS in as many groups as take no bytes if that is multiplied in 32 bits",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    // AUTH_SYS whose length is not that of what is in it.
    Row::reply(
        "AUTH_SYS with a length that is 4 too large",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x18\0\0\0\0\0\0\0\0", ROOT, NONE, NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS with a length that is 1 too large",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x15\0\0\0\0\0\0\0\0", ROOT, NONE, NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS with a length that is 4 too small",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x10\0\0\0\0\0\0\0\0", ROOT, NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS with a length that is 1 too small",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x13\0\0\0\0\0\0\0\0", ROOT, NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS with a length of 0, and a body",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0", ROOT, NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS with surplus in its body",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x18\0\0\0\0\0\0\0\0",
            ROOT,
            *b"\0\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS of 400 bytes, of which most are surplus",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\x01\x90\0\0\0\0\0\0\0\0",
            ROOT,
            [0; 380],
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS of 401 bytes",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\x01\x91\0\0\0\0\0\0\0\0",
            ROOT,
            [0; 384],
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS of 404 bytes",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\x01\x94\0\0\0\0\0\0\0\0",
            ROOT,
            [0; 384],
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS with the largest length",
        bytes![CALL, NULL, *b"\0\0\0\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\0", ROOT, NONE],
        BADCRED,
    ),
    // AUTH_SYS whose body ends in the middle.
    Row::reply(
        "AUTH_SYS without a body",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\0", NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS up to its stamp",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x04\x12\x34\x56\x78", NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS up to the length of its name",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x08\x12\x34\x56\x78\0\0\0\x06", NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS in its name",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x0c\x12\x34\x56\x78\0\0\0\x06clie", NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS without the padding of its name",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x0e\x12\x34\x56\x78\0\0\0\x06client\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS up to its name",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x10\x12\x34\x56\x78\0\0\0\x06client\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS up to its user",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x14\x12\x34\x56\x78\0\0\0\x06client\0\0\0\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS up to its group",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x18\x12\x34\x56\x78\0\0\0\x06client\0\0\0\0\0\0\0\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS up to the number of its groups",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x1c\x12\x34\x56\x78\0\0\0\x06client\0\0\0\0\0\0\0\0\0\0\0\0\0\x02",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SYS without the last of its groups",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x01\0\0\0\x20\x12\x34\x56\x78\0\0\0\x06client\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    // The message ends in the middle.
    Row::reply(
        "a message up to the flavor of AUTH_SYS",
        bytes![CALL, NULL, *b"\0\0\0\x01"],
        BADCRED,
    ),
    Row::reply(
        "a message up to the length of AUTH_SYS",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x24"],
        BADCRED,
    ),
    Row::reply(
        "a message that ends in AUTH_SYS",
        bytes![CALL, NULL, *b"\0\0\0\x01\0\0\0\x24\x12\x34\x56\x78\0\0\0\x06cli"],
        BADCRED,
    ),
    Row::reply(
        "a message that ends before the padding of its credential",
        bytes![CALL, NULL, *b"\0\0\0\x02\0\0\0\x05abcde"],
        BADCRED,
    ),
    // Flavors that there are, and that the server does not take.
    Row::reply(
        "AUTH_SHORT",
        bytes![CALL, NULL, *b"\0\0\0\x02\0\0\0\x08abcdefgh", NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_SHORT without a body",
        bytes![CALL, NULL, *b"\0\0\0\x02\0\0\0\0", NONE],
        BADCRED,
    ),
    Row::reply(
        "AUTH_DH",
        bytes![CALL, NULL, *b"\0\0\0\x03\0\0\0\x0c\0\0\0\x01\0\0\0\x01\0\0\0\x02", NONE],
        BADCRED,
    ),
    Row::reply(
        "RPCSEC_GSS that begins a context",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x06\0\0\0\x14\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "RPCSEC_GSS that uses a context, with its verifier",
        bytes![
            CALL,
            NULL,
            *b"\0\0\0\x06\0\0\0\x18\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\x04abcd",
            *b"\0\0\0\x06\0\0\0\x04abcd"
        ],
        BADCRED,
    ),
    Row::reply(
        "RPCSEC_GSS without a body",
        bytes![CALL, NULL, *b"\0\0\0\x06\0\0\0\0", NONE],
        BADCRED,
    ),
    // AUTH_TLS.
    Row::reply(
        "a probe for TLS",
        bytes![CALL, NULL, *b"\0\0\0\x07\0\0\0\0", NONE],
        SUCCESS,
    ),
    Row::reply(
        "a probe for TLS with a body",
        bytes![CALL, NULL, *b"\0\0\0\x07\0\0\0\x04abcd", NONE],
        BADCRED,
    ),
    Row::reply(
        "a probe for TLS with a verifier of a flavor",
        bytes![CALL, NULL, *b"\0\0\0\x07\0\0\0\0", *b"\0\0\0\x01\0\0\0\0"],
        BADVERF,
    ),
    Row::reply(
        "a probe for TLS with a verifier that has a body",
        bytes![CALL, NULL, *b"\0\0\0\x07\0\0\0\0", *b"\0\0\0\0\0\0\0\x08STARTTLS"],
        BADVERF,
    ),
    Row::reply(
        "AUTH_TLS for another procedure than NULL",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x03\0\0\0\x01",
            *b"\0\0\0\x07\0\0\0\0",
            NONE
        ],
        BADCRED,
    ),
    Row::reply(
        "a probe for TLS to a program that the server has not",
        bytes![CALL, *b"\0\0\0\0\0\0\0\x03\0\0\0\0", *b"\0\0\0\x07\0\0\0\0", NONE],
        PROG_UNAVAIL,
    ),
    Row::reply(
        "a probe for TLS to a version that the server has not",
        bytes![
            CALL,
            *b"\0\x01\x86\xa3\0\0\0\x05\0\0\0\0",
            *b"\0\0\0\x07\0\0\0\0",
            NONE
        ],
        PROG_MISMATCH_2_4,
    ),
    // Flavors that nobody knows.
    Row::reply(
        "flavor 4",
        bytes![CALL, NULL, *b"\0\0\0\x04\0\0\0\0", NONE],
        BADCRED,
    ),
    Row::reply(
        "flavor 5",
        bytes![CALL, NULL, *b"\0\0\0\x05\0\0\0\0", NONE],
        BADCRED,
    ),
    Row::reply(
        "flavor 8",
        bytes![CALL, NULL, *b"\0\0\0\x08\0\0\0\0", NONE],
        BADCRED,
    ),
    Row::reply(
        "flavor 8 with a body of 400 bytes",
        bytes![CALL, NULL, *b"\0\0\0\x08\0\0\x01\x90", [0; 400], NONE],
        BADCRED,
    ),
    Row::reply(
        "flavor 390003, which is Kerberos of RPCSEC_GSS in other places",
        bytes![CALL, NULL, *b"\0\x05\xf3\x73\0\0\0\0", NONE],
        BADCRED,
    ),
    Row::reply(
        "the largest flavor",
        bytes![CALL, NULL, *b"\xff\xff\xff\xff\0\0\0\0", NONE],
        BADCRED,
    ),
];

pub(super) static VERIFIERS: &[Row] = &[
    Row::reply(
        "a verifier of AUTH_SYS without a body",
        bytes![CALL, NULL, NONE, *b"\0\0\0\x01\0\0\0\0"],
        BADVERF,
    ),
    Row::reply(
        "a verifier of AUTH_SYS",
        bytes![CALL, NULL, CLIENT, CLIENT],
        BADVERF,
    ),
    Row::reply(
        "a verifier of RPCSEC_GSS",
        bytes![CALL, NULL, NONE, *b"\0\0\0\x06\0\0\0\x04abcd"],
        BADVERF,
    ),
    Row::reply(
        "a verifier of AUTH_TLS",
        bytes![CALL, NULL, NONE, *b"\0\0\0\x07\0\0\0\0"],
        BADVERF,
    ),
    Row::reply(
        "a verifier of the largest flavor",
        bytes![CALL, NULL, CLIENT, *b"\xff\xff\xff\xff\0\0\0\0"],
        BADVERF,
    ),
    Row::reply(
        "a verifier of AUTH_NONE with 1 byte",
        bytes![CALL, NULL, NONE, *b"\0\0\0\0\0\0\0\x01a\0\0\0"],
        BADVERF,
    ),
    Row::reply(
        "a verifier of AUTH_NONE with 4 bytes",
        bytes![CALL, NULL, CLIENT, *b"\0\0\0\0\0\0\0\x04\0\0\0\0"],
        BADVERF,
    ),
    Row::reply(
        "a verifier of AUTH_NONE with 400 bytes",
        bytes![CALL, NULL, NONE, *b"\0\0\0\0\0\0\x01\x90", [0; 400]],
        BADVERF,
    ),
    // What cannot be read is a bad credential.
    Row::reply(
        "a verifier of 401 bytes",
        bytes![CALL, NULL, NONE, *b"\0\0\0\0\0\0\x01\x91", [0; 404]],
        BADCRED,
    ),
    Row::reply(
        "a verifier of 404 bytes",
        bytes![CALL, NULL, CLIENT, *b"\0\0\0\0\0\0\x01\x94", [0; 404]],
        BADCRED,
    ),
    Row::reply(
        "a verifier of the largest length",
        bytes![CALL, NULL, NONE, *b"\0\0\0\0\xff\xff\xff\xff"],
        BADCRED,
    ),
    Row::reply("no verifier", bytes![CALL, NULL, NONE], BADCRED),
    Row::reply(
        "no verifier for a Unix user",
        bytes![CALL, NULL, CLIENT],
        BADCRED,
    ),
    Row::reply(
        "half a flavor of a verifier",
        bytes![CALL, NULL, NONE, *b"\0\0"],
        BADCRED,
    ),
    Row::reply(
        "a verifier without a length",
        bytes![CALL, NULL, NONE, *b"\0\0\0\0"],
        BADCRED,
    ),
    Row::reply(
        "a verifier with half a length",
        bytes![CALL, NULL, NONE, *b"\0\0\0\0\0\0"],
        BADCRED,
    ),
    Row::reply(
        "a verifier without the bytes that it says to have",
        bytes![CALL, NULL, NONE, *b"\0\0\0\0\0\0\0\x04abc"],
        BADCRED,
    ),
    Row::reply(
        "a verifier without its padding",
        bytes![CALL, NULL, NONE, *b"\0\0\0\x01\0\0\0\x01a"],
        BADCRED,
    ),
    Row::reply(
        "a verifier without a length, and a program that is unknown",
        bytes![CALL, *b"\0\0\0\0\0\0\0\x03\0\0\0\0", NONE, *b"\0\0\0\0"],
        BADCRED,
    ),
];
