# SPDX-License-Identifier: Apache-2.0
"""What is to be up comes up, whenever the peer, the route, the address or the name does."""
import json
import pathlib
import shutil
import sys
import time

import strongswan
from cases import Skip, case, cases, config, gateways, traffic
from lab import check, wait_for

QUICK = ("--retransmit", "0.1/1.5/3")
NAMES = pathlib.Path(__file__).resolve().parent / "names.py"


class Names:
    """The host asks a name server of its own; set() changes what that one answers."""

    def __init__(self, host, **names):
        self.table = host.lab.directory / "names.json"
        self.set(**names)
        self.etc = pathlib.Path("/etc/netns") / host.ns   # `ip netns exec` puts its files in place of those of the machine
        self.etc.mkdir(parents=True, exist_ok=True)
        (self.etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.process = host.start(sys.executable, NAMES, self.table)
        wait_for("the name server", lambda: ":53 " in host.run("ss", "-Hlun"))

    def set(self, **names):
        temporary = self.table.with_suffix(".new")
        temporary.write_text(json.dumps({f"{name}.example.org": addresses for name, addresses in names.items()}))
        temporary.rename(self.table)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.etc, ignore_errors=True)


def named(remote, **more):
    return config("a", "b", **more).replace("remote_addrs = 192.0.2.2", f"remote_addrs = {remote}")


def up(ours, seconds=15):
    wait_for("the child", lambda: len(ours.children()) == 1 and ours.children()[0]["state"] == "INSTALLED", seconds)


@cases([("cygnet", False), ("strongswan", True)])
def the_peer_is_started_later(lab, foreign):
    if foreign and not strongswan.present():
        raise Skip("strongSwan is not installed")
    a, b = gateways(lab)
    encap = "encap = yes" if foreign else ""
    ours = a.cygnet(config("a", "b", start="start", conn=encap), options=QUICK)
    waiting = lambda: [sa for _, sa in ours.sas() if int(sa.get("attempts-failed", 0)) >= 2 and "next-attempt" in sa]
    sa = wait_for("two attempts that failed", waiting, 20)[0]
    check(sa["waiting-children"] == ["net4"] and "does not answer" in sa["last-failure"], sa)
    wait_for("the next attempt in the list", lambda: "attempts failed; the last one: the peer does not answer; next one in" in ours.cygnet("list"))
    text = wait_for("the explanation", lambda: (text := ours.cygnet("explain", "net4")) and "next attempt" in text and text)
    check("net4 of gw is not up yet; it is tried again and again" in text and "what to do" in text, text)
    check(ours.log().count("cannot establish an IKE SA") == 1, "more than the first failure is in the log")
    if foreign:
        b.strongswan(config("b", "a", conn=encap))
    else:
        b.cygnet(config("b", "a"))
    ours.cygnet("up", "net4")   # does not wait for the next attempt
    traffic(a, b)
    ours.wait_log("connected at attempt")


@case
def the_route_comes_later(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    a.run("ip", "link", "set", "to-b", "down")
    ours = a.cygnet(config("a", "b", start="start").replace("local_addrs = 192.0.2.1", "local_addrs = %any"))
    ours.wait_log("and then until it is up", 10)
    time.sleep(4)
    check(not ours.children(), "there is no way")
    a.run("ip", "link", "set", "to-b", "up")
    up(ours, 4)   # at once, not when the wait is over
    traffic(a, b)


@case
def a_dead_peer_comes_back(lab):
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a"))
    ours = a.cygnet(config("a", "b", start="start", conn="dpd_delay = 1s", child="dpd_action = restart"), options=QUICK)
    up(ours)
    b.run("ip", "link", "set", "to-a", "down")   # what it says as it ends is not heard
    there.stop()
    wait_for("that it is gone", lambda: not ours.children(), 20)
    wait_for("that it is tried", lambda: any(int(sa.get("attempts-failed", 0)) >= 2 for _, sa in ours.sas()), 30)
    b.run("ip", "link", "set", "to-a", "up")
    b.cygnet(config("b", "a"))
    up(ours, 30)
    traffic(a, b)


@case
def a_refusal_ends_it_or_not(lab):
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a", secret="another one"))
    ours = a.cygnet(config("a", "b", start="start"), options=QUICK)
    ours.wait_log("it is not tried again, as this does not pass by itself", 10)
    check(not ours.sas(), "nothing is tried")
    there.configure(config("b", "a"))
    there.cygnet("reload")
    ours.cygnet("up", "net4")
    traffic(a, b)


@case
def a_better_configuration_is_tried_at_once(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    ours = a.cygnet(named("192.0.2.99", start="start"), options=QUICK)
    wait_for("that it is tried", lambda: any(int(sa.get("attempts-failed", 0)) >= 2 for _, sa in ours.sas()), 30)
    ours.configure(config("a", "b", start="start"))
    ours.cygnet("reload")
    up(ours, 5)
    check(len(ours.sas()) == 1, ours.sas())
    traffic(a, b)


@case
def down_ends_it(lab):
    a, b = gateways(lab)
    ours = a.cygnet(config("a", "b", start="start"), options=QUICK)
    wait_for("that it is tried", lambda: any(int(sa.get("attempts-failed", 0)) >= 2 for _, sa in ours.sas()), 30)
    ours.cygnet("down", "net4")
    check(not ours.sas(), ours.sas())


@case
def addresses_are_tried_in_order(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    ours = a.cygnet(named("192.0.2.98, 192.0.2.99, 192.0.2.2"), options=QUICK)
    ours.cygnet("up", "net4")
    check(ours.log().count("the next of the peer's addresses is tried") == 2, ours.log())
    traffic(a, b)


@case
def a_name_gets_its_address_later(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    with Names(a) as names:
        ours = a.cygnet(named("b.example.org", start="start"), options=QUICK)
        ours.wait_log("the name b.example.org has no address", 10)
        names.set(b=["192.0.2.2"])
        up(ours, 40)
        traffic(a, b)


@cases([("no-way", "2001:db8:99::9"), ("no-answer", "2001:db8::99")])
def of_a_name_all_addresses_are_tried(lab, wrong):
    """IPv6 is asked for as well; when it leads nowhere IPv4 is taken."""
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    with Names(a, b=[wrong, "192.0.2.2"]):
        ours = a.cygnet(named("b.example.org").replace("local_addrs = 192.0.2.1", "local_addrs = %any"), options=QUICK)
        ours.cygnet("up", "net4")
        traffic(a, b)


@case
def a_name_is_of_ipv6_alone(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a", outer=6))
    wait_for("the link in IPv6", lambda: a.pings("2001:db8::2", 1))   # a new link needs longer than we try here
    with Names(a, b=["2001:db8::2"]):
        ours = a.cygnet(named("b.example.org").replace("local_addrs = 192.0.2.1", "local_addrs = %any"), options=QUICK)
        ours.cygnet("up", "net4")
        traffic(a, b)


@cases([("cygnet", False), ("strongswan", True)])
def a_peer_with_a_dynamic_address_is_found(lab, foreign):
    """The peer comes back at another address; its name is looked up anew when liveness finds that it has gone."""
    if foreign and not strongswan.present():
        raise Skip("strongSwan is not installed")
    a, b = gateways(lab)
    conn = "mobike = no\n" + ("encap = yes" if foreign else "")
    kind = b.strongswan if foreign else b.cygnet
    there = kind(config("b", "a", conn=conn).replace("local_addrs = 192.0.2.2", "local_addrs = %any"))
    with Names(a, b=["192.0.2.2"]) as names:
        ours = a.cygnet(named("b.example.org", start="start", conn=conn + "\ndpd_delay = 1s", child="dpd_action = restart"), options=QUICK)
        up(ours)
        traffic(a, b, count=1)
        b.run("ip", "link", "set", "to-a", "down")   # what it says as it ends is not heard
        there.stop()
        b.run("ip", "address", "del", "192.0.2.2/24", "dev", "to-a")
        b.run("ip", "link", "set", "to-a", "up")
        b.run("ip", "address", "add", "192.0.2.22/24", "dev", "to-a")
        names.set(b=["192.0.2.22"])
        if foreign:
            b.strongswan(config("b", "a", conn=conn).replace("local_addrs = 192.0.2.2", "local_addrs = %any"))
        else:
            b.cygnet(config("b", "a", conn=conn).replace("local_addrs = 192.0.2.2", "local_addrs = %any"))
        wait_for("the new address", lambda: [sa for _, sa in ours.sas() if sa["remote-host"] == "192.0.2.22" and sa["state"] == "ESTABLISHED"], 60)
        up(ours)
        traffic(a, b)


@case
def reauthentication_looks_the_name_up(lab):
    a, b = gateways(lab)
    b.run("ip", "address", "add", "192.0.2.22/24", "dev", "to-a")
    b.cygnet(config("b", "a").replace("local_addrs = 192.0.2.2", "local_addrs = %any"))
    with Names(a, b=["192.0.2.2"]) as names:
        ours = a.cygnet(named("b.example.org", start="start", conn="mobike = no"), options=QUICK)
        up(ours)
        names.set(b=["192.0.2.22"])
        ours.swanctl("--rekey", "--ike", "gw", "--reauth")
        wait_for("the new address", lambda: [sa["remote-host"] for _, sa in ours.sas()] == ["192.0.2.22"], 15)
        traffic(a, b)


@case
def another_name_server_is_noticed(lab):
    """The host comes to another network: resolv.conf is another one."""
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    with Names(a, b=["192.0.2.2"]) as names:
        (names.etc / "resolv.conf").write_text("nameserver 192.0.2.77\n")
        ours = a.cygnet(named("b.example.org", start="start"), options=QUICK)
        time.sleep(1)
        (names.etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")   # the same file, as it is bound
        up(ours, 60)
        traffic(a, b)


@case
def what_is_not_up_is_explained(lab):
    a, _ = gateways(lab)
    ours = a.cygnet(config("a", "b"))
    text = ours.cygnet("explain", "net4", check_status=False)
    check("net4 of gw is loaded, but neither up nor being tried: `cygnet up net4`" in text, text)
    text = ours.cygnet("explain", "nett", check_status=False)
    check("there is no child named nett; those that are loaded: net4" in text, text)
    empty = a.lab.host("c").cygnet("")
    text = empty.cygnet("explain", "net4", check_status=False)
    check("no connection with children is loaded" in text, text)
