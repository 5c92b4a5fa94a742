# SPDX-License-Identifier: Apache-2.0
"""The peer of a cluster (RFC 6311): b's daemon dies, and a member that is written out of the RFC speaks for it with the keys of b's key log."""
import importlib.util
import pathlib
import re

from cases import HOSTS, Skip, cases, config, gateways, traffic
from lab import check

MEMBER = pathlib.Path(__file__).resolve().parent / "member.py"


def known_keys(daemon):
    """SPIs and keys of the last IKE SA: initiator's, responder's."""
    lines = [line for path in ([daemon.keylog] if daemon.keylog.is_file() else daemon.keylog.glob("*")) for line in path.read_text().splitlines()]
    found = [re.match(r"^(?:ike )?([0-9a-f]{16}),([0-9a-f]{16}),([0-9a-f]+),([0-9a-f]+),", line) for line in lines]
    return [match.groups() for match in found if match][-1]


def numbers_sent(capture):
    return [int(number, 16) for line in capture.lines() for number in re.findall(r"> 192\.0\.2\.2.*seq=0x([0-9a-f]+)", line)]


@cases([("numbers-skip", 0x100000, "yes"), ("message-ids-alone", 0, "yes"), ("not-agreed-on", 0x100000, "no")])
def a_member_takes_over(lab, delta, agreed):
    """RFC 6311 5.1 test, RFC 6311 5.2 test."""
    if not importlib.util.find_spec("cryptography"):
        raise Skip("python3-cryptography is not installed")
    a, b = gateways(lab)
    peer = b.cygnet(config("b", "a", conn=f"cluster_peer = {agreed}\nmobike = no"), keylog=True)
    ours = a.cygnet(config("a", "b", conn=f"cluster_peer = {agreed}\nmobike = no\ndpd_delay = 0s"), options=("--retransmit", "0.5/1.5/6"))
    ours.cygnet("up", "net4")
    traffic(a, b)
    _, sa = ours.sas()[0]
    check((sa.get("cluster-peer") == "yes") == (agreed == "yes"), f"{sa}")
    spi_i, spi_r, of_initiator, of_responder = known_keys(peer)
    b.run("nft", "add table inet wall; add chain inet wall out { type filter hook output priority 0; }; add rule inet wall out udp sport { 500, 4500 } drop")
    peer.stop()
    b.run("nft", "delete table inet wall")

    def asks(m, p):
        return b.run("python3", MEMBER, "192.0.2.2:500", "192.0.2.1:500", spi_i, spi_r, of_responder, of_initiator, f"{m:x}", f"{p:x}", f"{delta:x}").split()

    capture = b.capture("to-a", "proto 50")
    a.pings(HOSTS[4]["b"], count=2, source=HOSTS[4]["a"])   # nobody answers
    if agreed == "no":
        check(asks(9, 9) == ["nothing"], "it was answered")
        return
    send, expect = map(int, asks(9, 2))
    check(expect == 9 and send >= 2, f"EXPECTED_SEND {send}, EXPECTED_RECV {expect}")
    check(asks(9, 2) == ["silence"] and asks(8, 2) == ["silence"], "what was seen before was answered")
    check(list(map(int, asks(12, 40))) == [40, 12], "a second failover")
    ours.wait_log("another member of the peer's cluster has taken over")
    a.pings(HOSTS[4]["b"], count=2, source=HOSTS[4]["a"])   # nobody answers
    capture.stop()
    seen = numbers_sent(capture)
    check(seen and (max(seen) > 2 * delta) and (delta or max(seen) < 100), f"ESP sequence numbers {seen}")
    check(len(ours.sas()) == 1 and len(ours.children()) == 1, "something was closed")

