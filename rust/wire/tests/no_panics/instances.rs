// SPDX-License-Identifier: GPL-2.0

//! What is generic has no machine code of its own: this is some, as a server has it.

use wire::{
    record::{Error, Finder, Found, MARK_BYTES},
    rpc::{
        server::{self, Caller, Failure, Outcome, Refusal},
        AuthStat,
    },
    rx::{packets, Ack, Header, JumboError, Trailer},
    xdr::{self, Reader},
};

#[path = "../oracle/programs.rs"]
mod programs;

use programs::PROGRAMS;

pub fn serve(message: &[u8], buffer: &mut [u8]) -> Outcome {
    server::serve(&PROGRAMS, &(), message, buffer)
}

pub fn serve_some(message: &[u8], buffer: &mut [u8]) -> Outcome {
    server::serve_if(&PROGRAMS, &(), message, buffer, |request| {
        match request.caller() {
            Caller::Sys(sys) if sys.groups().any(|group| group == sys.gid()) => Ok(()),
            _ => Err(AuthStat::TOOWEAK),
        }
    })
}

pub fn receive(message: &[u8]) -> Result<(u32, u32, usize), Refusal> {
    server::receive(&PROGRAMS, message)
        .map(|request| (request.xid(), request.procedure(), request.slot()))
}

pub fn call(message: &[u8], buffer: &mut [u8]) -> Option<Result<usize, Failure>> {
    let request = server::receive(&PROGRAMS, message).ok()?;
    Some(server::call(&(), &request, buffer))
}

pub fn slots() -> usize {
    server::slots(&PROGRAMS)
}

pub fn find(finder: &mut Finder, available: usize, stream: &[u8]) -> Result<Found, Error> {
    finder.next(available, |offset| {
        stream.get(offset..)?.first_chunk::<MARK_BYTES>().copied()
    })
}

pub fn enumeration(reader: &mut Reader<'_>) -> xdr::Result<u8> {
    reader.enumeration()
}

pub fn write_ack(ack: &Ack, acks: &[bool], trailer: &Trailer, buffer: &mut [u8]) -> Option<usize> {
    ack.write(acks.iter().copied(), trailer, buffer)
}

pub fn last_packet(header: Header, payload: &[u8]) -> Option<Result<usize, JumboError>> {
    let last = packets(header, payload).last();
    last.map(|packet| packet.map(|packet| packet.offset))
}
