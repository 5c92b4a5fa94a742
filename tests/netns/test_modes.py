# SPDX-License-Identifier: Apache-2.0
"""Modes other than the tunnel: what is asked for, what comes of it, and what the packets look like on the link."""
import re

from cases import HOSTS, OUTER, case, cases, config, gateways, traffic
from lab import check, wait_for


def hosts_config(me, peer, child="mode = transport", ts="dynamic", **more):
    """As in cases.config, but what is protected is the hosts themselves."""
    text = config(me, peer, child=child, **more)
    text = re.sub(r"local_ts = .*", f"local_ts = {ts}", text)
    return re.sub(r"remote_ts = .*", f"remote_ts = {ts}", text)


def host_traffic(a, b, outer, count=3, size=None):
    for host, peer in ((a, "b"), (b, "a")):
        got = host.pings(OUTER[outer][peer], count=count, size=size)
        check(got == count, f"only {got} of {count} pings to {peer} came back")


def child_of(daemon):
    """What list says of the first child."""
    return daemon.cygnet("list")


@cases([(f"outer{outer}-{esp}{'-udp' if conn else ''}", outer, esp, conn) for outer in (4, 6) for esp in ("aes128gcm16", "aes256-sha256")
        for conn in ("", "encap = yes")])
def transport_between_hosts(lab, outer, esp, conn):
    a, b = gateways(lab)
    there = b.cygnet(hosts_config("b", "a", outer=outer, esp=esp, conn=conn))
    here = a.cygnet(hosts_config("a", "b", outer=outer, esp=esp, conn=conn))
    here.cygnet("up", "net4")
    capture = a.capture("to-b")
    host_traffic(a, b, outer)
    speed = a.iperf(b, OUTER[outer]["b"], seconds=1)
    check(speed > 10e6, f"TCP reaches {speed:.0f} bit/s only")
    path = capture.stop()
    for daemon in (here, there):
        check("TRANSPORT" in child_of(daemon), child_of(daemon))
        check("mode asked" not in daemon.log(), "a fall-back is reported that was none")
    plain = [line for line in capture.lines("icmp or tcp or icmp6 and (ip6[40] == 128 or ip6[40] == 129)") if "> " in line]
    check(not plain, f"packets went in the clear: {plain[:3]}")
    here.cygnet("rekey", "net4")
    host_traffic(a, b, outer, count=2)
    check("TRANSPORT" in child_of(here), "rekeying has changed the mode")


@case
def time_to_live_and_service_class_stay(lab):
    a, b = gateways(lab)
    b.cygnet(hosts_config("b", "a"))
    here = a.cygnet(hosts_config("a", "b"))
    here.cygnet("up", "net4")
    capture = a.capture("to-b", "esp")
    a.run("ping", "-c", "2", "-i", "0.2", "-t", "33", "-Q", "0x48", OUTER[4]["b"])
    capture.stop()
    lines = [line for line in capture.lines("-v") if "ttl 33" in line and "tos 0x48" in line]
    check(len(lines) == 2, f"{len(lines)} of 2 packets kept their fields:\n" + "\n".join(capture.lines("-v")))


@case
def a_peer_that_wants_a_tunnel_is_told_of(lab):
    """Where the peer declines, the tunnel comes up, and log, list and an alert say that it is one."""
    a, b = gateways(lab)
    b.cygnet(hosts_config("b", "a", child="mode = tunnel"))
    here = a.cygnet(hosts_config("a", "b"))
    here.cygnet("up", "net4")
    here.wait_log("mode asked TRANSPORT, mode got TUNNEL: the peer did not take it")
    check("asked for: TRANSPORT; the peer did not take it" in child_of(here), child_of(here))
    host_traffic(a, b, 4)


@cases([("asking", "a"), ("answering", "b")])
def strict_refuses_another_mode(lab, which):
    a, b = gateways(lab)
    strict, loose = "mode = transport\nstrict = mode", "mode = tunnel"
    there = b.cygnet(hosts_config("b", "a", child=strict if which == "b" else loose))
    here = a.cygnet(hosts_config("a", "b", child=strict if which == "a" else loose))
    here.cygnet("up", "net4", check_status=False)
    told = here if which == "a" else there
    told.wait_log("would not be carried in the mode that was asked for")
    wait_for("no child", lambda: "INSTALLED" not in child_of(here) and "INSTALLED" not in child_of(there))


@case
def transport_through_a_nat(lab):
    """The client's address is another one for each end, and checksums are mended (RFC 7296 2.23.1, RFC 3948 3.1.2)."""
    a, nat, b = lab.host("a"), lab.host("nat"), lab.host("b")
    lab.link(a, ["10.9.0.2/24"], nat, ["10.9.0.1/24"])
    lab.link(nat, ["192.0.2.1/24"], b, ["192.0.2.2/24"])
    a.route("default", "via", "10.9.0.1")
    nat.masquerade("to-b")
    text = hosts_config("a", "b").replace("local_addrs = 192.0.2.1", "local_addrs = 10.9.0.2")
    there = b.cygnet(hosts_config("b", "a"))
    here = a.cygnet(text)
    here.cygnet("up", "net4")
    for daemon in (here, there):
        check("TRANSPORT in UDP" in child_of(daemon), child_of(daemon))
    check("local  192.0.2.2  remote  192.0.2.1" in child_of(there), child_of(there))
    got = a.pings("192.0.2.2")
    check(got == 3, f"{got} of 3 pings came back")
    speed = a.iperf(b, "192.0.2.2", seconds=1)
    check(speed > 10e6, f"TCP reaches {speed:.0f} bit/s only: checksums are wrong")
    here.cygnet("rekey", "net4")
    check(a.pings("192.0.2.2") == 3, "pings are lost after rekeying")
    there.cygnet("rekey", "net4")
    check(a.pings("192.0.2.2") == 3, "pings are lost after the other end has rekeyed")


@case
def padding_hides_the_size(lab):
    a, b = gateways(lab)
    child = "tfc_padding = mtu"
    b.cygnet(config("b", "a", child=child))
    here = a.cygnet(config("a", "b", child=child))
    here.cygnet("up", "net4")
    capture = a.capture("to-b", "esp")
    traffic(a, b, count=2)
    a.pings(HOSTS[4]["b"], count=2, source=HOSTS[4]["a"], size=900)
    capture.stop()
    sizes = {re.search(r"length (\d+)$", line).group(1) for line in capture.lines() if ": ESP(" in line}
    check(len(sizes) == 1 and int(sizes.pop()) >= 1400, f"packets of different sizes: {capture.lines()}")
