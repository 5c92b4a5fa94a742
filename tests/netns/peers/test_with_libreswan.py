# SPDX-License-Identifier: Apache-2.0
"""cygnet against Libreswan, with the kernel's ESP."""
import libreswan
from cases import Certificates, case, cases, config
from lab import check, wait_for
from together import both, carries, deletes, hosts, rekeys_by_each, start_peer, state, swanctl_settings, together, uses

SUITES = [("aes256gcm16-prfsha384-curve25519", "aes256gcm16"), ("aes128-sha256-ecp256", "aes128-sha256"), ("aes256-sha512-modp2048", "aes256-sha512"),
          ("aes256gcm16-prfsha512-ecp521", "chacha20poly1305"), ("default", "default")]


@cases([(f"{ike}-{esp}-{name}", ike, esp, ours) for ike, esp in SUITES for name, ours in both("libreswan")])
def suites(lab, ike, esp, ours):
    a, b, _, _ = together(lab, "libreswan", ours, ike=ike, esp=esp)
    carries(a, b)


@cases([(name, ours) for name, ours in both("libreswan")])
def outer_ipv6(lab, ours):
    a, b, _, _ = together(lab, "libreswan", ours, outer=6, inner=(4, 6))
    carries(a, b, (4, 6))


# authby = rsa-sha2 is RSASSA-PSS alone, which we use when it is asked for by name.
@cases([(f"{kind}-{theirs}-outer{outer}-{name}", kind, theirs, auth, outer, ours) for kind, theirs, auth, outer in
        (("rsa-3072", "rsa-sha2", "ike:rsa/pss-sha512", 4), ("ecdsa-256", "ecdsa-sha2", "pubkey", 6), ("ecdsa-384", "ecdsa-sha2_384", "pubkey", 4))
        for name, ours in both("libreswan")])
def certificates(lab, kind, theirs, auth, outer, ours):
    a, b, _, _ = together(lab, "libreswan", ours, kind, outer=outer, peer_auth=theirs, conn="send_cert = always", auth=auth)
    carries(a, b)


@cases([(name, ours) for name, ours in both("libreswan")])
def forced_encapsulation(lab, ours):
    a, b, _, _ = together(lab, "libreswan", ours, extra=("encapsulation=yes",), conn="encap = yes")
    capture = a.capture("to-b")
    carries(a, b)
    capture.stop()
    uses(capture, udp=True)


@cases([(name, ours) for name, ours in both("libreswan")])
def over_tcp(lab, ours):
    """RFC 9329 test: the kernel of the guest has the stream once pluto has opened it."""
    a, b, cygnet, _ = together(lab, "libreswan", ours, setup=("listen-tcp=yes",), extra=("enable-tcp=yes", "tcp-remoteport=4500"), conn="tcp = yes",
                               options=("--port-tcp", "4500"))
    capture = a.capture("to-b", "proto 50 or udp")
    carries(a, b)
    check(cygnet.sas()[0][1].get("tcp") == "yes", f"{cygnet.sas()}")
    capture.stop()
    check(not [line for line in capture.lines() if " > " in line], "something goes beside the stream")


@case
def what_it_cannot_resume_is_made_anew(lab):
    """RFC 5723 4.3.3 test: Libreswan takes our ticket; its AUTH leaves out nonce and identity, which RFC 7296 2.15 has signed, so a full handshake follows."""
    a, b, ours, peer = together(lab, "libreswan", extra=("session-resumption=yes",), conn="resumption = yes\ndpd_delay = 1s",
                                child="dpd_action = start", options=("--retransmit", "0.2/1.5/3"))
    carries(a, b)
    before = ours.sas()[0][1]["initiator-spi"]
    a.run("nft", "add table inet wall; add chain inet wall in { type filter hook input priority 0; }; add rule inet wall in udp sport 4500 drop")
    ours.wait_log("is closed: the peer has not answered", 20)
    a.run("nft", "delete table inet wall")
    wait_for("another IKE SA", lambda: [sa for _, sa in ours.sas() if sa["state"] == "ESTABLISHED" and sa["initiator-spi"] != before], 40)
    ours.wait_log("resuming the session with")
    ours.wait_log("a full handshake follows")
    check("IKE_SESSION_RESUME" in peer.log(), peer.log()[-2000:])
    carries(a, b)


@cases([(name, ours) for name, ours in both("libreswan")])
def nobody_is_authenticated(lab, ours):
    """RFC 7619 test."""
    a, b = hosts(lab, "libreswan")
    conf = config("a", "b", ike="aes256gcm16-prfsha384-curve25519", esp="aes256gcm16").split("secrets {")[0]
    cygnet = a.cygnet(conf.replace("auth = psk", "auth = null").replace("id = a.example.org", "").replace("id = b.example.org", ""))
    peer = libreswan.Libreswan(b, libreswan.connection(auth="null", leftid="%null", rightid="%null", ike="aes256gcm16-prfsha384-curve25519", esp="aes256gcm16"))
    cygnet.cygnet("up", "net4") if ours else peer.initiate("net4")
    wait_for("the child", lambda: len(cygnet.children()) == 1)
    carries(a, b)


@case
def rekeying_by_each_side(lab):
    a, b, ours, peer = together(lab, "libreswan", esp="aes128gcm16-curve25519")
    rekeys_by_each(a, b, ours, peer)


@cases([("cygnet-deletes", True), ("libreswan-deletes", False)])
def deleting(lab, by_us):
    _, _, ours, peer = together(lab, "libreswan")
    deletes(ours, peer, by_us)


@case
def a_cookie_is_returned(lab):
    """RFC 7296 2.6 test: pluto asks everybody for a cookie."""
    a, b, _, peer = together(lab, "libreswan", setup=("ddos-mode=busy",))
    carries(a, b)
    check("COOKIE" in peer.log(), f"no cookie was asked for:\n{peer.log()[-1500:]}")


@case
def liveness_is_answered(lab):
    a, b, ours, peer = together(lab, "libreswan", extra=("dpddelay=1",), conn="dpd_delay = 1s")
    before = state(ours)
    check(a.pings("192.0.2.2", count=20, interval=0.2) > 0, "the link is down")
    check(state(ours) == before, "the SAs are others now")
    carries(a, b)


@cases([("secret", {"secret": "another secret"}, "AUTHENTICATION_FAILED"), ("proposal", {"ike": "aes128-sha256-modp2048"}, "PEER_NO_PROPOSAL"),
        ("esp", {"esp": "aes128ctr-sha256"}, "PEER_NO_PROPOSAL"), ("selectors", {"nets": {"a": "10.7.0.0/24", "b": "10.2.0.0/24"}}, "PEER_TS_UNACCEPTABLE")])
def what_it_refuses_is_named(lab, ours, word):
    a, b = hosts(lab, "libreswan")
    settings = {"ike": "aes256gcm16-prfsha384-curve25519", "esp": "aes256gcm16"}
    start_peer(b, "libreswan", True, None, settings)
    cygnet = a.cygnet(config("a", "b", **{**swanctl_settings(settings, None), **ours}))
    out = cygnet.cygnet("up", "net4", check_status=False)
    check(word in out, f"{word} is not said: {out}")


@cases([("secret", {"secret": "another secret"}, "the peer has another pre-shared key than we have"),
        ("proposal", {"ike": "aes128-sha256-modp2048"}, "have nothing in common"), ("esp", {"esp": "aes128ctr-sha256"}, "No ESP proposal in common"),
        ("selectors", {"nets": {"a": "10.7.0.0/24", "b": "10.2.0.0/24"}}, "10.7.0.0/24")])
def what_we_refuse_it_understands(lab, ours, words):
    a, b = hosts(lab, "libreswan")
    settings = {"ike": "aes256gcm16-prfsha384-curve25519", "esp": "aes256gcm16"}
    peer = start_peer(b, "libreswan", False, None, settings)
    cygnet = a.cygnet(config("a", "b", **{**swanctl_settings(settings, None), **ours}))
    b.start("sh", "-c", "exec env LD_LIBRARY_PATH=/opt/libreswan/usr/lib /opt/libreswan/usr/libexec/ipsec/whack --rundir /run/pluto --name gw4 --initiate")
    wait_for("the words", lambda: words in cygnet.log())
    notify = {"proposal": "NO_PROPOSAL_CHOSEN", "secret": "AUTHENTICATION_FAILED"}
    wanted = next((name for key, name in notify.items() if key in str(ours)), None)
    if wanted:
        peer.wait_log(wanted)


PPK = "a post-quantum key of both ends, as long as it should be"
# our lines, Libreswan's line, its key, who insists -> comes up. Version 5.2 has the way of RFC 9867 under numbers of its own, so that of RFC 8784 is taken.
PPK_ROWS = [
    ("both-insist", "", "intermediate=no", PPK, True, True),
    ("optional", "", "intermediate=no", PPK, False, True),
    ("the-old-way-alone", "ppk_int = never", "intermediate=yes", PPK, True, True),
    ("another-key", "", "intermediate=no", "another key, which is as long as it should be", True, False),
]


@cases([(f"{row[0]}-{name}", *row[1:], ours) for row in PPK_ROWS for name, ours in both("libreswan")])
def post_quantum_keys(lab, line, their_line, their_key, insist, up, ours_initiates):
    """RFC 8784 3 test."""
    a, b = hosts(lab, "libreswan")
    required = "yes" if insist else "no"
    conf = config("a", "b", ike="aes256gcm16-prfsha384-curve25519", esp="aes256gcm16",
                  conn=f"ppk_id = ppk@example.org\nppk_required = {required}\n{line}")
    cygnet = a.cygnet(conf.replace("secrets {", f'secrets {{\n ppk-1 {{\n id = ppk@example.org\n secret = "{PPK}"\n }}'))
    extra = (f"ppk={'insist' if insist else 'yes'}", 'ppk-ids="ppk@example.org"', their_line)
    peer = libreswan.Libreswan(b, libreswan.connection(ike="aes256gcm16-prfsha384-curve25519", esp="aes256gcm16", extra=extra),
                               secrets=(f'@a.example.org @b.example.org : PPKS "ppk@example.org" "{their_key}"',))
    if not up:
        cygnet.cygnet("up", "net4", "--timeout", "8", check_status=False) if ours_initiates else peer.whack("--name", "gw4", "--initiate", "--asynchronous")
        cygnet.wait_log("AUTHENTICATION_FAILED" if ours_initiates else "the peer has another pre-shared key than we have", 20)
        check(not cygnet.children(), "it came up")
        return
    cygnet.cygnet("up", "net4") if ours_initiates else peer.initiate("net4")
    wait_for("the child", lambda: len(cygnet.children()) == 1, 20)
    _, sa = cygnet.sas()[0]
    check((sa.get("ppk"), sa.get("ppk-early")) == ("yes", None), f"{sa}")
    carries(a, b)
    rekeys_by_each(a, b, cygnet, peer)
