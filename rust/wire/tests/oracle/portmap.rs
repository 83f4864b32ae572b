// SPDX-License-Identifier: GPL-2.0

//! What holds for any bytes, arguments of rpcbind or not.

use wire::{
    portmap::{self, Binding, Mapping, MAX_ADDRESS},
    xdr::{self, Reader, Writer},
};

/// Reads bytes that may be a mapping, a binding, a universal address or nothing. What was read is written again, and is
/// the same bytes.
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
    assert_eq!(portmap::port(bytes), port(bytes));
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
