// SPDX-License-Identifier: GPL-2.0

//! Credentials and verifiers: RFC 5531 sections 8.2, 9 and 14, and its appendix A, which is AUTH_SYS.

use core::fmt;

use super::MAX_AUTH_BYTES;
use crate::xdr::{
    padded,
    Error,
    Reader,
    Result,
    Writer,
    UNIT, //
};

/// The kind of a credential or of a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flavor(pub u32);

impl Flavor {
    /// Nobody says who they are.
    pub const NONE: Self = Self(0);
    /// A Unix user, who is believed: [`AuthSys`].
    pub const SYS: Self = Self(1);
    /// What a server gave in its verifier, to be used in place of AUTH_SYS.
    pub const SHORT: Self = Self(2);
    /// Diffie-Hellman, RFC 2695.
    pub const DH: Self = Self(3);
    /// RPCSEC_GSS, RFC 2203.
    pub const GSS: Self = Self(6);
    /// Asks whether the server knows TLS, RFC 9289.
    pub const TLS: Self = Self(7);
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::NONE => "AUTH_NONE",
            Self::SYS => "AUTH_SYS",
            Self::SHORT => "AUTH_SHORT",
            Self::DH => "AUTH_DH",
            Self::GSS => "RPCSEC_GSS",
            Self::TLS => "AUTH_TLS",
            Self(number) => return write!(f, "flavor {number}"),
        })
    }
}

/// A credential or a verifier as it is in a message, whatever its flavor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpaqueAuth<'a> {
    /// What the body is.
    pub flavor: Flavor,
    /// At most [`MAX_AUTH_BYTES`].
    pub body: &'a [u8],
}

impl<'a> OpaqueAuth<'a> {
    /// AUTH_NONE, the body of which is empty.
    pub const NONE: Self = Self {
        flavor: Flavor::NONE,
        body: &[],
    };

    /// Reads one.
    ///
    /// # Errors
    ///
    /// If the body is cut off, or longer than [`MAX_AUTH_BYTES`].
    // Always: see `server::receive()`.
    #[inline(always)]
    pub fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let mut head = Reader::new(reader.take_array::<{ 2 * UNIT }>()?);
        let flavor = Flavor(head.u32()?);
        let body = match head.length(MAX_AUTH_BYTES)? {
            // As most often.
            0 => &[],
            len => reader.opaque_fixed(len as usize)?,
        };
        Ok(Self { flavor, body })
    }

    /// Writes it, in [`Self::encoded_len`] bytes.
    ///
    /// # Errors
    ///
    /// If there is no room, or the body is longer than [`MAX_AUTH_BYTES`].
    #[inline]
    pub fn write(&self, writer: &mut Writer<'_>) -> Result {
        write_head(self.flavor, self.body.len(), writer)?;
        writer.opaque_fixed(self.body)
    }

    /// How many bytes it takes in a message.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        padded(self.body.len()).saturating_add(2 * UNIT)
    }
}

/// Writes what comes before the body.
#[inline]
fn write_head(flavor: Flavor, len: usize, writer: &mut Writer<'_>) -> Result {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    if len > MAX_AUTH_BYTES {
        let max = MAX_AUTH_BYTES;
        return Err(Error::TooLong { len, max });
    }
    writer.u32(flavor.0)?;
    writer.u32(len)
}

/// The groups that a user of AUTH_SYS is in, beside the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    ids: [u32; Self::MAX],
    /// How many are in use; the others are 0.
    len: usize,
}

impl Groups {
    /// The most that there are.
    pub const MAX: usize = Self::MAX_LENGTH as usize;

    const MAX_LENGTH: u32 = 16;

    /// These groups, or `None` if there are more than [`Self::MAX`].
    pub fn new(ids: &[u32]) -> Option<Self> {
        let mut groups = Self::default();
        groups.ids.get_mut(..ids.len())?.copy_from_slice(ids);
        groups.len = ids.len();
        Some(groups)
    }

    /// The groups, in their order.
    pub fn as_slice(&self) -> &[u32] {
        // There are never more than there is room for.
        self.ids.get(..self.len).unwrap_or_default()
    }
}

/// The body of a credential of the flavor AUTH_SYS, in the bytes of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSysView<'a> {
    stamp: u32,
    machine_name: &'a [u8],
    uid: u32,
    gid: u32,
    groups: &'a [u8],
}

impl<'a> AuthSysView<'a> {
    /// Checks the body of a credential, all of it.
    ///
    /// # Errors
    ///
    /// If it is cut off or too long, or the name or the groups exceed their limits. Linux's sunrpc does not compare the
    /// length of the body with that of what is in it.
    #[inline]
    pub fn new(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let mut head = Reader::new(reader.take_array::<{ 2 * UNIT }>()?);
        let stamp = head.u32()?;
        let len = head.length(AuthSys::MAX_MACHINE_NAME)?;
        let machine_name = reader.opaque_fixed(len as usize)?;
        let mut ids = Reader::new(reader.take_array::<{ 3 * UNIT }>()?);
        let (uid, gid) = (ids.u32()?, ids.u32()?);
        let len = ids.length(Groups::MAX_LENGTH)?;
        let groups = reader.opaque_fixed((len as usize).saturating_mul(UNIT))?;
        reader.finish()?;
        Ok(Self {
            stamp,
            machine_name,
            uid,
            gid,
            groups,
        })
    }

    /// See [`AuthSys::stamp`].
    pub const fn stamp(&self) -> u32 {
        self.stamp
    }

    /// See [`AuthSys::machine_name`].
    pub const fn machine_name(&self) -> &'a [u8] {
        self.machine_name
    }

    /// See [`AuthSys::uid`].
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// See [`AuthSys::gid`].
    pub const fn gid(&self) -> u32 {
        self.gid
    }

    /// The other groups that the user is in, at most [`Groups::MAX`].
    pub fn groups(&self) -> impl Iterator<Item = u32> + 'a {
        let mut reader = Reader::new(self.groups);
        core::iter::from_fn(move || reader.u32().ok())
    }
}

/// The body of a credential of the flavor AUTH_SYS: what a client says about its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSys<'a> {
    /// Any number that the client chooses.
    pub stamp: u32,
    /// The client's name, of at most [`Self::MAX_MACHINE_NAME`] bytes.
    pub machine_name: &'a [u8],
    /// The user.
    pub uid: u32,
    /// The user's first group.
    pub gid: u32,
    /// The other groups that the user is in.
    pub groups: Groups,
}

impl<'a> AuthSys<'a> {
    /// The longest name of a client, in bytes.
    pub const MAX_MACHINE_NAME: u32 = 255;

    /// Reads the body of a credential, all of it.
    ///
    /// # Errors
    ///
    /// Those of [`AuthSysView::new()`].
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        let view = AuthSysView::new(body)?;
        let mut groups = Groups::default();
        for (place, id) in groups.ids.iter_mut().zip(view.groups()) {
            *place = id;
            groups.len = groups.len.saturating_add(1);
        }
        Ok(Self {
            stamp: view.stamp,
            machine_name: view.machine_name,
            uid: view.uid,
            gid: view.gid,
            groups,
        })
    }

    /// Writes the body of a credential, in [`Self::encoded_len`] bytes.
    ///
    /// # Errors
    ///
    /// If there is no room, or the name is too long.
    pub fn write(&self, writer: &mut Writer<'_>) -> Result {
        let len = u32::try_from(self.machine_name.len()).unwrap_or(u32::MAX);
        if len > Self::MAX_MACHINE_NAME {
            let max = Self::MAX_MACHINE_NAME;
            return Err(Error::TooLong { len, max });
        }
        writer.u32(self.stamp)?;
        writer.opaque(self.machine_name)?;
        writer.u32(self.uid)?;
        writer.u32(self.gid)?;
        let groups = self.groups.as_slice();
        writer.u32(u32::try_from(groups.len()).unwrap_or(u32::MAX))?;
        groups.iter().try_for_each(|id| writer.u32(*id))
    }

    /// How many bytes the body takes.
    pub const fn encoded_len(&self) -> usize {
        let groups = self.groups.len.saturating_mul(UNIT);
        padded(self.machine_name.len())
            .saturating_add(groups)
            .saturating_add(5 * UNIT)
    }
}

/// Who a caller says to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nobody.
    None,
    /// A Unix user.
    Sys(AuthSys<'a>),
    /// Whoever the server gave these bytes to.
    Short(&'a [u8]),
    /// Something of another flavor, of which nothing is known here.
    Other(OpaqueAuth<'a>),
}

impl<'a> Credential<'a> {
    /// Looks into a credential.
    ///
    /// # Errors
    ///
    /// If it is not what its flavor says. A server answers with [`AuthStat::BADCRED`].
    pub fn parse(auth: OpaqueAuth<'a>) -> Result<Self> {
        match auth.flavor {
            Flavor::NONE => Reader::new(auth.body).finish().map(|()| Self::None),
            Flavor::SYS => AuthSys::parse(auth.body).map(Self::Sys),
            Flavor::SHORT => Ok(Self::Short(auth.body)),
            _ => Ok(Self::Other(auth)),
        }
    }

    /// Writes it as a credential of a call, in [`Self::encoded_len`] bytes.
    ///
    /// # Errors
    ///
    /// If there is no room, or it exceeds a limit.
    pub fn write(&self, writer: &mut Writer<'_>) -> Result {
        match self {
            Self::Sys(sys) => {
                write_head(Flavor::SYS, sys.encoded_len(), writer)?;
                sys.write(writer)
            }
            _ => self.opaque().write(writer),
        }
    }

    /// How many bytes it takes in a call.
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Sys(sys) => sys.encoded_len().saturating_add(2 * UNIT),
            _ => self.opaque().encoded_len(),
        }
    }

    /// Those whose body is known without writing it.
    const fn opaque(&self) -> OpaqueAuth<'a> {
        match *self {
            Self::None | Self::Sys(_) => OpaqueAuth::NONE,
            Self::Short(body) => OpaqueAuth {
                flavor: Flavor::SHORT,
                body,
            },
            Self::Other(auth) => auth,
        }
    }
}

/// Why a server does not accept a credential or a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthStat(pub u32);

impl AuthStat {
    /// The credential is malformed, or of a flavor that the server does not know.
    pub const BADCRED: Self = Self(1);
    /// The client has to begin a new session.
    pub const REJECTEDCRED: Self = Self(2);
    /// The verifier is malformed.
    pub const BADVERF: Self = Self(3);
    /// The verifier is expired, or was used before.
    pub const REJECTEDVERF: Self = Self(4);
    /// The flavor is not strong enough for what is called.
    pub const TOOWEAK: Self = Self(5);
    /// The server's verifier is bogus; only clients say so.
    pub const INVALIDRESP: Self = Self(6);
    /// Any other reason.
    pub const FAILED: Self = Self(7);
    /// Kerberos has an error of its own.
    pub const KERB_GENERIC: Self = Self(8);
    /// The time of the credential is over.
    pub const TIMEEXPIRE: Self = Self(9);
    /// There is a problem with the file of tickets.
    pub const TKT_FILE: Self = Self(10);
    /// The authenticator cannot be decoded.
    pub const DECODE: Self = Self(11);
    /// The ticket has another network address.
    pub const NET_ADDR: Self = Self(12);
    /// RPCSEC_GSS has no credentials for the user.
    pub const GSS_CREDPROBLEM: Self = Self(13);
    /// RPCSEC_GSS has a problem with its context.
    pub const GSS_CTXPROBLEM: Self = Self(14);
}

impl fmt::Display for AuthStat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::BADCRED => "AUTH_BADCRED",
            Self::REJECTEDCRED => "AUTH_REJECTEDCRED",
            Self::BADVERF => "AUTH_BADVERF",
            Self::REJECTEDVERF => "AUTH_REJECTEDVERF",
            Self::TOOWEAK => "AUTH_TOOWEAK",
            Self::INVALIDRESP => "AUTH_INVALIDRESP",
            Self::FAILED => "AUTH_FAILED",
            Self::KERB_GENERIC => "AUTH_KERB_GENERIC",
            Self::TIMEEXPIRE => "AUTH_TIMEEXPIRE",
            Self::TKT_FILE => "AUTH_TKT_FILE",
            Self::DECODE => "AUTH_DECODE",
            Self::NET_ADDR => "AUTH_NET_ADDR",
            Self::GSS_CREDPROBLEM => "RPCSEC_GSS_CREDPROBLEM",
            Self::GSS_CTXPROBLEM => "RPCSEC_GSS_CTXPROBLEM",
            Self(number) => return write!(f, "auth_stat {number}"),
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    /// The credential of root on "client", in the groups 0 and 4, as in a capture of a Linux client.
    const ROOT: &[u8] = b"\x00\x00\x00\x01\x00\x00\x00\x24\x12\x34\x56\x78\
        \x00\x00\x00\x06client\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
        \x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x04";

    fn root() -> AuthSys<'static> {
        AuthSys {
            stamp: 0x1234_5678,
            machine_name: b"client",
            uid: 0,
            gid: 0,
            groups: Groups::new(&[0, 4]).unwrap(),
        }
    }

    #[test]
    fn auth_sys_is_read_and_written_as_in_a_capture() {
        let mut reader = Reader::strict(ROOT);
        let auth = OpaqueAuth::read(&mut reader).unwrap();
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(auth.flavor, Flavor::SYS);
        assert_eq!(Credential::parse(auth), Ok(Credential::Sys(root())));

        let mut buffer = [0xff; 64];
        let mut writer = Writer::new(&mut buffer);
        Credential::Sys(root()).write(&mut writer).unwrap();
        assert_eq!(writer.written(), ROOT);
        assert_eq!(Credential::Sys(root()).encoded_len(), ROOT.len());
    }

    #[test]
    fn the_largest_auth_sys_is_within_the_limits() {
        let largest = AuthSys {
            stamp: u32::MAX,
            machine_name: &[b'x'; 255],
            uid: 1,
            gid: 2,
            groups: Groups::new(&[3; Groups::MAX]).unwrap(),
        };
        let mut buffer = [0; 400];
        let mut writer = Writer::new(&mut buffer);
        largest.write(&mut writer).unwrap();
        assert_eq!((writer.len(), largest.encoded_len()), (340, 340));
        assert_eq!(AuthSys::parse(writer.written()), Ok(largest));
    }

    #[test]
    fn what_exceeds_its_limit_is_neither_read_nor_written() {
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer);
        let named = AuthSys {
            machine_name: &[b'x'; 256],
            ..root()
        };
        let long_name = Error::TooLong { len: 256, max: 255 };
        assert_eq!(named.write(&mut writer), Err(long_name));
        let body = [0; 401];
        let auth = OpaqueAuth {
            flavor: Flavor::SHORT,
            body: &body,
        };
        let long_body = Error::TooLong { len: 401, max: 400 };
        assert_eq!(auth.write(&mut writer), Err(long_body));
        assert_eq!(Groups::new(&[0; 17]), None);

        let read = |body: &[u8]| AuthSys::parse(body).map(drop);
        let name = [&b"\0\0\0\0\0\0\x01\0"[..], &[b'x'; 256], &[0; 12]].concat();
        assert_eq!(read(&name), Err(long_name));
        let groups = [&[0; 16][..], b"\0\0\0\x11", &[0; 4 * 17]].concat();
        let many_groups = Error::TooLong { len: 17, max: 16 };
        assert_eq!(read(&groups), Err(many_groups));
        let auth = [&b"\0\0\0\x02\0\0\x01\x91"[..], &[0; 404]].concat();
        let read = OpaqueAuth::read(&mut Reader::new(&auth));
        assert_eq!(read, Err(long_body));
    }

    #[test]
    fn a_credential_has_no_bytes_too_many() {
        let surplus = [&ROOT[8..], b"\0\0\0\0"].concat();
        assert_eq!(AuthSys::parse(&surplus), Err(Error::Surplus(4)));
        let auth = OpaqueAuth {
            body: b"\0\0\0\0",
            ..OpaqueAuth::NONE
        };
        assert_eq!(Credential::parse(auth), Err(Error::Surplus(4)));
    }

    #[test]
    fn other_flavors_are_passed_on() {
        for (flavor, body) in [(2, &b"token"[..]), (6, b"gss"), (7, b""), (390_003, b"?")] {
            let flavor = Flavor(flavor);
            let auth = OpaqueAuth { flavor, body };
            let credential = Credential::parse(auth).unwrap();
            assert_eq!(
                credential == Credential::Short(body),
                flavor == Flavor::SHORT
            );
            let mut buffer = [0; 64];
            let mut writer = Writer::new(&mut buffer);
            credential.write(&mut writer).unwrap();
            assert_eq!(writer.len(), credential.encoded_len());
            let mut reader = Reader::strict(writer.written());
            assert_eq!(OpaqueAuth::read(&mut reader), Ok(auth));
        }
    }

    #[test]
    fn names_are_those_of_the_rfcs() {
        assert_eq!(Flavor::GSS.to_string(), "RPCSEC_GSS");
        assert_eq!(Flavor(390_003).to_string(), "flavor 390003");
        assert_eq!(AuthStat::BADVERF.to_string(), "AUTH_BADVERF");
        assert_eq!(AuthStat(9).to_string(), "AUTH_TIMEEXPIRE");
        assert_eq!(AuthStat(99).to_string(), "auth_stat 99");
    }
}
