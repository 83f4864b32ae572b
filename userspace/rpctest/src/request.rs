// SPDX-License-Identifier: GPL-2.0

//! The calls, which differ in nothing but their xid.

use std::num::NonZeroU32;

use wire::{
    record::Fragments,
    rpc::{Call, Credential, OpaqueAuth},
    xdr::{self, Writer},
};

use crate::procedure::Procedure;

/// A call with all its marks, in which the xid is to be set.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// In one piece, all of whose fields are words, and which of these is the xid.
    Whole {
        words: Box<[[u8; 4]]>,
        xid_at: usize,
    },
    /// In fragments that may begin anywhere, and where the bytes of the xid are.
    Torn {
        bytes: Box<[u8]>,
        xid_at: [usize; 4],
    },
}

impl Request {
    /// A call in so many fragments of a stream, or in a datagram if that is `None`.
    ///
    /// # Errors
    ///
    /// The credential exceeds the limits of the protocol.
    pub(crate) fn new(
        procedure: Procedure,
        credential: Credential<'_>,
        fragments: Option<NonZeroU32>,
    ) -> xdr::Result<Self> {
        let call = |xid| Call {
            xid,
            program: procedure.program,
            version: procedure.version,
            procedure: procedure.number,
            credential,
            verifier: OpaqueAuth::NONE,
        };
        // Written with two xids that have no byte in common, the calls differ in the xid's bytes only.
        let (bytes, other) = (
            written(&call(0), fragments)?,
            written(&call(u32::MAX), fragments)?,
        );
        let mut places = (0..bytes.len()).filter(|&at| bytes[at] != other[at]);
        let xid_at: [usize; 4] = std::array::from_fn(|_| places.next().unwrap_or_default());
        let (words, rest) = split_in_words(&bytes);
        let [first, .., last] = xid_at;
        Ok(if rest == 0 && first % 4 == 0 && last == first + 3 {
            Self::Whole {
                words,
                xid_at: first / 4,
            }
        } else {
            Self::Torn {
                bytes: bytes.into(),
                xid_at,
            }
        })
    }

    /// How many bytes the call has, with its marks.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole { words, .. } => words.as_flattened().len(),
            Self::Torn { bytes, .. } => bytes.len(),
        }
    }

    /// The call with this xid.
    #[inline(always)]
    pub(crate) fn with_xid(&mut self, xid: u32) -> &[u8] {
        let xid = xid.to_be_bytes();
        match self {
            Self::Whole { words, xid_at } => {
                words[*xid_at] = xid;
                words.as_flattened()
            }
            Self::Torn { bytes, xid_at } => {
                for (at, byte) in xid_at.iter().zip(xid) {
                    bytes[*at] = byte;
                }
                bytes
            }
        }
    }
}

/// The words of these bytes, and how many bytes are left over.
fn split_in_words(bytes: &[u8]) -> (Box<[[u8; 4]]>, usize) {
    let words = bytes.chunks_exact(4);
    let rest = words.remainder().len();
    let word = |word: &[u8]| std::array::from_fn(|at| word[at]);
    (words.map(word).collect(), rest)
}

fn written(call: &Call<'_>, fragments: Option<NonZeroU32>) -> xdr::Result<Vec<u8>> {
    let mut message = vec![0; call.encoded_len()];
    call.write(&mut Writer::new(&mut message))?;
    let Some(fragments) = fragments else {
        return Ok(message);
    };
    let mut bytes = Vec::new();
    // Messages are much shorter than a fragment may be.
    for (mark, fragment) in Fragments::new(&message, fragments).into_iter().flatten() {
        bytes.extend_from_slice(&mark.to_bytes());
        bytes.extend_from_slice(fragment);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::rpc::{AuthSys, Groups};

    const NULL: Procedure = Procedure {
        program: 100_003,
        version: 3,
        number: 0,
    };

    fn request(fragments: u32) -> Vec<u8> {
        let fragments = NonZeroU32::new(fragments);
        let mut request = Request::new(NULL, Credential::None, fragments).unwrap();
        request.with_xid(u32::MAX);
        request.with_xid(0x0102_0304).to_vec()
    }

    /// All of the call but its first four bytes, the xid.
    const REST: &[u8; 36] = b"\0\0\0\0\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03\0\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

    #[test]
    fn a_call_has_a_mark_and_its_xid() {
        let expected = [b"\x80\0\0\x28\x01\x02\x03\x04", &REST[..]].concat();
        assert_eq!(request(1), expected);
    }

    #[test]
    fn a_datagram_has_no_mark() {
        let expected = [b"\x01\x02\x03\x04", &REST[..]].concat();
        assert_eq!(request(0), expected);
    }

    #[test]
    fn of_three_fragments_the_first_and_the_last_have_one_byte() {
        let middle = [b"\x02\x03\x04", &REST[..35]].concat();
        let expected = [
            &b"\0\0\0\x01\x01"[..],
            b"\0\0\0\x26",
            &middle,
            b"\x80\0\0\x01\0",
        ];
        assert_eq!(request(3), expected.concat());
    }

    #[test]
    fn an_xid_in_many_fragments_is_in_its_places() {
        let bytes = request(40);
        for (at, byte) in [1, 2, 3, 4].into_iter().enumerate() {
            assert_eq!(bytes[at * 5..][..5], [0, 0, 0, 1, byte]);
        }
        assert_eq!(bytes.len(), 40 * 5);
    }

    #[test]
    fn a_user_is_a_part_of_the_call() {
        let user = AuthSys {
            stamp: 0,
            machine_name: b"client",
            uid: 1000,
            gid: 1000,
            groups: Groups::default(),
        };
        let one = Some(NonZeroU32::MIN);
        let mut request = Request::new(NULL, Credential::Sys(user), one).unwrap();
        let call = request.with_xid(7);
        assert_eq!(call[..4], [0x80, 0, 0, 0x44]);
        assert_eq!(call.len(), 0x44 + 4);
        let named = AuthSys {
            machine_name: &[b'x'; 256],
            ..user
        };
        assert!(Request::new(NULL, Credential::Sys(named), one).is_err());
    }
}
