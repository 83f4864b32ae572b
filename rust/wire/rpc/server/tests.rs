// SPDX-License-Identifier: GPL-2.0

extern crate std;

use super::*;
use crate::{
    program,
    xdr::Reader, //
};
use std::{
    vec,
    vec::Vec, //
};

/// What the procedures are given: the most bytes that are sent back.
#[derive(Debug)]
struct Context(u32);

/// Versions 2 and 3, without anything.
struct Nfs;

impl Program<Context> for Nfs {
    const NUMBER: u32 = program::NFS;
    const NAME: &'static str = "nfs";
    const VERSIONS: &'static [Version<Context>] = &[Version::null_only(2), Version::null_only(3)];
}

/// Versions 1 and 3, of which the second has a procedure more.
struct Echo;

impl Echo {
    const ECHO: Procedure<Context> = Procedure {
        name: "ECHO",
        call: |context, request, results| {
            let mut arguments = Reader::new(request.arguments());
            let data = arguments.opaque(context.0)?;
            arguments.finish()?;
            Ok(results.opaque(data)?)
        },
    };
    const FAIL: Procedure<Context> = Procedure {
        name: "FAIL",
        call: |_, _, results| {
            results.u32(7)?;
            Err(Failure::SystemErr)
        },
    };
}

impl Program<Context> for Echo {
    const NUMBER: u32 = 0x2000_0001;
    const NAME: &'static str = "echo";
    const VERSIONS: &'static [Version<Context>] = &[
        Version {
            number: 1,
            procedures: &[Procedure::NULL, Self::ECHO],
        },
        Version {
            number: 3,
            procedures: &[Procedure::NULL, Self::ECHO, Self::FAIL],
        },
    ];
}

static PROGRAMS: [Entry<Context>; 2] = registry([Entry::of::<Nfs>(), Entry::of::<Echo>()]);

/// A call of procedure 1 of version 3 of [`Echo`], by nobody, with the argument "abc".
const ECHO: &[u8] = b"\0\0\0\x07\0\0\0\0\0\0\0\x02\x20\0\0\x01\0\0\0\x03\0\0\0\x01\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03abc\0";

/// A credential of AUTH_SYS: stamp 9, the name "pc", user 1000, group 100, and the groups 4 and 27.
const SYS: &[u8] = b"\0\0\0\x01\0\0\0\x20\0\0\0\x09\0\0\0\x02pc\0\0\0\0\x03\xe8\0\0\0\x64\
    \0\0\0\x02\0\0\0\x04\0\0\0\x1b";

const NONE: &[u8] = &[0; 8];

/// A call of NULL of version 3 of NFS.
fn null(credential: &[u8], verifier: &[u8]) -> Vec<u8> {
    let fixed = b"\0\0\0\x07\0\0\0\0\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03\0\0\0\0";
    [&fixed[..], credential, verifier].concat()
}

/// `message` with other words in some places.
fn with(message: &[u8], words: &[(usize, u32)]) -> Vec<u8> {
    let mut changed = message.to_vec();
    for (place, word) in words {
        changed[*place..place + 4].copy_from_slice(&word.to_be_bytes());
    }
    changed
}

/// What becomes of a message, and the reply in a buffer of `room` bytes.
fn served(message: &[u8], room: usize) -> (Outcome, Vec<u8>) {
    let mut buffer = vec![0xaa; room];
    let outcome = serve(&PROGRAMS, &Context(64), message, &mut buffer);
    match outcome.answer {
        Answer::Reply(len) => buffer.truncate(len),
        Answer::Drop | Answer::Close => buffer.clear(),
    }
    (outcome, buffer)
}

/// Why a message is not served.
fn reason(message: &[u8]) -> Option<Reason> {
    served(message, 64).0.reason
}

#[test]
fn procedures_have_slots_in_their_order() {
    assert_eq!(slots(&PROGRAMS), 7);
    let mut slot = 0;
    for (program, version, procedures) in [
        (100_003, 2, 1),
        (100_003, 3, 1),
        (0x2000_0001, 1, 2),
        (0x2000_0001, 3, 3),
    ] {
        for procedure in 0..procedures {
            let call = with(ECHO, &[(12, program), (16, version), (20, procedure)]);
            let request = receive(&PROGRAMS, &call).unwrap();
            assert_eq!(request.slot(), slot);
            assert_eq!(served(&call, 64).0.slot, Some(slot));
            slot += 1;
        }
    }
    assert_eq!(slot, 7);
    // Programs that are alone begin with 0.
    static ALONE: [Entry<Context>; 1] = registry([Entry::of::<Echo>()]);
    assert_eq!(receive(&ALONE, ECHO).unwrap().slot(), 3);
    assert_eq!(slots(&ALONE), 5);
    assert_eq!(slots::<Context>(&[]), 0);
}

#[test]
fn entries_say_what_programs_are_called() {
    let [nfs, echo] = &PROGRAMS;
    assert_eq!((nfs.number, nfs.name), (100_003, "nfs"));
    assert_eq!((echo.number, echo.name), (0x2000_0001, "echo"));
    let versions = echo.versions.iter();
    let names: Vec<_> = versions
        .flat_map(|version| version.procedures)
        .map(|procedure| procedure.name)
        .collect();
    assert_eq!(names, ["NULL", "ECHO", "NULL", "ECHO", "FAIL"]);
}

#[test]
fn each_reason_has_its_action() {
    let reply = |reason: Reason| {
        let Action::Reply(reply) = reason.action(7) else {
            panic!("no reply to {reason:?}");
        };
        let mut buffer = [0xaa; MAX_ERROR_BYTES];
        let mut writer = Writer::new(&mut buffer);
        reply.write(&mut writer).unwrap();
        writer.written().to_vec()
    };
    assert_eq!(Reason::Runt.action(7), Action::Close);
    assert_eq!(Reason::ShortHeader.action(7), Action::Close);
    assert_eq!(Reason::NotACall.action(7), Action::Drop);
    let bytes = b"\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x02";
    assert_eq!(reply(Reason::RpcMismatch), bytes);
    for (stat, last) in [
        (AuthStat::BADCRED, 1),
        (AuthStat::BADVERF, 3),
        (AuthStat::TOOWEAK, 5),
    ] {
        let mut bytes = *b"\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\0";
        bytes[19] = last;
        assert_eq!(reply(Reason::Auth(stat)), bytes);
    }
    for (reason, last) in [
        (Reason::ProgUnavail, 1),
        (Reason::ProcUnavail, 3),
        (Reason::GarbageArgs, 4),
        (Reason::SystemErr, 5),
    ] {
        let mut bytes = *b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        bytes[23] = last;
        assert_eq!(reply(reason), bytes);
    }
    let bytes = b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x03";
    assert_eq!(reply(Reason::ProgMismatch { low: 1, high: 3 }), bytes);
}

#[test]
fn a_procedure_reads_its_arguments_and_writes_its_results() {
    let (outcome, reply) = served(ECHO, 64);
    let slot = Some(5);
    let expected = Outcome {
        answer: Answer::Reply(32),
        slot,
        reason: None,
    };
    assert_eq!(outcome, expected);
    let bytes = b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03abc\0";
    assert_eq!(reply, bytes);
    let request = receive(&PROGRAMS, ECHO).unwrap();
    assert_eq!((request.xid(), request.procedure()), (7, 1));
    assert_eq!(request.arguments(), b"\0\0\0\x03abc\0");
    assert_eq!(request.caller(), Caller::None);
}

#[test]
fn null_does_not_look_at_its_arguments() {
    let bytes = *b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for procedures in [null(NONE, NONE), with(ECHO, &[(20, 0)])] {
        for arguments in [&b""[..], b"\xff", &[0xff; 60_000]] {
            let call = [&procedures[..], arguments].concat();
            assert_eq!(served(&call, 24).1, bytes);
        }
    }
}

#[test]
fn arguments_that_cannot_be_read_are_garbage() {
    let garbage = [
        // Cut off, without padding, too long for what is there and for the procedure, with something after it.
        ECHO[..42].to_vec(),
        ECHO[..47].to_vec(),
        with(ECHO, &[(40, 5)]),
        [&with(ECHO, &[(40, 65)]), &[0; 64][..]].concat(),
        [ECHO, &[0; 4]].concat(),
    ];
    for call in garbage {
        let (outcome, reply) = served(&call, 256);
        let bytes = b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04";
        assert_eq!(reply, bytes, "{call:?}");
        let (slot, reason) = (outcome.slot, outcome.reason);
        assert_eq!((slot, reason), (Some(5), Some(Reason::GarbageArgs)));
    }
}

#[test]
fn results_without_room_are_an_error_of_the_system() {
    let bytes = b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05";
    for room in 24..32 {
        let (outcome, reply) = served(ECHO, room);
        assert_eq!(reply, bytes, "{room}");
        let (slot, reason) = (outcome.slot, outcome.reason);
        assert_eq!((slot, reason), (Some(5), Some(Reason::SystemErr)));
    }
    // So is what a procedure calls one, and nothing that it wrote before is sent.
    let (outcome, reply) = served(&with(ECHO, &[(20, 2)]), 64);
    assert_eq!(reply, bytes);
    let (slot, reason) = (outcome.slot, outcome.reason);
    assert_eq!((slot, reason), (Some(6), Some(Reason::SystemErr)));
}

#[test]
fn what_a_failure_is_follows_from_the_error_of_xdr() {
    assert_eq!(Failure::from(xdr::Error::NoRoom), Failure::SystemErr);
    for error in [
        xdr::Error::Truncated,
        xdr::Error::Surplus(4),
        xdr::Error::NotABool(2),
        xdr::Error::TooLong { len: 2, max: 1 },
    ] {
        assert_eq!(Failure::from(error), Failure::GarbageArgs);
    }
}

#[test]
fn a_reply_without_room_is_not_sent() {
    for (message, len) in [
        (null(NONE, NONE), 24),
        (null(&[0xff; 8], NONE), 20),
        (with(ECHO, &[(8, 3)]), 24),
        (with(ECHO, &[(16, 4)]), 32),
        (with(ECHO, &[(20, 3)]), 24),
        (with(ECHO, &[(40, 5)]), 24),
    ] {
        for room in 0..len {
            let (outcome, reply) = served(&message, room);
            assert_eq!((outcome.answer, &reply[..]), (Answer::Drop, &[][..]));
            assert!(outcome.reason.is_some());
        }
        assert_eq!(served(&message, len).1.len(), len);
    }
    let request = receive(&PROGRAMS, ECHO).unwrap();
    let result = call(&Context(64), &request, &mut [0; 23]);
    assert_eq!(result, Err(Failure::SystemErr));
}

#[test]
fn versions_between_the_lowest_and_the_highest_may_be_missing() {
    let (low, high) = (1, 3);
    for version in [0, 2, 4, u32::MAX] {
        let expected = Some(Reason::ProgMismatch { low, high });
        assert_eq!(reason(&with(ECHO, &[(16, version)])), expected);
    }
}

#[test]
fn what_is_wrong_is_found_in_the_order_of_sunrpc() {
    // Each message has what is wrong in the one after it, too.
    let mut message = [ECHO, &[0; 4]].concat();
    assert_eq!(reason(&message), Some(Reason::GarbageArgs));
    message = with(&message, &[(20, 9)]);
    assert_eq!(reason(&message), Some(Reason::ProcUnavail));
    message = with(&message, &[(16, 9)]);
    let (low, high) = (1, 3);
    assert_eq!(reason(&message), Some(Reason::ProgMismatch { low, high }));
    message = with(&message, &[(12, 9)]);
    assert_eq!(reason(&message), Some(Reason::ProgUnavail));
    // A probe for TLS that is no NULL, a bad verifier, a bad credential.
    message = with(&message, &[(24, 7)]);
    assert_eq!(reason(&message), Some(Reason::Auth(AuthStat::BADCRED)));
    message = with(&message, &[(32, 1)]);
    assert_eq!(reason(&message), Some(Reason::Auth(AuthStat::BADVERF)));
    message = with(&message, &[(24, 6)]);
    assert_eq!(reason(&message), Some(Reason::Auth(AuthStat::BADCRED)));
    message = with(&message, &[(8, 3)]);
    assert_eq!(reason(&message), Some(Reason::RpcMismatch));
    message.truncate(23);
    assert_eq!(reason(&message), Some(Reason::ShortHeader));
    message = with(&message, &[(4, 1)]);
    assert_eq!(reason(&message), Some(Reason::NotACall));
    message.truncate(7);
    assert_eq!(reason(&message), Some(Reason::Runt));
}

#[test]
fn a_refusal_has_the_number_of_its_message_if_there_is_one() {
    let refused = |message: &[u8]| receive(&PROGRAMS, message).unwrap_err();
    assert_eq!(refused(&with(ECHO, &[(8, 3)])).xid, 7);
    assert_eq!(refused(&with(ECHO, &[(28, 401)])).xid, 7);
    assert_eq!(refused(&with(ECHO, &[(24, 6)])).xid, 7);
    assert_eq!(refused(&with(ECHO, &[(12, 6)])).xid, 7);
    let none = Refusal {
        xid: 0,
        reason: Reason::Runt,
    };
    assert_eq!(
        (refused(b"\0\0\0\x07"), none.action()),
        (none, Action::Close)
    );
}

#[test]
fn a_user_is_who_the_client_says() {
    let call = null(SYS, NONE);
    let request = receive(&PROGRAMS, &call).unwrap();
    let Caller::Sys(user) = request.caller() else {
        panic!("nobody calls");
    };
    assert_eq!((user.stamp(), user.machine_name()), (9, &b"pc"[..]));
    assert_eq!((user.uid(), user.gid()), (1000, 100));
    assert_eq!(user.groups().collect::<Vec<_>>(), [4, 27]);
    assert_eq!(served(&call, 24).0.reason, None);
    // All names and groups up to the limits; the body has 20 bytes beside them.
    for (name, groups) in [(0, 0), (1, 1), (4, 15), (254, 16), (255, 16)] {
        let words = |words: &[u32]| words.iter().copied().flat_map(u32::to_be_bytes).collect();
        let padded = (name as usize).next_multiple_of(4);
        let len = 20 + padded as u32 + 4 * groups;
        let mut credential: Vec<u8> = words(&[1, len, 9, name]);
        credential.resize(credential.len() + padded, b'x');
        credential.extend(words(&[1, 2, groups]));
        credential.extend(words(&(0..groups).collect::<Vec<_>>()));
        let call = null(&credential, NONE);
        let Caller::Sys(user) = receive(&PROGRAMS, &call).unwrap().caller() else {
            panic!("nobody calls");
        };
        assert_eq!(user.machine_name().len(), name as usize);
        assert!(user.groups().eq(0..groups));
    }
}

#[test]
fn a_credential_is_what_its_flavor_says_or_bad() {
    let bad = Some(Reason::Auth(AuthStat::BADCRED));
    for len in 0..32 {
        // The body is cut off, and says so.
        let padded = SYS[8..8 + len]
            .iter()
            .copied()
            .chain(vec![0; len.wrapping_neg() % 4]);
        let cut: Vec<_> = [0, 0, 0, 1, 0, 0, 0, len as u8]
            .into_iter()
            .chain(padded)
            .collect();
        assert_eq!(reason(&null(&cut, NONE)), bad, "{len}");
    }
    for credential in [
        [&with(SYS, &[(4, 36)]), &[0; 4][..]].concat(),
        [&[0, 0, 0, 0, 0, 0, 0, 4][..], &[0; 4]].concat(),
        [&[0, 0, 0, 7, 0, 0, 0, 4][..], &[0; 4]].concat(),
        with(SYS, &[(12, 256)]),
        with(SYS, &[(28, 17)]),
    ] {
        assert_eq!(reason(&null(&credential, NONE)), bad, "{credential:?}");
    }
    for flavor in [2, 3, 4, 5, 6, 8, 390_003, u32::MAX] {
        assert_eq!(reason(&null(&with(NONE, &[(0, flavor)]), NONE)), bad);
    }
}

#[test]
fn a_probe_for_tls_is_null_by_nobody() {
    let probe = null(b"\0\0\0\x07\0\0\0\0", NONE);
    let request = receive(&PROGRAMS, &probe).unwrap();
    assert_eq!(request.caller(), Caller::None);
    assert_eq!(served(&probe, 24).0.reason, None);
}

#[test]
fn a_verifier_says_nothing() {
    for credential in [NONE, SYS, b"\0\0\0\x07\0\0\0\0"] {
        for verifier in [
            &b"\0\0\0\x01\0\0\0\0"[..],
            b"\0\0\0\x07\0\0\0\0",
            b"\0\0\0\0\0\0\0\x04\0\0\0\0",
            b"\0\0\0\0\0\0\0\x01\0\0\0\0",
        ] {
            let bad = Some(Reason::Auth(AuthStat::BADVERF));
            assert_eq!(reason(&null(credential, verifier)), bad);
        }
    }
}

#[test]
fn the_longest_header_is_all_that_is_needed() {
    let long = |flavor| [&[0, 0, 0, flavor, 0, 0, 1, 0x90][..], &[0; 400]].concat();
    let call = null(&long(6), &long(6));
    assert_eq!(call.len(), MAX_HEADER_BYTES);
    // What is too long or cut off is no verifier, and no credential either.
    let bad = Some(Reason::Auth(AuthStat::BADCRED));
    assert_eq!(reason(&call), bad);
    assert_eq!(reason(&call[..MAX_HEADER_BYTES - 1]), bad);
    let call = null(NONE, &long(6));
    assert_eq!(reason(&call), Some(Reason::Auth(AuthStat::BADVERF)));
    assert_eq!(reason(&call[..call.len() - 1]), bad);
}

#[test]
fn a_caller_may_have_something_against_a_request() {
    let serve_some = |message: &[u8]| {
        let mut buffer = [0xaa; 64];
        let admit = |request: &Request<'_, Context>| match request.procedure() {
            NULL => Ok(()),
            _ => Err(AuthStat::TOOWEAK),
        };
        let outcome = serve_if(&PROGRAMS, &Context(64), message, &mut buffer, admit);
        (outcome, buffer)
    };
    let (outcome, reply) = serve_some(ECHO);
    let slot = Some(5);
    let expected = Outcome {
        answer: Answer::Reply(20),
        slot,
        reason: Some(Reason::Auth(AuthStat::TOOWEAK)),
    };
    assert_eq!(outcome, expected);
    let bytes = b"\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x05";
    assert_eq!(reply[..20], bytes[..]);
    assert_eq!(serve_some(&null(SYS, NONE)).0.reason, None);
    // It is not asked about what the server does not have.
    let (outcome, _) = serve_some(&with(ECHO, &[(20, 9)]));
    assert_eq!(outcome.reason, Some(Reason::ProcUnavail));
    assert_eq!(outcome.slot, None);
}
