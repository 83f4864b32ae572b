// SPDX-License-Identifier: GPL-2.0

//! What a server says to a message: RFC 5531 sections 7 to 9, in the order in which Linux's sunrpc looks at things
//! (`net/sunrpc/svc.c`, `svc_process_common()`).
//!
//! A [`Program`] is a type that has a number, versions, and procedures; a server is a list of them, as [`Entry`]s. It knows
//! no socket: a message goes in, and what is to be done comes out.
//!
//! # Examples
//!
//! ```
//! use wire::{program, rpc::server::{registry, serve, Answer, Entry, Procedure, Program, Version}};
//!
//! struct Nfs;
//!
//! impl Program<()> for Nfs {
//!     const NUMBER: u32 = program::NFS;
//!     const NAME: &'static str = "nfs";
//!     const VERSIONS: &'static [Version<()>] = &[Version { number: 3, procedures: &[Procedure::NULL] }];
//! }
//!
//! static PROGRAMS: [Entry<()>; 1] = registry([Entry::of::<Nfs>()]);
//!
//! // A call of NULL, by nobody.
//! let call = *b"\0\0\0\x07\0\0\0\0\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
//! let mut reply = [0; 32];
//! let outcome = serve(&PROGRAMS, &(), &call, &mut reply);
//! assert_eq!(outcome.answer, Answer::Reply(24));
//! assert_eq!(reply[..24], *b"\0\0\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
//! ```

use super::{
    AcceptStatus,
    AuthStat,
    AuthSysView,
    CallError,
    CallView,
    Denial,
    Flavor,
    OpaqueAuth,
    Reply,
    MAX_AUTH_BYTES,
    NULL,
    VERSION, //
};
use crate::xdr::{
    self,
    Writer,
    UNIT, //
};

/// The most bytes that a call has before its arguments: of a longer message, no more are needed to find out what it is.
pub const MAX_HEADER_BYTES: usize = 10 * UNIT + 2 * MAX_AUTH_BYTES as usize;

/// The most bytes that a reply has that has no results.
pub const MAX_ERROR_BYTES: usize = 8 * UNIT;

/// The bytes of a reply before its results.
pub const SUCCESS_BYTES: usize = 6 * UNIT;

/// A program: what clients call. `C` is what all its procedures are given, for example the volumes that they read.
pub trait Program<C: 'static> {
    /// Its number, by which it is called: [`crate::program`] has well-known ones.
    const NUMBER: u32;

    /// Its name, as in `/etc/rpc`.
    const NAME: &'static str;

    /// Its versions, lowest first, at least one.
    const VERSIONS: &'static [Version<C>];
}

/// A version of a program.
#[derive(Debug)]
pub struct Version<C: 'static> {
    /// Its number.
    pub number: u32,
    /// Its procedures by their numbers, of which 0 is always [`Procedure::NULL`].
    pub procedures: &'static [Procedure<C>],
}

impl<C: 'static> Version<C> {
    /// A version that has nothing but NULL, so that a client can find out that it is there.
    pub const fn null_only(number: u32) -> Self {
        Self {
            number,
            procedures: Self::NULL_ONLY,
        }
    }

    const NULL_ONLY: &'static [Procedure<C>] = &[Procedure::NULL];
}

/// A procedure of a version of a program.
#[derive(Debug)]
pub struct Procedure<C: 'static> {
    /// Its name, as in the specification of the program.
    pub name: &'static str,
    /// Reads the arguments of a call, and writes its results. What was written before a failure is not sent.
    pub call: fn(&C, &Request<'_, C>, &mut Writer<'_>) -> Result<(), Failure>,
}

impl<C: 'static> Procedure<C> {
    /// Takes nothing, does nothing and returns nothing. Arguments are not looked at, as sunrpc does not.
    pub const NULL: Self = Self {
        name: "NULL",
        call: |_, _, _| Ok(()),
    };
}

/// Why a procedure has no results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It cannot read its arguments.
    GarbageArgs,
    /// Anything else, for example results that there is no room for.
    SystemErr,
}

impl From<xdr::Error> for Failure {
    fn from(error: xdr::Error) -> Self {
        match error {
            xdr::Error::NoRoom => Self::SystemErr,
            _ => Self::GarbageArgs,
        }
    }
}

/// A [`Program`] among those that a server has.
#[derive(Debug)]
pub struct Entry<C: 'static> {
    /// See [`Program::NUMBER`].
    pub number: u32,
    /// See [`Program::NAME`].
    pub name: &'static str,
    /// See [`Program::VERSIONS`].
    pub versions: &'static [Version<C>],
    /// How many procedures come before those of this program, in all versions of all programs.
    first_slot: usize,
}

impl<C: 'static> Entry<C> {
    /// The entry of `P`.
    pub const fn of<P: Program<C>>() -> Self {
        const {
            let mut versions = P::VERSIONS;
            assert!(!versions.is_empty());
            while let [version, rest @ ..] = versions {
                // NULL is there, and versions ascend, so that the first and the last are what a client is told.
                assert!(!version.procedures.is_empty());
                if let [next, ..] = rest {
                    assert!(version.number < next.number);
                }
                versions = rest;
            }
        };
        Self {
            number: P::NUMBER,
            name: P::NAME,
            versions: P::VERSIONS,
            first_slot: 0,
        }
    }

    /// How many procedures it has, in all versions.
    const fn slots(&self) -> usize {
        let mut slots = 0_usize;
        let mut versions = self.versions;
        while let [version, rest @ ..] = versions {
            slots = slots.saturating_add(version.procedures.len());
            versions = rest;
        }
        slots
    }

    /// The version of this number and the slot of its first procedure, or what a client is told that asked for another.
    #[inline]
    fn version(&self, number: u32) -> Result<(&'static Version<C>, usize), Reason> {
        let mut slot = self.first_slot;
        for version in self.versions {
            if version.number == number {
                return Ok((version, slot));
            }
            slot = slot.saturating_add(version.procedures.len());
        }
        Err(self.mismatch())
    }

    #[cold]
    fn mismatch(&self) -> Reason {
        let number = |version: &Version<C>| version.number;
        Reason::ProgMismatch {
            low: self.versions.first().map_or(0, number),
            high: self.versions.last().map_or(0, number),
        }
    }
}

/// The programs of a server, most often called first.
pub const fn registry<C: 'static, const N: usize>(mut programs: [Entry<C>; N]) -> [Entry<C>; N] {
    let mut first_slot = 0_usize;
    let mut rest: &mut [Entry<C>] = &mut programs;
    while let [entry, others @ ..] = rest {
        entry.first_slot = first_slot;
        first_slot = first_slot.saturating_add(entry.slots());
        rest = others;
    }
    programs
}

/// How many [slots](Request::slot) the procedures of these programs have.
pub fn slots<C: 'static>(programs: &[Entry<C>]) -> usize {
    programs
        .iter()
        .map(Entry::slots)
        .fold(0, usize::saturating_add)
}

/// Who calls, as far as the server believes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller<'a> {
    /// Nobody.
    None,
    /// A Unix user, as the client says.
    Sys(AuthSysView<'a>),
}

/// A call of a procedure that the server has.
#[derive(Debug)]
pub struct Request<'a, C: 'static> {
    view: CallView<'a>,
    caller: Caller<'a>,
    procedure: &'static Procedure<C>,
    slot: usize,
}

impl<C: 'static> Clone for Request<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: 'static> Copy for Request<'_, C> {}

impl<'a, C: 'static> Request<'a, C> {
    /// The number by which the client knows the reply.
    #[inline]
    pub const fn xid(&self) -> u32 {
        self.view.xid()
    }

    /// Who calls.
    #[inline]
    pub const fn caller(&self) -> Caller<'a> {
        self.caller
    }

    /// What is called.
    #[inline]
    pub const fn procedure(&self) -> u32 {
        self.view.procedure()
    }

    /// The arguments, as far as the message was given to [`receive()`].
    #[inline]
    pub const fn arguments(&self) -> &'a [u8] {
        self.view.arguments()
    }

    /// A number for the procedure, below [`slots()`], in the order of programs, versions and procedures.
    #[inline]
    pub const fn slot(&self) -> usize {
        self.slot
    }
}

/// Why a message is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has no xid and no type.
    Runt,
    /// It is of another type than a call.
    NotACall,
    /// It ends before it says what is called.
    ShortHeader,
    /// It is of another version of RPC.
    RpcMismatch,
    /// The server does not accept the credential or the verifier.
    Auth(AuthStat),
    /// The server does not have the program.
    ProgUnavail,
    /// The server has other versions of the program.
    ProgMismatch {
        /// The lowest.
        low: u32,
        /// The highest.
        high: u32,
    },
    /// The program does not have the procedure.
    ProcUnavail,
    /// The procedure cannot read its arguments.
    GarbageArgs,
    /// The procedure failed otherwise.
    SystemErr,
}

impl Reason {
    /// What is to be done, if the message's number is `xid`.
    pub const fn action(self, xid: u32) -> Action {
        let status = match self {
            Self::Runt | Self::ShortHeader => return Action::Close,
            Self::NotACall => return Action::Drop,
            Self::RpcMismatch => {
                let (low, high) = (VERSION, VERSION);
                return Action::Reply(Reply::denied(xid, Denial::RpcMismatch { low, high }));
            }
            Self::Auth(stat) => return Action::Reply(Reply::denied(xid, Denial::AuthError(stat))),
            Self::ProgUnavail => AcceptStatus::ProgUnavail,
            Self::ProgMismatch { low, high } => AcceptStatus::ProgMismatch { low, high },
            Self::ProcUnavail => AcceptStatus::ProcUnavail,
            Self::GarbageArgs => AcceptStatus::GarbageArgs,
            Self::SystemErr => AcceptStatus::SystemErr,
        };
        Action::Reply(Reply::accepted(xid, status))
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::GarbageArgs => Self::GarbageArgs,
            Failure::SystemErr => Self::SystemErr,
        }
    }
}

/// What is done with a message that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Drop,
    /// The connection is closed: its next record might be no message either. A datagram is dropped.
    Close,
    /// This is the answer.
    Reply(Reply<'static>),
}

/// A message that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its number, or 0 if it has none.
    pub xid: u32,
    /// Why it is not served.
    pub reason: Reason,
}

impl Refusal {
    /// What is done with it.
    pub const fn action(&self) -> Action {
        self.reason.action(self.xid)
    }
}

/// Finds out what a message calls. Of a long message, the first [`MAX_HEADER_BYTES`] are enough.
///
/// # Errors
///
/// A message that is no call, or one of something that the server does not have, or by somebody whom it does not accept.
// Always, or the compiler would put a request together in memory of which a NULL needs nothing.
#[inline(always)]
pub fn receive<'a, C: 'static>(
    programs: &'static [Entry<C>],
    message: &'a [u8],
) -> Result<Request<'a, C>, Refusal> {
    let view = CallView::new(message).map_err(|error| no_call(message, error))?;
    let refuse = |reason| Refusal {
        xid: view.xid(),
        reason,
    };
    let caller = authenticate(&view).map_err(|stat| refuse(Reason::Auth(stat)))?;
    let program = programs
        .iter()
        .find(|program| program.number == view.program())
        .ok_or(refuse(Reason::ProgUnavail))?;
    let (version, first_slot) = program.version(view.version()).map_err(refuse)?;
    let number = view.procedure() as usize;
    let procedure = version
        .procedures
        .get(number)
        .ok_or(refuse(Reason::ProcUnavail))?;
    Ok(Request {
        view,
        caller,
        procedure,
        slot: first_slot.saturating_add(number),
    })
}

/// What `error` in `message` means to a server.
#[cold]
fn no_call(message: &[u8], error: CallError) -> Refusal {
    let (xid, reason) = match error {
        CallError::Truncated if message.len() < 2 * UNIT => (0, Reason::Runt),
        CallError::Truncated => (0, Reason::ShortHeader),
        CallError::NotACall(_) => (0, Reason::NotACall),
        CallError::RpcVersion { xid, .. } => (xid, Reason::RpcMismatch),
        CallError::Auth { xid, .. } => (xid, Reason::Auth(AuthStat::BADCRED)),
    };
    Refusal { xid, reason }
}

/// Finds out who calls, as sunrpc does (`net/sunrpc/svcauth_unix.c`): first what the credential is, then the verifier.
///
/// A server without TLS takes the probe for it as a call of NULL by nobody: RFC 9289 section 4.1. RPCSEC_GSS and all else is
/// a bad credential, as to sunrpc without the module for it: another answer would have Linux's client try again.
#[inline]
fn authenticate<'a>(view: &CallView<'a>) -> Result<Caller<'a>, AuthStat> {
    let credential = view.credential();
    // A short cut: what is below comes to the same.
    if credential == OpaqueAuth::NONE && view.verifier() == OpaqueAuth::NONE {
        return Ok(Caller::None);
    }
    let caller = match credential.flavor {
        Flavor::NONE | Flavor::TLS if credential.body.is_empty() => Caller::None,
        Flavor::SYS => {
            let sys = AuthSysView::new(credential.body).map_err(|_| AuthStat::BADCRED)?;
            Caller::Sys(sys)
        }
        _ => return Err(AuthStat::BADCRED),
    };
    if view.verifier() != OpaqueAuth::NONE {
        return Err(AuthStat::BADVERF);
    }
    if credential.flavor == Flavor::TLS && view.procedure() != NULL {
        return Err(AuthStat::BADCRED);
    }
    Ok(caller)
}

/// Has `request` served, and writes the reply to the beginning of `buffer`, which has at least [`MAX_ERROR_BYTES`]. Returns
/// how many bytes it has.
///
/// # Errors
///
/// Why the procedure failed; nothing of use is in `buffer` then. A reply that is longer than the buffer is
/// [`Failure::SystemErr`].
#[inline]
pub fn call<C: 'static>(
    context: &C,
    request: &Request<'_, C>,
    buffer: &mut [u8],
) -> Result<usize, Failure> {
    let (head, results) = buffer
        .split_first_chunk_mut::<SUCCESS_BYTES>()
        .ok_or(Failure::SystemErr)?;
    Reply::write_success(request.xid(), head);
    if request.procedure() == NULL {
        return Ok(SUCCESS_BYTES);
    }
    // Of its own, so that for NULL the compiler need not put together what nobody looks at.
    let request = *request;
    let mut writer = Writer::new(results);
    (request.procedure.call)(context, &request, &mut writer)?;
    Ok(SUCCESS_BYTES.saturating_add(writer.len()))
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What is to be done now.
    pub answer: Answer,
    /// The [slot](Request::slot) of the procedure, if the message called one.
    pub slot: Option<usize>,
    /// Why it was not served, if it was not.
    pub reason: Option<Reason>,
}

/// What is done after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Drop,
    /// The connection is closed.
    Close,
    /// So many bytes are sent, from the beginning of the buffer.
    Reply(usize),
}

/// Serves a message: [`receive()`], [`call()`], and the reply to what is refused.
///
/// `buffer` is the room for the reply. When that is less than [`MAX_ERROR_BYTES`], a refusal may be dropped.
#[inline]
pub fn serve<C: 'static>(
    programs: &'static [Entry<C>],
    context: &C,
    message: &[u8],
    buffer: &mut [u8],
) -> Outcome {
    serve_if(programs, context, message, buffer, |_| Ok(()))
}

/// As [`serve()`], if `admit` has nothing against it.
#[inline]
pub fn serve_if<C: 'static>(
    programs: &'static [Entry<C>],
    context: &C,
    message: &[u8],
    buffer: &mut [u8],
    admit: impl FnOnce(&Request<'_, C>) -> Result<(), AuthStat>,
) -> Outcome {
    let (slot, refusal) = match receive(programs, message) {
        Ok(request) => {
            let result = match admit(&request) {
                Ok(()) => call(context, &request, buffer).map_err(Reason::from),
                Err(stat) => Err(Reason::Auth(stat)),
            };
            let (xid, slot) = (request.xid(), Some(request.slot()));
            match result {
                Ok(len) => {
                    return Outcome {
                        answer: Answer::Reply(len),
                        slot,
                        reason: None,
                    }
                }
                Err(reason) => (slot, Refusal { xid, reason }),
            }
        }
        Err(refusal) => (None, refusal),
    };
    Outcome {
        answer: refuse(&refusal, buffer),
        slot,
        reason: Some(refusal.reason),
    }
}

/// Writes the reply to what is refused.
#[cold]
fn refuse(refusal: &Refusal, buffer: &mut [u8]) -> Answer {
    match refusal.action() {
        Action::Drop => Answer::Drop,
        Action::Close => Answer::Close,
        Action::Reply(reply) => {
            let mut writer = Writer::new(buffer);
            match reply.write(&mut writer) {
                Ok(()) => Answer::Reply(writer.len()),
                Err(_) => Answer::Drop,
            }
        }
    }
}

#[cfg(test)]
mod tests;
