# SPDX-License-Identifier: Apache-2.0
"""A host whose first process is systemd, so that cygnetd is what an operator starts: the unit as it is installed, its user, its directories, the journal.

The machine's files are seen through layers that are thrown away: programs and configuration lie where `make install` puts them. systemd knows only the
units that it is given here, so nothing of the machine's own is started."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

from lab import Failure, Host, Skip, run, wait_for

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SYSTEMD = pathlib.Path("/lib/systemd/systemd")
UNITS = pathlib.Path("/lib/systemd/system")
JOURNAL = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
CGROUPS = pathlib.Path("/sys/fs/cgroup")

# $1: directory of the lab; $2: the group that systemd is to have for itself; $3: version of control groups; $4: network namespace.
BOOT = r"""set -eu
echo $$ > "$2/cgroup.procs"
exec ip netns exec "$4" unshare --mount --pid --fork --uts --ipc --cgroup --kill-child sh -eu -c '
mount --make-rprivate /
for place in etc usr/sbin usr/bin var; do
    mkdir -p "$1/layers/$place" "$1/scratch/$place"
    mount -t overlay overlay -o "lowerdir=/$place,upperdir=$1/layers/$place,workdir=$1/scratch/$place" "/$place"
done
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /sys/fs/cgroup
if [ "$2" = 2 ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/devices
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    mount -t cgroup -o devices cgroup /sys/fs/cgroup/devices
fi
echo ready > "$1/mounted"
exec env -i container=cygnet-test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH="$1/units" \
    /lib/systemd/systemd --system --show-status=0 --log-target=console --unit=test.target' sh "$1" "$3"
"""


class ServiceHost(Host):
    def __init__(self, lab, name):
        if not SYSTEMD.exists():
            raise Skip("no systemd is installed here")
        super().__init__(lab, name)
        self.place = lab.directory / f"{name}-systemd"
        self.process = self.init = None
        # Layers need a file system that may carry them; that of the lab's directory may be a layer itself.
        self.place.mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", self.place)
        version = 2 if (CGROUPS / "cgroup.controllers").exists() else 1
        self.group = (CGROUPS if version == 2 else CGROUPS / "systemd") / lab.name
        self.install()
        try:
            self.group.mkdir()
        except OSError as error:
            raise Skip(f"no control group can be made for systemd: {error}") from None
        self.boot(version)

    def install(self):
        units = self.place / "units"
        units.mkdir()
        for unit in ("sysinit.target", "basic.target", "shutdown.target", "network-online.target", "test.target"):
            (units / unit).write_text(f"[Unit]\nDescription={unit}\nDefaultDependencies=no\n")
        (units / "test.target").write_text("[Unit]\nDefaultDependencies=no\nRequires=systemd-journald.socket systemd-journald.service\n")
        for unit in JOURNAL:
            shutil.copy(UNITS / unit, units)
        unit = (SOURCE / "packaging/cygnetd.service.in").read_text()
        (units / "cygnetd.service").write_text(unit.replace("@sbindir@", "/usr/sbin"))
        unit = (SOURCE / "packaging/cygnet-hooks.service.in").read_text()
        (units / "cygnet-hooks.service").write_text(unit.replace("@bindir@", "/usr/bin"))
        for place, program in (("usr/sbin", "src/daemon/cygnetd"), ("usr/bin", "src/cli/cygnet")):
            (self.place / "layers" / place).mkdir(parents=True)
            shutil.copy(self.lab.build / program, self.place / "layers" / place)
        etc = self.place / "layers/etc"
        etc.mkdir(parents=True)
        for name in ("x509", "private"):
            (etc / "swanctl" / name).mkdir(parents=True)

    def boot(self, version):
        log = self.place / "console"
        with open(log, "wb") as out:
            self.process = subprocess.Popen(["sh", "-c", BOOT, "sh", self.place, self.group, str(version), self.ns], stdout=out, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        self.lab.processes.append(self.process)
        try:
            wait_for("systemd", self.is_up, 20)
            if not self.init:
                raise Failure("systemd ended")
        except Failure:
            # What the machine refuses to give is no fault of the unit; a systemd that runs and does not come up is one.
            if not (self.place / "mounted").exists():
                raise Skip(f"no container for systemd can be made here: {log.read_text()[-300:]}") from None
            raise Failure(f"systemd: {log.read_text()[-2000:]}") from None

    def is_up(self):
        """The shell becomes `ip`, and that unshare, whose child is systemd."""
        ended = self.process.poll() is not None
        pids = [] if ended else run("pgrep", "-P", self.process.pid, check_status=False).split()
        self.init = int(pids[0]) if pids else None
        if ended or not (self.place / "mounted").exists():
            return ended
        return "running" in self.inside("systemctl", "is-system-running", check_status=False)

    def inside(self, *words, **options):
        return run("nsenter", "-t", self.init, "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w", *words, **options)

    def configure(self, text):
        self.inside("sh", "-c", "cat > /etc/swanctl/swanctl.conf", input=text)

    def journal(self):
        return self.inside("journalctl", "-u", "cygnetd", "--no-pager", "-o", "short")

    def close(self):
        if self.process and self.process.poll() is None:
            if self.init:
                os.kill(self.init, signal.SIGKILL)   # and all that is below it
            self.process.wait(timeout=10)
        time.sleep(0.1)
        for path, _, _ in os.walk(self.group, topdown=False):
            os.rmdir(path)
        run("umount", "-l", self.place, check_status=False)
