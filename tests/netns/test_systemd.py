# SPDX-License-Identifier: Apache-2.0
"""The unit under a real systemd, with all its restrictions."""
from cases import case, config, traffic
from lab import check, wait_for
from service import ServiceHost


def up(lab):
    a, b = lab.host("a"), ServiceHost(lab, "b")
    lab.link(a, "192.0.2.1/24", b, "192.0.2.2/24")
    for host, net in ((a, 1), (b, 2)):
        host.address(f"10.{net}.0.1/24", "lo")
    there = a.cygnet(config("a", "b"))
    b.configure(config("b", "a", start="start", child="dpd_action = start\nclose_action = start", conn="dpd_delay = 2s\nkeyingtries = 0"))
    b.inside("systemctl", "start", "cygnetd")
    wait_for("the tunnel", lambda: len(there.children()) == 1)
    traffic(a, b)
    return a, b, there


def show(b, name):
    return b.inside("systemctl", "show", "cygnetd", "-p", name).strip().split("=", 1)[1]


@case
def the_unit_carries_a_tunnel(lab):
    a, b, there = up(lab)
    check(show(b, "ActiveState") == "active" and show(b, "NRestarts") == "0", b.journal())
    journal = b.journal()
    for wrong in ("ended (", "Permission denied", "Read-only", "SANDBOX", "cannot change", "cannot drop", "cannot refuse"):
        check(wrong not in journal, journal)
    check("established" in journal and "Z main:" not in journal, f"the journal's own time, not ours beside it:\n{journal}")
    check(b.inside("journalctl", "-u", "cygnetd", "-p", "3", "-q").strip() == "", "nothing has the priority of an error")
    spis = [sa["initiator-spi"] for _, sa in there.sas()]
    b.inside("systemctl", "reload", "cygnetd")
    wait_for("the reload", lambda: "loaded" in b.journal())
    traffic(a, b)
    check([sa["initiator-spi"] for _, sa in there.sas()] == spis, "a reload leaves the tunnel alone")


@case
def it_stops_and_comes_back(lab):
    a, b, there = up(lab)
    secrets = "cat /var/lib/cygnet/qcd.secret /run/cygnet/ticket.secret | sha256sum"
    before = b.inside("sh", "-c", secrets)
    b.inside("systemctl", "stop", "cygnetd")
    check(show(b, "Result") == "success", b.journal())
    wait_for("the peer was told", lambda: there.sas() == [])
    for left in (b.run("ip", "rule"), b.run("ip", "link"), b.run("nft", "list", "ruleset")):
        check("cygnet" not in left, left)
    b.inside("systemctl", "start", "cygnetd")
    wait_for("the tunnel again", lambda: len(there.children()) == 1)
    check(b.inside("sh", "-c", secrets) == before, "secrets that outlive the daemon")
    traffic(a, b)


@case
def it_is_started_again_when_it_was_killed(lab):
    a, b, there = up(lab)
    b.inside("systemctl", "kill", "--kill-who=main", "--signal=KILL", "cygnetd")
    wait_for("started again", lambda: show(b, "NRestarts") == "1" and show(b, "ActiveState") == "active", 15)
    wait_for("the tunnel again", lambda: there.children() and b.pings("10.1.0.1", 1, source="10.2.0.1") == 1, 20)
    traffic(a, b)


@case
def hooks_run_what_the_daemon_does_not(lab):
    """The command of updown opens a firewall as root, in a service of its own; its output is in the journal."""
    a, b = lab.host("a"), ServiceHost(lab, "b")
    lab.link(a, "192.0.2.1/24", b, "192.0.2.2/24")
    for host, net in ((a, 1), (b, 2)):
        host.address(f"10.{net}.0.1/24", "lo")
    there = a.cygnet(config("a", "b"))
    b.run("nft", "add table inet own; add chain inet own seen")
    command = "echo $PLUTO_VERB $(id -u); nft add rule inet own seen counter comment $PLUTO_VERB"
    b.configure(config("b", "a", start="start", child=f"updown = \"{command}\""))
    b.inside("systemctl", "start", "cygnet-hooks", "cygnetd")
    wait_for("the tunnel", lambda: len(there.children()) == 1)
    wait_for("up", lambda: "up-client" in b.run("nft", "list", "ruleset"))
    b.inside("systemctl", "stop", "cygnetd")
    wait_for("down", lambda: "down-client" in b.run("nft", "list", "ruleset"))
    b.inside("systemctl", "start", "cygnetd")
    wait_for("up again", lambda: b.run("nft", "list", "ruleset").count("up-client") == 2)
    b.inside("systemctl", "stop", "cygnet-hooks")
    check(b.run("nft", "list", "ruleset").count("down-client") == 2, b.run("nft", "list", "ruleset"))
    journal = b.inside("journalctl", "-u", "cygnet-hooks", "--no-pager", "-o", "cat")
    check("up: up-client 0" in journal and "down: down-client 0" in journal, journal)
