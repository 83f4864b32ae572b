// SPDX-License-Identifier: GPL-2.0

//! kupper: answers each line with the same line in upper case. The example of docs/writing-a-service.md.

use core::net::SocketAddr;
use kernel::prelude::*;
use ksf::{
    Datagram,
    Progress,
    Service,
    Stream,
    Svc,
    Verdict, //
};

module! {
    type: Kupper,
    name: "kupper",
    authors: ["The ksf authors"],
    description: "Upper case service in the kernel",
    license: "GPL",
}

ksf::service_params! {
    static PARAMS: port = 60008;
}

ksf::module_param! {
    /// How long a conversation is.
    static MAX_LINES: max_lines = 1000 in 1..=1000000, mode 0o644, "lines after which a connection is closed";
}

/// The longest line, with its end.
const MAX_LINE: usize = 256;

struct Upper;

/// What is kept for each connection.
struct Conn {
    lines: u64,
}

impl Service for Upper {
    type Conn = Conn;
    type Core = ();

    fn open(&self, _peer: SocketAddr) -> Result<Conn> {
        Ok(Conn { lines: 0 })
    }

    fn stream(&self, conn: &mut Conn, stream: &mut Stream<'_>) -> Result<Progress> {
        while stream.may_go_on() {
            let mut line = [0; MAX_LINE];
            let received = stream.peek(&mut line);
            let Some(end) = line[..received].iter().position(|byte| *byte == b'\n') else {
                if received == MAX_LINE {
                    return Err(EMSGSIZE);
                }
                return Ok(Progress::Need(received + 1));
            };
            let line = &mut line[..=end];
            line.make_ascii_uppercase();
            stream.reply(line)?;
            stream.consume(line.len());
            stream.count_request();

            conn.lines += 1;
            if conn.lines >= MAX_LINES.get() {
                return Ok(Progress::Close);
            }
        }
        Ok(Progress::Need(1))
    }

    fn datagram(&self, _core: &mut (), datagram: &mut Datagram<'_>) -> Result<Verdict> {
        if datagram.peer().port() < 1024 {
            return Ok(Verdict::RefuseSource);
        }
        let mut text = [0; MAX_LINE];
        if datagram.available() > text.len() {
            return Err(EMSGSIZE);
        }
        let received = datagram.peek(&mut text);
        text.make_ascii_uppercase();
        datagram.reply(&text[..received])?;
        Ok(Verdict::Done)
    }
}

struct Kupper {
    _svc: Svc,
}

impl kernel::Module for Kupper {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let svc = Svc::start(c"kupper", Upper, &PARAMS)?;
        pr_info!("serving {} on {:?}\n", PARAMS.proto.word(), svc.address());
        Ok(Kupper { _svc: svc })
    }
}
