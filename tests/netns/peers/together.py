# SPDX-License-Identifier: Apache-2.0
"""cygnet on host a and a peer on host b, which has a kernel of its own with ESP; the claims that every peer is held to."""
import libreswan
import openiked
from cases import Certificates, config, gateways, traffic
from lab import check, wait_for
from roots import root

IKE = "aes256gcm16-prfsha384-curve25519"
# What each peer is called here, and whose files it needs; "/" is this machine's own Debian.
ROOTS = {"strongswan": "/", "strongswan60": "trixie", "strongswan61": "sid", "openiked": "trixie", "libreswan": "trixie"}


def hosts(lab, kind):
    return gateways(lab, root="/" if ROOTS[kind] == "/" else root(ROOTS[kind]))


def start_peer(b, kind, ours_initiates, certs, settings):
    """The peer's configuration says what ours does, in its own words."""
    plain = {key: settings[key] for key in ("outer", "inner", "ike", "esp") if key in settings}
    if kind == "openiked":
        auth = "psk" if not certs else settings.get("peer_auth", "rfc7427")
        return openiked.Openiked(b, openiked.policy(active=not ours_initiates, auth=auth, extra=settings.get("extra", ()),
                                                    top=settings.get("top", ""), **plain), openiked.files_of(certs) if certs else {})
    if kind == "libreswan":
        auth = "secret" if not certs else settings.get("peer_auth", "rsa-sha2")
        return libreswan.Libreswan(b, libreswan.connection(auth=auth, extra=settings.get("extra", ()), **plain), certs,
                                   setup=settings.get("setup", ()))
    return b.strongswan(config("b", "a", **swanctl_settings(settings, certs)), certs.files("b", "a") if certs else {},
                        extra=settings.get("daemon", ""))


def swanctl_settings(settings, certs):
    chosen = {key: settings[key] for key in ("outer", "inner", "ike", "esp", "conn", "child", "local", "remote", "nets", "protocol") if key in settings}
    return {**chosen, "auth": settings.get("auth", "pubkey") if certs else "psk"}


def together(lab, kind, ours_initiates=True, certs=None, wait=True, **settings):
    """Both ends with the children up: a, b, our daemon, the peer."""
    settings = {"ike": IKE, "esp": "aes256gcm16", **settings}
    a, b = hosts(lab, kind)
    certs = Certificates(lab, certs) if isinstance(certs, str) else certs
    ours_settings = swanctl_settings({**settings, **settings.get("ours", {})}, certs)
    ours = a.cygnet(config("a", "b", **ours_settings), certs.files("a", "b") if certs else {}, options=settings.get("options", ()))
    peer = start_peer(b, kind, ours_initiates, certs, settings)
    inner = settings.get("inner", (4,))
    for family in inner if kind != "openiked" else ():
        ours.cygnet("up", f"net{family}") if ours_initiates else peer.initiate(f"net{family}")
    if kind == "openiked" and ours_initiates:
        ours.cygnet("up", f"net{inner[0]}")
    if wait:
        wait_for("the children", lambda: len(ours.children()) == len(inner))
        wait_for("the peer's SA", lambda: not peer.gone())
    return a, b, ours, peer


def state(ours):
    return {child["spi-in"] for child in ours.children()}, {(sa["initiator-spi"], sa["responder-spi"]) for _, sa in ours.sas()}


def rekeys(ours, act, what, seconds=15):
    """After act() there is one IKE SA with one child again, and the child or the IKE SA is another."""
    before = state(ours)[what == "ike"]
    act()
    wait_for(f"another {what}", lambda: not state(ours)[what == "ike"] & before and len(ours.sas()) == 1 and len(ours.children()) == 1, seconds)


def rekeys_by_each(a, b, ours, peer, inner=(4,)):
    for what, words in (("child", ("--child", "net4")), ("ike", ("--ike", "gw"))):
        for act in (lambda: ours.cygnet("rekey", *words), lambda: peer.rekey(what)):
            rekeys(ours, act, what)
            traffic(a, b, inner, count=2)


def deletes(ours, peer, by_us):
    ours.cygnet("down", "--ike", "gw") if by_us else peer.delete()
    wait_for("no SA on our end", lambda: not ours.sas())
    wait_for("no SA on the peer's", peer.gone)


def both(kind):
    return [("cygnet-initiates", True), (f"{kind}-initiates", False)]


def carries(a, b, inner=(4,)):
    traffic(a, b, inner)


def uses(capture, udp):
    """Every ESP packet of a capture is in UDP, or none."""
    lines = [line for line in capture.lines() if "ESP(" in line]
    check(len(lines) >= 6 and all(("UDP-encap" in line) == udp for line in lines), f"ESP in UDP should be {udp}: {lines[:2]}")
