#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Condenses published test vectors and recorded key schedules into tests/vectors/crypto/*.txt.

usage: vectors_crypto.py VECTORS tests/vectors/crypto

VECTORS is a folder with the JSON files of the sources that tests/vectors/crypto/README.md names, in folders wycheproof (C2SP
Wycheproof, plain or .gz), intel (intel-ipsec-mb in the same shape), rfc (vectors out of RFCs) and exchanges (our recordings: keys.json,
messages.json and trace-*.txt of each run). A line of the output is a word and fields name=value; values are hexadecimal or words.
Only tests with sizes that IPsec has are taken: nonces of 96 bits (CCM 88), groups and hashes that are negotiated. All results,
valid, acceptable and invalid, are kept as they are. From recordings only what this program can compute or verify again goes in.
"""
import gzip
import hashlib
import hmac
import json
import pathlib
import re
import sys
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

HASHES = {"SHA-1": "SHA1", "SHA-256": "SHA2_256", "SHA-384": "SHA2_384", "SHA-512": "SHA2_512"}


def load(path):
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def find(folder, name):
    return load(next(p for p in (folder / f"{name}.json", folder / f"{name}.json.gz") if p.exists()))


def line(word, **fields):
    return " ".join([word] + [f"{name}={value}" for name, value in fields.items()])


def tests_of(data):
    for group in data["testGroups"]:
        for test in group["tests"]:
            yield group, test


def macs(source):
    for folder, name, algorithm in (
            ("wycheproof", "hmac_sha1_test", "HMAC_SHA1"), ("wycheproof", "hmac_sha256_test", "HMAC_SHA2_256"),
            ("wycheproof", "hmac_sha384_test", "HMAC_SHA2_384"), ("wycheproof", "hmac_sha512_test", "HMAC_SHA2_512"),
            ("wycheproof", "aes_cmac_test", "AES128_CMAC"), ("intel", "hmac_md5_test", "HMAC_MD5"),
            ("intel", "hmac_sha1_test", "HMAC_SHA1"), ("intel", "hmac_sha256_test", "HMAC_SHA2_256"),
            ("intel", "hmac_sha384_test", "HMAC_SHA2_384"), ("intel", "hmac_sha512_test", "HMAC_SHA2_512"),
            ("intel", "cmac_128_test", "AES128_CMAC"), ("intel", "xcbc_test", "AES128_XCBC")):
        for group, test in tests_of(find(source / folder, name)):
            if "CMAC" in algorithm and len(test["key"]) != 32:
                continue  # a PRF with such a key is another function
            yield line("mac", id=f"{folder}/{name}/{test['tcId']}", prf=algorithm, key=test["key"], msg=test["msg"], tag=test["tag"],
                       result=test["result"])
    names = {"MD5": "HMAC_MD5", "SHA1": "HMAC_SHA1", "SHA256": "HMAC_SHA2_256", "SHA384": "HMAC_SHA2_384", "SHA512": "HMAC_SHA2_512"}
    for name in ("rfc2202_hmac_md5_sha1", "rfc4231_hmac_sha2"):
        for test in find(source / "rfc", name)["tests"]:
            if test["hash"] in names:
                yield line("mac", id=f"{name}/{test['tc']}", prf=names[test["hash"]], key=test["key"], msg=test["data"],
                           tag=test["digest"], result="valid")
    for name, algorithm, tag in (("rfc3566_aes_xcbc", "AES128_XCBC", "mac"), ("rfc4493_aes_cmac", "AES128_CMAC", "mac"),
                                 ("rfc4434_prf_aes_xcbc", "AES128_XCBC", "prf"), ("rfc4615_prf_aes_cmac", "AES128_CMAC", "prf")):
        for number, test in enumerate(find(source / "rfc", name)["tests"]):
            yield line("mac", id=f"{name}/{number}", prf=algorithm, key=test["key"], msg=test["msg"], tag=test[tag], result="valid")


def ciphers(source):
    for folder, name, algorithm, iv_size in (
            ("wycheproof", "aes_gcm_test", "AES_GCM", 24), ("wycheproof", "aes_ccm_test", "AES_CCM", 22),
            ("wycheproof", "chacha20_poly1305_test", "CHACHA20_POLY1305", 24), ("intel", "gcm_test", "AES_GCM", 24),
            ("intel", "ccm_128_test", "AES_CCM", 22), ("intel", "ccm_256_test", "AES_CCM", 22),
            ("intel", "chacha20_poly1305_test", "CHACHA20_POLY1305", 24)):
        for group, test in tests_of(find(source / folder, name)):
            icv = len(test["tag"]) // 2
            if len(test["iv"]) != iv_size or icv not in (8, 12, 16) or not test["msg"]:
                continue  # not a nonce or a tag of IPsec, or nothing to protect
            which = algorithm if algorithm.startswith("CHACHA") else f"{algorithm}_{icv}"
            yield line("aead", id=f"{folder}/{name}/{test['tcId']}", encr=which, key=test["key"], nonce=test["iv"], aad=test["aad"],
                       msg=test["msg"], ct=test["ct"], tag=test["tag"], result=test["result"])
    for name, algorithm in (("cbc_test", "AES_CBC"), ("des3_test", "3DES"), ("ctr_test", "AES_CTR")):
        for group, test in tests_of(find(source / "intel", name)):
            if algorithm == "AES_CTR" and len(test["iv"]) != 24:
                continue
            yield line("cipher", id=f"intel/{name}/{test['tcId']}", encr=algorithm, key=test["key"], iv=test["iv"], msg=test["msg"],
                       ct=test["ct"])
    for test in find(source / "rfc", "rfc3602_aes_cbc")["tests"]:
        yield line("cipher", id=f"rfc3602/{test['case']}", encr="AES_CBC", key=test["key"], iv=test["iv"], msg=test["pt"], ct=test["ct"])
    for test in find(source / "rfc", "rfc3686_aes_ctr")["tests"]:
        yield line("cipher", id=f"rfc3686/{test['tc']}", encr="AES_CTR", key=test["key"], iv=test["nonce"] + test["iv"], msg=test["pt"],
                   ct=test["ct"])
    for group, test in tests_of(find(source / "wycheproof", "aes_cbc_pkcs5_test")):
        if test["result"] != "valid":
            continue  # those are about the padding, which IPsec makes in another way
        pad = 16 - len(test["msg"]) // 2 % 16
        yield line("cipher", id=f"wycheproof/aes_cbc_pkcs5_test/{test['tcId']}", encr="AES_CBC", key=test["key"], iv=test["iv"],
                   msg=test["msg"] + bytes([pad] * pad).hex(), ct=test["ct"])


def point_of(public, size):
    """The uncompressed point at the end of what the test gives, or what there is of it."""
    raw = bytes.fromhex(public)
    point = raw[-(2 * size + 1):]
    return point[1:].hex() if len(point) == 2 * size + 1 and point[0] == 4 else None


def exchanges_of_keys(source):
    for name, group_name, size in (
            ("ecdh_secp256r1_ecpoint_test", "ECP_256", 32), ("ecdh_secp384r1_ecpoint_test", "ECP_384", 48),
            ("ecdh_secp521r1_ecpoint_test", "ECP_521", 66), ("ecdh_brainpoolP256r1_test", "ECP_256_BP", 32),
            ("ecdh_brainpoolP512r1_test", "ECP_512_BP", 64)):
        for group, test in tests_of(find(source / "wycheproof", name)):
            point = point_of(test["public"], size)
            encoded = group["encoding"] == "asn"
            if not point or (encoded and test["result"] != "valid"):
                continue  # about encodings that IKE has not: compressed points, curves by their parameters
            private = test["private"][-2 * size:].rjust(2 * size, "0")
            yield line("ke", id=f"{name}/{test['tcId']}", ke=group_name, private=private, peer=point, shared=test["shared"] or "-",
                       result=test["result"], zero=0)
    for name, group_name in (("x25519_test", "CURVE_25519"), ("x448_test", "CURVE_448")):
        for group, test in tests_of(find(source / "wycheproof", name)):
            zero = int("ZeroSharedSecret" in test["flags"] or set(test["shared"]) == {"0"})
            yield line("ke", id=f"{name}/{test['tcId']}", ke=group_name, private=test["private"], peer=test["public"] or "-",
                       shared=test["shared"], result=test["result"], zero=zero)
    for test in find(source / "rfc", "rfc5903_ecp_groups")["tests"]:
        name = {19: "ECP_256", 20: "ECP_384", 21: "ECP_521"}[test["group"]]
        for private, mine, x, y in (("i", "gi", "grx", "gry"), ("r", "gr", "gix", "giy")):
            yield line("ke", id=f"rfc5903/{test['group']}/{private}", ke=name, private=test[private], peer=test[x] + test[y],
                       shared=test["girx"], result="valid", zero=0, public=test[mine + "x"] + test[mine + "y"])
    for test in find(source / "rfc", "rfc6932_brainpool")["tests"]:
        name = {27: "ECP_224_BP", 28: "ECP_256_BP", 29: "ECP_384_BP", 30: "ECP_512_BP"}[test["group"]]
        for a, b in ("AB", "BA"):
            yield line("ke", id=f"rfc6932/{test['group']}/{a}", ke=name, private=test["d" + a], peer=test["x_q" + b] + test["y_q" + b],
                       shared=test["x_Z"], result="valid", zero=0, public=test["x_q" + a] + test["y_q" + a])
    for test in find(source / "rfc", "rfc7748_x25519_x448")["tests"]:
        name = {31: "CURVE_25519", 32: "CURVE_448"}[test["group"]]
        for mine, own, peer in (("a", "A", "B"), ("b", "B", "A")):
            yield line("ke", id=f"rfc7748/{test['group']}/{mine}", ke=name, private=test[mine], peer=test[peer], shared=test["K"],
                       result="valid", zero=0, public=test[own])


def signatures(source):
    for name, kind in (
            ("ecdsa_secp256r1_sha256_test", "ECDSA"), ("ecdsa_secp384r1_sha384_test", "ECDSA"),
            ("ecdsa_secp521r1_sha512_test", "ECDSA"), ("ecdsa_brainpoolP256r1_sha256_test", "ECDSA"),
            ("ecdsa_secp256r1_sha256_p1363_test", "RAW"), ("ecdsa_secp384r1_sha384_p1363_test", "RAW"),
            ("ecdsa_secp521r1_sha512_p1363_test", "RAW"), ("ed25519_test", "ED25519"), ("ed448_test", "ED448"),
            ("rsa_signature_2048_sha256_test", "RSA_PKCS1"), ("rsa_pss_2048_sha256_mgf1_32_test", "RSA_PSS"),
            ("rsa_pss_2048_sha384_mgf1_48_test", "RSA_PSS")):
        key = None
        for group, test in tests_of(find(source / "wycheproof", name)):
            if group["publicKeyDer"] != key:
                key = group["publicKeyDer"]
                yield line("key", spki=key)
            hash_name = "IDENTITY" if kind.startswith("ED") else HASHES[group["sha"]]
            yield line("signature", id=f"{name}/{test['tcId']}", kind=kind, hash=hash_name, msg=test["msg"] or "-",
                       sig=test["sig"] or "-", result=test["result"])


# --- recorded key schedules: the PRFs once more, to take in only what is right
def xcbc(key, data):
    def aes(k, block):
        return Cipher(algorithms.AES(k), modes.CBC(bytes(16))).encryptor().update(block)
    keys = [aes(key, bytes([n]) * 16) for n in (1, 2, 3)]
    blocks = [data[i:i + 16] for i in range(0, len(data), 16)] or [b""]
    chain = bytes(16)
    for i, piece in enumerate(blocks):
        mask = bytes(16)
        if i == len(blocks) - 1:
            mask = keys[1] if len(piece) == 16 else keys[2]
            piece = piece if len(piece) == 16 else (piece + b"\x80").ljust(16, b"\0")
        chain = aes(keys[0], bytes(a ^ b ^ c for a, b, c in zip(piece, mask, chain)))
    return chain


def cmac(key, data):
    worker = CMAC(algorithms.AES(key))
    worker.update(data)
    return worker.finalize()


def prf(name, key, data):
    if name.startswith("HMAC_"):
        return hmac.new(key, data, name[5:].replace("SHA2_", "sha").lower()).digest()
    if name == "AES128_XCBC":
        return xcbc(key.ljust(16, b"\0") if len(key) <= 16 else xcbc(bytes(16), key), data)
    return cmac(key if len(key) == 16 else cmac(bytes(16), key), data)


def prf_plus(name, key, seed, size):
    out, last = b"", b""
    for n in range(1, 256):
        last = prf(name, key, last + seed + bytes([n]))
        out += last
        if len(out) >= size:
            return out[:size]
    raise ValueError("too long")


def schedule_of(run):
    keys = json.loads((run / "keys.json").read_text())
    messages = json.loads((run / "messages.json").read_text())
    spis = sorted({(m["spi_i"], m["spi_r"]) for m in messages if m.get("spi_r") and int(m["spi_r"], 16)})
    used = []  # SK_d and PRF of each key set so far
    for sa in keys["ike"]:
        name = re.search(r"PRF_(\w+)", sa["alg"]).group(1)
        get = {field: bytes.fromhex(value) for field, value in sa.items() if isinstance(value, str) and field in ("ke", "nonces", "skeyseed")}
        sk = {field: bytes.fromhex(value or "") for field, value in sa["sk"].items()}
        half = len(get["nonces"]) // 2
        nonces = get["nonces"] if name.startswith("HMAC") else get["nonces"][:8] + get["nonces"][half:half + 8]
        ways = [(nonces, get["ke"])] + [(d, get["ke"] + get["nonces"]) for _, d in used]
        if sa["additional_ke"]:
            more = bytes.fromhex(sa["additional_ke"])
            ways += [(d, data) for _, d in used for data in (more + get["nonces"], get["ke"] + get["nonces"] + more)]
        for key, data in ways:
            if prf(name, key, data) == get["skeyseed"]:
                yield line("prf", id=run.name, prf=name, key=key.hex(), data=data.hex(), out=sa["skeyseed"])
                break
        else:
            print(f"{run.name}: SKEYSEED not derived", file=sys.stderr)
        out = b"".join(sk.get(field, b"") for field in ("d", "ai", "ar", "ei", "er", "pi", "pr"))
        for spi_i, spi_r in spis:
            seed = get["nonces"] + bytes.fromhex(spi_i) + bytes.fromhex(spi_r)
            if prf_plus(name, get["skeyseed"], seed, len(out)) == out:
                yield line("prfplus", id=run.name, prf=name, key=sa["skeyseed"], seed=seed.hex(), out=out.hex())
                break
        else:
            print(f"{run.name}: SK_* not derived", file=sys.stderr)
        used.append((name, sk["d"]))
        if "ppk" in sa:
            for field in ("d", "pi", "pr"):
                mixed = prf_plus(name, bytes.fromhex(sa["ppk"]), sk[field], len(sk[field]))
                assert mixed.hex() == sa["sk_ppk"][field]
                yield line("prfplus", id=run.name, prf=name, key=sa["ppk"], seed=sk[field].hex(), out=mixed.hex())
            used.append((name, bytes.fromhex(sa["sk_ppk"]["d"])))
    for child in keys["child"]:
        if "seed" not in child:
            continue
        out = "".join(child.get(field) or "" for field in ("ei", "ai", "er", "ar"))
        for name, d in reversed(used):
            if out and prf_plus(name, d, bytes.fromhex(child["seed"]), len(out) // 2).hex() == out:
                yield line("prfplus", id=run.name, prf=name, key=d.hex(), seed=child["seed"], out=out)
                break
        else:
            print(f"{run.name}: KEYMAT not derived", file=sys.stderr)


def verifies(key, method, data, octets):
    try:
        if method == 14:
            algorithm, signature = data[1:1 + data[0]], data[1 + data[0]:]
            if isinstance(key, rsa.RSAPublicKey):
                digest = hashes.SHA512() if b"\x04\x02\x03" in algorithm or algorithm[12] == 13 else \
                    hashes.SHA384() if b"\x04\x02\x02" in algorithm or algorithm[12] == 12 else hashes.SHA256()
                way = padding.PSS(padding.MGF1(digest), padding.PSS.AUTO) if algorithm[12] == 10 else padding.PKCS1v15()
                key.verify(signature, octets, way, digest)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                digest = {2: hashes.SHA256, 3: hashes.SHA384, 4: hashes.SHA512}[algorithm[-1]]()
                key.verify(signature, octets, ec.ECDSA(digest))
            else:
                key.verify(signature, octets)
        elif method in (9, 10, 11):
            half, digest = len(data) // 2, {9: hashes.SHA256, 10: hashes.SHA384, 11: hashes.SHA512}[method]()
            pair = utils.encode_dss_signature(int.from_bytes(data[:half], "big"), int.from_bytes(data[half:], "big"))
            key.verify(pair, octets, ec.ECDSA(digest))
        else:
            return False
        return True
    except InvalidSignature:
        return False


def auth_of(run):
    signed = []
    for trace in sorted(run.glob("trace-*.txt")):
        for found in re.findall(r"octets = [^\n]*\] = ([0-9a-f]+)", trace.read_text(errors="replace")):
            if found not in signed:
                signed.append(found)
    certificates = [x509.load_pem_x509_certificate(p.read_bytes()) for p in sorted(run.glob("pki/*.crt"))]
    done = set()
    for message in json.loads((run / "messages.json").read_text()):
        for kind, body in message.get("inner_payloads") or []:
            raw = bytes.fromhex(body)
            if kind != 39 or raw[0] not in (9, 10, 11, 14) or body in done:
                continue
            done.add(body)
            for certificate in certificates:
                key = certificate.public_key()
                octets = next((o for o in signed if verifies(key, raw[0], raw[4:], bytes.fromhex(o))), None)
                if octets:
                    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
                    yield line("auth", id=run.name, method=raw[0], spki=spki.hex(), data=raw[4:].hex(), octets=octets)
                    break
            else:
                print(f"{run.name}: AUTH of method {raw[0]} not verified", file=sys.stderr)


def weak():
    """A signature by an RSA key that is too short, made here: nobody publishes vectors of 1024 bits any more."""
    key = rsa.generate_private_key(65537, 1024)
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    octets, algorithm = bytes(range(64)), bytes.fromhex("300d06092a864886f70d01010b0500")
    data = bytes([len(algorithm)]) + algorithm + key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
    yield line("auth", id="weak", method=14, spki=spki.hex(), data=data.hex(), octets=octets.hex())


def runs(source, of):
    for run in sorted((source / "exchanges").iterdir()):
        if run.is_dir() and not run.name.startswith("ikev1-"):
            yield from of(run)


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    for name, lines in (("mac", macs(source)), ("cipher", ciphers(source)), ("ke", exchanges_of_keys(source)),
                        ("signature", signatures(source)), ("schedule", runs(source, schedule_of)), ("auth", runs(source, auth_of)), ("weak", weak())):
        lines = list(lines)
        (out / f"{name}.txt").write_text("# SPDX-License-Identifier: Apache-2.0\n" + "\n".join(lines) + "\n")
        print(f"{name}: {len(lines)} lines", file=sys.stderr)


main()
