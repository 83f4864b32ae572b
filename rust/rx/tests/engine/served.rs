// SPDX-License-Identifier: GPL-2.0

//! A server's connection with its service: each call that begins ends once, whatever comes.

use rx::{CallCounters, Identity, Instant, Outcome, Peer, Served, Service, Storage, Verdict};
use wire::rx::{AbortCode, Header};

use crate::{
    choices::{Choices, Seeded},
    endpoint::SERVICE,
    link::{Nanos, MICROSECOND, MILLISECOND, SECOND},
    packet::{Packet, DATA},
    storage::{Held, Meter, Simulated},
    victim::{packet, Known, CID, EPOCH},
    watch::Side,
};

/// A service that replies with whatever comes to its mind, and counts its calls.
struct Moody {
    random: fastrand::Rng,
    meter: Meter,
    begun: usize,
    ended: usize,
}

/// A call, whose number is held as long as it exists.
struct Call {
    _held: Held<usize>,
    is_whole: bool,
}

impl Service for Moody {
    type Storage = Simulated;
    type Call = Call;

    fn unread(&mut self) -> Option<<Simulated as Storage>::Unread> {
        let places = std::iter::repeat_with(|| None).take(32).collect();
        self.random.bool().then(|| self.meter.hold(places))
    }

    fn unacked(&mut self, _packets: u64) -> Option<<Simulated as Storage>::Unacked> {
        let places = vec![rx::Sent::default(); 32];
        self.random.bool().then(|| self.meter.hold(places))
    }

    fn begin(&mut self, _identity: Identity) -> Result<Call, AbortCode> {
        if self.random.u32(..10) == 0 {
            return Err(AbortCode::VBUSY);
        }
        self.begun += 1;
        Ok(Call {
            _held: self.meter.hold(self.begun),
            is_whole: false,
        })
    }

    fn request(&mut self, call: &mut Call, _part: Held<Vec<u8>>, is_last: bool) -> Verdict {
        assert!(!call.is_whole, "a part after the last");
        call.is_whole = is_last;
        match self.random.u32(..10) {
            0 => Verdict::Abort(AbortCode::OPCODE),
            1..6 if is_last => Verdict::Reply(self.random.u64(..20_000)),
            _ => Verdict::Wait,
        }
    }

    fn end(&mut self, _call: Call, _outcome: Outcome, _counters: &CallCounters) {
        self.ended += 1;
    }
}

fn instant(now: Nanos) -> Instant {
    Instant::from_micros(now / MICROSECOND)
}

/// Sends all that is due.
fn transmit(served: &mut Served<Moody>, peer: &mut Peer, now: Nanos, known: &mut Known) {
    let mut buffer = [0; rx::MAX_CONTROL_BYTES];
    while let Some(transmit) = served.poll_transmit(instant(now), peer, &mut buffer) {
        known.see(&Packet::parse(&buffer[..transmit.bytes]).expect("a header"));
    }
}

/// Lets time pass up to `end`.
fn wait(served: &mut Served<Moody>, service: &mut Moody, peer: &mut Peer, from: Nanos, end: Nanos) {
    let mut now = from;
    while let Some(at) = served.deadline().filter(|at| *at <= instant(end)) {
        now = now.max(at.as_micros() * MICROSECOND);
        served.expire(instant(now), peer, service);
        transmit(served, peer, now, &mut Known::default());
    }
}

fn survive(seed: u64) {
    let mut choices = Seeded::new(seed, 300);
    let meter = Meter::default();
    let mut service = Moody {
        random: fastrand::Rng::with_seed(!seed),
        meter: meter.clone(),
        begun: 0,
        ended: 0,
    };
    let identity = Identity {
        epoch: EPOCH,
        cid: CID,
        service_id: SERVICE,
    };
    let mut served = Served::new(identity, 0, instant(SECOND));
    let mut peer = Peer::new();
    let mut now = SECOND;
    let mut known = Known::default();
    while choices.goes_on() {
        let datagram = packet(&mut choices, Side::Server, &known).to_bytes();
        let (header, payload) = Header::parse(&datagram).expect("a header");
        if header.packet_type == DATA {
            let held = meter.hold(payload.to_vec());
            let bytes = datagram.len();
            served.receive_data(instant(now), &mut peer, &mut service, &header, bytes, held);
        } else {
            served.receive(instant(now), &mut peer, &mut service, &header, payload);
        }
        let channel = choices.below(16) as usize;
        if served.call(channel).is_some_and(|call| call.is_whole) {
            let bytes = u64::from(choices.below(20_000));
            served.reply(instant(now), &mut peer, &mut service, channel, bytes);
        }
        transmit(&mut served, &mut peer, now, &mut known);
        if choices.below(3) == 0 {
            let end = now + u64::from(choices.below(1_000)) * MILLISECOND;
            wait(&mut served, &mut service, &mut peer, now, end);
            now = end;
        }
    }
    served.close(instant(now), &mut peer, &mut service, AbortCode::CALL_DEAD);
    assert!((0..4).all(|channel| served.call(channel).is_none()));
    assert_eq!(
        (service.begun, meter.held()),
        (service.ended, 0),
        "seed {seed}"
    );
}

#[test]
fn each_call_that_begins_ends_once() {
    for seed in 0..2_000 {
        survive(seed);
    }
}
