// SPDX-License-Identifier: GPL-2.0

//! kecho: sends back what it receives.

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
    type: Kecho,
    name: "kecho",
    authors: ["The ksf authors"],
    description: "Echo service in the kernel",
    license: "GPL",
}

ksf::service_params! {
    static PARAMS: port = 60007;
}

struct Echo;

impl Service for Echo {
    type Conn = ();
    type Core = ();

    fn open(&self, _peer: SocketAddr) -> Result {
        Ok(())
    }

    fn stream(&self, _conn: &mut (), stream: &mut Stream<'_>) -> Result<Progress> {
        stream.send_back(stream.available());
        stream.count_request();
        Ok(Progress::Need(1))
    }

    fn datagram(&self, _core: &mut (), datagram: &mut Datagram<'_>) -> Result<Verdict> {
        let port = datagram.peer().port();
        // Two echo services must not answer each other for ever, nor must one be made to talk to other services.
        if port < 1024 || port == datagram.local().port() {
            return Ok(Verdict::RefuseSource);
        }
        datagram.send_back();
        Ok(Verdict::Done)
    }
}

struct Kecho {
    _svc: Svc,
}

impl kernel::Module for Kecho {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let svc = Svc::start(c"kecho", Echo, &PARAMS)?;
        pr_info!("serving {} on {:?}\n", PARAMS.proto.word(), svc.address());
        Ok(Kecho { _svc: svc })
    }
}

impl Drop for Kecho {
    fn drop(&mut self) {
        pr_info!("unloading\n");
    }
}
