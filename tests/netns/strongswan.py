# SPDX-License-Identifier: Apache-2.0
"""Debian's strongSwan as a peer: charon-systemd with kernel-libipsec, so that it needs no ESP in the kernel. It speaks tunnel mode in UDP only."""
import os

from lab import Daemon, Failure, run, wait_for

PLUGINS = ("random nonce aes sha1 sha2 hmac kdf pem pkcs1 pkcs8 x509 pubkey revocation constraints curve25519 gcm ccm ctr chapoly cmac xcbc mgf1 "
           "openssl kernel-libipsec kernel-netlink socket-default vici")

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
            ike = 2
            cfg = 2
            flush_line = yes
        }}
    }}
    journal {{
        default = -1
    }}
}}
"""


class Strongswan(Daemon):
    def __init__(self, host, config, files, extra="", retransmit="4.0", plugins=PLUGINS):
        super().__init__(host, "strongswan", config, files)
        settings = self.directory / "strongswan.conf"
        settings.write_text(SETTINGS.format(plugins=plugins, vici=self.vici, log=self.log_path, extra=extra, retransmit=retransmit))
        self.process = host.start("env", f"STRONGSWAN_CONF={settings}", "charon-systemd", log=self.directory / "out")
        wait_for(f"{host.name}: charon", lambda: (self.run_dir / "vici").exists() and self.ready())
        self.load()

    def ready(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.host.name}: charon ended:\n{self.log()}")
        return "strongSwan" in self.swanctl("--version", "--daemon", check_status=False) or \
            "charon" in self.swanctl("--stats", check_status=False) or "uptime" in self.swanctl("--stats", check_status=False)

    def load(self):
        return run("env", f"SWANCTL_DIR={self.etc}", "swanctl", "--load-all", "--noprompt", "--uri", self.vici,
                   "--file", self.etc / "swanctl.conf")

    def stop(self, seconds=8):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=seconds)


def present():
    return os.path.exists("/usr/sbin/charon-systemd") and os.path.exists("/usr/sbin/swanctl")
