// SPDX-License-Identifier: GPL-2.0

//! `rxtest version`: asks an Rx server which program it is.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{bail, Context};
use loadgen::target::Server;
use wire::{
    rx::{version, Flags, Header, PacketType},
    rxperf::PORT,
};

/// How often it is asked, and how long an answer is waited for each time.
const TRIES: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(1);

/// The options of version.
#[derive(Debug, clap::Args)]
pub(crate) struct Version {
    /// The server; an IPv6 address is in brackets if a port follows
    #[arg(value_name = "HOST[:PORT]", value_parser = Server::parse)]
    server: Server,
}

impl Version {
    /// What the server says.
    ///
    /// # Errors
    ///
    /// It says nothing.
    pub(crate) fn ask(&self) -> anyhow::Result<String> {
        let target = self.server.at(self.server.port().unwrap_or(PORT));
        let addresses = target
            .addresses()
            .with_context(|| format!("cannot resolve {target}"))?;
        let address = addresses[0];
        match ask(address).with_context(|| format!("cannot ask {address}"))? {
            Some(text) => Ok(text),
            None => bail!("{address} has not answered {TRIES} times"),
        }
    }
}

/// Asks this server; `None` if it does not answer.
fn ask(server: SocketAddr) -> io::Result<Option<String>> {
    let local: SocketAddr = if server.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0; 16], 0).into()
    };
    let socket = UdpSocket::bind(local)?;
    socket.connect(server)?;
    for number in 1..=TRIES {
        // OpenAFS answers only if there is a payload.
        let request = [&header(number).to_bytes()[..], &[0; version::VERSION_BYTES]].concat();
        socket.send(&request)?;
        if let Some(text) = answer(&socket)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// What an answer says that comes in time.
fn answer(socket: &UdpSocket) -> io::Result<Option<String>> {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        let mut buffer = [0; 2048];
        let bytes = match socket.recv(&mut buffer) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let Some((header, payload)) = Header::parse(&buffer[..bytes]) else {
            continue;
        };
        let is_version = PacketType::try_from(header.packet_type) == Ok(PacketType::Version);
        if is_version && !header.flags.contains(Flags::CLIENT_INITIATED) {
            let text = version::text(payload);
            return Ok(Some(text.escape_ascii().to_string()));
        }
    }
}

/// The header of a question: of no connection, no call and no service.
fn header(serial: u32) -> Header {
    Header {
        epoch: 0,
        cid: 0,
        call_number: 0,
        seq: 0,
        serial,
        packet_type: PacketType::Version as u8,
        flags: Flags::CLIENT_INITIATED,
        user_status: 0,
        security_index: 0,
        checksum: 0,
        service_id: 0,
    }
}
