// SPDX-License-Identifier: GPL-2.0

//! kburst: sends bursts of datagrams to who asks for them and has proved its address.
//!
//! It is there to test what a protocol over UDP needs of ksf: state on one core, timers, and content that is sent without
//! copying it. All numbers have the highest byte first. A request has 28 bytes: kind, 3 bytes of zeroes, a number
//! of 4 bytes, a cookie of 8, and three numbers of 4 bytes. Requests with the same number belong together: to the core where the first of
//! them arrived, or from 64 on to none. An answer begins with 28 bytes, too:
//! kind, a byte of zero, the CPU of the core in 2 bytes, the number of the request, which datagram of how many it is, how many requests
//! with this number the core has had, and 8 bytes that are the cookie (to `H`) or zeroes.
//!
//! | request | answer |
//! |---|---|
//! | `H` | `H` with the cookie of this peer, without which the others are dropped |
//! | `B` count, bytes | so many `B`, each with so many bytes of the content, which go on where those of the one before end; in the last one only half of them, and the four bytes `END.` |
//! | `T` count, µs | so many `T`, each so long after the one before |
//! | `K` count | nothing until there are so many with this number: then all of them in the order in which they came, as `K` with the last number of each |
//!
//! When the module is unloaded, who still waits for an answer gets an `S`.

use kernel::{
    cpu::CpuId,
    prelude::*, //
};
use ksf::{
    Flow,
    Packet,
    PacketService,
    Pages,
    Part,
    SharedPacket,
    SoftirqLock,
    Svc,
    Turn, //
};

module! {
    type: Kburst,
    name: "kburst",
    authors: ["The ksf authors"],
    description: "Service in the kernel that tests bursts of datagrams",
    license: "GPL",
}

ksf::packet_params! {
    static PARAMS: port = 60010;
}

ksf::module_param! {
    /// How many answers a core owes at most.
    static MAX_JOBS: max_jobs = 256 in 1..=65536, mode 0o644, "answers that a core owes at most, and datagrams that it keeps";
}

/// How many bytes of content there are. After the last comes the first again.
const CONTENT_BYTES: usize = 1024 * 1024;

/// How many bytes of it a datagram has at most.
const MAX_BYTES: usize = 8192;

/// How many bytes a request, and the head of an answer, has.
const HEAD: usize = 28;

/// The byte of the content at `offset`.
fn content(offset: usize) -> u8 {
    // CAST: Only the lowest byte matters.
    (offset.wrapping_mul(31) ^ (offset >> 8).wrapping_mul(7) ^ (offset >> 16)) as u8
}

/// A request.
#[derive(Clone, Copy)]
struct Request {
    kind: u8,
    id: u32,
    cookie: u64,
    numbers: [u32; 3],
}

impl Request {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            kind: *bytes.first()?,
            id: number(bytes, 4)?,
            cookie: u64::from(number(bytes, 8)?) << 32 | u64::from(number(bytes, 12)?),
            numbers: [number(bytes, 16)?, number(bytes, 20)?, number(bytes, 24)?],
        })
    }
}

/// The number of 4 bytes at `offset`.
fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

/// An answer that is owed.
struct Job {
    flow: Flow,
    kind: u8,
    id: u32,
    requests: u32,
    next: u32,
    count: u32,
    /// How many bytes of content each datagram has, if it has any.
    bytes: usize,
    /// When the next one is to be sent, and how long after it the one that follows, in µs.
    at_us: u64,
    delay_us: u64,
}

impl Job {
    /// The head of the next datagram.
    fn head(&self, kind: u8, cpu: CpuId, cookie: u64) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[0] = kind;
        let mut set = |offset: usize, bytes: &[u8]| {
            head[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        // CAST: A test runs on machines with few CPUs.
        set(2, &(cpu.as_u32() as u16).to_be_bytes());
        set(4, &self.id.to_be_bytes());
        set(8, &self.next.to_be_bytes());
        set(12, &self.count.to_be_bytes());
        set(16, &self.requests.to_be_bytes());
        set(20, &cookie.to_be_bytes());
        head
    }

    /// Sends the next datagram.
    fn send(&self, pages: &Pages, turn: &mut Turn<'_>) -> Result {
        let head = self.head(self.kind, turn.cpu(), 0);
        let is_last = self.next + 1 == self.count;
        let len = if is_last { self.bytes / 2 } else { self.bytes };
        let end: &[u8] = if is_last && self.kind == b'B' {
            b"END."
        } else {
            b""
        };
        let offset = (self.next as usize).wrapping_mul(self.bytes) % CONTENT_BYTES;
        let before = len.min(CONTENT_BYTES - offset);
        turn.send(
            &self.flow,
            &[
                Part::Bytes(&head),
                Part::Pages(pages, offset, before),
                Part::Pages(pages, 0, len - before),
                Part::Bytes(end),
            ],
        )
    }
}

/// How many numbers belong to a core.
const NUMBERS: usize = 64;

struct Burst {
    pages: Pages,
    secret: u64,
    /// To which core each number belongs, if to any yet.
    owners: SoftirqLock<[Option<CpuId>; NUMBERS]>,
}

/// A datagram that waits for others.
struct Kept {
    flow: Flow,
    id: u32,
    packet: SharedPacket,
}

/// What a core keeps.
struct Core {
    jobs: KVec<Job>,
    /// Datagrams that wait for others.
    kept: KVec<Kept>,
    /// How many requests there were, by number.
    requests: [u32; NUMBERS],
}

impl Burst {
    /// What proves that a peer has received something.
    fn cookie(&self, flow: &Flow) -> u64 {
        let peer = flow.peer();
        let ip = match peer.ip() {
            core::net::IpAddr::V4(ip) => u128::from(ip.to_bits()),
            core::net::IpAddr::V6(ip) => ip.to_bits(),
        };
        // CAST: The two halves.
        let mixed = (ip as u64) ^ ((ip >> 64) as u64).rotate_left(29) ^ u64::from(peer.port());
        (mixed ^ self.secret).wrapping_mul(self.secret | 1) ^ self.secret.rotate_left(17)
    }

    /// Does what a datagram asks for.
    fn receive(&self, core: &mut Core, mut packet: Packet, turn: &mut Turn<'_>) -> Result {
        let flow = *packet.flow();
        let head = packet.head(HEAD).ok_or(EINVAL)?;
        let request = Request::parse(head).ok_or(EINVAL)?;
        let Some(count) = core.requests.get_mut(request.id as usize) else {
            // Nobody keeps it, and nobody answers it.
            let cpu = turn.cpu();
            turn.hand_over(packet, cpu);
            return Ok(());
        };
        let owner = self.owners.with(|owners| {
            let owner = owners.get_mut(request.id as usize)?;
            Some(*owner.get_or_insert(turn.cpu()))
        });
        if let Some(owner) = owner.filter(|owner| owner.as_u32() != turn.cpu().as_u32()) {
            turn.hand_over(packet, owner);
            return Ok(());
        }
        *count = count.wrapping_add(1);
        let requests = *count;
        let [count, other, _] = request.numbers;
        let mut job = Job {
            flow,
            kind: request.kind,
            id: request.id,
            requests,
            next: 0,
            count,
            bytes: 0,
            at_us: turn.now_us(),
            delay_us: 0,
        };
        let cookie = self.cookie(&flow);
        if request.kind == b'H' {
            // No longer than the request.
            let head = job.head(b'H', turn.cpu(), cookie);
            return turn.send(&flow, &[Part::Bytes(&head)]);
        }
        if request.cookie != cookie {
            return Err(EACCES);
        }
        let max_jobs = usize::try_from(MAX_JOBS.get())?;
        match request.kind {
            b'B' => job.bytes = (other as usize).min(MAX_BYTES),
            b'T' => {
                job.delay_us = u64::from(other);
                job.at_us += job.delay_us;
            }
            b'K' => {
                if core.kept.len() >= max_jobs {
                    return Err(ENOSPC);
                }
                let kept = Kept {
                    flow,
                    id: request.id,
                    packet: packet.share(),
                };
                core.kept.push(kept, GFP_ATOMIC)?;
                return self.release(core, request.id, count as usize, turn);
            }
            _ => return Err(EINVAL),
        }
        if core.jobs.len() >= max_jobs || count == 0 {
            return Err(ENOSPC);
        }
        core.jobs.push(job, GFP_ATOMIC)?;
        Ok(())
    }

    /// Answers the datagrams that were kept for `id` when there are `count`.
    fn release(&self, core: &mut Core, id: u32, count: usize, turn: &mut Turn<'_>) -> Result {
        if core.kept.iter().filter(|kept| kept.id == id).count() < count {
            return Ok(());
        }
        for kept in core.kept.iter().filter(|kept| kept.id == id) {
            // Whoever has a part of a datagram keeps the whole.
            let shared = kept.packet.clone();
            let mut head = [0; HEAD];
            shared.copy(0, &mut head);
            let request = Request::parse(&head).ok_or(EINVAL)?;
            let job = Job {
                flow: kept.flow,
                kind: b'K',
                id,
                requests: 0,
                next: request.numbers[2],
                count: request.numbers[0],
                bytes: 0,
                at_us: 0,
                delay_us: 0,
            };
            let head = job.head(b'K', turn.cpu(), 0);
            // One that is not sent is lost, as any datagram may be.
            let _ = turn.send(&job.flow, &[Part::Bytes(&head)]);
        }
        core.kept.retain(|kept| kept.id != id);
        Ok(())
    }
}

impl PacketService for Burst {
    type Core = Core;

    fn core(&self, _cpu: CpuId) -> Result<Core> {
        Ok(Core {
            jobs: KVec::new(),
            kept: KVec::new(),
            requests: [0; NUMBERS],
        })
    }

    fn turn(&self, core: &mut Core, turn: &mut Turn<'_>) -> Option<u64> {
        while let Some(packet) = turn.receive() {
            // What is wrong gets no answer.
            let _ = self.receive(core, packet, turn);
        }
        let now_us = turn.now_us();
        let mut next_us = None;
        for job in &mut core.jobs {
            while job.next != job.count && job.at_us <= now_us {
                if !turn.may_go_on() {
                    return Some(now_us);
                }
                match job.send(&self.pages, turn) {
                    Ok(()) => job.next += 1,
                    // There is another turn.
                    Err(error) if error == ksf::no_buffers() => break,
                    Err(_) => job.next = job.count,
                }
                job.at_us += job.delay_us;
            }
            if job.next != job.count && job.at_us > now_us {
                next_us = Some(next_us.unwrap_or(u64::MAX).min(job.at_us));
            }
        }
        core.jobs.retain(|job| job.next != job.count);
        next_us
    }

    fn stop(&self, core: &mut Core, turn: &mut Turn<'_>) {
        for job in &core.jobs {
            let head = job.head(b'S', turn.cpu(), 0);
            // Who does not get it will notice.
            let _ = turn.send(&job.flow, &[Part::Bytes(&head)]);
        }
    }
}

struct Kburst {
    _svc: Svc,
}

impl kernel::Module for Kburst {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let pages = Pages::new(CONTENT_BYTES, |offset, bytes| {
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = content(offset + index);
            }
        })?;
        let burst = Burst {
            pages,
            secret: ksf::random(),
            owners: SoftirqLock::new([None; NUMBERS])?,
        };
        let svc = Svc::start_packets(c"kburst", burst, &PARAMS)?;
        pr_info!("serving on {:?}\n", svc.address());
        Ok(Kburst { _svc: svc })
    }
}

impl Drop for Kburst {
    fn drop(&mut self) {
        pr_info!("unloading\n");
    }
}
