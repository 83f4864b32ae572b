// SPDX-License-Identifier: GPL-2.0

//! What holds for any bytes, messages or not.

use wire::{
    rpc::{AcceptStatus, AuthSys, Call, CallView, OpaqueAuth, Reply, ReplyBody, ReplyView},
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

/// Reads bytes that may be a message or not. If they are, then writing what was read gives the same bytes, but for the
/// padding.
pub(crate) fn check(bytes: &[u8]) {
    if let Ok(view) = CallView::new(bytes) {
        if let Ok(call) = Call::parse(&view) {
            let mut again = written(call.encoded_len(), |writer| call.write(writer));
            again.extend_from_slice(view.arguments());
            assert_eq!(again.len(), bytes.len());
            assert_eq!(Call::parse(&CallView::new(&again).unwrap()), Ok(call));
        }
    }
    if let Ok(view) = ReplyView::strict(bytes) {
        if let Ok(reply) = Reply::parse(&view) {
            let mut again = written(reply.encoded_len(), |writer| reply.write(writer));
            if is_successful(&reply) {
                again.extend_from_slice(view.body());
            }
            assert_eq!(again, bytes);
        }
    }
    let mut reader = Reader::new(bytes);
    while OpaqueAuth::read(&mut reader).is_ok() {}
    let _ = AuthSys::parse(bytes);
}
