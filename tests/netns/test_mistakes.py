# SPDX-License-Identifier: Apache-2.0
"""Mistakes of those who use a mode, a device or a mark for the first time, and the words that lead them out: of `up`, `explain`, `check` and the log."""
import subprocess

from cases import HOSTS, case, cases, config, gateways
from lab import check, wait_for
from test_cygnet import crash
from test_wrong import QUICK, says

HOSTS_ONLY = {"a": "10.1.0.1", "b": "10.2.0.1"}

# what a has, what b has, and what `up`, `explain` and a's log say of it
KINDS = [
    ("beet-and-no-beet", dict(child="mode = beet"), {}, "each pair of addresses gets its child when a packet calls",
     "TUNNEL, AES_GCM_16-128", "mode asked BEET, mode got TUNNEL: the peer did not take it"),
    ("beet-or-nothing", dict(child="mode = beet\nstrict = mode"), {}, "each pair of addresses gets its child when a packet calls",
     "net4 of gw is not up: it is tried when a packet calls for it, and the log says what became of that",
     "set the same mode on both ends, or take strict = mode away"),
    ("beet-other-address", dict(child="mode = beet", nets=HOSTS_ONLY), dict(child="mode = beet", nets={"a": "10.1.0.9", "b": "10.2.0.1"}),
     "compare local_ts here with remote_ts on the peer", "neither up nor being tried: `cygnet up net4`", "PEER_TS_UNACCEPTABLE"),
    ("gateways-and-tunnel", dict(child="mode = transport"), {}, "set mode = transport on both ends, or mode = tunnel where the peer is another system",
     "neither up nor being tried", "GATEWAY_TRANSPORT_PEER"),
    ("gateways-in-udp", dict(child="mode = transport", conn="encap = yes"), dict(child="mode = transport"),
     "set mode = tunnel, or take encap and ah_proposals away", "neither up nor being tried", "GATEWAY_TRANSPORT_WAY"),
    ("iptfs-and-tunnel", dict(child="mode = iptfs"), {}, "mode asked IPTFS, mode got TUNNEL: the peer did not take it", "TUNNEL, AES_GCM_16-128", "MODE_FALLBACK"),
    ("device-without-route", dict(child="if_id_in = 7\nif_id_out = 7"), {}, "child established",
     "Packets come from what is routed into the device of if_id 7. Without such a route", "device cygnet7 is there for if_id 7"),
    ("mark-that-nobody-sets", dict(child="mark_out = 42/0xff"), {}, "child established",
     "Packets come from what carries mark 0x2a/0x000000ff, which a rule routes into the device of if_id 42", "device cygnet42 is there"),
    ("pass-without-trap", dict(child="mode = pass"), {}, "CHILD_WITHOUT_SA); start_action = trap puts it in force",
     "net4 of gw is loaded and without effect: start_action = trap puts it in force", "mode = pass has no effect here"),
    ("drop-in-force", dict(child="mode = drop", start="trap"), {}, "CHILD_WITHOUT_SA", "net4 of gw has no SA: it drops its packets", "traffic is dropped"),
    ("sides-swapped", dict(nets={"a": "10.2.0.0/24", "b": "10.1.0.0/24"}), {}, "compare local_ts here with remote_ts on the peer", "neither up", "PEER_TS_UNACCEPTABLE"),
    ("ports-and-fragments", dict(nets={"a": "10.1.0.0/24[udp]", "b": "10.2.0.0/24[udp/53]"}), {}, "child established",
     "The selectors name ports: what comes in fragments is put together first", "child established"),
]


@cases(KINDS)
def is_told(lab, mine, theirs, up, explain, log):
    a, b = gateways(lab)
    b.cygnet(config("b", "a", **theirs), options=QUICK)
    here = a.cygnet(config("a", "b", **mine), options=QUICK)
    says(here.cygnet("up", "net4", check_status=False), up)
    a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"], count=1)
    says(here.cygnet("explain", "net4", check_status=False), explain)
    says(here.log(), log)


@case
def a_device_for_one_direction(lab):
    """What the child opens comes out of the device, with its mark, though the policy has the ordinary device's guard; nobody else gets in that way."""
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", child="if_id_in = 7\nset_mark_in = 5"))
    here.cygnet("up", "net4")
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "what comes out of the device is dropped")
    check("iifname @openers return" in a.run("nft", "list", "chain", "inet", "cygnet_cygnet0", "check_in"), "the guard has no rule for it")
    a.run("nft", "flush", "ruleset")
    wait_for("the guard to be made anew", lambda: "@openers" in a.run("nft", "list", "ruleset"), 12)
    check(a.pings(HOSTS[4]["b"], source=HOSTS[4]["a"]) == 3, "what comes out of the device is dropped by a guard made anew")
    crash(there)
    b.run("nft", "flush", "ruleset")
    b.run("ip", "route", "add", "10.1.0.0/24", "via", "192.0.2.1", "src", HOSTS[4]["b"])
    check(b.pings(HOSTS[4]["a"], source=HOSTS[4]["b"], count=2) == 0, "a plain packet of the policy was let in")


# words of the daemon when it cannot start, by what it is told and what is around it
STARTS = [
    ("without-rights", ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"), (), ("not started as root", "run as root or with CAP_NET_ADMIN")),
    ("without-tun", ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev/net; exec "$0" "$@"'), (), ("TUN_MISSING", "load the module tun; in a container pass the device in")),
    ("with-a-long-name", (), ("--tun", "averyveryverylongname0"), ("--tun wants 1 to 15 letters",)),
    ("with-a-name-that-is-taken", (), ("--tun", "to-b"), ("to-b", "TUN_")),
]


@cases(STARTS)
def cannot_start(lab, around, options, parts):
    a, _b = gateways(lab)
    directory = lab.directory / "run"
    directory.mkdir()
    directory.chmod(0o777)
    lab.directory.chmod(0o755)
    done = subprocess.run(["ip", "netns", "exec", a.ns, *around, lab.build / "src/daemon/cygnetd", "--foreground", "--config", "none", "--run-dir", directory,
                           "--state-dir", "none", "--vici", f"unix://{directory}/vici", *options], capture_output=True, text=True, timeout=20)
    check(done.returncode != 0, "it starts")
    says(done.stdout + done.stderr, *parts)
