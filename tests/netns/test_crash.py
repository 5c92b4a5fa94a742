# SPDX-License-Identifier: Apache-2.0
"""Quick crash detection (RFC 6290) and packets for children that are not there (RFC 7296 1.5): processes that really die."""
import os
import signal

from cases import case, cases, config, gateways, traffic
from lab import check, run, wait_for


def up(lab, child="dpd_action = start", conn="dpd_delay = 3600s", **more):
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a", **more))
    here = a.cygnet(config("a", "b", conn=conn, child=child))
    here.cygnet("up", "net4")
    traffic(a, b, count=1)
    return a, b, here, there


def crash(daemon):
    pids = [int(pid) for pid in run("pgrep", "-P", str(daemon.process.pid), "-f", "role ike", check_status=False).split()]
    check(len(pids) == 1, f"ike processes: {pids}")
    os.kill(pids[0], signal.SIGKILL)


def spi(daemon):
    return [sa["initiator-spi"] for _, sa in daemon.sas() if sa["state"] == "ESTABLISHED"]


@cases([("with-its-secret", True), ("without", False)])
def packets_find_a_crash(lab, keeps):
    """The gateway only hears packets; without the token the client would need minutes."""
    a, b, here, there = up(lab)
    before = spi(here)
    a.run("sleep", "11")   # a hint is not heeded while the peer has been heard
    if not keeps:
        (there.run_dir / "state" / "qcd.secret").write_bytes(bytes(32))
    crash(there)
    wait_for("the gateway again", lambda: there.swanctl("--stats", check_status=False).find("uptime") >= 0, 10)
    check(there.sas() == [], "nothing is known of before")
    a.run("ping", "-c", "20", "-i", "0.2", "-W", "1", "-I", "10.1.0.1", "10.2.0.1", check_status=False)
    if keeps:
        wait_for("another IKE SA", lambda: spi(here) not in ([], before), 10)
        check("the peer was restarted" in here.log(), here.log()[-2000:])
        wait_for("the child", lambda: len(here.children()) == 1 and len(there.children()) == 1)
        traffic(a, b)
    else:
        here.wait_log("a crash token that is not the peer's")
        check(spi(here) == before, "a wrong token ends nothing")


@case
def the_secret_is_nobody_elses(lab):
    _, _, _, there = up(lab)
    secret = there.run_dir / "state" / "qcd.secret"
    check(secret.stat().st_size == 32 and secret.stat().st_mode & 0o777 == 0o600, f"{secret.stat()}")
