# SPDX-License-Identifier: Apache-2.0
"""Redirect (RFC 5685) in both roles, against ourselves and strongSwan. The second gateway is b at another of its addresses."""
import strongswan
from cases import Skip, case, cases, config, gateways, traffic
from lab import check, wait_for

FORMER, OTHER = "192.0.2.2", "192.0.2.22"
WAYS = {"first-answer": f"redirect_to = {OTHER}\nredirect_early = yes", "with-the-proof": f"redirect_to = {OTHER}", "in-a-session": ""}


def group(lab):
    a, b = gateways(lab)
    b.run("ip", "address", "add", f"{OTHER}/24", "dev", "to-a")
    return a, b


def gateway_config(**more):
    return config("b", "a", **more).replace(f"local_addrs = {FORMER}", f"local_addrs = {FORMER}, {OTHER}")


def moved(ours, seconds=15):
    """One IKE SA with a child is left, and it is with the other gateway."""
    sas = lambda: [sa for _, sa in ours.sas()]
    wait_for("the move", lambda: len(sas()) == 1 and OTHER in (sas()[0]["remote-host"], sas()[0]["local-host"]) and len(ours.children()) == 1, seconds)


@cases([(name, name) for name in WAYS])
def cygnets(lab, way):
    a, b = group(lab)
    there = b.cygnet(gateway_config(conn=WAYS[way]))
    here = a.cygnet(config("a", "b"))
    here.cygnet("up", "net4")
    if not WAYS[way]:
        traffic(a, b, count=1)
        there.swanctl("--redirect", "--ike", "gw", "--gateway", OTHER)
    moved(here)
    moved(there)
    traffic(a, b)
    check("sends us on to 192.0.2.22" in here.log(), here.log()[-2000:])


@cases([(name, name) for name in WAYS])
def strongswan_is_sent_on(lab, way):
    """With the proof strongSwan 5.9.8 understands us, and then ends by an error of its own (a double free) as it begins anew."""
    if not strongswan.present():
        raise Skip("strongSwan is not installed")
    a, b = group(lab)
    there = b.cygnet(gateway_config(conn="encap = yes\n" + WAYS[way]))
    peer = a.strongswan(config("a", "b", conn="encap = yes"))
    peer.swanctl("--initiate", "--child", "net4", "--timeout", "10", check_status=False)   # what it began with ends
    if not WAYS[way]:
        there.swanctl("--redirect", "--peer-ip", "192.0.2.0/24", "--peer-id", "*.example.org", "--gateway", OTHER)
    if way == "with-the-proof":
        wait_for("strongSwan's words", lambda: f"redirected to {OTHER}" in peer.log())
        return
    moved(there)
    traffic(a, b)


@case
def strongswan_sends_us_on(lab):
    if not strongswan.present():
        raise Skip("strongSwan is not installed")
    a, b = group(lab)
    peer = b.strongswan(gateway_config(conn="encap = yes"))
    ours = a.cygnet(config("a", "b", conn="encap = yes"))
    ours.cygnet("up", "net4")
    traffic(a, b, count=1)
    peer.swanctl("--redirect", "--ike", "gw", "--gateway", OTHER)
    moved(ours)
    traffic(a, b)


@case
def a_redirection_that_cannot_be_is_explained(lab):
    a, b = group(lab)
    there = b.cygnet(gateway_config())
    here = a.cygnet(config("a", "b", conn="follow_redirects = no"))
    here.cygnet("up", "net4")
    for words, part in ((("--ike", "gw", "--gateway", OTHER), "do not let themselves be redirected"),
                        (("--ike", "nobody", "--gateway", OTHER), "match"),
                        (("--ike", "gw", "--gateway", "two words"), "neither an address nor a name"),
                        (("--ike", "gw", "--peer-ip", "nowhere", "--gateway", OTHER), "peer-ip")):
        text = there.swanctl("--redirect", *words, check_status=False)
        check(part in text, f"{words}: {text}")
    check(len(here.children()) == 1, "the child stays")
