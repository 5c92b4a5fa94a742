# SPDX-License-Identifier: Apache-2.0
"""cygnet against strongSwan 6.1 with ML-KEM (RFC 9370, RFC 9242): beside another key exchange and alone, in the IKE SA and in children."""
from cases import cases
from lab import check
from together import both, carries, rekeys_by_each, together

SUITES = [("additional", "aes256gcm16-prfsha384-curve25519-ke1_mlkem768", "aes256gcm16-curve25519-ke1_mlkem768"),
          ("alone", "aes256gcm16-prfsha384-mlkem768", "aes256gcm16-mlkem768"), ("alone-1024", "aes256gcm16-prfsha512-mlkem1024", "aes256gcm16"),
          ("two", "aes256gcm16-prfsha384-ecp384-ke1_mlkem1024-ke2_mlkem512", "aes256gcm16-ecp384-ke1_mlkem1024"), ("default", "default", "default")]


@cases([(f"{word}-{name}", word, ike, esp, ours) for word, ike, esp in SUITES for name, ours in both("strongswan")])
def comes_up_and_rekeys(lab, word, ike, esp, ours):
    a, b, cygnet, peer = together(lab, "strongswan61", ours, ike=ike, esp=esp)
    carries(a, b)
    if word != "default":
        rekeys_by_each(a, b, cygnet, peer)
        check("ML_KEM" in peer.swanctl("--list-sas"), "the peer's SA has no ML-KEM")


@cases([(f"certificates-outer{outer}-{name}", outer, ours) for outer in (4, 6) for name, ours in both("strongswan")])
def with_certificates(lab, outer, ours):
    a, b, _, _ = together(lab, "strongswan61", ours, "ecdsa-384", ike=SUITES[0][1], esp=SUITES[0][2], outer=outer)
    carries(a, b)
