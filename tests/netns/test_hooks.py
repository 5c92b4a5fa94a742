# SPDX-License-Identifier: Apache-2.0
"""updown: `cygnet hooks` runs the commands that the daemon does not; what they are told, in which order, and what is said when nobody runs them."""
import signal
import time

from cases import HOSTS, NETS, case, config, gateways
from lab import check, wait_for
from test_cygnet import crash

# What it is told goes to a file, in one piece.
SCRIPT = """#!/bin/sh
echo "begin $PLUTO_VERB $PLUTO_PEER_CLIENT" >> "$1"
text=$(env | grep ^PLUTO_ | sort | tr '\\n' ';')
sleep "${2:-0}"
echo "end $PLUTO_VERB $PLUTO_PEER_CLIENT $text" >> "$1"
echo "said $PLUTO_VERB"
"""


class Hooks:
    def __init__(self, host, daemon, *options):
        self.log_path = host.lab.directory / f"{host.name}-hooks.log"
        self.process = host.start(host.lab.build / "src/cli/cygnet", "hooks", "--uri", daemon.vici, *options, log=self.log_path)
        wait_for("hooks", lambda: "follows the daemon" in self.log())

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(timeout=20)
        return self.process.returncode


class Script:
    """What updown has been told so far, a dictionary of variables for each end of a run."""

    def __init__(self, lab):
        self.path, self.out = lab.directory / "updown", lab.directory / "told"
        self.path.write_text(SCRIPT)
        self.path.chmod(0o755)
        self.out.touch()

    def option(self, *more):
        return f"updown = \"{' '.join(map(str, (self.path, self.out, *more)))}\""

    def lines(self):
        return [line.split(" ", 2)[:2] for line in self.out.read_text().splitlines()]

    def verbs(self):
        return [verb for what, verb in self.lines() if what == "end"]

    def told(self):
        ends = [line.split(" ", 3)[3] for line in self.out.read_text().splitlines() if line.startswith("end")]
        return [dict(word.split("=", 1) for word in text.rstrip(";").split(";")) for text in ends]


def up(lab, option, conn="", b_conn="", child="", b_child="", **more):
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a", conn=b_conn, child=b_child, **more))
    here = a.cygnet(config("a", "b", conn=conn, child=f"{option}\n{child}", **more))
    return a, b, here, there


@case
def a_command_runs_when_children_come_and_go(lab):
    script = Script(lab)
    a, b, here, there = up(lab, script.option(), child="hostaccess = yes\nreqid = 77")
    hooks = Hooks(a, here)
    here.cygnet("up", "net4")
    wait_for("up", lambda: script.verbs() == ["up-client"])
    here.swanctl("--rekey", "--child", "net4")
    here.swanctl("--rekey", "--ike", "gw")
    time.sleep(1)
    there.cygnet("down", "--ike", "gw")
    wait_for("down", lambda: script.verbs() == ["up-client", "down-client"])
    came, went = script.told()
    number = came.pop("PLUTO_UNIQUEID")
    check(number.isdigit() and went.pop("PLUTO_UNIQUEID").isdigit(), "no number of the IKE SA")
    wanted = {"PLUTO_VERSION": "1.1", "PLUTO_VERB": "up-client", "PLUTO_CONNECTION": "net4", "PLUTO_INTERFACE": "to-b", "PLUTO_REQID": "77",
              "PLUTO_PROTO": "esp", "PLUTO_ME": "192.0.2.1", "PLUTO_MY_ID": "a.example.org", "PLUTO_MY_CLIENT": "10.1.0.0/24",
              "PLUTO_MY_PORT": "0", "PLUTO_MY_PROTOCOL": "0", "PLUTO_PEER": "192.0.2.2", "PLUTO_PEER_ID": "b.example.org",
              "PLUTO_PEER_CLIENT": "10.2.0.0/24", "PLUTO_PEER_PORT": "0", "PLUTO_PEER_PROTOCOL": "0", "PLUTO_HOST_ACCESS": "1"}
    check(came == wanted, f"told: {came}")
    check(went == {**wanted, "PLUTO_VERB": "down-client"}, f"told at the end: {went}")
    check("gw/net4[" in hooks.log() and "said up-client" in hooks.log(), hooks.log())
    check(hooks.stop() == 0, hooks.log())


@case
def virtual_addresses_name_servers_and_encapsulation_are_told(lab):
    script = Script(lab)
    a, b = gateways(lab)
    text = config("b", "a", conn="pools = road", child="").replace(f"remote_ts = {NETS[4]['a']}", "remote_ts = dynamic")
    there = b.cygnet(text + "pools {\n road {\n addrs = 10.9.0.0/24\n dns = 10.2.0.53, fd02::53\n }\n}\n")
    text = config("a", "b", conn="vips = 0.0.0.0\nencap = yes", child=script.option()).replace(f"local_ts = {NETS[4]['a']}", "local_ts = dynamic")
    here = a.cygnet(text)
    Hooks(a, here)
    here.cygnet("up", "net4")
    wait_for("up", lambda: script.verbs())
    told = script.told()[0]
    wanted = {"PLUTO_MY_SOURCEIP": "10.9.0.1", "PLUTO_MY_SOURCEIP4_1": "10.9.0.1", "PLUTO_DNS4_1": "10.2.0.53", "PLUTO_DNS6_1": "fd02::53",
              "PLUTO_UDP_ENC": "4500", "PLUTO_MY_CLIENT": "10.9.0.1/32"}
    check({key: told.get(key) for key in wanted} == wanted, f"told: {told}")
    check(here.children() and there.children(), "no child")


@case
def what_is_up_already_is_told_and_what_dies_with_the_daemon_too(lab):
    script = Script(lab)
    a, b, here, there = up(lab, script.option())
    here.cygnet("up", "net4")
    wait_for("the log to say that nobody runs it", lambda: "HOOKS_MISSING" in here.log(), 15)
    check(here.log().count("HOOKS_MISSING") == 1 and "systemctl enable --now cygnet-hooks" in here.log(), here.log())
    for text in (here.cygnet("list"), here.cygnet("explain", "net4")):
        check("systemctl enable --now cygnet-hooks" in text, text)
    hooks = Hooks(a, here)
    wait_for("up of what was up", lambda: script.verbs() == ["up-client"])
    for text in (here.cygnet("list"), here.cygnet("explain", "net4")):
        check("systemctl" not in text and str(script.path) in text, text)
    crash(here)
    wait_for("down of what is gone", lambda: script.verbs() == ["up-client", "down-client"])
    here = a.cygnet(config("a", "b", child=script.option(), start="start"))
    wait_for("up in the next life", lambda: script.verbs() == ["up-client", "down-client", "up-client"], 15)
    check(hooks.stop() == 0, hooks.log())
    check(script.verbs()[3:] == ["down-client"], f"when hooks end: {script.verbs()}")


@case
def two_that_run_commands_do_not_run_them_twice(lab):
    script = Script(lab)
    a, b, here, there = up(lab, script.option())
    first = Hooks(a, here)
    log = lab.directory / "second.log"
    second = a.start(lab.build / "src/cli/cygnet", "hooks", "--uri", here.vici, log=log)
    wait_for("the second to wait", lambda: "somebody else" in log.read_text())
    here.cygnet("up", "net4")
    wait_for("up", lambda: script.verbs() == ["up-client"])
    first.stop(signal.SIGKILL)
    wait_for("the second to take over", lambda: script.verbs() == ["up-client"] * 2)
    check(log.read_text().count("somebody else") == 1 and second.poll() is None, log.read_text())


@case
def commands_of_a_child_run_in_order_and_each_pair_has_one(lab):
    script = Script(lab)
    a, b, here, there = up(lab, script.option(0.4), nets={"a": "10.1.0.0/24, 10.3.0.0/24", "b": "10.2.0.0/24"})
    Hooks(a, here)
    here.cygnet("up", "net4")
    here.cygnet("down", "net4")
    here.cygnet("up", "net4")
    verbs = ["up-client"] * 2 + ["down-client"] * 2 + ["up-client"] * 2
    time.sleep(8)
    check(script.verbs() == verbs, f"{script.verbs()}")
    check([what for what, verb in script.lines()] == ["begin", "end"] * 6, f"at once: {script.lines()}")
    check([told["PLUTO_MY_CLIENT"] for told in script.told()] == ["10.1.0.0/24", "10.3.0.0/24"] * 3, script.told())


@case
def a_command_that_hangs_fails_or_is_not_there_is_told_of(lab):
    a, b, here, there = up(lab, "updown = \"sleep 1000 & echo waits; wait\"")
    hooks = Hooks(a, here, "--timeout", "1")
    here.cygnet("up", "net4")
    wait_for("the time-out", lambda: "ended by signal" in hooks.log(), 15)
    check("waits" in hooks.log() and "still runs after 1 s" in hooks.log(), hooks.log())
    for command, said in (("exit 3", "failed with exit status 3"), ("/there/is/none up", "there is no such program"),
                          ("/etc/passwd", "not executable (exit status 126)"),
                          ("printf 'a\\\\033[31mb\\\\n'", "a?[31mb")):
        here.configure(config("a", "b", child=f"updown = \"{command}\""))
        here.cygnet("reload")
        here.cygnet("down", "--ike", "gw", check_status=False)
        here.cygnet("up", "net4")
        wait_for(said, lambda: said in hooks.log())


@case
def what_the_peer_calls_itself_is_no_part_of_a_command(lab):
    """An identity with what a shell would run goes by the environment alone."""
    script = Script(lab)
    evil = "$(touch /tmp/cygnet-owned);`id`@example.org"
    a, b = gateways(lab)
    theirs = config("b", "a").replace("id = b.example.org", f"id = \"{evil}\"").replace("id-2 = a.example.org\n", "").replace("id-1 = b.example.org\n", "").replace("id-2 = a.example.org", "").replace("id-1 = b.example.org", "")
    b.cygnet(theirs)
    ours = config("a", "b", child=script.option()).replace("id = b.example.org", "id = %any").replace("id-1 = a.example.org", "").replace("id-2 = b.example.org", "")
    here = a.cygnet(ours)
    Hooks(a, here)
    here.cygnet("up", "net4")
    wait_for("up", lambda: script.verbs())
    text = script.out.read_text()
    check(f"PLUTO_PEER_ID={evil.split(';')[0]}" in text, text)
    check(not __import__("os").path.exists("/tmp/cygnet-owned"), "the peer's identity was run")
