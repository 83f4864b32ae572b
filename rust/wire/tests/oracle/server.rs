// SPDX-License-Identifier: GPL-2.0

//! What holds for the answer to any bytes.

use wire::rpc::{
    server::{receive, serve, slots, Answer, Outcome, Reason, MAX_ERROR_BYTES, MAX_HEADER_BYTES},
    AcceptStatus, Reply, ReplyBody, ReplyView,
};

use super::programs::PROGRAMS;

/// The reply to these bytes, or what else is done about them. Checks that it is a reply, and what becomes of it with less room.
pub(crate) fn check(message: &[u8]) -> Result<Vec<u8>, Answer> {
    let mut buffer = [0xaa; 4096];
    let outcome = serve(&PROGRAMS, &(), message, &mut buffer);
    assert!(outcome.slot.is_none_or(|slot| slot < slots(&PROGRAMS)));
    let reply = match outcome.answer {
        Answer::Reply(len) => &buffer[..len],
        answer => {
            let closes = matches!(outcome.reason, Some(Reason::Runt | Reason::ShortHeader));
            assert!(closes || outcome.reason == Some(Reason::NotACall));
            assert_eq!((answer == Answer::Close, outcome.slot), (closes, None));
            return Err(answer);
        }
    };
    check_reply(message, &outcome, reply);
    check_with_less_room(message, &outcome, reply);
    // No more than the header is needed to find that out.
    let header = &message[..message.len().min(MAX_HEADER_BYTES)];
    let found = receive(&PROGRAMS, header).map(|request| (request.xid(), request.slot()));
    let whole = receive(&PROGRAMS, message).map(|request| (request.xid(), request.slot()));
    assert_eq!(found, whole);
    Ok(reply.to_vec())
}

/// The reply is one, is the answer to this message, and is not much longer.
fn check_reply(message: &[u8], outcome: &Outcome, reply: &[u8]) {
    assert_eq!(reply.len() % 4, 0);
    assert!(reply.len() <= message.len().max(MAX_ERROR_BYTES));
    let view = ReplyView::strict(reply).unwrap();
    let parsed = Reply::parse(&view).unwrap();
    assert_eq!(reply[..4], message[..4]);
    let is_success = matches!(
        parsed.body,
        ReplyBody::Accepted {
            status: AcceptStatus::Success,
            ..
        }
    );
    assert_eq!(is_success, outcome.reason.is_none());
    assert!(outcome.slot.is_some() || !is_success);
}

/// In a buffer that is too small for the reply, there is another one that says so, or none.
fn check_with_less_room(message: &[u8], outcome: &Outcome, reply: &[u8]) {
    for room in [0, 19, 20, 24, 28, 32, reply.len() - 1, reply.len()] {
        let mut buffer = vec![0xaa; room];
        let small = serve(&PROGRAMS, &(), message, &mut buffer);
        assert_eq!(small.slot, outcome.slot);
        if room >= reply.len() {
            assert_eq!((small, &buffer[..reply.len()]), (*outcome, reply));
            continue;
        }
        if outcome.slot.is_none() {
            assert_eq!((small.answer, small.reason), (Answer::Drop, outcome.reason));
            continue;
        }
        // Without room for the shortest reply, the procedure was not called.
        assert_eq!(small.reason, Some(Reason::SystemErr));
        match small.answer {
            Answer::Reply(len) => {
                let view = ReplyView::strict(&buffer[..len]).unwrap();
                let expected = Reply::accepted(view.xid(), AcceptStatus::SystemErr);
                assert_eq!(Reply::parse(&view), Ok(expected));
                assert_eq!(buffer[..4], message[..4]);
            }
            answer => assert_eq!((answer, room < 24), (Answer::Drop, true)),
        }
    }
}
