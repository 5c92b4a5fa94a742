# SPDX-License-Identifier: Apache-2.0
"""Security labels (RFC 9478) as text that both ends compare, in both roles, against ourselves and strongSwan."""
import strongswan
from cases import Skip, case, cases, config, gateways, traffic
from lab import check

LABEL = "label_mode = simple\nlabel = lab:secret:{}"


def labels(children):
    return [(child["name"], bytes.fromhex(child["label"]).decode()) for child in children if child["state"] == "INSTALLED"]


def ends(lab, a_child, b_child, foreign, **more):
    if foreign and not strongswan.present():
        raise Skip("strongSwan is not installed")
    a, b = gateways(lab)
    conn = "encap = yes" if foreign else ""
    kind = b.strongswan if foreign else b.cygnet
    there = kind(config("b", "a", conn=conn, child=b_child))
    here = a.cygnet(config("a", "b", conn=conn, child=a_child, **more))
    return a, b, here, there


@cases([("cygnet", False), ("strongswan", True)])
def we_ask(lab, foreign):
    a, b, here, there = ends(lab, LABEL.format(1), LABEL.format(1), foreign)
    here.cygnet("up", "net4")
    traffic(a, b)
    check(labels(here.children()) == [("net4", "lab:secret:1\0")], here.children())
    check("label lab:secret:1" in here.cygnet("list") and "label lab:secret:1" in here.cygnet("list", "--conns"), "the lists show it")
    check("label:  lab:secret:1" in here.swanctl("--list-conns"), "swanctl shows it")
    check("lab:secret:1" in there.swanctl("--list-sas"), "the peer has it, too")
    here.swanctl("--rekey", "--child", "net4")
    traffic(a, b)
    check(labels(here.children()) == [("net4", "lab:secret:1\0")], here.children())


@case
def strongswan_asks(lab):
    a, b, here, there = ends(lab, LABEL.format(1), LABEL.format(1), True)
    there.initiate()
    traffic(a, b)
    there.rekey("child")
    traffic(a, b)
    check("lab:secret:1" in there.swanctl("--list-sas") and labels(here.children()) == [("net4", "lab:secret:1\0")], "both have it")


@cases([("another-cygnet", LABEL.format(1), LABEL.format(2), False), ("another-strongswan", LABEL.format(1), LABEL.format(2), True),
        ("none-cygnet", LABEL.format(1), "", False), ("none-strongswan", LABEL.format(1), "", True),
        ("unwanted-cygnet", "", LABEL.format(1), False), ("unwanted-strongswan", "", LABEL.format(1), True)])
def another_one_is_refused(lab, ours, theirs, foreign):
    a, b, here, there = ends(lab, ours, theirs, foreign)
    out = here.cygnet("up", "net4", check_status=False)
    check("failed:" in out and not here.children(), out)
    if not foreign:
        check("the security labels of both ends are not the same" in there.log() and "the peer asks for" in there.log(), there.log())


@case
def strongswan_asks_for_another(lab):
    a, b, here, there = ends(lab, LABEL.format(1), LABEL.format(2), True)
    there.swanctl("--initiate", "--child", "net4", "--timeout", "5", check_status=False)
    check(not here.children(), "there is no child")
    check("net4 has \"lab:secret:1\" here, the peer asks for \"lab:secret:2\"" in here.log(), here.log())


@case
def children_for_the_same_packets_are_told_apart(lab):
    """The peer takes the child whose label is asked for, whichever stands first."""
    a, b = gateways(lab)
    second = lambda me, peer: (text := config(me, peer, child=LABEL.format(1))).replace(
        "children {\n", "children {\n" + text[text.index("            net4 {"):text.index("        }\n    }\n}\nsecrets")].replace("net4", "other").replace("secret:1", "secret:2"))
    there = b.cygnet(second("b", "a"))
    here = a.cygnet(config("a", "b", child=LABEL.format(1)))
    here.cygnet("up", "net4")
    check(labels(there.children()) == [("net4", "lab:secret:1\0")], there.children())
    traffic(a, b)


@case
def a_fixed_number_is_shown(lab):
    a, b, here, there = ends(lab, "reqid = 4711", "", False)
    here.cygnet("up", "net4")
    check([child["reqid"] for child in here.children()] == ["4711"], here.children())
    check("4711" in here.swanctl("--list-sas"), "swanctl shows it")
