# SPDX-License-Identifier: Apache-2.0
"""The packet filter that guards policies when nothing else does: single addresses of peers lie in hashed sets, networks in maps of boxes."""
from cases import HOSTS, NETS, case, cases, config, gateways
from lab import check, wait_for
from test_cygnet import crash

OTHERS = {4: {"set": "10.2.0.1/32", "box": "10.2.0.0/24"}, 6: {"set": "fd02::1/128", "box": "fd02::/64"}}


def listing(host):
    return host.run("nft", "list", "table", "inet", "cygnet_cygnet0")


def guarded(host, family, kind):
    """Is what the policy protects an element of what it should be in?"""
    name = f"s{family}_0_0" if kind == "set" else f"p{family}_0"
    block = listing(host).split(f" {name} {{", 1)
    return len(block) == 2 and OTHERS[family][kind].split("/")[0] in block[1].split("}\n", 1)[0]


@cases([(f"{kind}-{family}", kind, family) for kind in ("set", "box") for family in (4, 6)])
def nothing_passes_without_routes_and_daemon(lab, kind, family):
    a, b = gateways(lab)
    nets = {"a": NETS[family]["a"], "b": OTHERS[family][kind]}
    here = a.cygnet(config("a", "b", inner=(family,), nets=nets, start="trap"))
    wait_for("the guard", lambda: guarded(a, family, kind))
    crash(here)
    a.run("ip", f"-{family}", "rule", "del", "priority", "220")   # now only the filter is left
    ours, theirs = HOSTS[family]["a"], HOSTS[family]["b"]
    a.route(nets["b"], "via", "192.0.2.2" if family == 4 else "2001:db8::2")
    b.route(nets["a"], "via", "192.0.2.1" if family == 4 else "2001:db8::1")
    capture = a.capture("to-b", "icmp or icmp6")
    a.pings(theirs, count=2, source=ours)
    check(b.pings(ours, count=2, source=theirs) == 0, "a plain packet was accepted and answered")
    capture.stop()
    left = [line for line in capture.lines() if f"{ours} > {theirs}" in line]
    came = [line for line in capture.lines() if f"{theirs} > {ours}" in line and "request" in line]
    check(not left, f"plaintext left the host: {left[:2]}")
    check(came, "the test sent nothing")
    # What is beside the policy passes.
    other = "192.0.2.1" if family == 4 else "2001:db8::1"
    check(b.pings(other, count=2) == 2, "what no policy protects was stopped")


@case
def a_set_follows_its_policies(lab):
    a, b = gateways(lab)
    here = a.cygnet(config("a", "b", nets={"a": NETS[4]["a"], "b": "10.2.0.1/32, 10.2.0.7/32, 10.3.0.0/24"}, start="trap"))
    wait_for("the guard", lambda: guarded(a, 4, "set") and "10.2.0.7" in listing(a) and "10.3.0.0/24" in listing(a))
    here.configure(config("a", "b", nets={"a": NETS[4]["a"], "b": "10.2.0.1/32"}, start="trap"))
    here.cygnet("reload")
    wait_for("the others' end", lambda: guarded(a, 4, "set") and "10.2.0.7" not in listing(a) and "10.3.0.0/24" not in listing(a))
    check(here.stop() == 0, "cygnetd did not end well")
    check("cygnet" not in a.run("nft", "list", "tables"), "the filter is left behind")
