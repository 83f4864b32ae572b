// SPDX-License-Identifier: GPL-2.0

//! What is said to an rpcbind, and what it answers.

use std::num::NonZeroU16;

use anyhow::{anyhow, bail};
use loadgen::load::Transport;
use wire::{
    portmap::{self, Binding, Mapping},
    program::PORTMAP,
    rpc::{AcceptStatus, Call, Credential, OpaqueAuth, Reply, ReplyBody, ReplyView},
    xdr::{self, Reader, Writer, UNIT},
};

use super::Question;
use crate::procedure::Procedure;

/// The longest reply: a header with a verifier, and an address.
pub(super) const MAX_BYTES: usize = Reply::MAX_BYTES + UNIT + portmap::MAX_ADDRESS as usize;

/// A question in a version of rpcbind's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) question: Question,
    pub(super) version: u32,
    /// Whether it is asked over IPv6.
    pub(super) ipv6: bool,
    pub(super) xid: u32,
}

/// What rpcbind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The program is at this port, if anywhere.
    Port(Option<NonZeroU16>),
    /// Only these versions of the protocol are known.
    OtherVersions { low: u32, high: u32 },
}

impl Message {
    /// What the call has to be sent over.
    ///
    /// Versions 3 and 4 tell of the transport over which they are asked (RFC 1833, section 2.2.1), whatever the netid says.
    pub(super) fn transport(self) -> Transport {
        match self.version {
            portmap::VERSION => Transport::Stream,
            _ => self.question.transport,
        }
    }

    /// The call.
    pub(super) fn call(self) -> xdr::Result<Vec<u8>> {
        let procedure = match self.version {
            portmap::VERSION => portmap::GETPORT,
            _ => portmap::GETADDR,
        };
        let call = Call {
            xid: self.xid,
            program: PORTMAP,
            version: self.version,
            procedure,
            credential: Credential::None,
            verifier: OpaqueAuth::NONE,
        };
        let mut buffer = [0; 128];
        let mut writer = Writer::new(&mut buffer);
        call.write(&mut writer)?;
        let Procedure {
            program, version, ..
        } = self.question.procedure;
        let udp = self.question.transport == Transport::Datagrams;
        if self.version == portmap::VERSION {
            let mapping = Mapping {
                program,
                version,
                protocol: if udp { Mapping::UDP } else { Mapping::TCP },
                port: 0,
            };
            mapping.write(&mut writer)?;
        } else {
            let netid: &[u8] = match (udp, self.ipv6) {
                (false, false) => b"tcp",
                (false, true) => b"tcp6",
                (true, false) => b"udp",
                (true, true) => b"udp6",
            };
            let binding = Binding {
                program,
                version,
                netid,
                address: b"",
                owner: b"",
            };
            binding.write(&mut writer)?;
        }
        Ok(writer.written().to_vec())
    }

    /// What the reply to the call says.
    pub(super) fn answer(self, reply: &[u8]) -> anyhow::Result<Answer> {
        let view = ReplyView::strict(reply)?;
        if view.xid() != self.xid {
            bail!(
                "a reply with xid {:#010x} to {:#010x}",
                view.xid(),
                self.xid
            );
        }
        match Reply::parse(&view)?.body {
            ReplyBody::Accepted { status, .. } => match status {
                AcceptStatus::Success => self.results(view.body()).map(Answer::Port),
                AcceptStatus::ProgMismatch { low, high } => Ok(Answer::OtherVersions { low, high }),
                _ => bail!("{status}"),
            },
            ReplyBody::Denied(denial) => bail!("denied, {denial}"),
        }
    }

    fn results(self, results: &[u8]) -> anyhow::Result<Option<NonZeroU16>> {
        let mut reader = Reader::strict(results);
        let port = if self.version == portmap::VERSION {
            let port = reader.u32()?;
            u16::try_from(port).map_err(|_| anyhow!("{port} is no port"))?
        } else {
            let address = reader.opaque(portmap::MAX_ADDRESS)?;
            match portmap::port(address) {
                _ if address.is_empty() => 0,
                Some(port) => port,
                None => bail!("\"{}\" is no address", address.escape_ascii()),
            }
        };
        reader.finish()?;
        Ok(NonZeroU16::new(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::rpc::{CallView, Denial};

    const XID: u32 = 7;
    /// Asks for mount version 3 over TCP and IPv4.
    const MOUNT: Message = Message {
        question: Question {
            procedure: Procedure {
                program: 100_005,
                version: 3,
                number: 0,
            },
            transport: Transport::Stream,
        },
        version: 2,
        ipv6: false,
        xid: XID,
    };
    const SUCCESS: Reply<'_> = Reply::accepted(XID, AcceptStatus::Success);

    fn over(transport: Transport, message: Message) -> Message {
        let question = Question {
            transport,
            ..message.question
        };
        Message {
            question,
            ..message
        }
    }

    fn answer_to(message: Message, reply: Reply<'_>, results: &[u8]) -> Result<Answer, String> {
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer);
        reply.write(&mut writer).unwrap();
        writer.bytes(results).unwrap();
        let answer = message.answer(writer.written());
        answer.map_err(|error| format!("{error:#}"))
    }

    fn port(message: Message, results: &[u8]) -> Result<Answer, String> {
        answer_to(message, SUCCESS, results)
    }

    fn at(port: u16) -> Result<Answer, String> {
        Ok(Answer::Port(NonZeroU16::new(port)))
    }

    #[test]
    fn version_2_is_asked_for_a_port() {
        let bytes = MOUNT.call().unwrap();
        let call = CallView::new(&bytes).unwrap();
        let called = (call.program(), call.version(), call.procedure());
        assert_eq!((call.xid(), called), (XID, (100_000, 2, 3)));
        let arguments = b"\x00\x01\x86\xa5\0\0\0\x03\0\0\0\x06\0\0\0\0";
        assert_eq!(call.arguments(), arguments);
        assert_eq!(port(MOUNT, b"\0\0\x4e\x20"), at(20_000));
        assert_eq!(port(MOUNT, b"\0\0\0\0"), at(0));

        // What is to be called over UDP is in the arguments.
        let udp = over(Transport::Datagrams, MOUNT);
        let bytes = udp.call().unwrap();
        assert_eq!(bytes[bytes.len() - 5], 17);
        assert_eq!(udp.transport(), Transport::Stream);
    }

    #[test]
    fn later_versions_are_asked_for_an_address_over_the_transport_that_is_meant() {
        for (version, transport, ipv6, netid) in [
            (3, Transport::Stream, true, &b"\0\0\0\x04tcp6"[..]),
            (4, Transport::Datagrams, true, b"\0\0\0\x04udp6"),
            (4, Transport::Stream, false, b"\0\0\0\x03tcp\0"),
            (3, Transport::Datagrams, false, b"\0\0\0\x03udp\0"),
        ] {
            let message = Message {
                version,
                ipv6,
                ..over(transport, MOUNT)
            };
            assert_eq!(message.transport(), transport);
            let bytes = message.call().unwrap();
            let call = CallView::new(&bytes).unwrap();
            let called = (call.program(), call.version(), call.procedure());
            assert_eq!(called, (100_000, version, 3));
            assert!(call.arguments()[8..].starts_with(netid));
            let address = b"\0\0\0\x09::1.78.32\0\0\0";
            assert_eq!(port(message, address), at(20_000));
            assert_eq!(port(message, b"\0\0\0\0"), at(0));
            let error = port(message, b"\0\0\0\x04what").unwrap_err();
            assert_eq!(error, "\"what\" is no address");
        }
    }

    #[test]
    fn other_versions_may_be_known() {
        let (low, high) = (3, 4);
        let mismatch = Reply::accepted(XID, AcceptStatus::ProgMismatch { low, high });
        let other = Ok(Answer::OtherVersions { low, high });
        assert_eq!(answer_to(MOUNT, mismatch, b""), other);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for (results, error) in [
            (&b"\0\x01\0\0"[..], "65536 is no port"),
            (b"", "cut off"),
            (b"\0\0\0\x01\0\0\0\0", "4 bytes too many"),
        ] {
            assert_eq!(port(MOUNT, results), Err(error.to_owned()));
        }
        let (low, high) = (3, 4);
        for (reply, error) in [
            (
                Reply::accepted(XID, AcceptStatus::ProgUnavail),
                "PROG_UNAVAIL",
            ),
            (
                Reply::denied(XID, Denial::RpcMismatch { low, high }),
                "denied, RPC_MISMATCH (versions 3 to 4)",
            ),
            (
                Reply::accepted(XID + 1, AcceptStatus::Success),
                "a reply with xid 0x00000008 to 0x00000007",
            ),
        ] {
            assert_eq!(answer_to(MOUNT, reply, b""), Err(error.to_owned()));
        }
    }
}
