// SPDX-License-Identifier: GPL-2.0

//! Replies.

use core::{error, fmt};

use super::{
    AuthStat,
    OpaqueAuth,
    REPLY, //
};
use crate::xdr::{
    self,
    Reader,
    Writer,
    UNIT, //
};

/// The reply_stat of a call that was accepted.
const ACCEPTED: u32 = 0;

/// The reply_stat of a call that was denied.
const DENIED: u32 = 1;

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The header of the reply is cut off, or has more bytes than it should, or a verifier that is too long.
    Malformed(xdr::Error),
    /// The message is of another type, for example a call.
    NotAReply(u32),
    /// Neither accepted nor denied.
    ReplyStat(u32),
    /// Accepted, with a status that does not exist.
    AcceptStat(u32),
    /// Denied, with a reason that does not exist.
    RejectStat(u32),
}

impl From<xdr::Error> for ReplyError {
    #[inline]
    fn from(error: xdr::Error) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "a malformed reply: {error}"),
            Self::NotAReply(value) => write!(f, "a message of type {value} instead of a reply"),
            Self::ReplyStat(value) => write!(f, "a reply with the unknown reply_stat {value}"),
            Self::AcceptStat(value) => write!(f, "a reply with the unknown accept_stat {value}"),
            Self::RejectStat(value) => write!(f, "a reply with the unknown reject_stat {value}"),
        }
    }
}

impl error::Error for ReplyError {}

/// A reply, in the bytes of its message.
#[derive(Clone, Copy, Debug)]
pub struct ReplyView<'a> {
    xid: u32,
    verifier: Option<OpaqueAuth<'a>>,
    status: u32,
    body: &'a [u8],
}

impl<'a> ReplyView<'a> {
    /// Checks that the message is a reply, and where its parts are.
    ///
    /// A status that does not exist is no error yet, so that the xid and the verifier of such a reply can be known.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`].
    #[inline]
    pub fn new(message: &'a [u8]) -> Result<Self, ReplyError> {
        Self::read(Reader::new(message))
    }

    /// As [`Self::new`], but the verifier is also to be padded with zeroes.
    ///
    /// # Errors
    ///
    /// See [`ReplyError`].
    #[inline]
    pub fn strict(message: &'a [u8]) -> Result<Self, ReplyError> {
        Self::read(Reader::strict(message))
    }

    #[inline]
    fn read(mut reader: Reader<'a>) -> Result<Self, ReplyError> {
        let xid = reader.u32()?;
        match reader.u32()? {
            REPLY => {}
            other => return Err(ReplyError::NotAReply(other)),
        }
        let verifier = match reader.u32()? {
            ACCEPTED => Some(OpaqueAuth::read(&mut reader)?),
            DENIED => None,
            other => return Err(ReplyError::ReplyStat(other)),
        };
        Ok(Self {
            xid,
            verifier,
            status: reader.u32()?,
            body: reader.rest(),
        })
    }

    /// The number of the call that this answers.
    #[inline]
    pub const fn xid(&self) -> u32 {
        self.xid
    }

    /// What proves who the server is. Only a call that was accepted is answered with one.
    #[inline]
    pub const fn verifier(&self) -> Option<OpaqueAuth<'a>> {
        self.verifier
    }

    /// The accept_stat of a call that was accepted, or the reject_stat of one that was denied.
    #[inline]
    pub const fn status(&self) -> u32 {
        self.status
    }

    /// All that follows the status: of a successful call, these are the results.
    #[inline]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// What became of a call that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptStatus {
    /// The procedure was called. Its results follow.
    Success,
    /// The server does not have the program.
    ProgUnavail,
    /// The server does not have this version of the program.
    ProgMismatch {
        /// The lowest version that it has.
        low: u32,
        /// The highest version that it has.
        high: u32,
    },
    /// The program does not have the procedure.
    ProcUnavail,
    /// The procedure cannot read its arguments.
    GarbageArgs,
    /// Something else went wrong, for example for want of memory.
    SystemErr,
}

impl AcceptStatus {
    const fn number(self) -> u32 {
        match self {
            Self::Success => 0,
            Self::ProgUnavail => 1,
            Self::ProgMismatch { .. } => 2,
            Self::ProcUnavail => 3,
            Self::GarbageArgs => 4,
            Self::SystemErr => 5,
        }
    }
}

impl fmt::Display for AcceptStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "SUCCESS",
            Self::ProgUnavail => "PROG_UNAVAIL",
            Self::ProgMismatch { low, high } => {
                return write!(f, "PROG_MISMATCH (versions {low} to {high})")
            }
            Self::ProcUnavail => "PROC_UNAVAIL",
            Self::GarbageArgs => "GARBAGE_ARGS",
            Self::SystemErr => "SYSTEM_ERR",
        })
    }
}

/// Why a call was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The server does not have this version of RPC.
    RpcMismatch {
        /// The lowest version that it has.
        low: u32,
        /// The highest version that it has.
        high: u32,
    },
    /// The server does not accept the credential or the verifier.
    AuthError(AuthStat),
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RpcMismatch { low, high } => {
                write!(f, "RPC_MISMATCH (versions {low} to {high})")
            }
            Self::AuthError(stat) => write!(f, "AUTH_ERROR ({stat})"),
        }
    }
}

/// What a server says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyBody<'a> {
    /// The call was accepted, which does not mean that it was successful.
    Accepted {
        /// What proves who the server is.
        verifier: OpaqueAuth<'a>,
        /// What became of the call.
        status: AcceptStatus,
    },
    /// The call was denied.
    Denied(Denial),
}

/// A reply, without the results of a successful call.
///
/// # Examples
///
/// ```
/// use wire::{rpc::{AcceptStatus, Reply, ReplyView}, xdr::Writer};
///
/// let reply = Reply::accepted(7, AcceptStatus::ProgMismatch { low: 2, high: 4 });
/// let mut buffer = [0; 64];
/// let mut writer = Writer::new(&mut buffer);
/// reply.write(&mut writer)?;
///
/// let view = ReplyView::new(writer.written())?;
/// assert_eq!(view.xid(), 7);
/// assert_eq!(Reply::parse(&view)?, reply);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The number of the call that this answers.
    pub xid: u32,
    /// What the server says to it.
    pub body: ReplyBody<'a>,
}

impl<'a> Reply<'a> {
    /// The most bytes that a reply has, without results.
    pub const MAX_BYTES: usize = 8 * UNIT + super::MAX_AUTH_BYTES as usize;

    /// Writes the reply to a successful call, up to its results, by a server that does not say who it is.
    #[inline]
    pub fn write_success(xid: u32, place: &mut [u8; 6 * UNIT]) {
        // All but the xid and the type is 0: MSG_ACCEPTED, AUTH_NONE without a body, and SUCCESS.
        *place = [0; 6 * UNIT];
        if let Some((first, rest)) = place.split_first_chunk_mut() {
            *first = xid.to_be_bytes();
            if let Some(second) = rest.first_chunk_mut() {
                *second = REPLY.to_be_bytes();
            }
        }
    }

    /// The reply to a call that is accepted, by a server that does not say who it is.
    #[inline]
    pub const fn accepted(xid: u32, status: AcceptStatus) -> Self {
        let verifier = OpaqueAuth::NONE;
        let body = ReplyBody::Accepted { verifier, status };
        Self { xid, body }
    }

    /// The reply to a call that is denied.
    #[inline]
    pub const fn denied(xid: u32, denial: Denial) -> Self {
        let body = ReplyBody::Denied(denial);
        Self { xid, body }
    }

    /// Finds out what a reply means. Of a successful call, the results are [`ReplyView::body`].
    ///
    /// # Errors
    ///
    /// If the status does not exist, or what follows it is not what it should be.
    #[inline]
    pub fn parse(view: &ReplyView<'a>) -> Result<Self, ReplyError> {
        let mut reader = Reader::new(view.body);
        let body = match view.verifier {
            Some(verifier) => {
                let status = match view.status {
                    0 => {
                        // All that follows is the program's.
                        reader = Reader::new(&[]);
                        AcceptStatus::Success
                    }
                    1 => AcceptStatus::ProgUnavail,
                    2 => {
                        let (low, high) = (reader.u32()?, reader.u32()?);
                        AcceptStatus::ProgMismatch { low, high }
                    }
                    3 => AcceptStatus::ProcUnavail,
                    4 => AcceptStatus::GarbageArgs,
                    5 => AcceptStatus::SystemErr,
                    other => return Err(ReplyError::AcceptStat(other)),
                };
                ReplyBody::Accepted { verifier, status }
            }
            None => ReplyBody::Denied(match view.status {
                0 => {
                    let (low, high) = (reader.u32()?, reader.u32()?);
                    Denial::RpcMismatch { low, high }
                }
                1 => Denial::AuthError(AuthStat(reader.u32()?)),
                other => return Err(ReplyError::RejectStat(other)),
            }),
        };
        reader.finish()?;
        let xid = view.xid;
        Ok(Self { xid, body })
    }

    /// Writes the reply, in [`Self::encoded_len`] bytes; the results of a successful call come next.
    ///
    /// # Errors
    ///
    /// If there is no room, or the verifier is too long.
    #[inline]
    pub fn write(&self, writer: &mut Writer<'_>) -> xdr::Result {
        writer.u32(self.xid)?;
        writer.u32(REPLY)?;
        match self.body {
            ReplyBody::Accepted { verifier, status } => {
                writer.u32(ACCEPTED)?;
                verifier.write(writer)?;
                writer.u32(status.number())?;
                if let AcceptStatus::ProgMismatch { low, high } = status {
                    writer.u32(low)?;
                    writer.u32(high)?;
                }
                Ok(())
            }
            ReplyBody::Denied(denial) => {
                writer.u32(DENIED)?;
                match denial {
                    Denial::RpcMismatch { low, high } => {
                        writer.u32(0)?;
                        writer.u32(low)?;
                        writer.u32(high)
                    }
                    Denial::AuthError(stat) => {
                        writer.u32(1)?;
                        writer.u32(stat.0)
                    }
                }
            }
        }
    }

    /// How many bytes it takes, without results.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        match self.body {
            ReplyBody::Accepted { verifier, status } => {
                let fixed = match status {
                    AcceptStatus::ProgMismatch { .. } => 6 * UNIT,
                    _ => 4 * UNIT,
                };
                verifier.encoded_len().saturating_add(fixed)
            }
            ReplyBody::Denied(Denial::RpcMismatch { .. }) => 6 * UNIT,
            ReplyBody::Denied(Denial::AuthError(_)) => 5 * UNIT,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::rpc::Flavor;
    use std::string::ToString;

    /// The reply to an NFS NULL, as in a capture of Linux's server.
    const NULL: [u8; 24] = *b"\x9a\x3b\x5c\x7d\x00\x00\x00\x01\x00\x00\x00\x00\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

    fn parse(message: &[u8]) -> Result<Reply<'_>, ReplyError> {
        Reply::parse(&ReplyView::strict(message)?)
    }

    fn changed(place: usize, value: u32) -> [u8; 24] {
        let mut message = NULL;
        message[place..place + 4].copy_from_slice(&value.to_be_bytes());
        message
    }

    #[test]
    fn null_is_read_and_written_as_in_a_capture() {
        let reply = Reply::accepted(0x9a3b_5c7d, AcceptStatus::Success);
        assert_eq!(parse(&NULL), Ok(reply));
        let mut buffer = [0xff; 24];
        let mut writer = Writer::new(&mut buffer);
        reply.write(&mut writer).unwrap();
        assert_eq!(writer.written(), NULL);
        let mut place = [0xff; 24];
        Reply::write_success(0x9a3b_5c7d, &mut place);
        assert_eq!(place, NULL);
    }

    #[test]
    fn all_arms_are_as_in_rfc_5531() {
        let (low, high) = (2, 4);
        for (reply, bytes) in [
            (
                Reply::accepted(7, AcceptStatus::Success),
                &b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..],
            ),
            (
                Reply::accepted(7, AcceptStatus::ProgUnavail),
                b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
            ),
            (
                Reply::accepted(7, AcceptStatus::ProgMismatch { low, high }),
                b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x02\0\0\0\x04",
            ),
            (
                Reply::accepted(7, AcceptStatus::ProcUnavail),
                b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03",
            ),
            (
                Reply::accepted(7, AcceptStatus::GarbageArgs),
                b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04",
            ),
            (
                Reply::accepted(7, AcceptStatus::SystemErr),
                b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05",
            ),
            (
                Reply::denied(7, Denial::RpcMismatch { low, high }),
                b"\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x04",
            ),
            (
                Reply::denied(7, Denial::AuthError(AuthStat::TOOWEAK)),
                b"\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x05",
            ),
        ] {
            assert_eq!(parse(bytes), Ok(reply));
            let mut buffer = [0xff; 64];
            let mut writer = Writer::new(&mut buffer);
            reply.write(&mut writer).unwrap();
            assert_eq!(writer.written(), bytes, "{reply:?}");
            assert_eq!(reply.encoded_len(), bytes.len(), "{reply:?}");
            for len in 0..bytes.len() {
                let cut = Err(ReplyError::Malformed(xdr::Error::Truncated));
                assert_eq!(parse(&bytes[..len]), cut, "{reply:?} {len}");
            }
            // Only a successful call has results.
            let longer = [bytes, b"\0\0\0\x01"].concat();
            if matches!(
                reply.body,
                ReplyBody::Accepted {
                    status: AcceptStatus::Success,
                    ..
                }
            ) {
                assert_eq!(parse(&longer), Ok(reply));
                assert_eq!(ReplyView::new(&longer).unwrap().body(), b"\0\0\0\x01");
            } else {
                let surplus = ReplyError::Malformed(xdr::Error::Surplus(4));
                assert_eq!(parse(&longer), Err(surplus), "{reply:?}");
            }
        }
    }

    #[test]
    fn the_verifier_of_each_accepted_call_can_be_read() {
        // AUTH_SHORT "abc", as a server gives it in reply to AUTH_SYS.
        let message = *b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x03abc\0\0\0\0\x03";
        let verifier = OpaqueAuth {
            flavor: Flavor::SHORT,
            body: b"abc",
        };
        let view = ReplyView::strict(&message).unwrap();
        assert_eq!((view.verifier(), view.status()), (Some(verifier), 3));
        let status = AcceptStatus::ProcUnavail;
        let body = ReplyBody::Accepted { verifier, status };
        assert_eq!(Reply::parse(&view), Ok(Reply { xid: 7, body }));

        let mut padded = message;
        padded[23] = 1;
        assert!(ReplyView::new(&padded).is_ok());
        let refused = ReplyView::strict(&padded).map(drop);
        let error = ReplyError::Malformed(xdr::Error::NonZeroPadding);
        assert_eq!(refused, Err(error));
        // A call that was denied has none.
        let denied = ReplyView::new(b"\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01");
        assert_eq!(denied.unwrap().verifier(), None);
    }

    #[test]
    fn the_largest_reply_is_as_large_as_announced() {
        let body = [1; 400];
        let flavor = Flavor::GSS;
        let verifier = OpaqueAuth {
            flavor,
            body: &body,
        };
        let (low, high) = (1, 2);
        let status = AcceptStatus::ProgMismatch { low, high };
        let body = ReplyBody::Accepted { verifier, status };
        let mut buffer = [0; Reply::MAX_BYTES];
        let mut writer = Writer::new(&mut buffer);
        Reply { xid: 7, body }.write(&mut writer).unwrap();
        assert_eq!(writer.len(), Reply::MAX_BYTES);
    }

    #[test]
    fn what_is_no_reply_is_told() {
        for (place, value, error) in [
            (4, 0, ReplyError::NotAReply(0)),
            (4, 2, ReplyError::NotAReply(2)),
            (8, 2, ReplyError::ReplyStat(2)),
            (20, 6, ReplyError::AcceptStat(6)),
            (20, u32::MAX, ReplyError::AcceptStat(u32::MAX)),
        ] {
            assert_eq!(parse(&changed(place, value)), Err(error));
        }
        let mut denied = changed(8, 1);
        denied[15] = 2;
        assert_eq!(parse(&denied), Err(ReplyError::RejectStat(2)));
        let (len, max) = (401, 400);
        let long = xdr::Error::TooLong { len, max };
        assert_eq!(parse(&changed(16, 401)), Err(ReplyError::Malformed(long)));
    }

    #[test]
    fn statuses_are_called_as_in_rfc_5531() {
        let (low, high) = (2, 4);
        let mismatch = AcceptStatus::ProgMismatch { low, high };
        assert_eq!(mismatch.to_string(), "PROG_MISMATCH (versions 2 to 4)");
        assert_eq!(AcceptStatus::SystemErr.to_string(), "SYSTEM_ERR");
        let denied = Denial::AuthError(AuthStat::TOOWEAK);
        assert_eq!(denied.to_string(), "AUTH_ERROR (AUTH_TOOWEAK)");
    }
}
