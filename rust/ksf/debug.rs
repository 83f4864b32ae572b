// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows: in `/sys/kernel/debug/ksf/`, a line for each object, of `key=value`.

use crate::{
    conn::Info,
    packets::site::Sites,
    params::MEMORY_BYTES,
    stats::{
        text,
        Counter, //
    },
    svc::Shared,
    sys::{
        clock,
        debugfs::{
            Dir,
            File,
            Show, //
        },
        global, //
    }, //
};
use core::fmt;
use kernel::prelude::*;

/// A file of a service in ksf's directory of debugfs. The service drops it before it ends.
///
/// Who has it open does not keep the service, but ksf.
pub struct DebugFile<T: Show> {
    _file: File<T>,
}

impl<T: Show> DebugFile<T> {
    /// Creates the file, unless there is no debugfs.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `EEXIST`, `ENOMEM`.
    pub fn new(name: &'static CStr, show: T) -> Result<Option<Self>> {
        let file = global::with_debugfs_dir(|dir| dir.file(name, show)).transpose()?;
        Ok(file.map(|file| Self { _file: file }))
    }
}

/// The files of ksf itself, in the directory that has those of services, too.
pub(crate) struct Files {
    files: Option<[File<Listing>; 6]>,
}

impl Files {
    /// Creates the files. Without debugfs, there are none.
    ///
    /// Process context.
    pub(crate) fn new() -> Result<Self> {
        let Ok(dir) = Dir::new(c"ksf") else {
            pr_info!("there is no debugfs\n");
            return Ok(Self { files: None });
        };
        let files = [
            dir.file(c"services", Listing(services))?,
            dir.file(c"workers", Listing(workers))?,
            dir.file(c"conns", Listing(conns))?,
            dir.file(c"limits", Listing(limits))?,
            dir.file(c"peers", Listing(peers))?,
            dir.file(c"cores", Listing(cores))?,
        ];
        global::set_debugfs_dir(Some(dir));
        Ok(Self { files: Some(files) })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.files = None;
        global::set_debugfs_dir(None);
    }
}

/// What writes a list.
struct Listing(fn(&mut fmt::Formatter<'_>) -> fmt::Result);

impl Show for Listing {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

fn services(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    global::with_registry(|registry| {
        for shared in registry.services() {
            write!(
                f,
                "service={} net={} bind={} port={} proto={} serve={} conns={}",
                text(shared.name),
                shared.net.inum(),
                shared.address.ip(),
                shared.address.port(),
                shared.params.proto.word(),
                shared.params.serve.word(),
                shared.conns.used(),
            )?;
            shared.stats.show(f)?;
            writeln!(f)?;
        }
        Ok(())
    })
}

fn workers(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(pool) = global::pool() else {
        return Ok(());
    };
    for worker in pool.workers() {
        let stats = &worker.stats;
        let (inline_turns, inline_budget_ends) = worker.inline_stats();
        writeln!(
            f,
            "cpu={} state={} wakeups={} turns={} polls={} poll_hits={} inline_turns={} inline_budget_ends={}",
            worker.cpu.as_u32(),
            if worker.is_active() { "running" } else { "parked" },
            stats.wakeups.get(),
            stats.turns.get(),
            stats.polls.get(),
            stats.poll_hits.get(),
            inline_turns,
            inline_budget_ends,
        )?;
    }
    Ok(())
}

fn conns(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let now = clock::coarse_ms();
    global::with_registry(|registry| {
        for shared in registry.services() {
            shared.table.for_each(|conn| {
                let info = &conn.info;
                let (Some(peer), Some(local)) = (info.peer, info.local) else {
                    return Ok(());
                };
                let phase = info.phase.get() as usize;
                writeln!(
                    f,
                    "service={} peer={} local={} cpu={} state={} age_ms={} idle_ms={} bytes_in={} bytes_out={} requests={} memory={} unsent={}",
                    text(shared.name),
                    peer,
                    local,
                    info.cpu.get(),
                    Info::PHASES.get(phase).copied().unwrap_or_default(),
                    now.saturating_sub(info.opened_ms),
                    now.saturating_sub(info.active_ms.get()),
                    info.bytes_in.get(),
                    info.bytes_out.get(),
                    info.requests.get(),
                    info.memory.get(),
                    info.unsent.get(),
                )
            })?;
        }
        Ok(())
    })
}

fn limits(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(pool) = global::pool() {
        writeln!(
            f,
            "scope=ksf limit=memory_bytes value={} used={} hits={}",
            MEMORY_BYTES.get(),
            pool.memory.used(),
            pool.memory.hits(),
        )?;
    }
    global::with_registry(|registry| {
        for shared in registry.services() {
            if let Some(result) = shared.with_packets(|sites| packet_limits(f, shared, sites)) {
                result?;
                continue;
            }
            let name = text(shared.name);
            let params = shared.params;
            let stats = &shared.stats;
            let mut most = [0u64; 2];
            shared.table.for_each(|conn| {
                let bytes = conn.info.memory.get();
                most[0] = most[0].max(bytes);
                Ok::<(), fmt::Error>(())
            })?;
            shared.peers.for_each(|_, conns, _, _| {
                most[1] = most[1].max(conns);
                Ok::<(), fmt::Error>(())
            })?;
            for (limit, value, used, hits) in [
                (
                    "max_conns",
                    params.max_conns.get(),
                    shared.conns.used(),
                    stats.sum(Counter::RefusedConns),
                ),
                (
                    "max_conns_per_peer",
                    params.max_conns_per_peer.get(),
                    most[1],
                    stats.sum(Counter::RefusedPeerConns),
                ),
                (
                    "conn_bytes",
                    params.conn_bytes.get(),
                    most[0],
                    stats.sum(Counter::ClosedMemory),
                ),
                (
                    "first_byte_timeout_ms",
                    params.first_byte_timeout_ms.get(),
                    0,
                    stats.sum(Counter::ClosedFirstByte),
                ),
                (
                    "request_timeout_ms",
                    params.request_timeout_ms.get(),
                    0,
                    stats.sum(Counter::ClosedRequest),
                ),
                (
                    "send_timeout_ms",
                    params.send_timeout_ms.get(),
                    0,
                    stats.sum(Counter::ClosedSend),
                ),
                (
                    "idle_timeout_ms",
                    params.idle_timeout_ms.get(),
                    0,
                    stats.sum(Counter::ClosedIdle),
                ),
            ] {
                writeln!(
                    f,
                    "scope={name} limit={limit} value={value} used={used} hits={hits}"
                )?;
            }
        }
        Ok(())
    })
}

/// Writes the limits of a packet service.
fn packet_limits(f: &mut fmt::Formatter<'_>, shared: &Shared, sites: &Sites) -> fmt::Result {
    let name = text(shared.name);
    let hits = shared.stats.sum(Counter::DroppedQueue);
    let (mut most, mut bytes) = (0, 0);
    for site in sites.iter() {
        most = site.load().packets().max(most);
        bytes += site.load().bytes();
    }
    let params = sites.params();
    for (limit, value, used) in [
        ("queue_packets", params.queue_packets.get(), most),
        ("queue_bytes", params.queue_bytes.get(), bytes),
    ] {
        writeln!(
            f,
            "scope={name} limit={limit} value={value} used={used} hits={hits}"
        )?;
    }
    Ok(())
}

fn cores(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    global::with_registry(|registry| {
        for shared in registry.services() {
            let name = text(shared.name);
            let of_sites = shared.with_packets(|sites| {
                sites.iter().try_for_each(|site| {
                    writeln!(
                        f,
                        "service={name} cpu={} queued={} queued_bytes={} turns={} received={}",
                        site.cpu().as_u32(),
                        site.load().packets(),
                        site.load().bytes(),
                        site.turns.get(),
                        site.received.get(),
                    )
                })
            });
            of_sites.unwrap_or(Ok(()))?;
        }
        Ok(())
    })
}

fn peers(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    global::with_registry(|registry| {
        for shared in registry.services() {
            let name = text(shared.name);
            shared.peers.for_each(|network, conns, refused, memory| {
                writeln!(
                    f,
                    "service={name} peer={network} conns={conns} refused={refused} memory={memory}"
                )
            })?;
        }
        Ok(())
    })
}
