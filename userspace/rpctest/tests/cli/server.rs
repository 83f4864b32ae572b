// SPDX-License-Identifier: GPL-2.0

//! Servers in the test's own process, on ports that the system chooses.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::Arc,
    thread,
};

use rustix::net::sockopt;
use wire::rpc::{CallView, Flavor};

/// A call that a server has received, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) xid: u32,
    /// The program, its version and the procedure.
    pub(crate) procedure: [u32; 3],
    pub(crate) credential: (Flavor, Vec<u8>),
    pub(crate) arguments: Vec<u8>,
    /// How long the fragments were; there are none in a datagram.
    pub(crate) fragments: Vec<usize>,
}

impl Call {
    fn parse(message: &[u8], fragments: Vec<usize>) -> Self {
        let view = CallView::new(message).expect("rpctest sends calls");
        Self {
            xid: view.xid(),
            procedure: [view.program(), view.version(), view.procedure()],
            credential: (view.credential().flavor, view.credential().body.to_vec()),
            arguments: view.arguments().to_vec(),
            fragments,
        }
    }
}

/// Runs a server on the loopback network until the test process ends: hands each connection, and its number from 0, to
/// `serve` in a thread of its own.
pub(crate) fn serve(
    serve: impl Fn(TcpStream, usize) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    serve_on("127.0.0.1:0", serve)
}

pub(crate) fn serve_on(
    address: &str,
    serve: impl Fn(TcpStream, usize) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(address).expect("the loopback network works");
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, serve) = (stream.unwrap(), Arc::clone(&serve));
            stream.set_nodelay(true).unwrap();
            // A client that gives up is what many tests are about.
            thread::spawn(move || drop(serve(stream, number)));
        }
    });
    address
}

/// Runs a server that answers each call of a connection, numbered from 1, with the bytes that `answer` makes of it.
pub(crate) fn answer(answer: impl Fn(&Call, u64) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    serve(move |mut stream, _| {
        for number in 1.. {
            let Some(call) = read_call(&mut stream)? else {
                break;
            };
            stream.write_all(&answer(&call, number))?;
        }
        Ok(())
    })
}

/// Runs a server that answers each datagram, numbered from 1, with those that `answer` makes of it.
pub(crate) fn answer_datagrams(
    answer: impl FnMut(&Call, u64) -> Vec<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    answer_datagrams_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
}

/// The same, at an address.
pub(crate) fn answer_datagrams_at(
    address: SocketAddr,
    mut answer: impl FnMut(&Call, u64) -> Vec<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind(address).expect("the loopback network works");
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        for number in 1.. {
            let (len, client) = socket.recv_from(&mut buffer).unwrap();
            let call = Call::parse(&buffer[..len], Vec::new());
            for datagram in answer(&call, number) {
                // The client may have ended.
                let _ = socket.send_to(&datagram, client);
            }
        }
    });
    address
}

/// Reads one call, or `None` at the end of the stream.
pub(crate) fn read_call(stream: &mut TcpStream) -> io::Result<Option<Call>> {
    let (mut message, mut fragments) = (Vec::new(), Vec::new());
    loop {
        let mut mark = [0; 4];
        match stream.read_exact(&mut mark) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && fragments.is_empty() => {
                return Ok(None)
            }
            Err(error) => return Err(error),
        }
        let mark = u32::from_be_bytes(mark);
        let mut fragment = vec![0; (mark & 0x7fff_ffff) as usize];
        stream.read_exact(&mut fragment)?;
        fragments.push(fragment.len());
        message.extend_from_slice(&fragment);
        if mark >> 31 == 1 {
            return Ok(Some(Call::parse(&message, fragments)));
        }
    }
}

/// Words as they are on the wire.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A reply that says that the call was successful.
pub(crate) fn success(xid: u32) -> Vec<u8> {
    words(&[xid, 1, 0, 0, 0, 0])
}

/// A message as one record of a stream.
pub(crate) fn record(message: &[u8]) -> Vec<u8> {
    [&words(&[0x8000_0000 | message.len() as u32]), message].concat()
}

/// Closes a connection as a crashed host would: with a reset.
pub(crate) fn reset(stream: TcpStream) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(
        &stream,
        Some(std::time::Duration::ZERO),
    )?)
}
