# SPDX-License-Identifier: BSD-3-Clause
"""The lab as a test sees it: scripts/lab's contract, real curl, sockets inside the namespaces."""
import ctypes
import fcntl
import glob
import hashlib
import json
import os
import shlex
import socket
import struct
import subprocess
import tempfile
import termios
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "scripts", "lab")
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
LIMIT_S = 120  # no step of a test waits longer
_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A test's own assertion."""


def need(cond, why):
    if not cond:
        raise Failed(why)


def same(got, want, what):
    if got != want:
        raise Failed(f"{what} is {got!r}, wanted {want!r}")


def until(what, probe, limit_s=10.0):
    """Waits for probe() to be true; what a test waits for is never a measure of speed."""
    end = time.monotonic() + limit_s
    while True:
        got = probe()
        if got:
            return got
        if time.monotonic() > end:
            raise Failed(f"no {what} within {limit_s:g} s")
        time.sleep(0.02)


class Answer:
    """What a client saw: exit (curl's, 0 = fine), status (0 = none), headers (lower case), body."""

    def __init__(self, exit_, status, headers, body, err=""):
        self.exit, self.status, self.headers, self.body, self.err = exit_, status, headers, body, err

    def __repr__(self):
        return f"Answer(exit={self.exit}, status={self.status}, {self.err.strip()!r})"


def parse_head(raw):
    """The last response in raw (100 Continue comes before it): status, headers, rest."""
    status, headers = 0, {}
    while raw.startswith(b"HTTP/"):
        head, _, raw = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {}
        for line in lines[1:]:
            k, _, v = line.partition(":")
            headers[k.strip().lower()] = v.strip()
        if status != 100:
            break
    return status, headers, raw


class Lab:
    def __init__(self):
        self.env = {}
        self.options = []
        self.old = 0  # records of an attempt that failed: the next one does not see them

    # --- scripts/lab ------------------------------------------------------------------------------
    def call(self, *args, limit_s=LIMIT_S):
        return subprocess.run([SCRIPT, *args], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=limit_s)

    def up(self, *options):
        p = self.call("up", *options, limit_s=900)
        if p.returncode != 0:
            raise RuntimeError((p.stderr.strip() or p.stdout.strip() or "lab up fails"))
        self.options = list(options)
        self.old = 0
        self.refresh()

    def refresh(self):
        p = self.call("env")
        if p.returncode != 0:
            raise RuntimeError(p.stderr.strip())
        self.env = dict(word.split("=", 1) for word in shlex.split(p.stdout))

    def down(self):
        self.call("down")

    def __getattr__(self, key):
        try:
            return self.__dict__["env"]["WEIR_" + key.upper()]
        except KeyError:
            raise AttributeError(key) from None

    # --- inside a namespace -----------------------------------------------------------------------
    def inside(self, ns, *argv):
        return ["nsenter", f"--net=/run/netns/{ns}", *argv]

    def socket(self, ns, *args):
        """A socket that lives in namespace ns: a socket stays where it was made."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{ns}", os.O_RDONLY)
        try:
            if _libc.setns(there, 0x40000000) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return socket.socket(*args)
            finally:
                if _libc.setns(here, 0x40000000) != 0:
                    os._exit(70)  # a test in the wrong namespace would lie
        finally:
            os.close(here)
            os.close(there)

    def connect(self, port=None, ip6=False, limit_s=20.0):
        s = self.socket(self.client_ns, socket.AF_INET6 if ip6 else socket.AF_INET,
                        socket.SOCK_STREAM)
        s.settimeout(limit_s)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.connect((self.store_ip6 if ip6 else self.store_ip, int(port or self.store_port)))
        return s

    def listen(self, port):
        s = self.socket(self.store_ns, socket.AF_INET, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((self.store_ip, port))
        s.listen(64)
        s.settimeout(20.0)
        return s

    # --- clients ------------------------------------------------------------------------------------
    def url(self, path, ip6=False):
        return f"http://[{self.store_ip6}]{path}" if ip6 else f"http://{self.store_ip}{path}"

    def curl(self, *args, body=None, limit_s=60):
        """Real curl in the client's namespace; body goes to its stdin."""
        with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
            head, out = os.path.join(tmp, "head"), os.path.join(tmp, "out")
            p = subprocess.run(
                self.inside(self.client_ns, "curl", "-sS", "--max-time", str(limit_s), "-D", head,
                            "-o", out, *args),
                input=body if body is not None else b"", capture_output=True, timeout=limit_s + 20)
            raw = open(head, "rb").read() if os.path.exists(head) else b""
            got = open(out, "rb").read() if os.path.exists(out) else b""
        status, headers, _ = parse_head(raw)
        return Answer(p.returncode, status, headers, got, p.stderr.decode(errors="replace"))

    def put(self, path, data, *args, ip6=False, limit_s=60):
        with tempfile.NamedTemporaryFile(prefix="weir-e2e-") as f:
            f.write(data)
            f.flush()
            return self.curl("-T", f.name, *args, self.url(path, ip6), limit_s=limit_s)

    # --- the store ----------------------------------------------------------------------------------
    def stored(self, path):
        return os.path.join(self.store_root, path.lstrip("/"))

    def store_bytes(self, path):
        try:
            with open(self.stored(path), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def bundle_lines(self, name):
        """Entries of a list of the bundle that this lab was brought up with."""
        folder = self.options[self.options.index("--bundle") + 1]
        with open(os.path.join(folder, name)) as f:
            return sum(1 for line in f if line.strip() and not line.startswith("#"))

    # --- records, metrics -----------------------------------------------------------------------------
    def records(self):
        rows = []
        for name in sorted(glob.glob(os.path.join(self.env["WEIR_RECORDS"], "*.jsonl"))):
            with open(name, "rb") as f:
                for line in f.read().split(b"\n"):
                    if line:
                        rows.append(json.loads(line))
        return rows[self.old:]

    def forget(self):
        """What is recorded by now belongs to a past attempt. What is at the store stays there: an
        object that came through once is found again."""
        self.old = 0
        self.old = len(self.records()) if self.env else 0

    def records_of(self, path):
        return [r for r in self.records() if r["upload"]["path"] == path]

    def record(self, path, limit_s=10.0):
        rows = until(f"record of {path}", lambda: self.records_of(path), limit_s)
        same(len(rows), 1, f"number of records of {path}")
        return rows[0]

    def metrics(self):
        p = subprocess.run(["curl", "-sS", "--max-time", "10", self.metrics_url],
                           capture_output=True, text=True, timeout=30)
        rows = {}
        for line in p.stdout.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                rows[name] = float(value)
        return rows

    def reason(self, name):
        return self.metrics().get(f'weir_reasons_total{{reason="{name}"}}', 0.0)

    # --- what every upload must satisfy ---------------------------------------------------------------
    def check_clean(self, path, data, answer=None, verdict="clean", action="pass"):
        """The client's 2xx, the bytes at the store, the record with its digests and coverage."""
        if answer is not None:
            need(answer.exit == 0 and answer.status in (200, 201, 204), f"client saw {answer}")
        got = until(f"object {path} at the store", lambda: (self.store_bytes(path) is not None and
                                                            [self.store_bytes(path)]), 5.0)[0]
        need(got == data, f"store holds {len(got)} other bytes at {path}, sent {len(data)}")
        r = self.record(path)
        same((r["verdict"], r["action"]), (verdict, action), f"verdict and action of {path}")
        same(r["committed"], True, "committed")
        same(r["upload"]["bytes"], len(data), "upload.bytes")
        for kind in ("received", "hashed", "pattern"):
            same(r["coverage"][kind], len(data), f"coverage.{kind}")
        for algo in ("md5", "sha1", "sha256"):
            same(r["digests"][algo], hashlib.new(algo, data).hexdigest(), f"digests.{algo}")
        return r

    def check_blocked(self, path, answer=None, rule=None, list_=None, verdict="match", status=403):
        """The client's 403 with the decision's id, nothing at the store, the record that says why."""
        if answer is not None:
            same(answer.status, status, f"status of {path} ({answer})")
            need("weir-decision-id" in answer.headers, "no Weir-Decision-Id in the answer")
            same(answer.headers.get("connection", "").lower(), "close", "Connection of the answer")
        r = self.record(path)
        need(self.store_bytes(path) is None, f"{path} is at the store")
        same((r["verdict"], r["action"]), (verdict, "block"), f"verdict and action of {path}")
        same(r["committed"], False, "committed")
        if answer is not None:
            same(answer.headers["weir-decision-id"], r["decision_id"], "decision id")
            for m in r["matches"]:
                for secret in (m.get("rule"), m.get("list")):
                    need(not secret or secret.encode() not in answer.body,
                         f"the answer names {secret}")
        if rule is not None:
            need(any(m["kind"] == "pattern" and m["rule"] == rule and m["applied"]
                     for m in r["matches"]), f"no applied match of rule {rule}: {r['matches']}")
        if list_ is not None:
            need(any(m["kind"] == "exact" and m["list"] == list_ and m["applied"]
                     for m in r["matches"]), f"no applied match of list {list_}: {r['matches']}")
        return r


# --- a client that decides itself where TCP cuts -----------------------------------------------------

def unsent(sock):
    """Bytes that the peer has not acknowledged (SIOCOUTQ)."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def send_cut(sock, pieces, settle_s=1.0):
    """One segment per piece: the next goes once the last is acknowledged, or is evidently held."""
    for piece in pieces:
        sock.sendall(piece)
        end = time.monotonic() + settle_s
        while unsent(sock) and time.monotonic() < end:
            time.sleep(0.002)


def read_answer(sock, limit_s=20.0):
    """One response, or what came before the end of the connection."""
    sock.settimeout(limit_s)
    raw, err = b"", ""
    try:
        while True:
            status, headers, rest = parse_head(raw) if b"\r\n\r\n" in raw else (0, {}, b"")
            if status >= 200 and len(rest) >= int(headers.get("content-length", "0")):
                return Answer(0, status, headers, rest)
            more = sock.recv(65536)
            if not more:
                break
            raw += more
    except OSError as e:
        err = str(e)
    status, headers, rest = parse_head(raw)
    return Answer(1, status, headers, rest, err or "connection ended")


def put_head(path, length, *lines, host="store.lab"):
    rows = [f"PUT {path} HTTP/1.1", f"Host: {host}", *lines]
    if length is not None:
        rows.append(f"Content-Length: {length}")
    return ("\r\n".join(rows) + "\r\n\r\n").encode()
