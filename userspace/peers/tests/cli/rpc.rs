// SPDX-License-Identifier: GPL-2.0

//! `peers rpc`

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

#[path = "../../../../rust/wire/tests/served/mod.rs"]
mod served;

use served::{admit_all, admit_null, Admit, Connection};

use crate::{
    peers,
    server::{swallow, Server, UdpServer},
};

/// How a server is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// One bit of each reply to a call with this xid.
    Bit([u8; 4]),
    /// A reply to what gets none.
    Answers,
    /// It keeps connections that are to be closed.
    Keeps,
    /// It closes a connection after its first replies.
    Closes,
    /// It resets connections that are to be closed.
    Resets,
    /// It sends replies twice.
    Twice,
    /// It says nothing.
    Silent,
}

/// The xid of the messages of the table.
const XID: [u8; 4] = *b"\x9a\x3b\x5c\x7d";

/// A message that gets no reply.
const NOT_A_CALL: [u8; 8] = *b"\x9a\x3b\x5c\x7d\0\0\0\x01";

fn serve(mut stream: TcpStream, admit: Admit, fault: Fault) -> std::io::Result<()> {
    let mut connection = Connection::new(admit);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut replies = Vec::new();
        let mut closes = connection.take(&buffer[..count], &mut replies);
        match fault {
            Fault::Bit(xid) if replies[4.min(replies.len())..].starts_with(&xid) => {
                // The last bit of the type.
                replies[11] ^= 1;
            }
            Fault::Answers if buffer[4..12] == NOT_A_CALL => {
                replies.splice(..0, [&[0x80, 0, 0, 8], &NOT_A_CALL[..]].concat());
            }
            Fault::Keeps => closes = false,
            Fault::Closes if !replies.is_empty() => closes = true,
            Fault::Twice => replies = replies.repeat(2),
            Fault::Silent => replies.clear(),
            _ => {}
        }
        stream.write_all(&replies)?;
        if closes && fault == Fault::Resets {
            let socket = stream.try_clone()?;
            rustix::net::sockopt::set_socket_linger(&socket, Some(std::time::Duration::ZERO))?;
            return Ok(());
        }
        if closes {
            stream.shutdown(Shutdown::Write)?;
            return swallow(stream);
        }
    }
}

fn faulty(fault: Fault) -> Server {
    Server::new(move |stream, _| serve(stream, admit_all, fault))
}

fn good() -> Server {
    faulty(Fault::None)
}

/// A UDP server whose replies are changed.
fn udp(change: impl Fn(&[u8], Option<Vec<u8>>) -> Option<Vec<u8>> + Send + 'static) -> UdpServer {
    UdpServer::new(move |socket, message, from| {
        let reply = change(message, served::datagram(message, admit_all));
        reply.map_or(Ok(()), |reply| socket.send_to(&reply, from).map(drop))
    })
}

fn good_udp() -> UdpServer {
    udp(|_, reply| reply)
}

#[test]
fn the_table_is_that_of_a_good_server() {
    let server = good();
    let run = peers(&format!("rpc table {}", server.address));
    run.assert_good();
    assert!(run.number("messages") > 150 && run.number("streams") > 40);
    assert_eq!(run.number("wrong"), 0);
    // Each row has a connection of its own.
    let rows = run.number("messages") + run.number("streams");
    let seen = server.wait_until(|seen| seen.opened == seen.ended + seen.reset);
    assert_eq!(seen.opened as u64, rows);
    peers(&format!("rpc table --udp {}", good_udp().address)).assert_good();
    let run = peers(&format!("rpc table --no-echo {}", server.address));
    run.assert_good();
    assert!(run.number("messages") + run.number("streams") < rows);
}

#[test]
fn ports_that_may_call_null_only_have_rows() {
    let server = Server::new(|stream, _| serve(stream, admit_null, Fault::None));
    peers(&format!("rpc table --unprivileged {}", server.address)).assert_good();
    let server = UdpServer::new(|socket, message, from| {
        let reply = served::datagram(message, admit_null);
        reply.map_or(Ok(()), |reply| socket.send_to(&reply, from).map(drop))
    });
    peers(&format!(
        "rpc table --unprivileged --udp {}",
        server.address
    ))
    .assert_good();
    let run = peers(&format!("rpc table --unprivileged {}", good().address));
    run.assert_failed("3 of 7 rows were answered wrongly; ECHO: sent ");
}

/// Runs the table against a server that is wrong, and returns how many rows are, and what it says.
fn wrong_rows(fault: Fault) -> (u64, String) {
    let run = peers(&format!("rpc table --timeout 2 {}", faulty(fault).address));
    assert_eq!(run.status, Some(1), "{fault:?}: {}", run.err);
    (run.number("wrong"), run.err)
}

#[test]
fn each_fault_is_told_of_the_rows_that_it_is_in() {
    let (wrong, err) = wrong_rows(Fault::Bit([0; 4]));
    assert_eq!(wrong, 1);
    assert!(
        err.starts_with("peers: 1 of ")
            && err.contains("rows were answered wrongly; xid 0: sent 00000000"),
        "{err}"
    );
    assert!(err.contains("received 80000018000000000000000000"), "{err}");
    let (wrong, err) = wrong_rows(Fault::Keeps);
    assert_eq!(wrong, 8, "{err}");
    let text = "where the server is to close the connection: no progress for 2.000 s";
    assert!(err.contains(text), "{err}");
    let (_, err) = wrong_rows(Fault::Closes);
    assert!(err.contains("closed by the server after nothing"), "{err}");
    let (_, err) = wrong_rows(Fault::Resets);
    assert!(err.contains("reset by peer"), "{err}");
    let (_, err) = wrong_rows(Fault::Answers);
    assert!(
        err.contains("answered wrongly; a reply: sent 9a3b5c7d00000001"),
        "{err}"
    );
    let (_, err) = wrong_rows(Fault::Twice);
    assert!(err.contains("NFSv3 NULL"), "{err}");
}

#[test]
fn a_wrong_datagram_is_told() {
    let server = udp(|message, reply| {
        let has_xid_0 = message.starts_with(&[0; 4]);
        reply.filter(|_| !has_xid_0)
    });
    peers(&format!("rpc table --udp --timeout 2 {}", server.address)).assert_failed("1 of ");
    // A reply where none is due comes before the one that is.
    let server = udp(|message, reply| Some(reply.unwrap_or_else(|| message.to_vec())));
    let run = peers(&format!("rpc table --udp --timeout 2 {}", server.address));
    assert_eq!(run.status, Some(1));
    assert!(
        run.err.contains("; a reply: sent 9a3b5c7d00000001"),
        "{}",
        run.err
    );
}

#[test]
fn valid_calls_are_cut_at_every_byte() {
    let server = good();
    let run = peers(&format!("rpc splits {}", server.address));
    run.assert_good();
    assert!(
        run.number("calls") > 20 && run.number("cuts") > 1_500,
        "{}",
        run.out
    );
    let seen = server.wait_until(|seen| seen.opened == seen.ended);
    assert_eq!(seen.opened as u64, run.number("calls"));
}

#[test]
fn a_server_that_wants_whole_calls_is_told() {
    // It serves what it gets with one call, and forgets the rest.
    let server = Server::new(|mut stream, _| {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            let mut replies = Vec::new();
            Connection::new(admit_all).take(&buffer[..count], &mut replies);
            stream.write_all(&replies)?;
        }
    });
    // Parts that were sent apart may be read at once, so which call shows it is not certain.
    let run = peers(&format!("rpc splits --timeout 2 {}", server.address));
    run.assert_failed("");
    assert!(
        run.err.contains(": received nothing, where "),
        "{}",
        run.err
    );
    let run = peers(&format!(
        "rpc splits --timeout 2 {}",
        faulty(Fault::Bit(XID)).address
    ));
    run.assert_failed("NFSv2 NULL, cut at 1: received ");
}

#[test]
fn malformed_records_get_what_an_oracle_says() {
    let run = peers(&format!("rpc malformed --count 20000 {}", good().address));
    run.assert_good();
    assert!(run.number("records") >= 20_000, "{}", run.out);
    assert_eq!(run.number("classes"), 38);
    for key in ["connections", "replies", "ignored", "closed"] {
        assert!(run.number(key) > 100, "{key}: {}", run.out);
    }
    let run = peers(&format!(
        "rpc malformed --udp --count 20000 {}",
        good_udp().address
    ));
    run.assert_good();
    assert_eq!(run.number("classes"), 35);
    for key in ["batches", "replies", "ignored"] {
        assert!(run.number(key) > 100, "{key}: {}", run.out);
    }
}

#[test]
fn the_seed_decides_what_is_sent() {
    let run = |seed| {
        let run = peers(&format!(
            "rpc malformed -c 1 --count 500 --seed {seed} {}",
            good().address
        ));
        run.assert_good();
        ["records", "replies", "ignored", "closed"].map(|key| run.number(key))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_failure_names_seed_and_number_and_can_be_repeated() {
    for fault in [Fault::Keeps, Fault::Resets, Fault::Twice, Fault::Silent] {
        let server = faulty(fault);
        let run = peers(&format!(
            "rpc malformed -c 1 --seed 5 --timeout 2 --count 20000 {}",
            server.address
        ));
        run.assert_failed("seed 5, number ");
        assert!(run.err.contains(", sent "), "{}", run.err);
        let number = run.err.split([' ', ':', ',']).nth(6).unwrap();
        let again = peers(&format!(
            "rpc malformed -c 1 --seed 5 --timeout 2 --count 1 --first {number} {}",
            server.address
        ));
        again.assert_failed(&format!("seed 5, number {number}: "));
        // Such a failure shows all that was sent.
        let sent = |err: &str| {
            err.split(", sent ")
                .nth(1)
                .and_then(|rest| rest.split(':').next())
                .map(str::to_owned)
        };
        assert_eq!(sent(&again.err), sent(&run.err), "{fault:?}");
    }
}

#[test]
fn a_wrong_datagram_among_many_is_told() {
    // PROG_UNAVAIL instead of PROC_UNAVAIL.
    let server = udp(|_, mut reply| {
        if let Some([.., status]) = reply.as_deref_mut().filter(|reply| reply.len() == 24) {
            if *status == 3 {
                *status = 1;
            }
        }
        reply
    });
    let run = peers(&format!("rpc malformed --udp {}", server.address));
    run.assert_failed("seed 1, number ");
    assert!(
        run.err.contains("00000001, where ") && run.err.contains("00000003 is due"),
        "{}",
        run.err
    );
    // One in a hundred is lost.
    let count = std::sync::atomic::AtomicU32::new(0);
    let server = udp(move |_, reply| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        reply.filter(|_| number % 100 != 99)
    });
    let run = peers(&format!(
        "rpc malformed --udp --timeout 2 {}",
        server.address
    ));
    run.assert_failed("seed 1, number ");
}

#[test]
fn equal_servers_compare_equal() {
    for (options, theirs, ours) in [
        ("", good().address, good().address),
        ("--udp", good_udp().address, good_udp().address),
    ] {
        let run = peers(&format!(
            "rpc compare {options} --count 3000 {theirs} {ours}"
        ));
        run.assert_good();
        assert_eq!(
            (run.number("requests"), run.number("equal")),
            (3_000, 3_000)
        );
        assert!(
            (1_500..3_000).contains(&run.number("answered")),
            "{}",
            run.out
        );
    }
}

#[test]
fn differences_have_a_reason_or_are_failures() {
    // A server that has NFS 3 and 4.
    let theirs = udp(|message, mut reply| {
        let is_version_2 = message.get(12..20) == Some(b"\0\x01\x86\xa3\0\0\0\x02");
        let reply = reply.as_mut()?;
        let is_accepted = reply.get(8..24) == Some(&[0; 16][..]);
        if is_version_2 && is_accepted {
            reply.truncate(20);
            reply.extend_from_slice(b"\0\0\0\x02\0\0\0\x03\0\0\0\x04");
        } else if reply.get(20..28) == Some(b"\0\0\0\x02\0\0\0\x02") {
            reply[27] = 3;
        }
        Some(reply.clone())
    });
    let run = peers(&format!(
        "rpc compare --udp --count 3000 {} {}",
        theirs.address,
        good_udp().address
    ));
    run.assert_good();
    assert_eq!(run.number("equal") + run.number("explained"), 3_000);
    let line = run.out.lines().nth(1).unwrap_or_default();
    assert!(
        line.starts_with("compare: nfs-versions count="),
        "{}",
        run.out
    );
    assert!(
        line.contains("seed 1, number ") && line.contains(": theirs "),
        "{line}"
    );

    let theirs = udp(|_, mut reply| {
        if let Some([.., status]) = reply.as_deref_mut().filter(|reply| reply.len() == 20) {
            *status = 2;
        }
        reply
    });
    let run = peers(&format!(
        "rpc compare --udp --count 1000 {} {}",
        theirs.address,
        good_udp().address
    ));
    assert_eq!(run.status, Some(1));
    let text = " differences without a known reason; seed 1, number ";
    assert!(run.err.contains(text), "{}", run.err);
    assert!(run.number("unexplained") > 100);
}

#[test]
fn a_server_that_closes_where_the_other_does_not_is_different() {
    let (theirs, ours) = (good(), faulty(Fault::Closes));
    let run = peers(&format!(
        "rpc compare --count 20 {} {}",
        theirs.address, ours.address
    ));
    assert_eq!(run.status, Some(1));
    assert!(
        run.err.contains("ours closed") || run.err.contains(" and closed"),
        "{}",
        run.err
    );
}

#[test]
fn nobody_there_is_told() {
    for command in [
        "table --no-echo",
        "splits",
        "malformed",
        "compare 127.0.0.1:9",
    ] {
        let run = peers(&format!("rpc {command} {}", crate::server::NOBODY));
        assert_eq!(run.status, Some(1), "{command}");
        assert!(
            run.err.contains("Connection refused"),
            "{command}: {}",
            run.err
        );
    }
}
