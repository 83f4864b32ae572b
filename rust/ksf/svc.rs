// SPDX-License-Identifier: GPL-2.0

//! A service: its listener and its connections.

use crate::{
    conn::{
        Conn,
        Role,
        Stream, //
    },
    pool::Pool,
    service::{
        Replies,
        Service, //
    },
    sys::{
        global,
        list::Linked,
        socket::{
            self,
            Events,
            Socket, //
        }, //
    }, //
};
use core::net::{
    Ipv4Addr,
    Ipv6Addr,
    SocketAddr, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        Completion,
        Mutex, //
    }, //
};

/// How many connections, listeners included, a service may have.
const MAX_CONNS: usize = 16384;

/// How many connections may wait to be accepted.
const BACKLOG: u16 = 4096;

/// A running service. Dropping it stops it, which the module of the service has to do before it ends: keep it in the
/// module's own type, as [`kecho`](srctree/rust/kecho/main.rs) does. The network namespace that it is in lasts until then.
///
/// When the drop is over, all its connections are closed and nothing of the service runs or will run any more. That takes
/// no longer than the turns that workers have begun; it does not depend on the peers.
pub struct Svc {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Svc {
    /// Serves TCP connections to `port` on all addresses, IPv6 and IPv4, of the current process's network namespace.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` when something listens there already, `ENOMEM`.
    pub fn listen<S: Service>(service: S, port: u16) -> Result<Self> {
        let listen = |ip| Socket::listen(SocketAddr::new(ip, port), BACKLOG);
        let socket = match listen(Ipv6Addr::UNSPECIFIED.into()) {
            Err(error) if socket::is_unsupported_family(error) => {
                listen(Ipv4Addr::UNSPECIFIED.into())?
            }
            result => result?,
        };
        let address = socket.local_address()?;
        let service = Arc::new(service, GFP_KERNEL)?;
        let service = KBox::new(Erased { service }, GFP_KERNEL)?;
        let pool = global::pool().ok_or(ENODEV)?;
        let conns = Arc::pin_init(Conns::new(), GFP_KERNEL)?;
        let shared = Arc::new(
            Shared {
                service,
                conns,
                gate: Gate::new()?,
                pool,
            },
            GFP_KERNEL,
        )?;
        // From here on dropping the result stops what has started.
        let svc = Self { shared, address };
        let listener = svc
            .shared
            .conns
            .insert(|slot| Conn::new(socket, Role::listener(&svc.shared, slot)))?;
        Linked::wake(listener.as_arc_borrow());
        Ok(svc)
    }

    /// Returns the address that is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Svc {
    fn drop(&mut self) {
        self.shared.conns.close_all();
        self.shared.gate.close();
        socket::wait_for_callbacks();
    }
}

/// What all connections of a service share.
pub(crate) struct Shared {
    pub(crate) service: KBox<dyn AnyService>,
    pub(crate) conns: Arc<Conns>,
    pub(crate) gate: Gate,
    pub(crate) pool: Arc<Pool>,
}

/// A [`Service`], whatever its type.
pub(crate) trait AnyService: Send + Sync {
    /// See [`Service::open()`].
    fn open(&self, peer: SocketAddr) -> Result<KBox<dyn Stream>>;
}

/// A service without its type.
struct Erased<S: Service> {
    service: Arc<S>,
}

impl<S: Service> AnyService for Erased<S> {
    fn open(&self, peer: SocketAddr) -> Result<KBox<dyn Stream>> {
        let conn = self.service.open(peer)?;
        let service = self.service.clone();
        let stream = KBox::new(ErasedStream { service, conn }, GFP_KERNEL)?;
        Ok(stream)
    }
}

/// A connection of a service without its type.
struct ErasedStream<S: Service> {
    service: Arc<S>,
    conn: S::Conn,
}

impl<S: Service> Stream for ErasedStream<S> {
    fn stream(&mut self, received: &[u8], replies: &mut Replies<'_>) -> Result {
        self.service.stream(&mut self.conn, received, replies)
    }
}

/// The connections of a service.
#[pin_data]
pub(crate) struct Conns {
    #[pin]
    table: Mutex<Table>,
}

struct Table {
    slots: KVVec<Option<Arc<Linked<Conn>>>>,
    /// The slots that are empty. Its capacity is that of `slots`, so that giving a slot back needs no memory.
    free: KVVec<usize>,
    /// No connection is taken in any more.
    closed: bool,
}

impl Conns {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            table <- new_mutex!(Table {
                slots: KVVec::new(),
                free: KVVec::new(),
                closed: false,
            }),
        })
    }

    /// Takes in the connection that `new` makes for a slot.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the service stops, `ENFILE` when it has as many connections as it may, and those of `new`.
    pub(crate) fn insert(
        &self,
        new: impl FnOnce(usize) -> Result<Arc<Linked<Conn>>>,
    ) -> Result<Arc<Linked<Conn>>> {
        let mut table = self.table.lock();
        if table.closed {
            return Err(ENODEV);
        }
        let slot = match table.free.last() {
            Some(slot) => *slot,
            None if table.slots.len() == MAX_CONNS => return Err(ENFILE),
            None => {
                let slot = table.slots.len();
                table.free.reserve(slot + 1, GFP_KERNEL)?;
                table.slots.push(None, GFP_KERNEL)?;
                table.free.push(slot, GFP_KERNEL)?;
                slot
            }
        };
        let conn = new(slot)?;
        table.free.pop();
        table.slots[slot] = Some(conn.clone());
        Ok(conn)
    }

    /// Returns whether there are as many connections as there may be.
    ///
    /// Process context.
    pub(crate) fn is_full(&self) -> bool {
        let table = self.table.lock();
        table.free.is_empty() && table.slots.len() == MAX_CONNS
    }

    /// Gives the slot of a connection back.
    ///
    /// Process context.
    pub(crate) fn remove(&self, slot: usize) {
        let mut table = self.table.lock();
        let conn = table.slots.get_mut(slot).and_then(Option::take);
        if conn.is_some() && table.free.push_within_capacity(slot).is_err() {
            kernel::pr_warn_once!("a connection's slot was lost\n");
        }
        drop(table);
        // Possibly the last reference, which must not be dropped under the lock.
        drop(conn);
    }

    /// Closes all connections, and takes in no more.
    fn close_all(&self) {
        let mut table = self.table.lock();
        table.closed = true;
        for conn in table.slots.iter().flatten() {
            Linked::close(conn.as_arc_borrow());
        }
    }
}

/// Counts who is inside of a service, so that its end can wait for them.
pub(crate) struct Gate {
    inner: Arc<Inside>,
}

#[pin_data]
struct Inside {
    /// Guards, and one until the gate is closed.
    count: Atomic<i32>,
    #[pin]
    empty: Completion,
}

impl Inside {
    fn leave(&self) {
        if self.count.fetch_sub(1, Full) == 1 {
            self.empty.complete_all();
        }
    }
}

/// Someone who is inside.
pub(crate) struct GateGuard {
    inner: Arc<Inside>,
}

impl Gate {
    fn new() -> Result<Self> {
        let inner = Arc::pin_init(
            pin_init!(Inside {
                count: Atomic::new(1),
                empty <- Completion::new(),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self { inner })
    }

    /// Enters, until the guard is dropped. To be called only by who is inside already, or before [`Gate::close()`].
    pub(crate) fn enter(&self) -> GateGuard {
        self.inner.count.add(1, Relaxed);
        GateGuard {
            inner: self.inner.clone(),
        }
    }

    /// Waits until all who entered have left. To be called once.
    fn close(&self) {
        self.inner.leave();
        self.inner.empty.wait_for_completion();
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        self.inner.leave();
    }
}
