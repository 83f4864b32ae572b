# SPDX-License-Identifier: GPL-2.0
"""Registers a program with rpcbind: rpcbind-set.py PROGRAM VERSION NETID ADDRESS."""

import socket
import struct
import sys

SET = 1


def string(text):
    data = text.encode()
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def main():
    program, version, netid, address = sys.argv[1:]
    call = struct.pack(">10I", 1, 0, 2, 100000, 4, SET, 0, 0, 0, 0)
    call += struct.pack(">2I", int(program), int(version)) + string(netid) + string(address) + string("0")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("/run/rpcbind.sock")
        connection.sendall(struct.pack(">I", 1 << 31 | len(call)) + call)
        reply = connection.recv(4 + 28, socket.MSG_WAITALL)
    if reply != struct.pack(">8I", 1 << 31 | 28, 1, 1, 0, 0, 0, 0, 1):
        sys.exit(f"rpcbind said {reply.hex()}")


main()
