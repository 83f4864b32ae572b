// SPDX-License-Identifier: GPL-2.0

//! A client of an Rx server, one call at a time.

use std::{io::ErrorKind, net::UdpSocket, time::Instant as Clock};

use rx::{
    Connection, Event, Identity, Instant, Outcome, Peer, Sent, Side, Storage, DATA_BYTES,
    MAX_CONTROL_BYTES,
};
use wire::rx::{packets, Header, PacketType};

use crate::server::LIMIT;

/// Storage from the heap.
enum Heap {}

impl Storage for Heap {
    type Payload = Vec<u8>;
    type Unread = Vec<Option<Vec<u8>>>;
    type Unacked = Vec<Sent>;
}

/// A client: a socket, and a connection over it.
pub(crate) struct Client {
    socket: UdpSocket,
    connection: Connection<Heap>,
    peer: Peer,
    began: Clock,
}

impl Client {
    /// With a socket that is connected to the server.
    pub(crate) fn new(socket: UdpSocket, service_id: u16) -> Self {
        let identity = Identity {
            epoch: 0x8000_0001,
            cid: 0x1234_5678,
            service_id,
        };
        Self {
            socket,
            connection: Connection::new(Side::Client, identity, 0, Instant::default()),
            peer: Peer::new(),
            began: Clock::now(),
        }
    }

    /// Calls, and waits for the reply or for how else the call ends.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<Vec<u8>, Outcome> {
        let window = vec![Sent::default(); 256];
        let now = self.now();
        let length = request.len() as u64;
        self.connection
            .call(now, &self.peer, length, Some(window))
            .expect("a channel is free");
        let mut reply = Vec::new();
        loop {
            self.send(request);
            self.receive(&mut reply);
            if let Some(Event::Ended { outcome, .. }) = self.connection.poll_event() {
                return match outcome {
                    Outcome::Completed => Ok(reply),
                    other => Err(other),
                };
            }
        }
    }

    fn now(&self) -> Instant {
        let elapsed = self.began.elapsed();
        assert!(elapsed < LIMIT, "no end");
        Instant::from_micros(elapsed.as_micros() as u64)
    }

    fn send(&mut self, request: &[u8]) {
        let mut packet = [0; MAX_CONTROL_BYTES + DATA_BYTES as usize];
        let now = self.now();
        while let Some(transmit) = self
            .connection
            .poll_transmit(now, &mut self.peer, &mut packet)
        {
            let mut bytes = transmit.bytes;
            if let Some(range) = transmit.data {
                let data = &request[range.offset as usize..][..range.bytes.into()];
                packet[bytes..][..data.len()].copy_from_slice(data);
                bytes += data.len();
            }
            self.socket.send(&packet[..bytes]).unwrap();
        }
    }

    fn receive(&mut self, reply: &mut Vec<u8>) {
        let mut datagram = [0; 1 << 16];
        let deadline = self.connection.deadline().expect("a call is on its way");
        let wait = deadline.us_since(self.now()).max(1);
        self.socket
            .set_read_timeout(Some(std::time::Duration::from_micros(wait)))
            .unwrap();
        let received = self.socket.recv(&mut datagram);
        let now = self.now();
        let bytes = match received {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return self.connection.expire(now, &mut self.peer);
            }
            Err(error) => panic!("{error}"),
        };
        let (header, payload) = Header::parse(&datagram[..bytes]).expect("a packet of Rx");
        let (connection, peer) = (&mut self.connection, &mut self.peer);
        if PacketType::try_from(header.packet_type) != Ok(PacketType::Data) {
            return connection.receive(now, peer, &header, payload);
        }
        for packet in packets(header, payload) {
            let packet = packet.expect("whole packets");
            let payload = packet.bytes.to_vec();
            let places = || Some(vec![None; 256]);
            let mut data =
                connection.receive_data(now, peer, &packet.header, bytes, payload, places);
            while let Some(part) = data {
                reply.extend(part.payload);
                data = connection.next_data(now, peer, part.channel);
            }
        }
    }
}
