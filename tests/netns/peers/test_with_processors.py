# SPDX-License-Identifier: Apache-2.0
"""Children for single processors (RFC 9611) with strongSwan 6.1, whose kernel knows SAs for one processor since Linux 6.13."""
import os
import sys

from cases import HOSTS, cases
from lab import Skip, check, wait_for
from together import both, carries, together

FLOWS = """
import socket
for port in range(20000, 20064):
    flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flow.bind(("%s", port))
    flow.sendto(b"x", ("%s", 9))
""" % (HOSTS[4]["a"], HOSTS[4]["b"])


def installed(daemon):
    return [child for child in daemon.children() if child["state"] == "INSTALLED"]


@cases([(name, ours) for name, ours in both("strongswan")])
def further_children_come_when_called(lab, ours):
    """Our flows call for them; the peer takes them as SAs of its first child's policy, and packets through each arrive."""
    processors = os.cpu_count()
    if processors < 2:
        raise Skip("this machine has one processor")
    a, b, cygnet, peer = together(lab, "strongswan61", ours, child="per_cpu_sas = yes")
    a.run(sys.executable, "-c", FLOWS)
    wait_for("children for processors", lambda: len(installed(cygnet)) > processors, 20)
    check(peer.log().count("SA as one of several") > processors, f"the peer made others:\n{peer.log()[-3000:]}")
    a.run(sys.executable, "-c", FLOWS)
    carries(a, b)
    wait_for("packets through each",
             lambda: all(int(child["packets-out"]) > 0 for child in installed(cygnet) if int(child.get("cpu", 99)) < processors), 10)
    one = next(child for child in installed(cygnet) if child.get("cpu") == "0")
    cygnet.cygnet("rekey", "--child-id", one["uniqueid"])
    wait_for("it is rekeyed", lambda: [c["uniqueid"] for c in installed(cygnet) if c.get("cpu") == "0"] not in ([], [one["uniqueid"]]), 20)
    carries(a, b)
    cygnet.cygnet("down", "net4")
    wait_for("no child", lambda: not cygnet.children() and "INSTALLED" not in peer.swanctl("--list-sas"))
