# SPDX-License-Identifier: Apache-2.0
"""Takes labs down when whoever made them is gone, however it ended.

A keeper is a process of its own, beside the one that makes labs: it is told of each lab's beginning and end by a pipe, and when that is closed it
removes what has not ended: processes in the lab's namespaces, the namespaces, the directory. What it knows is also in a file that it keeps locked;
the next keeper finds those that nobody locks, of runs that were killed together with their keepers."""
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

REGISTRY = pathlib.Path("/run/cygnet-labs")
PASSES, PASS_SECONDS = 50, 0.1


def _say(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def namespaces(lab):
    """Those of a lab's hosts."""
    lines = _say("ip", "netns", "list").splitlines()
    return [line.split()[0] for line in lines if line.startswith(f"{lab}-")]


def _end_processes(namespace):
    for pid in _say("ip", "netns", "pids", namespace).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass


def remove(lab, directory):
    """All of a lab; a command that was under way when its owner was killed may still make something."""
    for number in range(PASSES):
        found = namespaces(lab)
        if not found and number:
            break
        for namespace in found:
            _end_processes(namespace)
            _say("ip", "netns", "del", namespace)
        time.sleep(PASS_SECONDS if number else 0)
    shutil.rmtree(directory, ignore_errors=True)


class Keeper:
    """The side of whoever makes labs."""

    def __init__(self):
        self.lock, self.process = threading.Lock(), None

    def tell(self, *words):
        """Goes on when it is written down."""
        with self.lock:
            if self.process is None:
                self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                                start_new_session=True)
            self.process.stdin.write("\t".join(map(str, words)) + "\n")
            self.process.stdin.flush()
            self.process.stdout.readline()

    def begin(self, lab, directory):
        self.tell("begin", lab, directory)

    def end(self, lab):
        self.tell("end", lab)


KEEPER = Keeper()


def end_on_signals():
    """A run that is told to stop stops at once; its keeper does the rest."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: os._exit(128 + number))


# --- the process

def _remove_stale():
    for path in REGISTRY.iterdir():
        try:
            file = path.open()
        except FileNotFoundError:   # another keeper was quicker
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            for lab, directory in (line.rstrip("\n").split("\t") for line in file):
                print(f"removing what a run that was killed has left: {lab}", file=sys.stderr)
                remove(lab, directory)
            path.unlink(missing_ok=True)


def _write(file, labs):
    file.seek(0)
    file.truncate()
    file.writelines(f"{lab}\t{directory}\n" for lab, directory in labs.items())
    file.flush()


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    REGISTRY.mkdir(mode=0o700, exist_ok=True)
    path, labs = REGISTRY / str(os.getpid()), {}
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _remove_stale()
        for line in sys.stdin:
            verb, lab, *rest = line.rstrip("\n").split("\t")
            if verb == "begin":
                labs[lab] = rest[0]
            else:
                labs.pop(lab, None)
            _write(file, labs)
            print("noted", flush=True)
        for lab, directory in labs.items():
            remove(lab, directory)
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
