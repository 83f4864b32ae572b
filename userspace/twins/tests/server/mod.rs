// SPDX-License-Identifier: GPL-2.0

//! What the tests of all twins share: one that runs.

use std::{
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How long anything may take that should not take long.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A twin, until it is dropped.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts it on a port that the system chooses.
    #[track_caller]
    pub(crate) fn run(command: &mut Command) -> Self {
        Self::try_run(command).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts it, or returns why it cannot serve.
    pub(crate) fn try_run(command: &mut Command) -> Result<Self, String> {
        let mut process = command
            .args(["--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        if line.is_empty() {
            let mut errors = String::new();
            let mut stderr = process.stderr.take().unwrap();
            stderr.read_to_string(&mut errors).unwrap();
            process.wait().unwrap();
            return Err(errors);
        }
        let port = line.trim_end().rsplit(':').next().unwrap().parse().unwrap();
        Ok(Self { process, port })
    }

    pub(crate) fn v4(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn v6(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        self.connect_to(self.v4())
    }

    pub(crate) fn connect_to(&self, address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Sockets that are connected to it over IPv4 and IPv6.
    pub(crate) fn datagram_clients(&self) -> [UdpSocket; 3] {
        let (v4, v6) = (("0.0.0.0:0", self.v4()), ("[::]:0", self.v6()));
        [v4, v4, v6].map(|(any, address)| {
            let socket = UdpSocket::bind(any).unwrap();
            socket.connect(address).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
