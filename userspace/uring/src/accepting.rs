// SPDX-License-Identifier: GPL-2.0

//! Sockets that the ring accepts. They have no number in the process, only a place in the ring.

use std::io;

use io_uring::{opcode, types::Fixed};
use rustix::{io::Errno, net::Shutdown};

use crate::{
    completion::{tag, user_data},
    socket::{Held, Sending, Socket},
    Ring,
};

impl Ring {
    /// Accepts connections from now on until [`Completion::Accepted`](crate::Completion::Accepted) says that this was the
    /// last; to be asked for once at a time.
    ///
    /// The listener must be blocking, or this ends when there is nothing to accept. When there is no room for another
    /// socket, it ends with the number of `ENFILE`, and that connection is closed.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests.
    pub fn accept(&mut self, listener: usize) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(Fixed(listener as u32))
            .allocate_file_index(true)
            .build()
            .user_data(user_data(listener, tag::ACCEPT));
        // SAFETY: the request refers to no memory.
        unsafe { self.push(&entry) }?;
        self.unanswered += 1;
        Ok(())
    }

    /// Ends the stream to the peer of a socket that was accepted, after what was sent.
    ///
    /// # Errors
    ///
    /// The kernel does not take requests.
    pub fn shut_down(&mut self, socket: usize) -> io::Result<()> {
        let how = Shutdown::Write as i32;
        let entry = opcode::Shutdown::new(Fixed(socket as u32), how)
            .build()
            .user_data(user_data(socket, tag::END));
        // SAFETY: the request refers to no memory.
        unsafe { self.push(&entry) }?;
        self.unanswered += 1;
        Ok(())
    }

    /// Notes that the kernel has put a connection into this place, and returns it.
    pub(crate) fn accepted(&mut self, place: u32) -> usize {
        let place = place as usize;
        if self.sockets.len() <= place {
            self.sockets
                .resize_with(place + 1, || Socket::new(Held::Nowhere));
        }
        self.sockets[place].be_accepted(self.handed_over);
        place
    }

    pub(crate) fn close_accepted(&mut self, socket: usize) -> io::Result<()> {
        let accepted = &mut self.sockets[socket];
        // The next one of this place must not be taken for it, nor its memory be freed.
        if accepted.is_receiving || accepted.sending == Sending::Waiting {
            return Err(Errno::BUSY.into());
        }
        accepted.held = Held::Nowhere;
        let entry = opcode::Close::new(Fixed(socket as u32))
            .build()
            .user_data(user_data(socket, tag::END));
        // SAFETY: the request refers to no memory.
        unsafe { self.push(&entry) }?;
        self.unanswered += 1;
        Ok(())
    }
}
