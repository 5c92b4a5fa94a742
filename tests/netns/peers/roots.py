# SPDX-License-Identifier: Apache-2.0
"""Where the files of a peer lie: a directory for each Debian release below CYGNET_PEER_ROOTS, made by tools/peer-root."""
import os
import pathlib

from lab import Skip

PLACE = "/var/cache/cygnet-peers"


def root(suite):
    place = pathlib.Path(os.environ.get("CYGNET_PEER_ROOTS", PLACE)) / suite
    if not (place / "usr/sbin/charon-systemd").exists():
        raise Skip(f"no peers of {suite} in {place}: `make test-peers` makes them, or `tools/peer-root {suite} {place}`")
    return place
