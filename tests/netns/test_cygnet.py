# SPDX-License-Identifier: Apache-2.0
"""cygnet against itself: every combination of families, plain ESP and ESP in UDP, start actions, rekeying, leaks."""
import os
import signal
import subprocess
import time

from cases import HOSTS, Certificates, case, cases, config, gateways, traffic
from lab import check, wait_for


def pair(lab, files=None, a_options=(), b_options=(), a=None, b=None, **settings):
    hosts = gateways(lab)
    files = files or {"a": {}, "b": {}}
    b_end = hosts[1].cygnet(config("b", "a", **{**settings, **(b or {})}), files["b"], options=b_options)
    a_end = hosts[0].cygnet(config("a", "b", **{**settings, **(a or {})}), files["a"], options=a_options)
    return hosts, a_end, b_end


@cases([(f"outer{outer}-{encap}", outer, encap) for outer in (4, 6) for encap in ("plain", "udp")])
def psk_carries_both_families(lab, outer, encap):
    (a, b), here, there = pair(lab, outer=outer, inner=(4, 6), conn="encap = yes" if encap == "udp" else "")
    capture = a.capture("to-b")
    here.cygnet("up", "net4")
    here.cygnet("up", "net6")
    traffic(a, b, (4, 6))
    check(len(here.sas()) == 1 and len(here.children()) == 2, f"not one IKE SA with two children: {here.sas()}")
    capture.stop()
    lines = [line for line in capture.lines() if "ESP(" in line]
    check(len(lines) >= 12, f"no ESP seen: {capture.lines()}")
    check(all(("UDP-encap" in line) == (encap == "udp") for line in lines), f"wrong encapsulation: {lines[0]}")
    plain = [line for line in capture.lines() if "ICMP" in line and ("10.1.0.1" in line or "fd01::1" in line)]
    check(not plain, f"plaintext on the wire: {plain[:1]}")


@cases([(kind, kind, True) for kind in ("ed25519", "ed448", "rsa-2048", "ecdsa-256", "ecdsa-384", "ecdsa-521")] +
       [("ed25519-self-signed", "ed25519", False)])
def certificates_authenticate(lab, kind, ca):
    certs = Certificates(lab, kind, ca)
    (a, b), here, there = pair(lab, {"a": certs.files("a", "b"), "b": certs.files("b", "a")}, auth="pubkey")
    here.cygnet("up", "net4")
    traffic(a, b)


@cases([(suite, suite) for suite in ("aes128gcm8", "aes128gcm12", "aes256gcm16", "chacha20poly1305", "aes128-sha256", "aes256-sha512",
                                     "aes128ctr-sha256", "aes256gcm16-esn", "aes128-sha384-esn")])
def esp_suites_carry_packets(lab, suite):
    (a, b), here, there = pair(lab, esp=suite)
    here.cygnet("up", "net4")
    traffic(a, b)


@cases([(suite, suite) for suite in ("aes256gcm16-prfsha384-ecp384", "chacha20poly1305-prfsha512-x448", "aes256-sha384-modp3072",
                                     "aes128ctr-sha256-ecp256", "aes128-aesxcbc-modp2048", "aes256gcm16-prfaescmac-ecp521",
                                     "aes128gcm8-prfsha256-ecp256bp", "chacha20poly1305-sha384-curve25519", "aes256gcm16-prfsha256-mlkem768")])
def ike_suites_agree(lab, suite):
    (a, b), here, there = pair(lab, ike=suite)
    here.cygnet("up", "net4")
    traffic(a, b, count=1)


@cases([("psk", "psk"), ("ed25519", "pubkey")])
def a_hybrid_comes_up_and_rekeys(lab, auth):
    """RFC 9370 2.2.2, 2.2.4 test: ML-KEM beside X25519, in the IKE SA and in its child."""
    files = None
    if auth == "pubkey":
        certs = Certificates(lab, "ed25519", True)
        files = {"a": certs.files("a", "b"), "b": certs.files("b", "a")}
    (a, b), here, there = pair(lab, files, auth=auth, ike="aes256gcm16-prfsha384-curve25519-ke1_mlkem768",
                               esp="aes256gcm16-curve25519-ke1_mlkem768")
    here.cygnet("up", "net4")
    traffic(a, b)
    here.cygnet("rekey", "--child", "net4")
    there.cygnet("rekey", "--ike", "gw")
    wait_for("one IKE SA with one child", lambda: len(here.sas()) == 1 and len(here.children()) == 1)
    traffic(a, b)
    sas = here.sas() + there.sas()
    check(all(sa.get("ake1") == "ML_KEM_768" for _, sa in sas), f"an IKE SA without ML-KEM: {sas}")
    check(all(child.get("ake1") == "ML_KEM_768" for child in here.children()), f"a child without ML-KEM: {sas}")


@case
def the_default_is_a_hybrid(lab):
    (a, b), here, there = pair(lab, ike="default")
    here.cygnet("up", "net4")
    traffic(a, b, count=1)
    check(here.sas()[0][1].get("ake1") == "ML_KEM_768", f"no ML-KEM: {here.sas()}")


@case
def trap_holds_the_packet_that_triggers(lab):
    (a, b), here, there = pair(lab, a={"start": "trap"})
    check(not here.sas(), "an SA is there before there was a packet")
    traffic(a, b)   # the very first ping comes back as well


@case
def start_action_start_comes_up_by_itself(lab):
    (a, b), here, there = pair(lab, a={"start": "start"})
    wait_for("the child", lambda: here.children())
    traffic(a, b)


def crash(daemon):
    """Kills all processes of a daemon at once, so that none of them can say goodbye."""
    os.killpg(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait(timeout=5)


def pinging(host, target, source, count, interval=0.01):
    return subprocess.Popen(["ip", "netns", "exec", host.ns, "ping", "-q", "-n", "-i", str(interval), "-c", str(count), "-W", "2", "-I", source, target],
                            stdout=subprocess.PIPE, text=True)


@cases([("child", "--child", "net4"), ("ike", "--ike", "gw"), ("child-pfs", "--child", "net4")])
def rekeying_loses_no_packet(lab, *words):
    suite = "aes128gcm16-x25519" if "net4" in words else "aes128gcm16"
    (a, b), here, there = pair(lab, esp=suite)
    here.cygnet("up", "net4")
    before = {child["spi-in"] for child in here.children()}
    ping = pinging(a, HOSTS[4]["b"], HOSTS[4]["a"], 400)
    for end in (here, there, here):
        time.sleep(0.7)
        end.cygnet("rekey", *words)
    out, _ = ping.communicate(timeout=30)
    check(" 0% packet loss" in out, f"packets were lost: {out}")
    wait_for("one child after rekeying", lambda: len(here.children()) == 1 and len(there.children()) == 1, 15)
    if words[0] == "--child":
        check(before != {child["spi-in"] for child in here.children()}, "the SPI is still the same")


@case
def nothing_leaks_while_the_tunnel_is_down(lab):
    (a, b), here, there = pair(lab, a={"start": "trap"}, b={"start": "trap"})
    crash(there)
    capture = a.capture("to-b", "icmp")
    a.pings(HOSTS[4]["b"], count=2, source=HOSTS[4]["a"])
    crash(here)
    a.pings(HOSTS[4]["b"], count=2, source=HOSTS[4]["a"])
    capture.stop()
    check(not [line for line in capture.lines() if "10.2.0.1" in line], f"plaintext left the host: {capture.lines()}")


@case
def plain_packets_are_not_accepted(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a", start="trap"))
    a.route("10.2.0.0/24", "via", "192.0.2.2")   # a has no tunnel and sends in the clear
    check(a.pings(HOSTS[4]["b"], count=2, source=HOSTS[4]["a"]) == 0, "a plain packet was accepted and answered")
    capture = b.capture("to-a", "icmp")
    a.pings(HOSTS[4]["b"], count=2, source=HOSTS[4]["a"])
    capture.stop()
    check([line for line in capture.lines() if "request" in line], "the test sent nothing")
    check(not [line for line in capture.lines() if "reply" in line], "an answer went out in the clear")


@case
def down_and_a_clean_end_leave_nothing_behind(lab):
    (a, b), here, there = pair(lab)
    here.cygnet("up", "net4")
    traffic(a, b, count=1)
    here.cygnet("down", "--ike", "gw")
    wait_for("no SA on both ends", lambda: not here.sas() and not there.sas())
    there.process.send_signal(signal.SIGTERM)   # twice at once, as some service managers do
    for end in (here, there):
        check(end.stop() == 0, f"cygnetd ended with {end.process.returncode}")
    for host in (a, b):
        rules = host.run("ip", "rule") + host.run("nft", "list", "tables") + host.run("ip", "-br", "link")
        check("cygnet" not in rules and "220" not in rules, f"left behind: {rules}")


@case
def a_peer_that_is_killed_is_noticed_and_comes_back(lab):
    (a, b), here, there = pair(lab, conn="dpd_delay = 1s", child="dpd_action = restart", a={"start": "start"},
                               a_options=("--retransmit", "0.2/1.5/4"))
    wait_for("the child", lambda: here.children())
    old = here.sas()[0][1]["initiator-spi"]
    crash(there)
    wait_for("the end of the old SA", lambda: old not in [sa["initiator-spi"] for _, sa in here.sas()], 20)
    again = b.cygnet(config("b", "a", conn="dpd_delay = 1s"))
    wait_for("a new child", lambda: again.children(), 20)
    traffic(a, b)


@case
def a_role_that_dies_is_started_again(lab):
    (a, b), here, there = pair(lab, a={"start": "start"}, b_options=("--retransmit", "0.2/1.5/4"))
    wait_for("the child", lambda: here.children())
    pids = here.host.run("pgrep", "-f", f"role ike.*{here.run_dir}", check_status=False).split() or \
        here.host.run("pgrep", "-P", str(here.process.pid), check_status=False).split()
    check(pids, "no child process found")
    subprocess.run(["kill", "-KILL", pids[0]], check=True)
    here.wait_log("process ended (signal 9, Killed); all start again", 10)
    wait_for("the SAs are back", lambda: here.process.poll() is None and here.cygnet("status", check_status=False).startswith("cygnet ")
             and here.children(), 20)
    traffic(a, b)


@case
def many_children_in_one_sa_and_narrowing(lab):
    a, b = gateways(lab)
    wide = config("b", "a").replace("local_ts = 10.2.0.0/24", "local_ts = 10.0.0.0/8").replace("remote_ts = 10.1.0.0/24", "remote_ts = 10.0.0.0/8")
    there = b.cygnet(wide)
    here = a.cygnet(config("a", "b"))
    here.cygnet("up", "net4")
    child = here.children()[0]
    check(child["local-ts"] == ["10.1.0.0/24"] and child["remote-ts"] == ["10.2.0.0/24"], f"selectors: {child}")
    check(there.children()[0]["remote-ts"] == ["10.1.0.0/24"], f"the responder did not narrow: {there.children()}")
    traffic(a, b)


@case
def nothing_leaves_in_the_clear_while_the_packet_filter_is_behind(lab):
    """The filter takes many new policies together, some time after their routes: those must hold what goes out meanwhile."""
    a, b = gateways(lab)
    a.route("10.2.0.0/24", "via", "192.0.2.2")   # the way that plain packets would take
    b.cygnet(config("b", "a"))
    capture = b.capture("to-a", "icmp")
    a.pings(HOSTS[4]["b"], count=1, source=HOSTS[4]["a"])
    many = "\n".join(f"""busy{i} {{
        remote_ts = 10.{100 + i // 250}.{i % 250}.0/24
        mode = drop
        start_action = trap
    }}""" for i in range(600))
    here = a.cygnet(config("a", "b", start="trap").replace("children {", "children {\n" + many, 1))
    ping = pinging(a, HOSTS[4]["b"], HOSTS[4]["a"], 150)
    here.cygnet("up", "net4")
    out, _ = ping.communicate(timeout=30)
    check(" 0% packet loss" in out, f"packets were lost: {out}")
    here.cygnet("down", "--ike", "gw")
    a.pings(HOSTS[4]["b"], count=3, source=HOSTS[4]["a"])
    time.sleep(0.3)
    capture.stop()
    requests = [line for line in capture.lines() if "10.1.0.1 > 10.2.0.1" in line and "request" in line]
    check(len(requests) == 1, f"of the plain requests only the one before there was a policy should be seen: {len(requests)}")
