// SPDX-License-Identifier: GPL-2.0

//! Asks a server's rpcbind at which port a program is.

use std::{
    io::{self, ErrorKind, Read, Write},
    num::NonZeroU16,
};

use anyhow::{anyhow, bail, Context};
use wire::{
    portmap::{self, Binding, Mapping},
    program::PORTMAP,
    record::{Limits, Mark, Parser},
    rpc::{AcceptStatus, Call, Credential, OpaqueAuth, Reply, ReplyBody, ReplyView},
    xdr::{self, Reader, Writer},
};

use crate::procedure::Procedure;

/// What rpcbind is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The program and its version.
    pub(crate) procedure: Procedure,
    pub(crate) udp: bool,
    /// IPv6 is known to versions 3 and 4 only, IPv4 to all of them.
    pub(crate) ipv6: bool,
}

/// There is one call on a connection, and this is its number.
const XID: u32 = 1;

/// The longest reply: a header with a verifier, and an address.
const MAX_BYTES: usize = Reply::MAX_BYTES + 4 + portmap::MAX_ADDRESS as usize;

/// Asks over a connection to a server's rpcbind. `None` if it does not know the program.
pub(crate) fn ask(
    stream: &mut (impl Read + Write),
    question: Question,
) -> anyhow::Result<Option<NonZeroU16>> {
    stream.write_all(&question.call()?)?;
    let reply = receive(stream)?;
    let view = ReplyView::strict(&reply)?;
    if view.xid() != XID {
        bail!("a reply to another call");
    }
    match Reply::parse(&view)?.body {
        ReplyBody::Accepted {
            status: AcceptStatus::Success,
            ..
        } => {}
        ReplyBody::Accepted { status, .. } => bail!("{status}"),
        ReplyBody::Denied(denial) => bail!("denied, {denial}"),
    }
    question.answer(view.body())
}

impl Question {
    /// The call with its mark.
    fn call(self) -> xdr::Result<Vec<u8>> {
        let (version, number) = if self.ipv6 {
            (portmap::RPCB_VERSION, portmap::GETADDR)
        } else {
            (portmap::VERSION, portmap::GETPORT)
        };
        let call = Call {
            xid: XID,
            program: PORTMAP,
            version,
            procedure: number,
            credential: Credential::None,
            verifier: OpaqueAuth::NONE,
        };
        let mut buffer = [0; 128];
        let mut writer = Writer::new(&mut buffer);
        call.write(&mut writer)?;
        let Procedure {
            program, version, ..
        } = self.procedure;
        if self.ipv6 {
            let binding = Binding {
                program,
                version,
                netid: if self.udp { b"udp6" } else { b"tcp6" },
                address: b"",
                owner: b"",
            };
            binding.write(&mut writer)?;
        } else {
            let mapping = Mapping {
                program,
                version,
                protocol: if self.udp { Mapping::UDP } else { Mapping::TCP },
                port: 0,
            };
            mapping.write(&mut writer)?;
        }
        let mark = Mark::new(writer.len() as u32, true).ok_or(xdr::Error::NoRoom)?;
        Ok([&mark.to_bytes()[..], writer.written()].concat())
    }

    /// What the results of the call say.
    fn answer(self, results: &[u8]) -> anyhow::Result<Option<NonZeroU16>> {
        let mut reader = Reader::strict(results);
        let port = if self.ipv6 {
            let address = reader.opaque(portmap::MAX_ADDRESS)?;
            match portmap::port(address) {
                _ if address.is_empty() => 0,
                Some(port) => port,
                None => bail!("\"{}\" is no address", address.escape_ascii()),
            }
        } else {
            let port = reader.u32()?;
            u16::try_from(port).map_err(|_| anyhow!("{port} is no port"))?
        };
        reader.finish()?;
        Ok(NonZeroU16::new(port))
    }
}

/// Receives one record.
fn receive(stream: &mut impl Read) -> anyhow::Result<Vec<u8>> {
    let mut parser = Parser::new(Limits {
        bytes: MAX_BYTES as u32,
        fragments: MAX_BYTES as u32,
    });
    let mut record = Vec::new();
    let mut buffer = [0; MAX_BYTES];
    loop {
        // No more than is known to be of this record.
        let wanted = parser.missing().min(MAX_BYTES);
        let received = match stream.read(&mut buffer[..wanted]) {
            Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => bail!("no answer"),
            Err(error) => return Err(error).context("cannot receive"),
        };
        let mut bytes = &buffer[..received];
        while let Some(piece) = parser.next(&mut bytes)? {
            record.extend_from_slice(piece.bytes);
            if piece.ends_record {
                return Ok(record);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::VecDeque, num::NonZeroU32};
    use wire::{
        record::Fragments,
        rpc::{CallView, Denial},
    };

    /// A connection to a server that has these bytes to say.
    struct Server {
        said: Vec<u8>,
        says: VecDeque<u8>,
    }

    impl Server {
        fn that_says(bytes: &[u8]) -> Self {
            Self {
                said: Vec::new(),
                says: bytes.iter().copied().collect(),
            }
        }

        fn that_replies(reply: Reply<'_>, results: &[u8]) -> Self {
            let mut buffer = [0; 1024];
            let mut writer = Writer::new(&mut buffer);
            reply.write(&mut writer).unwrap();
            writer.bytes(results).unwrap();
            let three = NonZeroU32::new(3).unwrap();
            let mut stream = Vec::new();
            for (mark, bytes) in Fragments::new(writer.written(), three).unwrap() {
                stream.extend_from_slice(&mark.to_bytes());
                stream.extend_from_slice(bytes);
            }
            Self::that_says(&stream)
        }
    }

    impl Read for Server {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Server {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.said.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const MOUNT: Question = Question {
        procedure: Procedure {
            program: 100_005,
            version: 3,
            number: 0,
        },
        udp: false,
        ipv6: false,
    };
    const SUCCESS: Reply<'_> = Reply::accepted(XID, AcceptStatus::Success);

    fn answer(question: Question, results: &[u8]) -> Result<Option<u16>, String> {
        let mut server = Server::that_replies(SUCCESS, results);
        let answer = ask(&mut server, question).map_err(|error| format!("{error:#}"))?;
        Ok(answer.map(NonZeroU16::get))
    }

    #[test]
    fn for_ipv4_the_port_mapper_is_asked() {
        let mut server = Server::that_replies(SUCCESS, b"\0\0\x4e\x20");
        let port = ask(&mut server, MOUNT).unwrap();
        assert_eq!(port, NonZeroU16::new(20_000));
        let call = CallView::new(&server.said[4..]).unwrap();
        let called = (call.program(), call.version(), call.procedure());
        assert_eq!(called, (100_000, 2, 3));
        let arguments = b"\x00\x01\x86\xa5\0\0\0\x03\0\0\0\x06\0\0\0\0";
        assert_eq!(call.arguments(), arguments);

        let udp = Question { udp: true, ..MOUNT };
        let bytes = udp.call().unwrap();
        assert_eq!(bytes[bytes.len() - 5], 17);
    }

    #[test]
    fn for_ipv6_the_address_is_asked_for() {
        let ipv6 = Question {
            ipv6: true,
            ..MOUNT
        };
        let mut server = Server::that_replies(SUCCESS, b"\0\0\0\x09::1.78.32\0\0\0");
        assert_eq!(ask(&mut server, ipv6).unwrap(), NonZeroU16::new(20_000));
        let call = CallView::new(&server.said[4..]).unwrap();
        let called = (call.program(), call.version(), call.procedure());
        assert_eq!(called, (100_000, 3, 3));
        assert!(call.arguments()[8..].starts_with(b"\0\0\0\x04tcp6"));
        assert_eq!(answer(ipv6, b"\0\0\0\0"), Ok(None));
        let error = answer(ipv6, b"\0\0\0\x04what").unwrap_err();
        assert_eq!(error, "\"what\" is no address");
    }

    #[test]
    fn a_program_may_be_unknown() {
        assert_eq!(answer(MOUNT, b"\0\0\0\0"), Ok(None));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let error = answer(MOUNT, b"\0\x01\0\0").unwrap_err();
        assert_eq!(error, "65536 is no port");
        assert_eq!(answer(MOUNT, b"").unwrap_err(), "cut off");
        let error = answer(MOUNT, b"\0\0\0\x01\0\0\0\0").unwrap_err();
        assert_eq!(error, "4 bytes too many");

        let refused = |mut server| ask(&mut server, MOUNT).unwrap_err().to_string();
        let (low, high) = (3, 4);
        let mismatch = Reply::accepted(XID, AcceptStatus::ProgMismatch { low, high });
        let server = Server::that_replies(mismatch, b"");
        assert_eq!(refused(server), "PROG_MISMATCH (versions 3 to 4)");
        let denied = Reply::denied(XID, Denial::RpcMismatch { low, high });
        let server = Server::that_replies(denied, b"");
        assert_eq!(refused(server), "denied, RPC_MISMATCH (versions 3 to 4)");
        let other = Reply::accepted(XID + 1, AcceptStatus::Success);
        let server = Server::that_replies(other, b"\0\0\0\x01");
        assert_eq!(refused(server), "a reply to another call");
        let server = Server::that_says(b"\xff\xff\xff\xff");
        let giant = "a record of at least 2147483647 bytes, where 692 are the limit";
        assert_eq!(refused(server), giant);
        assert_eq!(
            refused(Server::that_says(b"\x80\0")),
            "unexpected end of file"
        );
    }
}
