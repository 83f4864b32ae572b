// SPDX-License-Identifier: GPL-2.0

//! What a server says of itself, as `rxdebug` reads it: the fields of the C structures in OpenAFS's `rx.h` by their offsets.

use std::{net::Ipv4Addr, time::Duration};

use wire::{
    rx::debug::{
        Call, CallFlags, CallMode, CallState, Connection, ConnectionFlags, Peer, RxStats, Side,
        Stats,
    },
    xdr::{self, Writer},
};

/// Numbers that are made of some bytes again and again.
struct Numbers<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Numbers<'_> {
    fn u8(&mut self) -> u8 {
        *self.0.next().unwrap()
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(std::array::from_fn(|_| self.u8()))
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(std::array::from_fn(|_| self.u8()))
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|_| self.u8()))
    }

    fn bool(&mut self) -> bool {
        self.u8() % 2 == 1
    }

    fn host(&mut self) -> Ipv4Addr {
        self.u32().into()
    }

    fn duration(&mut self) -> Duration {
        Duration::new(self.u32().into(), self.u32() % 1_000_000_000)
    }

    fn call(&mut self) -> Call {
        use {CallMode as Mode, CallState as State};
        Call {
            number: self.u32(),
            state: [
                State::NotInitialized,
                State::Precall,
                State::Active,
                State::Dally,
                State::Hold,
            ][usize::from(self.u8() % 5)],
            mode: [
                Mode::Unknown,
                Mode::Sending,
                Mode::Receiving,
                Mode::Error,
                Mode::Eof,
            ][usize::from(self.u8() % 5)],
            flags: CallFlags(self.u8()),
            has_input: self.bool(),
            has_output: self.bool(),
        }
    }
}

/// An answer, of which each field that was written has been looked at when it is dropped.
struct Answer {
    bytes: Vec<u8>,
    seen: Vec<bool>,
}

impl Answer {
    /// What `write` writes, which has `len` bytes.
    fn new(len: usize, write: impl Fn(&mut Writer<'_>) -> xdr::Result) -> Self {
        let mut buffer = vec![0xaa; len + 3];
        let result = write(&mut Writer::new(&mut buffer[..len - 1]));
        assert_eq!(result, Err(xdr::Error::NoRoom));
        let mut writer = Writer::new(&mut buffer);
        write(&mut writer).unwrap();
        assert_eq!(writer.len(), len);
        buffer.truncate(len);
        let seen = vec![false; len];
        Self {
            bytes: buffer,
            seen,
        }
    }

    /// The field at `offset`, of `len` bytes, is this.
    fn field(&mut self, offset: usize, len: usize, expected: impl Into<u64>) {
        let bytes = self.bytes[offset..offset + len].iter();
        let number = bytes.fold(0, |number, byte| number * 256 + u64::from(*byte));
        assert_eq!(number, expected.into(), "offset {offset}");
        self.seen[offset..offset + len].fill(true);
    }

    /// All other fields are 0.
    fn end(self) {
        let mut fields = self.bytes.iter().zip(&self.seen);
        assert!(fields.all(|(byte, seen)| *seen || *byte == 0));
    }
}

/// Writes answers with numbers that are made of these bytes, and reads them.
pub(crate) fn check(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let mut numbers = Numbers(bytes.iter().cycle());
    check_stats(&mut numbers);
    check_connection(&mut numbers);
    check_peer(&mut numbers);
    check_rx_stats(&mut numbers);
}

fn check_stats(numbers: &mut Numbers<'_>) {
    let stats = Stats {
        free_packets: numbers.u32(),
        packet_reclaims: numbers.u32(),
        calls_executed: numbers.u32(),
        waiting_for_packets: numbers.bool(),
        used_fds: numbers.u8(),
        waiting: numbers.u32(),
        idle_threads: numbers.u32(),
        waited: numbers.u32(),
        packets: numbers.u32(),
    };
    let mut answer = Answer::new(56, |writer| stats.write(writer));
    answer.field(0, 4, stats.free_packets);
    answer.field(4, 4, stats.packet_reclaims);
    answer.field(8, 4, stats.calls_executed);
    answer.field(12, 1, u8::from(stats.waiting_for_packets));
    answer.field(13, 1, stats.used_fds);
    // RX_DEBUGI_VERSION
    answer.field(14, 1, b'S');
    answer.field(16, 4, stats.waiting);
    answer.field(20, 4, stats.idle_threads);
    answer.field(24, 4, stats.waited);
    answer.field(28, 4, stats.packets);
    answer.end();
}

fn check_connection(numbers: &mut Numbers<'_>) {
    let connection = Connection {
        host: numbers.host(),
        port: numbers.u16(),
        cid: numbers.u32(),
        epoch: numbers.u32(),
        serial: numbers.u32(),
        error: numbers.u32() as i32,
        flags: ConnectionFlags(numbers.u8()),
        side: [Side::Client, Side::Server][usize::from(numbers.bool())],
        security_index: numbers.u8(),
        calls: std::array::from_fn(|_| numbers.call()),
        nat_mtu: numbers.u32(),
    };
    let mut answer = Answer::new(176, |writer| connection.write(writer));
    answer.field(0, 4, u32::from(connection.host));
    answer.field(4, 4, connection.cid);
    answer.field(8, 4, connection.serial);
    answer.field(28, 4, connection.error as u32);
    answer.field(32, 2, connection.port);
    answer.field(34, 1, connection.flags.0);
    answer.field(35, 1, u8::from(connection.side == Side::Server));
    answer.field(36, 1, connection.security_index);
    for (channel, call) in connection.calls.iter().enumerate() {
        answer.field(12 + 4 * channel, 4, call.number);
        answer.field(40 + channel, 1, call.state as u32);
        answer.field(44 + channel, 1, call.mode as u32);
        answer.field(48 + channel, 1, call.flags.0);
        // RX_OTHER_IN and RX_OTHER_OUT
        let other = u8::from(call.has_input) + 2 * u8::from(call.has_output);
        answer.field(52 + channel, 1, other);
    }
    answer.field(132, 4, connection.epoch);
    answer.field(136, 4, connection.nat_mtu);
    answer.end();
}

fn check_peer(numbers: &mut Numbers<'_>) {
    let peer = Peer {
        host: numbers.host(),
        port: numbers.u16(),
        if_mtu: numbers.u16(),
        rtt: numbers.duration(),
        rtt_dev: numbers.duration(),
        sent: numbers.u32(),
        resent: numbers.u32(),
        nat_mtu: numbers.u16(),
        max_mtu: numbers.u16(),
        max_dgram_packets: numbers.u16(),
        if_dgram_packets: numbers.u16(),
        mtu: numbers.u16(),
        cwind: numbers.u16(),
        dgram_packets: numbers.u16(),
        bytes_sent: numbers.u64(),
        bytes_received: numbers.u64(),
    };
    let parts = |time: Duration, parts: u64| {
        let parts = (time.as_nanos() as u64 / 1000).saturating_mul(parts) / 1000;
        parts.min(u32::MAX.into())
    };
    let mut answer = Answer::new(132, |writer| peer.write(writer));
    answer.field(0, 4, u32::from(peer.host));
    answer.field(4, 2, peer.port);
    answer.field(6, 2, peer.if_mtu);
    answer.field(24, 4, parts(peer.rtt, 8));
    answer.field(28, 4, parts(peer.rtt_dev, 4));
    answer.field(40, 4, peer.sent);
    answer.field(44, 4, peer.resent);
    answer.field(60, 2, peer.nat_mtu);
    answer.field(62, 2, peer.max_mtu);
    answer.field(64, 2, peer.max_dgram_packets);
    answer.field(66, 2, peer.if_dgram_packets);
    answer.field(68, 2, peer.mtu);
    answer.field(70, 2, peer.cwind);
    answer.field(72, 2, peer.dgram_packets);
    answer.field(76, 4, peer.bytes_sent >> 32);
    answer.field(80, 4, peer.bytes_sent & u64::from(u32::MAX));
    answer.field(84, 4, peer.bytes_received >> 32);
    answer.field(88, 4, peer.bytes_received & u64::from(u32::MAX));
    answer.end();
}

fn check_rx_stats(numbers: &mut Numbers<'_>) {
    let stats = RxStats {
        packet_requests: numbers.u32(),
        receive_alloc_failures: numbers.u32(),
        send_alloc_failures: numbers.u32(),
        special_alloc_failures: numbers.u32(),
        bogus_packets: numbers.u32(),
        bogus_host: numbers.u32(),
        no_buffers: numbers.u32(),
        packets_read: std::array::from_fn(|_| numbers.u32()),
        data_packets_read: numbers.u32(),
        ack_packets_read: numbers.u32(),
        duplicates_read: numbers.u32(),
        spurious_read: numbers.u32(),
        packets_sent: std::array::from_fn(|_| numbers.u32()),
        ack_packets_sent: numbers.u32(),
        pings_sent: numbers.u32(),
        aborts_sent: numbers.u32(),
        busies_sent: numbers.u32(),
        data_packets_sent: numbers.u32(),
        data_packets_resent: numbers.u32(),
        data_packets_pushed: numbers.u32(),
        ignored_acked: numbers.u32(),
        total_rtt: numbers.duration(),
        min_rtt: numbers.duration(),
        max_rtt: numbers.duration(),
        rtt_samples: numbers.u32(),
        server_connections: numbers.u32(),
        client_connections: numbers.u32(),
        peers: numbers.u32(),
        calls: numbers.u32(),
        free_calls: numbers.u32(),
        send_failures: numbers.u32(),
        fatal_errors: numbers.u32(),
        ignored_dally: numbers.u32(),
        busy_calls: numbers.u32(),
    };
    let mut answer = Answer::new(284, |writer| stats.write(writer));
    for (offset, value) in [
        (0, stats.packet_requests),
        (4, stats.receive_alloc_failures),
        (8, stats.send_alloc_failures),
        (12, stats.special_alloc_failures),
        (20, stats.bogus_packets),
        (24, stats.bogus_host),
        (32, stats.no_buffers),
        (96, stats.data_packets_read),
        (100, stats.ack_packets_read),
        (104, stats.duplicates_read),
        (108, stats.spurious_read),
        (164, stats.ack_packets_sent),
        (168, stats.pings_sent),
        (172, stats.aborts_sent),
        (176, stats.busies_sent),
        (180, stats.data_packets_sent),
        (184, stats.data_packets_resent),
        (188, stats.data_packets_pushed),
        (192, stats.ignored_acked),
        (220, stats.rtt_samples),
        (224, stats.server_connections),
        (228, stats.client_connections),
        (232, stats.peers),
        (236, stats.calls),
        (240, stats.free_calls),
        (244, stats.send_failures),
        (248, stats.fatal_errors),
        (252, stats.ignored_dally),
        (264, stats.busy_calls),
    ] {
        answer.field(offset, 4, value);
    }
    for number in 0..13 {
        answer.field(44 + 4 * number, 4, stats.packets_read[number]);
        answer.field(112 + 4 * number, 4, stats.packets_sent[number]);
    }
    let times = [stats.total_rtt, stats.min_rtt, stats.max_rtt];
    for (offset, time) in [196, 204, 212].into_iter().zip(times) {
        answer.field(offset, 4, time.as_secs());
        answer.field(offset + 4, 4, time.subsec_micros());
    }
    answer.end();
}
