// SPDX-License-Identifier: GPL-2.0

//! What holds for any bytes, messages or not.

use std::fmt::Display;

use wire::{
    program,
    rpc::{
        AcceptStatus, AuthSys, AuthSysView, Call, CallView, OpaqueAuth, Reply, ReplyBody, ReplyView,
    },
    xdr::{self, Reader, Writer},
};

/// Whether results follow the reply.
pub(crate) fn is_successful(reply: &Reply<'_>) -> bool {
    let success = AcceptStatus::Success;
    matches!(reply.body, ReplyBody::Accepted { status, .. } if status == success)
}

/// The bytes that `write` writes, which needs all of `len` of them.
pub(crate) fn written(
    len: usize,
    mut write: impl FnMut(&mut Writer<'_>) -> xdr::Result,
) -> Vec<u8> {
    let mut buffer = vec![0xaa; len];
    for room in [0, 3, len / 2, len - 1] {
        let mut writer = Writer::new(&mut buffer[..room]);
        assert_eq!(write(&mut writer), Err(xdr::Error::NoRoom));
    }
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer).unwrap();
    assert_eq!(writer.len(), len);
    buffer
}

/// What is told to a person is a line.
fn assert_line(text: impl Display) {
    let text = text.to_string();
    assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
}

/// Reads bytes that may be a message or not. If they are, then writing what was read gives the same bytes, but for the
/// padding.
pub(crate) fn check(bytes: &[u8]) {
    match CallView::new(bytes) {
        Ok(view) => {
            if let Ok(call) = Call::parse(&view) {
                let mut again = written(call.encoded_len(), |writer| call.write(writer));
                again.extend_from_slice(view.arguments());
                assert_eq!(again.len(), bytes.len());
                assert_eq!(Call::parse(&CallView::new(&again).unwrap()), Ok(call));
            }
            let name = program::name(view.program());
            assert!(name.is_none_or(|name| program::by_name(name) == Some(view.program())));
            assert_line(view.credential().flavor);
            check_user(view.credential().body);
        }
        Err(error) => assert_line(error),
    }
    match ReplyView::strict(bytes).and_then(|view| Ok((view, Reply::parse(&view)?))) {
        Ok((view, reply)) => {
            let mut again = written(reply.encoded_len(), |writer| reply.write(writer));
            if is_successful(&reply) {
                again.extend_from_slice(view.body());
            }
            assert_eq!(again, bytes);
            match reply.body {
                ReplyBody::Accepted { status, .. } => assert_line(status),
                ReplyBody::Denied(denial) => assert_line(denial),
            }
        }
        Err(error) => assert_line(error),
    }
    let mut reader = Reader::new(bytes);
    while OpaqueAuth::read(&mut reader).is_ok() {}
    check_user(bytes);
    check_numbers(bytes);
}

/// A view of a user has what is in the user.
fn check_user(body: &[u8]) {
    let view = AuthSysView::new(body);
    assert_eq!(view.map(drop), AuthSys::parse(body).map(drop));
    let (Ok(view), Ok(user)) = (view, AuthSys::parse(body)) else {
        return;
    };
    assert_eq!(
        (view.stamp(), view.machine_name()),
        (user.stamp, user.machine_name)
    );
    assert_eq!((view.uid(), view.gid()), (user.uid, user.gid));
    assert!(view.groups().eq(user.groups.as_slice().iter().copied()));
}

/// Numbers of all kinds are the same bytes again.
fn check_numbers(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let mut buffer = [0; 20];
    let mut writer = Writer::new(&mut buffer);
    let mut copy = || {
        writer.i32(reader.i32()?)?;
        writer.u64(reader.u64()?)?;
        writer.bool(reader.bool()?)?;
        writer.u32(reader.enumeration::<u8>()?.into())
    };
    if let Err(error) = copy() {
        assert_line(error);
    }
    assert!(bytes.starts_with(writer.written()));
}
