// SPDX-License-Identifier: GPL-2.0

//! Servers whose replies are not what they were sent.

use std::{
    io::Write,
    sync::{mpsc, Mutex},
};

use crate::{
    echotest,
    server::{echo, echo_messages, read_message, Server},
    Run,
};

/// Checks that the run failed at this byte, whatever its value.
#[track_caller]
fn assert_wrong_byte(run: &Run, message: u64, offset: usize) {
    let start = format!(
        "echotest: run 1, connection 1 of 1: message {message}, offset {offset}: expected 0x"
    );
    assert!(run.err.starts_with(&start), "{}", run.err);
    assert_eq!(
        (run.status, run.err.lines().count()),
        (Some(1), 1),
        "{}",
        run.err
    );
    assert_eq!(run.rows(), [("1", message - 1)], "{}", run.out);
}

#[test]
fn a_flipped_bit_is_found() {
    let server = Server::new(|stream, _| {
        echo_messages(stream, |message, number| {
            if number == 7 {
                message[5] ^= 0x10;
            }
        })
    });
    let run = echotest(&format!("-c 10 {}", server.address));
    assert_wrong_byte(&run, 7, 5);
    let ledger = "(messages: 10 scheduled, 7 sent, 6 answered, 1 lost)\n";
    assert!(run.err.ends_with(ledger), "{}", run.err);
    // The two bytes that it names are those that differ in this bit.
    let bytes: Vec<_> = run
        .err
        .split("0x")
        .skip(1)
        .map(|hex| u8::from_str_radix(&hex[..2], 16).unwrap())
        .collect();
    assert_eq!(bytes[0] ^ bytes[1], 0x10, "{}", run.err);
}

#[test]
fn the_last_byte_of_a_large_message_is_looked_at() {
    let last = (1 << 20) - 1;
    let server = Server::new(move |stream, _| {
        echo(stream, |piece, at| {
            if (at..at + piece.len()).contains(&last) {
                piece[last - at] ^= 0x80;
            }
        })
    });
    let run = echotest(&format!("-c 2 -a 2 -l 1m {}", server.address));
    assert_wrong_byte(&run, 1, last);
}

#[test]
fn a_lost_byte_is_found() {
    let server = Server::new(|stream, _| {
        echo_messages(stream, |message, number| {
            if number == 7 {
                message.remove(5);
            }
        })
    });
    assert_wrong_byte(&echotest(&format!("-c 20 -a 4 {}", server.address)), 7, 5);
}

#[test]
fn a_repeated_message_is_found() {
    let server = Server::new(|stream, _| {
        echo_messages(stream, |message, number| {
            if number == 5 {
                message.extend_from_within(..);
            }
        })
    });
    // Nothing is due after message 5 yet; nor is it if that is the last one.
    for count in [20, 5] {
        let run = echotest(&format!("-c {count} {}", server.address));
        run.assert_failed(&format!(
            "run 1, connection 1 of 1: bytes that were not sent: 32, after the reply to message 5 \
             (messages: {count} scheduled, 5 sent, 5 answered, 0 lost)"
        ));
    }
}

#[test]
fn a_repeated_message_is_not_taken_for_the_next() {
    // Holds two messages before it answers the first of them twice, so that the second is due.
    let server = Server::new(|mut stream, _| {
        while let Some(first) = read_message(&mut stream)? {
            let second = read_message(&mut stream)?.unwrap_or_default();
            stream.write_all(&[first.clone(), first, second].concat())?;
        }
        Ok(())
    });
    assert_wrong_byte(&echotest(&format!("-c 20 -a 2 {}", server.address)), 2, 0);
}

#[test]
fn swapped_messages_are_found() {
    let server = Server::new(|mut stream, _| {
        while let Some(first) = read_message(&mut stream)? {
            let second = read_message(&mut stream)?.unwrap_or_default();
            stream.write_all(&[second, first].concat())?;
        }
        Ok(())
    });
    assert_wrong_byte(&echotest(&format!("-c 20 -a 2 {}", server.address)), 1, 0);
}

#[test]
fn the_message_before_is_not_taken_for_this_one() {
    // A server that answers from a buffer which it did not fill.
    let server = Server::new(|stream, _| {
        let mut stale = None;
        echo_messages(stream, |message, _| {
            let fresh = message.clone();
            *message = stale.replace(fresh).unwrap_or_else(|| message.clone());
        })
    });
    assert_wrong_byte(&echotest(&format!("-c 20 {}", server.address)), 2, 0);
}

#[test]
fn another_connections_reply_is_not_taken_for_this_ones() {
    // The first connection is answered with what the second says, and the second with what the first says.
    let (to_first, for_first) = mpsc::sync_channel(1);
    let (to_second, for_second) = mpsc::sync_channel(1);
    let ends = Mutex::new([Some((to_second, for_first)), Some((to_first, for_second))]);
    let server = Server::new(move |stream, number| {
        let (to_other, from_other) = ends.lock().unwrap()[number].take().unwrap();
        echo_messages(stream, |message, _| {
            // The other's client may have given up.
            let _ = to_other.send(message.clone());
            *message = from_other.recv().unwrap_or_default();
        })
    });
    let run = echotest(&format!("-j 2 -c 20 {}", server.address));
    assert_eq!(
        (run.status, run.rows()),
        (Some(1), vec![("1", 0)]),
        "{}",
        run.out
    );
    assert!(
        run.err.contains(" of 2: message 1, offset 0: expected 0x"),
        "{}",
        run.err
    );
}

#[test]
fn the_connection_is_named_whichever_thread_it_is_of() {
    let server = Server::new(|stream, connection| {
        echo_messages(stream, |message, number| {
            if connection == 5 && number == 7 {
                message[5] ^= 1;
            }
        })
    });
    let run = echotest(&format!("-j 2 --connections 7 -c 10 {}", server.address));
    let start = "echotest: run 1, connection 6 of 7: message 7, offset 5: expected 0x";
    assert!(run.err.starts_with(start), "{}", run.err);
    assert_eq!(run.status, Some(1));
}

#[test]
fn the_last_runs_replies_are_not_taken_for_this_ones() {
    let last = Mutex::new(Vec::new());
    let server = Server::new(move |stream, run| {
        echo_messages(stream, |message, number| {
            let mut last = last.lock().unwrap();
            if run == 0 {
                last.push(message.clone());
            } else {
                message.clone_from(&last[number - 1]);
            }
        })
    });
    let run = echotest(&format!("-c 20 -i 2 {}", server.address));
    let start = "echotest: run 2, connection 1 of 1: message 1, offset 0: expected 0x";
    assert!(run.err.starts_with(start), "{}", run.err);
    assert_eq!(
        (run.status, run.rows()),
        (Some(1), vec![("1", 20), ("2", 0), ("all", 20)])
    );
}

#[test]
fn bytes_after_the_end_are_found() {
    let server = Server::new(|stream, _| {
        let mut late = stream.try_clone()?;
        echo(stream, |_, _| {})?;
        late.write_all(b"!")
    });
    echotest(&format!("-c 20 {}", server.address)).assert_failed(
        "run 1, connection 1 of 1: bytes that were not sent: 1, after the reply to message 20 \
         (messages: 20 scheduled, 20 sent, 20 answered, 0 lost)",
    );
}
