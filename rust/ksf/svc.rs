// SPDX-License-Identifier: GPL-2.0

//! A running service: its sockets and its connections.

use crate::{
    conn::{
        Closing,
        Conn,
        State, //
    },
    datagram::Datagram,
    gate::Gate,
    limits::{
        Count,
        Peers, //
    },
    listener::Listener,
    packets::{
        port::PacketPort,
        service::{
            erase,
            AnyPackets,
            PacketService, //
        },
        site::Sites, //
    },
    params::{
        PacketParams,
        ServiceParams, //
    },
    pool::Pool,
    port::Port,
    service::{
        CloseReason,
        Progress,
        Service,
        Verdict, //
    },
    stats::Stats,
    steer::Order,
    stream::Stream,
    sys::{
        client::Namespace,
        global,
        list::Linked,
        netns::{
            Net,
            NetExit, //
        },
        reuseport,
        socket::{
            self,
            Sharing,
            Socket,
            Transport, //
        },
        tcp::{
            self,
            TcpSocket, //
        },
        udp, //
    },
    table::Table, //
};
use core::net::{
    IpAddr,
    Ipv4Addr,
    Ipv6Addr,
    SocketAddr, //
};
use kernel::{
    cpu::CpuId,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    time::Msecs, //
};

/// How many connections may wait to be accepted, on each core.
const BACKLOG: u16 = 4096;

/// What a connection may receive before anything of it is read, in bytes; what is read makes it grow.
const FIRST_RECEIVE_BYTES: u32 = 64 * 1024;

/// How long the peers have to acknowledge the end when a service stops. Then connections are reset.
const STOP_MS: Msecs = 500;

/// A running service. Dropping it stops it, which the module of the service has to do before it ends: keep it in the
/// module's own type, as [`kecho`](srctree/rust/kecho/main.rs) does.
///
/// The service is in the network namespace of the process that starts it, which it does not keep: when the namespace goes,
/// the service is stopped, and stays so.
///
/// When the drop is over, all its connections are closed and nothing of the service runs or will run any more. That takes
/// half a second if a peer does not answer, and the turns that workers have begun; it does not depend on what peers do.
pub struct Svc {
    /// Of a type that only ksf knows, so that no code of ksf is compiled into services.
    running: KBox<dyn Running>,
}

/// A running service.
trait Running: Send + Sync {
    /// See [`Svc::address()`].
    fn address(&self) -> SocketAddr;

    /// See [`Svc::in_namespace()`].
    fn in_namespace(&self, with: &mut dyn FnMut(&Namespace));
}

impl Svc {
    /// Starts to serve what `params` say, as `name`, which is the name of the module.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` when somebody else has the port, `EADDRNOTAVAIL` when this host does not have the address, `ENOMEM`.
    pub fn start<S: Service>(
        name: &'static CStr,
        service: S,
        params: &'static ServiceParams,
    ) -> Result<Self> {
        let service = Arc::new(service, GFP_KERNEL)?;
        let service = KBox::new(Erased { service }, GFP_KERNEL)?;
        Ok(Self {
            running: Started::start(name, Kind::Requests(service, S::MAY_SLEEP), params)?,
        })
    }

    /// Starts a service that runs a protocol of its own over UDP.
    ///
    /// As [`start()`](Self::start()).
    ///
    /// # Errors
    ///
    /// Those of [`start()`](Self::start()) and of [`PacketService::core()`].
    pub fn start_packets<S: PacketService>(
        name: &'static CStr,
        service: S,
        params: &'static PacketParams,
    ) -> Result<Self> {
        let kind = Kind::Packets(erase(service)?, params);
        Ok(Self {
            running: Started::start(name, kind, &params.service)?,
        })
    }

    /// Returns the address that is served.
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Calls `with` with the network namespace that is served, unless its end has begun. Until `with` returns, it does not end.
    ///
    /// Process context.
    pub fn in_namespace(&self, mut with: impl FnMut(&Namespace)) {
        self.running.in_namespace(&mut with);
    }
}

/// What is to be started.
enum Kind {
    /// A service that answers requests, and whether it may sleep.
    Requests(KBox<dyn AnyService>, bool),
    /// A service that runs a protocol of its own.
    Packets(KBox<dyn AnyPackets>, &'static PacketParams),
}

/// A service that was started. Dropping it stops it.
struct Started {
    shared: Arc<Shared>,
}

impl Started {
    fn start(
        name: &'static CStr,
        kind: Kind,
        params: &'static ServiceParams,
    ) -> Result<KBox<dyn Running>> {
        let pool = global::pool().ok_or(ENODEV)?;
        let (service, may_sleep, packets) = match kind {
            Kind::Requests(service, may_sleep) => (Some(service), may_sleep, None),
            Kind::Packets(service, params) => {
                let mut cpus = KVec::new();
                for cpu in pool.active_cpus() {
                    cpus.push(cpu, GFP_KERNEL)?;
                }
                (None, false, Some(Sites::new(service, cpus, params)?))
            }
        };
        let net = Net::current()?;
        let address = Self::probe(net, params)?;
        let (stats, table, peers, gate) =
            (Stats::new()?, Table::new()?, Peers::new()?, Gate::new()?);
        let shared = Arc::pin_init(
            pin_init!(Shared {
                name,
                params,
                may_sleep,
                service,
                stats,
                conns: Count::new(),
                table,
                peers,
                gate,
                pool,
                net,
                address,
                order <- new_mutex!(Order::new()),
                packets <- new_mutex!(packets),
                sockets <- new_mutex!(KVec::new()),
                is_stopped <- new_mutex!(false),
            }),
            GFP_KERNEL,
        )?;
        global::with_registry(|registry| registry.add(shared.clone()))?;
        // From here on dropping the result stops what has started.
        let started = Self { shared };
        let started = KBox::new(started, GFP_KERNEL)?;
        let shared = &started.shared;
        if shared.service.is_none() {
            shared.start_packets()?;
            return Ok(started);
        }
        if params.tcp() {
            shared.start_tcp()?;
        }
        if params.udp() {
            shared.start_udp()?;
        }
        Ok(started)
    }

    /// Finds the address to serve, and whether anybody has it. A socket that would share its port would join the group of
    /// somebody else silently, so this is asked with one that would not.
    fn probe(net: Net, params: &ServiceParams) -> Result<SocketAddr> {
        let port = u16::try_from(params.port.get())?;
        let try_ip = |ip: IpAddr| {
            let address = SocketAddr::new(ip, port);
            for (transport, is_served) in [
                (Transport::Tcp, params.tcp()),
                (Transport::Udp, params.udp()),
            ] {
                if is_served {
                    Socket::bind(net, transport, address, Sharing::Alone, true)?;
                }
            }
            Ok(address)
        };
        match try_ip(params.bind.get()) {
            // Without IPv6 the default is all of IPv4.
            Err(error) if socket::is_unsupported_family(error) && !params.bind.is_set() => {
                try_ip(Ipv4Addr::UNSPECIFIED.into())
            }
            result => result,
        }
    }
}

impl Running for Started {
    fn address(&self) -> SocketAddr {
        self.shared.address
    }

    fn in_namespace(&self, with: &mut dyn FnMut(&Namespace)) {
        let is_stopped = self.shared.is_stopped.lock();
        // A namespace stops its services before it is freed, and waits for the lock for that.
        let namespace = if *is_stopped {
            None
        } else {
            Namespace::get(self.shared.net)
        };
        drop(is_stopped);
        if let Some(namespace) = namespace {
            with(&namespace);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.shared.stop();
        global::with_registry(|registry| registry.remove(&self.shared));
    }
}

/// What all connections of a service share.
#[pin_data]
pub(crate) struct Shared {
    pub(crate) name: &'static CStr,
    pub(crate) params: &'static ServiceParams,
    pub(crate) may_sleep: bool,
    /// What answers requests; [`None`] for a packet service.
    pub(crate) service: Option<KBox<dyn AnyService>>,
    pub(crate) stats: Stats,
    pub(crate) conns: Count,
    pub(crate) table: Table,
    pub(crate) peers: Arc<Peers>,
    pub(crate) gate: Gate,
    pub(crate) pool: Arc<Pool>,
    pub(crate) net: Net,
    pub(crate) address: SocketAddr,
    /// The listeners in the order of their slots.
    #[pin]
    order: Mutex<Order>,
    /// What waits for the cores of a packet service, until it is stopped: it leads back here.
    #[pin]
    packets: Mutex<Option<Arc<Sites>>>,
    /// The listeners and UDP sockets.
    #[pin]
    sockets: Mutex<KVec<Arc<Linked<Conn>>>>,
    #[pin]
    is_stopped: Mutex<bool>,
}

impl Shared {
    /// Opens a listener for each core.
    fn start_tcp(self: &Arc<Self>) -> Result {
        for cpu in self.pool.active_cpus() {
            let socket = self.listen_again(cpu)?;
            Linked::start(self.new_socket()?, |conn| {
                self.add_socket(conn)?;
                let socket = socket.attach(conn.clone(), false);
                Ok(State::Listener(Listener::new(socket, cpu)))
            })?;
        }
        Ok(())
    }

    /// Opens a UDP socket for each core.
    fn start_udp(self: &Arc<Self>) -> Result {
        let mut order = Order::new();
        for cpu in self.pool.active_cpus() {
            let socket = self.new_udp_socket(cpu, &mut order)?;
            let service = self.service.as_ref().ok_or(ENOTSUPP)?.new_port()?;
            Linked::start(self.new_socket()?, |conn| {
                self.add_socket(conn)?;
                let socket = udp::Attached::new(socket, conn.clone());
                Ok(State::Port(Port::new(socket, service)?))
            })?;
        }
        Ok(())
    }

    /// Opens a UDP socket for each core of a packet service.
    fn start_packets(self: &Arc<Self>) -> Result {
        let sites = self.packets.lock().clone().ok_or(ENOTSUPP)?;
        let mut order = Order::new();
        for &cpu in sites.cpus() {
            let socket = self.new_udp_socket(cpu, &mut order)?;
            Linked::start(self.new_socket()?, |conn| {
                self.add_socket(conn)?;
                sites.open(cpu, conn)?;
                let port = PacketPort::new(socket, &sites, self, cpu)?;
                Ok(State::Packets(port))
            })?;
        }
        Ok(())
    }

    /// Opens the UDP socket of `cpu`, and steers datagrams to it.
    fn new_udp_socket(&self, cpu: CpuId, order: &mut Order) -> Result<Socket> {
        let socket = Socket::bind(
            self.net,
            Transport::Udp,
            self.address,
            Sharing::Group,
            self.is_dual_stack(),
        )?;
        order.join(cpu)?;
        reuseport::attach(&socket, &order.program()?)?;
        Ok(socket)
    }

    /// Calls `with` with what waits for the cores of a packet service that is not stopped.
    ///
    /// Process context.
    pub(crate) fn with_packets<R>(&self, with: impl FnOnce(&Sites) -> R) -> Option<R> {
        self.packets.lock().as_deref().map(with)
    }

    /// Opens the listener of `cpu`, and steers connections to it.
    ///
    /// Process context. To be called while the service is not stopped, for then its namespace exists.
    pub(crate) fn listen_again(&self, cpu: CpuId) -> Result<TcpSocket> {
        let mut order = self.order.lock();
        order.leave(cpu);
        let socket = TcpSocket::listen(
            self.net,
            self.address,
            self.is_dual_stack(),
            BACKLOG,
            FIRST_RECEIVE_BYTES,
        )?;
        let slot = order.join(cpu)?;
        if reuseport::slot(&socket) != Some(slot) {
            // The kernel falls back to a hash where the program is wrong: that costs locality, and no more.
            pr_warn!("{}: somebody else shares the port\n", self.name);
        }
        reuseport::attach(&socket, &order.program()?)?;
        Ok(socket)
    }

    /// Whether IPv4 is included in the address of IPv6.
    fn is_dual_stack(&self) -> bool {
        self.address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }

    /// Makes the place of a listener or of a UDP socket.
    fn new_socket(self: &Arc<Self>) -> Result<Arc<Linked<Conn>>> {
        Conn::new(self, None, Some(self.address))
    }

    /// Has a listener or a UDP socket closed when the service is stopped.
    fn add_socket(&self, conn: &Arc<Linked<Conn>>) -> Result {
        Ok(self.sockets.lock().push(conn.clone(), GFP_KERNEL)?)
    }

    /// Stops the service, unless that was done before, and waits until it is.
    ///
    /// Process context.
    pub(crate) fn stop(&self) {
        let mut is_stopped = self.is_stopped.lock();
        if *is_stopped {
            return;
        }
        *is_stopped = true;
        let gently = Closing::Gently(CloseReason::Stop);
        drop(self.packets.lock().take());
        for conn in core::mem::take(&mut *self.sockets.lock()) {
            Linked::close(conn.as_arc_borrow(), gently);
        }
        self.table.close(gently);
        if !self.gate.close(STOP_MS) {
            self.table.close(Closing::Abort(CloseReason::Stop));
            self.gate.wait();
        }
        tcp::wait_for_callbacks();
    }
}

/// The services, for what happens to network namespaces.
pub(crate) struct Services;

impl NetExit for Services {
    fn exit(net: Net) {
        global::with_registry(|registry| {
            for shared in registry.services().filter(|shared| shared.net == net) {
                pr_info!("{}: stopped, for its network namespace ends\n", shared.name);
                shared.stop();
            }
        });
    }
}

/// A connection's part of `max_conns`, and its place in the table. Given back when this is dropped.
pub(crate) struct Place {
    shared: Arc<Shared>,
    slot: Option<crate::table::TableSlot>,
}

impl Place {
    /// Takes over one of [`Shared::conns`] that was taken.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            slot: None,
        }
    }

    /// Adds a place in the table.
    pub(crate) fn at(mut self, slot: crate::table::TableSlot) -> Self {
        self.slot = Some(slot);
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.shared.table.remove(slot);
        }
        self.shared.conns.give_back();
    }
}

/// A [`Service`], whatever its type.
pub(crate) trait AnyService: Send + Sync {
    /// See [`Service::open()`].
    fn open(&self, peer: SocketAddr) -> Result<KBox<dyn AnyStream>>;

    /// Makes what a UDP socket is served with.
    fn new_port(&self) -> Result<KBox<dyn AnyPort>>;
}

/// What a service does with one connection.
pub(crate) trait AnyStream: Send {
    /// See [`Service::stream()`].
    fn stream(&mut self, stream: &mut Stream<'_>) -> Result<Progress>;

    /// See [`Service::close()`].
    fn close(&mut self, reason: CloseReason);
}

/// What a service does with the datagrams of one core.
pub(crate) trait AnyPort: Send {
    /// See [`Service::datagram()`].
    fn datagram(&mut self, datagram: &mut Datagram<'_>) -> Result<Verdict>;
}

/// A service without its type.
struct Erased<S: Service> {
    service: Arc<S>,
}

impl<S: Service> AnyService for Erased<S> {
    fn open(&self, peer: SocketAddr) -> Result<KBox<dyn AnyStream>> {
        let conn = self.service.open(peer)?;
        let service = self.service.clone();
        let stream = KBox::new(ErasedStream { service, conn }, GFP_KERNEL)?;
        Ok(stream)
    }

    fn new_port(&self) -> Result<KBox<dyn AnyPort>> {
        let core = S::Core::default();
        let service = self.service.clone();
        let port = KBox::new(ErasedPort { service, core }, GFP_KERNEL)?;
        Ok(port)
    }
}

/// A connection of a service without its type.
struct ErasedStream<S: Service> {
    service: Arc<S>,
    conn: S::Conn,
}

impl<S: Service> AnyStream for ErasedStream<S> {
    fn stream(&mut self, stream: &mut Stream<'_>) -> Result<Progress> {
        self.service.stream(&mut self.conn, stream)
    }

    fn close(&mut self, reason: CloseReason) {
        self.service.close(&mut self.conn, reason);
    }
}

/// A core of a service without its type.
struct ErasedPort<S: Service> {
    service: Arc<S>,
    core: S::Core,
}

impl<S: Service> AnyPort for ErasedPort<S> {
    fn datagram(&mut self, datagram: &mut Datagram<'_>) -> Result<Verdict> {
        self.service.datagram(&mut self.core, datagram)
    }
}
