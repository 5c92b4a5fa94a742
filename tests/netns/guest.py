# SPDX-License-Identifier: Apache-2.0
"""A host with a Linux kernel of its own, for peers that need IPsec in the kernel: User Mode Linux, which runs as an ordinary program.

The guest sees the files of a directory (the machine's own root, or the root of another Debian release) below an overlay in memory, and the
lab's directory at its own path, for both to write. Its network cards are ends of veth pairs. Commands go in and statuses come out by a
serial line of which the other end is ours; what they say is a file in the lab's directory.

The kernel is CYGNET_GUEST_KERNEL, or that of Debian's package user-mode-linux."""
import itertools
import os
import pathlib
import select
import shlex
import shutil
import socket
import subprocess
import time

from lab import COMMAND_SECONDS, Failure, Host, Skip, run

MODULES = pathlib.Path("/usr/lib/uml/modules")
WANTED = ("xfrm_user af_key esp4 esp6 ah4 ah6 ipcomp ipcomp6 xfrm4_tunnel xfrm6_tunnel authenc authencesn deflate zlib_deflate zlib_inflate gcm ccm cbc ctr chacha20poly1305 seqiv "
          "echainiv cmac xcbc ghash-generic drbg jitterentropy_rng sha1_generic sha256_generic sha512_generic hmac aes_generic tun nf_tables xt_policy nft_xfrm nft_compat")
CARDS = 2

# Runs on the machine's own root, which is read-only: what the guest may change lies in memory.
FIRST = """
PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH
mount -t proc proc /proc
if [ -n "$modules" ]; then
    mount -t tmpfs tmpfs /lib/modules && mkdir "/lib/modules/$(uname -r)"
    mount -t hostfs -o "$modules/$(uname -r)" none "/lib/modules/$(uname -r)"
    modprobe overlay; modprobe -a $wanted 2>/dev/null
fi
mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/r
mount -t overlay -o "lowerdir=$root,upperdir=/mnt/u,workdir=/mnt/w" overlay /mnt/r || echo "no overlay"
cd /mnt/r
mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts; mount -t tmpfs -o mode=755 run run; mount -t tmpfs -o mode=1777 tmp tmp; mount -t tmpfs shm dev/shm
ln -sfn /proc/self/fd dev/fd
mkdir -p run/lock run/netns ".$share"
mount -t hostfs -o "$share" none ".$share" || echo "no share"
echo guest > proc/sys/kernel/hostname
echo 10 > proc/sys/vm/dirty_writeback_centisecs; echo 10 > proc/sys/vm/dirty_expire_centisecs
exec chroot . /bin/sh "$control/second"
"""

# Reads numbers from the serial line; each is a script to run, whose status goes back.
SECOND = """
cd /
ip link set lo up
for family in ipv4 ipv6; do
    for which in all default; do
        echo 0 >/proc/sys/net/$family/conf/$which/rp_filter; echo 0 >/proc/sys/net/$family/conf/$which/accept_dad
    done
done 2>/dev/null
exec 9<>/dev/tty1
stty raw -echo <&9
echo up >&9
while read -r number <&9; do
    sh "$control/$number.sh" </dev/null >"$control/$number.out" 2>&1 9<&-
    echo "$number $?" >&9
done
"""


def kernel():
    """The kernel's file; a Skip that says how to get one otherwise."""
    chosen = os.environ.get("CYGNET_GUEST_KERNEL") or shutil.which("linux.uml")
    if not chosen or not os.access(chosen, os.X_OK):
        raise Skip("no kernel for guests: install user-mode-linux or name one in CYGNET_GUEST_KERNEL")
    return chosen


class Guest(Host):
    """Looks like a Host; `run` and `start` happen inside. The network namespace outside holds only the veth ends that its cards use."""

    def __init__(self, lab, name, root="/"):
        self.kernel = kernel()
        self.attached, self.numbers, self.unread = 0, itertools.count(), b""
        self.inside = False
        super().__init__(lab, name)
        self.control = lab.directory / f"{name}-guest"
        self.control.mkdir()
        self.boot(pathlib.Path(root).resolve())
        self.inside = True

    def boot(self, root):
        modules = str(MODULES) if self.kernel.endswith("linux.uml") else ""
        heads = "".join(f"{key}={shlex.quote(str(value))}\n" for key, value in (
            ("modules", modules), ("wanted", WANTED), ("root", root), ("share", self.lab.directory), ("control", self.control)))
        (self.control / "first").write_text(heads + FIRST)
        (self.control / "second").write_text(heads + SECOND)
        self.line, theirs = socket.socketpair()
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", self.kernel, "mem=256M", f"uml_dir={self.control}", "umid=uml", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
                 "con=null", "con0=null,fd:1", f"con1=fd:{theirs.fileno()}", "ssl=null", "noreboot", "panic=-1", "loglevel=4", "fb_tunnels=none",
                 *(f"vec{i}:transport=raw,ifname=card{i}" for i in range(CARDS)), "init=/bin/sh", "--", "-c",
                 f'"mount -t hostfs -o {self.control} none /mnt; . /mnt/first"']
        self.process = super().start(*words, log=self.control / "log", pass_fds=[theirs.fileno()], env={**os.environ, "TMPDIR": "/dev/shm"})
        theirs.close()
        self.expect("up", 30)

    def expect(self, what, seconds):
        """The rest of the next line from the guest that begins with `what`."""
        end = time.monotonic() + seconds
        while True:
            line, found, rest = self.unread.partition(b"\n")
            if found:
                self.unread = rest
                words = line.decode(errors="replace").split()
                if words and words[0] == what:
                    return words[1:]
                continue
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.line], [], [], left)[0]:
                raise Failure(f"the guest {self.name} does not answer within {seconds} s")
            data = self.line.recv(4096)
            if not data:
                raise Failure(f"the guest {self.name} has ended:\n{(self.control / 'log').read_text(errors='replace')[-2000:]}")
            self.unread += data

    def shell(self, script, timeout=COMMAND_SECONDS, check_status=True):
        """What a shell script says that runs inside."""
        number = str(next(self.numbers))
        (self.control / f"{number}.sh").write_text(f"PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root; export PATH LC_ALL HOME\n{script}\n")
        self.line.sendall(number.encode() + b"\n")
        status = int(self.expect(number, timeout)[0])
        out = (self.control / f"{number}.out").read_text(errors="replace")
        if check_status and status != 0:
            raise Failure(f"{self.name}: {script}: exit status {status}\n{out}")
        return out

    def run(self, *words, timeout=COMMAND_SECONDS, check_status=True, input=None):
        if not self.inside:
            return super().run(*words, timeout=timeout, check_status=check_status, input=input)
        return self.shell(" ".join(shlex.quote(str(word)) for word in words), timeout, check_status)

    def start(self, *words, log=None):
        """A process in the background inside; it ends with the guest. Gives its number."""
        command = " ".join(shlex.quote(str(word)) for word in words)
        return int(self.shell(f"setsid {command} >>{shlex.quote(str(log or '/dev/null'))} 2>&1 </dev/null & echo $!"))

    def alive(self, process):
        return not self.run("sh", "-c", f"kill -0 {process} 2>&1", check_status=False)

    def socket(self, kind, directory):
        return f"unix:///run/{kind}.vici"   # a socket in the shared directory would be one file with two kernels

    def take(self, device, addresses, mtu):
        """The end of a veth pair becomes a card of the guest's: outside it carries frames and nothing else."""
        card, inner = f"card{self.attached}", f"vec{self.attached}"
        self.attached += 1
        outside = lambda *words: run("ip", "netns", "exec", self.ns, *words)
        outside("ip", "link", "set", device, "name", card)
        outside("sysctl", "-qw", f"net.ipv6.conf.{card}.disable_ipv6=1", f"net.ipv4.conf.{card}.arp_ignore=8")
        outside("ip", "link", "set", card, "mtu", mtu, "up")
        self.run("ip", "link", "set", inner, "name", device)
        super().take(device, addresses, mtu)

    def close(self):
        self.line.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
