# SPDX-License-Identifier: GPL-2.0
"""Asks kburst for datagrams, and looks at every byte of them (rust/kburst/main.rs says what is asked and answered)."""

import argparse
import fcntl
import socket
import struct
import sys
import time

REQUEST = struct.Struct("!B3xIQ3I")
ANSWER = struct.Struct("!BxH4IQ")

CONTENT_BYTES = 1 << 20
# Byte i is the lowest byte of i * 31 ^ (i >> 8) * 7 ^ i >> 16: blocks of 256 that differ by one number.
BLOCKS = [bytes((i * 31 ^ number) & 255 for i in range(256)) for number in range(256)]
CONTENT = b"".join(BLOCKS[(block * 7 ^ block >> 8) & 255] for block in range(CONTENT_BYTES >> 8))
# A datagram may begin near the end of the content, and go on at its beginning.
CONTENT += CONTENT[:16384]

# Room for what is sent at once.
BUFFER = 64 << 20

SO_RCVBUFFORCE = 33


def fail(text):
    sys.exit(f"burst.py: {text}")


class Peer:
    """A socket that kburst knows."""

    def __init__(self, address, number, source_port=0):
        info = socket.getaddrinfo(address, options.port, type=socket.SOCK_DGRAM)[0]
        self.number = number
        self.socket = socket.socket(info[0], socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        if source_port:
            self.socket.bind(("", source_port))
        self.socket.connect(info[4])
        self.socket.settimeout(options.patience)
        self.cookie = 0

    def ask(self, kind, *numbers, cookie=None):
        numbers = (*numbers, 0, 0, 0)[:3]
        cookie = self.cookie if cookie is None else cookie
        self.socket.send(REQUEST.pack(ord(kind), self.number, cookie, *numbers))

    def answer(self, kind):
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            fail(f"no {kind} came")
        fields = ANSWER.unpack_from(data)
        if fields[0] != ord(kind) or fields[2] != self.number:
            fail(f"{fields} instead of {kind} {self.number}")
        return fields, data[ANSWER.size :]

    def hello(self):
        self.ask("H")
        fields, rest = self.answer("H")
        if rest:
            fail(f"{len(rest)} bytes too many")
        self.cookie = fields[6]
        return fields


def content(index, count, size):
    """What datagram number `index` of `count` has."""
    offset = index * size % CONTENT_BYTES
    if index + 1 == count:
        return CONTENT[offset : offset + size // 2] + b"END."
    return CONTENT[offset : offset + size]


def burst(peer, count, size):
    peer.ask("B", count, size)
    for index in range(count):
        fields, rest = peer.answer("B")
        if fields[3] != index or fields[4] != count:
            fail(f"number {fields[3]} of {fields[4]} instead of {index} of {count}")
        if rest != content(index, count, size):
            fail(f"number {index} of {count} has wrong bytes")
    return fields


def bursts():
    """Each size, from each of the peers."""
    cores = set()
    for number in range(options.peers):
        peer = Peer(options.address, number)
        peer.hello()
        for size in map(int, options.sizes.split(",")):
            cores.add(burst(peer, options.count, size)[1])
    print(f"cores {sorted(cores)}")


def refused():
    """Without the cookie there is no answer, nor for what is no request; and then there is one to what is right."""
    peer = Peer(options.address, 1)
    peer.ask("B", 10, 1000, cookie=1)
    peer.ask("X")
    peer.socket.send(b"")
    peer.socket.send(b"B")
    peer.hello()
    peer.ask("B", 10, 1000, cookie=peer.cookie ^ 1)
    burst(peer, 3, 100)


def belongs():
    """Says which core a number belongs to, and how many requests with it there were."""
    peer = Peer(options.address, options.number)
    fields = peer.hello()
    print(f"core {fields[1]} requests {fields[5]}")


def timers():
    """The answers come in order, and none before its time."""
    peers = [Peer(options.address, number) for number in range(options.peers)]
    for peer in peers:
        peer.hello()
    started = time.monotonic()
    for peer in peers:
        peer.ask("T", options.count, options.delay)
    for index in range(options.count):
        for peer in peers:
            fields, _ = peer.answer("T")
            if fields[3] != index:
                fail(f"number {fields[3]} instead of {index}")
        if time.monotonic() - started < (index + 1) * options.delay / 1e6:
            fail(f"number {index} is early")


def kept():
    """Datagrams that the core keeps are the same when the last has come."""
    peers = [Peer(options.address, 7) for _ in range(options.peers)]
    for peer in peers:
        peer.hello()
    for index, peer in enumerate(peers):
        peer.ask("K", options.peers, 0, 1000 + index)
    for index, peer in enumerate(peers):
        fields, _ = peer.answer("K")
        if fields[3] != 1000 + index:
            fail(f"{fields[3]} instead of {1000 + index}")


def flood():
    """Requests for an answer of the same length, until it is told to end. What comes back is dropped by the system."""
    peers = [Peer(options.address, number) for number in range(options.peers)]
    for peer in peers:
        if not options.until_there:
            peer.hello()
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.socket.setblocking(False)
    print("flood: goes on", flush=True)
    while not told():
        for peer in peers:
            for _ in range(64):
                try:
                    peer.ask("H")
                except OSError:
                    pass


def until_told():
    """Bursts, until it is told to end; then says how many."""
    peer = Peer(options.address, options.number)
    peer.hello()
    count = 0
    while not told():
        burst(peer, options.count, int(options.sizes))
        count += 1
        if count == 1:
            print("good: goes on", flush=True)
    print(f"good: {count} bursts")


def endless():
    """Bursts, until there is no answer any more."""
    peer = Peer(options.address, options.number)
    peer.hello()
    peer.socket.settimeout(0.2)
    print("endless: goes on", flush=True)
    while not told():
        try:
            peer.ask("B", options.count, int(options.sizes))
            while True:
                peer.socket.recv(1 << 16)
        except OSError:
            pass


def waits():
    """Asks for an answer that is far in the future, and gets the one that the end of the service is."""
    peer = Peer(options.address, options.number)
    peer.hello()
    peer.ask("T", 1, 3_000_000_000)
    # It has been received when the next one is answered.
    peer.hello()
    print("waits", flush=True)
    peer.answer("S")


def told():
    flags = fcntl.fcntl(sys.stdin, fcntl.F_GETFL)
    fcntl.fcntl(sys.stdin, fcntl.F_SETFL, flags | 2048)  # O_NONBLOCK
    try:
        return sys.stdin.read(1) not in (None, "")
    except BlockingIOError:
        return False


def offload():
    """Switches an offload of a device, as ethtool does: ETHTOOL_STXCSUM, and with it all segmentation of UDP."""
    import array

    value = array.array("I", [0x17, options.number])
    request = struct.pack("16sP", options.address.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8946, request)  # SIOCETHTOOL


commands = {
    function.__name__.replace("_", "-"): function
    for function in (bursts, refused, belongs, timers, kept, flood, until_told, endless, waits, offload)
}
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("command", choices=commands)
parser.add_argument("address")
parser.add_argument("--port", type=int, default=60010)
parser.add_argument("--number", type=int, default=1)
parser.add_argument("--peers", type=int, default=4)
parser.add_argument("--count", type=int, default=100)
parser.add_argument("--sizes", default="1412")
parser.add_argument("--patience", type=float, default=20, help="seconds after which an answer will not come")
parser.add_argument("--until-there", action="store_true", help="(flood) kburst may come and go")
parser.add_argument("--delay", type=int, default=2000, help="in µs")
options = parser.parse_args()
commands[options.command]()
