# SPDX-License-Identifier: Apache-2.0
"""Reverse path filters (rp_filter) that drop packets of tunnels: what really happens in both directions, and that the log says so exactly then."""
from cases import HOSTS, NETS, cases, config, gateways
from lab import check, wait_for

WHOLE = {"a": NETS[4]["a"], "b": "0.0.0.0/0"}
HINT = "rp_filter is "


# selectors of a, options of its child, where its filter is strict; does it do harm, and what takes that away
KINDS = [
    ("tunnel", None, "", "all", False, None),
    ("tunnel-device", None, "", "to-b", False, None),
    ("everything", WHOLE, "", "all", True, "net.ipv4.conf.all.rp_filter=2"),
    ("everything-device", WHOLE, "", "to-b", True, "net.ipv4.conf.to-b.rp_filter=2"),
    ("transport", {"a": "dynamic", "b": "dynamic"}, "mode = transport", "to-b", True, "net.ipv4.conf.to-b.rp_filter=2"),
    ("device", None, "if_id_in = 7\nif_id_out = 7", "all", False, None),
    ("two-devices", None, "if_id_in = 6\nif_id_out = 7", "all", True, "net.ipv4.conf.all.rp_filter=0"),
    ("two-devices-loose", None, "if_id_in = 6\nif_id_out = 7", "all=2", True, "net.ipv4.conf.all.rp_filter=0"),
    ("out-device", None, "if_id_out = 7", "all", True, "net.ipv4.conf.all.rp_filter=0"),
    ("marks", None, "mark_in = 42\nmark_out = 42", "all", True, "net.ipv4.conf.all.rp_filter=0"),
    ("marks-same", None, "mark_in = 42\nmark_out = 42\nset_mark_in = %same", "all", False, None),
]


@cases(KINDS)
def strict_filters(lab, nets, child, where, harm, remedy):
    a, b = gateways(lab)
    b.cygnet(config("b", "a", nets=nets, child="mode = transport" if "transport" in child else ""))
    here = a.cygnet(config("a", "b", nets=nets, child=child))
    if "if_id" in child:
        wait_for("the device", lambda: " cygnet7:" in a.run("ip", "-o", "link"))
        a.run("ip", "route", "add", NETS[4]["b"], "dev", "cygnet7", "src", HOSTS[4]["a"])
    if "mark" in child:
        a.run("nft", "add table ip m; add chain ip m out { type route hook output priority mangle; }; add rule ip m out ip daddr 10.2.0.0/24 meta mark set 42")
        a.route("default", "via", "192.0.2.2")
    device, number = where.split("=") if "=" in where else (where, 1)
    a.run("sysctl", "-qw", f"net.ipv4.conf.{device}.rp_filter={number}")
    here.cygnet("up", "net4")
    target, source = ("192.0.2.2", "192.0.2.1") if "transport" in child else (HOSTS[4]["b"], HOSTS[4]["a"])
    there = b.pings(source, source=target, count=2)
    back = a.pings(target, source=source, count=2)
    log = here.log()
    check((there, back) == ((0, 0) if harm else (2, 2)), f"pings that came back: {there} from there, {back} from here")
    check((HINT in log) == harm, f"the hint is {'missing' if harm else 'wrong'}:\n" + log)
    if not harm:
        return
    check(remedy.split("=")[0] in log, "the hint names another switch:\n" + log)
    a.run("sysctl", "-qw", remedy)
    check(a.pings(target, source=source) == 3, "the remedy does not help")
