// SPDX-License-Identifier: GPL-2.0

//! What is called: a request of rxperf, and what its reply has to be.

use wire::{
    rxperf::{Operation, Request, COOKIE, MAX_SIZE},
    xdr::Writer,
};

/// The most bytes that a server is asked to take or to send: OpenAFS takes greater numbers for negative ones.
pub(crate) const MAX_BYTES: u64 = i32::MAX as u64;

/// A call that is made again and again.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    request: Request,
    bytes: Box<[u8]>,
}

impl Call {
    /// A call of this operation.
    pub(crate) fn new(operation: Operation) -> Self {
        let request = Request {
            operation,
            // OpenAFS's server reads and writes so much at once, and refuses more.
            read_size: MAX_SIZE,
            write_size: MAX_SIZE,
        };
        let mut head = [0; Request::MAX_BYTES];
        let mut writer = Writer::new(&mut head);
        request
            .write(&mut writer)
            .expect("there is room for a request");
        let mut bytes = writer.written().to_vec();
        // OpenAFS's server sends what it was sent last: zeros, if nobody sends anything else.
        let body = request.request_bytes() as usize;
        bytes.resize(bytes.len() + body, 0);
        // Linux does not answer without it, and OpenAFS does not mind.
        bytes.extend_from_slice(&COOKIE);
        Self {
            request,
            bytes: bytes.into(),
        }
    }

    /// The bytes of the request.
    pub(crate) fn request(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes of content the reply has, before the cookie.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.request.reply_bytes()
    }

    /// How many bytes the reply has.
    pub(crate) fn reply_bytes(&self) -> u64 {
        self.request.reply_len()
    }

    /// What ends the reply.
    pub(crate) fn cookie(&self) -> &'static [u8] {
        &COOKIE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::rxperf::Parser;

    #[test]
    fn requests_are_what_servers_read() {
        for operation in [
            Operation::Recv { bytes: 0 },
            Operation::Recv {
                bytes: MAX_BYTES as u32,
            },
            Operation::Rpc { send: 0, recv: 7 },
            Operation::Rpc {
                send: 5000,
                recv: 0,
            },
        ] {
            let call = Call::new(operation);
            let mut parser = Parser::new();
            parser.push(call.request()).unwrap();
            assert_eq!(parser.finish(), Ok(call.request));
            assert!(call.request().ends_with(call.cookie()));
            assert_eq!(call.reply_bytes(), call.content_bytes() + 4);
        }
    }
}
