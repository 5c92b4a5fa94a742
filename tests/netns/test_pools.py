# SPDX-License-Identifier: Apache-2.0
"""Virtual addresses out of pools: cygnet as client and server, and each with Debian's strongSwan at the other end."""
import json
import shutil

import strongswan
from cases import SECRET, Skip, case, cases, gateways
from lab import Cygnet, check, run, wait_for
from test_cygnet import crash

IKE, ESP = "aes128gcm16-prfsha256-curve25519", "aes128gcm16"


def end_config(name, me, peer, conn, local_ts, remote_ts, pools=""):
    remote_id = f"id = {peer}.example.org" if peer else ""
    return f"""connections {{
    {name} {{
        version = 2
        proposals = {IKE}
        {conn}
        local {{
            auth = psk
            id = {me}.example.org
        }}
        remote {{
            auth = psk
            {remote_id}
        }}
        children {{
            net {{
                local_ts = {local_ts}
                remote_ts = {remote_ts}
                esp_proposals = {ESP}
            }}
        }}
    }}
}}
secrets {{
    ike-all {{
        secret = "{SECRET}"
    }}
}}
{pools}
"""


def server_config(addrs="10.3.0.0/29", conn="", more="", names="office", attributes=""):
    """b gives addresses to whoever knows the secret."""
    pools = f"pools {{\n office {{\n addrs = {addrs}\n dns = 10.2.0.53\n{attributes} }}\n{more}\n}}"
    return end_config("rw", "b", "", f"local_addrs = %any\npools = {names}\n{conn}", "10.2.0.0/24, fd02::/64", "dynamic", pools)


def client_config(me, conn="", vips="0.0.0.0", server="192.0.2.2"):
    return end_config("home", me, "b", f"remote_addrs = {server}\nvips = {vips}\n{conn}", "dynamic", "10.2.0.0/24, fd02::/64")


def third(lab, b):
    """A further client, on a link of its own to b."""
    c = lab.host("c")
    lab.link(c, "198.51.100.1/24", b, "198.51.100.2/24")
    return c


def vips(end, key="local-vips"):
    return [addr for _, sa in end.sas() for addr in sa.get(key, [])]


def has_address(host, addr):
    return f" {addr}/" in host.run("ip", "-brief", "address") or f" {addr} " in host.run("ip", "-brief", "address")


def leases(server):
    return {lease["address"]: (lease["identity"], lease["status"]) for pool in json.loads(server.cygnet("list", "--pools", "--leases", "--json"))
            for _, section in pool.items() for lease in section["leases"].values()}


@case
def a_client_gets_an_address_and_uses_it(lab):
    a, b = gateways(lab)
    server = b.cygnet(server_config(attributes="domain = corp.example.org, lab.example.org\n"))
    client = a.cygnet(client_config("a"))
    client.cygnet("up", "net")
    check(vips(client) == ["10.3.0.1"] and vips(server, "remote-vips") == ["10.3.0.1"], f"{client.sas()} {server.sas()}")
    check(has_address(a, "10.3.0.1"), a.run("ip", "address"))
    check(client.sas()[0][1]["dns"] == ["10.2.0.53"], f"{client.sas()}")
    check(a.pings("10.2.0.1") == 3, "without a source of its own ping takes the virtual address")
    check(a.pings("10.2.0.1", source="10.3.0.1") == 3, "pings from the virtual address")
    check(b.pings("10.3.0.1", source="10.2.0.1") == 3, "the server reaches the client by its virtual address")
    check(client.resolv_conf.read_text().startswith("# cygnet") and "nameserver 10.2.0.53\n" in client.resolv_conf.read_text(), client.resolv_conf.read_text())
    check(client.sas()[0][1]["dns-domains"] == "corp.example.org lab.example.org", f"{client.sas()}")
    check(server.children()[0]["remote-ts"] == ["10.3.0.1"], f"{server.children()}")
    check(leases(server) == {"10.3.0.1": ("a.example.org", "online")}, f"{leases(server)}")
    out = server.swanctl("--list-pools", "--leases")
    check("office" in out and "1 / 0 / 6" in out and "10.3.0.1" in out and "a.example.org" in out, out)
    check("10.3.0.1" in server.swanctl("--list-sas"), server.swanctl("--list-sas"))
    client.cygnet("rekey", "--ike", "home")
    wait_for("one IKE SA after rekeying", lambda: len(client.sas()) == 1 and len(server.sas()) == 1, 15)
    check(vips(client) == ["10.3.0.1"] and vips(server, "remote-vips") == ["10.3.0.1"], "rekeying keeps the address")
    check(a.pings("10.2.0.1") == 3, "after rekeying")
    client.cygnet("down", "--ike", "home")
    wait_for("the address to go", lambda: not has_address(a, "10.3.0.1"))
    check(client.resolv_conf.read_text() == "nameserver 192.0.2.53\n", client.resolv_conf.read_text())
    wait_for("the lease to be free", lambda: leases(server) == {"10.3.0.1": ("a.example.org", "offline")})


@case
def both_families_come_together(lab):
    a, b = gateways(lab)
    server = b.cygnet(server_config(more="six {\n addrs = fd03::/64\n dns = fd02::53\n }", names="office, six"))
    client = a.cygnet(client_config("a", vips="0.0.0.0, ::"))
    client.cygnet("up", "net")
    check(vips(client) == ["10.3.0.1", "fd03::1"], f"{client.sas()}")
    check(a.pings("10.2.0.1") == 3 and a.pings("fd02::1") == 3, "pings in both families")
    check(server.cygnet("list", "--pools").count("online = 1") == 2, server.cygnet("list", "--pools"))


@case
def a_lease_is_kept_and_a_full_pool_says_so(lab):
    a, b = gateways(lab)
    c = third(lab, b)
    server = b.cygnet(server_config(addrs="10.3.0.1-10.3.0.2"))
    first, second = a.cygnet(client_config("a")), c.cygnet(client_config("c", server="198.51.100.2"))
    first.cygnet("up", "net")
    first.cygnet("down", "--ike", "home")
    second.cygnet("up", "net")
    check(vips(second) == ["10.3.0.2"], f"the address of a is not taken while another one is unused: {vips(second)}")
    first.cygnet("up", "net")
    check(vips(first) == ["10.3.0.1"], "the same identity gets the same address")
    out = server.swanctl("--list-pools")
    check("2 / 0 / 2" in out, out)
    # a third identity finds nothing
    first.stop()
    wait_for("a to be gone", lambda: leases(server)["10.3.0.1"][1] == "offline")
    other = a.cygnet(client_config("d"))
    other.cygnet("up", "net")
    check(vips(other) == ["10.3.0.1"], "the longest free one goes to somebody else at last")
    server.configure(server_config(addrs="10.3.0.1-10.3.0.1"))
    second.cygnet("down", "--ike", "home")
    server.cygnet("reload")
    out = second.cygnet("up", "net", check_status=False)
    check("no virtual address" in out, out)
    wait_for("no IKE SA without an address", lambda: not second.sas())
    server.wait_log("no virtual address is left for the peer: c.example.org asks for an IPv4 address; pool office has 1 addresses, 1 are in use")
    out = server.swanctl("--list-pools")
    check("1 / 0 / 1" in out, out)


@cases([("stopped", Cygnet.stop), ("killed", crash)])
def leases_outlive_the_daemon(lab, how):
    a, b = gateways(lab)
    c = third(lab, b)
    server = b.cygnet(server_config())
    first, second = a.cygnet(client_config("a")), c.cygnet(client_config("c", server="198.51.100.2"))
    first.cygnet("up", "net")
    wait_for("the lease on disk", lambda: "a.example.org" in run("sqlite3", server.run_dir / "state/leases/leases.sqlite", "SELECT identity_text FROM lease"), 5)
    first.stop()
    how(server)
    wait_for("the server's processes to end", lambda: "4500" not in b.run("ss", "-Huln"))
    server = b.cygnet(server_config())
    check(leases(server) == {"10.3.0.1": ("a.example.org", "offline")}, f"{leases(server)}")
    second.cygnet("up", "net")
    check(vips(second) == ["10.3.0.2"], "the address of a is not given to c while another one is unused")
    first = a.cygnet(client_config("a"))
    first.cygnet("up", "net")
    check(vips(first) == ["10.3.0.1"], "the same identity has its address again after a restart of the server")
    mode = (server.run_dir / "state/leases").stat().st_mode & 0o777
    check(mode == 0o700, f"the directory of leases may be read by others: {mode:o}")


@case
def a_pool_goes_when_its_addresses_are_free(lab):
    if not shutil.which("swanctl"):
        raise Skip("swanctl is not installed")
    a, b = gateways(lab)
    server, client = b.cygnet(server_config()), a.cygnet(client_config("a"))
    client.cygnet("up", "net")
    server.configure(server_config().split("pools {")[0])
    out = run("env", f"SWANCTL_DIR={server.etc}", "swanctl", "--load-pools", "--uri", server.vici, "--file", server.etc / "swanctl.conf", check_status=False)
    check("1 addresses of pool \"office\" are in use" in out, out)
    server.cygnet("reload")   # what the operator took out of the file goes, but not before its last address
    check(a.pings("10.2.0.1") == 3 and "1 / 0 / 6" in server.swanctl("--list-pools"), server.swanctl("--list-pools"))
    client.cygnet("down", "--ike", "home")
    wait_for("the pool to go", lambda: "office" not in server.swanctl("--list-pools"))
    check("no virtual address" in client.cygnet("up", "net", check_status=False), "nothing is given any more")


def strongswan_or_skip():
    if not strongswan.present():
        raise Skip("strongSwan (charon-systemd, swanctl) is not installed")


@cases([("ipv4", "0.0.0.0", ["10.3.0.1"]), ("both", "0.0.0.0, ::", ["10.3.0.1", "fd03::1"])])
def strongswan_takes_our_addresses(lab, asked, given):
    strongswan_or_skip()
    a, b = gateways(lab)
    server = b.cygnet(server_config(conn="encap = yes", more="six {\n addrs = fd03::/64\n }", names="office, six"))
    client = a.strongswan(client_config("a", conn="encap = yes", vips=asked))
    for _ in range(2):   # the second time with the lease of the first
        client.swanctl("--initiate", "--child", "net", "--timeout", "10")
        check(vips(server, "remote-vips") == given, f"{server.sas()}")
        out = client.swanctl("--list-sas", "--raw")
        check(all(addr in out for addr in given), out)
        check(a.pings("10.2.0.1", source="10.3.0.1") == 3, "pings through strongSwan's virtual address")
        client.swanctl("--terminate", "--ike", "home")
        wait_for("the SA to go", lambda: not server.sas())
    check(leases(server)["10.3.0.1"] == ("a.example.org", "offline"), f"{leases(server)}")


@case
def strongswan_hears_that_the_pool_is_empty(lab):
    strongswan_or_skip()
    a, b = gateways(lab)
    c = third(lab, b)
    server = b.cygnet(server_config(addrs="10.3.0.1-10.3.0.1", conn="encap = yes"))
    first = c.cygnet(client_config("c", server="198.51.100.2", conn="encap = yes"))
    first.cygnet("up", "net")
    client = a.strongswan(client_config("a", conn="encap = yes"))
    client.swanctl("--initiate", "--child", "net", "--timeout", "10", check_status=False)
    client.wait_log("INTERNAL_ADDRESS_FAILURE")
    check(len(server.children()) == 1, f"{server.children()}")


@case
def strongswan_gives_us_an_address(lab):
    strongswan_or_skip()
    a, b = gateways(lab)
    server = b.strongswan(server_config(conn="encap = yes"))
    client = a.cygnet(client_config("a", conn="encap = yes"))
    for _ in range(2):
        client.cygnet("up", "net")
        check(vips(client) == ["10.3.0.1"] and client.sas()[0][1]["dns"] == ["10.2.0.53"], f"{client.sas()}")
        check(a.pings("10.2.0.1") == 3, "pings to strongSwan's network")
        out = server.swanctl("--list-pools", "--leases")
        check("10.3.0.1" in out and "online" in out, out)
        client.cygnet("down", "--ike", "home")
        wait_for("the address to go", lambda: not has_address(a, "10.3.0.1"))
