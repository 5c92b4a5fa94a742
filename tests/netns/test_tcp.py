# SPDX-License-Identifier: Apache-2.0
"""IKE and ESP over TCP (RFC 9329): between two hosts where a packet filter lets no UDP through."""
import time

from cases import HOSTS, case, cases, config, gateways, traffic
from lab import check, wait_for

QUICK = ("--retransmit", "0.3/1.2/5")


def no_udp(host):
    host.run("nft", "add table inet wall; add chain inet wall in { type filter hook input priority -300; }; add rule inet wall in meta l4proto { udp, esp } drop")


def packets(capture, what):
    return [line for line in capture.lines(what) if " > " in line]


def pair(lab, tcp, outer=4, blocked=True):
    a, b = gateways(lab)
    if blocked:
        no_udp(a), no_udp(b)
    there = b.cygnet(config("b", "a", outer=outer, inner=(4, 6)), options=("--port-tcp", "4500"))
    here = a.cygnet(config("a", "b", outer=outer, inner=(4, 6), conn=f"tcp = {tcp}"), options=QUICK)
    return a, b, here, there


@cases([("yes-ipv4", "yes", 4), ("yes-ipv6", "yes", 6), ("fallback", "fallback", 4)])
def comes_up_where_udp_is_stopped(lab, tcp, outer):
    a, b, here, there = pair(lab, tcp, outer)
    capture = a.capture("to-b")
    here.cygnet("up", "net4")
    here.cygnet("up", "net6")
    traffic(a, b, inner=(4, 6))
    check(here.sas()[0][1].get("tcp") == "yes" and there.sas()[0][1].get("tcp") == "yes", f"{here.sas()} {there.sas()}")
    check("over TCP" in here.cygnet("list"), here.cygnet("list"))
    for end in (here, there):
        end.cygnet("rekey", "--ike", "gw")
        end.cygnet("rekey", "--child", "net4")
    wait_for("one IKE SA", lambda: len(here.sas()) == 1 and len(here.children()) == 2, 15)
    traffic(a, b, inner=(4, 6))
    bits = a.iperf(b, HOSTS[4]["b"], 2, extra=("-B", HOSTS[4]["a"]))
    check(bits > 5e6, f"only {bits / 1e6:.1f} Mbit/s")
    here.cygnet("down", "--ike", "gw")
    wait_for("nothing left", lambda: not here.sas() and not there.sas())
    capture.stop()
    check(not packets(capture, "ip proto 50 or ip6 proto 50"), "ESP beside the stream")
    check(packets(capture, "tcp port 4500"), "nothing over TCP")


@case
def udp_is_preferred_where_it_works(lab):
    a, b, here, there = pair(lab, "fallback", blocked=False)
    here.cygnet("up", "net4")
    traffic(a, b)
    check("tcp" not in here.sas()[0][1], f"{here.sas()}")


@case
def a_connection_that_breaks_is_opened_again(lab):
    a, b, here, there = pair(lab, "yes")
    here.cygnet("up", "net4")
    traffic(a, b)
    child = here.children()[0]["spi-in"]
    port = there.sas()[0][1]["remote-port"]
    b.run("nft", "add rule inet wall in tcp dport 4500 reject with tcp reset")
    time.sleep(1)
    a.pings(HOSTS[4]["b"], count=1, source=HOSTS[4]["a"])
    b.run("nft", "flush chain inet wall in; add rule inet wall in meta l4proto { udp, esp } drop")
    wait_for("another connection", lambda: there.sas() and there.sas()[0][1]["remote-port"] != port, 15)
    traffic(a, b)
    check(here.children()[0]["spi-in"] == child, "the child was made anew")
    here.wait_log("is lost and opened again")


@case
def an_idle_tunnel_keeps_its_connection(lab):
    """Longer than a stranger may stay."""
    a, b, here, there = pair(lab, "yes")
    here.cygnet("up", "net4")
    port = there.sas()[0][1]["remote-port"]
    stranger = a.start("bash", "-c", "exec 3<>/dev/tcp/192.0.2.2/4500; printf IKETCP >&3; timeout 60 cat <&3")
    wait_for("the stranger is sent away", lambda: stranger.poll() is not None, 50)
    check(there.sas()[0][1]["remote-port"] == port and "is lost" not in here.log(), here.log()[-1500:])
    traffic(a, b)


@case
def a_stranger_is_shown_the_door(lab):
    a, b, here, there = pair(lab, "yes")
    for said in ("GET / HTTP/1.1", "IKETCP\\000\\001", "IKETCP\\377\\377\\001\\002\\003\\004"):
        a.run("bash", "-c", f"exec 3<>/dev/tcp/192.0.2.2/4500; printf '{said}' >&3; timeout 1 cat <&3; true", check_status=False)
    here.cygnet("up", "net4")   # the others are none of our business
    traffic(a, b)


@case
def nobody_listens_unless_told(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", conn="tcp = yes"), options=QUICK)
    out = here.cygnet("up", "net4", check_status=False)
    check("4500" not in b.run("ss", "-Hltn"), "cygnetd listens on TCP unasked")
    check("cannot establish" in out or "does not answer" in out, out)
    here.wait_log("Connection refused")
