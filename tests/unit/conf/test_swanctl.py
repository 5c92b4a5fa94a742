#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what options_load() makes of a configuration with what strongSwan's swanctl sends for it.

    test_swanctl.py LOAD_DUMP EXAMPLES

For each file in EXAMPLES a configuration directory is made, with certificates and keys under the names the file uses. The
real `swanctl --load-all` is run on it against a daemon that only takes notes, then LOAD_DUMP, and the messages must be
the same but for what we do on purpose: PEM is sent as DER, and credentials are in alphabetical order.
Ends with 77 (skipped) when there is no swanctl.
"""
import base64
import difflib
import os
import re
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
    """Text as it is, everything else in hexadecimal, PEM as the DER in it."""
    if value.startswith(b"-----BEGIN"):
        value = base64.b64decode(b"".join(value.splitlines()[1:-1]))
    if all(0x20 <= byte < 0x7f for byte in value):
        return value.decode()
    return "0x" + value.hex()


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


def swanctl_messages(swanctl, directory):
    """What swanctl sends: a list of (command, lines)."""
    notes = []
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as listener:
        address = os.path.join(place, "vici")
        listener.bind(address)
        listener.listen(1)
        thread = threading.Thread(target=serve, args=(listener, notes), daemon=True)
        thread.start()
        run = subprocess.run(
            [swanctl, "--load-all", "--noprompt", "--uri", "unix://" + address,
             "--file", os.path.join(directory, "swanctl.conf")],
            env=dict(os.environ, SWANCTL_DIR=directory), timeout=60, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        thread.join(5)
    if run.returncode:
        raise SystemExit(f"swanctl ended with {run.returncode}:\n{run.stdout}")
    return [note for note in notes if note[0] not in QUESTIONS]


def our_messages(load_dump, directory):
    run = subprocess.run([load_dump, os.path.join(directory, "swanctl.conf"), directory], timeout=60,
                         stdout=subprocess.PIPE, text=True)
    if run.returncode:
        raise SystemExit(f"{load_dump} ended with {run.returncode}:\n{run.stdout}")
    messages = []
    for line in run.stdout.splitlines():
        if line.startswith("  "):
            messages[-1][1].append(line[2:])
        else:
            messages.append((line, []))
    return messages


def ordered(messages):
    """Credentials in the order of their contents: swanctl takes files as the directory lists them."""
    credentials = sorted(m for m in messages if m[0] in ("load-cert", "load-key"))
    return credentials + [m for m in messages if m[0] not in ("load-cert", "load-key")]


# Nobody looks into them here: each is a sequence with a number of its own.
def pem(label, number):
    der = bytes([0x30, 4, 2, 2]) + struct.pack(">H", number)
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode()}\n-----END {label}-----\n"


def directory_fill(directory, example):
    """The example as swanctl.conf, what it includes, and a file for each name that it uses."""
    shutil.copy(example, os.path.join(directory, "swanctl.conf"))
    included = os.path.splitext(example)[0] + ".d"
    if os.path.isdir(included):
        shutil.copytree(included, os.path.join(directory, os.path.basename(included)))
    labels = {"x509": "CERTIFICATE", "x509ca": "CERTIFICATE", "x509ocsp": "CERTIFICATE", "x509aa": "CERTIFICATE",
              "x509crl": "X509 CRL", "pubkey": "PUBLIC KEY", "private": "PRIVATE KEY", "rsa": "RSA PRIVATE KEY",
              "ecdsa": "EC PRIVATE KEY", "pkcs8": "PRIVATE KEY"}
    wanted = {(folder, "extra.pem") for folder in labels}
    for root, _, files in os.walk(directory):
        for name in files:
            with open(os.path.join(root, name), encoding="utf-8") as text:
                for key, names in re.findall(r"\b(certs|cacerts?)\s*=\s*([^}\n#]*)", text.read()):
                    folder = "x509" if key == "certs" else "x509ca"
                    wanted |= {(folder, one.strip(' "')) for one in names.split(",")}
    for number, (folder, name) in enumerate(sorted(wanted)):
        path = os.path.join(directory, folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(pem(labels[folder], 0x8000 + number))


def compare(swanctl, load_dump, example):
    with tempfile.TemporaryDirectory() as directory:
        directory_fill(directory, example)
        theirs, ours = ordered(swanctl_messages(swanctl, directory)), ordered(our_messages(load_dump, directory))
    if theirs == ours:
        print(f"{os.path.basename(example)}: {len(ours)} messages are the same")
        return True
    flat = [[line for command, lines_ in messages for line in [command] + ["  " + one for one in lines_]]
            for messages in (theirs, ours)]
    print("\n".join(difflib.unified_diff(*flat, "swanctl", "cygnet " + example, lineterm="", n=5)))
    return False


def main():
    swanctl = shutil.which("swanctl") or shutil.which("swanctl", path="/usr/sbin:/usr/local/sbin")
    if not swanctl:
        print("skipped: no swanctl here to compare with")
        return 77
    load_dump, examples = sys.argv[1:]
    files = sorted(name for name in os.listdir(examples) if name.endswith(".conf"))
    results = [compare(swanctl, load_dump, os.path.join(examples, name)) for name in files]
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
