# SPDX-License-Identifier: Apache-2.0
"""Libreswan as a peer, in a guest: pluto with the guest's kernel. Its programs lie below /opt/libreswan of the root, since one path of them is
strongSwan's, too; its certificates are in an NSS database."""
from cases import NETS, OUTER, SECRET
from lab import Daemon, Failure, run, wait_for

WHERE = "/opt/libreswan/usr/libexec/ipsec"
WORDS = {
    "aes128gcm16": "aes_gcm128", "aes256gcm16": "aes_gcm256", "chacha20poly1305": "chacha20_poly1305", "aes128": "aes128", "aes256": "aes256",
    "sha1": "sha1", "sha256": "sha2_256", "sha384": "sha2_384", "sha512": "sha2_512", "prfsha256": "sha2_256", "prfsha384": "sha2_384",
    "prfsha512": "sha2_512", "curve25519": "dh31", "ecp256": "dh19", "ecp384": "dh20", "ecp521": "dh21", "modp2048": "dh14", "modp3072": "dh15",
}


def transforms(suite, line):
    """"aes128-sha256-modp2048" of ours is "aes128-sha2_256;dh14" there."""
    if suite == "default":
        return ""
    words = [WORDS[word] for word in suite.split("-")]
    text = "-".join(word for word in words if not word.startswith("dh"))
    groups = "+".join(word for word in words if word.startswith("dh"))
    return f"\n    {line}={text}" + (f";{groups}" if groups else "")


def connection(me="b", peer="a", auth="secret", outer=4, inner=(4,), ike="default", esp="default", extra=(), name="gw", pair=None, leftid=None,
               rightid=None):
    """One conn of ipsec.conf; `auth` is what authby says."""
    out = ""
    for family in inner:
        ours, theirs = pair or (NETS[family][me], NETS[family][peer])
        ids = (leftid or f"@{me}.example.org", rightid or f"@{peer}.example.org")
        certificate = "" if auth in ("secret", "null") else f"\n    leftcert={me}\n    leftsendcert=always\n    rightca=%same"
        lines = "".join(f"\n    {line}" for line in extra)
        out += f"""conn {name}{family}
    keyexchange=ikev2
    auto=add
    authby={auth}
    left={OUTER[outer][me]}
    right={OUTER[outer][peer]}
    leftid={ids[0]}
    rightid={ids[1]}
    leftsubnet={ours}
    rightsubnet={theirs}
    pfs={'yes' if any(word in esp for word in ('modp', 'ecp', 'curve')) else 'no'}{transforms(ike, 'ike')}{transforms(esp, 'esp')}{certificate}{lines}
"""
    return out


class Libreswan(Daemon):
    def __init__(self, host, config, certs=None, secret=SECRET, setup=(), me="b", secrets=()):
        super().__init__(host, "libreswan", None, {})
        lines = "".join(f"\n    {line}" for line in setup)
        (self.etc / "ipsec.conf").write_text(f"config setup\n    logfile={self.log_path}{lines}\n{config}")
        (self.etc / "ipsec.secrets").write_text("".join(f"{line}\n" for line in (f': PSK "{secret}"', *secrets)))
        nss = "/run/nss"
        host.shell(f"mkdir -p /run/pluto /run/ipsec.d {nss} && certutil -N -d sql:{nss} --empty-password && ln -sfn {WHERE} /usr/libexec/ipsec && "
                   "ln -sfn /opt/libreswan/usr/sbin/ipsec /usr/sbin/ipsec")
        if certs:
            self.take_certificates(certs, nss, me)
        self.process = host.start("env", "LD_LIBRARY_PATH=/opt/libreswan/usr/lib", f"{WHERE}/pluto", "--config", self.etc / "ipsec.conf", "--nofork",
                                  "--logfile", self.log_path, "--nssdir", nss, "--ipsecdir", "/run/ipsec.d", "--secretsfile",
                                  self.etc / "ipsec.secrets", "--rundir", "/run/pluto", "--no-dnssec", log=self.directory / "out")
        wait_for(f"{host.name}: pluto", self.ready)
        # It loads its connections by itself, once it runs, and closes those that are up by then.
        wait_for(f"{host.name}: pluto's own addconn", lambda: "addconn: loading secrets" in self.log(), 20)
        for line in config.splitlines():
            if line.startswith("conn "):
                self.tool("addconn", "--ctlsocket", "/run/pluto/pluto.ctl", "--config", self.etc / "ipsec.conf", line.split()[1])
        self.whack("--listen")

    def take_certificates(self, certs, nss, me):
        bundle = self.etc / "bundle.p12"
        chain = [word for name in certs.chain() for word in ("-certfile", certs.dir / f"{name}.pem")]
        run("openssl", "pkcs12", "-export", "-name", me, "-in", certs.dir / f"{me}.pem", "-inkey", certs.dir / f"{me}.key", *chain, "-passout", "pass:",
            "-out", bundle)
        self.host.run("pk12util", "-i", bundle, "-d", f"sql:{nss}", "-W", "", "-K", "")
        for name in certs.chain():
            self.host.run("certutil", "-A", "-n", name, "-t", "CT,C,C", "-d", f"sql:{nss}", "-i", certs.dir / f"{name}.pem")

    def ready(self):
        if not self.host.alive(self.process):
            raise Failure(f"{self.host.name}: pluto ended:\n{self.log()}")
        return self.host.run("ls", "/run/pluto/pluto.ctl", check_status=False).strip() == "/run/pluto/pluto.ctl"

    def tool(self, name, *words, **options):
        return self.host.run("env", "LD_LIBRARY_PATH=/opt/libreswan/usr/lib", f"{WHERE}/{name}", *words, **options)

    def whack(self, *words, check_status=False, timeout=30):
        """Says what it says; its exit status tells of the connection's state rather than of success."""
        return self.tool("whack", "--rundir", "/run/pluto", *words, check_status=check_status, timeout=timeout)

    def initiate(self, child="net4"):
        return self.whack("--name", child.replace("net", "gw"), "--initiate")

    def rekey(self, what):
        return self.whack("--name", "gw4", f"--rekey-{what}")

    def delete(self):
        self.whack("--name", "gw4", "--delete-ike")

    def gone(self):
        return "established" not in self.whack("--showstates").lower()
