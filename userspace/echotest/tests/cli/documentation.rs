// SPDX-License-Identifier: GPL-2.0

//! Every command that the documentation shows works, and prints what it shows.

use std::net::SocketAddr;

use crate::{datagrams::serve_on, description, server::Server};

/// A server of this test, for those that documents name.
fn server() -> SocketAddr {
    let (server, _) = Server::good();
    serve_on(&server.address.to_string(), |reply, datagram, _| {
        reply.send(&datagram);
    });
    server.address
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
