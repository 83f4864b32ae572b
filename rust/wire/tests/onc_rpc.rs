// SPDX-License-Identifier: GPL-2.0

//! The codec says what the crate `onc-rpc` says, which others wrote.

use onc_rpc::{
    auth::{AuthFlavor, AuthUnixParams},
    AcceptedReply, AcceptedStatus, AuthError, CallBody, MessageType, RejectedReply, ReplyBody,
    RpcMessage,
};
use proptest::{collection::vec, option, prelude::*};
use wire::{
    rpc::{AcceptStatus, Call, CallView, Reply, ReplyBody as OurReplyBody, ReplyView},
    xdr::Writer,
};

#[path = "oracle/onc_rpc.rs"]
mod oracle;

use oracle::{assert_same_call, assert_same_reply, check, marked, Theirs};

/// What is within the limits of both.
fn auth() -> impl Strategy<Value = AuthFlavor<Vec<u8>>> {
    let body = || vec(any::<u8>(), 0..=200);
    let sys = (
        any::<u32>(),
        vec(any::<u8>(), 0..=16),
        any::<u32>(),
        any::<u32>(),
    );
    prop_oneof![
        Just(AuthFlavor::AuthNone(None)),
        (sys, vec(any::<u32>(), 0..=16)).prop_map(|((stamp, name, uid, gid), groups)| {
            AuthFlavor::AuthUnix(AuthUnixParams::new(stamp, name, uid, gid, groups))
        }),
        body().prop_map(AuthFlavor::AuthShort),
        (3..=u32::MAX, body()).prop_map(|(id, data)| AuthFlavor::Unknown { id, data }),
    ]
}

fn call() -> impl Strategy<Value = CallBody<Vec<u8>, Vec<u8>>> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>());
    (numbers, auth(), auth(), vec(any::<u8>(), 0..64)).prop_map(
        |((program, version, procedure), credential, verifier, payload)| {
            CallBody::new(program, version, procedure, credential, verifier, payload)
        },
    )
}

fn reply() -> impl Strategy<Value = ReplyBody<Vec<u8>, Vec<u8>>> {
    let status = prop_oneof![
        vec(any::<u8>(), 0..64).prop_map(AcceptedStatus::Success),
        Just(AcceptedStatus::ProgramUnavailable),
        (any::<u32>(), any::<u32>())
            .prop_map(|(low, high)| AcceptedStatus::ProgramMismatch { low, high }),
        Just(AcceptedStatus::ProcedureUnavailable),
        Just(AcceptedStatus::GarbageArgs),
        Just(AcceptedStatus::SystemError),
    ];
    let error = prop_oneof![
        Just(AuthError::Success),
        Just(AuthError::BadCredentials),
        Just(AuthError::RejectedCredentials),
        Just(AuthError::BadVerifier),
        Just(AuthError::RejectedVerifier),
        Just(AuthError::TooWeak),
        Just(AuthError::InvalidResponseVerifier),
        Just(AuthError::Failed),
    ];
    prop_oneof![
        (auth(), status).prop_map(|(verifier, status)| {
            ReplyBody::Accepted(AcceptedReply::new(verifier, status))
        }),
        (any::<u32>(), any::<u32>()).prop_map(|(low, high)| ReplyBody::Denied(
            RejectedReply::RpcVersionMismatch { low, high }
        )),
        error.prop_map(|error| ReplyBody::Denied(RejectedReply::AuthError(error))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn their_calls_are_ours(xid in any::<u32>(), body in call()) {
        let bytes = RpcMessage::new(xid, MessageType::Call(body)).serialise().unwrap();
        let view = CallView::new(&bytes[4..]).unwrap();
        let theirs = Theirs::try_from(&bytes[..]).unwrap();
        assert_same_call(&view, xid, theirs.call_body().unwrap());

        let call = Call::parse(&view).unwrap();
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer);
        call.write(&mut writer).unwrap();
        writer.bytes(view.arguments()).unwrap();
        prop_assert_eq!(marked(writer.written()), bytes);
    }

    #[test]
    fn their_replies_are_ours(xid in any::<u32>(), body in reply()) {
        let bytes = RpcMessage::new(xid, MessageType::Reply(body)).serialise().unwrap();
        let view = ReplyView::strict(&bytes[4..]).unwrap();
        let theirs = Theirs::try_from(&bytes[..]).unwrap();
        assert_same_reply(&view, xid, theirs.reply_body().unwrap());

        let reply = Reply::parse(&view).unwrap();
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer);
        reply.write(&mut writer).unwrap();
        let success = AcceptStatus::Success;
        if matches!(reply.body, OurReplyBody::Accepted { status, .. } if status == success) {
            writer.bytes(view.body()).unwrap();
        }
        prop_assert_eq!(marked(writer.written()), bytes);
    }

    #[test]
    fn damaged_messages_are_read_alike(
        xid in any::<u32>(),
        call in call(),
        reply in reply(),
        is_call in any::<bool>(),
        changes in vec((any::<usize>(), any::<u8>()), 1..4),
        cut in option::of(any::<usize>()),
    ) {
        let message = if is_call { MessageType::Call(call) } else { MessageType::Reply(reply) };
        let mut bytes = RpcMessage::new(xid, message).serialise().unwrap().split_off(4);
        for (place, value) in changes {
            let place = if value % 2 == 0 { place % 32 } else { place };
            let len = bytes.len();
            bytes[place % len] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut % (bytes.len() + 1));
        }
        check(&bytes);
    }

    #[test]
    fn any_bytes_are_read_alike(words in vec(prop_oneof![0..3u32, any::<u32>()], 0..64)) {
        let bytes: Vec<_> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        check(&bytes);
    }
}
