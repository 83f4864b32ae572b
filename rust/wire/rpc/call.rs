// SPDX-License-Identifier: GPL-2.0

//! Calls.

use core::{error, fmt};

use super::{
    Credential,
    OpaqueAuth,
    CALL,
    VERSION, //
};
use crate::xdr::{
    self,
    Reader,
    Writer,
    UNIT, //
};

/// How many bytes come before the credential.
const FIXED_BYTES: usize = 6 * UNIT;

/// Why bytes are no call. In the order in which Linux's sunrpc looks for it.
///
/// What a server does about it, [`super::server`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The message ends before its credential, and often before its xid.
    Truncated,
    /// The message is of another type, for example a reply.
    NotACall(u32),
    /// The call is one of another version of RPC, of which nothing else is known.
    RpcVersion {
        /// The number to answer with.
        xid: u32,
        /// The version.
        version: u32,
    },
    /// The credential or the verifier is cut off or too long.
    Auth {
        /// The number to answer with.
        xid: u32,
        /// What is wrong with it.
        error: xdr::Error,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("a call that is cut off"),
            Self::NotACall(value) => write!(f, "a message of type {value} instead of a call"),
            Self::RpcVersion { version, .. } => write!(f, "a call of RPC version {version}"),
            Self::Auth { error, .. } => write!(f, "a credential or verifier with {error}"),
        }
    }
}

impl error::Error for CallError {}

/// A call of RPC version 2, in the bytes of its message.
#[derive(Clone, Copy, Debug)]
pub struct CallView<'a> {
    xid: u32,
    program: u32,
    version: u32,
    procedure: u32,
    credential: OpaqueAuth<'a>,
    verifier: OpaqueAuth<'a>,
    arguments: &'a [u8],
}

impl<'a> CallView<'a> {
    /// Checks that the message is a call, and where its parts are. What a credential means is not looked at.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    // Always: see `server::receive()`.
    #[inline(always)]
    pub fn new(message: &'a [u8]) -> Result<Self, CallError> {
        let mut reader = Reader::new(message);
        let Ok(fixed) = reader.take_array::<FIXED_BYTES>() else {
            return Err(Self::cut(message));
        };
        let mut fixed = Reader::new(fixed);
        let cut = |_| CallError::Truncated;
        let xid = fixed.u32().map_err(cut)?;
        match fixed.u32().map_err(cut)? {
            CALL => {}
            other => return Err(CallError::NotACall(other)),
        }
        match fixed.u32().map_err(cut)? {
            VERSION => {}
            version => return Err(CallError::RpcVersion { xid, version }),
        }
        let auth = |error| CallError::Auth { xid, error };
        let (credential, verifier) = match reader.rest().split_first_chunk::<{ 4 * UNIT }>() {
            // Both are AUTH_NONE, as most often: a short cut.
            Some((head, rest)) if *head == [0; 4 * UNIT] => {
                reader = Reader::new(rest);
                (OpaqueAuth::NONE, OpaqueAuth::NONE)
            }
            _ => (
                OpaqueAuth::read(&mut reader).map_err(auth)?,
                OpaqueAuth::read(&mut reader).map_err(auth)?,
            ),
        };
        Ok(Self {
            xid,
            program: fixed.u32().map_err(cut)?,
            version: fixed.u32().map_err(cut)?,
            procedure: fixed.u32().map_err(cut)?,
            credential,
            verifier,
            arguments: reader.rest(),
        })
    }

    /// What a message is that has no room for the header of a call.
    #[cold]
    fn cut(message: &[u8]) -> CallError {
        let mut reader = Reader::new(message);
        match reader.u32().and_then(|_xid| reader.u32()) {
            Ok(other) if other != CALL => CallError::NotACall(other),
            _ => CallError::Truncated,
        }
    }

    /// The number that the reply has too.
    #[inline]
    pub const fn xid(&self) -> u32 {
        self.xid
    }

    /// The program that is called, for example 100003 for NFS.
    #[inline]
    pub const fn program(&self) -> u32 {
        self.program
    }

    /// The program's version.
    #[inline]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The number of the program's procedure.
    #[inline]
    pub const fn procedure(&self) -> u32 {
        self.procedure
    }

    /// Who the caller says to be.
    #[inline]
    pub const fn credential(&self) -> OpaqueAuth<'a> {
        self.credential
    }

    /// What proves that.
    #[inline]
    pub const fn verifier(&self) -> OpaqueAuth<'a> {
        self.verifier
    }

    /// All that follows the verifier.
    #[inline]
    pub const fn arguments(&self) -> &'a [u8] {
        self.arguments
    }
}

/// A call of RPC version 2, without its arguments.
///
/// # Examples
///
/// ```
/// use wire::{program, rpc::{Call, Credential, OpaqueAuth, NULL}, xdr::Writer};
///
/// let call = Call {
///     xid: 7,
///     program: program::NFS,
///     version: 3,
///     procedure: NULL,
///     credential: Credential::None,
///     verifier: OpaqueAuth::NONE,
/// };
/// let mut buffer = [0; 64];
/// let mut writer = Writer::new(&mut buffer);
/// call.write(&mut writer)?;
/// assert_eq!(writer.len(), 40);
/// # Ok::<(), wire::xdr::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The number that the reply has too.
    pub xid: u32,
    /// The program that is called.
    pub program: u32,
    /// The program's version.
    pub version: u32,
    /// The number of the program's procedure.
    pub procedure: u32,
    /// Who the caller says to be.
    pub credential: Credential<'a>,
    /// What proves that.
    pub verifier: OpaqueAuth<'a>,
}

impl<'a> Call<'a> {
    /// Looks into the credential of a call.
    ///
    /// # Errors
    ///
    /// If the credential is not what its flavor says. A server answers with [`super::AuthStat::BADCRED`].
    pub fn parse(view: &CallView<'a>) -> xdr::Result<Self> {
        Ok(Self {
            xid: view.xid,
            program: view.program,
            version: view.version,
            procedure: view.procedure,
            credential: Credential::parse(view.credential)?,
            verifier: view.verifier,
        })
    }

    /// Writes the call, in [`Self::encoded_len`] bytes; its arguments come next.
    ///
    /// # Errors
    ///
    /// If there is no room, or the credential or the verifier exceeds a limit.
    pub fn write(&self, writer: &mut Writer<'_>) -> xdr::Result {
        writer.u32(self.xid)?;
        writer.u32(CALL)?;
        writer.u32(VERSION)?;
        writer.u32(self.program)?;
        writer.u32(self.version)?;
        writer.u32(self.procedure)?;
        self.credential.write(writer)?;
        self.verifier.write(writer)
    }

    /// How many bytes it takes, without arguments.
    pub const fn encoded_len(&self) -> usize {
        let auth = self.credential.encoded_len();
        auth.saturating_add(self.verifier.encoded_len())
            .saturating_add(FIXED_BYTES)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::rpc::{AuthSys, Flavor, Groups};
    use std::vec::Vec;

    /// NFSv3 NULL as Linux sends it when it mounts.
    const NULL: [u8; 40] = *b"\x9a\x3b\x5c\x7d\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x86\xa3\
        \x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

    /// MOUNTv3 MNT of /export by root, with its arguments.
    const MNT: &[u8] = b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x86\xa5\
        \x00\x00\x00\x03\x00\x00\x00\x01\
        \x00\x00\x00\x01\x00\x00\x00\x1c\x00\x00\x00\x00\x00\x00\x00\x01m\x00\x00\x00\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\
        \x00\x00\x00\x00\x00\x00\x00\x00\
        \x00\x00\x00\x07/export\x00";

    fn null() -> Call<'static> {
        Call {
            xid: 0x9a3b_5c7d,
            program: 100_003,
            version: 3,
            procedure: 0,
            credential: Credential::None,
            verifier: OpaqueAuth::NONE,
        }
    }

    fn changed(place: usize, value: u32) -> [u8; 40] {
        let mut message = NULL;
        message[place..place + 4].copy_from_slice(&value.to_be_bytes());
        message
    }

    #[test]
    fn null_is_read_and_written_as_in_a_capture() {
        let view = CallView::new(&NULL).unwrap();
        assert_eq!((view.xid(), view.program()), (0x9a3b_5c7d, 100_003));
        assert_eq!((view.version(), view.procedure()), (3, 0));
        assert_eq!(view.arguments(), b"");
        assert_eq!(Call::parse(&view), Ok(null()));

        let mut buffer = [0xff; 40];
        let mut writer = Writer::new(&mut buffer);
        null().write(&mut writer).unwrap();
        assert_eq!(writer.written(), NULL);
        assert_eq!(null().encoded_len(), 40);
    }

    #[test]
    fn a_call_has_a_user_and_arguments() {
        let view = CallView::new(MNT).unwrap();
        assert_eq!(
            (view.credential().flavor, view.credential().body.len()),
            (Flavor::SYS, 28)
        );
        assert_eq!(view.verifier(), OpaqueAuth::NONE);
        assert_eq!(view.arguments(), b"\0\0\0\x07/export\0");
        let call = Call::parse(&view).unwrap();
        let user = AuthSys {
            stamp: 0,
            machine_name: b"m",
            uid: 0,
            gid: 0,
            groups: Groups::new(&[0]).unwrap(),
        };
        assert_eq!(call.credential, Credential::Sys(user));
        let mut buffer = [0; 128];
        let mut writer = Writer::new(&mut buffer);
        call.write(&mut writer).unwrap();
        writer.opaque(b"/export").unwrap();
        assert_eq!(writer.written(), MNT);
    }

    #[test]
    fn what_is_cut_off_is_no_call() {
        for len in 0..MNT.len() - 12 {
            let error = CallView::new(&MNT[..len]).unwrap_err();
            if len < 24 {
                assert_eq!(error, CallError::Truncated, "{len}");
            } else {
                let (xid, error_at) = (7, xdr::Error::Truncated);
                let expected = CallError::Auth {
                    xid,
                    error: error_at,
                };
                assert_eq!(error, expected, "{len}");
            }
        }
    }

    #[test]
    fn replies_and_other_messages_are_no_calls() {
        for value in [1, 2, u32::MAX] {
            let message = changed(4, value);
            // Also if it is so short that a call would be cut off.
            for message in [&message[..], &message[..8]] {
                let error = CallView::new(message).unwrap_err();
                assert_eq!(error, CallError::NotACall(value));
            }
        }
    }

    #[test]
    fn other_versions_of_rpc_are_told_apart() {
        for version in [0, 1, 3, u32::MAX] {
            let message = changed(8, version);
            let xid = 0x9a3b_5c7d;
            let error = CallView::new(&message).unwrap_err();
            assert_eq!(error, CallError::RpcVersion { xid, version });
            // All that follows is of that other version, and not looked at.
            let long: Vec<_> = message.iter().copied().chain([0xff; 64]).collect();
            assert_eq!(CallView::new(&long).unwrap_err(), error);
        }
    }

    #[test]
    fn too_long_a_credential_or_verifier_is_an_error() {
        for place in [28, 36] {
            let message = [&changed(place, 401)[..], &[0; 404]].concat();
            let (len, max) = (401, 400);
            let (xid, error) = (0x9a3b_5c7d, xdr::Error::TooLong { len, max });
            let expected = CallError::Auth { xid, error };
            assert_eq!(CallView::new(&message).unwrap_err(), expected);
            let message = [&changed(place, 400)[..], &[0; 404]].concat();
            assert!(CallView::new(&message).is_ok());
        }
    }

    #[test]
    fn what_a_credential_means_is_known_by_its_flavor() {
        // AUTH_SYS without a body; AUTH_NONE with one.
        let message = changed(24, 1);
        let view = CallView::new(&message).unwrap();
        assert_eq!(Call::parse(&view), Err(xdr::Error::Truncated));
        let message = [&changed(28, 4)[..], b"\0\0\0\0"].concat();
        let view = CallView::new(&message).unwrap();
        assert_eq!(Call::parse(&view), Err(xdr::Error::Surplus(4)));
    }
}
