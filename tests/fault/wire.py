#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""wire.py - the dataplane dies, hangs, ends and restarts in the middle of uploads.

usage: tests/fault/wire.py [--restarts N] [--figures FILE] [SCENARIO...]
Speaks TAP. Brings up a lab of its own (WEIR_LAB, default wirefault), takes it down at the end. Times are
printed, never judged, except where a limit is the promise itself; those have slack for a busy machine.
"""
import argparse
import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(ROOT, "build"))
os.environ.setdefault("WEIR_LAB", "wirefault")
LAB = os.path.join(ROOT, "scripts/lab")
STALL_MS = 300
tests = failed = 0
figures = {}


def ok(cond, what):
    global tests, failed
    tests += 1
    failed += not cond
    print(f"{'' if cond else 'not '}ok {tests} - {what}", flush=True)
    return cond


def note(text):
    print("# " + text, flush=True)


def run(*cmd, **kw):
    return subprocess.run(cmd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=kw.pop("timeout", 120), **kw)


class Lab:
    """One lab with one policy; a context, so that nothing is left behind."""

    def __init__(self, policy, midstream):
        self.policy, self.midstream = policy, midstream

    def __enter__(self):
        self.tmp = tempfile.mkdtemp(prefix="wirefault-")
        conf = os.path.join(self.tmp, "user.yaml")
        with open(conf, "w") as f:
            f.write(f"""links:
  - name: a
    client: {{ devices: [ "net_af_xdp_c0,iface=wire-c,start_queue=0" ] }}
    store: {{ devices: [ "net_af_xdp_s0,iface=wire-s,start_queue=0" ] }}
    on_process_death: {self.policy}
    on_worker_stall: {self.policy}
    stall_limit: {STALL_MS}ms
policy: {{ midstream: {self.midstream} }}
""")
        up = run(LAB, "up", "--driver", "af_xdp", "--config", conf, timeout=300)
        if up.returncode:
            self.__exit__()
            print("1..0 # SKIP the lab does not come up: " + up.stdout.strip().splitlines()[-1])
            sys.exit(0)
        self.read_env()
        self.body = os.path.join(self.tmp, "body")
        with open(self.body, "wb") as f:
            block = os.urandom(1 << 20)
            for i in range(48):
                f.write(i.to_bytes(8, "big") + block[8:])
        return self

    def __exit__(self, *_):
        run(LAB, "down")
        shutil.rmtree(self.tmp, ignore_errors=True)

    def read_env(self):
        self.env = dict(re.findall(r"^(\w+)='(.*)'$", run(LAB, "env").stdout, re.M))
        os.environ["WEIR_BPFFS"] = self.env["WEIR_BPFFS"]

    def ns(self, which):
        return ["nsenter", "--net=/run/netns/" + self.env[f"WEIR_{which}_NS"]]

    def wire(self):
        out = run(os.path.join(BUILD, "control/cli/weir"), "wire", "status", "a", "--json").stdout
        return json.loads(out)[0]

    def wait(self, state, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.wire()["state"] == state:
                return True
            time.sleep(0.02)
        return False

    def kill(self, sig):
        os.kill(int(self.env["WEIR_DATAPLANE_PID"]), sig)

    def restart(self):
        r = run(LAB, "restart", "--dataplane", timeout=120)
        self.read_env()
        return r.returncode == 0 and self.wait("inspect", 30)

    def unscanned(self):
        return self.wire()["client"]["open"]["bytes"]

    def upload(self, name, rate="12M", limit=60):
        return Upload(self, name, rate, limit)


class Upload:
    def __init__(self, lab, name, rate, limit):
        self.lab, self.name, self.limit = lab, name, limit
        self.begin = time.monotonic()
        self.p = subprocess.Popen(
            lab.ns("CLIENT") + ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", str(limit),
                                "--limit-rate", rate, "-T", lab.body, f"http://10.77.0.2/{name}"],
            stdout=subprocess.PIPE, text=True)

    def running(self):
        return self.p.poll() is None

    def end(self):
        out, _ = self.p.communicate(timeout=self.limit + 20)
        self.code, self.status = self.p.returncode, out.strip()
        return self

    def whole(self):
        there = os.path.join(self.lab.env["WEIR_STORE_ROOT"], self.name)
        return self.status == "201" and os.path.exists(there) and filecmp.cmp(there, self.lab.body, False)


class Pings:
    """Echoes through the wire every few milliseconds: the outage as frames see it."""

    def __init__(self, lab):
        self.p = subprocess.Popen(lab.ns("CLIENT") + ["ping", "-n", "-D", "-i", "0.003", "-W", "1", "-w", "60",
                                                      "10.77.0.2"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.seen = []
        self.t = threading.Thread(target=self.read, daemon=True)
        self.t.start()
        time.sleep(0.7)

    def read(self):
        for line in self.p.stdout:
            m = re.match(r"\[([\d.]+)\].*icmp_seq=(\d+)", line)
            if m:
                self.seen.append((float(m.group(1)), int(m.group(2))))

    def gap(self, since, until=2.0):
        """Longest silence (ms) between `since` and some seconds later, and echoes lost in it."""
        time.sleep(until)
        self.p.send_signal(signal.SIGINT)
        self.p.wait(timeout=10)
        self.t.join(timeout=5)
        at = [s for s in self.seen if since - 0.3 <= s[0] <= since + until]
        if len(at) < 2:
            return None, None
        worst = max(zip(at, at[1:]), key=lambda p: p[1][0] - p[0][0])
        return 1000 * (worst[1][0] - worst[0][0]), worst[1][1] - worst[0][1] - 1


def figure(name, gap, lost):
    figures.setdefault(name, []).append({"silence_ms": gap and round(gap, 1), "echoes_lost": lost})
    note(f"{name}: longest silence " + (f"{gap:.1f} ms, {lost} echoes lost" if gap is not None else "unknown"))


# --- policy open ------------------------------------------------------------------------------------


def hit(lab, what, sig, cause):
    """One upload under way, one signal: the wire must open, and the upload must arrive whole."""
    before = lab.unscanned()
    up, pings = lab.upload(re.sub(r"\W+", "-", what)), Pings(lab)
    at = time.time()
    lab.kill(sig)
    gap, lost = pings.gap(at)
    figure(f"open, {what}", gap, lost)
    st = lab.wire()
    ok(st["state"] == "open" and st["cause"] == cause, f"{what}: open because of {cause}: {st['state']} {st['cause']}")
    ok(lab.unscanned() > before, f"{what}: what passed is counted as unscanned")
    return up


def scenario_open():
    with Lab("open", "pass") as lab:
        ok(lab.upload("plain", rate="1G").end().whole(), "an upload before anything happens")
        ok(lab.wire()["state"] == "inspect", "the link inspects")

        up = hit(lab, "kill", signal.SIGKILL, "death")
        ok(up.running(), "kill: the upload is still under way")
        ok(lab.restart(), "kill: a new dataplane takes the link back")
        ok(up.end().whole(), f"kill: the upload arrives whole ({up.status})")

        epoch = lab.wire()["epoch"]
        up = hit(lab, "stop", signal.SIGSTOP, "stall")
        lab.kill(signal.SIGCONT)
        ok(lab.wait("inspect"), "stop: it takes the link back by itself")
        ok(lab.wire()["epoch"] > epoch, "stop: in a new epoch")
        ok(up.end().whole(), f"stop: the upload arrives whole ({up.status})")

        up = hit(lab, "term", signal.SIGTERM, "left")
        ok(lab.restart(), "term: a new dataplane takes the link back")
        ok(up.end().whole(), f"term: the upload arrives whole ({up.status})")

        run(os.path.join(BUILD, "control/cli/weir"), "wire", "open", "a")
        ok(lab.wire()["cause"] == "admin", "weir wire open")
        time.sleep(1.5)
        ok(lab.wire()["state"] == "open", "the dataplane leaves it to the person who said so")
        ok(lab.upload("admin", rate="1G").end().whole(), "an upload past an open wire")
        r = run(os.path.join(BUILD, "control/cli/weir"), "wire", "inspect", "a")
        ok(r.returncode == 0, "weir wire inspect: " + r.stdout.strip())
        ok(lab.upload("after", rate="1G").end().whole(), "an upload after it")


def scenario_midstream():
    with Lab("open", "block") as lab:
        up = hit(lab, "kill, midstream block", signal.SIGKILL, "death")
        ok(up.running(), "open wire: the switch itself ended nothing"
           + ("" if up.running() else f" (curl {up.end().code})"))
        ok(lab.restart(), "a new dataplane takes the link back")
        up.end()
        ok(up.status != "201" and not up.whole(), f"midstream block: the unseen upload is ended ({up.status})")
        ok(lab.upload("next", rate="1G").end().whole(), "and the next one is inspected and arrives")


# --- policy closed ----------------------------------------------------------------------------------


def scenario_closed():
    with Lab("closed", "block") as lab:
        for what, sig, cause in (("kill", signal.SIGKILL, "death"), ("stop", signal.SIGSTOP, "stall"),
                                 ("term", signal.SIGTERM, "left")):
            before = lab.unscanned()
            up = lab.upload(what, limit=25)
            time.sleep(0.8)
            lab.kill(sig)
            # A frame must come by for the program to find nobody there.
            lost = run(*lab.ns("CLIENT"), "ping", "-n", "-c", "15", "-i", "0.1", "-W", "1", "10.77.0.2")
            st = lab.wire()
            ok(st["state"] == "closed" and st["cause"] == cause, f"{what}: closed because of {cause}")
            ok(re.search(r"(\d+)% packet loss", lost.stdout) and
               int(re.search(r"(\d+)% packet loss", lost.stdout).group(1)) >= 60, f"{what}: nothing passes")
            ok(up.running(), f"{what}: the upload waits")
            ok(lab.unscanned() == before, f"{what}: not one byte passed unscanned")
            if sig == signal.SIGSTOP:
                lab.kill(signal.SIGCONT)
                ok(lab.wait("inspect"), f"{what}: it takes the link back by itself")
            else:
                ok(lab.restart(), f"{what}: a new dataplane takes the link back")
            up.end()
            ok(not up.whole(), f"{what}: the upload nobody saw whole is not accepted ({up.status or up.code})")
            ok(lab.upload(f"next-{what}", rate="1G").end().whole(), f"{what}: the next upload arrives")


# --- twenty restarts --------------------------------------------------------------------------------


def scenario_restarts(n):
    with Lab("open", "pass") as lab:
        stop, results = threading.Event(), []

        def load(k):
            i = 0
            while not stop.is_set():
                up = lab.upload(f"load-{k}-{i}", rate="30M", limit=90).end()
                results.append((up.status, up.code, up.whole()))
                os.unlink(os.path.join(lab.env["WEIR_STORE_ROOT"], up.name))
                i += 1

        threads = [threading.Thread(target=load, args=(k,)) for k in range(2)]
        for t in threads:
            t.start()
        good = 0
        for i in range(n):
            lab.kill(signal.SIGKILL if i % 2 else signal.SIGTERM)
            good += lab.restart()
        stop.set()
        for t in threads:
            t.join(timeout=120)
        ok(good == n, f"{good} of {n} restarts under load brought inspection back")
        whole = sum(r[2] for r in results)
        ok(results and whole == len(results), f"{whole} of {len(results)} uploads during them arrived whole")
        figures["restarts"] = {"restarts": good, "of": n, "uploads_whole": whole, "uploads": len(results)}
        for r in results:
            if not r[2]:
                note(f"upload: status {r[0]}, curl {r[1]}")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--restarts", type=int, default=20)
    ap.add_argument("--figures")
    ap.add_argument("scenario", nargs="*")
    a = ap.parse_args()
    if os.geteuid() != 0 or not os.path.ismount("/sys/fs/bpf"):
        print("1..0 # SKIP needs root and bpffs at /sys/fs/bpf")
        return 0
    todo = {"open": scenario_open, "midstream": scenario_midstream, "closed": scenario_closed,
            "restarts": lambda: scenario_restarts(a.restarts)}
    for name in a.scenario or todo:
        note(f"--- {name}")
        todo[name]()
    print(f"1..{tests}")
    if a.figures:
        with open(a.figures, "w") as f:
            json.dump(figures, f, indent=1)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
