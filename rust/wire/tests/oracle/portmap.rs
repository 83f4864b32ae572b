// SPDX-License-Identifier: GPL-2.0

//! What holds for any bytes, arguments or results of rpcbind or not.

use std::net::{IpAddr, SocketAddr};

use wire::{
    portmap::{self, Binding, BindingList, Mapping, UniversalAddress, MAX_ADDRESS},
    xdr::{self, Reader, Writer},
};

/// Reads bytes that may be a mapping, a binding, a list of them, a universal address, an address or nothing. What was read
/// is written again, and is the same bytes.
pub(crate) fn check(bytes: &[u8]) {
    let mut reader = Reader::strict(bytes);
    if let Ok(mapping) = Mapping::read(&mut reader) {
        assert_again(bytes, reader, |writer| mapping.write(writer));
    }
    let mut reader = Reader::strict(bytes);
    if let Ok(binding) = Binding::read(&mut reader) {
        let strings = [binding.netid, binding.address, binding.owner];
        assert!(strings
            .iter()
            .all(|text| text.len() <= MAX_ADDRESS as usize));
        assert_again(bytes, reader, |writer| binding.write(writer));
    }
    check_list(bytes);
    assert_eq!(portmap::port(bytes), port(bytes));
    if let Some((port, ip)) = bytes.split_first_chunk() {
        let (v4, v6) = (ip.first_chunk::<4>(), ip.first_chunk::<16>());
        let ip = v6.map(|ip| IpAddr::from(*ip));
        if let Some(ip) = ip.or(v4.map(|ip| IpAddr::from(*ip))) {
            check_address(SocketAddr::new(ip, u16::from_be_bytes(*port)));
        }
    }
}

/// A list has the bindings that are before what ends it, and before what is wrong.
fn check_list(bytes: &[u8]) {
    let (items, failures): (Vec<_>, Vec<_>) = BindingList::new(bytes).partition(Result::is_ok);
    assert!(failures.len() <= 1);
    let mut buffer = vec![0xaa; bytes.len()];
    let mut writer = Writer::new(&mut buffer);
    for item in &items {
        writer.bool(true).unwrap();
        item.unwrap().write(&mut writer).unwrap();
    }
    let (again, rest) = (writer.written(), &bytes[writer.len()..]);
    assert_eq!(rest.starts_with(&[0; 4]), failures.is_empty());
    let binding = rest.strip_prefix(&[0, 0, 0, 1]).map(Reader::new);
    assert!(binding.is_none_or(|mut reader| Binding::read(&mut reader).is_err()));
    let mut list = BindingList::new(again);
    assert!(items.iter().all(|item| list.next() == Some(*item)));
    // Here nothing ends it.
    assert_eq!(list.next(), Some(Err(xdr::Error::Truncated)));
    assert_eq!(list.next(), None);
}

/// A universal address is the address with the bytes of the port.
fn check_address(address: SocketAddr) {
    let universal = UniversalAddress::new(address);
    let [high, low] = address.port().to_be_bytes();
    let expected = format!("{}.{high}.{low}", address.ip());
    assert_eq!(universal.as_bytes(), expected.as_bytes());
    assert_eq!(portmap::port(universal.as_bytes()), Some(address.port()));
    let netids = [true, false].map(|is_tcp| portmap::netid(is_tcp, address.is_ipv6()));
    assert!(netids
        .iter()
        .all(|netid| netid.ends_with('6') == address.is_ipv6()));
}

/// What `reader` has left of `bytes` begins where ends what `write` writes.
fn assert_again(bytes: &[u8], reader: Reader<'_>, write: impl Fn(&mut Writer<'_>) -> xdr::Result) {
    let read = bytes.len() - reader.rest().len();
    let mut buffer = vec![0xaa; read];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer).unwrap();
    assert_eq!(writer.written(), &bytes[..read]);
    let mut writer = Writer::new(&mut buffer[..read - 1]);
    assert_eq!(write(&mut writer), Err(xdr::Error::NoRoom));
}

/// The port by the last two of at least three parts between dots.
fn port(bytes: &[u8]) -> Option<u16> {
    let parts: Vec<_> = bytes.split(|byte| *byte == b'.').collect();
    let [_, .., high, low] = parts[..] else {
        return None;
    };
    let number = |part: &[u8]| {
        let digits = part.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(part).ok().filter(|_| digits)?;
        text.parse::<u8>().ok()
    };
    Some(u16::from_be_bytes([number(high)?, number(low)?]))
}
