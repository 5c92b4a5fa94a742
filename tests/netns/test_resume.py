# SPDX-License-Identifier: Apache-2.0
"""Session resumption (RFC 5723) between two cygnets whose processes and links really go away."""
import os
import signal

from cases import case, cases, config, gateways, traffic
from lab import check, run, wait_for

QUICK = ("--retransmit", "0.2/1.5/3")


def up(lab):
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a", conn="resumption = yes"), options=QUICK)
    here = a.cygnet(config("a", "b", conn="resumption = yes\ndpd_delay = 1s", child="dpd_action = start"), options=QUICK)
    here.cygnet("up", "net4")
    traffic(a, b, count=1)
    return a, b, here, there


@cases([("the-link-goes", "link"), ("the-gateways-processes-die", "crash"), ("the-gateway-reboots", "reboot")])
def resuming(lab, what):
    a, b, here, there = up(lab)
    before = here.sas()[0][1]["initiator-spi"]
    if what == "link":
        b.run("ip", "link", "set", "to-a", "down")
        here.wait_log("is closed: the peer has not answered", 20)
        b.run("ip", "link", "set", "to-a", "up")
    else:
        if what == "reboot":
            (there.run_dir / "ticket.secret").write_bytes(bytes(32))
        pids = [int(pid) for pid in run("pgrep", "-P", str(there.process.pid), "-f", "role ike", check_status=False).split()]
        check(len(pids) == 1, f"ike processes: {pids}")
        os.kill(pids[0], signal.SIGKILL)
    wait_for("another IKE SA", lambda: [sa for _, sa in here.sas() if sa["state"] == "ESTABLISHED" and sa["initiator-spi"] != before], 40)
    here.wait_log("resuming the session with")
    check(("a full handshake follows" in here.log()) == (what == "reboot"), here.log()[-3000:])
    wait_for("the child", lambda: len(here.children()) == 1 and len(there.children()) == 1)
    traffic(a, b)


@case
def the_secret_is_nobody_elses(lab):
    _, _, _, there = up(lab)
    secret = there.run_dir / "ticket.secret"
    check(secret.stat().st_size == 32 and secret.stat().st_mode & 0o777 == 0o600, f"{secret.stat()}")
