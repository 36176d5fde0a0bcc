# SPDX-License-Identifier: BSD-3-Clause
"""harness.py - what fault tests share: a lab of their own, one thread stopped, frames of our own, metrics."""
import ctypes
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire  # noqa: E402
from wire import BUILD, LAB, ok, note, run  # noqa: E402,F401

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
WEIR = os.path.join(BUILD, "control/cli/weir")
_libc = ctypes.CDLL(None, use_errno=True)


def until(probe, seconds=15.0, step=0.05):
    """What probe gives once it is true, or its last answer."""
    end = time.monotonic() + seconds
    while True:
        got = probe()
        if got or time.monotonic() > end:
            return got
        time.sleep(step)


class Lab(wire.Lab):
    """A lab with a configuration of its own: `user` is merged over the lab's."""

    def __init__(self, user, *options):
        super().__init__("open", "pass")
        self.user, self.options = user, options

    def __enter__(self):
        import tempfile
        self.tmp = tempfile.mkdtemp(prefix="fault-")
        conf = os.path.join(self.tmp, "user.yaml")
        with open(conf, "w") as f:
            f.write(self.user)
        # A lab that a run before this one left behind has another configuration.
        run(LAB, "down")
        up = run(LAB, "up", "--driver", "af_xdp", "--config", conf, *self.options, timeout=300)
        if up.returncode:
            self.__exit__()
            print("1..0 # SKIP the lab does not come up: " + up.stdout.strip().splitlines()[-1])
            sys.exit(0)
        self.read_env()
        return self

    # --- what Weir says
    def metrics(self):
        out = run("curl", "-s", "--max-time", "5", self.env["WEIR_METRICS_URL"]).stdout
        rows = {}
        for line in out.splitlines():
            if line and line[0] != "#":
                name, _, value = line.rpartition(" ")
                rows[name] = float(value)
        return rows

    def metric(self, name):
        return self.metrics().get(name, 0.0)

    def reason(self, name):
        return self.metric(f'weir_reasons_total{{reason="{name}"}}')

    def total(self, family):
        return sum(v for k, v in self.metrics().items() if k.split("{")[0] == family)

    def weir(self, *args, timeout=60):
        env = dict(os.environ, WEIR_SOCKET=self.env["WEIR_SOCKET"])
        return run(WEIR, *args, env=env, timeout=timeout)

    def records(self):
        n = 0
        folder = self.env["WEIR_RECORDS"]
        for name in sorted(os.listdir(folder)):
            if name.endswith(".jsonl"):
                with open(os.path.join(folder, name), "rb") as f:
                    n += f.read().count(b"\n")
        return n

    # --- clients
    def put(self, name, data, limit=20):
        """Status of one upload; "" = none."""
        p = subprocess.run(self.ns("CLIENT") + ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time",
                                                str(limit), "-T", "-", "-H", f"Content-Length: {len(data)}",
                                                "-H", "Transfer-Encoding:", f"http://10.77.0.2/{name}"],
                           input=data, stdout=subprocess.PIPE, timeout=limit + 20)
        return p.stdout.decode().replace("000", "")

    def works(self, what):
        """A clean upload arrives, a marked one does not."""
        name = re.sub(r"\W+", "-", what)
        data = os.urandom(30000)
        got = until(lambda: self.put(name, data, 8) == "201", 30)
        bad = self.put(name + "-bad", data + EICAR)
        ok(got and bad == "403" and not self.stored(name + "-bad"), f"{what}: clean passes, marked is refused ({bad})")

    def stored(self, name):
        return os.path.exists(os.path.join(self.env["WEIR_STORE_ROOT"], name))

    def socket(self, which, *args):
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open("/run/netns/" + self.env[f"WEIR_{which}_NS"], os.O_RDONLY)
        try:
            if _libc.setns(there, 0x40000000) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return socket.socket(*args)
            finally:
                if _libc.setns(here, 0x40000000) != 0:
                    os._exit(70)
        finally:
            os.close(here)
            os.close(there)


# --- one thread of a process stands still ----------------------------------------------------------------

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class StoppedThread:
    """SIGSTOP halts a whole process; a debugger halts one thread. All ptrace calls come from one thread of ours."""

    def __init__(self, pid, name):
        self.tid = None
        for t in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{t}/comm") as f:
                if f.read().strip() == name:
                    self.tid = int(t)
        self.go, self.stopped = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold, daemon=True)

    def hold(self):
        if self.tid is None or _libc.ptrace(PTRACE_SEIZE, self.tid, None, None) != 0:
            return
        _libc.ptrace(PTRACE_INTERRUPT, self.tid, None, None)
        os.waitpid(self.tid, 0x40000000)  # __WALL
        self.stopped.set()
        self.go.wait(120)
        _libc.ptrace(PTRACE_DETACH, self.tid, None, None)

    def __enter__(self):
        self.thread.start()
        if not self.stopped.wait(5):
            note(f"cannot stop thread {self.tid}")
        return self

    def __exit__(self, *_):
        self.go.set()
        self.thread.join(5)


# --- frames that no kernel made ----------------------------------------------------------------------------

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def tcp_frame(src, sport, seq, flags, payload=b"", dst="10.77.0.2", dport=80, ack=0):
    s, d = socket.inet_aton(src), socket.inet_aton(dst)
    tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 65535, 0, 0) + payload
    tcp = tcp[:16] + struct.pack("!H", checksum(s + d + struct.pack("!BBH", 0, 6, len(tcp)) + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, s, d)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return bytes.fromhex("027700000002027700000001") + b"\x08\x00" + ip + tcp
