#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Condenses recorded IKEv2 exchanges into tests/vectors/exchanges/ikev2.txt.

usage: vectors_exchanges.py RECORDINGS > tests/vectors/exchanges/ikev2.txt
       vectors_exchanges.py RECORDINGS --keys > tests/vectors/exchanges/keys.txt
       vectors_exchanges.py RECORDINGS --corpus tests/fuzz/corpus/message

RECORDINGS is a folder with one folder a run, in it messages.json: a list of packets with the UDP payload ("raw", hex), the
clear payloads ("payloads", pairs of type and body) and, where the packet was decrypted, the type of the first inner payload
("inner_first"), the plaintext chain ("inner"; of fragments "reassembled", at the last one) and its parts ("inner_payloads").
Runs whose name begins with ikev1- and packets that are not IKE are left out. The output's lines are described in the README
beside it. Every chain is put together again from its parts, and must be what was recorded.

With --keys, the secrets of each run are written: keys.json has its key sets ("ike"), the traces what AUTH payloads were made
with, which the daemons call "secret", and pki/*.crt whose signatures there are.

With --corpus, inputs for tests/fuzz/fuzz_message.c are written instead: of all messages and inner chains, the smallest first,
those that have something in them (a type of payload, of notification, an algorithm, ...) that no smaller one has.
"""
import hashlib
import json
import pathlib
import re
import struct
import sys
from cryptography import x509
from cryptography.hazmat.primitives import serialization

MARKER = bytes(4)  # in front of IKE on port 4500


def message_of(packet):
    raw = bytes.fromhex(packet["raw"])
    on_4500 = any(packet[end].endswith(":4500") for end in ("src", "dst"))
    return raw[4:] if on_4500 and raw.startswith(MARKER) else raw


def parts_text(parts):
    return " ".join(f"{kind}/{len(body) // 2}" for kind, body in parts) or "-"


def chain_of(parts):
    """The bytes of a chain whose generic headers have no reserved bit set."""
    following = [kind for kind, _ in parts[1:]] + [0]
    bodies = [bytes.fromhex(body) for _, body in parts]
    return b"".join(struct.pack(">BBH", kind, 0, 4 + len(body)) + body for kind, body in zip(following, bodies))


def packet_lines(packet):
    yield "message " + message_of(packet).hex()
    yield "clear " + parts_text(packet["payloads"])
    if "inner_payloads" not in packet:
        return
    parts = packet["inner_payloads"]
    chain = bytes.fromhex(packet.get("reassembled", packet["inner"]))
    first = parts[0][0] if parts else 0
    if first != packet.get("inner_first", first) or chain_of(parts) != chain:
        raise ValueError("a chain is not made of its parts")
    yield f"inner {first} {chain.hex() or '-'}"
    yield "parts " + parts_text(parts)


def features_of(parts):
    """What is worth having in a corpus: sizes are rounded, contents count by their leading bytes."""
    for kind, body in parts:
        data = bytes.fromhex(body)
        yield kind, len(data).bit_length()
        if kind == 33:  # SA: each transform's head is found at a multiple of 4
            yield from ((kind, data[i : i + 8]) for i in range(8, len(data) - 7, 4) if data[i] in (0, 3) and data[i + 1] == 0)
        elif kind == 41:  # N: protocol, SPI size, type
            yield kind, data[:4]
        elif kind in (34, 35, 36, 37, 38, 39, 42, 44, 45, 47):
            yield kind, data[:1]


def corpus_inputs(packets):
    """Pairs of input and features: 0 and a message, or the first type and a chain."""
    for packet in packets:
        parts = packet["payloads"]
        yield bytes([0]) + message_of(packet), {("message", packet["exchange"]), *features_of(parts)}
        parts = packet.get("inner_payloads")
        if parts:
            yield bytes([parts[0][0]]) + chain_of(parts), {("chain", parts[0][0]), *features_of(parts)}


def corpus_write(packets, folder):
    seen = set()
    folder.mkdir(parents=True, exist_ok=True)
    for data, features in sorted(corpus_inputs(packets), key=lambda pair: (len(pair[0]), pair[0])):
        if features <= seen:
            continue
        seen |= features
        name = ("message" if data[0] == 0 else "chain") + "-" + hashlib.sha256(data).hexdigest()[:12]
        (folder / name).write_bytes(data)


def algorithms_of(text):
    """ "AES_GCM_8_128/PRF_HMAC_SHA1/..." as names that are IANA's."""
    parts = text.split("/")
    encr, bits = re.fullmatch(r"(.*?)(?:_(128|192|256))?", parts[0]).groups()
    integ = "NONE" if parts[1].startswith("PRF_") else parts[1]
    prf = next(part for part in parts if part.startswith("PRF_"))
    return {"encr": "3DES" if encr == "3DES_CBC" else encr, "bits": bits or 0, "integ": integ, "prf": prf.removeprefix("PRF_")}


def secrets_of(run):
    """What AUTH payloads were made with: pre-shared keys, or master keys of EAP methods."""
    traces = "".join(trace.read_text(errors="replace") for trace in sorted(run.glob("trace-*.txt")))
    return sorted(set(re.findall(r"IKE secret \[\d+\] = ([0-9a-f]+)", traces)))


def public_keys_of(run):
    for path in sorted(run.glob("pki/*.crt")):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            yield certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_lines(run):
    for sa in json.loads((run / "keys.json").read_text())["ike"]:
        fields = {"run": run.name, **algorithms_of(sa["alg"]), "ke": sa["ke"], "nonces": sa["nonces"]}
        fields |= {"sk_" + name: value for name, value in sa["sk"].items() if value}
        fields |= {"ppk_" + name: value for name, value in sa.get("sk_ppk", {}).items() if name in ("pi", "pr")}
        yield "keys " + " ".join(f"{name}={value}" for name, value in fields.items())
    for secret in secrets_of(run):
        yield f"secret run={run.name} value={secret}"
    for spki in public_keys_of(run):
        yield f"signer run={run.name} spki={spki.hex()}"


def keys_write(source):
    print("# SPDX-License-Identifier: Apache-2.0")
    for path in sorted(source.glob("*/keys.json")):
        if not path.parent.name.startswith("ikev1-"):
            print("\n".join(key_lines(path.parent)) or "# none: " + path.parent.name)


def main():
    if sys.argv[2:3] == ["--keys"] and len(sys.argv) == 3:
        keys_write(pathlib.Path(sys.argv[1]))
        return
    if len(sys.argv) not in (2, 4) or (len(sys.argv) == 4 and sys.argv[2] != "--corpus"):
        sys.exit(__doc__)
    runs = {}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*/messages.json")):
        if not path.parent.name.startswith("ikev1-"):
            runs[path.parent.name] = [packet for packet in json.loads(path.read_text()) if packet["kind"] == "ike"]
    if len(sys.argv) == 4:
        corpus_write([packet for packets in runs.values() for packet in packets], pathlib.Path(sys.argv[3]))
        return
    print("# SPDX-License-Identifier: Apache-2.0")
    for name, packets in runs.items():
        print("run " + name)
        for packet in packets:
            print("\n".join(packet_lines(packet)))


if __name__ == "__main__":
    main()
