# SPDX-License-Identifier: Apache-2.0
"""What the namespace tests share: the register of cases, two gateways with networks behind them, configurations and certificates."""
import pathlib
import sys
import threading

from guest import Guest
from lab import Skip, check, run  # noqa: F401

CASES = []


def case(function):
    CASES.append((f"{pathlib.Path(sys.modules[function.__module__].__file__).stem[5:]}.{function.__name__}", function))
    return function


def cases(rows):
    """One case a row: @cases([("name", args...), ...])."""
    def register(function):
        for name, *args in rows:
            part = (lambda args: lambda lab: function(lab, *args))(args)
            CASES.append((f"{pathlib.Path(sys.modules[function.__module__].__file__).stem[5:]}.{function.__name__}[{name}]", part))
        return function
    return register


def gateways(lab, mtu=1500, root=None):
    """Two gateways on one link, each with a network of its own on the loopback device. With `root`, b has a kernel of its own on these files."""
    a, b = lab.host("a"), Guest(lab, "b", root) if root else lab.host("b")
    lab.link(a, ["192.0.2.1/24", "2001:db8::1/64"], b, ["192.0.2.2/24", "2001:db8::2/64"], mtu=mtu)
    for host, net in ((a, 1), (b, 2)):
        for addr in (f"10.{net}.0.1/24", f"fd0{net}::1/64"):
            host.address(addr, "lo")
    if root:   # not every peer makes routes, and without one the kernel asks no policy
        for host, device in ((a, "to-b"), (b, "to-a")):   # a guest's card takes and gives no joined frames
            host.run("ip", "link", "set", device, "gso_max_segs", 1)
        b.route("default", "via", "192.0.2.1")
        b.route("default", "via", "2001:db8::1")
    return a, b


OUTER = {4: {"a": "192.0.2.1", "b": "192.0.2.2"}, 6: {"a": "2001:db8::1", "b": "2001:db8::2"}}
NETS = {4: {"a": "10.1.0.0/24", "b": "10.2.0.0/24"}, 6: {"a": "fd01::/64", "b": "fd02::/64"}}
HOSTS = {4: {"a": "10.1.0.1", "b": "10.2.0.1"}, 6: {"a": "fd01::1", "b": "fd02::1"}}
SECRET = "an interop secret of tests"


def indent(text, by):
    return "\n".join(" " * by + line if line else line for line in text.splitlines())


def config(me, peer, auth="psk", outer=4, inner=(4,), ike="aes128gcm16-prfsha256-curve25519", esp="aes128gcm16", conn="", child="",
           secret=SECRET, local="", remote="", start="none", name="gw", nets=None, protocol="esp"):
    """A swanctl.conf for `me`; conn, child, local and remote are further lines for these sections. `auth` is psk or what a certificate does."""
    children = "\n".join(f"""net{family} {{
    local_ts = {(nets or NETS[family])[me]}
    remote_ts = {(nets or NETS[family])[peer]}
    {protocol}_proposals = {esp}
    start_action = {start}
{indent(child, 4)}
}}""" for family in inner)
    mine, theirs = ("auth = psk", "auth = psk") if auth == "psk" else (f"auth = {auth}\ncerts = {me}.pem", f"auth = {auth}")
    return f"""connections {{
    {name} {{
        version = 2
        local_addrs = {OUTER[outer][me]}
        remote_addrs = {OUTER[outer][peer]}
        proposals = {ike}
{indent(conn, 8)}
        local {{
            id = {me}.example.org
{indent(mine, 12)}
{indent(local, 12)}
        }}
        remote {{
            id = {peer}.example.org
{indent(theirs, 12)}
{indent(remote, 12)}
        }}
        children {{
{indent(children, 12)}
        }}
    }}
}}
secrets {{
    ike-gw {{
        id-1 = {me}.example.org
        id-2 = {peer}.example.org
        secret = "{secret}"
    }}
}}
"""


class Certificates:
    """A CA and two end entities, or two self-signed ones, made by `cygnet pki` (or by openssl where the peer should judge us)."""

    def __init__(self, lab, kind="ed25519", ca=True, lifetime="30", intermediate=False):
        self.lab, self.tool, self.dir = lab, lab.build / "src/cli/cygnet", lab.directory / f"pki-{kind}-{ca}"
        self.dir.mkdir(exist_ok=True)
        self.ca, self.issuer = ca, "ca"
        words = kind.split("-")
        self.type = ["--type", words[0], *(["--size", words[1]] if len(words) > 1 else [])]
        if ca:
            self.key("ca")
            self.pki("self", "--ca", "--in", self.dir / "ca.key", "--dn", "C=CH, O=tests, CN=root", "--lifetime", "60", "--out", self.dir / "ca.pem")
        if intermediate:
            self.key("sub")
            self.pki("issue", "--ca", "--in", self.dir / "sub.key", "--cacert", self.dir / "ca.pem", "--cakey", self.dir / "ca.key", "--dn",
                     "C=CH, O=tests, CN=intermediate", "--lifetime", "50", "--out", self.dir / "sub.pem")
            self.issuer = "sub"
        for name in ("a", "b"):
            self.end(name, lifetime)

    def pki(self, *words):
        return run(self.tool, "pki", *words)

    def key(self, name):
        self.pki("gen", *self.type, "--out", self.dir / f"{name}.key")

    def end(self, name, lifetime):
        self.key(name)
        common = ["--dn", f"C=CH, O=tests, CN={name}.example.org", "--san", f"{name}.example.org", "--lifetime", lifetime, "--out", self.dir / f"{name}.pem"]
        if self.ca:
            self.pki("issue", "--in", self.dir / f"{name}.key", "--cacert", self.dir / f"{self.issuer}.pem", "--cakey",
                     self.dir / f"{self.issuer}.key", *common)
        else:
            self.pki("self", "--in", self.dir / f"{name}.key", *common)

    def chain(self):
        """The CAs above an end entity, the nearest first."""
        return ["sub", "ca"] if self.issuer == "sub" else ["ca"]

    def files(self, me, peer):
        """What belongs below the configuration directory of `me`. Ours has the intermediate CA behind its own certificate in one file, the other
        end in a file of its own."""
        read = lambda name: (self.dir / name).read_bytes()
        bundled = self.issuer == "sub" and me == "a"
        out = {f"private/{me}.key": read(f"{me}.key"), f"x509/{me}.pem": read(f"{me}.pem") + (read("sub.pem") if bundled else b"")}
        if self.ca:
            out.update({f"x509ca/{name}.pem": read(f"{name}.pem") for name in self.chain() if name == "ca" or not bundled})
        else:
            out[f"x509/{peer}.pem"] = read(f"{peer}.pem")
        return out


def traffic(a, b, inner=(4,), count=3):
    """Pings both ways between the networks; every one must come back."""
    for family in inner:
        for host, me, peer in ((a, "a", "b"), (b, "b", "a")):
            got = host.pings(HOSTS[family][peer], count=count, source=HOSTS[family][me])
            check(got == count, f"only {got} of {count} pings from {me} to {peer} (IPv{family}) came back")
