# SPDX-License-Identifier: Apache-2.0
"""cygnet against Debian's strongSwan (kernel-libipsec: tunnel mode, ESP in UDP), in both roles, packets counted."""
import strongswan
from cases import HOSTS, Certificates, Skip, cases, case, config, gateways, traffic
from lab import check, wait_for

SUITES = {
    "gcm": ("aes128gcm16-prfsha256-curve25519", "aes128gcm16"),
    "chacha": ("chacha20poly1305-prfsha256-curve25519", "chacha20poly1305"),
    "default": ("default", "default"),
    "cbc": ("aes256-sha256-modp2048", "aes256-sha256"),
}


def together(lab, ours_initiates, suite="gcm", auth="psk", files=None, outer=4, inner=(4,), **more):
    """cygnet is a, strongSwan is b."""
    if not strongswan.present():
        raise Skip("strongSwan (charon-systemd, swanctl) is not installed")
    a, b = gateways(lab)
    ike, esp = SUITES[suite]
    settings = dict(auth=auth, outer=outer, inner=inner, ike=ike, esp=esp, conn="encap = yes", **more)
    files = files or {"a": {}, "b": {}}
    peer = b.strongswan(config("b", "a", **settings), files["b"])
    ours = a.cygnet(config("a", "b", **settings), files["a"])
    for family in inner:
        if ours_initiates:
            ours.cygnet("up", f"net{family}")
        else:
            peer.swanctl("--initiate", "--child", f"net{family}", "--timeout", "10")
    wait_for("the children", lambda: len(ours.children()) == len(inner))
    return a, b, ours, peer


@cases([(f"{suite}-{'cygnet' if ours else 'strongswan'}-initiates-outer{outer}", suite, ours, outer)
        for suite in ("gcm", "chacha", "cbc") for ours in (True, False) for outer in (4, 6)])
def psk(lab, suite, ours, outer):
    a, b, _, _ = together(lab, ours, suite, outer=outer, inner=(4, 6) if outer == 4 else (4,))
    traffic(a, b, (4, 6) if outer == 4 else (4,))


@cases([(f"{kind}-{'cygnet' if ours else 'strongswan'}-initiates", kind, ours) for kind in ("ed25519", "ecdsa-256", "ecdsa-384", "rsa-3072")
        for ours in (True, False)])
def certificates(lab, kind, ours):
    certs = Certificates(lab, kind)
    a, b, _, _ = together(lab, ours, auth="pubkey", files={"a": certs.files("a", "b"), "b": certs.files("b", "a")})
    traffic(a, b)


@cases([(f"{place}-{'cygnet' if ours else 'strongswan'}-initiates", place, ours) for place in ("x509ca", "x509") for ours in (True, False)])
def an_intermediate_is_sent_to_a_peer_that_has_the_root_only(lab, place, ours):
    """RFC 4945 3.3 test: it lies beside our certificate, not in its file."""
    certs = Certificates(lab, "ecdsa-256", intermediate=True)
    certs.pki("issue", "--in", certs.dir / "b.key", "--cacert", certs.dir / "ca.pem", "--cakey", certs.dir / "ca.key", "--dn", "CN=b.example.org",
              "--san", "b.example.org", "--force", "--out", certs.dir / "b.pem")
    read = lambda name: (certs.dir / name).read_bytes()
    files = {name: {f"private/{name}.key": read(f"{name}.key"), f"x509/{name}.pem": read(f"{name}.pem"), "x509ca/ca.pem": read("ca.pem")} for name in "ab"}
    files["a"][f"{place}/sub.pem"] = read("sub.pem")
    a, b, _, _ = together(lab, ours, auth="pubkey", files=files)
    traffic(a, b, count=1)


@cases([("cygnet-rekeys", True), ("strongswan-rekeys", False)])
def rekeying(lab, ours_rekeys):
    a, b, ours, peer = together(lab, True)
    end = ours.cygnet if ours_rekeys else None
    for what in (("--child", "net4"), ("--ike", "gw")):
        before = (ours.children()[0]["spi-in"], ours.sas()[0][1]["initiator-spi"])
        if end:
            end("rekey", *what)
        else:
            peer.swanctl("--rekey", *what)
        wait_for("other SPIs", lambda: len(ours.sas()) == 1 and len(ours.children()) == 1 and
                 (ours.children()[0]["spi-in"], ours.sas()[0][1]["initiator-spi"]) != before, 15)
        traffic(a, b, count=2)


@cases([("cygnet-deletes", True), ("strongswan-deletes", False)])
def deleting(lab, ours_deletes):
    a, b, ours, peer = together(lab, True)
    if ours_deletes:
        ours.cygnet("down", "--ike", "gw")
    else:
        peer.swanctl("--terminate", "--ike", "gw")
    wait_for("no SA on our end", lambda: not ours.sas())
    wait_for("no SA on the peer's end", lambda: "gw" not in peer.swanctl("--list-sas"))


@case
def throughput_is_carried(lab):
    a, b, _, _ = together(lab, True)
    rate = a.iperf(b, HOSTS[4]["b"], 2, ("-B", HOSTS[4]["a"]))
    check(rate > 20e6, f"only {rate / 1e6:.0f} Mbit/s")


@case
def an_unwanted_group_is_retried(lab):
    """Our first guess is a group that the peer refuses with INVALID_KE_PAYLOAD."""
    if not strongswan.present():
        raise Skip("strongSwan is not installed")
    a, b = gateways(lab)
    b.strongswan(config("b", "a", ike="aes128gcm16-prfsha256-ecp384", conn="encap = yes"))
    ours = a.cygnet(config("a", "b", ike="aes128gcm16-prfsha256-curve25519-ecp384", conn="encap = yes"))
    ours.cygnet("up", "net4")
    traffic(a, b, count=1)


@cases([("cygnet-initiates", True), ("strongswan-initiates", False)])
def defaults_meet(lab, ours):
    """RFC 9370 2.2.1 test: our default offers a hybrid first; a peer that may know nothing of it comes up all the same."""
    a, b, _, _ = together(lab, ours, "default")
    traffic(a, b, count=1)


@case
def a_cookie_is_returned(lab):
    """strongSwan asks for a cookie from the first half-open SA on."""
    if not strongswan.present():
        raise Skip("strongSwan is not installed")
    a, b = gateways(lab)
    peer = b.strongswan(config("b", "a", conn="encap = yes"), extra="cookie_threshold = 0\n    cookie_threshold_ip = 0\n    dos_protection = yes")
    ours = a.cygnet(config("a", "b", conn="encap = yes"))
    ours.cygnet("up", "net4")
    traffic(a, b, count=1)
    del peer
