# SPDX-License-Identifier: Apache-2.0
"""Post-quantum pre-shared keys: RFC 8784 with Debian's strongSwan, in both roles: who has the key, who insists on it; RFC 9867 with cygnet at both ends."""
import strongswan
from cases import Skip, cases, config, gateways, traffic
from lab import Failure, check, wait_for

NAME = "ppk@example.org"


def conf(me, peer, key, required):
    text = config(me, peer, conn=f"encap = yes\nppk_id = {NAME}\nppk_required = {'yes' if required else 'no'}")
    if key:
        text = text.replace("secrets {", f"secrets {{\n    ppk-1 {{\n        id = {NAME}\n        secret = {key}\n    }}")
    return text


K = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
L = "0x100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

# our key, the peer's key, who insists -> comes up, with it
ROWS = [
    ("both-have-it", K, K, False, False, True, True),
    ("both-insist", K, K, True, True, True, True),
    ("we-lack-it", None, K, False, False, True, False),
    ("the-peer-lacks-it", K, None, False, False, True, False),
    ("we-insist-and-the-peer-lacks-it", K, None, True, False, False, False),
    ("the-peer-insists-and-we-lack-it", None, K, False, True, False, False),
    ("the-keys-differ", K, L, False, False, False, False),
]


@cases([(f"{'cygnet' if ours else 'strongswan'}-initiates-{row[0]}", ours, *row[1:]) for row in ROWS for ours in (True, False)])
def mixing(lab, ours_initiates, our_key, peer_key, we_insist, peer_insists, up, used):
    if not strongswan.present():
        raise Skip("strongSwan (charon-systemd, swanctl) is not installed")
    a, b = gateways(lab)
    peer = b.strongswan(conf("b", "a", peer_key, peer_insists))
    ours = a.cygnet(conf("a", "b", our_key, we_insist))
    try:
        if ours_initiates:
            ours.cygnet("up", "net4", "--timeout", "8")
        else:
            peer.swanctl("--initiate", "--child", "net4", "--timeout", "8")
        came_up = True
    except Failure:
        came_up = False
    # RFC 8784 3 test: an initiator that agreed to use a key and then names none is refused.
    lacking = not ours_initiates and our_key and not peer_key
    if lacking:
        ours.wait_log("names none")
    check(came_up == (up and not lacking), f"it {'came' if came_up else 'did not come'} up")
    if not up or lacking:
        check(not ours.children(), "there is a child all the same")
        return
    wait_for("the child", lambda: len(ours.children()) == 1)
    _, sa = ours.sas()[0]
    check((sa.get("ppk") == "yes") == used, f"the list says ppk = {sa.get('ppk')}")
    check(("using PPK" in peer.log()) == used, "the peer's log says otherwise")
    traffic(a, b)
    for what in (("--ike", "gw"), ("--child", "net4")):
        before = (ours.children()[0]["spi-in"], ours.sas()[0][1]["initiator-spi"])
        ours.cygnet("rekey", *what)
        wait_for("other SPIs", lambda: len(ours.sas()) == 1 and len(ours.children()) == 1 and
                 (ours.children()[0]["spi-in"], ours.sas()[0][1]["initiator-spi"]) != before, 15)
    traffic(a, b, count=1)


# a's lines, b's lines, b's key -> comes up, with it, before IKE_AUTH
EARLY_ROWS = [
    ("both", "", "", K, True, True, True),
    ("both-insist-on-it", "ppk_int = only\nppk_required = yes", "ppk_int = only\nppk_required = yes", K, True, True, True),
    ("with-an-additional-key-exchange", "proposals = aes256gcm16-prfsha384-curve25519-ke1_mlkem768", "proposals = aes256gcm16-prfsha384-curve25519-ke1_mlkem768",
     K, True, True, True),
    ("b-knows-the-old-way-alone", "ppk_required = yes", "ppk_int = never", K, True, True, False),
    ("the-keys-differ", "", "", L, True, False, False),
    ("the-keys-differ-and-b-insists", "", "ppk_required = yes", L, False, False, False),
]


def own_conf(me, peer, key, lines):
    words = [line for line in lines.split("\n") if "proposals" not in line]
    chosen = {"ike": lines.split("= ")[1]} if "proposals" in lines else {}
    return config(me, peer, conn="\n".join([f"ppk_id = {NAME}", *words]), **chosen).replace("secrets {", f"secrets {{\n    ppk-1 {{\n        id = {NAME}\n        secret = {key}\n    }}")


@cases([(name, *row) for name, *row in EARLY_ROWS])
def mixing_before_ike_auth(lab, a_lines, b_lines, b_key, up, used, early):
    """RFC 9867 3.1 test."""
    a, b = gateways(lab)
    theirs = b.cygnet(own_conf("b", "a", b_key, b_lines))
    ours = a.cygnet(own_conf("a", "b", K, a_lines))
    try:
        ours.cygnet("up", "net4", "--timeout", "8")
    except Failure:
        check(not up, "it did not come up")
        theirs.wait_log("the peer has another post-quantum pre-shared key of that name than we have")
        check(not theirs.children(), "there is a child all the same")
        return
    check(up, "it came up")
    for end in (ours, theirs):
        _, sa = end.sas()[0]
        check((sa.get("ppk") == "yes", sa.get("ppk-early") == "yes") == (used, early), f"{sa}")
        check(sa.get("ppk-id") == (NAME if used else None), f"{sa}")
    check(("with a post-quantum pre-shared key" in ours.log()) == used, "the log says otherwise")
    if used:
        check(f"post-quantum key {NAME}" in ours.cygnet("list"), ours.cygnet("list"))
    traffic(a, b)


@cases([("a-rekeys", True), ("b-rekeys", False)])
def a_key_is_replaced_while_up(lab, by_a):
    """RFC 9867 3.2 test: the secret is loaded anew, and the next rekeying takes it in."""
    a, b = gateways(lab)
    ends = [a.cygnet(own_conf("a", "b", K, "ppk_rekey = required")), b.cygnet(own_conf("b", "a", K, "ppk_rekey = required"))]
    ends[0].cygnet("up", "net4")
    traffic(a, b)
    for end, (me, peer) in zip(ends, (("a", "b"), ("b", "a"))):
        (end.etc / "swanctl.conf").write_text(own_conf(me, peer, L, "ppk_rekey = required"))
        end.cygnet("reload")
    who = ends[0 if by_a else 1]
    for what in (("--child", "net4"), ("--ike", "gw"), ("--child", "net4")):
        before = (who.children()[0]["spi-in"], who.sas()[0][1]["initiator-spi"])
        who.cygnet("rekey", *what)
        wait_for("other SPIs", lambda: len(who.sas()) == 1 and len(who.children()) == 1 and
                 (who.children()[0]["spi-in"], who.sas()[0][1]["initiator-spi"]) != before, 15)
        traffic(a, b, count=1)
    for end in ends:
        check(end.children()[0].get("ppk") == "yes", f"{end.children()}")
