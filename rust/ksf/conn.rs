// SPDX-License-Identifier: GPL-2.0

//! One socket and what is done with it, a turn at a time.
//!
//! A connection's callbacks only wake it, and put it on the list of the worker of the current CPU if it is on none. The
//! worker then has the connection's turn: it alone receives, serves and sends. A listener is served the same way.
//!
//! A worker never waits for a peer. When a peer does not take its replies, the connection stops receiving until there
//! is room to send, so that the peer's window closes.

use crate::{
    pool::{
        Pool,
        Scratch, //
    },
    service::Replies,
    svc::{
        GateGuard,
        Shared, //
    },
    sys::{
        list::Linked,
        socket::{
            self,
            Attached,
            Events,
            Socket, //
        },
        turns::Turns, //
    }, //
};
use core::mem;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        ArcBorrow, //
    }, //
};

/// How often a turn receives, or accepts, before other connections have theirs.
const TURN_BUDGET: usize = 16;

/// What a service does with one connection, whatever the service.
pub(crate) trait Stream: Send {
    /// See [`Service::stream()`](crate::Service::stream()).
    fn stream(&mut self, received: &[u8], replies: &mut Replies<'_>) -> Result;
}

/// A connection or a listener.
pub(crate) struct Conn {
    turns: Turns<State>,
    /// Set once, before the wake-up that makes a turn look at it.
    closing: Atomic<bool>,
    pool: Arc<Pool>,
    /// The last to be dropped: the service may be freed, and its module unloaded, afterwards.
    _gate: GateGuard,
}

/// What only the turn touches.
enum State {
    /// Nobody is told of the socket's events yet.
    New(Socket, Role),
    /// In service.
    Open(Attached<Linked<Conn>>, Role),
    /// Nothing is left to do.
    Closed,
}

/// What a socket is there for.
pub(crate) struct Role {
    kind: Kind,
    /// The service, and where this connection is among those of it.
    shared: Arc<Shared>,
    slot: usize,
}

enum Kind {
    /// To accept connections.
    Listener,
    /// To serve a peer.
    Stream {
        stream: KBox<dyn Stream>,
        unsent: Unsent,
    },
}

impl Role {
    /// A listener for the service of `shared`.
    pub(crate) fn listener(shared: &Arc<Shared>, slot: usize) -> Self {
        Self {
            kind: Kind::Listener,
            shared: shared.clone(),
            slot,
        }
    }

    /// A connection that `stream` serves.
    fn stream(shared: &Arc<Shared>, slot: usize, stream: KBox<dyn Stream>) -> Self {
        Self {
            kind: Kind::Stream {
                stream,
                unsent: Unsent::new(),
            },
            shared: shared.clone(),
            slot,
        }
    }
}

/// How a turn ended.
enum Next {
    /// Wait until woken.
    Wait,
    /// Have another turn when the others had theirs.
    Again,
    /// Have another turn after a while, for something is short, and nothing will say when it no longer is.
    Later,
    /// Close the socket.
    Close,
}

impl Conn {
    /// Creates a connection, or a listener, of `socket`. It starts when it is woken first.
    ///
    /// Process context.
    pub(crate) fn new(socket: Socket, role: Role) -> Result<Arc<Linked<Self>>> {
        let pool = role.shared.pool.clone();
        let gate = role.shared.gate.enter();
        let conn = Self {
            turns: Turns::new(State::New(socket, role)),
            closing: Atomic::new(false),
            pool,
            _gate: gate,
        };
        Ok(Arc::new(Linked::new(conn), GFP_KERNEL)?)
    }
}

impl Linked<Conn> {
    /// Asks for the socket to be closed.
    ///
    /// Any context.
    pub(crate) fn close(this: ArcBorrow<'_, Self>) {
        this.closing.store(true, Release);
        Self::wake(this);
    }

    /// Has the turn of a connection that came off a worker's list. Returns the connection if it is to be run again
    /// after a while.
    ///
    /// Process context, in the worker.
    pub(crate) fn run(this: Arc<Self>, scratch: &mut Scratch) -> Option<Arc<Self>> {
        let mut turn = this.turns.begin()?;
        let state = mem::replace(&mut *turn, State::Closed);
        let (state, next) = Self::step(&this, state, scratch);
        *turn = state;
        let is_queued = turn.end(matches!(next, Next::Again));
        if let Next::Later = next {
            // Not at once even if it was woken meanwhile: TCP itself announces room when it finds none.
            return Some(this);
        }
        if is_queued {
            this.pool.queue(this.clone());
        }
        None
    }

    /// Has the turn of a connection that [`run()`](Self::run) returned, after a while.
    ///
    /// As [`run()`](Self::run).
    pub(crate) fn run_delayed(this: Arc<Self>, scratch: &mut Scratch) -> Option<Arc<Self>> {
        // If it was woken meanwhile it is queued already, but on no list: it was held here, and the list refused it.
        let _ = this.turns.wake();
        Self::run(this, scratch)
    }

    /// Does what there is to do within the budget. Returns the state after it, and when there is more to do.
    fn step(this: &Arc<Self>, state: State, scratch: &mut Scratch) -> (State, Next) {
        let (socket, mut role) = match state {
            _ if this.closing.load(Acquire) => {
                state.close();
                return (State::Closed, Next::Wait);
            }
            // What came before the callbacks were there is found in this first turn.
            State::New(socket, role) => (socket.attach(this.clone()), role),
            State::Open(socket, role) => (socket, role),
            State::Closed => return (State::Closed, Next::Wait),
        };
        let next = match &mut role.kind {
            Kind::Listener => accept_all(&socket, &role.shared),
            Kind::Stream { stream, unsent } => serve(&socket, &mut **stream, unsent, scratch),
        };
        let state = State::Open(socket, role);
        if let Next::Close = next {
            state.close();
            return (State::Closed, Next::Wait);
        }
        (state, next)
    }
}

impl Events for Linked<Conn> {
    fn wake(this: ArcBorrow<'_, Self>) {
        if this.turns.wake() {
            this.pool.queue(this.into());
        }
    }
}

impl State {
    /// Closes the socket, then gives up what the service kept, then the place among its connections.
    fn close(self) {
        let role = match self {
            State::New(socket, role) => {
                drop(socket);
                role
            }
            State::Open(socket, role) => {
                drop(socket);
                role
            }
            State::Closed => return,
        };
        drop(role.kind);
        role.shared.conns.remove(role.slot);
    }
}

/// Accepts what has connected.
fn accept_all(listener: &Socket, shared: &Arc<Shared>) -> Next {
    for _ in 0..TURN_BUDGET {
        match listener.accept() {
            Ok(socket) => open(socket, shared),
            Err(error) if error == EAGAIN => return Next::Wait,
            Err(error) if socket::is_aborted_connection(error) => {}
            Err(error) if error == EINVAL => {
                // "ss --kill" does that.
                pr_err!("a listener was closed by somebody else, and accepts no more\n");
                return Next::Close;
            }
            // Memory or files are short.
            Err(_) => return Next::Later,
        }
    }
    Next::Again
}

/// Starts to serve an accepted connection. What goes wrong ends this one alone: dropping the socket closes it.
fn open(socket: Socket, shared: &Arc<Shared>) {
    if shared.conns.is_full() {
        return;
    }
    let stream = socket
        .peer_address()
        .and_then(|peer| shared.service.open(peer));
    let Ok(stream) = stream else {
        return;
    };
    let conn = shared
        .conns
        .insert(|slot| Conn::new(socket, Role::stream(shared, slot, stream)));
    if let Ok(conn) = conn {
        Linked::wake(conn.as_arc_borrow());
    }
}

/// Receives, serves and sends.
fn serve(
    socket: &Socket,
    stream: &mut dyn Stream,
    unsent: &mut Unsent,
    scratch: &mut Scratch,
) -> Next {
    for _ in 0..TURN_BUDGET {
        match unsent.send(socket) {
            Ok(()) => {}
            // Without bytes under way it is not the peer that is slow, but memory that is short.
            Err(error) if error == EAGAIN && socket.is_send_queue_empty() => return Next::Later,
            Err(error) if error == EAGAIN => return Next::Wait,
            Err(_) => return Next::Close,
        }
        let received = match socket.receive(&mut scratch.received) {
            Ok(0) => return Next::Close,
            Ok(len) => &scratch.received[..len],
            Err(error) if error == EAGAIN => return Next::Wait,
            Err(_) => return Next::Close,
        };
        let mut replies = Replies::new(&mut scratch.replies);
        if stream.stream(received, &mut replies).is_err()
            || unsent.send_or_keep(socket, replies.written()).is_err()
        {
            return Next::Close;
        }
    }
    Next::Again
}

/// Replies that the socket had no room for.
struct Unsent {
    bytes: KVVec<u8>,
    /// How many of them have been sent since.
    sent: usize,
}

impl Unsent {
    fn new() -> Self {
        Self {
            bytes: KVVec::new(),
            sent: 0,
        }
    }

    /// Sends what is left.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when some of it is still left, and the errors of the connection.
    fn send(&mut self, socket: &Socket) -> Result {
        while self.sent < self.bytes.len() {
            self.sent += socket.send(&self.bytes[self.sent..])?;
        }
        // A connection that waits for nothing keeps no memory.
        *self = Self::new();
        Ok(())
    }

    /// Sends `replies`, and keeps what there is no room for. Nothing else may be left.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when the rest cannot be kept, and the errors of the connection.
    fn send_or_keep(&mut self, socket: &Socket, mut replies: &[u8]) -> Result {
        while !replies.is_empty() {
            match socket.send(replies) {
                Ok(sent) => replies = &replies[sent..],
                Err(error) if error == EAGAIN => {
                    self.bytes.extend_from_slice(replies, GFP_KERNEL)?;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
