// SPDX-License-Identifier: GPL-2.0

//! Verifies replies.

use wire::rpc::{AcceptStatus, Flavor, OpaqueAuth, Reply, ReplyBody, ReplyView};

use crate::{
    mismatch::{Mismatch, Wrong},
    procedure::Procedure,
};

/// What replies have to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) procedure: Procedure,
    /// The flavor of the credential in the calls.
    pub(crate) credential: Flavor,
}

impl Expected {
    /// Verifies a reply of `len` bytes that begins with `head`: all of it, or at least [`Reply::MAX_BYTES`].
    ///
    /// Of `sent` requests, the first had the xid `first_xid`. Returns the number of the one that this is the reply to.
    #[inline]
    pub(crate) fn verify(
        &self,
        head: &[u8],
        len: u64,
        first_xid: u32,
        sent: u64,
    ) -> Result<u64, Mismatch> {
        let Some(xid) = head.first_chunk() else {
            return Err(Mismatch::NoXid(len));
        };
        let xid = u32::from_be_bytes(*xid);
        let number = number(xid, first_xid, sent).ok_or(Mismatch::UnknownXid(xid))?;
        self.verify_body(head, len)
            .map_err(|wrong| Mismatch::Reply(self.procedure, number, wrong))?;
        Ok(number)
    }

    #[inline]
    fn verify_body(&self, head: &[u8], len: u64) -> Result<(), Wrong> {
        let view = ReplyView::strict(head).map_err(Wrong::Malformed)?;
        let reply = Reply::parse(&view).map_err(Wrong::Malformed)?;
        match reply.body {
            ReplyBody::Denied(denial) => return Err(Wrong::Denied(denial)),
            ReplyBody::Accepted { verifier, status } => {
                if status != AcceptStatus::Success {
                    return Err(Wrong::Failed(status));
                }
                self.verify_verifier(verifier)?;
            }
        }
        let header = (head.len() - view.body().len()) as u64;
        match len.saturating_sub(header) {
            0 => Ok(()),
            results if self.procedure.is_null() => Err(Wrong::Surplus(results)),
            results if results % 4 != 0 => Err(Wrong::Unaligned(results)),
            _ => Ok(()),
        }
    }

    /// A server answers with AUTH_NONE, and AUTH_SYS also with AUTH_SHORT (RFC 5531, appendix A).
    #[inline]
    fn verify_verifier(&self, verifier: OpaqueAuth<'_>) -> Result<(), Wrong> {
        let is_short = verifier.flavor == Flavor::SHORT;
        if verifier == OpaqueAuth::NONE || is_short && self.credential == Flavor::SYS {
            return Ok(());
        }
        Err(Wrong::Verifier {
            credential: self.credential,
            flavor: verifier.flavor,
            len: verifier.body.len(),
        })
    }
}

/// The last of `sent` requests that had this xid. The first had `first_xid`, and they are consecutive.
#[inline]
pub(crate) fn number(xid: u32, first_xid: u32, sent: u64) -> Option<u64> {
    let last = sent.checked_sub(1)?;
    // The xids of more than 2^32 requests begin again.
    let last_xid = first_xid.wrapping_add(last as u32);
    last.checked_sub(last_xid.wrapping_sub(xid).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{
        rpc::{AuthStat, Denial, ReplyError},
        xdr::{self, Writer},
    };

    const NULL: Procedure = Procedure {
        program: 100_003,
        version: 3,
        number: 0,
    };
    const DUMP: Procedure = Procedure {
        program: 100_000,
        version: 2,
        number: 4,
    };

    /// Verifies a reply to the 3rd of 5 requests, with what a server made of it.
    fn verify(
        procedure: Procedure,
        credential: Flavor,
        body: ReplyBody<'_>,
        results: &[u8],
    ) -> Result<u64, Mismatch> {
        let mut buffer = [0; Reply::MAX_BYTES];
        let mut writer = Writer::new(&mut buffer);
        let reply = Reply { xid: 102, body };
        reply.write(&mut writer).unwrap();
        writer.bytes(results).unwrap();
        let expected = Expected {
            procedure,
            credential,
        };
        expected.verify(writer.written(), writer.len() as u64, 100, 5)
    }

    fn accepted(verifier: OpaqueAuth<'_>, status: AcceptStatus) -> ReplyBody<'_> {
        ReplyBody::Accepted { verifier, status }
    }

    const SUCCESS: ReplyBody<'_> = ReplyBody::Accepted {
        verifier: OpaqueAuth::NONE,
        status: AcceptStatus::Success,
    };

    #[test]
    fn a_successful_reply_is_right() {
        for credential in [Flavor::NONE, Flavor::SYS] {
            assert_eq!(verify(NULL, credential, SUCCESS, b""), Ok(2));
        }
    }

    #[test]
    fn only_null_has_no_results() {
        let wrong = Mismatch::Reply(NULL, 2, Wrong::Surplus(4));
        assert_eq!(verify(NULL, Flavor::NONE, SUCCESS, b"\0\0\0\0"), Err(wrong));
        assert_eq!(verify(DUMP, Flavor::NONE, SUCCESS, b"\0\0\0\0"), Ok(2));
        let wrong = Mismatch::Reply(DUMP, 2, Wrong::Unaligned(3));
        assert_eq!(verify(DUMP, Flavor::NONE, SUCCESS, b"\0\0\0"), Err(wrong));
    }

    #[test]
    fn results_need_not_be_seen_to_be_counted() {
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer);
        Reply::accepted(7, AcceptStatus::Success)
            .write(&mut writer)
            .unwrap();
        let expected = |procedure| Expected {
            procedure,
            credential: Flavor::NONE,
        };
        let head = &buffer[..Reply::MAX_BYTES];
        assert_eq!(expected(DUMP).verify(head, 1 << 40, 7, 1), Ok(0));
        let wrong = Mismatch::Reply(NULL, 0, Wrong::Surplus((1 << 40) - 24));
        assert_eq!(expected(NULL).verify(head, 1 << 40, 7, 1), Err(wrong));
    }

    #[test]
    fn what_is_not_successful_is_told() {
        let (low, high) = (2, 4);
        for status in [
            AcceptStatus::ProgUnavail,
            AcceptStatus::ProgMismatch { low, high },
            AcceptStatus::ProcUnavail,
            AcceptStatus::GarbageArgs,
            AcceptStatus::SystemErr,
        ] {
            let body = accepted(OpaqueAuth::NONE, status);
            let wrong = Mismatch::Reply(NULL, 2, Wrong::Failed(status));
            assert_eq!(verify(NULL, Flavor::NONE, body, b""), Err(wrong));
        }
        for denial in [
            Denial::RpcMismatch { low, high },
            Denial::AuthError(AuthStat::TOOWEAK),
        ] {
            let wrong = Mismatch::Reply(NULL, 2, Wrong::Denied(denial));
            let body = ReplyBody::Denied(denial);
            assert_eq!(verify(NULL, Flavor::NONE, body, b""), Err(wrong));
        }
    }

    #[test]
    fn a_verifier_is_one_that_servers_send() {
        let short = OpaqueAuth {
            flavor: Flavor::SHORT,
            body: b"token",
        };
        let body = accepted(short, AcceptStatus::Success);
        assert_eq!(verify(NULL, Flavor::SYS, body, b""), Ok(2));
        let sys = OpaqueAuth {
            flavor: Flavor::SYS,
            ..short
        };
        let none = OpaqueAuth {
            flavor: Flavor::NONE,
            ..short
        };
        for (credential, verifier) in [
            (Flavor::NONE, short),
            (Flavor::NONE, sys),
            (Flavor::NONE, none),
            (Flavor::SYS, sys),
            (Flavor::SYS, none),
        ] {
            let body = accepted(verifier, AcceptStatus::Success);
            let wrong = Wrong::Verifier {
                credential,
                flavor: verifier.flavor,
                len: 5,
            };
            let result = verify(NULL, credential, body, b"");
            assert_eq!(result, Err(Mismatch::Reply(NULL, 2, wrong)));
        }
    }

    #[test]
    fn what_is_no_reply_is_told() {
        let expected = Expected {
            procedure: NULL,
            credential: Flavor::NONE,
        };
        let verify = |bytes: &[u8]| expected.verify(bytes, bytes.len() as u64, 7, 1);
        assert_eq!(verify(b"\0\0\0"), Err(Mismatch::NoXid(3)));
        let unknown = Err(Mismatch::UnknownXid(0x0800_0000));
        assert_eq!(verify(b"\x08\0\0\0"), unknown);
        let cut = Wrong::Malformed(ReplyError::Malformed(xdr::Error::Truncated));
        let cut = Err(Mismatch::Reply(NULL, 0, cut));
        assert_eq!(verify(b"\0\0\0\x07\0\0\0\x01"), cut);
        let call = Wrong::Malformed(ReplyError::NotAReply(0));
        let call = Err(Mismatch::Reply(NULL, 0, call));
        assert_eq!(verify(b"\0\0\0\x07\0\0\0\0"), call);
    }

    #[test]
    fn numbers_are_those_of_requests_that_were_sent() {
        assert_eq!(number(100, 100, 0), None);
        assert_eq!(number(100, 100, 1), Some(0));
        assert_eq!(number(99, 100, 1), None);
        assert_eq!(number(101, 100, 1), None);
        assert_eq!(number(101, 100, 2), Some(1));
        // The xid after the highest is 0.
        assert_eq!(number(0, u32::MAX, 2), Some(1));
        assert_eq!(number(1, u32::MAX, 2), None);
        // After so many requests, an xid was of several.
        let many = (1 << 32) + 3;
        assert_eq!(number(102, 100, many), Some((1 << 32) + 2));
        assert_eq!(number(103, 100, many), Some(3));
        assert_eq!(number(99, 100, many), Some((1 << 32) - 1));
    }

    #[test]
    fn messages_name_what_was_called() {
        let (low, high) = (2, 4);
        let failed = Wrong::Failed(AcceptStatus::ProgMismatch { low, high });
        assert_eq!(
            Mismatch::Reply(NULL, 6, failed).to_string(),
            "request 7 (nfs version 3 NULL): PROG_MISMATCH (versions 2 to 4)"
        );
        assert_eq!(
            Mismatch::UnknownXid(0xab).to_string(),
            "a reply with xid 0x000000ab, which no request of this connection has"
        );
    }
}
