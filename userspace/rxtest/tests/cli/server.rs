// SPDX-License-Identifier: GPL-2.0

//! Servers of rxperf in the test's own process, on ports that the system chooses, and networks between them and their
//! clients: with any faults.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant as Clock},
};

use rx::{
    content, CallCounters, Identity, Instant, Outcome, Peer, Sent, Served, Service, Storage,
    Verdict, MAX_CONTROL_BYTES,
};
use wire::{
    rx::{packets, version, AbortCode, Flags, Header, PacketType},
    rxperf::{Parser, Request, COOKIE},
};

/// What the server says that it is.
pub(crate) const VERSION: &str = "a server of a test";

/// A call that a server has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The client's address.
    pub(crate) client: SocketAddr,
    pub(crate) identity: Identity,
    pub(crate) request: Request,
    /// All bytes of the request.
    pub(crate) bytes: Vec<u8>,
    /// How many calls there were before it.
    pub(crate) number: u64,
}

/// What a server does about a call.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Reply(Vec<u8>),
    Abort(i32),
    /// It is received, and answered by nothing but acknowledgements.
    Never,
}

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// What comes out of a network for each datagram that goes in.
pub(crate) type Network = Box<dyn FnMut(Way, &[u8]) -> Vec<Vec<u8>> + Send>;

/// The reply that krx sends.
pub(crate) fn pattern(call: &Call) -> Vec<u8> {
    let mut reply = vec![0; call.request.reply_bytes() as usize];
    content::fill(0, &mut reply);
    reply.extend_from_slice(&COOKIE);
    reply
}

/// The reply that Linux sends.
pub(crate) fn zeros(call: &Call) -> Vec<u8> {
    let mut reply = vec![0; call.request.reply_bytes() as usize];
    reply.extend_from_slice(&COOKIE);
    reply
}

/// Runs a good server on the loopback network until the test process ends.
pub(crate) fn good() -> SocketAddr {
    serve(|call| Answer::Reply(pattern(call)))
}

/// Runs a server that answers each call as `answer` says.
pub(crate) fn serve(answer: impl FnMut(&Call) -> Answer + Send + 'static) -> SocketAddr {
    serve_over(Box::new(|_, datagram| vec![datagram.to_vec()]), answer)
}

/// The same, with a network between it and its clients.
pub(crate) fn serve_over(
    network: Network,
    answer: impl FnMut(&Call) -> Answer + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind("[::]:0").expect("the loopback network works");
    let port = socket.local_addr().unwrap().port();
    let mut server = Server {
        socket,
        network,
        clients: HashMap::new(),
        service: Answers {
            answer: Box::new(answer),
            client: SocketAddr::from(([0; 4], 0)),
            calls: 0,
        },
        began: Clock::now(),
    };
    thread::spawn(move || server.run());
    SocketAddr::from(([127, 0, 0, 1], port))
}

struct Server {
    socket: UdpSocket,
    network: Network,
    clients: HashMap<SocketAddr, Client>,
    service: Answers,
    began: Clock,
}

#[derive(Default)]
struct Client {
    peer: Peer,
    connections: Vec<Served<Answers>>,
}

impl Server {
    fn now(&self) -> Instant {
        Instant::from_micros(self.began.elapsed().as_micros() as u64)
    }

    fn run(&mut self) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            self.expire();
            self.transmit();
            let deadlines = self.clients.values().flat_map(|client| &client.connections);
            let deadline = deadlines.filter_map(Served::deadline).min();
            let wait = deadline.map(|at| Duration::from_micros(at.us_since(self.now()).max(1)));
            self.socket.set_read_timeout(wait).unwrap();
            match self.socket.recv_from(&mut buffer) {
                Ok((bytes, from)) => {
                    for datagram in (self.network)(Way::ToServer, &buffer[..bytes]) {
                        self.receive(from, &datagram);
                    }
                }
                // What a client says that has ended.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        let now = self.now();
        let Some((header, payload)) = Header::parse(datagram) else {
            return;
        };
        if header.packet_type == PacketType::Version as u8 {
            return self.say_version(from, &header);
        }
        let client = self.clients.entry(from).or_default();
        let identity = Identity {
            epoch: header.epoch,
            cid: header.connection(),
            service_id: header.service_id,
        };
        let is_it = |served: &Served<Answers>| served.connection().identity() == identity;
        let place = client.connections.iter().position(is_it);
        let place = place.unwrap_or_else(|| {
            client.connections.push(Served::new(identity, 1_000, now));
            client.connections.len() - 1
        });
        let served = &mut client.connections[place];
        let (peer, service) = (&mut client.peer, &mut self.service);
        service.client = from;
        if header.packet_type != PacketType::Data as u8 {
            return served.receive(now, peer, service, &header, payload);
        }
        for packet in packets(header, payload).map_while(Result::ok) {
            let bytes = packet.bytes.to_vec();
            served.receive_data(now, peer, service, &packet.header, datagram.len(), bytes);
        }
    }

    fn say_version(&mut self, to: SocketAddr, header: &Header) {
        let header = Header {
            flags: Flags::default(),
            ..*header
        };
        let answer = [&header.to_bytes()[..], &version::to_bytes(VERSION)].concat();
        self.send(to, &answer);
    }

    fn expire(&mut self) {
        let now = self.now();
        for client in self.clients.values_mut() {
            for served in &mut client.connections {
                if served.deadline().is_some_and(|at| at <= now) {
                    served.expire(now, &mut client.peer, &mut self.service);
                }
            }
        }
    }

    fn transmit(&mut self) {
        let now = self.now();
        let mut datagrams = Vec::new();
        for (address, client) in &mut self.clients {
            for served in &mut client.connections {
                let mut buffer = [0; MAX_CONTROL_BYTES];
                while let Some(transmit) = served.poll_transmit(now, &mut client.peer, &mut buffer)
                {
                    let mut datagram = buffer[..transmit.bytes].to_vec();
                    if let Some(range) = transmit.data {
                        let call = served.call(range.channel).expect("there is a call");
                        let start = range.offset as usize;
                        let data = &call.reply[start..start + usize::from(range.bytes)];
                        datagram.extend_from_slice(data);
                    }
                    datagrams.push((*address, datagram));
                }
            }
        }
        for (to, datagram) in datagrams {
            self.send(to, &datagram);
        }
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        for datagram in (self.network)(Way::ToClient, datagram) {
            // The client may have ended.
            let _ = self.socket.send_to(&datagram, to);
        }
    }
}

/// Storage from the heap.
enum Heap {}

impl Storage for Heap {
    type Payload = Vec<u8>;
    type Unread = Vec<Option<Vec<u8>>>;
    type Unacked = Vec<Sent>;
}

/// The service.
struct Answers {
    answer: Box<dyn FnMut(&Call) -> Answer + Send>,
    /// Who the packet is of that is looked at.
    client: SocketAddr,
    calls: u64,
}

struct Serving {
    identity: Identity,
    parser: Parser,
    bytes: Vec<u8>,
    reply: Vec<u8>,
}

impl Service for Answers {
    type Storage = Heap;
    type Call = Serving;

    fn unread(&mut self) -> Option<Vec<Option<Vec<u8>>>> {
        Some((0..256).map(|_| None).collect())
    }

    fn unacked(&mut self, _: u64) -> Option<Vec<Sent>> {
        Some(vec![Sent::default(); 256])
    }

    fn begin(&mut self, identity: Identity) -> Result<Serving, AbortCode> {
        Ok(Serving {
            identity,
            parser: Parser::new(),
            bytes: Vec::new(),
            reply: Vec::new(),
        })
    }

    fn request(&mut self, served: &mut Serving, part: Vec<u8>, is_last: bool) -> Verdict {
        served.parser.push(&part).expect("rxtest sends requests");
        served.bytes.extend_from_slice(&part);
        if !is_last {
            return Verdict::Wait;
        }
        let call = Call {
            client: self.client,
            identity: served.identity,
            request: served.parser.finish().expect("rxtest sends requests"),
            bytes: std::mem::take(&mut served.bytes),
            number: self.calls,
        };
        self.calls += 1;
        match (self.answer)(&call) {
            Answer::Reply(reply) => {
                served.reply = reply;
                Verdict::Reply(served.reply.len() as u64)
            }
            Answer::Abort(code) => Verdict::Abort(AbortCode(code)),
            Answer::Never => Verdict::Wait,
        }
    }

    fn end(&mut self, _: Serving, _: Outcome, _: &CallCounters) {}
}
