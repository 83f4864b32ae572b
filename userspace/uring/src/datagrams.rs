// SPDX-License-Identifier: GPL-2.0

//! Datagrams of many senders on one socket, each with the address that it is answered to. Both are in the buffer.

use std::{io, mem, ops::Range, ptr};

use io_uring::{opcode, squeue, types::Fixed};
use rustix::net::SendFlags;

use crate::{
    buffers::GROUP,
    completion::{tag, user_data},
    Arrival, Ring,
};

/// The most bytes that the address of a sender may have: those of IPv6.
pub const MAX_SENDER: usize = mem::size_of::<libc::sockaddr_in6>();

/// Where the address and the datagram begin: before them are four numbers of 32 bits (`struct io_uring_recvmsg_out`), of
/// which the first is the length of the address.
const SENDER: usize = 16;
const DATAGRAM: usize = SENDER + MAX_SENDER;

/// How the kernel is told about the room for addresses.
#[derive(Debug)]
pub(crate) struct Senders(libc::msghdr);

impl Default for Senders {
    fn default() -> Self {
        Self(libc::msghdr {
            msg_name: ptr::null_mut(),
            msg_namelen: MAX_SENDER as u32,
            msg_iov: ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        })
    }
}

impl Ring {
    /// As [`Ring::receive`], for datagrams that are to be [answered](Ring::answer): [`Ring::datagram`] is what has come. An
    /// empty one is the last.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests.
    pub fn receive_datagrams(&mut self, socket: usize) -> io::Result<()> {
        if self.sockets[socket].is_receiving {
            return Ok(());
        }
        let entry =
            opcode::RecvMsgMulti::new(Fixed(socket as u32), &raw const self.senders.0, GROUP)
                .build()
                .user_data(user_data(socket, tag::RECEIVE));
        // SAFETY: the kernel writes only to buffers that are its own, and these are there until it has answered. It reads
        // the header when the request is handed over, and that stays where it is.
        unsafe { self.push(&entry) }?;
        self.sockets[socket].is_receiving = true;
        self.unanswered += 1;
        Ok(())
    }

    /// The datagram that has come; nothing if it is something else.
    #[inline]
    pub fn datagram(&mut self, arrival: &Arrival) -> &mut [u8] {
        let bytes = self.buffers.bytes_mut(arrival.buffer);
        bytes.get_mut(DATAGRAM..).unwrap_or_default()
    }

    /// Sends the first `length` bytes of [`Ring::datagram`] to its sender, with the next [`Ring::submit`] or [`Ring::enter`],
    /// which give the buffer back. If it cannot be sent at once it is lost; that it is a [`Completion::Sent`](crate::Completion::Sent)
    /// says.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests, or it is no such datagram, or shorter.
    #[inline]
    pub fn answer(&mut self, socket: usize, arrival: Arrival, length: usize) -> io::Result<()> {
        let bytes = self.buffers.bytes(arrival.buffer);
        let Some((sender, answer)) = sender_and_answer(bytes, length) else {
            self.give_back(arrival);
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (sender, answer) = (&bytes[sender], &bytes[answer]);
        let flags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
        let entry = opcode::Send::new(Fixed(socket as u32), answer.as_ptr(), answer.len() as u32)
            .dest_addr(sender.as_ptr().cast())
            .dest_addr_len(sender.len() as u32)
            .flags(flags.bits() as i32)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(user_data(socket, tag::SEND));
        // SAFETY: the kernel reads the buffer until `call` has handed the request over: because of MSG_DONTWAIT it tries
        // once. Until then nobody writes to it: it is lent, but nobody has an `Arrival` of it any more, and `call` gives it
        // back; and it stays where it is, as the buffers are dropped after the ring.
        let pushed = unsafe { self.push(&entry) };
        match pushed {
            Ok(()) => self.answering.push(arrival.buffer),
            Err(_) => self.give_back(arrival),
        }
        pushed
    }
}

/// Where a sender and so many bytes of its datagram are.
#[inline]
fn sender_and_answer(bytes: &[u8], length: usize) -> Option<(Range<usize>, Range<usize>)> {
    let (sender, _) = bytes.split_first_chunk()?;
    let sender = u32::from_ne_bytes(*sender) as usize;
    let end = DATAGRAM.checked_add(length)?;
    (sender <= MAX_SENDER && end <= bytes.len()).then_some((SENDER..SENDER + sender, DATAGRAM..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_from_somebody_is_answered() {
        let mut bytes = [0; DATAGRAM + 5];
        bytes[..4].copy_from_slice(&16_u32.to_ne_bytes());
        assert_eq!(sender_and_answer(&bytes, 5), Some((16..32, 44..49)));
        assert_eq!(sender_and_answer(&bytes, 0), Some((16..32, 44..44)));
        assert_eq!(sender_and_answer(&bytes, 6), None);
        assert_eq!(sender_and_answer(&bytes, usize::MAX), None);
        assert_eq!(sender_and_answer(&bytes[..3], 0), None);
        bytes[..4].copy_from_slice(&29_u32.to_ne_bytes());
        assert_eq!(sender_and_answer(&bytes, 5), None);
    }
}
