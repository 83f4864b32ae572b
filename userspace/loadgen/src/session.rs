// SPDX-License-Identifier: GPL-2.0

//! One run after the other against the same server.

use std::{error, fmt, io, net::SocketAddr};

use crate::{
    interrupt::Interrupt,
    load::Load,
    protocol::Protocol,
    pulse::Pulses,
    result::RunResult,
    run::{run, Machine, RunError},
    socket::{SocketOptions, Sockets},
    target::{ConnectError, Peer, Target},
};

/// Why there was no run.
#[derive(Debug)]
pub enum SessionError {
    /// The server's name has no address.
    Resolve(Target, io::Error),
    /// The server does not take connections.
    Connect(ConnectError),
    /// A thread could not be started.
    Run(RunError),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(target, error) => write!(f, "cannot resolve {target}: {error}"),
            Self::Connect(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl error::Error for SessionError {}

/// A server that is measured, and by what.
///
/// Every run has new connections, to the same address as the first one.
#[derive(Debug)]
pub struct Session<'a, P> {
    protocol: &'a P,
    machine: Machine,
    options: SocketOptions,
    interrupt: Interrupt,
    peer: Peer,
    /// The number of the next connection.
    next_number: u64,
}

impl<'a, P: Protocol> Session<'a, P> {
    /// Looks the server up. Nothing is sent yet. Runs end early when the interrupt is raised.
    ///
    /// # Errors
    ///
    /// Its name has no address.
    pub fn new(
        protocol: &'a P,
        target: &Target,
        machine: Machine,
        options: SocketOptions,
        interrupt: Interrupt,
    ) -> Result<Self, SessionError> {
        let peer = target
            .resolve()
            .map_err(|error| SessionError::Resolve(target.clone(), error))?;
        Ok(Self {
            protocol,
            machine,
            options,
            interrupt,
            peer,
            next_number: 0,
        })
    }

    /// The address that took the last connections, or that is tried next if none has.
    pub fn address(&self) -> SocketAddr {
        self.peer.address()
    }

    /// Opens the connections of a run.
    ///
    /// # Errors
    ///
    /// The server does not take them.
    pub fn connect(&mut self, load: &Load) -> Result<Sockets, SessionError> {
        self.peer
            .open(load.transport, load.connections, &self.options)
            .map_err(SessionError::Connect)
    }

    /// Runs a load over connections that were opened for it. Its threads tell the pulses what they do meanwhile.
    ///
    /// # Errors
    ///
    /// A thread could not be started, and nothing was sent. What goes wrong later is in the result.
    pub fn run(
        &mut self,
        load: &Load,
        sockets: Sockets,
        pulses: Option<&Pulses>,
    ) -> Result<RunResult, SessionError> {
        let first_number = self.next_number;
        self.next_number += load.connections as u64;
        run(
            self.protocol,
            load,
            &self.machine,
            sockets.sockets,
            first_number,
            pulses,
            &self.interrupt,
        )
        .map_err(SessionError::Run)
    }
}
