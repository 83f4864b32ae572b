// SPDX-License-Identifier: GPL-2.0

//! Servers in the test's own process, on ports that the system chooses.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        atomic::{AtomicUsize, Ordering::SeqCst},
        Arc, Mutex,
    },
    thread,
};

use rustix::net::sockopt;

/// The length of a message where a test does not choose another.
pub(crate) const LENGTH: usize = 32;

/// A server that runs until the test process ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Hands each connection, and its number from 0, to `serve` in a thread of its own.
    pub(crate) fn new(
        serve: impl Fn(TcpStream, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::on("127.0.0.1:0", serve)
    }

    pub(crate) fn on(
        address: &str,
        serve: impl Fn(TcpStream, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the loopback network works");
        // Small buffers, which connections inherit, so that what is in flight does not simply fit into them.
        sockopt::set_socket_recv_buffer_size(&listener, 64 << 10).unwrap();
        sockopt::set_socket_send_buffer_size(&listener, 64 << 10).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&connections), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, SeqCst);
                let (stream, serve) = (stream.unwrap(), Arc::clone(&serve));
                stream.set_nodelay(true).unwrap();
                // A client that gives up is what many tests are about.
                thread::spawn(move || drop(serve(stream, number)));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// An echo server as it should be, and the sizes of all pieces that it read.
    pub(crate) fn good() -> (Self, Arc<Mutex<Vec<usize>>>) {
        let pieces = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&pieces);
        let serve = move |stream, _| echo(stream, |piece, _| log.lock().unwrap().push(piece.len()));
        (Self::new(serve), pieces)
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
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
        let received = stream.read(&mut buffer)?;
        if received == 0 {
            return Ok(());
        }
        let mut piece = buffer[..received].to_vec();
        touch(&mut piece, at);
        at += received;
        stream.write_all(&piece)?;
    }
}

/// Echoes message by message. `touch` sees, and may change, each before it goes back; it is told its number from 1.
pub(crate) fn echo_messages(
    mut stream: TcpStream,
    mut touch: impl FnMut(&mut Vec<u8>, usize),
) -> io::Result<()> {
    for number in 1.. {
        let Some(mut message) = read_message(&mut stream)? else {
            break;
        };
        touch(&mut message, number);
        stream.write_all(&message)?;
    }
    Ok(())
}

/// Reads one message, or `None` at the end of the stream.
pub(crate) fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut message = vec![0; LENGTH];
    match stream.read_exact(&mut message) {
        Ok(()) => Ok(Some(message)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Closes a connection as a crashed host would: with a reset.
pub(crate) fn reset(stream: TcpStream) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(
        &stream,
        Some(std::time::Duration::ZERO),
    )?)
}
