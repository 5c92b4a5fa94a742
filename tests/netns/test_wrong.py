# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in practice, and the exact words that name it: to whoever asked (`cygnet up`), and in the log of the end that decided."""
import subprocess

from cases import Certificates, case, config, gateways
from lab import Failure, check, run

QUICK = ("--retransmit", "0.1/1.5/3")


def pair(lab, a, b, a_files=None, b_files=None):
    hosts = gateways(lab)
    there = hosts[1].cygnet(config("b", "a", **b), b_files or {}, options=QUICK)
    here = hosts[0].cygnet(config("a", "b", **a), a_files or {}, options=QUICK)
    return hosts, here, there


def refused(end, *words):
    out = end.cygnet("up", *words or ("net4",), check_status=False)
    check("failed:" in out, f"it should have failed: {out}")
    return out


def says(text, *parts):
    for part in parts:
        check(part in text, f"\"{part}\" is not said in:\n{text}")


@case
def no_common_ike_proposal(lab):
    _, here, there = pair(lab, {"ike": "aes128gcm16-prfsha256-modp2048"}, {"ike": "aes256gcm16-prfsha256-curve25519"})
    says(refused(here), "the peer finds no common proposal", "(PEER_NO_PROPOSAL, RFC 7296 2.7); compare the proposals on both ends")
    says(there.log(), "IKE_SA_INIT of 192.0.2.1:500 failed: the peer's proposals and ours have nothing in common", "(NO_PROPOSAL_CHOSEN, RFC 7296 2.7)",
         """
      encryption - does not fit
        peer offers  aes128gcm16
        we accept    aes256gcm16
        in common    nothing
""", """
      key exchange - does not fit
        peer offers  modp2048
        we accept    curve25519
        in common    nothing
""", 'add the proposal aes128gcm16-prfsha256-modp2048 to "proposals" here')


@case
def no_common_esp_proposal(lab):
    _, here, there = pair(lab, {"esp": "aes128gcm16"}, {"esp": "aes256-sha256"})
    says(refused(here), "IKE SA is up without a child: the peer finds no common proposal", "(PEER_NO_PROPOSAL, RFC 7296 2.7)")
    says(there.log(), "No ESP proposal in common", "peer offers  aes128gcm16", "we accept    aes256", 'to "esp_proposals" here')


@case
def wrong_secret(lab):
    _, here, there = pair(lab, {"secret": "one"}, {"secret": "another"})
    says(refused(here), "AUTHENTICATION_FAILED")
    says(there.log(), "the peer has another pre-shared key than we have", "compare the secret on both ends")
    check("another\"" not in there.log() and "\"one\"" not in here.log(), "a secret is in a log")


@case
def no_secret_for_these_identities(lab):
    _, here, there = pair(lab, {}, {})
    there.configure(config("b", "a").replace("id-2 = a.example.org", "id-2 = somebody.example.org"))
    there.cygnet("reload")
    refused(here)
    says(there.log(), "no pre-shared key for b.example.org and a.example.org", "somebody.example.org")


@case
def foreign_certificate(lab):
    mine, foreign = Certificates(lab, "ed25519"), Certificates(lab, "ecdsa-256")
    _, here, there = pair(lab, {"auth": "pubkey"}, {"auth": "pubkey"}, {**mine.files("a", "b")}, foreign.files("b", "a"))
    says(refused(here), "AUTHENTICATION_FAILED")
    says(there.log(), "certificate of", "a.example.org", "is not trusted here")


@case
def expired_certificate(lab):
    certs = Certificates(lab, "ed25519")
    certs.pki("issue", "--in", certs.dir / "a.key", "--cacert", certs.dir / "ca.pem", "--cakey", certs.dir / "ca.key", "--dn",
              "C=CH, O=tests, CN=a.example.org", "--san", "a.example.org", "--not-before", "2020-01-01", "--not-after", "2020-02-01", "--force",
              "--out", certs.dir / "a.pem")
    _, here, there = pair(lab, {"auth": "pubkey"}, {"auth": "pubkey"}, certs.files("a", "b"), certs.files("b", "a"))
    says(refused(here), "AUTHENTICATION_FAILED")
    says(there.log(), "expired on 2020-02-01")


@case
def identity_is_not_in_the_certificate(lab):
    certs = Certificates(lab, "ed25519")
    files = certs.files("a", "b")
    hosts = gateways(lab)
    there = hosts[1].cygnet(config("b", "a", auth="pubkey"), certs.files("b", "a"), options=QUICK)
    wrong = config("a", "b", auth="pubkey").replace("certs = a.pem", "certs = other.pem")
    certs.key("other")
    certs.pki("issue", "--in", certs.dir / "other.key", "--cacert", certs.dir / "ca.pem", "--cakey", certs.dir / "ca.key", "--dn",
              "CN=other.example.org", "--san", "other.example.org", "--out", certs.dir / "other.pem")
    files.update({"private/other.key": (certs.dir / "other.key").read_bytes(), "x509/other.pem": (certs.dir / "other.pem").read_bytes()})
    here = hosts[0].cygnet(wrong, files, options=QUICK)
    says(refused(here), "AUTHENTICATION_FAILED")
    says(there.log(), "a.example.org", "other.example.org")


@case
def unexpected_identity(lab):
    _, here, there = pair(lab, {}, {})
    there.configure(config("b", "a").replace("id = a.example.org", "id = c.example.org"))
    there.cygnet("reload")
    says(refused(here), "AUTHENTICATION_FAILED")
    says(there.log(), "a.example.org", "c.example.org")


@case
def selectors_that_do_not_meet(lab):
    hosts = gateways(lab)
    there = hosts[1].cygnet(config("b", "a").replace("remote_ts = 10.1.0.0/24", "remote_ts = 10.9.0.0/24"), options=QUICK)
    here = hosts[0].cygnet(config("a", "b"), options=QUICK)
    says(refused(here), "the peer does not accept our traffic selectors", "compare local_ts here with remote_ts on the peer")
    says(there.log(), "10.1.0.0/24", "10.9.0.0/24", "net4")


@case
def peer_unreachable(lab):
    hosts = gateways(lab)
    here = hosts[0].cygnet(config("a", "b"), options=QUICK)
    says(refused(here), "the peer does not answer", "IKE_SA_INIT to 192.0.2.2:500 was sent 4 times without an answer", "see whether it runs and whether UDP 500 and 4500 pass both ways")


@case
def port_in_use(lab):
    hosts = gateways(lab)
    first = hosts[0].cygnet(config("a", "b"))
    second = hosts[1].lab.directory / "second"
    second.mkdir()
    out = hosts[0].run(lab.build / "src/daemon/cygnetd", "--foreground", "--config", "none", "--vici", f"unix://{second}/vici", "--run-dir", second,
                       "--tun", "cygnet1", check_status=False)
    says(out, "500", "in use", "cygnet")
    check(first.process.poll() is None, "the first daemon was disturbed")


@case
def missing_private_key(lab):
    certs = Certificates(lab, "ed25519")
    files = certs.files("a", "b")
    del files["private/a.key"]
    _, here, there = pair(lab, {"auth": "pubkey"}, {"auth": "pubkey"}, files, certs.files("b", "a"))
    out = refused(here)
    says(out + here.log(), "no private key is loaded for the certificate")


@case
def syntax_error_in_the_file(lab):
    path = lab.directory / "swanctl.conf"
    path.write_text("connections {\n    gw {\n        remote_adrs = 192.0.2.2\n        mediation = yes\n        local { auth = psk }\n        "
                    "remote { auth = psk }\n        rekey_time = soon\n    }\n")
    done = subprocess.run([lab.build / "src/cli/cygnet", "check", path], capture_output=True, text=True)
    check(done.returncode == 1, f"exit status {done.returncode}")
    says(done.stderr, f"{path}:3:9: ", "remote_adrs", "remote_addrs", "^", f"{path}:4:9: ", "not supported yet", f"{path}:7:", "soon", "errors")


@case
def a_daemon_with_a_bad_file_says_so_and_loads_the_rest(lab):
    hosts = gateways(lab)
    good = config("a", "b")
    here = hosts[0].cygnet(good.replace("connections {", "connections {\n    broken {\n        mediation = yes\n        local {\n            auth = psk\n"
                                        "        }\n        remote {\n            auth = psk\n        }\n    }\n", 1), options=QUICK)
    says(here.log(), "mediation", "not supported yet", "swanctl.conf:3:")
    check("gw" in here.cygnet("list", "--conns"), "the good connection was not loaded")
    try:
        here.configure(good.replace("version = 2", "version = two"))
        here.cygnet("reload")
        raise Failure("a bad file was reloaded")
    except Failure as failure:
        says(str(failure), "version", "two")
    check("gw" in here.cygnet("list", "--conns"), "a refused reload took a connection away")


@case
def the_daemon_is_not_there(lab):
    out = run(lab.build / "src/cli/cygnet", "status", "--uri", f"unix://{lab.directory}/nobody", check_status=False)
    says(out, "cannot reach the daemon", "is cygnetd running?")
