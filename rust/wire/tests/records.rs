// SPDX-License-Identifier: GPL-2.0

//! Record marking: what holds for any stream, however it is cut.

use proptest::{collection::vec, prelude::*};
use wire::record::Mark;

#[path = "oracle/finder.rs"]
mod finder;
#[path = "oracle/fragments.rs"]
mod fragments;
#[path = "oracle/records.rs"]
mod records;

use fragments::sent;
use records::{expected, parse, Outcome, LIMITS};

/// Records, most of which are within the limits, each with the number of its fragments.
fn any_records() -> impl Strategy<Value = Vec<(Vec<u8>, u32)>> {
    vec((vec(any::<u8>(), 0..320), 1..10u32), 0..6)
}

fn marked(records: &[(Vec<u8>, u32)]) -> Vec<u8> {
    let records = records.iter();
    records
        .flat_map(|(record, count)| sent(record, *count))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_cut_of_a_stream_yields_the_same_records(
        records in any_records(),
        end in any::<usize>(),
        cuts in vec(any::<usize>(), 0..40),
    ) {
        let stream = marked(&records);
        // The stream also ends at any place.
        let stream = &stream[..stream.len() - end % (stream.len() / 4 + 1)];
        let whole = expected(stream);
        prop_assert_eq!(&parse(stream, &cuts), &whole);
        let everywhere: Vec<_> = (0..stream.len()).collect();
        prop_assert_eq!(&parse(stream, &everywhere), &whole);
        finder::check(stream, &cuts);
        finder::check(stream, &everywhere);
    }

    #[test]
    fn any_bytes_are_a_stream(
        words in vec(prop_oneof![any::<u32>(), 0..16u32, 0x8000_0000..0x8000_0010u32], 0..40),
        cuts in vec(any::<usize>(), 0..40),
    ) {
        let stream: Vec<_> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        prop_assert_eq!(parse(&stream, &cuts), expected(&stream));
        finder::check(&stream, &cuts);
    }

    #[test]
    fn what_is_marked_is_found_again(records in any_records()) {
        let good: Vec<_> = records
            .into_iter()
            .filter(|(record, count)| record.len() <= LIMITS.bytes as usize && *count <= LIMITS.fragments)
            .collect();
        let outcome = parse(&marked(&good), &[]);
        let sent: Vec<_> = good.into_iter().map(|(record, _)| record).collect();
        prop_assert_eq!(outcome, Outcome { records: sent, begun: Vec::new(), end: Ok((4, true)) });
    }

    #[test]
    fn any_four_bytes_are_a_mark(bytes in any::<[u8; 4]>()) {
        let mark = Mark::from_bytes(bytes);
        prop_assert_eq!(Mark::new(mark.fragment_len(), mark.is_last()), Some(mark));
        prop_assert_eq!(mark.to_bytes(), bytes);
    }
}
