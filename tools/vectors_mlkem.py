#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Condenses the ML-KEM tests of C2SP Wycheproof and ML-KEM values of recordings into tests/vectors/crypto/mlkem.txt.

usage: vectors_mlkem.py VECTORS > tests/vectors/crypto/mlkem.txt

VECTORS: see vectors_crypto.py. Long outputs stand as their SHA-256. Of the many tests of one kind (the same comment but for a
number) only some are taken, and none about sizes of expanded keys: our private key is the seed.
"""
import collections
import gzip
import hashlib
import json
import pathlib
import re
import sys

KE = {"ML-KEM-512": "ML_KEM_512", "ML-KEM-768": "ML_KEM_768", "ML-KEM-1024": "ML_KEM_1024"}
METHODS = {35: "ML_KEM_512", 36: "ML_KEM_768", 37: "ML_KEM_1024"}
MOST = {"invalid": 4, "valid": 10}
MOST_UNREDUCED = 20


def load(path):
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def sha256(text):
    return hashlib.sha256(bytes.fromhex(text)).hexdigest()


def line(word, **fields):
    print(" ".join([word] + [f"{name}={value}" for name, value in fields.items()]))


def tests_of(path):
    """The tests that are taken, with their group and the name to find them again by."""
    seen = collections.Counter()
    name = path.name.split(".")[0]
    for group in load(path)["testGroups"]:
        for test in group["tests"]:
            kind = re.sub(r"\d+$", "", test.get("comment", "")), test["result"], group["source"]["name"]
            seen[kind] += 1
            most = MOST_UNREDUCED if "not reduced" in kind[0] or not kind[0] else MOST[test["result"]]
            if seen[kind] <= most:
                yield f"{name}/{test['tcId']}", KE[group["parameterSet"]], group["type"], test


def wycheproof(folder):
    for path in sorted(folder.glob("mlkem_*")):
        for name, ke, kind, test in tests_of(path):
            comment = test.get("comment", "")
            if kind == "MLKEMKeyGen":
                line("keygen", id=name, ke=ke, seed=test["seed"], ek_sha256=sha256(test["ek"]), dk_sha256=sha256(test["dk"]))
            elif kind == "MLKEMEncapsTest":
                line("encaps", id=name, ke=ke, ek=test["ek"] or "-", m=test["m"], ct_sha256=sha256(test["c"]),
                     shared=test["K"] or "-", result=test["result"])
            elif kind == "MLKEMTest" and "Private key" not in comment:
                line("decaps", id=name, ke=ke, seed=test["seed"], ek_sha256=sha256(test.get("ek", "")), ct=test["c"] or "-",
                     shared=test["K"] or "-", result=test["result"])
            elif kind == "MLKEMDecapsValidationTest" and test["result"] == "valid":
                line("expanded", id=name, ke=ke, dk=test["dk"], ct=test["c"], shared=test["K"])


def recorded(folder):
    for run in sorted(folder.glob("mlkem*")):
        offers = {}
        for message in json.loads((run / "messages.json").read_text()):
            for kind, body in (message.get("payloads") or []) + (message.get("inner_payloads") or []):
                method = int(body[:4], 16) if kind == 34 else 0
                if method not in METHODS:
                    continue
                key = message["exchange"], message["mid"], method
                if key in offers:
                    line("recorded", id=f"{run.name}/{key[0]}/{key[1]}", ke=METHODS[method], ek=offers.pop(key), ct=body[8:])
                else:
                    offers[key] = body[8:]


print("# SPDX-License-Identifier: Apache-2.0")
wycheproof(pathlib.Path(sys.argv[1]) / "wycheproof")
recorded(pathlib.Path(sys.argv[1]) / "exchanges")
