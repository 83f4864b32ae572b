// SPDX-License-Identifier: GPL-2.0

//! Telling rpcbind where the programs are, RFC 1833.
//!
//! As sunrpc does (`net/sunrpc/rpcb_clnt.c`), rpcbind is looked for at its Unix domain socket, and then at its TCP port. Without
//! one, all is served as well.

use crate::{
    params::SERVICE,
    programs::Context, //
};
use core::net::{
    IpAddr,
    Ipv4Addr,
    SocketAddr, //
};
use kernel::prelude::*;
use ksf::{
    Client,
    Deadline,
    Namespace,
    Svc, //
};
use wire::{
    portmap::{
        self,
        netid,
        Binding,
        BindingList,
        UniversalAddress, //
    },
    program,
    record::{
        Mark,
        MARK_BYTES, //
    },
    rpc::{
        server::Entry,
        AcceptStatus,
        Call,
        Credential,
        OpaqueAuth,
        Reply,
        ReplyBody,
        ReplyView, //
    },
    xdr::{
        self,
        Reader,
        Writer, //
    }, //
};

/// How long rpcbind may take in all, so that neither loading nor unloading takes longer than a second because of it.
const TIMEOUT_MS: u64 = 600;

/// Where rpcbind is, if it is on this system.
const ABSTRACT_NAME: &[u8] = b"\0/run/rpcbind.sock";
const PATH: &[u8] = b"/var/run/rpcbind.sock";

/// The longest call: two addresses and an owner are some 100 bytes.
const MAX_CALL_BYTES: usize = 512;

/// The longest reply, which is the list of all that is registered, by anybody.
const MAX_REPLY_BYTES: usize = 16 * 1024 * 1024;

/// A version of a program, and how it can be called.
#[derive(Clone, Copy)]
struct Place {
    program: u32,
    version: u32,
    is_tcp: bool,
    address: SocketAddr,
}

impl Place {
    fn netid(&self) -> &'static str {
        netid(self.is_tcp, self.address.is_ipv6())
    }

    /// What rpcbind is told of it.
    fn change(self, procedure: u32) -> Change {
        let place = self;
        Change { procedure, place }
    }

    /// Whether `binding` is of the same version and transport.
    fn is_bound_by(&self, binding: &Binding<'_>) -> bool {
        (binding.program, binding.version) == (self.program, self.version)
            && binding.netid == self.netid().as_bytes()
    }
}

/// What rpcbind was told. To be withdrawn before the service is stopped.
pub(crate) struct Registration {
    places: KVec<Place>,
}

/// Tells rpcbind of all versions of all programs. Whatever goes wrong is logged, and no reason not to serve.
///
/// What another server has registered that is running is left alone; if nobody has its port, it is replaced.
///
/// Process context; takes [`TIMEOUT_MS`] at most.
pub(crate) fn register(svc: &Svc, programs: &[Entry<Context>]) -> Registration {
    let mut registration = Registration {
        places: KVec::new(),
    };
    svc.in_namespace(|namespace| {
        let result = registration.register(namespace, svc.address(), programs);
        report(result, &registration.places);
    });
    registration
}

/// Logs what came of a registration.
fn report(result: Result<Option<Others>>, places: &[Place]) {
    match result {
        Err(error) if places.is_empty() => {
            pr_info!("not registered with rpcbind: {error:?}\n");
        }
        Err(error) => pr_warn!("registered with rpcbind, but not all: {error:?}\n"),
        Ok(None) => pr_info!("registered with rpcbind\n"),
        Ok(Some(Others { first, count })) => {
            pr_warn!(
                "{count} registrations of others, who are running, were left alone: program {} version {} over {} is at port {}\n",
                first.program,
                first.version,
                first.netid(),
                first.address.port()
            );
        }
    }
}

/// Registrations of other servers.
struct Others {
    /// One of them.
    first: Place,
    count: usize,
}

impl Registration {
    /// Returns what others have, if there is any of that.
    fn register(
        &mut self,
        namespace: &Namespace,
        address: SocketAddr,
        programs: &[Entry<Context>],
    ) -> Result<Option<Others>> {
        let mut rpcbind = Rpcbind::connect(namespace)?;
        let registered = rpcbind.dump()?;
        let mut others: Option<Others> = None;
        let mut changes = KVec::new();
        for place in places(address, programs)? {
            if let Some(port) = registered.port(&place)? {
                let is_ours = port == place.address.port();
                if !is_ours && namespace.is_in_use(place.is_tcp, place.address.is_ipv6(), port) {
                    let address = SocketAddr::new(place.address.ip(), port);
                    let first = Place { address, ..place };
                    others.get_or_insert(Others { first, count: 0 }).count += 1;
                    continue;
                }
                changes.push(place.change(portmap::UNSET), GFP_KERNEL)?;
            }
            changes.push(place.change(portmap::SET), GFP_KERNEL)?;
            // What rpcbind was told it may do, even if its answer never comes.
            self.places.push(place, GFP_KERNEL)?;
        }
        rpcbind.make(&changes, |change, is_done| {
            is_done || change.procedure == portmap::UNSET
        })?;
        Ok(others)
    }

    /// Takes back what rpcbind was told, and is still as it was told.
    ///
    /// Process context; takes [`TIMEOUT_MS`] at most.
    pub(crate) fn withdraw(self, svc: &Svc) {
        if self.places.is_empty() {
            return;
        }
        svc.in_namespace(|namespace| {
            if let Err(error) = self.withdraw_from(namespace) {
                pr_warn!("may still be registered with rpcbind: {error:?}\n");
            }
        });
    }

    fn withdraw_from(&self, namespace: &Namespace) -> Result {
        let mut rpcbind = Rpcbind::connect(namespace)?;
        let registered = rpcbind.dump()?;
        let mut changes = KVec::new();
        for place in &self.places {
            if registered.port(place)? == Some(place.address.port()) {
                changes.push(place.change(portmap::UNSET), GFP_KERNEL)?;
            }
        }
        rpcbind.make(&changes, |_, is_done| is_done)
    }
}

/// Lists all places of the programs that are served at `address`.
fn places(address: SocketAddr, programs: &[Entry<Context>]) -> Result<KVec<Place>> {
    // The unspecified address of IPv6 includes IPv4.
    let v4 = (address.is_ipv6() && address.ip().is_unspecified())
        .then(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()));
    let proto = SERVICE.proto.word();
    let mut places = KVec::new();
    for program in programs {
        for version in program.versions {
            for is_tcp in [true, false] {
                if proto == if is_tcp { "udp" } else { "tcp" } {
                    continue;
                }
                for address in [v4, Some(address)].into_iter().flatten() {
                    let place = Place {
                        program: program.number,
                        version: version.number,
                        is_tcp,
                        address,
                    };
                    places.push(place, GFP_KERNEL)?;
                }
            }
        }
    }
    Ok(places)
}

/// A SET or an UNSET.
struct Change {
    procedure: u32,
    place: Place,
}

/// The results of a call, which are the last part of a record.
struct Results {
    record: KVVec<u8>,
    start: usize,
}

impl Results {
    fn as_bytes(&self) -> &[u8] {
        self.record.get(self.start..).unwrap_or_default()
    }

    /// Of DUMP, returns the port at which a place's version is registered.
    ///
    /// # Errors
    ///
    /// `EIO` for a list that cannot be read to that place.
    fn port(&self, place: &Place) -> Result<Option<u16>> {
        for binding in BindingList::new(self.as_bytes()) {
            let binding = binding.map_err(|_| EIO)?;
            if place.is_bound_by(&binding) {
                return Ok(portmap::port(binding.address));
            }
        }
        Ok(None)
    }
}

/// A connection to rpcbind.
struct Rpcbind<'a> {
    client: Client<'a>,
    xid: u32,
}

impl<'a> Rpcbind<'a> {
    /// Connects. Where a path leads to the daemons of this system, that comes first: its directory is root's, while anybody may
    /// have the abstract name.
    fn connect(namespace: &'a Namespace) -> Result<Self> {
        let deadline = Deadline::after_ms(TIMEOUT_MS);
        let by_path = if namespace.is_initial() {
            namespace.connect_unix(PATH, deadline)
        } else {
            Err(ENOENT)
        };
        let client = by_path
            .or_else(|_| namespace.connect_unix(ABSTRACT_NAME, deadline))
            .or_else(|_| namespace.connect_loopback(portmap::PORT, deadline))?;
        Ok(Self { client, xid: 0 })
    }

    /// Makes changes, all at once.
    ///
    /// # Errors
    ///
    /// `EEXIST` if not `is_good` what rpcbind says to one of them; the others are made all the same.
    fn make(&mut self, changes: &[Change], is_good: impl Fn(&Change, bool) -> bool) -> Result {
        let mut message = KVVec::new();
        let first = self.xid;
        for change in changes {
            let address = UniversalAddress::new(change.place.address);
            let binding = Binding {
                program: change.place.program,
                version: change.place.version,
                netid: change.place.netid().as_bytes(),
                address: address.as_bytes(),
                // As sunrpc says; rpcbind asks the system who calls.
                owner: b"0",
            };
            self.write(&mut message, change.procedure, |writer| {
                binding.write(writer)
            })?;
        }
        self.client.send(&message)?;
        let mut result = Ok(());
        for (xid, change) in (first + 1..).zip(changes) {
            let results = self.results(xid)?;
            let is_done = Reader::new(results.as_bytes()).bool();
            if !is_good(change, is_done.map_err(|_| EIO)?) {
                result = Err(EEXIST);
            }
        }
        result
    }

    /// Asks for all that is registered.
    fn dump(&mut self) -> Result<Results> {
        let mut message = KVVec::new();
        self.write(&mut message, portmap::DUMP, |_| Ok(()))?;
        self.client.send(&message)?;
        self.results(self.xid)
    }

    /// Appends a call to `message`.
    fn write(
        &mut self,
        message: &mut KVVec<u8>,
        procedure: u32,
        arguments: impl FnOnce(&mut Writer<'_>) -> xdr::Result,
    ) -> Result {
        self.xid += 1;
        let call = Call {
            xid: self.xid,
            program: program::PORTMAP,
            version: portmap::RPCB_VERSION_4,
            procedure,
            credential: Credential::None,
            verifier: OpaqueAuth::NONE,
        };
        let mut buffer = [0; MAX_CALL_BYTES];
        let mut writer = Writer::new(&mut buffer);
        call.write(&mut writer).map_err(|_| EMSGSIZE)?;
        arguments(&mut writer).map_err(|_| EMSGSIZE)?;
        // CAST: Less than the buffer has.
        let mark = Mark::new(writer.len() as u32, true).ok_or(EMSGSIZE)?;
        message.extend_from_slice(&mark.to_bytes(), GFP_KERNEL)?;
        message.extend_from_slice(writer.written(), GFP_KERNEL)?;
        Ok(())
    }

    /// Receives the reply to the call that has `xid`, and returns its results.
    fn results(&mut self, xid: u32) -> Result<Results> {
        let record = self.receive()?;
        let view = ReplyView::new(&record).map_err(|_| EIO)?;
        let reply = Reply::parse(&view).map_err(|_| EIO)?;
        match reply.body {
            ReplyBody::Accepted {
                status: AcceptStatus::Success,
                ..
            } if reply.xid == xid => {}
            _ => return Err(EIO),
        }
        let start = record.len() - view.body().len();
        Ok(Results { record, start })
    }

    /// Receives a record. What it announces is not allocated before it comes.
    fn receive(&mut self) -> Result<KVVec<u8>> {
        const STEP: usize = 512;
        let mut record = KVVec::new();
        let mut step = [0; STEP];
        loop {
            let mut mark = [0; MARK_BYTES];
            self.client.receive(&mut mark)?;
            let mark = Mark::from_bytes(mark);
            let mut left = mark.fragment_len() as usize;
            if left > MAX_REPLY_BYTES - record.len() {
                return Err(EMSGSIZE);
            }
            while left != 0 {
                let here = &mut step[..left.min(STEP)];
                self.client.receive(here)?;
                record.extend_from_slice(here, GFP_KERNEL)?;
                left -= here.len();
            }
            if mark.is_last() {
                return Ok(record);
            }
        }
    }
}
