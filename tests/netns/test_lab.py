# SPDX-License-Identifier: Apache-2.0
"""What makes the other cases possible: a lab that is killed leaves nothing behind."""
import os
import pathlib
import signal
import subprocess
import sys

import keeper
from cases import case
from lab import check, wait_for

HERE = pathlib.Path(__file__).resolve().parent

MADE = f"""
import sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, {str(HERE)!r})
from keeper import KEEPER, end_on_signals
from lab import Lab
end_on_signals()
lab = Lab(".", sys.argv[1])
lab.host("a").start("sleep", 300)
print(lab.directory, KEEPER.process.pid, flush=True)
time.sleep(300)
"""


def made(lab, name):
    """A process that has a lab of its own: itself, the lab's name and directory, its keeper's number."""
    process = subprocess.Popen([sys.executable, "-c", MADE, f"{lab.name}{name}"], stdout=subprocess.PIPE, text=True)
    directory, pid = process.stdout.readline().split()
    check(keeper.namespaces(f"{lab.name}{name}"), "the lab is not there")
    return process, f"{lab.name}{name}", pathlib.Path(directory), int(pid)


def ended(process, name, directory):
    wait_for(f"the end of {name}", lambda: not keeper.namespaces(name) and not directory.exists())
    process.wait(timeout=5)
    process.stdout.close()


@case
def a_lab_whose_owner_is_killed_is_removed(lab):
    for number, how in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)):
        process, name, directory, _ = made(lab, f"x{number}")
        process.send_signal(how)
        ended(process, name, directory)


@case
def a_lab_whose_keeper_is_killed_too_is_removed_by_the_next(lab):
    process, name, directory, pid = made(lab, "y")
    os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait(timeout=5)
    check(keeper.namespaces(name), "who has removed it?")
    following, *rest = made(lab, "z")
    ended(process, name, directory)
    following.kill()
    ended(following, *rest[:2])
