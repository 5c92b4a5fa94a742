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


@cases([("plain", ""), ("udp", "encap = yes")])
def time_to_live_and_service_class_stay(lab, conn):
    a, b = gateways(lab)
    b.cygnet(hosts_config("b", "a", conn=conn))
    here = a.cygnet(hosts_config("a", "b", conn=conn))
    here.cygnet("up", "net4")
    capture, inner = a.capture("to-b", "udp port 4500 or esp"), b.capture("cygnet0", "icmp")
    a.run("ping", "-c", "2", "-i", "0.2", "-t", "33", "-Q", "0x48", OUTER[4]["b"])
    capture.stop(), inner.stop()
    arrived = [line for line in inner.lines("-v") if "ttl 33" in line and "tos 0x48" in line]
    check(len(arrived) == 2, f"{len(arrived)} of 2 packets arrived with their fields:\n" + "\n".join(inner.lines("-v")))
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


@cases([(f"outer{outer}-{esp}{'-udp' if conn else ''}", outer, esp, conn) for outer in (4, 6) for esp, conn in
        (("aes128gcm16", ""), ("aes128gcm16", "encap = yes")) if outer == 4 or not conn])
def datagrams_larger_than_a_packet_are_carried(lab, outer, esp, conn):
    """RFC 4303 3.3.4 test: they are protected whole, and cut on the way."""
    a, b = gateways(lab)
    settings = dict(outer=outer, conn=conn, **({"esp": "sha256", "protocol": "ah"} if esp == "ah" else {"esp": esp}))
    b.cygnet(hosts_config("b", "a", **settings))
    here = a.cygnet(hosts_config("a", "b", **settings))
    here.cygnet("up", "net4")
    for size in (1360, 1472, 4000, 60000):
        host_traffic(a, b, outer, size=size)


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


def four_hosts(lab):
    """A host behind each of two gateways; their networks are reached by way of the gateways."""
    h1, a, b, h2 = lab.host("h1"), lab.host("a"), lab.host("b"), lab.host("h2")
    lab.link(a, ["192.0.2.1/24", "2001:db8::1/64"], b, ["192.0.2.2/24", "2001:db8::2/64"])
    lab.link(h1, ["10.1.0.5/24", "fd01::5/64"], a, ["10.1.0.1/24", "fd01::1/64"])
    lab.link(h2, ["10.2.0.5/24", "fd02::5/64"], b, ["10.2.0.1/24", "fd02::1/64"])
    for host, net in ((h1, 1), (h2, 2)):
        host.route("default", "via", f"10.{net}.0.1")
        host.route("default", "via", f"fd0{net}::1")
    a.forward(), b.forward()
    return h1, a, b, h2


FAR = {4: "10.2.0.5", 6: "fd02::5"}
LAN = {4: ("10.1.0.5", "10.2.0.5"), 6: ("fd01::5", "fd02::5")}


def sizes_of(host, device, path, family):
    """Sizes of the larger ESP packets on the link, IP headers and all: not those of a TCP connection's end."""
    from lab import run
    out = run("tcpdump", "-n", "-e", "-r", path, "esp", check_status=False)
    return sorted({int(size) - 14 for size in re.findall(r", length (\d+): ", out) if int(size) > 400})


@cases([("ipv4", 4), ("ipv6", 6)])
def transport_between_gateways(lab, family):
    """Packets keep their header; on the link they are exactly those of transport mode between the hosts, and smaller than a tunnel's."""
    h1, a, b, h2 = four_hosts(lab)
    settings = dict(inner=(family,), outer=family)
    there = b.cygnet(config("b", "a", child="mode = transport\nstrict = mode", **settings))
    here = a.cygnet(config("a", "b", child="mode = transport\nstrict = mode", **settings))
    here.cygnet("up", f"net{family}")
    for daemon in (here, there):
        check("GATEWAY-TRANSPORT" in child_of(daemon), child_of(daemon))
    capture = a.capture("to-b")
    got = h1.pings(FAR[family], size=500)
    check(got == 3, f"{got} of 3 pings between the hosts came back")
    source, destination = LAN[family]
    path = capture.stop()
    sent = [line for line in capture.lines("esp") if f"{source} > {destination}" in line]
    back = [line for line in capture.lines("esp") if f"{destination} > {source}" in line]
    check(len(sent) == 3 and len(back) == 3, f"not the hosts' own addresses: {capture.lines()}")
    between = sizes_of(a, "to-b", path, family)
    check(a.pings("10.2.0.5" if family == 4 else "fd02::5", source="10.1.0.1" if family == 4 else "fd01::1") == 3, "the gateway's own packets are lost")
    check(b.pings("10.1.0.1" if family == 4 else "fd01::1", source="10.2.0.1" if family == 4 else "fd02::1") == 3, "packets to the gateway itself are lost")
    speed = h1.iperf(h2, FAR[family], seconds=1)
    check(speed > 5e6, f"TCP reaches {speed:.0f} bit/s only")
    here.stop(), there.stop()
    there = b.cygnet(config("b", "a", **settings))
    here = a.cygnet(config("a", "b", **settings))
    here.cygnet("up", f"net{family}")
    capture = a.capture("to-b")
    check(h1.pings(FAR[family], size=500) == 3, "the tunnel loses pings")
    tunnel = sizes_of(a, "to-b", capture.stop(), family)
    here.stop(), there.stop()
    # ICMP of 508 bytes in AES-GCM: ESP 8, IV 8, padded to a multiple of 4 with the 2 of the trailer, ICV 16
    expected = (20 if family == 4 else 40) + 8 + 8 + 512 + 16
    check(between == [expected], f"{between} bytes a packet, host-to-host transport mode has {expected}")
    # What is saved is the outer header.
    check(tunnel == [expected + (20 if family == 4 else 40)], f"the tunnel has {tunnel} bytes a packet")
    rules = a.run("ip", "rule") + a.run("ip", "-6", "rule")
    check("221" not in rules, f"rules stay behind:\n{rules}")


@case
def gateways_of_another_mode_are_refused(lab):
    """Gateway transport is for both ends or none."""
    h1, a, b, h2 = four_hosts(lab)
    there = b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", child="mode = transport"))
    here.cygnet("up", "net4", check_status=False)
    here.wait_log("transport mode between gateways needs a cygnet with that mode at both ends")
    wait_for("no child", lambda: "INSTALLED" not in child_of(here) and "INSTALLED" not in child_of(there))


@case
def gateway_transport_and_nat_exclude_each_other(lab):
    h1, a, b, h2 = four_hosts(lab)
    b.cygnet(config("b", "a", child="mode = transport", conn="encap = yes"))
    here = a.cygnet(config("a", "b", child="mode = transport", conn="encap = yes"))
    here.cygnet("up", "net4", check_status=False)
    here.wait_log("for ESP without a NAT and without UDP")


@case
def esp_of_a_lan_host_passes_gateways(lab):
    """A host behind a gateway that speaks IPsec itself gets its packets, whatever SPI they have."""
    h1, a, b, h2 = four_hosts(lab)
    b.cygnet(config("b", "a", child="mode = transport"))
    here = a.cygnet(config("a", "b", child="mode = transport"))
    here.cygnet("up", "net4")
    check(h1.pings("10.2.0.5") == 3, "the gateways do not work")
    spi = int(re.search(r"SPI in ([0-9a-f]{8}) out ([0-9a-f]{8})", child_of(here)).group(2), 16)
    capture = h2.capture("to-b", "esp")
    code = f"""
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50)
for spi in ({spi}, 0x12345678):
    s.sendto(struct.pack("!II", spi, 7) + b"x" * 80, ("10.2.0.5", 0))
"""
    outside = lab.host("x")
    lab.link(outside, ["198.51.100.9/24"], b, ["198.51.100.1/24"])
    outside.route("default", "via", "198.51.100.1")
    outside.run("python3", "-c", code)
    h1.run("python3", "-c", code)
    capture.stop()
    lines = capture.lines()
    for source in ("198.51.100.9", "10.1.0.5"):
        for number in (spi, 0x12345678):
            found = [line for line in lines if f"{source} > 10.2.0.5: ESP(spi=0x{number:08x},seq=0x7), length 88" in line]
            check(len(found) == 1, f"ESP {number:08x} of {source} did not pass:\n" + "\n".join(lines))


@cases([(f"{mode}-outer{outer}", mode, outer) for mode in ("tunnel", "transport") for outer in (4, 6)])
def ah_authenticates(lab, mode, outer):
    a, b = gateways(lab)
    make = config if mode == "tunnel" else hosts_config
    text = lambda me, peer: make(me, peer, outer=outer, child=f"mode = {mode}\nstrict = mode").replace("esp_proposals = aes128gcm16", "ah_proposals = sha256")
    b.cygnet(text("b", "a"))
    here = a.cygnet(text("a", "b"))
    here.cygnet("up", "net4")
    capture = a.capture("to-b")
    if mode == "tunnel":
        traffic(a, b)
    else:
        host_traffic(a, b, outer)
    capture.stop()
    found = [line for line in capture.lines("proto 51 or ip6 proto 51") if "AH(spi=" in line]
    check(len(found) == 12, f"{len(found)} of 12 packets of AH:\n" + "\n".join(capture.lines()))


@case
def ah_and_nat_exclude_each_other(lab):
    a, b = gateways(lab)
    text = lambda me, peer: config(me, peer, conn="encap = yes").replace("esp_proposals = aes128gcm16", "ah_proposals = sha256")
    b.cygnet(text("b", "a"))
    here = a.cygnet(text("a", "b"))
    here.cygnet("up", "net4", check_status=False)
    here.wait_log("does not go through NATs")


@cases([("plain", ""), ("udp", "encap = yes")])
def beet_between_networks_pair_by_pair(lab, conn):
    h1, a, b, h2 = four_hosts(lab)
    h1.address("10.1.0.6/24", "to-a")
    b.cygnet(config("b", "a", child="mode = beet", conn=conn))
    here = a.cygnet(config("a", "b", child="mode = beet", conn=conn, start="start"))
    for source in ("10.1.0.5", "10.1.0.6"):
        got = h1.pings("10.2.0.5", source=source)
        check(got == 3, f"{got} of 3 pings from {source} came back:\n{child_of(here)}")
    check(child_of(here).count(", BEET") == 2, child_of(here))
    check(h1.iperf(h2, "10.2.0.5", seconds=1) > 5e6, "TCP does not go")


@case
def beet_that_the_peer_declines_is_a_tunnel(lab):
    h1, a, b, h2 = four_hosts(lab)
    h1.address("10.1.0.6/24", "to-a")
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", child="mode = beet", start="start"))
    for source in ("10.1.0.5", "10.1.0.6"):
        check(h1.pings("10.2.0.5", source=source) == 3, f"pings from {source} are lost:\n{child_of(here)}")
    here.wait_log("mode asked BEET, mode got TUNNEL: the peer did not take it")
