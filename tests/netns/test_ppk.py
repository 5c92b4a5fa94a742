# SPDX-License-Identifier: Apache-2.0
"""Post-quantum pre-shared keys (RFC 8784) with Debian's strongSwan, in both roles: who has the key, who insists on it."""
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
