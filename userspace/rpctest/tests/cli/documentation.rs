// SPDX-License-Identifier: GPL-2.0

//! Every command that the documentation shows works, and prints what it shows.

use std::net::SocketAddr;

use crate::{
    description,
    server::{answer, answer_datagrams_at, record, success},
};

/// A server of this test, for those that documents name.
fn server() -> SocketAddr {
    let address = answer(|call, _| record(&success(call.xid)));
    answer_datagrams_at(address, |call, _| vec![success(call.xid)]);
    address
}

#[test]
fn what_the_documents_show_works() {
    description().documents_work(server());
}

#[test]
fn what_the_help_shows_works() {
    description().help_works(server());
}

#[test]
fn what_the_manual_page_shows_works() {
    description().manual_page_works(server());
}
