// SPDX-License-Identifier: GPL-2.0

//! Asks a server's rpcbind at which port a program is.

mod exchange;
mod message;

use std::{net::SocketAddr, num::NonZeroU16, time::Instant};

use anyhow::{anyhow, bail, Context};
use loadgen::{load::Transport, socket::SocketOptions};
use wire::{portmap, rpc::AcceptStatus};

use self::{
    exchange::{exchange, Deadline},
    message::{Answer, Message},
};
use crate::procedure::Procedure;

/// What rpcbind is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The program and its version.
    pub(crate) procedure: Procedure,
    /// What the program is to be called over.
    pub(crate) transport: Transport,
}

/// Asks the rpcbind at one address of a host after the other, until one knows the program, and returns where that is.
///
/// All of it takes no longer than the timeout of the options, of which each address has its share.
///
/// # Errors
///
/// None knows it. What each answered is in the error.
pub(crate) fn locate(
    question: Question,
    addresses: &[SocketAddr],
    options: &SocketOptions,
) -> anyhow::Result<SocketAddr> {
    let mut now = Instant::now();
    let (began, mut left) = (now, options.timeout);
    let (mut problems, mut advice) = (Vec::new(), "");
    for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        let deadline = Deadline::new(now, left / others);
        match ask(question, *address, options, deadline) {
            Ok(Found::At(port)) => return Ok(SocketAddr::new(address.ip(), port.get())),
            Ok(Found::Nowhere { version }) => {
                let protocol = question.transport.name();
                problems.push(format!(
                    "rpcbind version {version} at {address} knows no {} over {protocol}",
                    question.procedure.program_version()
                ));
                advice = ": say at which port it is";
            }
            Err(error) => problems.push(format!("{error:#}")),
        }
        now = Instant::now();
        left = options.timeout.saturating_sub(now.duration_since(began));
    }
    Err(anyhow!("{}{advice}", problems.join("; ")))
}

/// What an rpcbind knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The port of the program.
    At(NonZeroU16),
    /// The program is not registered, says this version of rpcbind.
    Nowhere { version: u32 },
}

/// Asks the rpcbind at one address, in the first version that it has.
fn ask(
    question: Question,
    address: SocketAddr,
    options: &SocketOptions,
    deadline: Deadline,
) -> anyhow::Result<Found> {
    // Everybody has version 2 for IPv4, which is all that it was made for.
    let mut versions = vec![portmap::RPCB_VERSION_4, portmap::RPCB_VERSION];
    versions.insert(if address.is_ipv4() { 0 } else { 2 }, portmap::VERSION);
    loop {
        let version = versions.remove(0);
        let message = Message {
            question,
            version,
            ipv6: address.is_ipv6(),
            // A reply to an earlier call must not be taken for one to this.
            xid: fastrand::u32(..),
        };
        let what = || format!("rpcbind version {version} at {address}");
        let call = message.call().with_context(what)?;
        let transport = message.transport();
        let reply = exchange(&call, address, transport, options, deadline).with_context(what)?;
        match message.answer(&reply).with_context(what)? {
            Answer::Port(Some(port)) => return Ok(Found::At(port)),
            Answer::Port(None) => return Ok(Found::Nowhere { version }),
            Answer::OtherVersions { low, high } => {
                versions.retain(|version| (low..=high).contains(version));
                if versions.is_empty() {
                    let status = AcceptStatus::ProgMismatch { low, high };
                    bail!("{}: {status}", what());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
        time::Duration,
    };

    const MOUNT: Question = Question {
        procedure: Procedure {
            program: 100_005,
            version: 3,
            number: 0,
        },
        transport: Transport::Stream,
    };
    const OPTIONS: SocketOptions = SocketOptions {
        timeout: Duration::from_secs(60),
        bind: None,
        busy_poll: false,
    };

    /// An rpcbind that answers one call with this port.
    fn rpcbind(port: u32) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut call = [0; 60];
            stream.read_exact(&mut call).unwrap();
            let xid = u32::from_be_bytes(call[4..8].try_into().unwrap());
            let reply = [0x8000_001c, xid, 1, 0, 0, 0, 0, port];
            stream
                .write_all(&reply.map(u32::to_be_bytes).concat())
                .unwrap();
        });
        address
    }

    #[test]
    fn the_next_address_is_asked_if_one_does_not_know() {
        let (none, knows) = (rpcbind(0), rpcbind(20_000));
        let found = locate(MOUNT, &[none, knows], &OPTIONS).unwrap();
        assert_eq!(found, SocketAddr::from(([127, 0, 0, 1], 20_000)));
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let (none, broken) = (rpcbind(0), rpcbind(1 << 16));
        let error = locate(MOUNT, &[none, broken], &OPTIONS).unwrap_err();
        let text = format!(
            "rpcbind version 2 at {none} knows no mount version 3 over TCP; \
             rpcbind version 2 at {broken}: 65536 is no port: say at which port it is"
        );
        assert_eq!(error.to_string(), text);
    }
}
