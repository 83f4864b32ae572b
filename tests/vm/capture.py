# SPDX-License-Identifier: GPL-2.0
"""What the packets say of a run, beside what the load generator says of it.

A capture of the loopback network stamps each packet when it passes from its sender to its receiver. The client takes the
time before it hands a request to the system, and after it was handed the reply. So for each exchange, whatever the machine
and however busy:

- its time by the client is at least that between the two packets;
- in a closed loop of depth n, with which the client sends a request when a reply has made room for it, it is at most the
  time from the packet of the reply n replies before the request to the packet of the request n requests after the reply;
- in an open loop, its time counts from when it was due. No request passes before it is due, so the schedule is at most as
  late as lets all pass in time; and the time by the client is at least that from then to the packet of the reply.

If each of many times is between two others, then each percentile of them is between those of the others.
"""

import argparse
import bisect
import collections
import json
import math
import socket
import struct
import sys

FIN, SYN = 1, 2


def packets(file):
    """Yields the time in ns, and what is in the Ethernet frame, of each packet of a pcap file."""
    magic, = struct.unpack("<I", file.read(24)[:4])
    assert magic == 0xA1B23C4D, "not a pcap file with nanoseconds"
    while header := file.read(16):
        seconds, ns, captured, length = struct.unpack("<4I", header)
        frame = file.read(captured)
        assert captured == length, f"a packet was cut to {captured} of {length} bytes"
        yield seconds * 10**9 + ns, frame[14:]


def transport(packet):
    """Returns the protocol of an IP packet, and what is in it."""
    if packet[0] >> 4 == 4:
        start, end, protocol = (packet[0] & 15) * 4, struct.unpack_from(">H", packet, 2)[0], packet[9]
    else:
        start, end, protocol = 40, 40 + struct.unpack_from(">H", packet, 4)[0], packet[6]
    return protocol, packet[start:end]


class Stream:
    """One direction of a TCP connection."""

    def __init__(self):
        self.data = bytearray()
        self.ends, self.times = [], []

    def add(self, time, segment):
        sequence, = struct.unpack_from(">I", segment, 4)
        flags, payload = segment[13], segment[(segment[12] >> 4) * 4:]
        if flags & SYN:
            self.first = sequence + 1
            return
        at = (sequence - self.first) % 2**32
        if not payload or at < len(self.data):
            return
        assert at == len(self.data), "a segment is missing in the capture"
        self.data += payload
        self.ends.append(len(self.data))
        self.times.append(time)

    def messages(self, key_and_end):
        """Yields the key, and the time when its last byte passed, of each message."""
        start = 0
        while start < len(self.data) and (message := key_and_end(self.data, start)):
            key, start = message
            yield key, self.times[bisect.bisect_left(self.ends, start)]


class Echo:
    """Messages of a known length. In a stream they have nothing but their order."""

    def __init__(self, length):
        self.length = length

    def in_stream(self, data, start):
        end = start + self.length
        return None if end > len(data) else (start, end)

    def in_datagram(self, payload):
        return bytes(payload)


class Rpc:
    """ONC RPC: what belongs together has the same xid."""

    def in_stream(self, data, start):
        key, is_last = None, False
        while not is_last:
            if start + 4 > len(data):
                return None
            mark, = struct.unpack_from(">I", data, start)
            is_last, end = mark >> 31, start + 4 + (mark & 0x7FFFFFFF)
            if end > len(data):
                return None
            key = (key or b"") + data[start + 4:end]
            start = end
        return bytes(key[:4]), start

    def in_datagram(self, payload):
        return bytes(payload[:4])


class Connection:
    """What passed on a connection, or between two sockets of UDP: the key of each message, and when, in that order."""

    def __init__(self):
        self.requests, self.replies = [], []

    def pairs(self):
        """The numbers of each request and its reply."""
        sent = collections.defaultdict(collections.deque)
        for number, (key, _) in enumerate(self.requests):
            sent[key].append(number)
        for number, (key, time) in enumerate(self.replies):
            if sent[key]:
                request = sent[key].popleft()
                assert self.requests[request][1] < time, "a reply before its request"
                yield request, number


def connections(file, port, protocol):
    """Returns what passed on each connection to a port."""
    streams = collections.defaultdict(Stream)
    found = collections.defaultdict(Connection)
    for time, packet in packets(file):
        ip_protocol, segment = transport(packet)
        source, destination = struct.unpack_from(">HH", segment)
        if port not in (source, destination):
            continue
        is_request = destination == port
        client = source if is_request else destination
        if ip_protocol == socket.IPPROTO_TCP:
            streams[is_request, client].add(time, segment)
        elif ip_protocol == socket.IPPROTO_UDP:
            message = protocol.in_datagram(segment[8:]), time
            (found[client].requests if is_request else found[client].replies).append(message)
    for (is_request, client), stream in streams.items():
        messages = list(stream.messages(protocol.in_stream))
        if is_request:
            found[client].requests = messages
        else:
            found[client].replies = messages
    return found.values()


def between_packets(connection):
    for request, reply in connection.pairs():
        yield connection.replies[reply][1] - connection.requests[request][1]


def at_most(connection, in_flight):
    """In a closed loop; without bound where there is no reply so long before, or no request so long after."""
    requests, replies = connection.requests, connection.replies
    # What is lost makes room as well.
    depth = in_flight + len(requests) - len(replies)
    for request, reply in connection.pairs():
        before, after = request - depth, reply + depth
        if before >= 0 and after < len(requests):
            yield requests[after][1] - replies[before][1]
        else:
            yield math.inf


def since_due(connection, rate):
    """In an open loop, with evenly spaced requests."""
    spacing = 1e9 / rate
    start = latest_start(connection.requests, spacing)
    for request, reply in connection.pairs():
        yield connection.replies[reply][1] - start - request * spacing


def latest_start(requests, spacing, first=0):
    return min(time - number * spacing for number, (_, time) in enumerate(requests, first))


PERCENTILES = {"min": 0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999, "max": 1}


def percentile(times, part):
    """By rank, as the client does it."""
    return sorted(times)[max(math.ceil(part * len(times)), 1) - 1]


def check_rate(requests, rate):
    """The client is late at times, but no more so in the second half: the schedule has no drift."""
    half = len(requests) // 2
    spacing = 1e9 / rate
    drift = latest_start(requests[half:], spacing, half) - latest_start(requests[:half], spacing)
    print(f"the second half is {drift / 1e6:.3f} ms later than the first, of {half / rate * 1000:.0f} ms")
    return abs(drift) < 0.01 * half * spacing


# How much later than its packet a reply may reach the client, and the window may begin than the first request passes.
DELAY = 20 * 10**6


def check_window(found, window, warmup):
    """The replies that count for the rate are those that passed in the time that it is of."""
    requests = [time for c in found for _, time in c.requests]
    replies = [time for c in found for _, time in c.replies]
    start = min(requests) + warmup
    length, answered = window["length_ns"], window["answered"]
    least = sum(start + DELAY < time <= start + length - DELAY for time in replies)
    most = sum(start - DELAY <= time <= start + length + DELAY for time in replies)
    last = max(requests + replies) - start
    print(f"rate {answered / length * 1e9:.1f}/s; by the capture {least} <= {answered} <= {most} in {length / 1e6:.1f} ms of {last / 1e6:.1f} ms")
    return least <= answered <= most and length <= last + DELAY


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--echo", type=int, metavar="LENGTH", help="messages of an echo; without it, of RPC")
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--rate", type=float, help="an open loop with so many requests a second on one connection")
    parser.add_argument("--delay", type=float, metavar="MS", help="how long the server waits at least")
    parser.add_argument("--stall", type=float, metavar="MS", help="how long the server did nothing in the middle")
    parser.add_argument("capture")
    parser.add_argument("document", help="what the client wrote with --json")
    options = parser.parse_args()

    protocol = Echo(options.echo) if options.echo else Rpc()
    with open(options.capture, "rb") as file:
        found = connections(file, options.port, protocol)
    with open(options.document) as file:
        document = json.load(file)
    client, = document["servers"]
    errors = []

    requests, replies = (sum(map(len, of)) for of in zip(*((c.requests, c.replies) for c in found)))
    answered, late, lost = (client["ledger"][name] for name in ("answered", "late", "lost"))
    print(f"requests {requests}, replies {replies}; answered {answered}, late {late}, lost {lost}")
    if (requests, replies) != (answered + late + lost, answered + late):
        errors.append("the counts differ")

    # Late replies are among the packets, and nobody counts them.
    if len(document["runs"]) == 1 and not late:
        if not check_window(found, document["runs"][0]["result"]["window"], document["load"]["warmup_ns"]):
            errors.append("the rate is not that of the packets")

    if options.rate:
        least = [time for c in found for time in since_due(c, options.rate)]
        most = [math.inf] * len(least)
        if not all(check_rate(c.requests, options.rate) for c in found):
            errors.append("the requests have another rate")
    else:
        least = [time for c in found for time in between_packets(c)]
        most = [time for c in found for time in at_most(c, options.in_flight)]
    if options.delay and percentile(least, 0) < options.delay * 1e6:
        errors.append("the capture has less than the server waits")
    if options.stall and percentile(least, 1) < options.stall * 1e6:
        errors.append("the capture has no such stall")

    row = []
    for name, part in PERCENTILES.items():
        time = client["response"][f"{name}_ns"]
        if time is None:
            continue
        low, high = percentile(least, part), percentile(most, part)
        row.append(f"{name} {low / 1000:.1f} <= {time / 1000:.1f} <= {high / 1000:.1f}")
        # The client's histogram has three digits.
        if not low <= time * 1.001 or not time * 0.999 <= high:
            errors.append(f"{name} is not between what the capture allows")
    print("us: " + ", ".join(row))
    if errors:
        sys.exit("\n".join(errors))


main()
