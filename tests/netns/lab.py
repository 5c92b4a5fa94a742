# SPDX-License-Identifier: Apache-2.0
"""Hosts on one machine: network namespaces joined by veth pairs, with cygnetd or strongSwan on them.

A Lab makes everything under a name of its own and removes it when it is closed, whatever happened in between (and when its process is killed, the
keeper does):

    with Lab(build) as lab:
        a, b = lab.host("a"), lab.host("b")
        lab.link(a, "192.0.2.1/24", b, "192.0.2.2/24")
        gw = a.cygnet(config_text, files={"x509/b.pem": pem})
        gw.swanctl("--initiate", "--child", "net")
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from keeper import KEEPER, remove

COMMAND_SECONDS = 30
WORKERS = os.environ.get("CYGNET_WORKERS")   # threads for packets, of every daemon that a case does not say otherwise for


class Failure(Exception):
    """A test's claim does not hold; the text says which."""


class Skip(Exception):
    """The case cannot be played here; the text says what is missing."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def run(*words, timeout=COMMAND_SECONDS, check_status=True, input=None):
    try:
        done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout, input=input, errors="replace")
    except subprocess.TimeoutExpired as expired:
        raise Failure(f"{' '.join(map(str, words))}: not finished within {timeout} s: {expired.output!r}") from None
    if check_status and done.returncode != 0:
        raise Failure(f"{' '.join(map(str, words))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def wait_for(what, condition, seconds=10.0, step=0.05):
    """Polls until condition() is true; a Failure that names what did not come otherwise."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(step)
    raise Failure(f"{what}: not within {seconds} s")


class Host:
    """One network namespace."""

    def __init__(self, lab, name):
        self.lab, self.name, self.ns = lab, name, f"{lab.name}-{name}"
        lab.hosts.append(self)
        run("ip", "netns", "del", self.ns, check_status=False)   # of a run that was killed
        run("ip", "netns", "add", self.ns)
        self.run("ip", "link", "set", "lo", "up")
        for key in ("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                    "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"):
            self.run("sysctl", "-qw", key, check_status=False)

    def run(self, *words, **options):
        return run("ip", "netns", "exec", self.ns, *words, **options)

    def start(self, *words, log=None, **options):
        """A process in the background; it ends with the lab."""
        out = open(log, "ab") if log else subprocess.DEVNULL
        process = subprocess.Popen(["ip", "netns", "exec", self.ns, *map(str, words)], stdout=out, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, start_new_session=True, **options)
        if log:
            out.close()
        self.lab.processes.append(process)
        return process

    def address(self, text, device):
        self.run("ip", "address", "add", text, "dev", device, *(["nodad"] if ":" in text else []))

    def take(self, device, addresses, mtu):
        """A device that has come into the namespace gets its addresses and goes up."""
        for text in addresses:
            self.address(text, device)
        self.run("ip", "link", "set", device, "mtu", mtu, "up")

    def close(self):
        """What a kind of host must end before its namespace goes."""

    def socket(self, kind, directory):
        """Where a daemon of a kind listens for VICI."""
        return f"unix://{directory}/vici"

    def route(self, *words):
        self.run("ip", *(["-6"] if ":" in " ".join(words) else []), "route", "add", *words)

    def forward(self):
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def masquerade(self, device):
        """What an ISP's router does: source NAT of everything that leaves by device, in IPv4."""
        self.forward()
        self.run("nft", "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; "
                        f"add rule ip nat post oifname {device} masquerade")

    def pings(self, target, count=3, source=None, size=None, interval=0.2):
        """How many of count pings came back."""
        words = ["ping", "-q", "-n", "-c", count, "-i", interval, "-W", 2]
        words += ["-I", source] if source else []
        words += ["-s", size] if size else []
        out = self.run(*words, target, check_status=False, timeout=count * (interval + 0.1) + 15)
        for part in out.split(","):
            if "received" in part:
                return int(part.split()[0])
        return 0

    def iperf(self, server, address, seconds=3, extra=()):
        """Bits a second that server received from us at address."""
        listening = server.start("iperf3", "-s", "-1", "-B", address)
        wait_for("iperf3 listening", lambda: "5201" in server.run("ss", "-Hltn"))
        out = self.run("iperf3", "-J", "-c", address, "-t", seconds, *extra, timeout=seconds + 20, check_status=False)
        listening.wait(timeout=10)
        try:
            return json.loads(out)["end"]["sum_received"]["bits_per_second"]
        except (ValueError, KeyError):
            raise Failure(f"iperf3 to {address}: {out[-400:]}")

    def capture(self, device, what="", size=0):
        return Capture(self, device, what, size)

    def alive(self, process):
        return process.poll() is None

    def cygnet(self, config, files=None, **options):
        return Cygnet(self, config, files or {}, **options)

    def strongswan(self, config, files=None, **options):
        from strongswan import Strongswan
        return Strongswan(self, config, files or {}, **options)


class Capture:
    """tcpdump on a device, into a file; stop() returns its path. Its buffer has room for eight packets, or for hundreds of at most `size` bytes."""

    def __init__(self, host, device, what, size=0):
        self.path = host.lab.directory / f"{host.name}-{device}-{len(host.lab.processes)}.pcap"
        self.process = host.start("tcpdump", "-i", device, "-U", "--immediate-mode", "-n", "-s", size, "-w", self.path, *(what.split() if what else []))
        wait_for("tcpdump", lambda: self.path.exists() and self.path.stat().st_size >= 24)

    def stop(self):
        time.sleep(0.2)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=5)
        return self.path

    def lines(self, *words):
        return run("tcpdump", "-n", "-r", self.path, *words, check_status=False).splitlines()


class Daemon:
    """What cygnetd and charon have in common: a directory, a log, a VICI socket."""

    def __init__(self, host, kind, config, files):
        self.host = host
        self.directory = host.lab.directory / f"{host.name}-{kind}"
        self.etc, self.run_dir = self.directory / "etc", self.directory / "run"
        self.etc.mkdir(parents=True, exist_ok=True)
        self.run_dir.mkdir(exist_ok=True)
        self.vici = host.socket(kind, self.run_dir)
        self.log_path = self.directory / "log"
        self.log_path.touch()
        self.configure(config, files)

    def configure(self, config, files=None):
        if config is not None:
            (self.etc / "swanctl.conf").write_text(config)
        for name, data in (files or {}).items():
            path = self.etc / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
            path.chmod(0o600)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, text, seconds=10.0):
        wait_for(f"{self.host.name}: log line with \"{text}\"", lambda: text in self.log(), seconds)

    def swanctl(self, *words, **options):
        """The real swanctl of Debian, on whichever daemon this is."""
        return self.host.run("swanctl", *words, "--uri", self.vici, **options)


class Cygnet(Daemon):
    def __init__(self, host, config, files, options=(), keylog=False, wait=True):
        super().__init__(host, "cygnet", config, files)
        self.keylog = self.directory / "keys" if keylog else None
        self.resolv_conf = self.directory / "resolv.conf"
        if not self.resolv_conf.exists():
            self.resolv_conf.write_text("nameserver 192.0.2.53\n")
        words = [host.lab.build / "src/daemon/cygnetd", "--foreground", "--config", self.etc if config is not None else "none",
                 "--vici", self.vici, "--run-dir", self.run_dir, "--state-dir", self.run_dir / "state",
                 "--resolv-conf", self.resolv_conf, *options]
        words += ["--keylog", self.keylog] if keylog else []
        workers = host.lab.workers or WORKERS
        if workers and "--workers" not in options:
            words += ["--workers", workers]
        self.process = host.start(*words, log=self.log_path)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise Failure(f"{self.host.name}: cygnetd ended with {self.process.returncode}:\n{self.log()}")
            return self.cygnet("status", check_status=False, timeout=10).startswith("cygnet ")
        wait_for(f"{self.host.name}: cygnetd", ready)

    def cygnet(self, command, *words, **options):
        return run(self.host.lab.build / "src/cli/cygnet", command, *words, "--uri", self.vici, **options)

    def sas(self):
        """SAs as `cygnet list --json` shows them: a list of (connection name, SA)."""
        return [(name, sa) for entry in json.loads(self.cygnet("list", "--json")) for name, sa in entry.items()]

    def children(self):
        return [child for _, sa in self.sas() for child in sa.get("child-sas", {}).values()]

    def stop(self, how=signal.SIGTERM, seconds=8):
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=seconds)
        return self.process.returncode


class Lab:
    def __init__(self, build, name=None):
        self.build = pathlib.Path(build).resolve()
        self.name = name or f"cy{os.getpid()}"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        KEEPER.begin(self.name, self.directory)
        self.hosts, self.processes = [], []
        self.kept = False
        self.workers = None

    def host(self, name):
        return Host(self, name)

    def link(self, a, a_addrs, b, b_addrs, a_device=None, b_device=None, mtu=1500):
        """A veth pair; addresses are one text or a list. Devices are named after the other end unless said otherwise."""
        a_device, b_device = a_device or f"to-{b.name}", b_device or f"to-{a.name}"
        run("ip", "link", "add", a_device, "netns", a.ns, "type", "veth", "peer", "name", b_device, "netns", b.ns)
        for host, device, addrs in ((a, a_device, a_addrs), (b, b_device, b_addrs)):
            host.take(device, [addrs] if isinstance(addrs, str) else addrs, mtu)
        return a_device, b_device

    def close(self):
        for host in self.hosts:
            host.close()
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=6)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        remove(self.name, self.directory)
        KEEPER.end(self.name)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            for log in sorted(self.directory.glob("*/log")):
                print(f"--- {log.parent.name}\n{log.read_text(errors='replace')[-6000:]}", file=sys.stderr)
        if self.kept:
            KEEPER.end(self.name)
        else:
            self.close()
        return False
