# SPDX-License-Identifier: BSD-3-Clause
"""The labs that the cases run in: a configuration merged over the lab's own, and a bundle."""
import hashlib
import os
import random
import shutil
import struct
import tempfile
import zlib

import servers
from lab import ROOT


def body(seed, size):
    """The same bytes for the same seed, on every machine."""
    return random.Random(f"weir {seed}").randbytes(size)


# Listed by digest, clean by pattern: only the held tail can stop them.
LISTED = {
    ("md5", 1): body("md5 small", 1), ("md5", 1460): body("md5 middle", 1460),
    ("md5", 3000000): body("md5 large", 3000000),
    ("sha1", 77): body("sha1 small", 77), ("sha1", 700001): body("sha1 large", 700001),
    ("sha256", 64): body("sha256 small", 64), ("sha256", 1000000): body("sha256 large", 1000000),
}



def PNG(seed, side=64):
    """A real picture of random points."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + body(f"{seed} {y}", 3 * side) for y in range(side))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


# Listed by SHA-256.
PICTURE = PNG("listed")

# Listed too; long enough for clients to send it in several requests.
OBJECT = body("sha256 object", 11534337)


class Group:
    def __init__(self, name, config="", driver=None, workers=1, store=True):
        self.name, self.config, self.driver = name, config, driver
        self.workers, self.store = workers, store
        self.dir = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="weir-e2e-")
        bundle = os.path.join(self.dir, "bundle")
        shutil.copytree(os.path.join(ROOT, "examples/bundles/core"), bundle)
        for algo in ("md5", "sha1", "sha256"):
            with open(os.path.join(bundle, "lists", f"sample-{algo}.txt"), "a") as f:
                for (a, _), data in LISTED.items():
                    if a == algo:
                        f.write(hashlib.new(algo, data).hexdigest() + "\n")
        with open(os.path.join(bundle, "lists", "sample-sha256.txt"), "a") as f:
            f.write(hashlib.sha256(OBJECT).hexdigest() + "\n")
            f.write(hashlib.sha256(PICTURE).hexdigest() + "\n")
        # The samples' own cases would not see the digests above; the lab has no use for them.
        with open(os.path.join(self.dir, "weir.yaml"), "w") as f:
            f.write(self.config)
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.dir, ignore_errors=True)

    def options(self, driver):
        args = ["--bundle", os.path.join(self.dir, "bundle"), "--workers", str(self.workers)]
        if driver or self.driver:
            args += ["--driver", driver or self.driver]
        if self.config:
            args += ["--config", os.path.join(self.dir, "weir.yaml")]
        if not self.store:
            args.append("--no-store")
        return args


PORTS = """
services:
  - { name: pass, address: any, port: [ 7001 ], policy: { not_http: pass } }
  - { name: block, address: any, port: [ 7002 ], policy: { not_http: block } }
  - { name: store, address: any, port: [ 80 ] }
"""


class Clients(Group):
    """Real clients against real servers, which end with the group."""

    def __exit__(self, *exc):
        servers.end_all()
        super().__exit__(*exc)


# A browser may read a refusal only from an origin that is listed; a terminator sends PROXY on one port.
CLIENTS = """
services:
  - { name: proxied, address: any, port: [ 8090 ], proxy_protocol: v2 }
  - { name: store, address: any, port: any, trusted_proxies: [ 10.77.0.1/32 ] }
answer: { status: 403, cors_origins: [ "http://app.lab:8084" ] }
"""

# The same store twice: IPv4 is protected, IPv6 is only watched.
WATCH = """
services:
  - { name: watch, address: [ "fd77::2/128" ], port: [ 80 ], mode: observe }
  - { name: store, address: [ "10.77.0.2/32" ], port: [ 80 ] }
"""

MIDDLE = """
services:
  - { name: pass, address: any, port: [ 7004, 7005 ], policy: { midstream: pass, one_way: pass } }
  - { name: store, address: any, port: [ 80 ], policy: { fragments: reassemble } }
"""

GROUPS = [
    Group("plain", PORTS),
    Group("operations", PORTS),
    Group("sre", WATCH),
    Group("tcp", MIDDLE),
    Group("two workers", PORTS, workers=2),
    Group("af_packet", PORTS, driver="af_packet"),
    Group("bundles", PORTS, workers=2),
    Clients("clients", CLIENTS, workers=2),
]
