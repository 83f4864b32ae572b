// SPDX-License-Identifier: GPL-2.0

//! A listening socket, of which each core has one.

use crate::{
    conn::{
        Conn,
        Next,
        State, //
    },
    limits::{
        Charge,
        Peers, //
    },
    peer_stream::PeerStream,
    pool::Cx,
    stats::Counter,
    svc::{
        Place,
        Shared, //
    },
    sys::{
        errno,
        list::Linked,
        tcp::{
            self,
            Attached,
            TcpSocket, //
        },
        trace, //
    }, //
};
use core::net::{
    IpAddr,
    SocketAddr, //
};
use kernel::{
    cpu::CpuId,
    prelude::*,
    sync::Arc, //
};

/// How many connections a turn accepts before others have theirs.
const ACCEPT_BUDGET: usize = 16;

/// A listening socket.
pub(crate) struct Listener {
    /// [`None`] after somebody else closed it, until there is another one.
    socket: Option<Attached<Linked<Conn>>>,
    cpu: CpuId,
}

impl Listener {
    /// Creates the listener of `cpu` from a socket that is attached.
    pub(crate) fn new(socket: Attached<Linked<Conn>>, cpu: CpuId) -> Self {
        Self {
            socket: Some(socket),
            cpu,
        }
    }

    /// Accepts what has connected. What goes wrong with one connection ends that one alone.
    ///
    /// Process context, in the worker.
    pub(crate) fn turn(&mut self, conn: &Arc<Linked<Conn>>, cx: &mut Cx<'_>) -> Next {
        let shared = &conn.shared;
        let Some(socket) = &self.socket else {
            return self.open_again(conn);
        };
        for _ in 0..ACCEPT_BUDGET {
            match socket.accept() {
                Ok(socket) => open(socket, shared, cx),
                Err(error) if error == EAGAIN => return Next::Wait,
                Err(error) if tcp::is_aborted_connection(error) => {}
                Err(error) if error == EINVAL => {
                    // "ss --kill" does that.
                    pr_warn!(
                        "{}: a listener was closed by somebody else, and is opened again\n",
                        shared.name
                    );
                    self.socket = None;
                    return self.open_again(conn);
                }
                // Memory or files are short.
                Err(_) => return Next::Later,
            }
        }
        Next::Again
    }

    /// Makes a new socket in the place of one that was closed.
    fn open_again(&mut self, conn: &Arc<Linked<Conn>>) -> Next {
        match conn.shared.listen_again(self.cpu) {
            Ok(socket) => {
                self.socket = Some(socket.attach(conn.clone(), false));
                Next::Again
            }
            Err(_) => Next::Later,
        }
    }
}

/// Starts to serve an accepted connection, or refuses it with a reset.
fn open(socket: TcpSocket, shared: &Arc<Shared>, cx: &mut Cx<'_>) {
    let core = shared.stats.core(cx.slot);
    let (Ok(address), Ok(local)) = (socket.peer_address(), socket.local_address()) else {
        // It has ended already.
        core.count(Counter::Accepted);
        core.count(Counter::ClosedError);
        return;
    };
    let (address, local) = (canonical(address), canonical(local));
    let refuse = |socket: TcpSocket, counter| {
        core.count(counter);
        socket.reset_on_close();
    };
    let max = shared.params.max_conns.get();
    if !shared.conns.take(max) {
        trace::limit_hit(shared.name, c"max_conns", max);
        return refuse(socket, Counter::RefusedConns);
    }
    let place = Place::new(shared);
    let max = shared.params.max_conns_per_peer.get();
    let peer = match Peers::take(&shared.peers, address.ip(), max) {
        Ok(peer) => peer,
        Err(error) if error == errno::at_limit() => {
            trace::limit_hit(shared.name, c"max_conns_per_peer", max);
            return refuse(socket, Counter::RefusedPeerConns);
        }
        Err(_) => return refuse(socket, Counter::RefusedMemory),
    };
    let memory = &shared.pool.memory;
    let charge = Charge::new(memory, peer.used());
    if memory.refuses(peer.used()) {
        memory.hit();
        trace::limit_hit(shared.name, c"memory_bytes", memory.used());
        return refuse(socket, Counter::RefusedMemory);
    }
    let Some(Ok(service)) = shared.service.as_ref().map(|service| service.open(address)) else {
        return refuse(socket, Counter::RefusedService);
    };
    let Ok(conn) = Conn::new(shared, Some((address, peer.used().clone())), Some(local)) else {
        return refuse(socket, Counter::RefusedMemory);
    };
    let make = |conn: &Arc<Linked<Conn>>, cx: &mut Cx<'_>| {
        let Ok(slot) = shared.table.insert(cx.cpu, conn) else {
            // The service stops, or memory is short.
            refuse(socket, Counter::RefusedMemory);
            return State::Closed;
        };
        core.count(Counter::Accepted);
        trace::conn_open(shared.name, address);
        shared.pool.sweeper.connected();
        let socket = socket.attach(conn.clone(), !shared.may_sleep);
        State::Stream(PeerStream::new(
            socket,
            service,
            charge,
            peer,
            place.at(slot),
        ))
    };
    if let Some(conn) = Linked::start_and_run(conn, make, cx) {
        cx.delay(conn);
    }
}

/// IPv4 addresses as such, also of a socket that serves both.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
