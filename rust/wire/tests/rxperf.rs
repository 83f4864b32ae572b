// SPDX-License-Identifier: GPL-2.0

//! rxperf's requests: what holds for any of them, however they are cut.

use proptest::{collection::vec, prelude::*};
use wire::{
    rxperf::{Operation, Request, COOKIE},
    xdr::Writer,
};

#[path = "oracle/rxperf.rs"]
mod oracle;

fn operation() -> impl Strategy<Value = Operation> {
    let few = || 0..100_u32;
    prop_oneof![
        few().prop_map(|bytes| Operation::Send { bytes }),
        any::<u32>().prop_map(|bytes| Operation::Recv { bytes }),
        (few(), any::<u32>()).prop_map(|(send, recv)| Operation::Rpc { send, recv }),
        (0..25_u64, 0..=u64::from(u32::MAX))
            .prop_map(|(send, recv)| Operation::File { send, recv }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_request_is_read_as_it_was_written(
        operation in operation(),
        sizes in any::<[u32; 2]>(),
        has_cookie in any::<bool>(),
        cuts in vec(any::<usize>(), 0..40),
    ) {
        let [read_size, write_size] = sizes;
        let request = Request { operation, read_size, write_size };
        let mut buffer = [0; Request::MAX_BYTES];
        let mut writer = Writer::new(&mut buffer);
        request.write(&mut writer).unwrap();
        let mut bytes = writer.written().to_vec();
        bytes.resize(bytes.len() + request.request_bytes() as usize, 7);
        if has_cookie {
            bytes.extend_from_slice(&COOKIE);
        }
        prop_assert_eq!(oracle::parse(&bytes, &cuts), Ok(request));
        for len in 0..bytes.len() {
            oracle::check(&bytes[..len], &cuts);
        }
        bytes.extend_from_slice(b"any");
        oracle::check(&bytes, &cuts);
    }

    #[test]
    fn any_words_are_read_alike(
        operation in 0..6_u32,
        count in 0..8_u32,
        words in vec(prop_oneof![0..3_u32, 0..20_u32, any::<u32>()], 0..12),
        odd in vec(any::<u8>(), 0..80),
        cuts in vec(any::<usize>(), 0..20),
    ) {
        let begin = [3, operation, 1, 2, count];
        let words = begin.iter().chain(&words);
        let mut bytes: Vec<_> = words.flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend_from_slice(&odd);
        oracle::check(&bytes, &cuts);
    }

    #[test]
    fn any_bytes_are_read_alike(bytes in vec(any::<u8>(), 0..64), cuts in vec(any::<usize>(), 0..8)) {
        oracle::check(&bytes, &cuts);
    }
}
