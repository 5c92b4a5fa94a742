# SPDX-License-Identifier: Apache-2.0
"""Packets for groups and for all hosts of a network go through the tunnel where selectors say so, and never beside it."""
import subprocess

from cases import HOSTS, case, cases, config, gateways
from lab import check, wait_for

RECEIVE = """
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7777))
if sys.argv[1] != "none":
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(sys.argv[1]) + struct.pack("=4si", b"\\0" * 4, socket.if_nametoindex("cygnet0")))
print("ready", flush=True)
s.settimeout(8)
data, peer = s.recvfrom(2000)
print(data.decode(), peer[0], flush=True)
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 5)
s.sendto(b"word", (sys.argv[1], 7777))
"""


def receiver(host, group):
    process = subprocess.Popen(["ip", "netns", "exec", host.ns, "python3", "-c", RECEIVE, group], stdout=subprocess.PIPE, text=True)
    check(process.stdout.readline() == "ready\n", "the receiver did not start")
    return process


@cases([("multicast", "239.1.1.0/24", "239.1.1.5", "239.1.1.5"), ("broadcast", "10.2.0.0/24", "10.2.0.255", "none")])
def what_is_for_many_is_sealed(lab, network, target, group):
    a, b = gateways(lab)
    b.cygnet(config("b", "a", nets={"a": "10.1.0.0/24", "b": network}))
    here = a.cygnet(config("a", "b", nets={"a": "10.1.0.0/24", "b": network}))
    here.cygnet("up", "net4")
    wire = a.capture("to-b")
    process = receiver(b, group)
    a.run("python3", "-c", SEND, target)   # unbound: Linux sends what is bound to an address by that address's device
    out, _ = process.communicate(timeout=15)
    check(out == f"word {HOSTS[4]['a']}\n", f"the receiver has \"{out}\"")
    wire.stop()
    check(any("ESP(" in line for line in wire.lines()), "no ESP on the wire")
    check(not [line for line in wire.lines() if "7777" in line], f"plaintext on the wire: {wire.lines()}")


@case
def what_is_for_many_does_not_leak_without_an_sa(lab):
    a, b = gateways(lab)
    here = a.cygnet(config("a", "b", nets={"a": "10.1.0.0/24", "b": "224.0.0.0/4"}, start="trap"))
    wait_for("the trap", lambda: "calls for protection" in here.log())
    a.run("ip", "route", "add", "224.0.0.0/4", "dev", "to-b")
    wire = a.capture("to-b", "udp port 7777")
    a.run("python3", "-c", SEND, "239.1.1.5")
    wire.stop()
    leaked = [line for line in wire.lines() if "7777" in line]
    check(not leaked, f"plaintext on the wire: {leaked}")


@case
def two_peers_for_one_network(lab):
    """The newer one gets the packets, and the log says so; when it goes the other one has them again."""
    a, b, c = lab.host("a"), lab.host("b"), lab.host("c")
    for number, peer in ((2, b), (3, c)):
        lab.link(a, f"192.0.{number}.1/24", peer, f"192.0.{number}.2/24")
        peer.address("10.2.0.1/24", "lo")
        peer.cygnet(config("b", "a").replace("192.0.2.", f"192.0.{number}.").replace("b.example", f"{peer.name}.example"))
    a.address("10.1.0.1/24", "lo")
    texts = [config("a", "b", name=name).replace("192.0.2.", f"192.0.{number}.").replace("b.example", f"{name}.example").replace("ike-gw", f"ike-{name}")
             for number, name in ((2, "b"), (3, "c"))]
    here = a.cygnet("\n".join(texts))

    def carries(device):
        wire = a.capture(device, "proto 50 or udp port 4500")
        count = a.pings("10.2.0.1", source="10.1.0.1")
        wire.stop()
        return count == 3 and len([line for line in wire.lines() if "ESP" in line]) >= 6
    here.cygnet("up", "--ike", "b", "--child", "net4")
    check(carries("to-b"), "the first peer does not carry")
    here.cygnet("up", "--ike", "c", "--child", "net4")
    check("POLICY_OVERLAP" in here.log() and "is of connection b, child net4, as well" in here.log(), "nothing is said of the overlap")
    check(carries("to-c"), "the newer peer does not carry")
    here.cygnet("down", "--ike", "c")
    check(carries("to-b"), "the first peer does not carry again")


@case
def a_peer_that_chooses_addresses_of_another_is_named(lab):
    """c may have any network, and chooses a part of b's: the log and an alert name both; what the configuration gives both says nothing."""
    a, b, c = lab.host("a"), lab.host("b"), lab.host("c")
    for number, peer in ((2, b), (3, c)):
        lab.link(a, f"192.0.{number}.1/24", peer, f"192.0.{number}.2/24")
        peer.address("10.2.0.1/24", "lo")
    a.address("10.1.0.1/24", "lo")

    def text(me, peer, name, number, **more):
        return (config(me, peer, name=name, **more).replace("192.0.2.", f"192.0.{number}.").replace("b.example", f"{name}.example")
                .replace("ike-gw", f"ike-{name}"))
    b.cygnet(text("b", "a", "b", 2))
    there = c.cygnet(text("b", "a", "c", 3, nets={"a": "10.1.0.0/24", "b": "10.2.0.1/32"}))
    here = a.cygnet(text("a", "b", "b", 2) + text("a", "b", "c", 3, nets={"a": "10.1.0.0/24", "b": "10.0.0.0/8"}))
    here.cygnet("up", "--ike", "b", "--child", "net4")
    check("POLICY_OVERLAP" not in here.log(), here.log())
    there.cygnet("up", "net4")
    here.wait_log("10.2.0.1, which the peer chose, reaches into 10.2.0.0/24 of connection b, child net4")
    here.cygnet("down", "--ike", "c")
    check(here.log().count("POLICY_OVERLAP") == 1, "it was said more than once")
