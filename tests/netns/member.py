#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A member of a cluster that takes over (RFC 6311), made of nothing but the RFC: it is given an IKE SA's keys and what it believes of the counters, asks
the peer, and prints the answer.

    member.py LOCAL REMOTE SPI_I SPI_R SK_OWN SK_PEER M P DELTA      numbers in hexadecimal, addresses with ports; AES-GCM with 16 octets of ICV

It speaks for the responder of the IKE SA."""
import os
import socket
import struct
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

INFORMATIONAL, SK, NOTIFY, RESPONSE = 37, 46, 41, 0x20
ID_SYNC, REPLAY_SYNC = 16422, 16423


def notify(following, kind, data):
    return struct.pack(">BBHBBH", following, 0, 8 + len(data), 0, 0, kind) + data


def header(spis, following, flags, length):
    return spis + struct.pack(">BBBBII", following, 0x20, INFORMATIONAL, flags, 0, length)


def seal(spis, key, plain):
    plain += b"\0"   # padding of no octets, and its length
    iv = os.urandom(8)
    size = 4 + 8 + len(plain) + 16
    associated = header(spis, SK, 0, 28 + size) + struct.pack(">BBH", NOTIFY, 0, size)
    return associated + iv + AESGCM(key[:-4]).encrypt(key[-4:] + iv, plain, associated)


def opened(key, message):
    iv, sealed = message[32:40], message[40:]
    plain = AESGCM(key[:-4]).decrypt(key[-4:] + iv, sealed, message[:32])
    return plain[:-1 - plain[-1]]


def endpoint(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main(words):
    local, remote = endpoint(words[0]), endpoint(words[1])
    spis, own, peer = bytes.fromhex(words[2] + words[3]), bytes.fromhex(words[4]), bytes.fromhex(words[5])
    m, p, delta = (int(word, 16) for word in words[6:9])
    nonce = os.urandom(4)
    parts = [(ID_SYNC, nonce + struct.pack(">II", m, p))] + ([(REPLAY_SYNC, struct.pack(">I", delta))] if delta else [])
    plain = b"".join(notify(NOTIFY if i + 1 < len(parts) else 0, kind, data) for i, (kind, data) in enumerate(parts))
    marker = b"\0\0\0\0" if local[1] == 4500 else b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind(local)
        out.settimeout(3)
        out.sendto(marker + seal(spis, own, plain), remote)
        while True:
            try:
                message = out.recv(2000)[len(marker):]
            except socket.timeout:
                print("silence")
                return 0
            if message[:16] != spis or message[18] != INFORMATIONAL or not message[19] & RESPONSE or message[20:24] != bytes(4):
                continue
            body = opened(peer, message)
            if not body:   # it was taken for the first request of ours
                print("nothing")
                return 0
            following, _, length, _, _, kind = struct.unpack(">BBHBBH", body[:8])
            if following or kind != ID_SYNC or length != len(body) or body[8:12] != nonce:
                print("malformed", body.hex())
                return 1
            print(*struct.unpack(">II", body[12:20]))
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
