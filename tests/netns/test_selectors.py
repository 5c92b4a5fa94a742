# SPDX-License-Identifier: Apache-2.0
"""Selectors by protocol, ports, and ICMP type: what is for the SA goes through it, and nothing else does; fragments belong to their packet."""
import sys

from cases import HOSTS, NETS, OUTER, case, cases, config, gateways
from lab import check, wait_for
from test_modes import four_hosts
from test_oversize import ASK, ECHO, datagrams

# Answers on TCP ports; prints nothing.
LISTEN = """
import socket, sys, threading
def serve(port):
    s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((sys.argv[1], port))
    s.listen(8)
    while True:
        c, _ = s.accept()
        c.sendall(c.recv(1000))
        c.close()
for port in sys.argv[2:]:
    threading.Thread(target=serve, args=(int(port),)).start()
"""
TALK = """
import socket, sys
s = socket.create_connection((sys.argv[2], int(sys.argv[3])), 3, (sys.argv[1], 0))
s.sendall(b"x" * 800)
print(len(s.recv(1000)))
"""


def between(lab, family, mode, ours, theirs, **more):
    """Both hosts with an SA for some of what goes between them; `ours` and `theirs` are what stands in brackets behind a's and b's address."""
    a, b = gateways(lab)
    ts = {"a": [f"{OUTER[family]['a']}{part}" for part in ours], "b": [f"{OUTER[family]['b']}{part}" for part in theirs]}
    nets = {name: ", ".join(list) for name, list in ts.items()}
    child = f"mode = {mode}\nstrict = mode"
    there = b.cygnet(config("b", "a", outer=family, inner=(family,), nets=nets, child=child, **more))
    here = a.cygnet(config("a", "b", outer=family, inner=(family,), nets=nets, child=child, **more))
    here.cygnet("up", f"net{family}")
    return a, b, here, there


def seen(capture, *words):
    return [line for line in capture.lines(*words) if " > " in line]


def tcp_talks(a, b, family, port):
    out = a.run(sys.executable, "-c", TALK, OUTER[family]["a"], OUTER[family]["b"], port, check_status=False, timeout=10)
    check(out.strip() == "800", f"TCP to port {port}: {out[-300:]}")


MODES = [(f"{mode}-ipv{family}", family, mode) for mode in ("tunnel", "transport") for family in (4, 6)]


@cases(MODES)
def ports_of_tcp(lab, family, mode):
    """One port and a range of ports are protected; their neighbours are not."""
    a, b, _, _ = between(lab, family, mode, ["[tcp]"], ["[tcp/80]", "[tcp/4000-4010]"])
    listening = b.start(sys.executable, "-c", LISTEN, OUTER[family]["b"], 80, 81, 3999, 4000, 4010, 4011)
    wait_for("the listener", lambda: b.run("ss", "-Hltn").count(":40") >= 3)
    for port, protected in ((80, True), (4000, True), (4010, True), (81, False), (3999, False), (4011, False)):
        capture = a.capture("to-b")
        tcp_talks(a, b, family, port)
        capture.stop()
        plain, sealed = seen(capture, "tcp"), seen(capture, "esp")
        check((not plain and len(sealed) >= 6) if protected else (plain and not sealed),
              f"port {port} is {'in the clear' if protected else 'protected'}: {len(plain)} plain packets, {len(sealed)} of ESP")
    listening.terminate()


@cases(MODES)
def fragments_belong_to_their_ports(lab, family, mode):
    """RFC 4301 7 test: datagrams in fragments, of which all but the first show no ports, are protected when their port is, and not otherwise."""
    a, b, _, _ = between(lab, family, mode, ["[udp]"], ["[udp/4444]"])
    b_ports = {}
    for port in (4444, 4445):
        echo = ECHO.replace("4444", str(port))
        b_ports[port] = b.start(sys.executable, "-c", echo, OUTER[family]["b"])
    wait_for("the echoes", lambda: b.run("ss", "-Hlun").count(":444") == 2)
    capture = a.capture("to-b")
    good = a.run(sys.executable, "-c", ASK, OUTER[family]["a"], OUTER[family]["b"], 200, 1472, 3000, 9000, timeout=60).split()
    check(good == ["200", "1472", "3000", "9000"], f"only datagrams of {good} bytes came back")
    good = a.run(sys.executable, "-c", ASK.replace("4444", "4445"), OUTER[family]["a"], OUTER[family]["b"], 200, timeout=60).split()
    check(good == ["200"], "what is not protected does not go")
    capture.stop()
    plain = [line for line in seen(capture, "udp and not port 500 and not port 4500" if family == 4 else "ip6") if ".4444" in line or ("frag" in line and "ESP" not in line and family == 6)]
    check(not [line for line in plain if ".4444" in line], f"in the clear: {plain[:3]}")
    check(len(seen(capture, "udp port 4445")) == 2, "the other port is protected, too")
    for process in b_ports.values():
        process.terminate()


@cases(MODES)
def types_of_icmp(lab, family, mode):
    """RFC 7296 3.13.1 test: echo is protected, other messages are not."""
    name, ask, answer, other = ("icmp", 8, 0, 13) if family == 4 else ("ipv6-icmp", 128, 129, 139)
    parts = [f"[{name}/{ask}]", f"[{name}/{answer}]"]
    a, b, here, _ = between(lab, family, mode, parts, parts)
    text = here.cygnet("list")
    check(f"/{ask}]" in text and f"/{answer}]" in text, text)
    capture = a.capture("to-b")
    check(a.pings(OUTER[family]["b"]) == 3 and b.pings(OUTER[family]["a"]) == 3, "echo does not go")
    check(a.pings(OUTER[family]["b"], size=3000) == 3, "echo in fragments does not go")
    code = (f"import socket\ns=socket.socket({'socket.AF_INET, socket.SOCK_RAW, 1' if family == 4 else 'socket.AF_INET6, socket.SOCK_RAW, 58'})\n"
            f"import struct\nbody=struct.pack('!BBHHH',{other},0,0,1,1)+bytes(12)\n"
            "n=sum(struct.unpack('!10H',body)); n=(n>>16)+(n&0xffff); n+=n>>16\n"
            f"s.sendto(body[:2]+struct.pack('!H',~n&0xffff)+body[4:], ('{OUTER[family]['b']}',0))\n")
    a.run(sys.executable, "-c", code)
    capture.stop()
    kinds = f"icmp[0] == {ask} or icmp[0] == {answer}" if family == 4 else f"icmp6 and (ip6[40] == {ask} or ip6[40] == {answer})"
    check(not seen(capture, kinds), f"echo in the clear: {seen(capture, kinds)[:3]}")
    kind = f"icmp[0] == {other}" if family == 4 else f"icmp6 and ip6[40] == {other}"
    check(len(seen(capture, kind)) == 1, "another type did not go in the clear")


@case
def what_shows_no_ports_has_an_sa_of_its_own(lab):
    """RFC 4301 7.2 test: OPAQUE is for later fragments and nothing else; they are carried as they are."""
    a, b, here, _ = between(lab, 4, "tunnel", ["[udp/opaque]"], ["[udp/opaque]"])
    check("opaque" in here.cygnet("list"), here.cygnet("list"))
    echo = b.start(sys.executable, "-c", ECHO, OUTER[4]["b"])
    wait_for("the echo", lambda: ":4444" in b.run("ss", "-Hlun"))
    capture = a.capture("to-b")
    good = a.run(sys.executable, "-c", ASK, OUTER[4]["a"], OUTER[4]["b"], 200, 4000, timeout=30).split()
    capture.stop()
    echo.terminate()
    check(good == ["200", "4000"], f"only {good} came back")
    later = seen(capture, "udp and ip[6:2] & 0x1fff != 0")
    first = seen(capture, "udp port 4444 and ip[6:2] & 0x1fff == 0")
    check(len(first) == 4 and not later and seen(capture, "esp"), f"first {len(first)}, later in the clear {len(later)}")


@cases([("ipv4", 4), ("ipv6", 6)])
def a_protocol_alone(lab, family):
    """GRE is protected, whatever else goes between the hosts."""
    a, b, _, _ = between(lab, family, "transport", ["[gre]"], ["[gre]"])
    kind = "AF_INET" if family == 4 else "AF_INET6"
    log = lab.directory / "gre"
    hears = b.start(sys.executable, "-u", "-c", f"import socket\ns=socket.socket(socket.{kind},socket.SOCK_RAW,47)\nprint('hears')\n"
                    "while True: print(s.recv(5000)[-5:])", log=log)
    wait_for("the receiver", lambda: "hears" in log.read_text())
    capture = a.capture("to-b")
    a.run(sys.executable, "-c", f"import socket\ns=socket.socket(socket.{kind},socket.SOCK_RAW,47)\n"
          f"for n in (100, 3000): s.sendto(bytes(4)+b'x'*n+b'there', ('{OUTER[family]['b']}',0))")
    wait_for("GRE", lambda: log.read_text().count("there") == 2)
    check(a.pings(OUTER[family]["b"]) == 3, "what is not GRE does not go")
    capture.stop()
    hears.terminate()
    check(not seen(capture, "proto 47" if family == 4 else "ip6 proto 47") and seen(capture, "esp"), "GRE went in the clear")
    check(len(seen(capture, "(icmp[0] & 0xf7 == 0) or (icmp6 and (ip6[40] & 0xfe == 128))")) == 6, "what is not GRE was protected:\n" + "\n".join(seen(capture)))


@cases([("ipv4", 4), ("ipv6", 6)])
def fragments_of_hosts_behind_gateways(lab, family):
    """Their datagrams are put together for their ports and arrive, though links behind the other gateway take no more than the first one."""
    h1, a, b, h2 = four_hosts(lab)
    nets = {"a": f"{NETS[family]['a']}[udp]", "b": f"{NETS[family]['b']}[udp/4444]"}
    b.cygnet(config("b", "a", outer=family, inner=(family,), nets=nets))
    here = a.cygnet(config("a", "b", outer=family, inner=(family,), nets=nets))
    here.cygnet("up", f"net{family}")
    source, to = ("10.1.0.5", "10.2.0.5") if family == 4 else ("fd01::5", "fd02::5")
    capture = a.capture("to-b")
    datagrams(h1, h2, source, to, (200, 1400, 3000, 9000))
    capture.stop()
    check(not seen(capture, "udp port 4444"), "datagrams went in the clear")
    for host in (a, b):
        host.run("ip", "link", "set", "to-h1" if host is a else "to-h2", "mtu", 1280)
    for host, device in ((h1, "to-a"), (h2, "to-b")):
        host.run("ip", "link", "set", device, "mtu", 1280)
    datagrams(h1, h2, source, to, (1400, 3000))


@cases([("4",  4, "tunnel"), ("6", 6, "tunnel"), ("iptfs", 4, "iptfs")])
def routers_behind_a_gateway_may_say_what_is_wrong(lab, family, mode):
    """icmp = yes: a router whose address is in no selector tells the peer's host that a network behind it is not to be reached (RFC 4301 6.2)."""
    a, b = gateways(lab)
    r = lab.host("r")
    lab.link(a, ["172.16.0.1/24", "fd16::1/64"], r, ["172.16.0.2/24", "fd16::2/64"])
    router = {4: "172.16.0.2", 6: "fd16::2"}[family]
    target = {4: "10.1.77.1", 6: "fd01:0:0:77::1"}[family]
    nets = {4: {"a": "10.1.0.0/16", "b": "10.2.0.0/24"}, 6: {"a": "fd01::/32", "b": "fd02::/64"}}[family]
    a.forward()
    for host, hop, nets_there in ((a, router, (target,)), (r, {4: "172.16.0.1", 6: "fd16::1"}[family], (HOSTS[family]["b"],))):
        for net in nets_there:
            host.run("ip", f"-{family}", "route", "add", net, "via", hop)
    r.run("ip", f"-{family}", "route", "add", "unreachable", {4: "10.1.0.0/16", 6: "fd01::/32"}[family])
    r.forward()
    a.run("ip", f"-{family}", "route", "add", HOSTS[family]["b"], "via", {4: "192.0.2.2", 6: "2001:db8::2"}[family])
    answers = {}
    for option in ("no", "yes"):
        text = config("b", "a", inner=(family,), nets=nets, child=f"icmp = {option}\nmode = {mode}")
        there = b.cygnet(text)
        here = a.cygnet(config("a", "b", inner=(family,), nets=nets, child=f"icmp = {option}\nmode = {mode}"))
        here.cygnet("up", f"net{family}")
        capture = a.capture("to-b", "icmp or icmp6")
        answers[option] = b.run("ping", "-n", "-c", 2, "-W", 1, "-I", HOSTS[family]["b"], target, check_status=False)
        capture.stop()
        plain = [line for line in capture.lines() if router in line]
        check(option == "no" or not plain, f"plaintext on the wire: {plain}")
        here.stop(), there.stop()
    wanted = f"From {router} icmp_seq=1"
    check(wanted in answers["yes"] and "nreachable" in answers["yes"], f"with icmp = yes: {answers['yes']}")
