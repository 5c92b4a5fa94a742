# SPDX-License-Identifier: Apache-2.0
"""Packets that the kernel cuts and joins on both sides of us: bytes arrive as they were sent, whatever the link and the cipher, and IKE is found among ESP."""
import sys

from cases import HOSTS, OUTER, cases, config, gateways
from lab import check, wait_for

# Sends or receives a stream whose every byte depends on its place; the receiver prints how many were right.
STREAM = """
import socket, sys
role, host, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
block = bytes((i * 7 + (i >> 8)) & 255 for i in range(65521))
s = socket.socket(family)
s.settimeout(30)
if role == "send":
    s.bind((sys.argv[5], 0))
    s.connect((host, port))
    data = (block * (size // len(block) + 1))[:size]
    s.sendall(data)
else:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host, port))
    s.listen(1)
    print("listens", flush=True)
    c, _ = s.accept()
    c.settimeout(30)
    got = bytearray()
    while True:
        part = c.recv(1 << 20)
        if not part:
            break
        got += part
    print(len(got), bytes(got) == (block * (size // len(block) + 1))[:size], flush=True)
"""

# A run of datagrams in one message, as the kernel joins what a network card brings: ESP first, IKE last. Prints the answer.
RUN = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect((sys.argv[1], 4500))
s.setsockopt(socket.SOL_UDP, 103, 40)
esp = bytes.fromhex("7fffffff") + bytes(36)
# RFC 7296 2.5: a version higher than ours is answered.
ike = bytes(4) + bytes(range(1, 9)) + bytes(8) + bytes([0, 0x30, 34, 8, 0, 0, 0, 0, 0, 0, 0, 28])
s.send(esp * 3 + ike)
try:
    print(s.recv(2000).hex())
except TimeoutError:
    print("nothing")
"""


def stream(sender, receiver, family, names, size, port):
    where = HOSTS[family]
    log = receiver.lab.directory / f"stream-{port}"
    listening = receiver.start(sys.executable, "-c", STREAM, "receive", where[names[1]], port, size, log=log)
    wait_for("the receiver", lambda: log.exists() and "listens" in log.read_text())
    sender.run(sys.executable, "-c", STREAM, "send", where[names[1]], port, size, where[names[0]], timeout=60)
    listening.wait(timeout=40)
    check(log.read_text().split()[1:] == [str(size), "True"], f"not what was sent: {log.read_text()}")


@cases([("plain", "", 1500, "aes128gcm16", 4), ("udp", "encap = yes", 1500, "aes128gcm16", 4), ("udp-outer6", "encap = yes", 1500, "chacha20poly1305", 6),
        ("udp-cbc", "encap = yes", 1500, "aes128-sha256", 4), ("udp-narrow-link", "encap = yes", 1300, "aes128gcm16", 4)])
def every_byte_of_a_stream_arrives(lab, encap, mtu, esp, outer):
    a, b = gateways(lab, mtu)
    settings = dict(esp=esp, conn=encap, outer=outer, inner=(4, 6))
    b.cygnet(config("b", "a", **settings))
    here = a.cygnet(config("a", "b", **settings))
    for child in ("net4", "net6"):
        here.cygnet("up", child)
    for number, family in enumerate((4, 6)):
        stream(a, b, family, "ab", 8_000_000, 7000 + number)
        stream(b, a, family, "ba", 8_000_000, 7010 + number)


@cases([("outer4", 4), ("outer6", 6)])
def ike_at_the_end_of_a_run_of_esp_is_answered(lab, outer):
    a, b = gateways(lab)
    b.cygnet(config("b", "a", outer=outer))
    out = a.run(sys.executable, "-c", RUN, OUTER[outer]["b"])
    check(out.startswith("00000000" + bytes(range(1, 9)).hex()), f"no answer: {out}")
