# SPDX-License-Identifier: Apache-2.0
"""Route-based tunnels with strongSwan: a device of if_id here, an XFRM interface of the kernel there."""
from cases import HOSTS, NETS, cases
from lab import check, wait_for
from together import both, rekeys, together

ALL = {"a": "0.0.0.0/0, ::/0", "b": "0.0.0.0/0, ::/0"}


def route(host, device, peer, inner):
    for family, address in ((4, f"10.255.0.{inner}/30"), (6, f"fd55::{inner}/64")):
        host.address(address, device)
        host.run("ip", *(["-6"] if family == 6 else []), "route", "add", NETS[family][peer], "dev", device, "src", HOSTS[family][host.name])


@cases([(f"outer{outer}-{name}", outer, ours) for outer in (4, 6) for name, ours in both("strongswan")])
def a_device_and_an_xfrm_interface(lab, outer, ours):
    """Everything is negotiated, routing decides: both families through one child, and nothing else goes in."""
    child = "if_id_in = 7\nif_id_out = 7"
    a, b, here, peer = together(lab, "strongswan", ours, outer=outer, nets=ALL, child=child)
    b.run("ip", "link", "add", "xfrm7", "type", "xfrm", "dev", "to-a", "if_id", "7")
    b.run("ip", "link", "set", "xfrm7", "mtu", "1400", "up")
    wait_for("the device", lambda: " cygnet7:" in a.run("ip", "-o", "link"))
    route(a, "cygnet7", "b", 1)
    route(b, "xfrm7", "a", 2)

    def carries():
        for family in (4, 6):
            for host, me, to in ((a, "a", "b"), (b, "b", "a")):
                for size in (56, 1200):
                    got = host.pings(HOSTS[family][to], source=HOSTS[family][me], size=size)
                    check(got == 3, f"only {got} of 3 pings of {size} bytes from {me} over IPv{family} came back")
        check(a.pings("10.255.0.2") == 3 and b.pings("fd55::1") == 3, "the devices' own addresses do not answer")

    capture = a.capture("to-b")
    carries()
    rekeys(here, lambda: here.cygnet("rekey", "--child", "net4"), "child")
    carries()
    capture.stop()
    plain = [line for line in capture.lines() if "10.2.0.1" in line or "fd02::1" in line or "10.255." in line]
    check(not plain, f"plaintext on the wire: {plain[:2]}")
    check(a.pings("192.0.2.2") == 3, "0.0.0.0/0 catches what is not routed into the device")
