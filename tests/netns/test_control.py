# SPDX-License-Identifier: Apache-2.0
"""Debian's swanctl, unmodified, on our daemon; and our own tool's lists as JSON."""
import json
import shutil
import time

from cases import Certificates, Skip, case, config, gateways, traffic
from lab import check, run, wait_for


def both_empty(lab):
    """Two daemons with --config none: a client loads everything."""
    if not shutil.which("swanctl"):
        raise Skip("swanctl is not installed")
    a, b = gateways(lab)
    certs = Certificates(lab, "ed25519")
    ends = []
    for host, me, peer in ((a, "a", "b"), (b, "b", "a")):
        end = host.cygnet(None)
        end.configure(config(me, peer, auth="pubkey") + "pools {\n    office {\n        addrs = 10.3.0.0/24\n    }\n}\nauthorities {\n    root {\n        cacert = ca.pem\n    }\n}\n",
                      certs.files(me, peer))
        ends.append(end)
    return a, b, ends


def load_all(end):
    return run("env", f"SWANCTL_DIR={end.etc}", "swanctl", "--load-all", "--noprompt", "--uri", end.vici, "--file", end.etc / "swanctl.conf")


@case
def swanctl_drives_everything(lab):
    a, b, (here, there) = both_empty(lab)
    for end in (here, there):
        out = load_all(end)
        for line in ("loaded certificate", "loaded ED25519 key", "loaded authority 'root'", "loaded pool 'office'", "loaded connection 'gw'",
                     "successfully loaded 1 connections"):
            check(line.lower() in out.lower() or line.replace("ED25519", "private").lower() in out.lower(), f"\"{line}\" not in:\n{out}")
    out = here.swanctl("--initiate", "--child", "net4")
    check("initiate completed successfully" in out, out)
    traffic(a, b)
    out = here.swanctl("--list-sas")
    for part in ("gw: #1, ESTABLISHED, IKEv2", "local  'a.example.org' @ 192.0.2.1", "remote 'b.example.org' @ 192.0.2.2", "AES_GCM_16-128/PRF_HMAC_SHA2_256/CURVE_25519",
                 "net4: #1, reqid", "INSTALLED, TUNNEL, ESP:AES_GCM_16-128", "local  10.1.0.0/24", "remote 10.2.0.0/24"):
        check(part in out, f"\"{part}\" not in:\n{out}")
    check("child-sas" in here.swanctl("--list-sas", "--raw"), "--raw")
    check("gw: IKEv2" in here.swanctl("--list-conns"), here.swanctl("--list-conns"))
    out = here.swanctl("--list-certs")
    check("CN=a.example.org" in out and "has private key" in out, out)
    check("AES_GCM_16" in here.swanctl("--list-algs"), "--list-algs")
    check("IKE_SAs: 1 total" in here.swanctl("--stats"), here.swanctl("--stats"))
    check("cygnet" in here.swanctl("--version", "--daemon"), here.swanctl("--version", "--daemon"))
    check("office" in here.swanctl("--list-pools"), here.swanctl("--list-pools"))
    check("rekey completed successfully" in here.swanctl("--rekey", "--child", "net4"), "--rekey")
    wait_for("one child", lambda: len(here.children()) == 1, 15)
    traffic(a, b, count=1)
    out = here.swanctl("--terminate", "--ike", "gw")
    check("terminate completed successfully" in out, out)
    wait_for("nothing left", lambda: not here.sas() and not there.sas())


@case
def swanctl_lists_policies_and_counters(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b", start="trap").replace("children {", """children {
        neighbour {
            local_ts = 10.1.0.0/24
            remote_ts = 10.9.0.0/24
            mode = pass
            start_action = trap
        }
        nowhere {
            remote_ts = 10.8.0.0/24
            mode = drop
            start_action = trap
        }""", 1))
    if not shutil.which("swanctl"):
        raise Skip("swanctl is not installed")
    out = here.swanctl("--list-pols")
    for part in ("gw/net4, TUNNEL", "gw/neighbour, PASS", "gw/nowhere, DROP", "10.9.0.0/24"):
        check(part in out, f"\"{part}\" not in:\n{out}")
    check("gw/nowhere" not in here.swanctl("--list-pols", "--trap"), "--trap lists more than traps")
    here.cygnet("up", "net4")
    here.cygnet("rekey", "--child", "net4")
    for words in ((), ("--name", "gw")):
        out = here.swanctl("--counters", *words)
        values = {line.split(":")[0].strip(): int(line.split(":")[1]) for line in out.splitlines() if ":" in line and line.split(":")[1].strip().isdigit()}
        for name, least in (("child-rekey", 1), ("ike-init-out-req", 1), ("ike-auth-in-resp", 1), ("create-child-out-req", 1)):
            check(values.get(name, -1) >= least, f"{name} of {words}: {out}")
        check(values["ike-init-in-req"] == 0, out)
    here.swanctl("--counters", "--reset", "--all")
    check("child-rekey" in here.swanctl("--counters") and json.loads(here.cygnet("list", "--counters", "--json"))[0]["counters"][""]["child-rekey"] == "0", "--reset")
    check("no connection" in run("swanctl", "--counters", "--name", "nobody", "--uri", here.vici, check_status=False), "an unknown name")


@case
def swanctl_follows_the_log(lab):
    a, b, (here, there) = both_empty(lab)
    load_all(here), load_all(there)
    log = lab.directory / "swanctl.log"
    a.start("stdbuf", "-oL", "swanctl", "--log", "--uri", here.vici, log=log)
    wait_for("swanctl --log", lambda: "log" in run("pgrep", "-f", "-a", f"swanctl --log --uri {here.vici}", check_status=False))
    time.sleep(0.5)   # it subscribes and says nothing
    here.swanctl("--initiate", "--child", "net4")
    wait_for("a log line", lambda: "established" in log.read_text(), 5)


@case
def lists_are_json(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b"))
    here.cygnet("up", "net4")
    for what in ("--sas", "--conns", "--certs", "--algs", "--pools", "--authorities", "--policies", "--counters"):
        json.loads(here.cygnet("list", what, "--json"))
    json.loads(here.cygnet("status", "--json"))
    traffic(a, b)
    child = here.children()[0]
    check(int(child["packets-in"]) == 6 and int(child["packets-out"]) == 6, f"counters: {child}")


@case
def reload_touches_only_what_changed(lab):
    a, b = gateways(lab)
    b.cygnet(config("b", "a"))
    here = a.cygnet(config("a", "b"))
    here.cygnet("up", "net4")
    before = here.children()[0]["spi-in"]
    here.cygnet("reload")
    here.configure(config("a", "b") + config("a", "b", name="further").split("secrets {")[0])
    here.cygnet("reload")
    check(here.children()[0]["spi-in"] == before, "an unchanged connection's SA was touched")
    check("further" in here.cygnet("list", "--conns"), "the new connection is not there")
    here.configure(config("a", "b"))
    here.cygnet("reload")
    check("further" not in here.cygnet("list", "--conns"), "the removed connection is still there")
    traffic(a, b, count=1)


@case
def peers_are_not_refused_while_the_configuration_is_loaded(lab):
    if not shutil.which("swanctl"):
        raise Skip("swanctl is not installed")
    a, b = gateways(lab)
    late = b.cygnet(None)
    late.configure(config("b", "a"))
    here = a.cygnet(config("a", "b", start="start"), options=("--debug", "--retransmit", "0.5/1/30"))
    here.wait_log("IKE_SA_INIT request is sent to 192.0.2.2:500 again (2 of 30)")
    load_all(late)
    wait_for("the child", lambda: here.children() and late.children())
    traffic(a, b)
    check("no proposal" not in here.log() and "NO_PROPOSAL" not in late.log(), "the peer was refused before the connection was there")


@case
def peers_are_answered_without_a_configuration_after_a_while(lab):
    a, b = gateways(lab)
    empty = b.cygnet(None)
    here = a.cygnet(config("a", "b", start="start"), options=("--debug", "--retransmit", "0.5/1/30"))
    here.wait_log("IKE_SA_INIT request is sent to 192.0.2.2:500 again (2 of 30)")
    check("answers:" not in here.log(), "the peer was answered at once")
    empty.wait_log("peers are answered without", 12)
    here.wait_log("192.0.2.2:500 answers:")
