// SPDX-License-Identifier: GPL-2.0

//! A connection and its calls, for `rxdebug`.

use core::net::Ipv4Addr;

use crate::{
    rx::CHANNELS,
    xdr::{
        self,
        Writer, //
    },
};

/// Which side of a connection this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    /// That which calls.
    Client = 0,
    /// That which is called.
    #[default]
    Server = 1,
}

/// What else `rxdebug` says of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFlags(pub u8);

impl ConnectionFlags {
    /// A packet with a checksum has come.
    pub const USING_PACKET_CHECKSUM: Self = Self(0x04);
    /// Calls wait until the peer has answered a PING.
    pub const ATTACH_WAIT: Self = Self(0x40);
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CallState {
    /// There is none. `rxdebug` prints no more of it than its number.
    #[default]
    NotInitialized = 0,
    /// Packets have come, but nobody serves it yet.
    Precall = 1,
    /// It is served.
    Active = 2,
    /// It is over; what is left can answer repetitions.
    Dally = 3,
    /// Its reply is sent, and not acknowledged yet.
    Hold = 4,
}

/// Which way the data of a call goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CallMode {
    /// It is not known.
    #[default]
    Unknown = 0,
    /// From this side.
    Sending = 1,
    /// To this side.
    Receiving = 2,
    /// The call has failed.
    Error = 3,
    /// All is sent.
    Eof = 4,
}

/// What a call is waiting for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallFlags(pub u8);

impl CallFlags {
    /// For a packet to read.
    pub const READER_WAIT: Self = Self(0x01);
    /// For the window, to allocate a packet.
    pub const WAIT_WINDOW_ALLOC: Self = Self(0x02);
    /// For the window, to send a packet.
    pub const WAIT_WINDOW_SEND: Self = Self(0x04);
    /// For memory for packets.
    pub const WAIT_PACKETS: Self = Self(0x08);
    /// For a thread that serves it.
    pub const WAIT_PROC: Self = Self(0x10);
    /// It is not waiting: all packets have come.
    pub const RECEIVE_DONE: Self = Self(0x20);
    /// For packets once more, which were dropped before it was served.
    pub const CLEARED: Self = Self(0x40);
}

/// The call of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The call's number, or that of the latest, or 0.
    pub number: u32,
    /// How far it has come.
    pub state: CallState,
    /// Which way its data goes.
    pub mode: CallMode,
    /// What it is waiting for.
    pub flags: CallFlags,
    /// Whether packets have come that were not read yet.
    pub has_input: bool,
    /// Whether packets were written that are not acknowledged yet.
    pub has_output: bool,
}

impl Call {
    /// OpenAFS's `callOther`.
    fn other(&self) -> u8 {
        u8::from(self.has_input) | (u8::from(self.has_output) << 1)
    }
}

/// A connection: OpenAFS's `struct rx_debugConn`. What its security class counts is 0, as OpenAFS has it for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The peer's address. Those of IPv6 have no place in it.
    pub host: Ipv4Addr,
    /// The peer's port.
    pub port: u16,
    /// The connection's number.
    pub cid: u32,
    /// Which start of the client this is. `rxdebug` does not print 0.
    pub epoch: u32,
    /// The last serial number that was sent.
    pub serial: u32,
    /// By which code the connection was aborted, or 0.
    pub error: i32,
    /// What else there is to say.
    pub flags: ConnectionFlags,
    /// Which side this is.
    pub side: Side,
    /// The security class.
    pub security_index: u8,
    /// The call of each channel.
    pub calls: [Call; CHANNELS],
    /// The largest packet that the network takes, in bytes.
    pub nat_mtu: u32,
}

impl Connection {
    /// How many bytes it takes.
    pub const BYTES: usize = 176;

    /// What comes after the last connection.
    pub const END: Self = Self {
        host: Ipv4Addr::UNSPECIFIED,
        port: 0,
        cid: u32::MAX,
        epoch: 0,
        serial: 0,
        error: 0,
        flags: ConnectionFlags(0),
        side: Side::Client,
        security_index: 0,
        calls: [Call {
            number: 0,
            state: CallState::NotInitialized,
            mode: CallMode::Unknown,
            flags: CallFlags(0),
            has_input: false,
            has_output: false,
        }; CHANNELS],
        nat_mtu: 0,
    };

    /// How many bytes the counters of a security class take: OpenAFS's `struct rx_securityObjectStats`.
    const SECURITY_BYTES: usize = 76;

    /// Writes the payload of the answer, in [`Self::BYTES`] bytes.
    ///
    /// # Errors
    ///
    /// If there is no room.
    pub fn write(&self, writer: &mut Writer<'_>) -> xdr::Result {
        writer.bytes(&self.host.octets())?;
        writer.u32(self.cid)?;
        writer.u32(self.serial)?;
        for call in &self.calls {
            writer.u32(call.number)?;
        }
        writer.i32(self.error)?;
        let [p0, p1] = self.port.to_be_bytes();
        writer.bytes(&[p0, p1, self.flags.0, self.side as u8])?;
        writer.bytes(&[self.security_index, 0, 0, 0])?;
        writer.bytes(&self.calls.map(|call| call.state as u8))?;
        writer.bytes(&self.calls.map(|call| call.mode as u8))?;
        writer.bytes(&self.calls.map(|call| call.flags.0))?;
        writer.bytes(&self.calls.map(|call| call.other()))?;
        writer.bytes(&[0; Self::SECURITY_BYTES])?;
        writer.u32(self.epoch)?;
        writer.u32(self.nat_mtu)?;
        writer.bytes(&[0; 9 * 4])
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{vec, vec::Vec};

    fn written(connection: &Connection) -> Vec<u8> {
        let mut buffer = [0xff; Connection::BYTES + 1];
        for len in 0..Connection::BYTES {
            let error = connection.write(&mut Writer::new(&mut buffer[..len]));
            assert_eq!(error, Err(xdr::Error::NoRoom), "{len}");
        }
        let mut writer = Writer::new(&mut buffer);
        connection.write(&mut writer).unwrap();
        writer.written().to_vec()
    }

    #[test]
    fn a_connection_has_the_layout_of_openafs() {
        let call = Call {
            number: 0x0401_0402,
            state: CallState::Active,
            mode: CallMode::Sending,
            flags: CallFlags::WAIT_WINDOW_SEND,
            has_input: false,
            has_output: true,
        };
        let second = Call {
            number: 0x0501_0502,
            state: CallState::Precall,
            mode: CallMode::Receiving,
            flags: CallFlags::WAIT_PROC,
            has_input: true,
            has_output: true,
        };
        let third = Call {
            state: CallState::Dally,
            mode: CallMode::Eof,
            ..Call::default()
        };
        let connection = Connection {
            host: Ipv4Addr::new(192, 0, 2, 7),
            port: 7001,
            cid: 0x0201_0204,
            epoch: 0x8101_0902,
            serial: 0x0301_0302,
            error: -1,
            flags: ConnectionFlags::ATTACH_WAIT,
            side: Side::Server,
            security_index: 2,
            calls: [call, second, third, Call::default()],
            nat_mtu: 1444,
        };
        let expected = [
            &b"\xc0\x00\x02\x07\x02\x01\x02\x04\x03\x01\x03\x02"[..],
            b"\x04\x01\x04\x02\x05\x01\x05\x02\x00\x00\x00\x00\x00\x00\x00\x00",
            b"\xff\xff\xff\xff\x1b\x59\x40\x01\x02\x00\x00\x00",
            b"\x02\x01\x03\x00\x01\x02\x04\x00\x04\x10\x00\x00\x02\x03\x00\x00",
            &[0; 76],
            b"\x81\x01\x09\x02\x00\x00\x05\xa4",
            &[0; 36],
        ]
        .concat();
        assert_eq!(written(&connection), expected);
    }

    #[test]
    fn the_end_is_known_by_the_connection_s_number() {
        let mut expected = vec![0; Connection::BYTES];
        expected[4..8].fill(0xff);
        assert_eq!(written(&Connection::END), expected);
    }
}
