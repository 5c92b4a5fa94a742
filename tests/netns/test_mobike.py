# SPDX-License-Identifier: Apache-2.0
"""MOBIKE (RFC 4555): hosts that change networks keep their tunnels. Pings run through all of it, and those that are lost are counted."""
import re
import socket
import struct
import time

import strongswan
from cases import HOSTS, Skip, case, cases, config
from lab import check, wait_for

FAST = ("--retransmit", "0.5/1.5/5")
WIFI, LTE = "192.0.2.1", "198.51.100.1"
WIFI6, LTE6 = "2001:db8:1::1", "2001:db8:2::1"
SERVER, SERVER2, SERVER6 = "203.0.113.2", "203.0.113.130", "2001:db8:3::2"


def networks(lab, server_links=1):
    """a has two devices, wifi and lte, to a router r; b is behind it. a's addresses are given by wifi_on() and lte_on()."""
    a, r, b = lab.host("a"), lab.host("r"), lab.host("b")
    lab.link(a, [], r, ["192.0.2.254/24", "2001:db8:1::fe/64"], "wifi", "to-wifi")
    lab.link(a, [], r, ["198.51.100.254/24", "2001:db8:2::fe/64"], "lte", "to-lte")
    lab.link(b, [f"{SERVER}/25", f"{SERVER6}/64"], r, ["203.0.113.1/25", "2001:db8:3::1/64"], "net", "to-b")
    if server_links > 1:
        lab.link(b, [f"{SERVER2}/25"], r, ["203.0.113.129/25"], "net2", "to-b2")
    r.forward()
    a.address("10.1.0.1/24", "lo")
    b.address("10.2.0.1/24", "lo")
    b.route("default", "via", "203.0.113.1")
    b.run("ip", "-6", "route", "add", "default", "via", "2001:db8:3::1")
    return a, r, b


GATES = {"wifi": ("192.0.2.254", "2001:db8:1::fe", 100), "lte": ("198.51.100.254", "2001:db8:2::fe", 200)}
ADDRESSES = {"wifi": {4: f"{WIFI}/24", 6: f"{WIFI6}/64"}, "lte": {4: f"{LTE}/24", 6: f"{LTE6}/64"}}


def attach(host, device, families=(4,)):
    for family in families:
        host.address(ADDRESSES[device][family], device)
        gate, metric = GATES[device][0 if family == 4 else 1], GATES[device][2]
        host.run("ip", f"-{family}", "route", "add", "default", "via", gate, "dev", device, "metric", metric)


def detach(host, device, families=(4,)):
    for family in families:
        host.run("ip", "address", "del", ADDRESSES[device][family], "dev", device)
        host.run("ip", f"-{family}", "route", "del", "default", "dev", device, check_status=False)


def conf(me, peer, remote=None, conn="", **more):
    text = config(me, peer, conn=conn, **more)
    text = re.sub(r"local_addrs = .*", "local_addrs = %any", text)
    return re.sub(r"remote_addrs = .*", f"remote_addrs = {remote or '%any'}", text)


def up(lab, conn="", peer_conn="", server_links=1, families=(4,), remote=SERVER):
    a, r, b = networks(lab, server_links)
    attach(a, "wifi", families)
    there = b.cygnet(conf("b", "a", conn=peer_conn), options=FAST)
    here = a.cygnet(conf("a", "b", remote, conn=conn), options=FAST)
    here.cygnet("up", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel carries nothing at first")
    return a, r, b, here, there


class Pings:
    """Twenty pings a second through the tunnel, from a to b."""

    def __init__(self, a):
        self.path = a.lab.directory / f"pings-{time.monotonic_ns()}"
        self.process = a.start("ping", "-n", "-i", "0.05", "-W", "1", "-I", HOSTS[4]["a"], HOSTS[4]["b"], log=self.path)
        time.sleep(0.5)

    def stop(self):
        """How many were lost."""
        time.sleep(0.5)
        self.process.send_signal(2)
        self.process.wait(timeout=5)
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", self.path.read_text()).groups())
        self.sent, self.lost = sent, sent - received
        print(f"    {self.lost} of {sent} pings lost")
        return self.lost


def place(end):
    sa = end.sas()[0][1]
    return sa["local-host"], sa["remote-host"]


def spis(end):
    return {(child["spi-in"], child["spi-out"]) for child in end.children()}


def at(end, local=None, remote=None):
    return lambda: len(end.sas()) == 1 and (local in (None, place(end)[0])) and (remote in (None, place(end)[1]))


@case
def a_host_moves_from_wifi_to_lte_and_back(lab):
    a, r, b, here, there = up(lab)
    children = spis(here)
    pings = Pings(a)
    attach(a, "lte")
    time.sleep(0.5)
    detach(a, "wifi")
    wait_for("the path by lte", at(here, LTE))
    wait_for("the peer to know it", at(there, remote=LTE))
    time.sleep(1)
    attach(a, "wifi")   # the kernel prefers it again
    wait_for("the path by wifi", at(here, WIFI))
    wait_for("the peer to know it", at(there, remote=WIFI))
    lost = pings.stop()
    check(lost <= 20, f"{lost} of {pings.sent} pings were lost by two moves")
    check(spis(here) == children and len(there.sas()) == 1, "the children are others now")
    check("path changes from" in here.log() and "our address has gone" in here.log(), "the move is not in the log")
    check("peer has moved from" in there.log(), "the move is not in the peer's log")


@case
def a_link_that_goes_down_is_left(lab):
    """The address stays on the device, but nothing goes through it any more."""
    a, r, b, here, there = up(lab)
    attach(a, "lte")
    pings = Pings(a)
    a.run("ip", "link", "set", "wifi", "down")
    wait_for("the path by lte", at(here, LTE))
    wait_for("the peer to know it", at(there, remote=LTE))
    lost = pings.stop()
    check(lost <= 30, f"{lost} of {pings.sent} pings were lost")


@case
def the_last_address_goes_and_another_one_comes_later(lab):
    a, r, b, here, there = up(lab, conn="dpd_delay = 1s")
    children = spis(here)
    detach(a, "wifi")
    here.wait_log("the SA waits")
    time.sleep(6)   # longer than liveness checks would take to give up
    check(len(here.sas()) == 1, "the SA did not wait for an address")
    attach(a, "lte")
    wait_for("the path by lte", at(here, LTE))
    wait_for("the peer to know it", at(there, remote=LTE))
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel carries nothing after the wait")
    check(spis(here) == children, "the children are others now")


@cases([("4-to-6", (4,), (6,)), ("6-to-4", (6,), (4,))])
def a_host_moves_to_the_other_address_family(lab, first, then):
    a, r, b, here, there = up(lab, families=first, remote=SERVER if first == (4,) else SERVER6)
    children = spis(here)
    pings = Pings(a)
    attach(a, "lte", then)
    detach(a, "wifi", first)
    local, remote = (LTE6, SERVER6) if then == (6,) else (LTE, SERVER)
    wait_for("the path of the other family", at(here, local, remote))
    wait_for("the peer to know it", at(there, remote, local))
    lost = pings.stop()
    check(lost <= 12, f"{lost} of {pings.sent} pings were lost")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel carries nothing")
    check(spis(here) == children, "the children are others now")


@case
def a_server_loses_one_of_two_links(lab):
    """Nobody hears of it but by silence: the host tries the server's other address."""
    a, r, b, here, there = up(lab, conn="dpd_delay = 1s", server_links=2)
    r.run("ip", "link", "set", "to-b", "down")
    b.run("ip", "route", "replace", "default", "via", "203.0.113.129")
    wait_for("the server's other address", at(here, remote=SERVER2), 20)
    wait_for("the server to follow", at(there, local=SERVER2))
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel carries nothing")
    check("answers there and not on the former path" in here.log(), "the change is not in the log")


@case
def a_server_changes_its_address(lab):
    """The server says so itself, from its new address."""
    a, r, b, here, there = up(lab, server_links=2)
    children = spis(here)
    b.run("ip", "address", "del", f"{SERVER}/25", "dev", "net")
    b.run("ip", "route", "replace", "default", "via", "203.0.113.129")
    wait_for("the server's new address", at(here, remote=SERVER2), 15)
    wait_for("the server to be there", at(there, local=SERVER2))
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel carries nothing")
    check(spis(here) == children, "the children are others now")


@case
def a_nat_comes_and_goes(lab):
    a, r, b, here, there = up(lab)
    check("encap" not in there.children()[0], "there is no NAT yet")
    r.run("nft", "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; "
                 f"add rule ip nat post ip saddr {LTE} oifname to-b masquerade")
    attach(a, "lte")
    detach(a, "wifi")
    wait_for("the path through the NAT", at(here, LTE))
    wait_for("the peer to see the NAT", at(there, remote="203.0.113.1"))
    wait_for("packets in UDP", lambda: there.children()[0].get("encap") == "yes" and here.children()[0].get("encap") == "yes")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel carries nothing through the NAT")
    attach(a, "wifi")
    detach(a, "lte")
    wait_for("the path without the NAT", at(there, remote=WIFI))
    wait_for("packets without UDP", lambda: "encap" not in there.children()[0] and "encap" not in here.children()[0])
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel carries nothing without the NAT")


def packet(kind, name):
    return struct.pack(">IBB", 2 + len(name), kind, len(name)) + name.encode()


class Events:
    """A VICI client that subscribes to one kind of event; text() is what came so far."""
    REGISTER, CONFIRMED = 3, 5

    def __init__(self, end, name):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(end.vici.removeprefix("unix://"))
        self.socket.sendall(packet(self.REGISTER, name))
        size, kind = struct.unpack(">IB", self.socket.recv(5, socket.MSG_WAITALL))
        check((size, kind) == (1, self.CONFIRMED), f"the event {name} cannot be subscribed to")
        self.socket.settimeout(0)
        self.bytes = b""

    def text(self):
        try:
            self.bytes += self.socket.recv(65536)
        except BlockingIOError:
            pass
        return self.bytes.decode(errors="replace")


@case
def clients_are_told(lab):
    a, r, b, here, there = up(lab)
    events = Events(here, "ike-update")
    attach(a, "lte")
    detach(a, "wifi")
    wait_for("the event", lambda: "ike-update" in events.text())
    # A value follows its key after two bytes of length.
    values = dict(re.findall(r"((?:old-)?(?:local|remote)-(?:host|port))..([0-9a-f.:]+)", events.text().split("gw")[0], re.S))
    check(values == {"local-host": LTE, "local-port": "4500", "remote-host": SERVER, "remote-port": "4500",
                     "old-local-host": WIFI, "old-local-port": "4500", "old-remote-host": SERVER, "old-remote-port": "4500"},
          f"the event tells {values}")


@case
def without_mobike_nothing_moves(lab):
    a, r, b, here, there = up(lab, conn="mobike = no")
    attach(a, "lte")
    detach(a, "wifi")
    time.sleep(1.5)
    check(place(there)[1] == WIFI and place(here)[0] == WIFI, "an end has moved")


@case
def a_virtual_address_stays(lab):
    a, r, b = networks(lab)
    attach(a, "wifi")
    there = b.cygnet(re.sub("remote_ts = .*", "remote_ts = dynamic", conf("b", "a", conn="pools = p")) + "pools {\n p {\n  addrs = 10.77.0.0/24\n }\n}\n", options=FAST)
    here = a.cygnet(re.sub("local_ts = .*", "local_ts = dynamic", conf("a", "b", SERVER, conn="vips = 0.0.0.0")), options=FAST)
    here.cygnet("up", "net4")
    vip = here.sas()[0][1]["local-vips"][0]
    check(a.pings(HOSTS[4]["b"], source=vip) == 3, "the tunnel carries nothing at first")
    attach(a, "lte")
    detach(a, "wifi")
    wait_for("the peer to follow", at(there, remote=LTE))
    check(here.sas()[0][1]["local-vips"] == [vip], "the virtual address is another one")
    check(a.pings(HOSTS[4]["b"], source=vip) == 3, "the virtual address carries nothing after the move")


def strongswan_place(peer):
    text = peer.swanctl("--list-sas", "--raw")
    return re.search(r"local-host=(\S+)", text).group(1), re.search(r"remote-host=(\S+)", text).group(1)


@cases([("cygnet-roams", True), ("strongswan-roams", False)])
def with_strongswan(lab, ours_roams):
    if not strongswan.present():
        raise Skip("strongSwan (charon-systemd, swanctl) is not installed")
    a, r, b = networks(lab)
    attach(a, "wifi")
    extra = "encap = yes\ndpd_delay = 2s"
    if ours_roams:
        there = b.strongswan(conf("b", "a", conn=extra))
        here = a.cygnet(conf("a", "b", SERVER, conn=extra), options=FAST)
        here.cygnet("up", "net4")
        where_here, where_there = (lambda: place(here)), (lambda: strongswan_place(there))
    else:
        there = b.cygnet(conf("b", "a", conn=extra), options=FAST)
        here = a.strongswan(conf("a", "b", SERVER, conn=extra))
        here.swanctl("--initiate", "--child", "net4", "--timeout", "10")
        where_here, where_there = (lambda: strongswan_place(here)), (lambda: place(there))
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "the tunnel carries nothing at first")
    pings = Pings(a)
    attach(a, "lte")
    time.sleep(0.5)
    detach(a, "wifi")
    wait_for("the roaming end's new path", lambda: where_here()[0] == LTE, 20)
    wait_for("the other end to follow", lambda: where_there()[1] == LTE, 20)
    time.sleep(1)
    lost = pings.stop()
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, f"the tunnel carries nothing after the move ({lost} lost)")
    ours = here if ours_roams else there
    check(len(ours.sas()) == 1, "there is another IKE SA now")
    # Its data plane (kernel-libipsec) cannot change addresses, so strongSwan rekeys the child.
    wait_for("one child", lambda: len(ours.children()) == 1)


def host_config(me, mode, start="none"):
    """Between the two hosts themselves: selectors are the addresses in use."""
    text = config(me, "b" if me == "a" else "a", nets={"a": "dynamic", "b": "dynamic"}, start=start if me == "a" else "none", child=f"mode = {mode}")
    return re.sub(r"remote_addrs = .*", f"remote_addrs = {SERVER if me == 'a' else '%any'}", re.sub(r"local_addrs = .*", "local_addrs = %any", text))


@cases([(f"{mode}-{start}", mode, start) for mode in ("transport", "tunnel") for start in ("none", "trap")])
def a_child_of_the_hosts_own_addresses_is_made_anew(lab, mode, start):
    """RFC 4555 1.3 test: what cannot move comes up again for the address of now, and nothing goes in the clear meanwhile."""
    a, r, b = networks(lab)
    attach(a, "wifi")
    there = b.cygnet(host_config("b", mode))
    here = a.cygnet(host_config("a", mode, start), options=FAST)
    here.cygnet("up", "net4")
    check(a.pings(SERVER, source=WIFI) == 3, "packets come through")
    capture = r.capture("to-b", "icmp")
    attach(a, "lte")
    a.run("ip", "address", "flush", "dev", "wifi")
    for end, side in ((here, "local-ts"), (there, "remote-ts")):
        wait_for("a child for the new address", lambda: [c[side] for c in end.children() if c["state"] == "INSTALLED"] == [[LTE]], 15)
    check(a.pings(SERVER, source=LTE) == 3, here.cygnet("list"))
    check(b.pings(LTE, source=SERVER) == 3, there.cygnet("list"))
    check(len(here.children()) == 1 and len(there.children()) == 1, f"{here.children()} {there.children()}")
    here.wait_log("cannot move; it is made anew")
    capture.stop()
    check(not [line for line in capture.lines() if "ICMP echo" in line], "something went in the clear")


@case
def a_trap_of_the_own_address_follows_it(lab):
    a, r, b = networks(lab)
    attach(a, "wifi")
    b.cygnet(host_config("b", "transport"))
    here = a.cygnet(host_config("a", "transport", "trap"), options=FAST)
    capture = r.capture("to-b", "icmp")
    attach(a, "lte")
    a.run("ip", "address", "flush", "dev", "wifi")
    wait_for("the trap", lambda: LTE in here.cygnet("list", "--policies"))
    check(a.pings(SERVER, source=LTE) >= 2, here.cygnet("list"))
    check([c["local-ts"] for c in here.children()] == [[LTE]], here.children())
    capture.stop()
    check(not [line for line in capture.lines() if "ICMP echo" in line], "something went in the clear")
