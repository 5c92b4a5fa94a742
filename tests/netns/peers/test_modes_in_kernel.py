# SPDX-License-Identifier: Apache-2.0
"""Transport mode, BEET and AH with strongSwan and the kernel it stands on: what goes over the link is the kernel's idea of each mode, and ours."""
import re

from cases import HOSTS, OUTER, cases
from lab import check, wait_for
from together import both, rekeys, together

MODES = {"transport": "TRANSPORT", "beet": "BEET"}


def strict(mode):
    """Ours refuses any other mode; strongSwan does not know the option."""
    return f"mode = {mode}\nstrict = mode"


def pair(lab, ours, mode, **settings):
    nets = settings.pop("nets", None) or {"a": "dynamic", "b": "dynamic"}
    result = together(lab, "strongswan", ours, child=f"mode = {mode}", ours={"child": strict(mode)}, nets=nets, **settings)
    shown = result[2].cygnet("list")
    check(MODES.get(mode, mode.upper()) in shown, f"not {mode}:\n{shown}")
    return result


def crossing(a, b, targets, sources=(None, None), sizes=(56, 1200), count=3):
    """Pings of several sizes and TCP, both ways."""
    for host, target, source in ((a, targets[1], sources[0]), (b, targets[0], sources[1])):
        for size in sizes:
            got = host.pings(target, count=count, source=source, size=size)
            check(got == count, f"only {got} of {count} pings of {size} bytes from {host.name} came back")


def streams(a, b, targets, sources=(None, None)):
    for client, server, target, source in ((a, b, targets[1], sources[0]), (b, a, targets[0], sources[1])):
        rate = exchange(client, server, target, source)
        check(rate, f"TCP from {client.name} to {server.name} carries nothing")


def exchange(client, server, target, source):
    """300,000 bytes by TCP; true when all arrived."""
    family = "6" if ":" in target else ""
    reader = ("import socket\n"
              f"s = socket.create_server(('{target}', 7007), family=socket.AF_INET{family})\n"
              "s.settimeout(15)\n"
              "c, _ = s.accept()\n"
              "c.settimeout(15)\n"
              "n = 0\n"
              "while part := c.recv(65536): n += len(part)\n"
              "c.sendall(str(n).encode())\n")
    writer = ("import socket\n"
              f"c = socket.create_connection(('{target}', 7007), timeout=15, source_address=" + (f"('{source}', 0)" if source else "None") + ")\n"
              "c.sendall(bytes(300000))\n"
              "c.shutdown(socket.SHUT_WR)\n"
              "print('all', c.recv(100).decode())\n")
    server.start("python3", "-c", reader)
    wait_for("a listener", lambda: ":7007" in server.run("ss", "-Hltn"))
    return "all 300000" in client.run("python3", "-c", writer, check_status=False, timeout=30)


def outer_of(outer):
    return OUTER[outer]["a"], OUTER[outer]["b"]


def both_rekey(ours, peer, look):
    for what, words in (("child", ("--child", "net4")), ("ike", ("--ike", "gw"))):
        for act in (lambda: ours.cygnet("rekey", *words), lambda: peer.rekey(what)):
            rekeys(ours, act, what)
            look()


def only(capture, word, count=12):
    lines = [line for line in capture.lines() if word in line]
    check(len(lines) >= count, f"{len(lines)} packets with {word}:\n" + "\n".join(capture.lines()[:10]))
    plain = [line for line in capture.lines("icmp or tcp or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))") if "> " in line]
    check(not plain, f"packets went in the clear: {plain[:3]}")


SUITES = [("aes128gcm16", ""), ("aes256-sha256-esn", ""), ("aes256gcm16-esn", "encap = yes"), ("aes128-sha256", "encap = yes")]


@cases([(f"outer{outer}-{esp}{'-udp' if conn else ''}-{name}", outer, esp, conn, ours) for outer in (4, 6) for esp, conn in SUITES
        for name, ours in both("strongswan")])
def transport(lab, outer, esp, conn, ours):
    a, b, here, peer = pair(lab, ours, "transport", outer=outer, esp=esp, conn=conn)
    check("TRANSPORT" in peer.swanctl("--list-sas"), peer.swanctl("--list-sas"))
    capture = a.capture("to-b")
    crossing(a, b, outer_of(outer))
    streams(a, b, outer_of(outer))
    capture.stop()
    only(capture, "UDP-encap: ESP(" if conn else "ESP(")


@cases([("ipv4", 4), ("ipv6", 6)])
def transport_is_rekeyed_by_each(lab, outer):
    a, b, here, peer = pair(lab, True, "transport", outer=outer, esp="aes128gcm16-curve25519")
    both_rekey(here, peer, lambda: crossing(a, b, outer_of(outer), sizes=(56,), count=2))
    check("TRANSPORT" in here.cygnet("list"), "rekeying has changed the mode")


@cases([(f"inner{inner}-outer{outer}{'-udp' if conn else ''}-{name}", inner, outer, conn, ours) for inner in (4, 6) for outer in (4, 6)
        for conn in ("", "encap = yes") for name, ours in both("strongswan") if not conn or inner == outer])
def beet(lab, inner, outer, conn, ours):
    hosts = HOSTS[inner]["a"], HOSTS[inner]["b"]
    a, b, here, peer = pair(lab, ours, "beet", inner=(inner,), outer=outer, conn=conn, nets={"a": hosts[0], "b": hosts[1]}, esp="aes128gcm16")
    capture = a.capture("to-b")
    crossing(a, b, hosts, hosts)
    streams(a, b, hosts, hosts)
    capture.stop()
    only(capture, "ESP(")


@cases([("ipv4", 4)])
def beet_is_rekeyed_by_each(lab, inner):
    hosts = HOSTS[inner]["a"], HOSTS[inner]["b"]
    a, b, here, peer = pair(lab, True, "beet", nets={"a": hosts[0], "b": hosts[1]}, esp="aes128gcm16-curve25519")
    both_rekey(here, peer, lambda: crossing(a, b, hosts, hosts, sizes=(56,), count=2))


@cases([(f"{mode}-outer{outer}-{ah}-{name}", mode, outer, ah, ours) for mode in ("transport", "tunnel") for outer in (4, 6)
        for ah in ("sha256", "sha384-esn", "aesxcbc") for name, ours in both("strongswan") if outer == 4 or ah == "sha256"])
def ah(lab, mode, outer, ah, ours):
    hosts = outer_of(outer) if mode == "transport" else (HOSTS[outer]["a"], HOSTS[outer]["b"])
    settings = {"nets": {"a": HOSTS[outer]["a"], "b": HOSTS[outer]["b"]}, "inner": (outer,)} if mode == "tunnel" else {}
    a, b, here, peer = pair(lab, ours, mode, outer=outer, esp=ah, protocol="ah", **settings)
    capture = a.capture("to-b")
    sources = hosts if mode == "tunnel" else (None, None)
    crossing(a, b, hosts, sources)
    streams(a, b, hosts, sources)
    capture.stop()
    count = len([line for line in capture.lines() if "AH(" in line])
    check(count >= 12, f"{count} packets of AH:\n" + "\n".join(capture.lines()[:10]))


@cases([("padding", 4)])
def headers_with_options_are_carried(lab, outer):
    """IPv4 options go before ESP in transport mode, and in BEET's pseudo header (RFC 7402 B.1.5)."""
    hosts = HOSTS[4]["a"], HOSTS[4]["b"]
    a, b, here, peer = pair(lab, True, "beet", nets={"a": hosts[0], "b": hosts[1]}, esp="aes128gcm16")
    for host, target, source in ((a, hosts[1], hosts[0]), (b, hosts[0], hosts[1])):
        out = host.run("ping", "-c", "3", "-i", "0.2", "-W", "2", "-T", "tsonly", "-I", source, target, check_status=False)
        check(re.search(r"\b3 received", out), out)


@cases([(f"{mode}-outer{outer}{'-udp' if conn else ''}", mode, outer, conn) for mode in ("transport", "beet", "ah-transport", "ah-tunnel", "tunnel")
        for outer in (4, 6) for conn in ("", "encap = yes") if not (conn and mode.startswith("ah"))])
def datagrams_larger_than_the_link(lab, mode, outer, conn):
    """RFC 4303 3.3.4 test, RFC 4302 3.3.4 test: each end takes the fragments that the other one makes."""
    hosts = outer_of(outer) if mode.endswith("transport") else (HOSTS[outer]["a"], HOSTS[outer]["b"])
    sources = (None, None) if mode.endswith("transport") else hosts
    settings = {"nets": {"a": hosts[0], "b": hosts[1]}, "inner": (outer,)} if sources[0] else {}
    settings.update(dict(esp="sha256", protocol="ah") if mode.startswith("ah") else dict(esp="aes128gcm16"))
    a, b, here, peer = pair(lab, True, mode.removeprefix("ah-"), outer=outer, conn=conn, **settings)
    for host in (a, b):   # IPv6: both hosts learn how large a fragment may be
        host.pings(hosts[host is a], source=sources[host is b], count=2, size=3000)
    for host in (a, b):
        for size in (1300, 1400, 1472, 3000, 8000):   # a guest's card may lose one of a row of fragments
            got = [host.pings(hosts[host is a], source=sources[host is b], size=size)]
            got += [host.pings(hosts[host is a], source=sources[host is b], size=size)] if got[0] < 3 else []
            check(max(got) == 3, f"only {got} of 3 pings of {size} bytes from {host.name} came back")
