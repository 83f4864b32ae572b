// SPDX-License-Identifier: GPL-2.0

//! A peer, for `rxdebug -peers`.

use core::{net::Ipv4Addr, time::Duration};

use crate::xdr::{
    self,
    Writer, //
};

/// A peer: OpenAFS's `struct rx_debugPeer`. What `rxdebug` does not print, or no longer reads, is written as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address. Those of IPv6 have no place in it.
    pub host: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// The largest packet that the interface to it takes, in bytes.
    pub if_mtu: u16,
    /// The smoothed round-trip time, which is written in eighths of milliseconds.
    pub rtt: Duration,
    /// How far round-trip times are from that, which is written in quarters of milliseconds.
    pub rtt_dev: Duration,
    /// How many packets were sent to it.
    pub sent: u32,
    /// How many of them were repetitions.
    pub resent: u32,
    /// The largest packet that the network to it takes, in bytes.
    pub nat_mtu: u16,
    /// The largest datagram that it takes, in bytes.
    pub max_mtu: u16,
    /// The most packets that it takes in a jumbogram.
    pub max_dgram_packets: u16,
    /// The most packets that the interface takes in a jumbogram.
    pub if_dgram_packets: u16,
    /// The size of packets that are sent to it, in bytes.
    pub mtu: u16,
    /// The congestion window with which a call begins, in packets.
    pub cwind: u16,
    /// How many packets there are in a jumbogram.
    pub dgram_packets: u16,
    /// How many bytes were sent to it, without headers.
    pub bytes_sent: u64,
    /// How many bytes came from it, without headers.
    pub bytes_received: u64,
}

impl Peer {
    /// How many bytes it takes.
    pub const BYTES: usize = 132;

    /// What comes after the last peer.
    pub const END: Self = Self {
        host: Ipv4Addr::BROADCAST,
        port: 0,
        if_mtu: 0,
        rtt: Duration::ZERO,
        rtt_dev: Duration::ZERO,
        sent: 0,
        resent: 0,
        nat_mtu: 0,
        max_mtu: 0,
        max_dgram_packets: 0,
        if_dgram_packets: 0,
        mtu: 0,
        cwind: 0,
        dgram_packets: 0,
        bytes_sent: 0,
        bytes_received: 0,
    };

    /// Writes the payload of the answer, in [`Self::BYTES`] bytes.
    ///
    /// # Errors
    ///
    /// If there is no room.
    pub fn write(&self, writer: &mut Writer<'_>) -> xdr::Result {
        writer.bytes(&self.host.octets())?;
        writer.bytes(&self.port.to_be_bytes())?;
        writer.bytes(&self.if_mtu.to_be_bytes())?;
        // When it was last idle, references, bursts: `idleWhen` to `burstWait`.
        writer.bytes(&[0; 16])?;
        writer.u32(parts_of_milliseconds(self.rtt, 8))?;
        writer.u32(parts_of_milliseconds(self.rtt_dev, 4))?;
        // `timeout`
        writer.u64(0)?;
        writer.u32(self.sent)?;
        writer.u32(self.resent)?;
        // `inPacketSkew`, `outPacketSkew`, `rateFlag`
        writer.bytes(&[0; 12])?;
        for value in [
            self.nat_mtu,
            self.max_mtu,
            self.max_dgram_packets,
            self.if_dgram_packets,
            self.mtu,
            self.cwind,
            self.dgram_packets,
            // `congestSeq`
            0,
        ] {
            writer.bytes(&value.to_be_bytes())?;
        }
        writer.u64(self.bytes_sent)?;
        writer.u64(self.bytes_received)?;
        writer.bytes(&[0; 10 * 4])
    }
}

/// A time in such parts of milliseconds, or as many as there can be.
fn parts_of_milliseconds(time: Duration, parts: u128) -> u32 {
    let micros = time.as_micros().saturating_mul(parts);
    u32::try_from(micros / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{vec, vec::Vec};

    fn written(peer: &Peer) -> Vec<u8> {
        let mut buffer = [0xff; Peer::BYTES + 1];
        for len in 0..Peer::BYTES {
            let error = peer.write(&mut Writer::new(&mut buffer[..len]));
            assert_eq!(error, Err(xdr::Error::NoRoom), "{len}");
        }
        let mut writer = Writer::new(&mut buffer);
        peer.write(&mut writer).unwrap();
        writer.written().to_vec()
    }

    #[test]
    fn a_peer_has_the_layout_of_openafs() {
        let peer = Peer {
            host: Ipv4Addr::new(198, 51, 100, 9),
            port: 7001,
            if_mtu: 0x0102,
            rtt: Duration::from_micros(1_125),
            rtt_dev: Duration::from_micros(750),
            sent: 0x0201_0202,
            resent: 0x0301_0302,
            nat_mtu: 0x0401,
            max_mtu: 0x0402,
            max_dgram_packets: 0x0403,
            if_dgram_packets: 0x0404,
            mtu: 0x0405,
            cwind: 0x0406,
            dgram_packets: 0x0407,
            bytes_sent: 0x0501_0203_0405_0607,
            bytes_received: 0x0601_0203_0405_0607,
        };
        let expected = [
            &b"\xc6\x33\x64\x09\x1b\x59\x01\x02"[..],
            &[0; 16],
            b"\x00\x00\x00\x09\x00\x00\x00\x03",
            &[0; 8],
            b"\x02\x01\x02\x02\x03\x01\x03\x02",
            &[0; 12],
            b"\x04\x01\x04\x02\x04\x03\x04\x04\x04\x05\x04\x06\x04\x07\x00\x00",
            b"\x05\x01\x02\x03\x04\x05\x06\x07\x06\x01\x02\x03\x04\x05\x06\x07",
            &[0; 40],
        ]
        .concat();
        assert_eq!(written(&peer), expected);
    }

    #[test]
    fn the_end_is_known_by_the_address() {
        let mut expected = vec![0; Peer::BYTES];
        expected[..4].fill(0xff);
        assert_eq!(written(&Peer::END), expected);
    }

    #[test]
    fn times_beyond_the_field_are_the_longest() {
        assert_eq!(parts_of_milliseconds(Duration::MAX, 8), u32::MAX);
        let longest = Duration::from_millis(u64::from(u32::MAX) / 8);
        assert_eq!(parts_of_milliseconds(longest, 8), u32::MAX - 7);
    }
}
