// SPDX-License-Identifier: GPL-2.0

//! Packets of each type that an engine sends, byte by byte.

use std::fmt::Write;

use super::{nothing, Script};
use crate::{
    packet::{Ack, Packet, LAST, PING},
    watch::Side,
};

/// Whether the only datagram is this, in hexadecimal digits with spaces anywhere.
#[track_caller]
fn assert_is(said: &[Packet], expected: &str) {
    let [packet] = said else {
        panic!("not one packet: {said:?}");
    };
    let mut digits = String::new();
    for byte in packet.to_bytes() {
        let _ = write!(digits, "{byte:02x}");
    }
    assert_eq!(
        digits,
        expected.replace(char::is_whitespace, ""),
        "{packet}"
    );
}

#[test]
fn data_of_a_client() {
    let (_, said) = Script::client(b"ask");
    assert_is(
        &said,
        "81234567 00030040 00000001 00000001 00001001 01 05 00 00 0000 0093 61736b",
    );
}

#[test]
fn data_of_a_server() {
    let mut script = Script::new(Side::Server);
    script.hear(script.data(2, 5, 1, LAST, b"request"));
    let said = script.reply(2, 5, b"reply");
    assert_is(
        &said,
        "81234567 00030042 00000005 00000001 00001001 01 04 00 00 0000 0093 7265706c79",
    );
}

#[test]
fn an_abort_of_a_call() {
    let mut script = Script::new(Side::Server);
    script.hear(script.data(1, 1, 1, LAST, b"request"));
    let said = script.abort(1, 1, -455);
    assert_is(
        &said,
        "81234567 00030041 00000001 00000000 00001001 04 00 00 00 0000 0093 fffffe39",
    );
}

#[test]
fn an_abort_of_a_connection() {
    let (mut script, _) = Script::client(b"ask");
    let said = script.hear(Packet {
        payload: vec![0; 16],
        ..script.packet(6, 0, 0)
    });
    assert_is(
        &said,
        "81234567 00030040 00000000 00000000 00001002 04 01 00 00 0000 0093 fffffffb",
    );
}

#[test]
fn an_answer_to_a_ping() {
    let mut script = Script::server();
    script.hear(script.data(0, 1, 1, LAST, b"request"));
    let ping = script.ack(
        0,
        1,
        Ack {
            reason: PING,
            ..nothing()
        },
    );
    let (serial, said) = (ping.serial, script.hear(ping));
    let digits = format!(
        "81234567 00030040 00000001 00000000 {:08x} 02 20 00 00 0000 0093
         0000 0000 00000002 00000001 {serial:08x} 07 00 000000 000005a0 000005a0 000000ff 00000001",
        said[0].serial
    );
    assert_is(&said, &digits);
}

#[test]
fn an_ack_of_a_hole() {
    let (mut script, _) = Script::client(b"ask");
    let said = script.hear(script.data(0, 1, 3, 0, b"three"));
    assert_is(
        &said,
        "81234567 00030040 00000001 00000000 00001002 02 21 00 00 0000 0093
         0000 0000 00000001 00000003 00000001 03 03 00 00 01 000000 000005a0 000005a0 000000ff 00000001",
    );
}

#[test]
fn a_question_to_a_stranger() {
    let mut script = Script::new(Side::Server);
    script.hear(script.data(0, 1, 1, LAST, &[1; 18]));
    let said = script.reply(0, 1, &[2; 100]);
    assert_is(
        &said,
        "81234567 00030040 00000001 00000000 00001001 02 22 00 00 0000 0093
         0000 0000 00000002 00000001 00000000 06 00",
    );
}
