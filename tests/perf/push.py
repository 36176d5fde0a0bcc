#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""push - what a big bundle costs: compile, push, a changed list, restart.

usage: tests/perf/push.py [--build DIR] [--rules N] [--entries N] [--change N] [--json FILE]

The real weir-compile, weir-control and weir-dataplane (on ports that carry nothing), a bundle of
seeded expressions and digests: 10,000 and 10 M by default, and a second list of 1 M that changes.
Prints wall time and CPU time; on a machine with other work only the CPU time says something. Needs
4 GB of memory, 3 GB below $TMPDIR and some minutes. Fails when something does not work, never for
being slow.
"""
import argparse
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "unit", "life"))
from control import Control  # noqa: E402

LETTERS = "etaoinshrdlcumwfgypbvk"


def word(rng, low, high):
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(low, high)))


def pattern(rng):
    """What signature sets are made of: words with something between, alternatives, markers."""
    kind = rng.randrange(10)
    if kind < 3:
        return f"{word(rng, 7, 11)}[a-z0-9_]{{1,{4 + rng.randrange(12)}}}{word(rng, 6, 9)}"
    if kind < 5:
        return rf"(?:{word(rng, 8, 12)}|{word(rng, 8, 12)})\s{{0,3}}[=:(]\s{{0,3}}{word(rng, 6, 8)}"
    if kind < 7:
        return (rng.randbytes(6).hex(" ").replace(" ", r"\x").join([r"\x", ""]) + f".{{0,{8 + rng.randrange(24)}}}" +
                rng.randbytes(4).hex(" ").replace(" ", r"\x").join([r"\x", ""]))
    if kind < 8:
        return r"\x" + rng.randbytes(8).hex(" ").replace(" ", r"\x")
    return word(rng, 8, 14) + r"\d{2,6}"


def write_list(path, n, seed):
    rng = random.Random(seed)
    with open(path, "wb") as f:
        while n > 0:
            k = min(n, 100000)
            f.write(rng.randbytes(32 * k).hex("\n", 32).encode() + b"\n")
            n -= k


def write_bundle(folder, opts, version, seed):
    os.makedirs(os.path.join(folder, "rules"), exist_ok=True)
    os.makedirs(os.path.join(folder, "lists"), exist_ok=True)
    with open(os.path.join(folder, "manifest.yaml"), "w") as f:
        f.write(f"format: weir-bundle/1\nname: big\nversion: {version}\ncreated: 2026-11-23T19:00:00Z\nlists:\n"
                "  - { id: big, file: lists/big.txt }\n  - { id: change, file: lists/change.txt }\n")
    if version == 1:
        rng = random.Random(7)
        with open(os.path.join(folder, "rules", "r.yaml"), "w") as f:
            f.write("rules:\n")
            for i in range(opts.rules):
                f.write(f"  - {{ id: r{i}, pattern: '{pattern(rng)}', flags: [dotall], action: flag, mode: shadow }}\n")
        write_list(os.path.join(folder, "lists", "big.txt"), opts.entries, 11)
    write_list(os.path.join(folder, "lists", "change.txt"), opts.change, seed)


def pack(folder, path):
    """As `weir bundle build` does, without its test compile."""
    names = sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, files in os.walk(folder) for f in files)
    subprocess.run(["tar", "-I", "zstd -1", "-cf", path, "-C", folder, *names], check=True)


class Clock:
    """Wall and CPU time of what runs inside `with`; children included."""

    def __enter__(self):
        self.t, self.c = time.monotonic(), self.cpu()
        return self

    def __exit__(self, *exc):
        self.wall, self.cpu_s = time.monotonic() - self.t, self.cpu() - self.c

    @staticmethod
    def cpu():
        u = resource.getrusage(resource.RUSAGE_CHILDREN)
        return u.ru_utime + u.ru_stime


def cpu_of(pid):
    """CPU seconds of a living process, its ended children included."""
    with open(f"/proc/{pid}/stat") as f:
        row = f.read().rpartition(")")[2].split()
    return sum(int(x) for x in row[11:15]) / os.sysconf("SC_CLK_TCK")


def ready(server):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(server.socket)
        s.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b" 200 " in s.recv(4096).split(b"\r\n")[0]
    except OSError:
        return False
    finally:
        s.close()


class Dataplane:
    def __init__(self, opts, server):
        self.opts, self.server, self.p = opts, server, None
        self.conf = os.path.join(server.dir, "dataplane.conf")
        subprocess.run([opts.weir, "config", "compile", server.config, "-o", self.conf], check=True,
                       stdout=subprocess.DEVNULL)

    def start(self):
        self.p = subprocess.Popen([os.path.join(self.opts.build, "dataplane/main/weir-dataplane"), "--conf", self.conf],
                                  stdout=self.server.log, stderr=self.server.log, stdin=subprocess.DEVNULL)

    def stop(self):
        if self.p is not None:
            self.p.kill()
            self.p.wait()


def wait_ready(server, limit_s=120):
    end = time.monotonic() + limit_s
    while not ready(server):
        if time.monotonic() > end:
            raise RuntimeError("never ready: " + server.tail())
        time.sleep(0.01)


def main():
    a = argparse.ArgumentParser(usage=__doc__.split("\n")[3][7:])
    a.add_argument("--build", default="build")
    a.add_argument("--rules", type=int, default=10000)
    a.add_argument("--entries", type=int, default=10000000)
    a.add_argument("--change", type=int, default=1000000)
    a.add_argument("--json")
    opts = a.parse_args()
    opts.build = os.path.abspath(opts.build)
    opts.weir = os.path.join(opts.build, "control/cli/weir")
    rows, extra = [], {"rules": opts.rules, "entries": opts.entries, "change": opts.change}

    def row(name, wall, cpu):
        rows.append({"name": name, "wall_s": round(wall, 2), "cpu_s": round(cpu, 2)})
        print(f"{name:44s} {wall:7.2f} s wall {cpu:7.2f} s CPU", flush=True)

    def weir(*args):
        p = subprocess.run([opts.weir, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900)
        if p.returncode != 0:
            raise RuntimeError(f"weir {args}: {p.stdout}{p.stderr}")
        return p.stdout

    work = tempfile.mkdtemp(prefix="weir-perf-push-")
    server = dataplane = None
    try:
        folder = os.path.join(work, "b")
        write_bundle(folder, opts, 1, 1)
        out = os.path.join(work, "out")
        os.mkdir(out, 0o700)
        compile_ = ["taskset", "-c", "0", os.path.join(opts.build, "control/compile/weir-compile"), "--out", out, folder]
        with Clock() as c:
            subprocess.run(compile_, check=True, stdout=subprocess.DEVNULL)
        row("compile everything, one core", c.wall, c.cpu_s)
        extra["shard_bytes"] = sum(e.stat().st_size for e in os.scandir(out))
        shutil.rmtree(out)
        key = os.path.join(work, "k")
        weir("bundle", "keygen", "-p", key + ".pub", "-s", key + ".key")
        weir("bundle", "sign", folder, "-s", key + ".key")
        first, second = (os.path.join(work, f"big-{v}.weir") for v in (1, 2))
        pack(folder, first)
        write_bundle(folder, opts, 2, 2)
        weir("bundle", "sign", folder, "-s", key + ".key")
        pack(folder, second)
        server = Control(opts.weir, os.path.join(opts.build, "control/main/weir-control"),
                         trust=f'{{ big: {{ threshold: 1, keys: [ {{ file: {key}.pub, may: [ "*" ] }} ] }} }}').start()
        dataplane = Dataplane(opts, server)
        dataplane.start()
        for path, name in ((first, "push everything"), (second, "push: one list changed")):
            t, before = time.monotonic(), cpu_of(server.process.pid) + cpu_of(dataplane.p.pid)
            answer = weir("--socket", server.socket, "bundle", "push", path)
            row(f"{name}, until active", time.monotonic() - t,
                cpu_of(server.process.pid) + cpu_of(dataplane.p.pid) - before)
            if "is active" not in answer:
                raise RuntimeError(answer)
        for who in ("dataplane", "control", "both"):
            if who != "control":
                dataplane.stop()
            if who != "dataplane":
                server.stop()
            t = time.monotonic()
            cpu = cpu_of(server.process.pid) if who == "dataplane" else 0
            other = cpu_of(dataplane.p.pid) if who == "control" else 0
            if who != "control":
                dataplane.start()
            if who != "dataplane":
                server.start()
            wait_ready(server)
            row(f"restart of {who} to inspecting", time.monotonic() - t,
                cpu_of(server.process.pid) + cpu_of(dataplane.p.pid) - cpu - other)
        extra["rss_dataplane"] = next(int(x.split()[1]) * 1024 for x in open(f"/proc/{dataplane.p.pid}/status")
                                      if x.startswith("VmRSS"))
    finally:
        if dataplane is not None:
            dataplane.stop()
        if server is not None:
            server.close()
        shutil.rmtree(work, ignore_errors=True)
    if opts.json:
        with open(opts.json, "w") as f:
            json.dump({"schema": "weir.push/1", "params": extra, "cases": rows}, f, indent=1)


if __name__ == "__main__":
    main()
