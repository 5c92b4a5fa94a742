# SPDX-License-Identifier: Apache-2.0
"""Outside judges: tshark and scapy open what was captured, with the keys of the daemon's key log, and find what was sent."""
import os
import pathlib
import re
import shutil

from cases import HOSTS, Skip, case, cases, config, gateways, traffic
from lab import check, run


def keys_of(daemon, directory):
    """The key log as the tables that tshark reads."""
    directory.mkdir()
    tables = {"ike": [], "esp": []}
    for line in daemon.keylog.read_text().splitlines():
        kind, row = line.split(" ", 1)
        tables[kind].append(row)
    check(tables["ike"] and len(tables["esp"]) >= 2, f"the key log is not complete: {tables}")
    (directory / "ikev2_decryption_table").write_text("\n".join(tables["ike"]) + "\n")
    (directory / "esp_sa").write_text("\n".join(tables["esp"]) + "\n")
    return directory


def tshark(path, keys, *words):
    if not shutil.which("tshark"):
        raise Skip("tshark is not installed")
    return run("env", f"WIRESHARK_CONFIG_DIR={keys}", "tshark", "-r", path, "-o", "esp.enable_encryption_decode:TRUE", "-o",
               "esp.enable_authentication_check:TRUE", *words, timeout=60)


def recorded(lab, esp, ike="aes128gcm16-prfsha256-curve25519", outer=4, inner=(4,), conn="encap = yes"):
    a, b = gateways(lab)
    settings = dict(esp=esp, ike=ike, outer=outer, inner=inner, conn=conn)
    b.cygnet(config("b", "a", **settings))
    here = a.cygnet(config("a", "b", **settings), keylog=True)
    capture = a.capture("to-b")
    for family in inner:
        here.cygnet("up", f"net{family}")
    traffic(a, b, inner)
    here.cygnet("rekey", "--ike", "gw")
    traffic(a, b, inner, count=1)
    return capture.stop(), keys_of(here, lab.directory / "wireshark")


@cases([(f"{esp}-{'udp' if conn else 'plain'}-outer{outer}", esp, conn, outer) for esp, conn, outer in
        (("aes128gcm16", "encap = yes", 4), ("aes256gcm16", "", 6), ("aes128-sha256", "", 4), ("aes256-sha512", "encap = yes", 4),
         ("aes128ctr-sha256", "", 4))])
def tshark_finds_the_pings_in_esp(lab, esp, conn, outer):
    path, keys = recorded(lab, esp, conn=conn, outer=outer)
    out = tshark(path, keys, "-Y", "icmp && esp", "-T", "fields", "-e", "ip.src", "-e", "ip.dst", "-e", "icmp.type")
    rows = [row for row in out.splitlines() if "10.1.0.1" in row and "10.2.0.1" in row]
    check(len(rows) == 16, f"{len(rows)} of 16 packets were opened:\n{out}")
    bad = tshark(path, keys, "-Y", "esp.icv_bad == 1 || (_ws.malformed && esp)", "-T", "fields", "-e", "frame.number")
    check(not re.search(r"^[0-9]", bad, re.M), f"tshark finds fault with:\n{bad}")


@cases([(suite, suite) for suite in ("aes128gcm16-prfsha256-curve25519", "aes256-sha384-ecp384", "aes128ctr-sha256-modp2048")])
def tshark_reads_the_key_exchange(lab, suite):
    path, keys = recorded(lab, "aes128gcm16", ike=suite)
    out = tshark(path, keys, "-Y", "isakmp", "-V")
    check("Malformed" not in out, "tshark calls a message malformed")
    check(out.count("Payload: Authentication (39)") == 2, "AUTH payloads are not found behind the encryption")
    check("Payload: Traffic Selector - Initiator (44)" in out and "Payload: Delete (42)" in out, "selectors or the delete are not found")
    check("[correct]" in out or "Integrity Checksum Data" in out, "no integrity check value is seen")


@case
def scapy_opens_a_packet(lab):
    """scapy's own ESP, fed with the key of the log, gives the ping that was sent."""
    try:
        from scapy.all import ESP, IP, SecurityAssociation, rdpcap  # noqa: F401
        python = None
    except ImportError:
        python = "/usr/bin/python3"   # Debian's, where python3-scapy is
    if python and not pathlib.Path("/usr/lib/python3/dist-packages/scapy").exists():
        raise Skip("python3-scapy is not installed")
    path, keys = recorded(lab, "aes128gcm16", conn="")
    row = [re.findall(r'"([^"]*)"', line) for line in (keys / "esp_sa").read_text().splitlines()][0]
    code = f"""
from scapy.all import ESP, IP, SecurityAssociation, rdpcap
sa = SecurityAssociation(ESP, spi={row[3]}, crypt_algo="AES-GCM", crypt_key=bytes.fromhex("{row[5][2:]}"), tunnel_header=IP())
found = [sa.decrypt(p[IP]) for p in rdpcap("{path}") if ESP in p and p[ESP].spi == {row[3]}]
print(len(found), sorted(set((p.src, p.dst, p.proto) for p in found)))
"""
    out = run(python or os.sys.executable, "-c", code)
    check(re.search(r"^[4-9] \[\('10\.[12]\.0\.1', '10\.[12]\.0\.1', 1\)\]", out, re.M), out)


def mode_recorded(lab, mode, esp="aes128gcm16", protocol="esp", outer=4, conn=""):
    """Six pings between the hosts, or between one pair of addresses behind them."""
    from test_modes import host_traffic, hosts_config
    a, b = gateways(lab)
    settings = dict(esp=esp, protocol=protocol, outer=outer, conn=conn, child=f"mode = {mode}\nstrict = mode")
    make = hosts_config if mode == "transport" else (lambda *words, **more: config(*words, nets=HOSTS[4], **more))
    b.cygnet(make("b", "a", **settings))
    here = a.cygnet(make("a", "b", **settings), keylog=True)
    here.cygnet("up", "net4")
    capture = a.capture("to-b")
    host_traffic(a, b, outer) if mode == "transport" else traffic(a, b)
    return capture.stop(), here


@cases([(f"{mode}-{esp}{'-udp' if conn else ''}-outer{outer}", mode, esp, conn, outer) for mode, esp, conn, outer in
        (("transport", "aes128gcm16", "", 4), ("transport", "aes256-sha256", "", 6), ("transport", "aes128gcm16", "encap = yes", 4),
         ("beet", "aes128gcm16", "", 4), ("beet", "aes128-sha256", "encap = yes", 4))])
def tshark_finds_the_pings_of_other_modes(lab, mode, esp, conn, outer):
    path, here = mode_recorded(lab, mode, esp, conn=conn, outer=outer)
    keys = keys_of(here, lab.directory / "wireshark")
    out = tshark(path, keys, "-Y", "esp && (icmp || icmpv6.type == 128 || icmpv6.type == 129)", "-T", "fields", "-e", "frame.number")
    check(len(re.findall(r"^[0-9]+$", out, re.M)) == 12, f"not all of 12 packets were opened:\n{out}")
    bad = tshark(path, keys, "-Y", "esp.icv_bad == 1 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || (_ws.malformed && esp)",
                 "-T", "fields", "-e", "frame.number")
    check(not re.search(r"^[0-9]", bad, re.M), f"tshark finds fault with:\n{bad}")


@cases([(f"{mode}-outer{outer}", mode, outer) for mode in ("transport", "tunnel") for outer in (4, 6)])
def tshark_reads_ah(lab, mode, outer):
    """What is behind AH is plain; the header's length must lead to it."""
    path, here = mode_recorded(lab, mode, "sha256", "ah", outer)
    out = tshark(path, lab.directory, "-Y", "ah && (icmp || icmpv6.type == 128 || icmpv6.type == 129) && !_ws.malformed", "-T", "fields", "-e", "ah.sequence")
    check(len(re.findall(r"^[0-9]+$", out, re.M)) == 12, f"not all of 12 packets were read:\n{out}")


@cases([("ipv4", 4), ("ipv6", 6)])
def tshark_opens_what_gateways_send_in_transport_mode(lab, family):
    """Packets have the hosts' addresses, and ESP behind their own header; in fragments, too, each datagram is sealed whole."""
    from test_modes import FAR, four_hosts
    h1, a, b, h2 = four_hosts(lab)
    settings = dict(inner=(family,), outer=family, child="mode = transport\nstrict = mode")
    b.cygnet(config("b", "a", **settings))
    here = a.cygnet(config("a", "b", **settings), keylog=True)
    here.cygnet("up", f"net{family}")
    h1.pings(FAR[family], size=3000)   # both hosts learn how large fragments may be
    capture = a.capture("to-b")
    for size in (500, 3000):
        check(h1.pings(FAR[family], size=size) == 3, f"pings of {size} bytes do not come back")
    path, keys = capture.stop(), keys_of(here, lab.directory / "wireshark")
    rows = [re.findall(r'"([^"]*)"', line) for line in (keys / "esp_sa").read_text().splitlines()]
    (keys / "esp_sa").write_text("".join(",".join(f'"{field}"' for field in [row[0], "*", "*", *row[3:]]) + "\n" for row in rows))
    out = tshark(path, keys, "-Y", "esp && (icmp || icmpv6.type == 128 || icmpv6.type == 129)", "-T", "fields", "-e", "ip.dst", "-e", "ipv6.dst", "-e",
                 "icmp.checksum.status", "-e", "icmpv6.checksum.status")
    lines = [line for line in out.splitlines() if "10.2.0.5" in line or "10.1.0.5" in line or "fd02::5" in line or "fd01::5" in line]
    check(len(lines) == 12 and all(line.split()[-1] == "1" for line in lines), f"not 12 good packets were opened:\n{out}")
    bad = tshark(path, keys, "-Y", "esp.icv_bad == 1 || (_ws.malformed && esp)", "-T", "fields", "-e", "frame.number")
    check(not re.search(r"^[0-9]", bad, re.M), f"tshark finds fault with:\n{bad}")


@cases([(f"{mode}-outer{outer}", mode, outer) for mode in ("transport", "tunnel") for outer in (4, 6)])
def scapy_verifies_ah(lab, mode, outer):
    """scapy's own AH agrees with each packet's check value, and with none of them when a byte is another."""
    python = "/usr/bin/python3"   # Debian's, where python3-scapy is
    if not pathlib.Path("/usr/lib/python3/dist-packages/scapy").exists():
        raise Skip("python3-scapy is not installed")
    path, here = mode_recorded(lab, mode, "sha256", "ah", outer)
    keys = {}
    for line in here.keylog.read_text().splitlines():
        if line.startswith("esp "):
            row = re.findall(r'"([^"]*)"', line)
            keys[int(row[3], 16)] = row[7]
    check(len(keys) == 2, f"keys of {len(keys)} SAs")
    code = f"""
from scapy.all import AH, IP, IPv6, SecurityAssociation, rdpcap
keys, good, refused = {keys}, 0, 0
for p in rdpcap("{path}"):
    if AH not in p or p[AH].spi not in keys:
        continue
    ip = p[IP] if IP in p and (IPv6 not in p or {outer} == 4) else p[IPv6]
    sa = SecurityAssociation(AH, spi=p[AH].spi, auth_algo="SHA2-256-128", auth_key=bytes.fromhex(keys[p[AH].spi][2:]),
                             tunnel_header={"IP()" if outer == 4 else "IPv6()"} if {mode == "tunnel"} else None)
    sa.decrypt(ip.__class__(bytes(ip)), verify=True)
    good += 1
    other = bytearray(bytes(ip))
    other[-1] ^= 1
    try:
        sa.decrypt(ip.__class__(bytes(other)), verify=True)
    except Exception as error:
        refused += "IPSecIntegrityError" in type(error).__name__
print(good, refused)
"""
    out = run(python, "-c", code)
    check(out.split()[-2:] == ["12", "12"], out)


@case
def tshark_finds_the_payloads_of_ip_tfs(lab):
    """RFC 9347 6.1 test: behind the encryption are sub-type 0, nothing reserved, no packet begun before, a ping, and next header 144."""
    path, here = mode_recorded(lab, "iptfs")
    keys = keys_of(here, lab.directory / "wireshark")
    out = tshark(path, keys, "-Y", "esp", "-T", "fields", "-e", "esp.icv_good", "-e", "data.data")
    rows = re.findall(r"^(?:1|True)\t(00000000450000.*90)$", out, re.M)
    check(len(rows) == 12, f"not all of 12 packets were opened:\n{out}")
