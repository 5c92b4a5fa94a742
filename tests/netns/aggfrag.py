# SPDX-License-Identifier: Apache-2.0
"""Reads AGGFRAG payloads (RFC 9347 6.1) out of a capture, by itself: neither end's code has a part in it. ESP must be NULL with HMAC-SHA-256-128."""
import ipaddress
import struct

ICV, AGGFRAG, UDP, ESP = 16, 144, 17, 50


def frames(path):
    """The IP packets of a capture of Ethernet frames."""
    data = path.read_bytes()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at + 16 <= len(data):
        size = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        frame = data[at + 16:at + 16 + size]
        if frame[12:14] in (b"\x08\x00", b"\x86\xdd"):
            yield frame[14:]
        at += 16 + size


def esp_of(packet):
    """(source, traffic class, size of the IP packet, what is from ESP's header on) or None."""
    if packet[0] >> 4 == 4:
        size, head, protocol = struct.unpack(">H", packet[2:4])[0], (packet[0] & 15) * 4, packet[9]
        if struct.unpack(">H", packet[6:8])[0] & 0x3fff:
            raise AssertionError("an outer packet went in fragments of IP")
        source, tos = ipaddress.ip_address(packet[12:16]), packet[1]
    else:
        size, head, protocol = struct.unpack(">H", packet[4:6])[0] + 40, 40, packet[6]
        source, tos = ipaddress.ip_address(packet[8:24]), (packet[0] & 15) << 4 | packet[1] >> 4
    if protocol == UDP and packet[head:head + 2] == b"\x11\x94" and packet[head + 8:head + 12] not in (b"\0\0\0\0", b""):
        head, protocol = head + 8, ESP
    return (str(source), tos, size, packet[head:size]) if protocol == ESP and size - head > 8 else None


class Payload:
    """One ESP packet: its spi, sequence, size with the IP header, and what AGGFRAG made of it."""

    def __init__(self, tos, size, esp):
        self.tos, self.size = tos, size
        self.spi, self.sequence = struct.unpack(">II", esp[:8])
        clear = esp[8:-ICV]
        self.next_header, self.content = clear[-1], clear[:-2 - clear[-2]]
        self.trailer = clear[len(self.content):-2]
        if self.next_header == AGGFRAG:
            self.subtype, self.flags, self.offset = struct.unpack(">BBH", self.content[:4])
            self.blocks = self.content[4 if self.subtype == 0 else 24:]
            self.all_pad = not self.blocks or (self.offset == 0 and self.blocks[0] >> 4 == 0)


class Inner:
    """An inner packet: in so many outer packets, the first of which has the number `first`."""

    def __init__(self, packet, first, last):
        self.packet, self.first, self.last = packet, first, last


class Stream:
    """What one SA carried, with every rule that a receiver could miss without noticing."""

    def __init__(self, payloads):
        self.payloads, self.inner, self.rest = payloads, [], None
        for number, payload in enumerate(payloads):
            assert payload.next_header == AGGFRAG, f"next header {payload.next_header}"                        # RFC 9347 2.3
            assert payload.sequence == payloads[0].sequence + number, f"numbers {payloads[0].sequence} .. {payload.sequence} have gaps"   # 2.2.3
            assert payload.subtype == 0 and payload.flags == 0, "sub-type or reserved octet"                   # 6.1.1
            assert payload.trailer == bytes(range(1, len(payload.trailer) + 1)), "padding of ESP"
            if not payload.all_pad:
                self.walk(payload)

    def walk(self, payload):
        blocks = payload.blocks
        wanted = self.want - len(self.rest) if self.rest is not None else 0
        assert payload.offset == wanted, f"BlockOffset {payload.offset} where {wanted} bytes are missing"       # 2.2.3
        if self.rest is not None:
            part, blocks = blocks[:wanted], blocks[wanted:]
            self.rest += part
            if len(self.rest) == self.want:
                self.inner.append(Inner(self.rest, self.began, payload.sequence))
                self.rest = None
        while blocks:
            kind = blocks[0] >> 4
            if kind == 0:                                                                                       # 6.1.3.3
                return
            assert kind in (4, 6) and len(blocks) >= 6, f"a data block of type {kind}, {len(blocks)} bytes"
            total = struct.unpack(">H", blocks[2:4])[0] if kind == 4 else struct.unpack(">H", blocks[4:6])[0] + 40
            if total > len(blocks):
                self.rest, self.want, self.began = blocks, total, payload.sequence
                return
            self.inner.append(Inner(blocks[:total], payload.sequence, payload.sequence))
            blocks = blocks[total:]

    def shared(self):
        """The most packets that were whole in one payload."""
        counts = {}
        for inner in self.inner:
            if inner.first == inner.last:
                counts[inner.first] = counts.get(inner.first, 0) + 1
        return max(counts.values(), default=0)

    def cut(self):
        return [inner for inner in self.inner if inner.first != inner.last]


def streams(path):
    """{source address: [Stream of each of its SAs]}"""
    found = {}
    for packet in frames(path):
        seen = esp_of(packet)
        if seen:
            payload = Payload(*seen[1:])
            found.setdefault(seen[0], {}).setdefault(payload.spi, []).append(payload)
    return {source: [Stream(payloads) for payloads in sas.values()] for source, sas in found.items()}
