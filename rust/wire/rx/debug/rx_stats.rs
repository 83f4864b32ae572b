// SPDX-License-Identifier: GPL-2.0

//! All that Rx counts, for `rxdebug -rxstats`.

use core::time::Duration;

use crate::xdr::{
    self,
    Writer, //
};

/// How many types of packets are counted apart: those with the numbers from 1 on.
pub const PACKET_TYPES: usize = 13;

/// What Rx counts: OpenAFS's `struct rx_statistics`, which has only words. What it counts of its own packet buffers and of
/// `select()` is written as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxStats {
    /// How many packets were allocated.
    pub packet_requests: u32,
    /// How many packets to receive into could not be allocated.
    pub receive_alloc_failures: u32,
    /// How many packets to send could not be allocated.
    pub send_alloc_failures: u32,
    /// How many packets for ACKs and the like could not be allocated.
    pub special_alloc_failures: u32,
    /// How many datagrams were too short.
    pub bogus_packets: u32,
    /// The address from which the latest of these came.
    pub bogus_host: u32,
    /// How many packets were dropped for want of memory.
    pub no_buffers: u32,
    /// How many packets came, of each type.
    pub packets_read: [u32; PACKET_TYPES],
    /// How many DATA packets came.
    pub data_packets_read: u32,
    /// How many ACK packets came.
    pub ack_packets_read: u32,
    /// How many DATA packets came again.
    pub duplicates_read: u32,
    /// How many packets came that belong nowhere.
    pub spurious_read: u32,
    /// How many packets were sent, of each type.
    pub packets_sent: [u32; PACKET_TYPES],
    /// How many ACK packets were sent.
    pub ack_packets_sent: u32,
    /// How many PINGs were sent.
    pub pings_sent: u32,
    /// How many ABORT packets were sent.
    pub aborts_sent: u32,
    /// How many BUSY packets were sent.
    pub busies_sent: u32,
    /// How many DATA packets were sent for the first time.
    pub data_packets_sent: u32,
    /// How many DATA packets were sent again.
    pub data_packets_resent: u32,
    /// How many of these were sent before their time, since an ACK said that they are missing.
    pub data_packets_pushed: u32,
    /// How often a packet was met that was acknowledged before.
    pub ignored_acked: u32,
    /// The sum of all round-trip times that were measured.
    pub total_rtt: Duration,
    /// The shortest of them.
    pub min_rtt: Duration,
    /// The longest of them.
    pub max_rtt: Duration,
    /// How many they are. If there are none, `rxdebug` prints no time.
    pub rtt_samples: u32,
    /// How many connections there are on which this side is called.
    pub server_connections: u32,
    /// How many connections there are on which this side calls.
    pub client_connections: u32,
    /// How many peers there are.
    pub peers: u32,
    /// How many calls are allocated.
    pub calls: u32,
    /// How many of them are free.
    pub free_calls: u32,
    /// How many packets could not be sent.
    pub send_failures: u32,
    /// How many errors were fatal.
    pub fatal_errors: u32,
    /// How many packets came for calls that are over.
    pub ignored_dally: u32,
    /// How many calls were refused since there were too many.
    pub busy_calls: u32,
}

impl RxStats {
    /// How many bytes it takes.
    pub const BYTES: usize = 284;

    /// Writes the payload of the answer, in [`Self::BYTES`] bytes.
    ///
    /// # Errors
    ///
    /// If there is no room.
    pub fn write(&self, writer: &mut Writer<'_>) -> xdr::Result {
        let words = |writer: &mut Writer<'_>, words: &[u32]| {
            words.iter().try_for_each(|word| writer.u32(*word))
        };
        let begin = [
            self.packet_requests,
            self.receive_alloc_failures,
            self.send_alloc_failures,
            self.special_alloc_failures,
            0, // `socketGreedy`
            self.bogus_packets,
            self.bogus_host,
            0, // `noPacketOnRead`
            self.no_buffers,
            0, // `selects`
            0, // `sendSelects`
        ];
        words(writer, &begin)?;
        words(writer, &self.packets_read)?;
        let read = [
            self.data_packets_read,
            self.ack_packets_read,
            self.duplicates_read,
            self.spurious_read,
        ];
        words(writer, &read)?;
        words(writer, &self.packets_sent)?;
        let sent = [
            self.ack_packets_sent,
            self.pings_sent,
            self.aborts_sent,
            self.busies_sent,
            self.data_packets_sent,
            self.data_packets_resent,
            self.data_packets_pushed,
            self.ignored_acked,
        ];
        words(writer, &sent)?;
        for time in [self.total_rtt, self.min_rtt, self.max_rtt] {
            writer.u32(u32::try_from(time.as_secs()).unwrap_or(u32::MAX))?;
            writer.u32(time.subsec_micros())?;
        }
        let end = [
            self.rtt_samples,
            self.server_connections,
            self.client_connections,
            self.peers,
            self.calls,
            self.free_calls,
            self.send_failures,
            self.fatal_errors,
            self.ignored_dally,
            0, // `receiveCbufPktAllocFailures`
            0, // `sendCbufPktAllocFailures`
            self.busy_calls,
        ];
        words(writer, &end)?;
        words(writer, &[0; 4])
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn statistics_have_the_layout_of_openafs() {
        let mut types = [0; PACKET_TYPES];
        (types[0], types[12]) = (12, 24);
        let sent = types.map(|word: u32| if word == 0 { 0 } else { word + 17 });
        let stats = RxStats {
            packet_requests: 1,
            receive_alloc_failures: 2,
            send_alloc_failures: 3,
            special_alloc_failures: 4,
            bogus_packets: 6,
            bogus_host: 7,
            no_buffers: 9,
            packets_read: types,
            data_packets_read: 25,
            ack_packets_read: 26,
            duplicates_read: 27,
            spurious_read: 28,
            packets_sent: sent,
            ack_packets_sent: 42,
            pings_sent: 43,
            aborts_sent: 44,
            busies_sent: 45,
            data_packets_sent: 46,
            data_packets_resent: 47,
            data_packets_pushed: 48,
            ignored_acked: 49,
            total_rtt: Duration::new(50, 51_000),
            min_rtt: Duration::new(52, 53_000),
            max_rtt: Duration::new(54, 55_999),
            rtt_samples: 56,
            server_connections: 57,
            client_connections: 58,
            peers: 59,
            calls: 60,
            free_calls: 61,
            send_failures: 62,
            fatal_errors: 63,
            ignored_dally: 64,
            busy_calls: 67,
        };
        // Each word is its place, from 1, or 0 where nothing is counted.
        let absent = [5, 8, 10, 11, 65, 66];
        let expected = (1..=71_u32).flat_map(|place| {
            let inside = (13..24).contains(&place) || (30..41).contains(&place);
            let zero = inside || absent.contains(&place) || place > 67;
            (if zero { 0 } else { place }).to_be_bytes()
        });
        let mut buffer = [0xff; RxStats::BYTES + 1];
        for len in 0..RxStats::BYTES {
            let error = stats.write(&mut Writer::new(&mut buffer[..len]));
            assert_eq!(error, Err(xdr::Error::NoRoom), "{len}");
        }
        let mut writer = Writer::new(&mut buffer);
        stats.write(&mut writer).unwrap();
        assert_eq!(writer.written(), expected.collect::<Vec<_>>());
    }
}
