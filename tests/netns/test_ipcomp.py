# SPDX-License-Identifier: Apache-2.0
"""Compression within ESP (RFC 3173): what compresses well makes short packets, and all else goes through."""
import os
import re

from cases import HOSTS, case, cases, config, gateways
from lab import check

CHILD = "ipcomp = yes"


def sizes_of(a, b, family, size):
    """Of the ESP packets that pings of this size make."""
    capture = a.capture("to-b")
    for source, target, me, to in ((a, b, "a", "b"), (b, a, "b", "a")):
        got = source.pings(HOSTS[family][to], count=3, source=HOSTS[family][me], size=size)
        check(got == 3, f"{got} of 3 pings of {size} bytes from {me} came back")
    capture.stop()
    return [int(size) for size in re.findall(r"ESP\(spi=.*?length (\d+)", "\n".join(capture.lines()))]


@cases([(f"ipv{family}", family) for family in (4, 6)])
def packets_become_smaller(lab, family):
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a", inner=(family,), child=CHILD))
    here = a.cygnet(config("a", "b", inner=(family,), child=CHILD))
    here.cygnet("up", f"net{family}")
    mine, theirs = here.children()[0], there.children()[0]
    check(mine["cpi-in"] == theirs["cpi-out"] and mine["cpi-out"] == theirs["cpi-in"], f"{mine}\n{theirs}")
    check("compressed" in here.cygnet("list"), here.cygnet("list"))
    sizes = sizes_of(a, b, family, 1300)
    check(len(sizes) == 12 and max(sizes) < 700, f"packets were not compressed: {sizes}")
    check(len(sizes_of(a, b, family, 20)) == 12, "short packets are lost")
    here.cygnet("rekey", f"net{family}")
    check(max(sizes_of(a, b, family, 1300)) < 700, "packets are not compressed after rekeying")
    noise = lab.directory / "noise"
    noise.write_bytes(os.urandom(1 << 20))
    speed = a.iperf(b, HOSTS[family]["b"], seconds=1, extra=("-B", HOSTS[family]["a"], "-F", noise))
    check(speed > 10e6, f"TCP with what does not compress reaches {speed:.0f} bit/s only")


@case
def a_peer_without_it_gets_them_as_they_are(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", child=CHILD))
    here.cygnet("up", "net4")
    here.wait_log("packets are not compressed: the peer does not take part")
    check(min(sizes_of(a, b, 4, 1300)) > 1300, "packets were compressed all the same")
