# SPDX-License-Identifier: GPL-2.0
"""An echo server over TCP and UDP, on asyncio. It can be told to wait before it replies, and to drop datagrams."""

import argparse
import asyncio


async def serve_stream(reader, writer):
    while data := await reader.read(1 << 16):
        await asyncio.sleep(options.delay)
        writer.write(data)
        await writer.drain()
    writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.received = 0

    def datagram_received(self, data, address):
        self.received += 1
        if options.drop and self.received % options.drop == 0:
            return
        if options.delay:
            asyncio.get_running_loop().call_later(options.delay, self.transport.sendto, data, address)
        else:
            self.transport.sendto(data, address)


async def main():
    server = await asyncio.start_server(serve_stream, None, options.port)
    loop = asyncio.get_running_loop()
    for address in ("127.0.0.1", "::1"):
        await loop.create_datagram_endpoint(Datagrams, (address, options.port))
    await server.serve_forever()


parser = argparse.ArgumentParser()
parser.add_argument("--delay", type=float, default=0, metavar="SECONDS")
parser.add_argument("--drop", type=int, default=0, metavar="N", help="every Nth datagram of a socket of this server")
parser.add_argument("port", type=int)
options = parser.parse_args()
asyncio.run(main())
