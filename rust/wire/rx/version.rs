// SPDX-License-Identifier: GPL-2.0

//! Which program the other side is: VERSION packets, as `rxdebug -version` sends them.
//!
//! A request has the flag CLIENT_INITIATED, and a payload that means nothing. The answer has the same header without that
//! flag, and [`VERSION_BYTES`] bytes. Those without the flag are not answered: they keep NATs open.

/// How many bytes an answer has.
pub const VERSION_BYTES: usize = 65;

/// The payload of an answer that says this, or the first 64 bytes of it: with Linux, a zero byte is always the last, and
/// `rxdebug` prints no more.
///
/// # Examples
///
/// ```
/// use wire::rx::version;
///
/// let payload = version::to_bytes("ksf 0.1");
/// assert_eq!(version::text(&payload), b"ksf 0.1");
/// ```
pub fn to_bytes(text: &str) -> [u8; VERSION_BYTES] {
    let mut payload = [0; VERSION_BYTES];
    let places = payload.iter_mut().take(VERSION_BYTES - 1);
    for (place, byte) in places.zip(text.bytes()) {
        *place = byte;
    }
    payload
}

/// What the payload of an answer says, up to the first zero byte, and no more than [`VERSION_BYTES`] bytes of it. It may be
/// in any encoding.
pub fn text(payload: &[u8]) -> &[u8] {
    let payload = payload.get(..VERSION_BYTES).unwrap_or(payload);
    payload.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn a_text_is_padded_with_zeros() {
        let payload = to_bytes("ksf");
        assert_eq!(payload[..3], *b"ksf");
        assert_eq!(payload[3..], [0; 62]);
        assert_eq!(text(&payload), b"ksf");
    }

    #[test]
    fn a_long_text_is_cut() {
        for len in [63, 64, 65, 66, 1000] {
            let payload = to_bytes(&"a".repeat(len));
            assert_eq!(text(&payload), "a".repeat(len.min(64)).as_bytes());
            assert_eq!(payload[64], 0);
        }
    }

    #[test]
    fn an_answer_may_have_any_length() {
        // OpenAFS may leave no room for the zero byte.
        for (payload, expected) in [
            (&[b'a'; 65][..], &[b'a'; 65][..]),
            (&[b'a'; 66], &[b'a'; 65]),
            (b"a\0b", b"a"),
            (b"ab", b"ab"),
            (b"\0", b""),
            (b"", b""),
        ] {
            assert_eq!(text(payload), expected);
        }
    }
}
