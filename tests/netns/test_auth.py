# SPDX-License-Identifier: Apache-2.0
"""Authentication against Debian's strongSwan: rounds, raw public keys, choice among connections, lifetimes of authentication."""

import strongswan
from cases import SECRET, Certificates, Skip, cases, case, config, gateways, traffic
from lab import Failure, check, run, wait_for

IKE, ESP = "aes128gcm16-prfsha256-curve25519", "aes128gcm16"
OF = {"a": "192.0.2.1", "b": "192.0.2.2"}
NET = {"a": "10.1.0.0/24", "b": "10.2.0.0/24"}
SECRETS = f"""secrets {{
    ike-gw {{
        id-1 = a.example.org
        id-2 = b.example.org
        secret = "{SECRET}"
    }}
}}
"""


def connection(me, peer, rounds, name="gw", addrs=None, more="", child="net4"):
    """A connection whose sections local*, remote* are given as {name: lines}."""
    sections = "\n".join(f"        {section} {{\n            {lines}\n        }}" for section, lines in rounds.items())
    return f"""connections {{
    {name} {{
        version = 2
        local_addrs = {OF[me]}
        remote_addrs = {addrs or OF[peer]}
        proposals = {IKE}
        encap = yes
        {more}
{sections}
        children {{
            {child} {{
                local_ts = {NET[me]}
                remote_ts = {NET[peer]}
                esp_proposals = {ESP}
            }}
        }}
    }}
}}
"""


def need_strongswan():
    if not strongswan.present():
        raise Skip("strongSwan (charon-systemd, swanctl) is not installed")


def start(lab, a_conf, b_conf, files=None):
    """cygnet is a, strongSwan is b."""
    need_strongswan()
    a, b = gateways(lab)
    files = files or {"a": {}, "b": {}}
    peer = b.strongswan(b_conf + SECRETS, files["b"])
    ours = a.cygnet(a_conf + SECRETS, files["a"])
    return a, b, ours, peer


def bring_up(ours, peer, ours_initiates, child="net4"):
    if ours_initiates:
        ours.cygnet("up", child)
    else:
        peer.swanctl("--initiate", "--child", child, "--timeout", "10")
    wait_for("the child", lambda: len(ours.children()) == 1)


# What one end has as its rounds, and how the other one demands them.
PROVES = {"psk": "auth = psk", "cert": "auth = pubkey\n            certs = {me}.pem"}
DEMANDS = {"psk": "auth = psk", "cert": "auth = pubkey"}


def rounds(me, peer, mine, theirs):
    out = {}
    for number, kind in enumerate(mine, 1):
        out[f"local-{number}"] = f"round = {number}\n            id = {me}.example.org\n            " + PROVES[kind].format(me=me)
    for number, kind in enumerate(theirs, 1):
        out[f"remote-{number}"] = f"round = {number}\n            id = {peer}.example.org\n            " + DEMANDS[kind]
    return out


ROUNDS = [(("psk", "cert"), ("cert",)), (("cert", "psk"), ("cert", "psk")), (("psk",), ("cert",)), (("cert",), ("psk",)), (("cert",), ("psk", "cert"))]


@cases([(f"{'+'.join(a)}-{'+'.join(b)}-{'cygnet' if ours else 'strongswan'}-initiates", a, b, ours) for a, b in ROUNDS for ours in (True, False)])
def several_rounds(lab, of_a, of_b, ours_initiates):
    """RFC 4739 test: and hybrids of secret and certificate, in one round or several."""
    need_strongswan()
    certs = Certificates(lab)
    a, b, ours, peer = start(lab, connection("a", "b", rounds("a", "b", of_a, of_b)), connection("b", "a", rounds("b", "a", of_b, of_a)),
                             {"a": certs.files("a", "b"), "b": certs.files("b", "a")})
    bring_up(ours, peer, ours_initiates)
    traffic(a, b)


@case
def a_round_too_few_is_told(lab):
    need_strongswan()
    certs = Certificates(lab)
    _, _, ours, peer = start(lab, connection("a", "b", rounds("a", "b", ("psk",), ("psk", "cert"))),
                             connection("b", "a", rounds("b", "a", ("psk",), ("psk",))),
                             {"a": certs.files("a", "b"), "b": certs.files("b", "a")})
    peer.swanctl("--initiate", "--child", "net4", "--timeout", "5", check_status=False)
    wait_for("the reason", lambda: "rounds" in ours.log())
    check(not ours.children(), "a child without the second round")


def key_files(certs, me, peer):
    """A private key of one's own, and both public ones."""
    out = {f"private/{me}.key": (certs.dir / f"{me}.key").read_bytes()}
    for name in (me, peer):
        out[f"pubkey/{name}.pub"] = run("openssl", "pkey", "-in", certs.dir / f"{name}.key", "-pubout").encode()
    return out


@cases([(f"{kind}-{'cygnet' if ours else 'strongswan'}-initiates", kind, ours) for kind in ("ed25519", "ecdsa-256", "rsa-3072") for ours in (True, False)])
def raw_public_keys(lab, kind, ours_initiates):
    """RFC 7670 test: no certificates at all."""
    need_strongswan()
    certs = Certificates(lab, kind)

    def sections(me, peer):
        return {"local": f"auth = pubkey\n            id = {me}.example.org\n            pubkeys = {me}.pub",
                "remote": f"auth = pubkey\n            id = {peer}.example.org\n            pubkeys = {peer}.pub"}
    a, b, ours, peer = start(lab, connection("a", "b", sections("a", "b")), connection("b", "a", sections("b", "a")),
                             {"a": key_files(certs, "a", "b"), "b": key_files(certs, "b", "a")})
    bring_up(ours, peer, ours_initiates)
    traffic(a, b)


@case
def raw_public_keys_travel_between_cygnets(lab):
    a, b = gateways(lab)
    certs = Certificates(lab)

    def sections(me, peer):
        return {"local": f"auth = pubkey\n            id = {me}.example.org\n            pubkeys = {me}.pub",
                "remote": f"auth = pubkey\n            id = {peer}.example.org\n            pubkeys = {peer}.pub"}
    other = b.cygnet(connection("b", "a", sections("b", "a")), key_files(certs, "b", "a"))
    ours = a.cygnet(connection("a", "b", sections("a", "b")), key_files(certs, "a", "b"))
    ours.cygnet("up", "net4")
    wait_for("the child", lambda: len(other.children()) == 1)
    traffic(a, b)


@case
def an_unknown_raw_key_is_told(lab):
    a, b = gateways(lab)
    certs = Certificates(lab)

    def sections(me, peer, wanted):
        return {"local": f"auth = pubkey\n            id = {me}.example.org\n            pubkeys = {me}.pub",
                "remote": f"auth = pubkey\n            id = {peer}.example.org\n            pubkeys = {wanted}.pub"}
    other = b.cygnet(connection("b", "a", sections("b", "a", "b")), key_files(certs, "b", "a"))
    ours = a.cygnet(connection("a", "b", sections("a", "b", "b")), key_files(certs, "a", "b"))
    try:
        ours.cygnet("up", "net4")
    except Failure:
        pass
    wait_for("the reason", lambda: "raw public key" in other.log() and "key id" in other.log())
    check(not ours.children(), "a child with an unknown key")


@case
def unknown_peers_come_in_where_that_is_allowed_by_name(lab):
    """RFC 7619 test: the client stays unknown, the server proves itself."""
    a, b = gateways(lab)
    certs = Certificates(lab)
    other = b.cygnet(connection("b", "a", {"local": "auth = pubkey\n            id = b.example.org\n            certs = b.pem", "remote": "auth = null"}),
                     certs.files("b", "a"))
    ours = a.cygnet(connection("a", "b", {"local": "auth = null", "remote": "auth = pubkey\n            id = b.example.org"}), certs.files("a", "b"))
    ours.cygnet("up", "net4")
    wait_for("the child", lambda: len(other.children()) == 1)
    check("nobody knows who the peer is" in other.log(), "it is not said that the peer is unknown")
    traffic(a, b)


@cases([("cygnet-initiates", True), ("strongswan-initiates", False)])
def another_connection_is_meant(lab, ours_initiates):
    """The first guess by address is wrong: identities and ways of authentication tell the connections apart."""
    need_strongswan()
    certs = Certificates(lab)

    def one(me, peer, name, kind, of_peer):
        return connection(me, peer, {"local": f"id = {me}.example.org\n            " + PROVES[kind].format(me=me),
                                     "remote": f"id = {of_peer}\n            " + DEMANDS[kind]}, name=name, child=f"net-{name}")

    def many(me, peer):
        return (one(me, peer, "first", "psk", "somebody.else.org") + one(me, peer, "second", "psk", "*.example.org") +
                one(me, peer, "third", "cert", f"{peer}.example.org"))

    def single(me, peer):
        return one(me, peer, "third", "cert", f"{peer}.example.org")
    a_conf, b_conf = (single("a", "b"), many("b", "a")) if ours_initiates else (many("a", "b"), single("b", "a"))
    a, b, ours, peer = start(lab, a_conf, b_conf, {"a": certs.files("a", "b"), "b": certs.files("b", "a")})
    bring_up(ours, peer, ours_initiates, "net-third")
    check(ours.sas()[0][0] == "third", f"the connection is {ours.sas()[0][0]}")
    traffic(a, b)


PSK = {"a": {"local": "auth = psk\n            id = a.example.org", "remote": "auth = psk\n            id = b.example.org"},
       "b": {"local": "auth = psk\n            id = b.example.org", "remote": "auth = psk\n            id = a.example.org"}}


def another_sa(ours, first):
    return first not in [sa["uniqueid"] for _, sa in ours.sas()] and len(ours.children()) >= 1


@case
def the_responder_says_how_long_it_believes(lab):
    """RFC 4478 test: strongSwan hears it and authenticates anew before that; the child stays."""
    limit = "reauth_time = 16s\n        over_time = 4s\n        rand_time = 1s"
    a, b, ours, peer = start(lab, connection("a", "b", PSK["a"], more=limit), connection("b", "a", PSK["b"], more="over_time = 4s"))
    bring_up(ours, peer, False)
    first = ours.sas()[0][1]["uniqueid"]
    check("AUTH_LFT" in peer.log(), "AUTH_LIFETIME was not heard of")
    wait_for("another IKE SA", lambda: another_sa(ours, first), 25)
    check("IKE SA is authenticated anew" not in ours.log(), "the responder has begun")
    traffic(a, b)


@case
def the_initiator_hears_how_long_it_is_believed(lab):
    """RFC 4478 test: strongSwan says it to clients with a virtual address, which only they can ask for again."""
    more = "vips = 0.0.0.0\n        over_time = 4s"
    limit = "pools = few\n        reauth_time = 16s\n        over_time = 4s\n        rand_time = 1s"
    a_conf = connection("a", "b", PSK["a"], more=more).replace(f"local_ts = {NET['a']}", "local_ts = dynamic")
    b_conf = connection("b", "a", PSK["b"], more=limit).replace(f"remote_ts = {NET['a']}", "remote_ts = dynamic")
    _, _, ours, peer = start(lab, a_conf, b_conf + "pools {\n    few {\n        addrs = 10.3.0.0/29\n    }\n}\n")
    bring_up(ours, peer, True)
    first = ours.sas()[0][1]["uniqueid"]
    check("AUTH_LFT" in peer.log(), "strongSwan does not say it")
    check("the peer believes the authentication for" in ours.log(), "AUTH_LIFETIME was not heard of")
    wait_for("another IKE SA", lambda: another_sa(ours, first), 25)
    check("IKE SA is authenticated anew" in ours.log(), "it is not we who have begun")


@cases([("the-one-above", "C=CH, O=tests, CN=intermediate", True), ("another-one", "C=CH, O=tests, CN=somebody", False)])
def a_ca_is_asked_for(lab, ca_id, good):
    certs = Certificates(lab, "ed25519", intermediate=True)
    a, b = gateways(lab)
    there = b.cygnet(config("b", "a", auth="pubkey", remote=f'ca_id = "{ca_id}"'), certs.files("b", "a"))
    here = a.cygnet(config("a", "b", auth="pubkey"), certs.files("a", "b"))
    here.cygnet("up", "net4", check_status=good)
    check(bool(here.children()) == good, "the CA decides")
    if not good:
        check("no CA above the certificate of" in there.log(), "it is said why")
