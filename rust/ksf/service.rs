// SPDX-License-Identifier: GPL-2.0

//! What the author of a service writes.

use core::net::SocketAddr;
use kernel::prelude::*;

/// A service: what is done with the bytes of a connection.
///
/// Its methods run in a worker, which is in process context and bound to a CPU. They may sleep for memory, but must
/// not wait for a peer or for time to pass: all connections of that CPU would wait with them. The methods of one
/// connection never run at the same time; those of different connections do.
///
/// # Examples
///
/// ```ignore
/// struct Echo;
///
/// impl Service for Echo {
///     type Conn = ();
///
///     fn open(&self, _peer: SocketAddr) -> Result {
///         Ok(())
///     }
///
///     fn stream(&self, _conn: &mut (), received: &[u8], replies: &mut Replies<'_>) -> Result {
///         replies.write(received)
///     }
/// }
/// ```
pub trait Service: Send + Sync + 'static {
    /// What the service keeps for each connection. Dropped when the connection is closed.
    type Conn: Send + 'static;

    /// A client connected from `peer`. An error refuses it: the connection is closed.
    fn open(&self, peer: SocketAddr) -> Result<Self::Conn>;

    /// Bytes were received. What the service answers at once, it writes to `replies`, which are sent in order.
    ///
    /// `received` is any part of the stream, cut at any place, and is given once: what belongs to an incomplete
    /// request goes into `conn`. While a peer does not read the replies, nothing more is received from it.
    ///
    /// # Errors
    ///
    /// An error closes the connection, and what is in `replies` is not sent.
    fn stream(&self, conn: &mut Self::Conn, received: &[u8], replies: &mut Replies<'_>) -> Result;
}

/// The most bytes that a service can answer to one call of [`Service::stream()`], which is also the most bytes that it
/// is given.
pub const STREAM_BYTES: usize = 64 * 1024;

/// The replies that one call of [`Service::stream()`] gives.
pub struct Replies<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> Replies<'a> {
    /// Creates empty replies that are written to `buffer`.
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when there would be more than [`STREAM_BYTES`]; nothing is appended then.
    pub fn write(&mut self, bytes: &[u8]) -> Result {
        let end = self.len.checked_add(bytes.len()).ok_or(ENOSPC)?;
        self.buffer
            .get_mut(self.len..end)
            .ok_or(ENOSPC)?
            .copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// What was written.
    pub(crate) fn written(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

#[kunit_tests(ksf_service)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_in_order_and_bounded() {
        let mut buffer = [0; 5];
        let mut replies = Replies::new(&mut buffer);
        assert!(replies.write(b"abc").is_ok());
        assert!(replies.write(b"def").is_err());
        assert_eq!(replies.written(), b"abc");
        assert!(replies.write(b"de").is_ok());
        assert!(replies.write(b"").is_ok());
        assert!(replies.write(b"f").is_err());
        assert_eq!(replies.written(), b"abcde");
    }
}
