// SPDX-License-Identifier: GPL-2.0

//! What a server is doing: DEBUG packets, which `rxdebug` of OpenAFS sends and reads.
//!
//! A request is a datagram outside of connections, with the flag CLIENT_INITIATED. The answer has the same header without
//! that flag (`rxdebug` knows it by its call number), and no other DEBUG packet is answered. Connections and peers are asked
//! for by their index, one at a time, until [`Connection::END`] or [`Peer::END`].
//!
//! The answers are C structures of OpenAFS's `src/rx/rx.h`, with all that has more than one byte in the order of the network.
//! `rxdebug` knows by [`Stats`] what else a server has; it prints answers of other lengths with a warning, or not at all.

mod connection;
mod peer;
mod rx_stats;

pub use connection::{
    Call,
    CallFlags,
    CallMode,
    CallState,
    Connection,
    ConnectionFlags,
    Side, //
};
pub use peer::Peer;
pub use rx_stats::{
    RxStats,
    PACKET_TYPES, //
};

use crate::xdr::{
    self,
    Reader,
    Writer, //
};

/// What is asked for. All else is answered with [`BAD_TYPE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Query {
    /// [`Stats`]; the index means nothing.
    Stats = 1,
    /// The [`Connection`] of this index, of those on which something is going on.
    Connection = 2,
    /// The [`Connection`] of this index, of all.
    AnyConnection = 3,
    /// [`RxStats`]; the index means nothing.
    RxStats = 4,
    /// The [`Peer`] of this index.
    Peer = 5,
}

/// The payload of a request.
///
/// # Examples
///
/// ```
/// use wire::rx::debug::{Query, Request};
///
/// let request = Request::new(Query::Peer, 7);
/// assert_eq!(request.to_bytes(), [0, 0, 0, 5, 0, 0, 0, 7]);
/// let read = Request::parse(&request.to_bytes()).unwrap();
/// assert_eq!((read.query(), read.index), (Some(Query::Peer), 7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number of the [`Query`], or another.
    pub number: u32,
    /// Which of those that there are, from 0. OpenAFS takes negative ones for 0.
    pub index: i32,
}

impl Request {
    /// How many bytes it takes.
    pub const BYTES: usize = 8;

    /// Asks for this.
    pub const fn new(query: Query, index: i32) -> Self {
        let number = query as u32;
        Self { number, index }
    }

    /// Reads the payload of a request; what follows is not looked at. `None` if it is shorter.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self {
            number: reader.u32().ok()?,
            index: reader.i32().ok()?,
        })
    }

    /// What is asked for, if there is such a thing.
    pub const fn query(&self) -> Option<Query> {
        Some(match self.number {
            1 => Query::Stats,
            2 => Query::Connection,
            3 => Query::AnyConnection,
            4 => Query::RxStats,
            5 => Query::Peer,
            _ => return None,
        })
    }

    /// The payload.
    pub const fn to_bytes(&self) -> [u8; Self::BYTES] {
        let [n0, n1, n2, n3] = self.number.to_be_bytes();
        let [i0, i1, i2, i3] = self.index.to_be_bytes();
        [n0, n1, n2, n3, i0, i1, i2, i3]
    }
}

/// The answer to what is no [`Query`]: twice −8, `RX_DEBUGI_BADTYPE`.
pub const BAD_TYPE: [u8; Request::BYTES] = Request {
    number: (-8_i32) as u32,
    index: -8,
}
.to_bytes();

/// What a server has and does, in short: OpenAFS's `struct rx_debugStats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many packets are free of those that are allocated.
    pub free_packets: u32,
    /// How often packets were taken back from calls.
    pub packet_reclaims: u32,
    /// How many calls were made.
    pub calls_executed: u32,
    /// Whether someone waits for packets.
    pub waiting_for_packets: bool,
    /// How many file descriptors are open.
    pub used_fds: u8,
    /// How many calls wait for a thread.
    pub waiting: u32,
    /// How many threads wait for a call.
    pub idle_threads: u32,
    /// How many calls have ever waited for a thread.
    pub waited: u32,
    /// How many packets are allocated.
    pub packets: u32,
}

impl Stats {
    /// How many bytes it takes.
    pub const BYTES: usize = 56;

    /// The version of all the structures: the latest of OpenAFS, which has `packets`.
    const VERSION: u8 = b'S';

    /// Writes the payload of the answer, in [`Self::BYTES`] bytes.
    ///
    /// # Errors
    ///
    /// If there is no room.
    pub fn write(&self, writer: &mut Writer<'_>) -> xdr::Result {
        writer.u32(self.free_packets)?;
        writer.u32(self.packet_reclaims)?;
        writer.u32(self.calls_executed)?;
        let waiting = self.waiting_for_packets.into();
        writer.bytes(&[waiting, self.used_fds, Self::VERSION, 0])?;
        writer.u32(self.waiting)?;
        writer.u32(self.idle_threads)?;
        writer.u32(self.waited)?;
        writer.u32(self.packets)?;
        writer.bytes(&[0; 6 * 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_two_words() {
        // As `rxdebug` sends it for its third connection.
        let bytes = b"\x00\x00\x00\x03\x00\x00\x00\x02";
        let request = Request::parse(bytes).unwrap();
        assert_eq!(request, Request::new(Query::AnyConnection, 2));
        assert_eq!(request.query(), Some(Query::AnyConnection));
        assert_eq!(request.to_bytes(), *bytes);
        for len in 0..bytes.len() {
            assert_eq!(Request::parse(&bytes[..len]), None, "{len}");
        }
    }

    #[test]
    fn there_are_five_queries() {
        for number in 0..10 {
            let request = Request { number, index: -1 };
            match request.query() {
                Some(query) => assert_eq!(Request::new(query, -1), request),
                None => assert!(!(1..=5).contains(&number)),
            }
        }
        assert_eq!(BAD_TYPE, *b"\xff\xff\xff\xf8\xff\xff\xff\xf8");
    }

    #[test]
    fn stats_have_the_layout_of_openafs() {
        let stats = Stats {
            free_packets: 0x0101_0102,
            packet_reclaims: 0x0201_0202,
            calls_executed: 0x0301_0302,
            waiting_for_packets: true,
            used_fds: 0x41,
            waiting: 0x0501_0502,
            idle_threads: 0x0601_0602,
            waited: 0x0701_0702,
            packets: 0x0801_0802,
        };
        let expected = b"\x01\x01\x01\x02\x02\x01\x02\x02\x03\x01\x03\x02\x01\x41S\x00\
            \x05\x01\x05\x02\x06\x01\x06\x02\x07\x01\x07\x02\x08\x01\x08\x02\
            \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
        let mut buffer = [0xff; Stats::BYTES + 1];
        let mut writer = Writer::new(&mut buffer);
        stats.write(&mut writer).unwrap();
        assert_eq!(writer.written(), expected);
        for len in 0..Stats::BYTES {
            let error = stats.write(&mut Writer::new(&mut buffer[..len]));
            assert_eq!(error, Err(xdr::Error::NoRoom), "{len}");
        }
    }
}
