// SPDX-License-Identifier: GPL-2.0

//! What rpcbind is asked and told, RFC 1833: the port mapper's protocol, which is version 2, and of versions 3 and 4 what
//! IPv6 needs. The program is [`program::PORTMAP`](crate::program::PORTMAP).

use crate::xdr::{
    Reader,
    Result,
    Writer, //
};

/// The port at which rpcbind is itself.
pub const PORT: u16 = 111;

/// The version that knows programs by [`Mapping`].
pub const VERSION: u32 = 2;

/// The first version that knows programs by [`Binding`].
pub const RPCB_VERSION: u32 = 3;

/// The last version of all.
pub const RPCB_VERSION_4: u32 = 4;

/// Registers a [`Mapping`]; the result is a boolean.
pub const SET: u32 = 1;
/// Forgets all mappings of a program and a version; the result is a boolean.
pub const UNSET: u32 = 2;
/// Asks for the port of a [`Mapping`], whose own is ignored; the result is a number, 0 if there is none.
pub const GETPORT: u32 = 3;
/// Of version 3 and later, asks for the address of a [`Binding`]; the result is a string, empty if there is none.
pub const GETADDR: u32 = 3;

/// The longest universal address that is read, in bytes.
pub const MAX_ADDRESS: u32 = 256;

/// Where a program is, for version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The program's number.
    pub program: u32,
    /// The program's version.
    pub version: u32,
    /// The number of the protocol below: [`Self::TCP`] or [`Self::UDP`].
    pub protocol: u32,
    /// The port.
    pub port: u32,
}

impl Mapping {
    /// TCP over IPv4.
    pub const TCP: u32 = 6;
    /// UDP over IPv4.
    pub const UDP: u32 = 17;

    /// Reads the arguments of a call.
    ///
    /// # Errors
    ///
    /// If they are cut off.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            program: reader.u32()?,
            version: reader.u32()?,
            protocol: reader.u32()?,
            port: reader.u32()?,
        })
    }

    /// Writes the arguments of a call, 16 bytes.
    ///
    /// # Errors
    ///
    /// If there is no room.
    pub fn write(&self, writer: &mut Writer<'_>) -> Result {
        writer.u32(self.program)?;
        writer.u32(self.version)?;
        writer.u32(self.protocol)?;
        writer.u32(self.port)
    }
}

/// Where a program is, for versions 3 and 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The program's number.
    pub program: u32,
    /// The program's version.
    pub version: u32,
    /// What is below: `tcp`, `udp`, `tcp6` or `udp6`.
    pub netid: &'a [u8],
    /// The universal address; when asking, anything.
    pub address: &'a [u8],
    /// Who registered it; when asking, anything.
    pub owner: &'a [u8],
}

impl<'a> Binding<'a> {
    /// Reads the arguments of a call.
    ///
    /// # Errors
    ///
    /// If they are cut off, or one of the strings is longer than [`MAX_ADDRESS`].
    pub fn read(reader: &mut Reader<'a>) -> Result<Self> {
        Ok(Self {
            program: reader.u32()?,
            version: reader.u32()?,
            netid: reader.opaque(MAX_ADDRESS)?,
            address: reader.opaque(MAX_ADDRESS)?,
            owner: reader.opaque(MAX_ADDRESS)?,
        })
    }

    /// Writes the arguments of a call.
    ///
    /// # Errors
    ///
    /// If there is no room.
    pub fn write(&self, writer: &mut Writer<'_>) -> Result {
        writer.u32(self.program)?;
        writer.u32(self.version)?;
        writer.opaque(self.netid)?;
        writer.opaque(self.address)?;
        writer.opaque(self.owner)
    }
}

/// The port in a universal address (RFC 5665), whose last two parts it is: `192.0.2.1.8.1` and `::1.8.1` say 2049.
pub fn port(address: &[u8]) -> Option<u16> {
    let mut parts = address.rsplitn(3, |byte| *byte == b'.');
    let (low, high) = (octet(parts.next()?)?, octet(parts.next()?)?);
    parts.next()?;
    Some(u16::from_be_bytes([high, low]))
}

/// Digits, which are at most 255.
fn octet(digits: &[u8]) -> Option<u8> {
    let (first, others) = digits.split_first()?;
    others.iter().try_fold(digit(*first)?, |value, next| {
        value.checked_mul(10)?.checked_add(digit(*next)?)
    })
}

fn digit(byte: u8) -> Option<u8> {
    byte.checked_sub(b'0').filter(|digit| *digit < 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_as_in_a_capture() {
        let nfs = Mapping {
            program: 100_003,
            version: 3,
            protocol: Mapping::TCP,
            port: 0,
        };
        let bytes = b"\x00\x01\x86\xa3\x00\x00\x00\x03\x00\x00\x00\x06\x00\x00\x00\x00";
        let mut buffer = [0xff; 16];
        let mut writer = Writer::new(&mut buffer);
        nfs.write(&mut writer).unwrap();
        assert_eq!(writer.written(), bytes);
        assert_eq!(Mapping::read(&mut Reader::new(bytes)), Ok(nfs));
        assert!(Mapping::read(&mut Reader::new(&bytes[..15])).is_err());
    }

    #[test]
    fn bindings_are_read_as_they_are_written() {
        let nfs = Binding {
            program: 100_003,
            version: 3,
            netid: b"tcp6",
            address: b"::.8.1",
            owner: b"",
        };
        let mut buffer = [0xff; 64];
        let mut writer = Writer::new(&mut buffer);
        nfs.write(&mut writer).unwrap();
        let bytes = b"\x00\x01\x86\xa3\x00\x00\x00\x03\x00\x00\x00\x04tcp6\x00\x00\x00\x06::.8.1\x00\x00\x00\x00\x00\x00";
        assert_eq!(writer.written(), bytes);
        let mut reader = Reader::strict(bytes);
        assert_eq!(Binding::read(&mut reader), Ok(nfs));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn universal_addresses_end_with_the_port() {
        for (address, expected) in [
            ("192.0.2.1.8.1", Some(2049)),
            ("::1.8.1", Some(2049)),
            ("::.0.111", Some(111)),
            ("0.0.0.0.255.255", Some(65_535)),
            ("0.0.0.0.256.1", None),
            ("::1.8.+1", None),
            ("::1.8.", None),
            ("8.1", None),
            ("2049", None),
            ("", None),
        ] {
            assert_eq!(port(address.as_bytes()), expected, "{address}");
        }
    }
}
