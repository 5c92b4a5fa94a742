# SPDX-License-Identifier: Apache-2.0
"""Differentiated services code points: of IKE packets, and of packets in the tunnel outside and inside (RFC 2983)."""
import re

from cases import HOSTS, cases, case, config, gateways
from lab import check

INNER = 0b001010   # what the ping has


def points(capture, *words):
    """The code points of what was captured."""
    return {int(tos, 16) >> 2 for line in capture.lines("-v", *words) for tos in re.findall(r"tos 0x([0-9a-f]+)", line)}


@case
def ike_packets_have_the_one_that_is_asked_for(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a", conn="dscp = 101110"))
    here = a.cygnet(config("a", "b", conn="dscp = 110000"))
    capture = a.capture("to-b", "udp port 500 or udp port 4500")
    here.cygnet("up", "net4")
    here.cygnet("rekey", "--ike", "gw")
    capture.stop()
    check(points(capture, "src 192.0.2.1") == {0b110000}, points(capture, "src 192.0.2.1"))
    check(points(capture, "src 192.0.2.2") == {0b101110}, points(capture, "src 192.0.2.2"))


@cases([(f"{how}-{'udp' if encap else 'esp'}", how, encap) for how in ("out", "in", "yes", "no") for encap in (False, True)])
def it_is_copied_as_asked_for(lab, how, encap):
    """Outer ones are changed on the way, as a provider may do: they come in only where that was asked for."""
    a, b = gateways(lab)
    child, conn = f"copy_dscp = {how}", "encap = yes" if encap else ""
    b.cygnet(config("b", "a", child=child, conn=conn))
    here = a.cygnet(config("a", "b", child=child, conn=conn))
    here.cygnet("up", "net4")
    b.run("nft", "add table ip provider; add chain ip provider in { type filter hook prerouting priority -400; }; "
                 + ("add rule ip provider in udp dport 4500 ip dscp set 0x2e" if encap else "add rule ip provider in meta l4proto esp ip dscp set 0x2e"))
    outside = a.capture("to-b", "src 192.0.2.1 and " + ("udp port 4500 and udp[8:4] != 0" if encap else "esp"))
    inside = b.capture("cygnet0", f"icmp and dst {HOSTS[4]['b']}")
    a.run("ping", "-q", "-c", "3", "-i", "0.2", "-Q", hex(INNER << 2), "-I", HOSTS[4]["a"], HOSTS[4]["b"])
    outside.stop(), inside.stop()
    check(points(outside) == {INNER if how in ("out", "yes") else 0}, f"outside: {points(outside)}")
    check(points(inside) == {0x2e if how in ("in", "yes") else INNER}, f"inside: {points(inside)}")
