# SPDX-License-Identifier: Apache-2.0
"""OpenIKED as a peer, in a guest: it needs PF_KEY and ESP in the kernel.

It has no command for rekeying: lifetimes make it rekey. Of the algorithms for packets it knows only AES-CBC with HMAC-SHA1 or SHA-384 on Linux:
it looks for others under names that Linux's PF_KEY does not have."""
from cases import HOSTS, NETS, OUTER, SECRET
from lab import Daemon, wait_for

WORDS = {   # ours -> (in ikesa, in childsa)
    "aes128gcm16": "enc aes-128-gcm", "aes256gcm16": "enc aes-256-gcm", "chacha20poly1305": "enc chacha20-poly1305",
    "aes128": "enc aes-128", "sha1": "auth hmac-sha1", "aes256": "enc aes-256", "sha256": "auth hmac-sha2-256", "sha384": "auth hmac-sha2-384", "sha512": "auth hmac-sha2-512",
    "prfsha256": "prf hmac-sha2-256", "prfsha384": "prf hmac-sha2-384", "prfsha512": "prf hmac-sha2-512",
    "curve25519": "group curve25519", "ecp256": "group ecp256", "ecp384": "group ecp384", "modp2048": "group modp2048",
    "esn": "esn", "noesn": "noesn",
}
PRF_OF = {"sha256": "prfsha256", "sha384": "prfsha384", "sha512": "prfsha512"}


def transforms(suite, ike):
    if suite == "default":
        return ""
    words = suite.split("-")
    if ike and not any(word.startswith("prf") for word in words):
        words.append(next(PRF_OF[word] for word in words if word in PRF_OF))
    if not ike and "esn" not in words:
        words.append("noesn")
    return ("ikesa " if ike else "childsa ") + " ".join(WORDS[word] for word in words)


def policy(me="b", peer="a", active=False, auth="psk", outer=4, inner=(4,), ike="default", esp="default", secret=SECRET, flows=None, extra=(),
           srcid=None, dstid=None, top=""):
    """One policy of iked.conf."""
    pairs = flows or [(NETS[family][me], NETS[family][peer]) for family in inner]
    lines = ['ikev2 "gw" ' + ("active" if active else "passive") + " esp", *(f"from {ours} to {theirs}" for ours, theirs in pairs),
             f"local {OUTER[outer][me]} peer {OUTER[outer][peer]}", transforms(ike, True), transforms(esp, False),
             f"srcid {srcid or me + '.example.org'} dstid {dstid or peer + '.example.org'}", *extra,
             f'psk "{secret}"' if auth == "psk" else auth]
    return f"{top}\n" + " \\\n    ".join(line for line in lines if line) + "\n"


class Openiked(Daemon):
    def __init__(self, host, config, files):
        super().__init__(host, "openiked", None, {})
        self.path = self.etc / "iked.conf"
        self.path.write_text(config)
        for name, data in files.items():
            target = self.etc / name.replace("/", "-")
            target.write_bytes(data)
            host.shell(f"mkdir -p $(dirname /etc/iked/{name}) && install -m {600 if 'private' in name else 644} {target} /etc/iked/{name}")
        host.shell(f"install -m 600 {self.path} /etc/iked.conf; mkdir -p /var/empty")
        self.process = host.start("iked", "-dvv", log=self.log_path)
        wait_for(f"{host.name}: iked", lambda: host.run("ikectl", "show", "sa", check_status=False).find("connect") < 0)

    def control(self, *words, **options):
        return self.host.run("ikectl", *words, **options)

    def sas(self):
        return self.control("show", "sa", check_status=False)

    def gone(self):
        return "ESTABLISHED" not in self.sas()

    def delete(self):
        self.control("reset", "id", "FQDN/a.example.org")


def files_of(certs, me="b"):
    """The directory of certificates that iked reads."""
    read = lambda name: (certs.dir / name).read_bytes()
    return {"private/local.key": read(f"{me}.key"), f"certs/{me}.crt": read(f"{me}.pem"), "ca/ca.crt": read("ca.pem")}
