// SPDX-License-Identifier: GPL-2.0

//! What the crate `onc-rpc`, which others wrote, makes of the same bytes.
//!
//! That crate has limits of its own: 200 bytes of a credential or a verifier, and 16 of a machine's name. It looks into
//! AUTH_SYS also in a verifier, takes AUTH_NONE with a body, and knows the statuses up to AUTH_FAILED.

use onc_rpc::{
    auth::AuthFlavor, AcceptedStatus, AuthError, CallBody, MessageType, RejectedReply, ReplyBody,
    RpcMessage,
};
use wire::{
    record::Mark,
    rpc::{
        AcceptStatus, AuthStat, AuthSys, CallView, Credential, Denial, Flavor, Groups, OpaqueAuth,
        Reply, ReplyView,
    },
};

/// A message as they read it.
pub(crate) type Theirs<'a> = RpcMessage<&'a [u8], &'a [u8]>;

/// The message with its mark, as theirs are read.
pub(crate) fn marked(message: &[u8]) -> Vec<u8> {
    let mark = Mark::new(message.len() as u32, true).unwrap();
    [&mark.to_bytes()[..], message].concat()
}

/// A credential or a verifier means the same to both.
fn assert_same_auth<T: AsRef<[u8]>>(ours: OpaqueAuth<'_>, theirs: &AuthFlavor<T>) {
    assert_eq!(ours.flavor, Flavor(theirs.id()));
    match (Credential::parse(ours), theirs) {
        (Ok(Credential::None), AuthFlavor::AuthNone(None)) => {}
        (Err(_), AuthFlavor::AuthNone(Some(data))) => assert_eq!(ours.body, data.as_ref()),
        (Ok(Credential::Sys(sys)), AuthFlavor::AuthUnix(params)) => {
            let same = AuthSys {
                stamp: params.stamp(),
                machine_name: params.machine_name(),
                uid: params.uid(),
                gid: params.gid(),
                groups: Groups::new(params.gids().unwrap_or_default()).unwrap(),
            };
            assert_eq!(sys, same);
        }
        (Ok(Credential::Short(body)), AuthFlavor::AuthShort(data)) => {
            assert_eq!(body, data.as_ref());
        }
        (Ok(Credential::Other(auth)), AuthFlavor::Unknown { data, .. }) => {
            assert_eq!(auth.body, data.as_ref());
        }
        (ours, theirs) => panic!("{ours:?} is not {}", theirs.id()),
    }
}

/// A call means the same to both.
pub(crate) fn assert_same_call<T: AsRef<[u8]>, P: AsRef<[u8]>>(
    ours: &CallView<'_>,
    xid: u32,
    theirs: &CallBody<T, P>,
) {
    assert_eq!(ours.xid(), xid);
    assert_eq!(ours.program(), theirs.program());
    assert_eq!(ours.version(), theirs.program_version());
    assert_eq!(ours.procedure(), theirs.procedure());
    assert_eq!(ours.arguments(), theirs.payload().as_ref());
    assert_same_auth(ours.credential(), theirs.auth_credentials());
    assert_same_auth(ours.verifier(), theirs.auth_verifier());
}

/// A reply means the same to both.
pub(crate) fn assert_same_reply<T: AsRef<[u8]>, P: AsRef<[u8]>>(
    ours: &ReplyView<'_>,
    xid: u32,
    theirs: &ReplyBody<T, P>,
) {
    let reply = Reply::parse(ours).unwrap();
    assert_eq!(reply.xid, xid);
    match theirs {
        ReplyBody::Accepted(theirs) => {
            let wire::rpc::ReplyBody::Accepted { verifier, status } = reply.body else {
                panic!("{reply:?} is not accepted");
            };
            assert_same_auth(verifier, theirs.auth_verifier());
            let same = match theirs.status() {
                AcceptedStatus::Success(results) => {
                    assert_eq!(ours.body(), results.as_ref());
                    AcceptStatus::Success
                }
                AcceptedStatus::ProgramUnavailable => AcceptStatus::ProgUnavail,
                AcceptedStatus::ProgramMismatch { low, high } => AcceptStatus::ProgMismatch {
                    low: *low,
                    high: *high,
                },
                AcceptedStatus::ProcedureUnavailable => AcceptStatus::ProcUnavail,
                AcceptedStatus::GarbageArgs => AcceptStatus::GarbageArgs,
                AcceptedStatus::SystemError => AcceptStatus::SystemErr,
            };
            assert_eq!(status, same);
        }
        ReplyBody::Denied(theirs) => {
            let same = match theirs {
                RejectedReply::RpcVersionMismatch { low, high } => Denial::RpcMismatch {
                    low: *low,
                    high: *high,
                },
                RejectedReply::AuthError(error) => Denial::AuthError(match error {
                    AuthError::Success => AuthStat(0),
                    AuthError::BadCredentials => AuthStat::BADCRED,
                    AuthError::RejectedCredentials => AuthStat::REJECTEDCRED,
                    AuthError::BadVerifier => AuthStat::BADVERF,
                    AuthError::RejectedVerifier => AuthStat::REJECTEDVERF,
                    AuthError::TooWeak => AuthStat::TOOWEAK,
                    AuthError::InvalidResponseVerifier => AuthStat::INVALIDRESP,
                    AuthError::Failed => AuthStat::FAILED,
                }),
            };
            assert_eq!(reply, Reply::denied(xid, same));
        }
    }
}

/// Whether a credential or a verifier that we read is within what they read.
fn theirs_reads(auth: OpaqueAuth<'_>) -> bool {
    auth.body.len() <= 200
        && match Credential::parse(auth) {
            Ok(Credential::Sys(sys)) => sys.machine_name.len() <= 16,
            Ok(_) => true,
            Err(_) => auth.flavor == Flavor::NONE,
        }
}

/// Both read the bytes to the same effect, as far as both read them at all.
pub(crate) fn check(bytes: &[u8]) {
    let marked = marked(bytes);
    let theirs = Theirs::try_from(&marked[..]);
    if let Ok(view) = CallView::new(bytes) {
        if theirs_reads(view.credential()) && theirs_reads(view.verifier()) {
            let theirs = theirs.as_ref().expect("they read this call too");
            assert_same_call(
                &view,
                theirs.xid(),
                theirs.call_body().expect("it is a call"),
            );
        }
    }
    let ours = ReplyView::new(bytes).and_then(|view| Reply::parse(&view).map(|_| view));
    if let Ok(view) = ours {
        let known_error = view.verifier().is_some() || view.status() == 0 || {
            matches!(view.body(), [0, 0, 0, 0..=7])
        };
        if known_error && view.verifier().is_none_or(theirs_reads) {
            let theirs = theirs.as_ref().expect("they read this reply too");
            assert_same_reply(
                &view,
                theirs.xid(),
                theirs.reply_body().expect("it is a reply"),
            );
        }
    }
    match theirs.as_ref().map(RpcMessage::message) {
        Ok(MessageType::Call(_)) => drop(CallView::new(bytes).expect("we read this call too")),
        Ok(MessageType::Reply(_)) => drop(ours.expect("we read this reply too")),
        Err(_) => {}
    }
}
