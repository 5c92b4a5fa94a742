# SPDX-License-Identifier: Apache-2.0
"""Redirect (RFC 5685) in both roles, against ourselves and strongSwan. The second gateway is b at another of its addresses."""
import strongswan
from cases import Skip, case, cases, config, gateways, traffic
from lab import check, wait_for
from test_persist import Names
from test_pools import client_config, has_address, server_config, vips

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
        check("done: 1" in there.cygnet("redirect", "--ike", "gw", OTHER), "one peer is sent on")
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


@cases([(name, name) for name in WAYS])
def a_gateway_is_named(lab, way):
    """RFC 5685 test: the other gateway is said by name, which the client looks up."""
    a, b = group(lab)
    there = b.cygnet(gateway_config(conn=WAYS[way].replace(OTHER, "other.example.org")))
    with Names(a, other=[OTHER]):
        here = a.cygnet(config("a", "b"))
        here.cygnet("up", "net4")
        if not WAYS[way]:
            there.cygnet("redirect", "--peer-id", "a.example.org", "other.example.org")
        moved(here)
        traffic(a, b)


@cases([(f"{pool}-{name}", addrs, name) for pool, addrs in (("own-pool", "10.4.0.0/29"), ("same-addresses", "10.3.0.0/29")) for name in WAYS])
def a_client_takes_the_address_of_the_new_gateway(lab, addrs, way):
    """The other gateway is a host of its own behind the first one; a client has a virtual address of the first, then one of the other."""
    a, b = gateways(lab)
    c = lab.host("c")
    lab.link(b, "198.51.100.2/24", c, "198.51.100.3/24")
    b.forward()
    a.route("198.51.100.0/24", "via", FORMER)
    c.route("192.0.2.0/24", "via", "198.51.100.2")
    c.address("10.2.0.1/24", "lo")
    there = b.cygnet(server_config(conn=WAYS[way].replace(OTHER, "198.51.100.3")))
    other = c.cygnet(server_config(addrs))
    here = a.cygnet(client_config("a"))
    here.cygnet("up", "net")
    if not WAYS[way]:
        check(vips(here) == ["10.3.0.1"] and a.pings("10.2.0.1") == 3, here.sas())
        there.cygnet("redirect", "--ike", "rw", "198.51.100.3")
    mine = "10.4.0.1" if addrs.startswith("10.4") else "10.3.0.1"
    wait_for("one SA with the other gateway", lambda: [sa["remote-host"] for _, sa in here.sas()] == ["198.51.100.3"])
    wait_for("its address", lambda: vips(here) == [mine])
    check(not there.sas() and vips(other, "remote-vips") == [mine], there.sas())
    check(has_address(a, mine) and (mine == "10.3.0.1" or not has_address(a, "10.3.0.1")), a.run("ip", "-brief", "address"))
    check(a.pings("10.2.0.1") == 3, "packets come through")


@cases([("early", "\nredirect_early = yes"), ("with-the-proof", "")])
def gateways_that_send_on_to_each_other_are_left_in_peace(lab, early):
    """RFC 5685 7 test: five steps in five minutes, however often the child that is to be up is tried."""
    a, b = group(lab)
    two = gateway_config(conn=f"redirect_to = {OTHER}{early}", name="one").replace(f"{FORMER}, {OTHER}", FORMER)
    back = gateway_config(conn=f"redirect_to = {FORMER}{early}", name="two").replace(f"{FORMER}, {OTHER}", OTHER)
    b.cygnet(two[:two.index("}\nsecrets")] + back[back.index("    two {"):])
    here = a.cygnet(config("a", "b", start="start"))
    wait_for("several attempts", lambda: [sa for _, sa in here.sas() if int(sa.get("attempts-failed", 0)) >= 4], 20)
    check(here.log().count("sends us on to") == 5, here.log())
    check("gateways send us on again and again" in here.cygnet("list"), here.cygnet("list"))
