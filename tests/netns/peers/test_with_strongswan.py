# SPDX-License-Identifier: Apache-2.0
"""cygnet against strongSwan 5.9, 6.0 and 6.1 with ESP in the kernel: algorithms, certificates, NAT traversal, rekeying, refusals."""
import re

from cases import HOSTS, NETS, OUTER, Certificates, cases
from lab import check, wait_for
from together import both, carries, deletes, rekeys, rekeys_by_each, state, together, uses

VERSIONS = ("strongswan", "strongswan60", "strongswan61")
SUITES = [("aes128gcm16-prfsha256-ecp256", "aes128gcm16"), ("aes256gcm16-prfsha384-ecp384", "aes256gcm16-esn"), ("aes256-sha256-modp2048", "aes256-sha256"),
          ("aes256-sha512-ecp521", "aes128-sha512-esn"), ("chacha20poly1305-prfsha256-curve25519", "chacha20poly1305"),
          ("aes128ctr-sha256-curve448", "aes256ctr-sha384"), ("aes128-aesxcbc-modp3072", "aes128-aesxcbc"), ("aes256gcm16-prfaescmac-ecp256bp", "aes128ccm16")]


@cases([(f"{esp}-{name}", ike, esp, ours) for ike, esp in SUITES for name, ours in both("strongswan")])
def kernel_esp_meets_ours(lab, ike, esp, ours):
    a, b, _, _ = together(lab, "strongswan", ours, ike=ike, esp=esp)
    carries(a, b)


@cases([(f"{esp}-{name}", esp, ours) for esp in ("null-sha256", "null-sha1", "aes128gmac", "aes256gmac-esn") for name, ours in both("strongswan")])
def packets_are_not_encrypted_when_asked_by_name(lab, esp, ours):
    """RFC 2410, RFC 4543 test: ESP that only authenticates, and our end says so."""
    a, b, cygnet, _ = together(lab, "strongswan", ours, esp=esp)
    carries(a, b)
    cygnet.wait_log("authenticated but not encrypted")
    check("NULL" in cygnet.cygnet("list"), cygnet.cygnet("list"))


@cases([(f"{kind}-outer{outer}-{name}", kind, outer, ours) for kind in VERSIONS for outer in (4, 6) for name, ours in both("strongswan")])
def both_families_in_plain_esp(lab, kind, outer, ours):
    a, b, _, _ = together(lab, kind, ours, outer=outer, inner=(4, 6))
    capture = a.capture("to-b")
    carries(a, b, (4, 6))
    capture.stop()
    uses(capture, udp=False)


@cases([(f"{kind}-outer{outer}-{name}", kind, outer, ours) for kind in ("strongswan", "strongswan61") for outer in (4, 6)
        for name, ours in both("strongswan")])
def forced_encapsulation(lab, kind, outer, ours):
    a, b, _, _ = together(lab, kind, ours, outer=outer, conn="encap = yes")
    capture = a.capture("to-b")
    carries(a, b)
    capture.stop()
    uses(capture, udp=True)


CERTIFICATES = [(kind, outer) for kind, outer in (("ed25519", 6), ("ed448", 4), ("ecdsa-256", 6), ("ecdsa-384", 4), ("ecdsa-521", 6), ("rsa-2048", 6),
                                                  ("rsa-4096", 4))]


@cases([(f"{kind}-outer{outer}-{name}", kind, outer, ours) for kind, outer in CERTIFICATES for name, ours in both("strongswan")])
def certificates(lab, kind, outer, ours):
    a, b, _, _ = together(lab, "strongswan", ours, kind, outer=outer)
    carries(a, b)


@cases([(f"{scheme.replace('/', '-')}-{name}", scheme, ours) for scheme in ("rsa/pss-sha256", "rsa/pss-sha512", "rsa-sha384")
        for name, ours in both("strongswan")])
def the_signature_scheme_is_chosen(lab, scheme, ours):
    certs = Certificates(lab, "rsa-3072")
    a, b, cygnet, peer = together(lab, "strongswan", ours, certs, auth=f"ike:{scheme}")
    carries(a, b)
    word = "RSA_EMSA_PSS" if "pss" in scheme else "RSA_EMSA_PKCS1"
    check(peer.log().count(word) >= 2, f"the peer does not speak of {word} for both signatures:\n{peer.log()[-2500:]}")


@cases([(f"{kind}-{name}", kind, ours) for kind in ("ecdsa-256", "rsa-2048") for name, ours in both("strongswan")])
def an_intermediate_is_sent_and_believed(lab, kind, ours):
    """RFC 7296 3.6 test: certificates behind the end entity's. Ours come from one file, the peer's from its directory of CAs."""
    a, b, _, _ = together(lab, "strongswan", ours, Certificates(lab, kind, intermediate=True), conn="send_cert = always")
    carries(a, b)


@cases([(f"rsa-4096-outer{outer}-{name}", outer, ours) for outer in (4, 6) for name, ours in both("strongswan")])
def large_messages_go_in_fragments(lab, outer, ours):
    """RFC 7383 2.5 test: with a peer whose messages are in fragments as ours are."""
    certs = Certificates(lab, "rsa-4096", intermediate=True)
    a, b, cygnet, peer = together(lab, "strongswan", ours, certs, outer=outer, conn="fragmentation = yes\nsend_cert = always",
                                  daemon="fragment_size = 1000")
    carries(a, b)
    check("EF(" in peer.log() or "fragment" in peer.log(), f"the peer saw no fragment:\n{peer.log()[-1500:]}")


@cases([(kind, kind) for kind in VERSIONS])
def rekeying_by_each_side(lab, kind):
    a, b, ours, peer = together(lab, kind, esp="aes128gcm16-curve25519")
    rekeys_by_each(a, b, ours, peer)


@cases([(f"{kind}-{name}", kind, by_us) for kind in VERSIONS for name, by_us in (("cygnet-deletes", True), ("strongswan-deletes", False))])
def deleting(lab, kind, by_us):
    _, _, ours, peer = together(lab, kind)
    deletes(ours, peer, by_us)


@cases([("strongswan", "strongswan"), ("strongswan61", "strongswan61")])
def liveness_is_asked_and_answered(lab, kind):
    """RFC 7296 2.4 test: both ends ask every second; after four of them the SA is what it was, and messages went both ways."""
    a, b, ours, peer = together(lab, kind, conn="dpd_delay = 1s")
    before = state(ours)
    wait_for("liveness checks of the peer", lambda: peer.log().count("INFORMATIONAL request") >= 6, 15)
    check(state(ours) == before, "the SAs are others now")
    check("parsed INFORMATIONAL request" in peer.log() and "generating INFORMATIONAL request" in peer.log(), "only one side asked")
    carries(a, b)


@cases([(name, ours) for name, ours in both("strongswan")])
def several_selectors_in_one_child(lab, ours):
    a, b, _, _ = together(lab, "strongswan", ours, nets={"a": "10.1.0.0/24, 10.11.0.0/24", "b": "10.2.0.0/24, 10.12.0.0/24"})
    a.address("10.11.0.1/24", "lo")
    b.address("10.12.0.1/24", "lo")
    carries(a, b)
    for source, target in (("10.11.0.1", "10.12.0.1"), ("10.1.0.1", "10.12.0.1"), ("10.11.0.1", "10.2.0.1")):
        check(a.pings(target, source=source) == 3, f"nothing goes from {source} to {target}")


@cases([(f"{mode}-outer{outer}-{name}", mode, outer, ours) for mode in ("tunnel", "transport") for outer in (4, 6) for name, ours in both("strongswan")])
def packets_are_compressed(lab, mode, outer, ours):
    """RFC 3173 test: with the kernel's DEFLATE, each way; what compresses well makes short packets, and what is short goes as it is."""
    nets = OUTER[outer] if mode == "transport" else NETS[outer]
    ends = OUTER[outer] if mode == "transport" else HOSTS[outer]
    a, b, cygnet, peer = together(lab, "strongswan", ours, outer=outer, inner=(outer,), nets=nets, child=f"ipcomp = yes\nmode = {mode}")
    b.run("ethtool", "-K", "to-a", "gro", "off")   # a kernel whose ESP joins packets drops compressed ones: see docs/INTEROP.md
    child = cygnet.children()[0]
    check(child["mode"] == mode.upper() and "cpi-out" in child, f"not what was asked for: {child}")
    check(child["cpi-out"] in peer.swanctl("--list-sas", "--raw"), peer.swanctl("--list-sas", "--raw"))

    def pings(size):
        capture = a.capture("to-b")
        for source, target, me, to in ((a, b, "a", "b"), (b, a, "b", "a")):
            got = source.pings(ends[to], count=4, source=ends[me], size=size)
            check(got == 4, f"{got} of 4 pings of {size} bytes from {me} came back")
        capture.stop()
        return [int(size) for size in re.findall(r"ESP\(spi=.*?length (\d+)", "\n".join(capture.lines()))]

    sizes = pings(1300)
    check(len(sizes) == 16 and max(sizes) < 700, f"packets were not compressed: {sizes}")
    check(len(pings(20)) == 16, "short packets are lost")
    rekeys(cygnet, lambda: cygnet.cygnet("rekey", "--child", f"net{outer}"), "child")
    check(max(pings(1300)) < 700, "packets are not compressed after rekeying")


@cases([(f"{kind}-{name}", kind, ours) for kind in VERSIONS for name, ours in both("strongswan")])
def a_security_label_is_agreed_on(lab, kind, ours):
    """RFC 9478 test: the same text at both ends, by whoever asks, and after rekeying."""
    a, b, cygnet, peer = together(lab, kind, ours, child="label_mode = simple\nlabel = lab:secret:1")
    carries(a, b)
    rekeys_by_each(a, b, cygnet, peer)
    check(all(bytes.fromhex(child["label"]) == b"lab:secret:1\0" for child in cygnet.children()), cygnet.children())
    check("lab:secret:1" in peer.swanctl("--list-sas"), "the peer shows it, too")
