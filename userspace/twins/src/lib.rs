// SPDX-License-Identifier: GPL-2.0

//! What the user-space twins share: a [`Service`] says what is answered, and [`epoll`] and [`io_uring`] how sockets are
//! served. There is nothing in it that the twin of a service does not need, so that it is as fast as user space can be in
//! these ways.

pub mod epoll;
pub mod io_uring;
pub mod listen;

use std::{convert::Infallible, io};

/// What one call receives at most: any datagram, and of a stream as much as the services in the kernel take at once.
pub const BUFFER_BYTES: usize = 64 << 10;

/// What is answered. It knows no socket.
pub trait Service {
    /// What it has to know of a connection from one turn to the next.
    type Stream: Default;

    /// Serves what has come of a stream.
    fn stream<'a>(&'a mut self, stream: &mut Self::Stream, received: &'a [u8]) -> Served<'a>;

    /// Serves a datagram: replaces it by its answer, which is not longer, and returns how many bytes that has. `None` if
    /// there is no answer.
    fn datagram(&mut self, datagram: &mut [u8]) -> Option<usize>;
}

/// A server that is ready.
pub trait Server {
    /// Serves until that fails.
    ///
    /// # Errors
    ///
    /// The system's, for no reason that a client could give.
    fn serve(&mut self) -> io::Result<Infallible>;
}

/// What is done after some of a stream was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served<'a> {
    /// What is sent.
    pub answer: &'a [u8],
    /// Whether nothing more is served: after the answer, the stream to the client ends. What else comes is thrown away,
    /// for closing with bytes unread would be a reset, which may take the answer with it.
    pub is_last: bool,
}
