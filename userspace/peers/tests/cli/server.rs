// SPDX-License-Identifier: GPL-2.0

//! Servers in the test's own process, on ports that the system chooses.

use std::{
    collections::HashSet,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use rustix::net::sockopt;

/// What has become of the connections of a TCP server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) opened: usize,
    /// Those that were served to their end.
    pub(crate) ended: usize,
    /// Those that the client has reset.
    pub(crate) reset: usize,
    pub(crate) most_at_once: usize,
    pub(crate) sources: HashSet<IpAddr>,
}

/// A TCP server that runs until the test process ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Server {
    /// Hands each connection, and its number from 0, to `serve` in a thread of its own.
    pub(crate) fn new(
        serve: impl Fn(TcpStream, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback network works");
        // Small buffers, which connections inherit, so that what is in flight does not simply fit into them.
        sockopt::set_socket_recv_buffer_size(&listener, 64 << 10).unwrap();
        sockopt::set_socket_send_buffer_size(&listener, 64 << 10).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<(Mutex<Seen>, Condvar)>::default();
        let (of_server, serve) = (Arc::clone(&seen), Arc::new(serve));
        thread::spawn(move || {
            for number in 0.. {
                // A client that has gone already is what some tests are about.
                let Ok((stream, from)) = listener.accept() else {
                    continue;
                };
                let _ = stream.set_nodelay(true);
                of_server.change(|seen| {
                    seen.opened += 1;
                    seen.most_at_once =
                        seen.most_at_once.max(seen.opened - seen.ended - seen.reset);
                    seen.sources.insert(from.ip());
                });
                let (seen, serve) = (Arc::clone(&of_server), Arc::clone(&serve));
                thread::spawn(move || {
                    let result = serve(stream, number);
                    seen.change(|seen| match result {
                        Ok(()) => seen.ended += 1,
                        Err(_) => seen.reset += 1,
                    });
                });
            }
        });
        Self { address, seen }
    }

    /// An echo server as it should be.
    pub(crate) fn good() -> Self {
        Self::new(|stream, _| echo(stream, |_, _| {}))
    }

    /// An echo server that changes the byte at this place of the stream, on the connection with this number.
    pub(crate) fn wrong_byte(connection: usize, place: usize) -> Self {
        Self::new(move |stream, number| {
            echo(stream, |piece, at| {
                if number == connection && (at..at + piece.len()).contains(&place) {
                    piece[place - at] ^= 1;
                }
            })
        })
    }

    /// An echo server that ends its side when it has received so many bytes, and keeps the last of them.
    pub(crate) fn closes_after(bytes: usize) -> Self {
        Self::new(move |mut stream, _| {
            let mut left = bytes;
            while left > 0 {
                let mut buffer = vec![0; left];
                let received = stream.read(&mut buffer)?;
                left -= received;
                let kept = usize::from(left == 0);
                stream.write_all(&buffer[..received - kept])?;
            }
            stream.shutdown(Shutdown::Write)?;
            swallow(stream)
        })
    }

    /// A server that reads all and says nothing.
    pub(crate) fn silent() -> Self {
        Self::new(|stream, _| swallow(stream))
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.0.lock().unwrap().clone()
    }

    /// Waits until so much was seen.
    #[track_caller]
    pub(crate) fn wait_until(&self, is_enough: impl Fn(&Seen) -> bool) -> Seen {
        let seen = self.seen.0.lock().unwrap();
        let limit = Duration::from_secs(20);
        let (seen, timeout) = self
            .seen
            .1
            .wait_timeout_while(seen, limit, |seen| !is_enough(seen))
            .unwrap();
        assert!(!timeout.timed_out(), "{seen:?}");
        seen.clone()
    }
}

/// Changes what was seen.
trait Change {
    fn change(&self, change: impl FnOnce(&mut Seen));
}

impl Change for (Mutex<Seen>, Condvar) {
    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().unwrap());
        self.1.notify_all();
    }
}

/// Echoes everything until the client ends the stream. `touch` sees, and may change, each piece before it goes back; it
/// is told where in the stream the piece begins.
pub(crate) fn echo(
    mut stream: TcpStream,
    mut touch: impl FnMut(&mut Vec<u8>, usize),
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        let received = match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut piece = buffer[..received].to_vec();
        touch(&mut piece, at);
        at += received;
        stream.write_all(&piece)?;
    }
}

/// Reads until the client ends the stream.
pub(crate) fn swallow(mut stream: TcpStream) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// A UDP server that runs until the test process ends.
pub(crate) struct UdpServer {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<usize>>>,
}

impl UdpServer {
    /// Hands each datagram to `serve`, which sends what it likes with the socket.
    pub(crate) fn on(
        address: &str,
        mut serve: impl FnMut(&UdpSocket, &[u8], SocketAddr) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(address).expect("the loopback network works");
        let address = socket.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<usize>>>::default();
        let log = Arc::clone(&received);
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                // A client that has gone already shows here, too.
                if let Ok((size, from)) = socket.recv_from(&mut buffer) {
                    log.lock().unwrap().push(size);
                    let _ = serve(&socket, &buffer[..size], from);
                }
            }
        });
        Self { address, received }
    }

    pub(crate) fn new(
        serve: impl FnMut(&UdpSocket, &[u8], SocketAddr) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self::on("127.0.0.1:0", serve)
    }

    /// An echo server as it should be.
    pub(crate) fn good() -> Self {
        Self::new(|socket, datagram, from| socket.send_to(datagram, from).map(drop))
    }

    /// An echo server that changes the last byte of each datagram of this size.
    pub(crate) fn wrong_byte(size: usize) -> Self {
        Self::new(move |socket, datagram, from| {
            let mut datagram = datagram.to_vec();
            if datagram.len() == size {
                datagram[size - 1] ^= 1;
            }
            socket.send_to(&datagram, from).map(drop)
        })
    }

    /// The sizes of all datagrams so far.
    pub(crate) fn received(&self) -> Vec<usize> {
        self.received.lock().unwrap().clone()
    }
}

/// Where nobody listens: an address of the loopback network that is used by nothing else.
pub(crate) const NOBODY: &str = "127.9.9.9:9";
