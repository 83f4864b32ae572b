// SPDX-License-Identifier: GPL-2.0

//! Packets of all kinds in any state.

use std::panic;

use crate::{choices::Seeded, victim, watch::Side};

const SEEDS: u64 = 2_000;
const ROUNDS: u32 = 200;

fn survive_all(side: Side) {
    for seed in 0..SEEDS {
        let result = panic::catch_unwind(|| victim::survive(side, &mut Seeded::new(seed, ROUNDS)));
        assert!(result.is_ok(), "seed {seed} of {side:?}");
    }
}

#[test]
fn a_server_survives_all_packets() {
    survive_all(Side::Server);
}

#[test]
fn a_client_survives_all_packets() {
    survive_all(Side::Client);
}

#[test]
fn a_good_client_is_served_beside_a_bad_one() {
    for seed in 0..20 {
        victim::serve_beside(&mut Seeded::new(seed, ROUNDS));
    }
}
