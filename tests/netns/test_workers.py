# SPDX-License-Identifier: Apache-2.0
"""Packets by several threads: what one thread does several do, nothing is lost or counted twice between them, and their sequence numbers are in order."""
import json
import pathlib
import threading
import time

import test_crash  # noqa: F401   what is played again below must be there
import test_cygnet  # noqa: F401
import test_devices
import test_iptfs  # noqa: F401
import test_joined  # noqa: F401
import test_mobility  # noqa: F401
import test_modes  # noqa: F401
import test_mtu  # noqa: F401
import test_percpu  # noqa: F401
import test_tcp  # noqa: F401
from cases import CASES, HOSTS, cases, config, gateways
from lab import Failure, check, run, wait_for

TRIES = 3
AGAIN = (
    "crash.packets_find_a_crash[with-its-secret]", "cygnet.psk_carries_both_families[outer6-plain]", "cygnet.trap_holds_the_packet_that_triggers",
    "cygnet.rekeying_loses_no_packet[child]", "cygnet.nothing_leaks_while_the_tunnel_is_down", "cygnet.a_role_that_dies_is_started_again",
    "devices.everything_on_several_tunnels_at_once", "iptfs.every_size_arrives[outer4-inner4-aes128gcm16]",
    "iptfs.a_rate_follows_what_the_path_takes", "joined.every_byte_of_a_stream_arrives[udp]",
    "mobility.a_nat_that_rebinds_keeps_the_tunnel[port-esp]", "modes.transport_between_gateways[ipv4]", "mtu.narrow_link[ipv4, in UDP, ICMP]",
    "percpu.flows_are_spread_over_processors", "tcp.a_connection_that_breaks_is_opened_again")


@cases([(f"{name.replace('[', ' ').rstrip(']')}-by-{workers}", name, workers) for name in AGAIN for workers in (2, 4)])
def as_with_one(lab, name, workers):
    lab.workers = workers
    next(function for known, function in CASES if known == name)(lab)


def datagrams_once(a, b, flows, seconds, reverse):
    listening = b.start("iperf3", "-s", "-1", "-B", HOSTS[4]["b"])
    wait_for("iperf3 listening", lambda: "5201" in b.run("ss", "-Hltn"))
    words = ["iperf3", "-J", "-u", "-b", "250K", "-l", "200", "-P", flows, "-t", seconds, "-c", HOSTS[4]["b"], "-B", HOSTS[4]["a"]]
    out = json.loads(a.run(*words, *(["-R"] if reverse else []), timeout=seconds + 20))
    listening.wait(timeout=10)
    ends = [stream["udp"] for stream in out["end"]["streams"]]
    return tuple(sum(end[key] for end in ends) for key in ("packets", "lost_packets", "out_of_order"))


def all_come_in_order(a, b, flows, seconds, reverse=False, again=lambda: None):
    """Paced datagrams in several flows. On a machine that is too busy to run anything for a while any queue overflows: three tries."""
    for _ in range(TRIES):
        again()
        sent, lost, overtaken = datagrams_once(a, b, flows, seconds, reverse)
        if sent > 150 * flows and not lost and not overtaken:
            return
    raise Failure(f"of {sent} datagrams {lost} were lost, {overtaken} overtaken")


def pair(lab, workers, conn="encap = yes", child="replay_window = 32"):
    lab.workers = workers
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a", conn=conn, child=child))
    here = a.cygnet(config("a", "b", conn=conn, child=child))
    here.cygnet("up", "net4")
    return a, b, here, there


@cases([("one", 1, "encap = yes"), ("two", 2, "encap = yes"), ("four", 4, "encap = yes"), ("four-without-udp", 4, "encap = no")])
def many_flows_in_one_child_come_in_order(lab, workers, conn):
    a, b, here, there = pair(lab, workers, conn)
    for reverse in (False, True):
        all_come_in_order(a, b, 16, 2, reverse)
    # Every packet is counted once, at each end, whichever threads had it.
    def counts():
        mine, theirs = here.children()[0], there.children()[0]
        return [(mine["packets-out"], theirs["packets-in"]), (theirs["packets-out"], mine["packets-in"])]
    wait_for("equal counters at both ends", lambda: all(int(out) > 3000 and out == came for out, came in counts()), 10)
    check(len(here.children()) == 1, "there is more than one child")
    names = [path.read_text().strip() for path in esp_threads(here)]
    check(len(names) == workers, f"the packet process has the threads {names}")


def esp_threads(daemon):
    """Where the packet process of a daemon keeps its threads' names."""
    for pid in run("ip", "netns", "pids", daemon.host.ns).split():
        process = pathlib.Path(f"/proc/{pid}")
        if (process / "comm").read_text().strip() == "cygnet-esp":
            return list((process / "task").glob("*/comm"))
    return []


@cases([("two", 2), ("four", 4)])
def rekeying_under_many_flows_loses_nothing(lab, workers):
    a, b, here, there = pair(lab, workers)
    before = {child["spi-in"] for child in here.children()}

    def rekey():
        for end in (here, there, here, there):
            time.sleep(0.8)
            end.cygnet("rekey", "--child", "net4")
    running = []

    def begin():
        while running:
            running.pop().join()
        running.append(threading.Thread(target=rekey))
        running[0].start()
    all_come_in_order(a, b, 16, 4, again=begin)
    running[0].join()

    def installed():
        return {child["spi-in"] for child in here.children() if child["state"] == "INSTALLED"}
    wait_for("another child", lambda: len(installed()) == 1 and not before & installed(), 10)


@cases([("two", 2), ("four", 4)])
def threads_with_a_device_end_in_order(lab, workers):
    lab.workers = workers
    _, here, there = test_devices.routed(lab, a_start="start")
    wait_for("the tunnel", lambda: here.children())
    for daemon in (here, there):
        check(daemon.stop() == 0 and "main: ended" in daemon.log(), f"it did not end well:\n{daemon.log()}")
        check("Assertion" not in daemon.log() and "are killed" not in daemon.log(), f"the packet process did not end well:\n{daemon.log()}")
