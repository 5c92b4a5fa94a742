#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cygnet pki, from the outside: what it makes is judged by OpenSSL and, where it is installed, by strongSwan's pki tool.

    test_pki.py CYGNET

STRONGSWAN_PKI may name strongSwan's tool.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

CYGNET = os.path.abspath(sys.argv[1])
STRONGSWAN = os.environ.get("STRONGSWAN_PKI") or shutil.which("pki")
KEY_TYPES = {
    "ed25519": [], "ed448": ["--type", "ed448"],
    "p256": ["--type", "ecdsa"], "p384": ["--type", "ecdsa", "--size", "384"], "p521": ["--type", "ecdsa", "--size", "521"],
    "rsa": ["--type", "rsa", "--size", "2048"],
}


def run(*words, stdin=None):
    return subprocess.run([str(w) for w in words], input=stdin, capture_output=True, timeout=60, check=False)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.before = os.getcwd()
        os.chdir(self.folder.name)
        self.addCleanup(os.chdir, self.before)

    def pki(self, *words, stdin=None):
        done = run(CYGNET, "pki", *words, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def refused(self, status, *words, stdin=None):
        done = run(CYGNET, "pki", *words, stdin=stdin)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        self.assertEqual(done.stdout, b"")
        return done.stderr.decode()

    def openssl(self, *words):
        done = run("openssl", *words)
        self.assertEqual(done.returncode, 0, done.stderr.decode() + done.stdout.decode())
        return done.stdout.decode()

    def ca(self, name="ca", *key):
        self.pki("gen", *key, "--out", f"{name}.key")
        self.pki("self", "--in", f"{name}.key", "--dn", f"C=CH, O=Lab, CN={name}", "--ca", "--out", f"{name}.pem")


class Made(Case):
    def test_every_kind_of_key_certifies_and_is_certified(self):
        for name, words in KEY_TYPES.items():
            with self.subTest(name):
                self.ca(name, *words)
                self.pki("gen", *words, "--out", f"{name}-ee.key")
                request = self.pki("req", "--in", f"{name}-ee.key", "--dn", f"CN={name}-ee", "--san", f"{name}.example.org",
                                   "--san", "192.0.2.7", "--san", "2001:db8::7", "--san", "who@example.org")
                self.pki("issue", "--in", "-", "--cacert", f"{name}.pem", "--cakey", f"{name}.key", "--flag", "serverAuth",
                         "--out", f"{name}-ee.pem", stdin=request.encode())
                self.openssl("pkey", "-in", f"{name}-ee.key", "-check", "-noout")
                self.openssl("verify", "-x509_strict", "-CAfile", f"{name}.pem", f"{name}-ee.pem")
                text = self.openssl("x509", "-in", f"{name}-ee.pem", "-noout", "-text")
                self.assertIn(f"DNS:{name}.example.org, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7, "
                              "email:who@example.org", text)
                self.assertIn("TLS Web Server Authentication, ipsec Internet Key Exchange", text)
                self.assertIn("CA:TRUE", self.openssl("x509", "-in", f"{name}.pem", "-noout", "-text"))
                out = self.pki("verify", "--in", f"{name}-ee.pem", "--cacert", f"{name}.pem", "--id", f"{name}.example.org")
                self.assertEqual(out, f"valid: certificate of CN={name}-ee\n")

    @unittest.skipUnless(STRONGSWAN, "strongSwan's pki is not installed")
    def test_strongswan_reads_and_trusts_them(self):
        for name, words in KEY_TYPES.items():
            with self.subTest(name):
                self.ca(name, *words)
                self.pki("gen", "--out", "ee.key", "--force")
                self.pki("issue", "--in", "ee.key", "--dn", "C=CH, O=Lab, CN=ee", "--san", "ee.example.org", "--cacert",
                         f"{name}.pem", "--cakey", f"{name}.key", "--serial", "0a0b", "--crl", "http://crl.example.org/",
                         "--out", "ee.pem", "--force")
                done = run(STRONGSWAN, "--verify", "--in", "ee.pem", "--cacert", f"{name}.pem")
                self.assertEqual(done.returncode, 0, done.stderr.decode())
                text = run(STRONGSWAN, "--print", "--in", "ee.pem").stdout.decode()
                for line in ('subject:  "C=CH, O=Lab, CN=ee"', "serial:    0a:0b", "altNames:  ee.example.org",
                             "CRL URIs:  http://crl.example.org/"):
                    self.assertIn(line, text)
                ids = run(STRONGSWAN, "--keyid", "--in", f"{name}.key", "--type", "priv").stdout.decode().replace(":", "")
                self.assertIn(self.pki("keyid", "--in", f"{name}.key", "--id", "spk").strip(), ids)
                self.assertIn(self.pki("keyid", "--in", f"{name}.key", "--id", "spki").strip(), ids)

    @unittest.skipUnless(STRONGSWAN, "strongSwan's pki is not installed")
    def test_strongswans_are_read_and_trusted(self):
        def swan(out, *words):
            done = run(STRONGSWAN, *words)
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            with open(out, "wb") as file:
                file.write(done.stdout)

        for kind, form in (("ed25519", "pem"), ("rsa", "der"), ("ecdsa", "pem")):
            with self.subTest(kind):
                swan("ca.key", "--gen", "--type", kind, "--outform", form)
                swan("ca.crt", "--self", "--in", "ca.key", "--type", "priv", "--dn", "C=CH, CN=ca", "--ca", "--outform", form)
                swan("ee.key", "--gen", "--type", kind, "--outform", form)
                swan("ee.req", "--req", "--in", "ee.key", "--type", "priv", "--dn", "C=CH, CN=ee", "--san", "ee.example.org",
                     "--outform", form)
                swan("ee.crt", "--issue", "--in", "ee.req", "--type", "pkcs10", "--cacert", "ca.crt", "--cakey", "ca.key",
                     "--outform", form)
                self.pki("verify", "--in", "ee.crt", "--cacert", "ca.crt", "--id", "ee.example.org")
                self.pki("issue", "--in", "ee.req", "--cacert", "ca.crt", "--cakey", "ca.key", "--out", "ours.pem", "--force")
                self.pki("verify", "--in", "ours.pem", "--cacert", "ca.crt", "--id", "ee.example.org")

    def test_der_is_written_when_asked_for(self):
        self.pki("gen", "--outform", "der", "--out", "key.der")
        self.pki("self", "--in", "key.der", "--dn", "CN=x", "--outform", "der", "--out", "x.der")
        self.openssl("x509", "-inform", "der", "-in", "x.der", "-noout")
        self.pki("pub", "--in", "x.der", "--outform", "der", "--out", "pub.der")
        self.openssl("pkey", "-pubin", "-inform", "der", "-in", "pub.der", "-noout")

    def test_a_lifetime_is_kept_and_by_itself_ends_with_the_ca(self):
        self.pki("gen", "--out", "ca.key")
        self.pki("self", "--in", "ca.key", "--dn", "CN=ca", "--ca", "--lifetime", "10", "--out", "ca.pem")
        self.openssl("x509", "-in", "ca.pem", "-noout", "-checkend", str(9 * 86400))
        self.assertNotEqual(run("openssl", "x509", "-in", "ca.pem", "-noout", "-checkend", str(11 * 86400)).returncode, 0)
        words = ["issue", "--in", "ca.key", "--cacert", "ca.pem", "--cakey", "ca.key", "--dn", "CN=x"]
        self.pki(*words, "--out", "x.pem")
        end = ["x509", "-noout", "-enddate", "-in"]
        self.assertEqual(self.openssl(*end, "x.pem"), self.openssl(*end, "ca.pem"))
        done = run(CYGNET, "pki", *words, "--lifetime", "20", "--out", "y.pem")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"outlives its CA", done.stderr)

    def test_options_work_with_dashes_before_the_command_as_well(self):
        self.assertIn("PRIVATE KEY", self.pki("--gen"))


class Files(Case):
    def test_private_keys_are_readable_for_their_owner_only(self):
        os.umask(0)
        self.pki("gen", "--out", "a.key")
        self.assertEqual(stat.S_IMODE(os.stat("a.key").st_mode), 0o600)
        with open("b.key", "w", encoding="ascii") as file:
            file.write("old")
        os.chmod("b.key", 0o666)
        self.assertIn("b.key: exists already; --force overwrites it", self.refused(1, "gen", "--out", "b.key"))
        with open("b.key", encoding="ascii") as file:
            self.assertEqual(file.read(), "old")
        self.pki("gen", "--out", "b.key", "--force")
        self.assertEqual(stat.S_IMODE(os.stat("b.key").st_mode), 0o600)
        self.assertEqual(sorted(os.listdir(".")), ["a.key", "b.key"])

    def test_errors_name_the_file_and_what_was_expected(self):
        self.ca()
        with open("junk", "w", encoding="ascii") as file:
            file.write("nothing\n")
        open("empty", "w", encoding="ascii").close()
        rows = (
            (("self", "--in", "ca.pem", "--dn", "CN=x"),
             'ca.pem: expected a private key in PEM or DER, found a PEM block "CERTIFICATE"'),
            (("self", "--in", "junk", "--dn", "CN=x"), "junk: expected a private key in PEM or DER, found something else"),
            (("self", "--in", "missing", "--dn", "CN=x"), "missing: cannot be opened: No such file or directory"),
            (("self", "--in", "empty", "--dn", "CN=x"), "empty: is empty"),
            (("self", "--in", "/", "--dn", "CN=x"), "/: cannot be read: Is a directory"),
            (("issue", "--in", "ca.key", "--dn", "CN=x", "--cacert", "ca.key", "--cakey", "ca.key"),
             'ca.key: expected a certificate in PEM or DER, found a PEM block "PRIVATE KEY"'),
            (("issue", "--in", "junk", "--dn", "CN=x", "--cacert", "ca.pem", "--cakey", "ca.key"),
             "junk: expected a public key, a certificate request or a private key, found something else"),
            (("verify", "--in", "ca.key"), 'ca.key: expected a certificate, perhaps with its CAs behind it, in PEM or DER, '
             'found a PEM block "PRIVATE KEY"'),
            (("verify", "--in", "ca.pem", "--crl", "ca.pem"),
             'ca.pem: expected a certificate revocation list in PEM or DER, found a PEM block "CERTIFICATE"'),
            (("print", "--in", "junk"), "junk: expected a key, a certificate or a certificate request, found something else"),
            (("gen", "--out", "no/such/folder"), "no/such/folder: cannot be written: No such file or directory"),
        )
        for words, text in rows:
            with self.subTest(" ".join(words)):
                self.assertIn(text, self.refused(1, *words))

    def test_encrypted_keys_need_their_passphrase(self):
        self.pki("gen", "--out", "plain.key")
        self.openssl("pkcs8", "-topk8", "-in", "plain.key", "-out", "closed.key", "-passout", "pass:secret")
        for name, text in (("right", "secret\n"), ("wrong", "other\n")):
            with open(name, "w", encoding="ascii") as file:
                file.write(text)
        words = ["self", "--in", "closed.key", "--dn", "CN=x"]
        self.assertIn("closed.key: the private key is encrypted; give --passphrase-file FILE", self.refused(1, *words))
        self.assertIn("the passphrase does not open it", self.refused(1, *words, "--passphrase-file", "wrong"))
        self.pki(*words, "--passphrase-file", "right")
        self.assertEqual(self.pki("keyid", "--in", "closed.key", "--passphrase-file", "right"),
                         self.pki("keyid", "--in", "plain.key"))


class Wrong(Case):
    def test_wrong_words_are_said_so(self):
        self.pki("gen", "--out", "k")
        rows = (
            ((), "usage: cygnet pki COMMAND"),
            (("make",), 'no command "make"'),
            (("gen", "--dn", "CN=x"), "`cygnet pki gen --help` lists the options"),
            (("gen", "--type", "dsa"), '--type "dsa" is not possible: take ed25519, ed448, ecdsa or rsa'),
            (("gen", "--type", "rsa", "--size", "1024"), "--size 1024 is not possible for rsa keys"),
            (("gen", "--type", "ecdsa", "--size", "257"), "--size 257 is not possible for ecdsa keys"),
            (("gen", "--size", "256"), "--size 256 is not possible for ed25519 keys"),
            (("gen", "--size", "many"), '--size "many" is not possible'),
            (("gen", "--outform", "txt"), '--outform "txt" is not possible'),
            (("gen", "key.pem"), '"key.pem" belongs to no option'),
            (("self", "--in", "k"), "--dn is missing"),
            (("self", "--in", "k", "--dn", "moon"), "a distinguished name cannot be read"),
            (("self", "--in", "k", "--dn", "CN=x", "--san", "%any"), '--san "%any": an alternative name of a type'),
            (("self", "--in", "k", "--dn", "CN=x", "--flag", "fast"), '--flag "fast" is not possible'),
            (("self", "--in", "k", "--dn", "CN=x", "--digest", "md5"), '--digest "md5" is not possible'),
            (("self", "--in", "k", "--dn", "CN=x", "--serial", "xyz"), '--serial "xyz" is no hexadecimal number'),
            (("self", "--in", "k", "--dn", "CN=x", "--pathlen", "1"), "--pathlen is for CAs: give --ca as well"),
            (("self", "--in", "k", "--dn", "CN=x", "--lifetime", "0"), '--lifetime "0" is not possible'),
            (("issue", "--in", "k", "--dn", "CN=x"), "the CA is missing"),
            (("req", "--in", "k"), "--dn or --san is missing"),
            (("keyid", "--in", "k", "--id", "md5"), '--id "md5" is not possible: take spk or spki'),
        )
        for words, text in rows:
            with self.subTest(" ".join(words)):
                self.assertIn(text, self.refused(2, *words))

    def test_a_ca_has_to_be_one_and_to_have_its_key(self):
        self.ca()
        self.pki("gen", "--out", "x.key")
        words = ["issue", "--in", "x.key", "--dn", "CN=x"]
        self.pki(*words, "--cacert", "ca.pem", "--cakey", "ca.key", "--out", "x.pem")
        self.assertIn("do not belong together", self.refused(1, *words, "--cacert", "ca.pem", "--cakey", "x.key"))
        self.assertIn("may not issue certificates", self.refused(1, *words, "--cacert", "x.pem", "--cakey", "x.key"))
        self.assertIn("of a type that certificates do not have",
                      self.refused(1, *words, "--san", "*.example.org", "--cacert", "ca.pem", "--cakey", "ca.key"))


class Shown(Case):
    def test_json_says_what_the_text_says(self):
        self.ca()
        self.pki("gen", "--out", "x.key")
        self.pki("issue", "--in", "x.key", "--dn", 'CN=a "quoted" name', "--san", "x.example.org", "--cacert", "ca.pem",
                 "--cakey", "ca.key", "--out", "x.pem")
        with open("both.pem", "w", encoding="ascii") as both:
            for name in ("x.pem", "ca.pem"):
                with open(name, encoding="ascii") as file:
                    both.write(file.read())
        shown = json.loads(self.pki("print", "--in", "both.pem", "--json"))
        self.assertEqual([c["issuer"] for c in shown], ["C=CH, O=Lab, CN=ca"] * 2)
        self.assertEqual(shown[0]["alt_names"], ["x.example.org"])
        self.assertEqual(shown[1]["flags"], ["CA", "self-signed", "keyCertSign", "cRLSign"])
        text = self.pki("print", "--in", "both.pem")
        for cert in shown:
            for fact in ("serial", "not_after", "key_sha1", "spki_sha1", "sha256"):
                self.assertIn(cert[fact], text)
        print_sha256 = self.openssl("x509", "-in", "x.pem", "-noout", "-fingerprint", "-sha256")
        self.assertEqual(print_sha256.split("=")[1].strip().replace(":", "").lower(), shown[0]["sha256"])
        key = json.loads(self.pki("print", "--in", "x.key", "--json"))
        self.assertEqual((key["key"], key["type"], key["key_sha1"]), ("private", "ed25519", shown[0]["key_sha1"]))

    def test_verdicts_say_why(self):
        self.ca()
        self.ca("other")
        self.pki("gen", "--out", "x.key")
        self.pki("issue", "--in", "x.key", "--dn", "CN=x", "--san", "x.example.org", "--cacert", "ca.pem", "--cakey", "ca.key",
                 "--out", "x.pem")
        verify = ["verify", "--in", "x.pem"]
        self.assertIn("is issued by C=CH, O=Lab, CN=ca, which is not a trusted CA here (none is loaded)", self.refused(1, *verify))
        self.assertIn("(loaded: C=CH, O=Lab, CN=other)", self.refused(1, *verify, "--cacert", "other.pem"))
        self.assertIn("certificate of CN=x is not for y.example.org; its names besides the subject: x.example.org",
                      self.refused(1, *verify, "--cacert", "ca.pem", "--id", "y.example.org"))
        self.assertEqual(self.pki(*verify, "--cacert", "other.pem", "--cacert", "ca.pem"), "valid: certificate of CN=x\n")
        self.assertEqual(self.pki("verify", "--in", "ca.pem"), "valid: certificate of C=CH, O=Lab, CN=ca, which is self-signed\n")

    def test_every_command_has_help(self):
        for command in ("gen", "self", "issue", "req", "print", "pub", "keyid", "verify"):
            self.assertIn(f"usage: cygnet pki {command} [OPTION ...]", self.pki(command, "--help"))
            self.assertIn(command, self.pki("--help"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
