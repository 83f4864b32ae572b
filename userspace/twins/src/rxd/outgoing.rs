// SPDX-License-Identifier: GPL-2.0

//! Packets on their way out, many with one call to the system.

use std::{
    io::{self, IoSlice},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{sendmmsg, ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage},
};
use rx::{
    content::{self, PERIOD},
    rxperf::Part,
    DATA_BYTES, HEADER_BYTES, MAX_CONTROL_BYTES,
};

/// What a packet has that is cut off by the system, but the last.
const SEGMENT_BYTES: u16 = DATA_BYTES + HEADER_BYTES as u16;

/// How many packets one datagram may become: what 64 KiB have room for.
const MAX_SEGMENTS: usize = 45;

/// A packet: bytes of a buffer, content, and bytes that end it.
#[derive(Debug)]
struct Packet {
    /// Where its bytes in the buffer end.
    end: usize,
    content: (usize, usize),
    tail: &'static [u8],
}

/// Packets that are sent with one call, as far as one client's.
#[derive(Debug)]
struct Datagram {
    to: SockaddrStorage,
    /// Where its packets end.
    end: usize,
    /// Another may be put behind: as many bytes as the system cuts off have all packets, and there are not too many.
    has_room: bool,
}

/// Packets that are to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    content: Box<[u8]>,
    /// Headers, and packets that are no data.
    buffer: Vec<u8>,
    /// How many bytes of it are in use.
    filled: usize,
    packets: Vec<Packet>,
    datagrams: Vec<Datagram>,
    headers: MultiHeaders<SockaddrStorage>,
    batch: usize,
    segments: usize,
}

impl Outgoing {
    /// Sends up to `batch` datagrams with one call, each of which may become several packets if `gso`.
    pub(crate) fn new(batch: usize, gso: bool) -> Self {
        // As much more as a packet may need beyond the end.
        let mut content = vec![0; PERIOD + usize::from(DATA_BYTES)];
        content::fill(0, &mut content);
        Self {
            content: content.into(),
            buffer: Vec::new(),
            filled: 0,
            packets: Vec::new(),
            datagrams: Vec::new(),
            headers: MultiHeaders::preallocate(batch, gso.then(|| cmsg_space!(u16))),
            batch,
            segments: if gso { MAX_SEGMENTS } else { 1 },
        }
    }

    /// Room for a header, or for a packet that is no data, before [`Self::push()`] or [`Self::push_data()`].
    pub(crate) fn header_room(&mut self) -> &mut [u8] {
        let end = self.filled + MAX_CONTROL_BYTES;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.filled..end]
    }

    /// A packet of so many bytes of the room.
    pub(crate) fn push(&mut self, to: SocketAddr, bytes: usize) {
        self.filled += bytes;
        self.push_packet(to, bytes, (0, 0), &[]);
    }

    /// A packet that is no data.
    pub(crate) fn push_control(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.header_room()[..bytes.len()].copy_from_slice(bytes);
        self.push(to, bytes.len());
    }

    /// A packet of DATA, whose header is in the room.
    pub(crate) fn push_data(&mut self, to: SocketAddr, part: Part) {
        self.filled += HEADER_BYTES;
        // The remainder is less than a `usize`.
        let start = (part.offset % PERIOD as u64) as usize;
        let bytes = HEADER_BYTES + part.content_bytes + part.tail.len();
        let content = (start, start + part.content_bytes);
        self.push_packet(to, bytes, content, part.tail);
    }

    fn push_packet(
        &mut self,
        to: SocketAddr,
        bytes: usize,
        content: (usize, usize),
        tail: &'static [u8],
    ) {
        self.packets.push(Packet {
            end: self.filled,
            content,
            tail,
        });
        let end = self.packets.len();
        let to = SockaddrStorage::from(to);
        let begin = self
            .datagrams
            .iter()
            .rev()
            .nth(1)
            .map_or(0, |last| last.end);
        let is_full = bytes == usize::from(SEGMENT_BYTES);
        if let Some(last) = self
            .datagrams
            .last_mut()
            .filter(|last| last.has_room && last.to == to)
        {
            if bytes <= usize::from(SEGMENT_BYTES) {
                last.end = end;
                last.has_room = is_full && end - begin < self.segments;
                return;
            }
        }
        self.datagrams.push(Datagram {
            to,
            end,
            has_room: is_full && self.segments > 1,
        });
    }

    /// Whether there is enough for a call.
    pub(crate) fn is_full(&self) -> bool {
        self.datagrams.len() >= self.batch
    }

    /// Sends all. What the system does not take is lost, as it may be anywhere on its way.
    ///
    /// # Errors
    ///
    /// The system's, for no reason that a client could give.
    pub(crate) fn flush(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let mut begin = 0;
        let mut slices = Vec::with_capacity(3 * self.packets.len());
        let mut ends = Vec::with_capacity(self.datagrams.len());
        let mut packets = self.packets.iter();
        let mut taken = 0;
        for datagram in &self.datagrams {
            for packet in packets.by_ref().take(datagram.end - taken) {
                slices.push(IoSlice::new(&self.buffer[begin..packet.end]));
                begin = packet.end;
                let (from, to) = packet.content;
                if from != to {
                    slices.push(IoSlice::new(&self.content[from..to]));
                }
                if !packet.tail.is_empty() {
                    slices.push(IoSlice::new(packet.tail));
                }
            }
            taken = datagram.end;
            ends.push(slices.len());
        }
        let mut first = 0;
        let mut datagrams = self.datagrams.chunks(self.batch);
        for ends in ends.chunks(self.batch) {
            let messages: Vec<&[IoSlice<'_>]> = ends
                .iter()
                .map(|end| &slices[std::mem::replace(&mut first, *end)..*end])
                .collect();
            let to: Vec<_> = datagrams
                .next()
                .unwrap_or_default()
                .iter()
                .map(|datagram| Some(datagram.to))
                .collect();
            send(socket, &mut self.headers, &messages, &to, self.segments > 1)?;
        }
        self.filled = 0;
        self.packets.clear();
        self.datagrams.clear();
        Ok(())
    }
}

/// Sends datagrams with as few calls as it takes.
fn send(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    messages: &[&[IoSlice<'_>]],
    to: &[Option<SockaddrStorage>],
    gso: bool,
) -> io::Result<()> {
    let segment = [ControlMessage::UdpGsoSegments(&SEGMENT_BYTES)];
    let control = if gso { &segment[..] } else { &[] };
    let mut sent = 0;
    while sent < messages.len() {
        let result = sendmmsg(
            socket.as_raw_fd(),
            headers,
            &messages[sent..],
            &to[sent..],
            control,
            MsgFlags::MSG_NOSIGNAL,
        );
        match result {
            Ok(results) => sent += results.count().max(1),
            Err(Errno::EINTR) => {}
            // The first of them cannot be sent; those behind it may be.
            Err(
                Errno::ECONNREFUSED
                | Errno::EHOSTUNREACH
                | Errno::ENETUNREACH
                | Errno::ENOBUFS
                | Errno::EPERM,
            ) => sent += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
