// SPDX-License-Identifier: GPL-2.0

//! rpcbind's arguments: what holds for any of them.

use proptest::{collection::vec, prelude::*};
use wire::{
    portmap::{Binding, Mapping},
    xdr::Writer,
};

#[path = "oracle/portmap.rs"]
mod oracle;

/// Any string that is not too long, or an address.
fn string() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..=256),
        "[0-9:a-f]{0,20}(\\.[+0-9]{0,4}){0,6}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_can_be_read(bytes in vec(any::<u8>(), 0..128)) {
        oracle::check(&bytes);
    }

    #[test]
    fn any_address_has_a_port_or_none(address in string()) {
        oracle::check(&address);
    }

    #[test]
    fn what_is_written_is_read_again(
        [program, version, protocol, port] in any::<[u32; 4]>(),
        netid in string(),
        address in string(),
        owner in string(),
    ) {
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer);
        let mapping = Mapping { program, version, protocol, port };
        mapping.write(&mut writer).unwrap();
        oracle::check(writer.written());
        let mut writer = Writer::new(&mut buffer);
        let (netid, address, owner) = (&netid[..], &address[..], &owner[..]);
        let binding = Binding { program, version, netid, address, owner };
        binding.write(&mut writer).unwrap();
        oracle::check(writer.written());
        // As an element of a list, with and without an end, and with something else.
        let list = [&[0, 0, 0, 1], writer.written(), &[0, 0, 0, 1], writer.written()].concat();
        for end in [&[][..], &[0; 4], &[0, 0, 0, 2], &[0; 3]] {
            oracle::check(&[&list, end].concat());
        }
    }
}
