# SPDX-License-Identifier: Apache-2.0
"""Ends whose addresses change while they are connected: a NAT that forgets its mapping and makes another one."""
from cases import HOSTS, cases, config
from lab import check, wait_for

OUTSIDE, MOVED = "192.0.2.3", "192.0.2.4"


def behind_nat(lab, conn=""):
    """a -- r (NAT) == b: the tunnel is up, its packets go in UDP."""
    a, r, b = lab.host("a"), lab.host("r"), lab.host("b")
    lab.link(a, "10.9.0.1/24", r, "10.9.0.2/24")
    lab.link(r, f"{OUTSIDE}/24", b, "192.0.2.2/24")
    a.address("10.1.0.1/24", "lo")
    b.address("10.2.0.1/24", "lo")
    a.route("default", "via", "10.9.0.2")
    r.forward()
    r.run("nft", "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; "
                 "add rule ip nat post oifname to-b masquerade random")
    there = b.cygnet(config("b", "a").replace("remote_addrs = 192.0.2.1", "remote_addrs = %any"))
    here = a.cygnet(config("a", "b", conn=conn).replace("local_addrs = 192.0.2.1", "local_addrs = 10.9.0.1"))
    here.cygnet("up", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel through the NAT carries nothing")
    return a, r, here, there


# What masquerades loses its mappings when its device goes down or its address is taken away.
def rebind(router, what):
    if what == "address":
        router.run("ip", "address", "del", f"{OUTSIDE}/24", "dev", "to-b")
        router.address(f"{MOVED}/24", "to-b")
    else:
        router.run("ip", "link", "set", "to-b", "down")
        router.run("ip", "link", "set", "to-b", "up")


def place(end):
    sa = end.sas()[0][1]
    return sa["remote-host"], int(sa["remote-port"])


def spis(end):
    return {(child["spi-in"], child["spi-out"]) for child in end.children()}


@cases([(f"{what}-{by}", what, by) for what in ("address", "port") for by in ("esp", "ike")])
def a_nat_that_rebinds_keeps_the_tunnel(lab, what, by):
    # RFC 7296 2.23 test: authentic packets from elsewhere move the peer, be they ESP or IKE.
    a, router, here, there = behind_nat(lab, "dpd_delay = 1s" if by == "ike" else "")
    old, children = place(there), spis(there)
    rebind(router, what)
    if by == "esp":
        got = a.pings(HOSTS[4]["b"], count=10, source=HOSTS[4]["a"])
        check(got >= 8, f"only {got} of 10 pings came back behind the new mapping")
    wait_for("the peer's new place", lambda: place(there) != old)
    new = place(there)
    check(new[0] == (MOVED if what == "address" else OUTSIDE), f"the peer is taken to be at {new}")
    check(there.host.pings(HOSTS[4]["a"], source=HOSTS[4]["b"]) == 3, "nothing comes to the end behind the NAT")
    check(spis(there) == children and len(here.sas()) == 1, f"the SAs are others now: {spis(there)}")
    check("peer has moved" in there.log(), "the move is not in the log")
