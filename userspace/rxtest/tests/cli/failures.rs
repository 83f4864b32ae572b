// SPDX-License-Identifier: GPL-2.0

//! Calls that are aborted or never answered, and servers that are not there.

use std::net::UdpSocket;

use wire::rx::{Flags, Header, PacketType};

use crate::{
    assert_failed,
    server::{pattern, serve, serve_over, Answer, Way},
    FETCH, RPC, RXTEST,
};

/// Three calls are answered, and then there is this.
fn after_three(answer: Answer) -> std::net::SocketAddr {
    serve(move |call| match call.number {
        0..3 => Answer::Reply(pattern(call)),
        _ => answer.clone(),
    })
}

#[test]
fn an_abort_is_told_with_its_code_in_words() {
    for (code, what) in [
        (
            -453,
            "code -453 (RXGEN_SS_UNMARSHAL: the server cannot read the request)",
        ),
        (110, "code 110 (VBUSY: the server is busy)"),
        (4711, "code 4711"),
    ] {
        let address = after_three(Answer::Abort(code));
        let run = RPC.run(&format!("-c 20 {address}"));
        let what = format!("request 4: aborted by the server with {what}");
        assert_failed(&run, &what, [20, 4, 3, 1]);
        assert_eq!(run.ledger().mismatched, 0);
    }
}

#[test]
fn a_call_that_is_never_answered_has_an_end() {
    // The server is there, and says so when it is asked.
    let address = after_three(Answer::Never);
    let run = RPC.run(&format!("-c 20 --timeout 1 {address}"));
    assert_failed(&run, "no progress for 1 s", [20, 4, 3, 1]);
}

#[test]
fn one_call_that_is_never_answered_among_others_has_an_end() {
    let address = serve(|call| match call.number {
        3 => Answer::Never,
        _ => Answer::Reply(pattern(call)),
    });
    let run = RPC.run(&format!("--duration 60 --streams 3 --timeout 1 {address}"));
    assert_eq!(run.status, Some(1), "{}", run.out);
    let what = "rxtest-rpc: run 1, connection 1 of 1: no reply to request ";
    assert!(run.err.starts_with(what), "{}", run.err);
    assert!(
        run.err.contains("within 1 s, though to later ones"),
        "{}",
        run.err
    );
    assert!(run.ledger().lost > 0, "{}", run.out);
    assert_eq!(run.ledger().mismatched, 0, "{}", run.out);
}

#[test]
fn a_server_that_falls_silent_is_told() {
    let mut replies = 0;
    let network = move |way, datagram: &[u8]| {
        let is_data = datagram[20] == PacketType::Data as u8;
        replies += usize::from(way == Way::ToClient && is_data);
        if replies > 3 {
            return Vec::new();
        }
        vec![datagram.to_vec()]
    };
    let address = serve_over(Box::new(network), |call| Answer::Reply(pattern(call)));
    let run = RPC.run(&format!("-c 20 --timeout 1 {address}"));
    assert_failed(&run, "no progress for 1 s", [20, 4, 3, 1]);
}

#[test]
fn silence_in_the_middle_of_a_reply_is_told() {
    let mut packets = 0;
    let network = move |way, datagram: &[u8]| {
        let is_data = datagram[20] == PacketType::Data as u8;
        packets += usize::from(way == Way::ToClient && is_data);
        if packets > 5 {
            return Vec::new();
        }
        vec![datagram.to_vec()]
    };
    let address = serve_over(Box::new(network), |call| Answer::Reply(pattern(call)));
    let run = FETCH.run(&format!("-c 20 --timeout 1 {address}"));
    assert_failed(&run, "no progress for 1 s", [20, 1, 0, 1]);
}

/// The header of the fourth reply's first packet is changed by `change`, with these bytes behind it.
fn with_fourth(
    change: impl Fn(&mut Header) + Send + 'static,
    payload: &'static [u8],
) -> std::net::SocketAddr {
    let mut replies = 0;
    let network = move |way, datagram: &[u8]| {
        let Some((mut header, _)) = Header::parse(datagram) else {
            return Vec::new();
        };
        let is_data = header.packet_type == PacketType::Data as u8;
        replies += usize::from(way == Way::ToClient && is_data);
        if replies == 4 {
            change(&mut header);
            return vec![[&header.to_bytes()[..], payload].concat()];
        }
        vec![datagram.to_vec()]
    };
    serve_over(Box::new(network), |call| Answer::Reply(pattern(call)))
}

#[test]
fn an_abort_of_the_connection_is_told() {
    let abort = |header: &mut Header| {
        header.packet_type = PacketType::Abort as u8;
        header.call_number = 0;
        header.seq = 0;
        header.flags = Flags::default();
    };
    let address = with_fourth(abort, &[0xff, 0xff, 0xff, 0x9c]);
    let run = RPC.run(&format!("-c 20 {address}"));
    let what =
        "request 4: aborted by the server with code -100 (RX_RESTARTING: the server is restarting)";
    assert_failed(&run, what, [20, 4, 3, 1]);
}

#[test]
fn a_server_that_wants_a_ticket_is_told() {
    let challenge = |header: &mut Header| {
        header.packet_type = PacketType::Challenge as u8;
        header.call_number = 0;
        header.seq = 0;
        header.flags = Flags::default();
    };
    let address = with_fourth(challenge, &[0; 16]);
    let run = RPC.run(&format!("-c 20 {address}"));
    let what = "request 4: the server contradicts itself: aborted with code -5 \
                (RX_PROTOCOL_ERROR: a packet contradicts the protocol)";
    assert_failed(&run, what, [20, 4, 3, 1]);
}

#[test]
fn a_port_where_nobody_is_is_told() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let run = RPC.run(&format!("-c 20 {address}"));
    let what = "Connection refused (os error 111)";
    assert_failed(&run, what, [20, 1, 0, 1]);
    let run = RXTEST.run(&format!("version {address}"));
    assert_eq!(
        (run.status, &run.err[..]),
        (
            Some(1),
            &format!("rxtest: cannot ask {address}: {what}\n")[..]
        )
    );
}

#[test]
fn what_was_measured_before_is_still_reported() {
    let address = serve(|call| match call.number {
        0..43 => Answer::Reply(pattern(call)),
        _ => Answer::Abort(-1),
    });
    let run = RPC.run(&format!("-c 20 -i 9 {address}"));
    assert_eq!(run.status, Some(1), "{}", run.out);
    assert_eq!(run.rows(), [("1", 20), ("2", 20), ("3", 3), ("all", 43)]);
}
