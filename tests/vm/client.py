# SPDX-License-Identifier: GPL-2.0
"""Clients of kupper and krecord: client.py WHAT HOST PORT. Ends with status 0 if all was as it should be."""

import random
import socket
import struct
import sys
import threading


def connect(address):
    connection = socket.create_connection(address, timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        assert more, f"the end after {len(data)} of {count} bytes"
        data += more
    return data


def is_reset(connection):
    """The connection ends with a reset, or with its end if what was sent has been read."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def lines(address):
    connection = connect(address)
    text = b"one\ntwo words\n\nthree\n"
    for byte in text:
        connection.send(bytes([byte]))
    assert receive(connection, len(text)) == text.upper()


def long_line(address):
    good = connect(address)
    bad = connect(address)
    bad.sendall(b"x" * 300)
    assert is_reset(bad), "a long line was not refused"
    good.sendall(b"still here\n")
    assert receive(good, 11) == b"STILL HERE\n"


def long_datagram(address):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(20)
    client.connect(address)
    client.send(b"x" * 257)
    client.send(b"short")
    assert client.recv(1000) == b"SHORT"


def record(payload):
    return struct.pack(">I", len(payload)) + payload


def check_answer(connection, payload):
    length, total, _ = struct.unpack(">III", receive(connection, 12))
    assert length == len(payload), f"length {length} instead of {len(payload)}"
    assert total == sum(payload) & 0xFFFFFFFF, "wrong sum"


def records(address):
    rng = random.Random(1)
    sizes = [0, 1, 3, 4, 1000, 8191, 8192, 40000, 65536, 200000, 524288, 5]
    payloads = [rng.randbytes(size) for size in sizes]
    connection = connect(address)
    stream = b"".join(record(payload) for payload in payloads)

    def send():
        at = 0
        while at < len(stream):
            count = rng.choice([1, 2, 5, 1000, 30000, 100000])
            connection.sendall(stream[at:at + count])
            at += count

    sender = threading.Thread(target=send)
    sender.start()
    for payload in payloads:
        check_answer(connection, payload)
    sender.join()
    # Byte by byte, and then many in one call.
    for byte in record(b"slow"):
        connection.send(bytes([byte]))
    check_answer(connection, b"slow")
    connection.sendall(record(b"fast") * 500)
    for _ in range(500):
        check_answer(connection, b"fast")


def large_record(address):
    good = connect(address)
    bad = connect(address)
    bad.sendall(struct.pack(">I", 0xFFFFFFFF))
    assert is_reset(bad), "a record of 4 GiB was not refused"
    good.sendall(record(b"good"))
    check_answer(good, b"good")


def closed_record(address):
    good = connect(address)
    bad = connect(address)
    try:
        bad.sendall(record(bytes(900000)))
        assert is_reset(bad), "a record beyond conn_bytes was taken"
    except (ConnectionResetError, BrokenPipeError):
        pass
    good.sendall(record(b"good"))
    check_answer(good, b"good")


def half_record(address):
    connection = connect(address)
    connection.sendall(record(b"whole") + record(b"half of it")[:7])
    connection.shutdown(socket.SHUT_WR)
    check_answer(connection, b"whole")
    assert connection.recv(1) == b"", "more than the end"


CLIENTS = {
    "lines": lines,
    "long-line": long_line,
    "long-datagram": long_datagram,
    "records": records,
    "large-record": large_record,
    "closed-record": closed_record,
    "half-record": half_record,
}

what, host, port = sys.argv[1:]
CLIENTS[what]((host, int(port)))
