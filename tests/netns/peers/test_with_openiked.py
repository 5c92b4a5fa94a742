# SPDX-License-Identifier: Apache-2.0
"""cygnet against OpenIKED on Linux. It can install AES-CBC with HMAC-SHA1 or SHA-384 only, and wants one family inside and outside."""
from cases import Certificates, case, cases, config
from lab import check, wait_for
from together import both, carries, deletes, hosts, rekeys, start_peer, state, swanctl_settings, together

ESP = "aes256-sha1"
SUITES = ("aes256gcm16-prfsha384-curve25519", "aes256-sha256-ecp256", "aes256-sha512-modp2048", "aes128gcm16-prfsha256-ecp384", "default")


@cases([(f"{ike}-{name}", ike, ours) for ike in SUITES for name, ours in both("openiked")])
def suites(lab, ike, ours):
    a, b, _, _ = together(lab, "openiked", ours, ike=ike, esp="default" if ike == "default" else ESP)
    carries(a, b)


@cases([(name, ours) for name, ours in both("openiked")])
def ipv6(lab, ours):
    a, b, _, _ = together(lab, "openiked", ours, outer=6, inner=(6,), esp=ESP)
    carries(a, b, (6,))


@cases([(f"{kind}-{name}", kind, ours) for kind in ("rsa-3072", "ecdsa-256", "ecdsa-384") for name, ours in both("openiked")])
def certificates(lab, kind, ours):
    a, b, _, _ = together(lab, "openiked", ours, kind, esp=ESP, conn="send_cert = always")
    carries(a, b)


@cases([(f"cygnet-rekeys-{what}", what) for what in ("child", "ike")])
def rekeying_by_us(lab, what):
    a, b, ours, _ = together(lab, "openiked", esp=ESP)
    rekeys(ours, lambda: ours.cygnet("rekey", *(("--child", "net4") if what == "child" else ("--ike", "gw"))), what)
    carries(a, b)


@cases([(f"{what}-{name}", what, ours) for what in ("child", "ike") for name, ours in both("openiked")])
def rekeying_by_the_peer(lab, what, ours):
    """Its lifetimes are short and ours are long."""
    line = ("lifetime 10",) if what == "child" else ("ikelifetime 6",)
    a, b, cygnet, _ = together(lab, "openiked", ours, esp=ESP, extra=line)
    rekeys(cygnet, lambda: None, what, 25)
    carries(a, b)


@cases([("cygnet-deletes", True), ("openiked-deletes", False)])
def deleting(lab, by_us):
    _, _, ours, peer = together(lab, "openiked", esp=ESP)
    deletes(ours, peer, by_us)


@case
def liveness_is_answered(lab):
    a, b, ours, peer = together(lab, "openiked", esp=ESP, top="set dpd_check_interval 1", conn="dpd_delay = 1s")
    before = state(ours)
    wait_for("liveness checks", lambda: peer.log().count("INFORMATIONAL res") >= 4, 15)
    check(state(ours) == before, "the SAs are others now")
    carries(a, b)


@cases([(name, ours) for name, ours in both("openiked")])
def fragments(lab, ours):
    """RFC 7383 2.5 test: OpenIKED's and our fragments of certificates."""
    a, b, cygnet, peer = together(lab, "openiked", ours, Certificates(lab, "rsa-4096"), esp=ESP, top="set fragmentation", conn="send_cert = always",
                                  daemon="")
    carries(a, b)
    check("SKF" in peer.log(), "no fragment was seen")


@cases([("psk", {"secret": "another secret"}, "AUTHENTICATION_FAILED"), ("proposal", {"ike": "aes128-sha256-modp2048"}, "PEER_NO_PROPOSAL"),
        ("esp", {"esp": "aes128gcm16"}, "PEER_NO_PROPOSAL")])
def what_it_refuses_is_named(lab, ours, word):
    a, b = hosts(lab, "openiked")
    settings = {"ike": "aes256gcm16-prfsha384-curve25519", "esp": ESP}
    start_peer(b, "openiked", True, None, settings)
    cygnet = a.cygnet(config("a", "b", **{**swanctl_settings(settings, None), **ours}))
    out = cygnet.cygnet("up", "net4", check_status=False)
    check(word in out, f"{word} is not said: {out}")
