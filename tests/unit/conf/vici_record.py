#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs strongSwan's swanctl against a daemon that only takes notes.

    vici_record.py DIRECTORY

Starts `swanctl --load-all` with DIRECTORY as its configuration directory and prints what it sends, in the form in which
test_load prints what options_load() produces: a line a setting, "command path = value" with the value in hexadecimal
where it is not plain text. Ends with 77 (skipped) when there is no swanctl.
"""
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

CMD_REQUEST, CMD_RESPONSE = 0, 1
SECTION_START, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END = range(1, 7)
QUESTIONS = {"get-keys", "get-shared", "get-conns", "get-pools", "get-authorities"}


def take(data, at, width):
    size = int.from_bytes(data[at:at + width], "big")
    at += width
    return data[at:at + size], at + size


def lines(data):
    """The message as "path = value" lines."""
    at, path, listed, out = 0, [], None, []
    while at < len(data):
        kind = data[at]
        at += 1
        if kind == SECTION_START:
            name, at = take(data, at, 1)
            path.append(name.decode())
            out.append(".".join(path) + " {}")
        elif kind == SECTION_END:
            path.pop()
        elif kind == LIST_START:
            name, at = take(data, at, 1)
            listed = ".".join(path + [name.decode()])
            out.append(listed + " []")
        elif kind == LIST_END:
            listed = None
        elif kind == LIST_ITEM:
            value, at = take(data, at, 2)
            out.append(f"{listed} += {shown(value)}")
        elif kind == KEY_VALUE:
            name, at = take(data, at, 1)
            value, at = take(data, at, 2)
            out.append(f"{'.'.join(path + [name.decode()])} = {shown(value)}")
        else:
            raise SystemExit(f"element {kind} is not known")
    return out


def shown(value):
    if all(0x20 <= byte < 0x7f for byte in value):
        return value.decode()
    return f"sha256:{hashlib.sha256(value).hexdigest()} ({len(value)} bytes)"


def encode(values):
    out = b""
    for name, value in values.items():
        out += bytes([KEY_VALUE, len(name)]) + name.encode()
        out += struct.pack(">H", len(value)) + value.encode()
    return out


def receive(peer, size):
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            return None
        data += more
    return data


def serve(listener, notes):
    peer, _ = listener.accept()
    while True:
        head = receive(peer, 4)
        if head is None:
            return
        packet = receive(peer, int.from_bytes(head, "big"))
        if packet[0] != CMD_REQUEST:
            raise SystemExit(f"packet {packet[0]} was not expected")
        command, at = take(packet, 1, 1)
        command = command.decode()
        notes.append((command, lines(packet[at:])))
        answer = {} if command in QUESTIONS else {"success": "yes", "id": f"{len(notes):040x}"}
        answer = bytes([CMD_RESPONSE]) + encode(answer)
        peer.sendall(struct.pack(">I", len(answer)) + answer)


def main():
    swanctl = shutil.which("swanctl") or shutil.which("swanctl", path="/usr/sbin:/usr/local/sbin")
    if not swanctl:
        print("skipped: no swanctl here to compare with")
        return 77
    directory = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as listener:
        address = os.path.join(place, "vici")
        listener.bind(address)
        listener.listen(1)
        notes = []
        thread = threading.Thread(target=serve, args=(listener, notes), daemon=True)
        thread.start()
        run = subprocess.run(
            [swanctl, "--load-all", "--noprompt", "--uri", "unix://" + address,
             "--file", os.path.join(directory, "swanctl.conf")],
            env=dict(os.environ, SWANCTL_DIR=directory), timeout=60, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        thread.join(5)
    if "--verbose" in sys.argv or run.returncode:
        print(run.stdout, file=sys.stderr)
    for command, message in notes:
        if command in QUESTIONS:
            continue
        print(command)
        for line in message:
            print("  " + line)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
