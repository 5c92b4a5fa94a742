#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A name server for tests: answers A and AAAA questions on 127.0.0.1 out of a JSON file that is read anew for each, {"name": ["address", …]}.

    usage: names.py FILE"""
import ipaddress
import json
import pathlib
import socket
import struct
import sys

A, AAAA, NAME_ERROR = 1, 28, 3


def question(packet):
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), struct.unpack(">H", packet[at + 1:at + 3])[0], packet[12:at + 5]


def answer(packet, names):
    name, kind, asked = question(packet)
    addresses = [ipaddress.ip_address(text) for text in names.get(name, [])]
    fitting = [addr for addr in addresses if {4: A, 6: AAAA}[addr.version] == kind]
    head = packet[:2] + struct.pack(">HHHHH", 0x8580 | (0 if name in names else NAME_ERROR), 1, len(fitting), 0, 0)
    return head + asked + b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, 1, len(a.packed)) + a.packed for a in fitting)


def main():
    path = pathlib.Path(sys.argv[1])
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    while True:
        packet, asker = server.recvfrom(512)
        server.sendto(answer(packet, json.loads(path.read_text())), asker)


main()
