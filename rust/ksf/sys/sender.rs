// SPDX-License-Identifier: GPL-2.0

//! Sending datagrams of which each has a header of its own and content that many share.
//!
//! Datagrams of the same length to the same peer become one packet, with generic segmentation offload: it is routed and filtered
//! once, and the device cuts it, or the kernel just before the device. Headers are written into memory that no other
//! packet has, for they may differ each time; content is referred to where it lies.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::{
    bindings,
    errno,
    pages::Pages,
    routes::{
        Found,
        Route,
        Routes, //
    },
    skb::Skb,
    socket::Socket,
    softirq,
    udp::Flow, //
};
use crate::datagram::DATAGRAM_BYTES;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// How many pieces a packet has besides its own memory: `MAX_SKB_FRAGS`, as the kernel is configured by default.
const PIECES: usize = 17;

/// How many datagrams a packet has at most: `UDP_MAX_SEGMENTS` (`include/linux/udp.h`).
const SEGMENTS: usize = 128;

/// How many bytes of payload a packet of several datagrams has at most: with all headers it is less than 64 KiB, which is what
/// devices take.
const COMBINED_BYTES: usize = 65536 - 128;

/// How many bytes at the beginning of a packet may be in its own memory.
const OWN_BYTES: usize = 256;

/// How many bytes are copied at once.
const COPIED_BYTES: usize = 4096;

/// How much memory a packet may take.
const PACKET_MEMORY: usize = 65536 + 4096;

/// A part of a datagram that is sent.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// Bytes, at most 4096, which are copied.
    Bytes(&'a [u8]),
    /// So many bytes of some content from this offset on, which are referred to.
    Pages(&'a Pages, usize, usize),
}

impl Part<'_> {
    /// How many bytes it has.
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Pages(_, _, len) => *len,
        }
    }
}

/// What was given to IP.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) datagrams: usize,
    pub(crate) bytes: usize,
    /// `ENOBUFS` when a queue of the device was full, and others.
    pub(crate) result: Result,
}

/// What a core sends with.
///
/// # Invariants
///
/// `cache` is a valid `page_frag_cache`, which only this value uses.
pub(crate) struct Sender {
    cache: bindings::page_frag_cache,
    routes: Routes,
    open: Option<Open>,
}

/// A packet that is not sent yet, for more datagrams may belong to it.
struct Open {
    skb: Skb,
    /// How many bytes are in it, and how many pieces there are besides its own memory.
    len: usize,
    pieces: usize,
    flow: Flow,
    /// How many bytes each datagram has, but for the last.
    segment: usize,
    datagrams: usize,
    /// Where its route is.
    found: Found,
    /// Whether others may follow the first, if that was asked.
    combines: Option<bool>,
}

impl Open {
    /// Returns whether a datagram of `len` bytes in as many parts may follow. If a part is in several pieces, it turns out only
    /// then that it may not.
    fn takes(&mut self, flow: &Flow, len: usize, parts: usize, routes: &Routes) -> bool {
        len <= self.segment
            && self.datagrams < SEGMENTS
            && self.len + len <= COMBINED_BYTES
            && self.pieces + parts <= PIECES
            && self.flow == *flow
            && self.combines(routes)
    }

    /// Returns whether anything may follow: not on any route, nor if a datagram does not fit into a packet, nor behind one that is
    /// shorter.
    fn combines(&mut self, routes: &Routes) -> bool {
        let (flow, found, segment) = (&self.flow, self.found, self.segment);
        *self.combines.get_or_insert_with(|| {
            let route = routes.get(found, flow);
            route.is_some_and(|route| route.combines() && segment <= route.payload(flow))
        })
    }

    /// Appends a datagram of `len` bytes.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` when it has too many pieces, `ENOBUFS`, `EINVAL`. It is as it was then.
    fn append(
        &mut self,
        cache: &mut bindings::page_frag_cache,
        parts: &[Part<'_>],
        len: usize,
    ) -> Result {
        match append(&mut self.skb, cache, parts) {
            Ok(pieces) => self.pieces = pieces,
            Err(error) => {
                self.skb.cut(self.len);
                return Err(error);
            }
        }
        self.len += len;
        self.datagrams += 1;
        if len < self.segment {
            self.combines = Some(false);
        }
        Ok(())
    }
}

impl Sender {
    /// Creates it.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // INVARIANT: Zeroes are what `page_frag_cache_init()` makes.
        Ok(Self {
            cache: bindings::page_frag_cache::default(),
            routes: Routes::new()?,
            open: None,
        })
    }

    /// Returns how many bytes fit into a datagram to `flow` that is not to be fragmented by this host.
    ///
    /// # Errors
    ///
    /// As [`Routes::find()`].
    pub(crate) fn payload(
        &mut self,
        socket: &Socket,
        flow: &Flow,
        off: &softirq::Disabled,
    ) -> Result<usize> {
        let found = self.routes.find(socket, flow, off)?;
        let route = self.routes.get(found, flow).ok_or(EINVAL)?;
        Ok(route.payload(flow))
    }

    /// Sends a datagram, now or with those that follow. `sent` is told of what left.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` when the send buffer is full or memory is short, `EMSGSIZE` when it is too long or in too many pieces,
    /// `EINVAL` when it is empty or there is no such content, those of [`Routes::find()`]. It was not sent then.
    pub(crate) fn send(
        &mut self,
        socket: &Socket,
        flow: &Flow,
        parts: &[Part<'_>],
        off: &softirq::Disabled,
        sent: &mut dyn FnMut(Sent),
    ) -> Result {
        let mut len = 0usize;
        for part in parts {
            if matches!(part, Part::Bytes(bytes) if bytes.len() > COPIED_BYTES) {
                return Err(EMSGSIZE);
            }
            len = len.checked_add(part.len()).ok_or(EMSGSIZE)?;
        }
        if len == 0 {
            return Err(EINVAL);
        }
        if len > DATAGRAM_BYTES {
            return Err(EMSGSIZE);
        }
        if let Some(open) = &mut self.open {
            if open.takes(flow, len, parts.len(), &self.routes) {
                match open.append(&mut self.cache, parts, len) {
                    // It fits into another packet at best.
                    Err(error) if error == EMSGSIZE => {}
                    result => return result,
                }
            }
            self.flush(socket, off, sent);
        }
        let mut open = self.begin(socket, flow, parts, len, off)?;
        open.append(&mut self.cache, parts, len)?;
        self.open = Some(open);
        Ok(())
    }

    /// Begins a packet, the first datagram of which has `parts`.
    fn begin(
        &mut self,
        socket: &Socket,
        flow: &Flow,
        parts: &[Part<'_>],
        len: usize,
        off: &softirq::Disabled,
    ) -> Result<Open> {
        let found = self.routes.find(socket, flow, off)?;
        if socket.send_room() < PACKET_MEMORY {
            return Err(errno::no_buffers());
        }
        let own = match parts {
            [Part::Bytes(bytes), ..] => bytes.len().min(OWN_BYTES),
            _ => 0,
        };
        Ok(Open {
            skb: Skb::begin(own)?,
            len: 0,
            pieces: 0,
            flow: *flow,
            segment: len,
            datagrams: 0,
            found,
            combines: None,
        })
    }

    /// Sends what waits for more.
    pub(crate) fn flush(
        &mut self,
        socket: &Socket,
        off: &softirq::Disabled,
        sent: &mut dyn FnMut(Sent),
    ) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        let (datagrams, bytes) = (open.datagrams, open.len);
        if self.routes.get(open.found, &open.flow).is_none() {
            // Another one has taken its place meanwhile.
            if let Ok(found) = self.routes.find(socket, &open.flow, off) {
                open.found = found;
            }
        }
        let result = match self.routes.get(open.found, &open.flow) {
            Some(route) => transmit(socket, open, route, off),
            None => Err(errno::no_buffers()),
        };
        sent(Sent {
            datagrams,
            bytes,
            result,
        });
    }
}

/// Appends a datagram. Returns how many pieces the packet has then. After an error, a part of it may be there.
fn append(
    skb: &mut Skb,
    cache: &mut bindings::page_frag_cache,
    parts: &[Part<'_>],
) -> Result<usize> {
    let mut pieces = 0;
    for part in parts {
        match part {
            Part::Bytes([]) => {}
            Part::Bytes(bytes) => {
                let len = u32::try_from(bytes.len())?;
                // SAFETY: The skb is one of `Skb::begin()`, as is that of any `Open`, and not sent; the cache is valid and nobody
                // else's; the bytes are there.
                pieces = unsafe {
                    bindings::ksf_shim_udp_add_bytes(
                        skb.as_ptr(),
                        cache,
                        bytes.as_ptr().cast(),
                        len,
                    )
                };
                to_result(pieces)?;
            }
            Part::Pages(pages, offset, len) => {
                let (mut offset, mut left) = (*offset, *len);
                while left != 0 {
                    let run = pages.run(offset, left).ok_or(EINVAL)?;
                    // CAST: Within a block, which is not that large.
                    let (at, len) = (run.offset as u32, run.len as u32);
                    // SAFETY: As above; the page has these bytes, which nobody changes.
                    pieces = unsafe {
                        bindings::ksf_shim_udp_add_page(skb.as_ptr(), run.page.as_ptr(), at, len)
                    };
                    to_result(pieces)?;
                    offset += run.len;
                    left -= run.len;
                }
            }
        }
    }
    // CAST: It is not negative.
    Ok(pieces as usize)
}

/// Sends a packet.
fn transmit(socket: &Socket, open: Open, route: &Route, _off: &softirq::Disabled) -> Result {
    // CAST: At most the length of a datagram.
    let segment = open.segment as u32;
    // SAFETY: The `sock` is valid; the skb is given up, was made for this, and belongs to nobody else; the route was found in this
    // turn, and it is borrowed for this call, so it stays; softirqs are off.
    to_result(unsafe {
        bindings::ksf_shim_udp_transmit(
            socket.sk(),
            open.skb.into_raw(),
            open.flow.as_ptr(),
            route.as_ptr(),
            open.found.hash,
            segment,
        )
    })
}

impl Drop for Sender {
    fn drop(&mut self) {
        // SAFETY: By the invariants; what was taken from it is kept by those who have it.
        unsafe { bindings::page_frag_cache_drain(&mut self.cache) };
    }
}
