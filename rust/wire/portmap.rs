// SPDX-License-Identifier: GPL-2.0

//! What rpcbind is asked and told, RFC 1833: the port mapper's protocol, which is version 2, and of versions 3 and 4 what
//! IPv6 needs. The program is [`program::PORTMAP`](crate::program::PORTMAP).

use core::{
    fmt::{self, Write},
    net::SocketAddr,
};

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

/// Registers a [`Mapping`], or of version 3 and later a [`Binding`]; the result is a boolean, false if there is one already.
pub const SET: u32 = 1;
/// Forgets all mappings of a program and a version, of version 3 and later those of a netid, or of all if that is empty; the
/// result is a boolean.
pub const UNSET: u32 = 2;
/// Asks for the port of a [`Mapping`], whose own is ignored; the result is a number, 0 if there is none.
pub const GETPORT: u32 = 3;
/// Of version 3 and later, asks for the address of a [`Binding`]; the result is a string, empty if there is none.
pub const GETADDR: u32 = 3;

/// Of version 3 and later, asks for all [`Binding`]s; the result is a list: [`BindingList`].
pub const DUMP: u32 = 4;

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
        Self::read_strings(reader, MAX_ADDRESS)
    }

    fn read_strings(reader: &mut Reader<'a>, max: u32) -> Result<Self> {
        Ok(Self {
            program: reader.u32()?,
            version: reader.u32()?,
            netid: reader.opaque(max)?,
            address: reader.opaque(max)?,
            owner: reader.opaque(max)?,
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

/// The results of [`DUMP`]: before each binding is a boolean that says that there is one.
#[derive(Clone, Debug)]
pub struct BindingList<'a> {
    reader: Reader<'a>,
    is_over: bool,
}

impl<'a> BindingList<'a> {
    /// Those in the results of a call.
    pub const fn new(results: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(results),
            is_over: false,
        }
    }

    fn read(&mut self) -> Result<Option<Binding<'a>>> {
        match self.reader.bool()? {
            // Anybody can register a program of their own, with strings of any length.
            true => Binding::read_strings(&mut self.reader, u32::MAX).map(Some),
            false => Ok(None),
        }
    }
}

/// It ends with the first error.
impl<'a> Iterator for BindingList<'a> {
    type Item = Result<Binding<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.read().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// What RFC 5665 section 5.2 calls TCP or UDP over one of the versions of IP.
pub const fn netid(is_tcp: bool, is_ipv6: bool) -> &'static str {
    match (is_tcp, is_ipv6) {
        (true, false) => "tcp",
        (true, true) => "tcp6",
        (false, false) => "udp",
        (false, true) => "udp6",
    }
}

/// A universal address, RFC 5665 section 5.2.3: the IP address, and the port in two more parts.
///
/// # Examples
///
/// ```
/// use wire::portmap::UniversalAddress;
///
/// let address = UniversalAddress::new(([192, 0, 2, 1], 2049).into());
/// assert_eq!(address.as_bytes(), b"192.0.2.1.8.1");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UniversalAddress {
    bytes: [u8; Self::MAX_BYTES],
    len: usize,
}

impl UniversalAddress {
    /// The longest: eight times four digits, what is between them, and the port.
    const MAX_BYTES: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255.255.255".len();

    /// That of an IP address and a port. What else IPv6 has, a scope for example, cannot be said in it.
    pub fn new(address: SocketAddr) -> Self {
        let mut this = Self {
            bytes: [0; Self::MAX_BYTES],
            len: 0,
        };
        let [high, low] = address.port().to_be_bytes();
        // There is room for the longest one.
        let _ = write!(this, "{}.{high}.{low}", address.ip());
        this
    }

    /// The address as rpcbind takes it.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Write for UniversalAddress {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.saturating_add(text.len());
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
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
    fn lists_are_read_to_their_end() {
        let one = b"\0\0\0\x01\x00\x01\x86\xa3\0\0\0\x03\0\0\0\x03tcp\0\0\0\0\0\0\0\0\0";
        let binding = Binding {
            program: 100_003,
            version: 3,
            netid: b"tcp",
            address: b"",
            owner: b"",
        };
        let mut buffer = [0; 2 * 28 + 4];
        buffer[..28].copy_from_slice(one);
        buffer[28..56].copy_from_slice(one);
        let mut list = BindingList::new(&buffer);
        assert_eq!(list.next(), Some(Ok(binding)));
        assert_eq!(list.next(), Some(Ok(binding)));
        assert_eq!((list.next(), list.next()), (None, None));
        let mut list = BindingList::new(&buffer[..40]);
        assert_eq!(list.next(), Some(Ok(binding)));
        assert!(list.next().is_some_and(|binding| binding.is_err()));
        assert_eq!(list.next(), None);
    }

    #[test]
    fn universal_addresses_are_written_as_rpcbind_has_them() {
        for (address, expected) in [
            ("0.0.0.0:62049", "0.0.0.0.242.97"),
            ("[::]:62049", "::.242.97"),
            ("[fe80::1]:111", "fe80::1.0.111"),
            ("255.255.255.255:65535", "255.255.255.255.255.255"),
            (
                "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
                "2001:db8:1111:2222:3333:4444:5555:6666.255.255",
            ),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            let universal = UniversalAddress::new(address);
            assert_eq!(universal.as_bytes(), expected.as_bytes());
            assert_eq!(port(universal.as_bytes()), Some(address.port()));
        }
        assert_eq!((netid(true, true), netid(false, false)), ("tcp6", "udp"));
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
