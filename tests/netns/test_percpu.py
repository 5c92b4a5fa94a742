# SPDX-License-Identifier: Apache-2.0
"""Children for single processors (RFC 9611): flows are spread over them, and each is rekeyed and closed by itself."""
import os

from cases import HOSTS, case, config, gateways, traffic
from lab import Skip, check, wait_for

CHILD = "per_cpu_sas = yes"


def streams(a, b, streams=16):
    speed = a.iperf(b, HOSTS[4]["b"], seconds=1, extra=("-P", streams, "-B", HOSTS[4]["a"]))
    check(speed > 10e6, f"TCP reaches {speed:.0f} bit/s only")


def processors(daemon):
    return sorted(int(child["cpu"]) for child in daemon.children() if "cpu" in child and child["state"] == "INSTALLED")


@case
def flows_are_spread_over_processors(lab):
    if os.cpu_count() < 2:
        raise Skip("this machine has one processor")
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a", child=CHILD))
    here = a.cygnet(config("a", "b", child=CHILD))
    here.cygnet("up", "net4")
    wanted = list(range(min(os.cpu_count(), 64)))
    streams(a, b)
    wait_for("a child for each processor", lambda: streams(a, b) or set(processors(here)) >= set(wanted) <= set(processors(there)), 30)
    check(len({child["reqid"] for child in here.children()}) == 1, "they are not of one policy")
    streams(a, b)
    wait_for("packets through each", lambda: all(int(child["packets-out"]) > 0 for child in here.children() if int(child.get("cpu", 99)) in wanted), 10)
    second = next(child for child in here.children() if child.get("cpu") == "1")
    here.cygnet("rekey", "--child-id", second["uniqueid"])
    wait_for("another child for the second processor",
             lambda: [child["uniqueid"] for child in here.children() if child.get("cpu") == "1" and child["state"] == "INSTALLED"] not in
             ([], [second["uniqueid"]]), 20)
    check("processor 1" in here.cygnet("list"), here.cygnet("list"))
    traffic(a, b, count=3)
    here.cygnet("down", "net4")
    wait_for("no child", lambda: not here.children() and not there.children())


@case
def a_peer_without_them_has_one(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", child=CHILD))
    here.cygnet("up", "net4")
    here.wait_log("takes no children for single processors")
    streams(a, b)
    check(len(here.children()) == 1, here.cygnet("list"))
