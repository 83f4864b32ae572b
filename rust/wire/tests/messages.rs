// SPDX-License-Identifier: GPL-2.0

//! Calls and replies: what is written is read again, and nothing else is.

use proptest::{collection::vec, option, prelude::*};
use wire::{
    rpc::{
        AcceptStatus, AuthStat, AuthSys, Call, CallError, CallView, Credential, Denial, Flavor,
        Groups, OpaqueAuth, Reply, ReplyBody, ReplyError, ReplyView,
    },
    xdr,
};

#[path = "oracle/messages.rs"]
mod oracle;

use oracle::{check, is_successful, written};

/// What a message is made of; the messages themselves borrow from it.
#[derive(Clone, Debug)]
struct Parts {
    numbers: [u32; 4],
    credential: CredentialParts,
    verifier: (u32, Vec<u8>),
    payload: Vec<u8>,
}

#[derive(Clone, Debug)]
enum CredentialParts {
    None,
    Sys([u32; 3], Vec<u8>, Vec<u32>),
    Opaque(u32, Vec<u8>),
}

fn parts() -> impl Strategy<Value = Parts> {
    let body = || vec(any::<u8>(), 0..=400);
    let credential = prop_oneof![
        Just(CredentialParts::None),
        (
            any::<[u32; 3]>(),
            vec(any::<u8>(), 0..=255),
            vec(any::<u32>(), 0..=16)
        )
            .prop_map(|(numbers, name, groups)| CredentialParts::Sys(numbers, name, groups)),
        (2..=u32::MAX, body()).prop_map(|(flavor, body)| CredentialParts::Opaque(flavor, body)),
    ];
    let verifier = prop_oneof![Just((0, Vec::new())), (any::<u32>(), body())];
    (
        any::<[u32; 4]>(),
        credential,
        verifier,
        vec(any::<u8>(), 0..64),
    )
        .prop_map(|(numbers, credential, verifier, payload)| Parts {
            numbers,
            credential,
            verifier,
            payload,
        })
}

impl Parts {
    fn verifier(&self) -> OpaqueAuth<'_> {
        let (flavor, body) = &self.verifier;
        let flavor = Flavor(*flavor);
        OpaqueAuth { flavor, body }
    }

    fn call(&self) -> Call<'_> {
        let [xid, program, version, procedure] = self.numbers;
        let credential = match &self.credential {
            CredentialParts::None => Credential::None,
            CredentialParts::Sys([stamp, uid, gid], machine_name, groups) => {
                Credential::Sys(AuthSys {
                    stamp: *stamp,
                    machine_name,
                    uid: *uid,
                    gid: *gid,
                    groups: Groups::new(groups).unwrap(),
                })
            }
            CredentialParts::Opaque(2, body) => Credential::Short(body),
            CredentialParts::Opaque(flavor, body) => {
                let flavor = Flavor(*flavor);
                Credential::Other(OpaqueAuth { flavor, body })
            }
        };
        Call {
            xid,
            program,
            version,
            procedure,
            credential,
            verifier: self.verifier(),
        }
    }

    /// A reply with one of the statuses that there are.
    fn reply(&self) -> Reply<'_> {
        let [xid, kind, low, high] = self.numbers;
        let accepted = |status| {
            let verifier = self.verifier();
            ReplyBody::Accepted { verifier, status }
        };
        let body = match kind % 8 {
            0 => accepted(AcceptStatus::Success),
            1 => accepted(AcceptStatus::ProgUnavail),
            2 => accepted(AcceptStatus::ProgMismatch { low, high }),
            3 => accepted(AcceptStatus::ProcUnavail),
            4 => accepted(AcceptStatus::GarbageArgs),
            5 => accepted(AcceptStatus::SystemErr),
            6 => ReplyBody::Denied(Denial::RpcMismatch { low, high }),
            _ => ReplyBody::Denied(Denial::AuthError(AuthStat(low))),
        };
        Reply { xid, body }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_call_is_read_as_it_was_written(parts in parts()) {
        let call = parts.call();
        let mut bytes = written(call.encoded_len(), |writer| call.write(writer));
        let header = bytes.len();
        bytes.extend_from_slice(&parts.payload);
        let view = CallView::new(&bytes).unwrap();
        prop_assert_eq!(Call::parse(&view), Ok(call));
        prop_assert_eq!(view.arguments(), &parts.payload);
        for len in 0..header {
            let error = CallView::new(&bytes[..len]).unwrap_err();
            let expected = match len {
                0..24 => CallError::Truncated,
                _ => CallError::Auth { xid: call.xid, error: xdr::Error::Truncated },
            };
            prop_assert_eq!(error, expected, "{}", len);
        }
    }

    #[test]
    fn a_reply_is_read_as_it_was_written(parts in parts()) {
        let reply = parts.reply();
        let mut bytes = written(reply.encoded_len(), |writer| reply.write(writer));
        let header = bytes.len();
        prop_assert!(header <= Reply::MAX_BYTES);
        if is_successful(&reply) {
            bytes.extend_from_slice(&parts.payload);
        }
        let view = ReplyView::strict(&bytes).unwrap();
        prop_assert_eq!(Reply::parse(&view), Ok(reply));
        prop_assert_eq!(view.body().ends_with(&bytes[header..]), true);
        for len in 0..header {
            let error = ReplyView::new(&bytes[..len]).and_then(|view| Reply::parse(&view));
            prop_assert_eq!(error, Err(ReplyError::Malformed(xdr::Error::Truncated)), "{}", len);
        }
    }

    #[test]
    fn a_successful_reply_has_any_results_and_no_other_has_any(parts in parts()) {
        let reply = parts.reply();
        let mut bytes = written(reply.encoded_len(), |writer| reply.write(writer));
        bytes.extend_from_slice(&parts.payload);
        let view = ReplyView::new(&bytes).unwrap();
        if is_successful(&reply) {
            prop_assert_eq!(Reply::parse(&view), Ok(reply));
            prop_assert_eq!(view.body(), &parts.payload);
        } else if !parts.payload.is_empty() {
            let surplus = xdr::Error::Surplus(parts.payload.len());
            prop_assert_eq!(Reply::parse(&view), Err(ReplyError::Malformed(surplus)));
        }
    }

    #[test]
    fn what_is_read_is_written_again(
        parts in parts(),
        is_call in any::<bool>(),
        changes in vec((any::<usize>(), any::<u8>()), 0..4),
        cut in option::of(any::<usize>()),
    ) {
        let (call, reply) = (parts.call(), parts.reply());
        let mut bytes = if is_call {
            written(call.encoded_len(), |writer| call.write(writer))
        } else {
            written(reply.encoded_len(), |writer| reply.write(writer))
        };
        for (place, value) in changes {
            // Most of what is interesting is in the first bytes.
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
    fn any_bytes_can_be_read(words in vec(prop_oneof![0..3u32, any::<u32>()], 0..64), odd in vec(any::<u8>(), 0..4)) {
        let mut bytes: Vec<_> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        bytes.extend_from_slice(&odd);
        check(&bytes);
    }
}
