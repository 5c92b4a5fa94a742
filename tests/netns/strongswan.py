# SPDX-License-Identifier: Apache-2.0
"""strongSwan as a peer: charon-systemd. On an ordinary host it has kernel-libipsec, which needs no ESP in the kernel and speaks tunnel mode in UDP
only; in a guest it uses the guest's kernel."""
import os

from guest import Guest
from lab import Daemon, Failure, wait_for

PLUGINS = ("random nonce aes sha1 sha2 sha3 hmac kdf pem pkcs1 pkcs8 x509 pubkey revocation constraints curve25519 gcm ccm ctr chapoly cmac xcbc mgf1 "
           "ml openssl kernel-libipsec kernel-netlink socket-default vici")

SETTINGS = """
charon-systemd {{
    load = {plugins}
    install_virtual_ip = yes
    retransmit_timeout = {retransmit}
    make_before_break = yes
    {extra}
    plugins {{
        vici {{
            socket = {vici}
        }}
    }}
    filelog {{
        f {{
            path = {log}
            default = 1
            ike = {log_level}
            cfg = {log_level}
            flush_line = yes
        }}
    }}
    journal {{
        default = -1
    }}
}}
"""


class Strongswan(Daemon):
    def __init__(self, host, config, files, extra="", retransmit="4.0", plugins=PLUGINS, log_level=2, preload=None):
        super().__init__(host, "strongswan", config, files)
        settings = self.directory / "strongswan.conf"
        if isinstance(host, Guest):
            plugins = plugins.replace("kernel-libipsec ", "")
        settings.write_text(SETTINGS.format(plugins=plugins, vici=self.vici, log=self.log_path, extra=extra, retransmit=retransmit,
                                            log_level=log_level))
        self.process = host.start("env", f"STRONGSWAN_CONF={settings}", *([f"LD_PRELOAD={preload}"] if preload else []), "charon-systemd", log=self.directory / "out")
        wait_for(f"{host.name}: charon", self.ready)
        self.load()

    def ready(self):
        if not self.host.alive(self.process):
            raise Failure(f"{self.host.name}: charon ended:\n{self.log()}")
        return "uptime" in self.swanctl("--stats", check_status=False)

    def load(self):
        return self.host.run("env", f"SWANCTL_DIR={self.etc}", "swanctl", "--load-all", "--noprompt", "--uri", self.vici,
                   "--file", self.etc / "swanctl.conf")

    def initiate(self, child="net4", **options):
        return self.swanctl("--initiate", "--child", child, "--timeout", "15", **options)

    def rekey(self, what):
        self.swanctl("--rekey", *{"child": ("--child", "net4"), "ike": ("--ike", "gw")}[what])

    def delete(self):
        self.swanctl("--terminate", "--ike", "gw")

    def gone(self):
        return "ESTABLISHED" not in self.swanctl("--list-sas")

    def stop(self, seconds=8):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=seconds)


def present():
    return os.path.exists("/usr/sbin/charon-systemd") and os.path.exists("/usr/sbin/swanctl")
