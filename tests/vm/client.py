# SPDX-License-Identifier: GPL-2.0
"""Clients of kupper and krecord: client.py WHAT HOST PORT. Ends with status 0 if all was as it should be."""

import random
import select
import socket
import struct
import sys
import threading
import time


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


def tiny_segments(address):
    """Records of 64 KiB whose segments have one byte, or one and many by turns."""
    rng = random.Random(2)
    for sizes in [1], [1, 1500], [1, 5000]:
        payload = rng.randbytes(65536)
        connection = connect(address)
        stream = record(payload)
        at, turn = 0, 0
        while at < len(stream):
            count = sizes[turn % len(sizes)]
            connection.sendall(stream[at:at + count])
            at, turn = at + count, turn + 1
        check_answer(connection, payload)


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


def drip(seconds, bad, address):
    """Sends a byte of a record now and then on `bad`, until it ends or for so long, and whole records on others.

    Returns after how long it ended, or None."""
    good, steady = connect(address), connect(address)
    bad.sendall(record(b"whole") + record(b"slow" * 1000)[:1])
    check_answer(bad, b"whole")
    begun = time.monotonic()
    sent = 1
    part = record(b"in four parts")
    while time.monotonic() - begun < seconds:
        # What is complete in time, again and again, and what is complete at once.
        for at in range(0, len(part), 5):
            bad.sendall(record(b"slow" * 1000)[sent:sent + 1])
            sent += 1
            steady.sendall(part[at:at + 5])
            good.sendall(record(b"good"))
            check_answer(good, b"good")
            if select.select([bad], [], [], 0.1)[0]:
                assert is_reset(bad), "an answer to what is not complete"
                return time.monotonic() - begun
        check_answer(steady, b"in four parts")
    bad.sendall(record(b"slow" * 1000)[sent:])
    check_answer(bad, b"slow" * 1000)
    return None


def dripped_record(address):
    ended = drip(20, connect(address), address)
    assert ended is not None and ended >= 1.4, f"ended after {ended}"


def endless_record(address):
    ended = drip(4, connect(address), address)
    assert ended is None, f"ended after {ended}"


def leave_answers(address):
    """Takes no answers but what its small buffer takes."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.settimeout(20)
    connection.connect(address)
    connection.sendall(record(b"") * 2000)
    return connection


def sends_on(address):
    """Sends bits of a record, of different sizes, also when the other end has closed, and takes no answers."""
    connection = leave_answers(address)
    begun = time.monotonic()
    try:
        connection.sendall(struct.pack(">I", 1000000))
        while time.monotonic() - begun < 25:
            for size in 1, 3000:
                connection.sendall(b"x" * size)
                time.sleep(0.2)
    except (ConnectionResetError, BrokenPipeError):
        return
    raise AssertionError("it was not closed")


def two_parts(address):
    """Has a record answered that it sends in two parts, on connections of its own, until standard input says that it is over."""
    parts = record(bytes(range(250)) * 52)
    answers = 0
    while answers == 0 or not select.select([sys.stdin], [], [], 0)[0]:
        connection = connect(address)
        connection.sendall(parts[:8000])
        time.sleep(0.2)
        connection.sendall(parts[8000:])
        check_answer(connection, parts[4:])
        connection.close()
        answers += 1
    print(f"two-parts: answers={answers}")


def unread_answers(address):
    connection = leave_answers(address)
    begun = time.monotonic()
    poll = select.poll()
    poll.register(connection, 0)
    assert poll.poll(20000), "it was not closed"
    ended = time.monotonic() - begun
    assert ended >= 1.4, f"ended after {ended}"


CLIENTS = {
    "lines": lines,
    "long-line": long_line,
    "long-datagram": long_datagram,
    "records": records,
    "tiny-segments": tiny_segments,
    "large-record": large_record,
    "closed-record": closed_record,
    "half-record": half_record,
    "dripped-record": dripped_record,
    "endless-record": endless_record,
    "sends-on": sends_on,
    "two-parts": two_parts,
    "unread-answers": unread_answers,
}

what, host, port = sys.argv[1:]
CLIENTS[what]((host, int(port)))
