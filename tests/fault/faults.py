#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""faults.py - what must be survived, with the reason visible in the metrics.

usage: tests/fault/faults.py [SCENARIO...]      (without: all of them)
Speaks TAP, in a lab of its own (WEIR_LAB, default wirefault). Decoders that crash or hang are not here:
there is no decoder yet.
"""
import argparse
import concurrent.futures
import json
import multiprocessing
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from harness import EICAR, BUILD, Lab, StoppedThread, note, ok, run, tcp_frame, until
import wire


def links(policy, workers, stall_ms=300):
    dev = ["[ " + ", ".join(f'"net_af_xdp_{s}{i},iface=wire-{s},start_queue={i}"' for i in range(workers)) + " ]"
           for s in "cs"]
    return f"""links:
  - name: a
    client: {{ devices: {dev[0]} }}
    store: {{ devices: {dev[1]} }}
    on_process_death: {policy}
    on_worker_stall: {policy}
    stall_limit: {stall_ms}ms
"""


# --- a worker of two stands still --------------------------------------------------------------------------

def scenario_stall():
    for policy in ("open", "closed"):
        with Lab(links(policy, 2) + "policy: { midstream: pass }\n", "--workers", "2") as lab:
            lab.works(f"{policy}: before")
            before = lab.unscanned()
            with StoppedThread(int(lab.env["WEIR_DATAPLANE_PID"]), "weir-w1") as t:
                ok(t.tid is not None and until(lambda: lab.metric('weir_worker_stalled{worker="w1"}') == 1),
                   f"{policy}: the worker that stands still is named")
                ok(lab.metric('weir_worker_stalled{worker="w0"}') == 0, f"{policy}: the other one is not")
                # A frame has to come by for the program to look at the beats.
                run(*lab.ns("CLIENT"), "ping", "-n", "-c", "5", "-i", "0.1", "-W", "1", "10.77.0.2")
                st = lab.wire()
                ok(st["state"] == policy and st["cause"] == "stall", f"{policy}: the wire is {st['state']}: {st['cause']}")
                ok(lab.metric(f'weir_wire_state{{link="a",state="{policy}"}}') == 1 or
                   until(lambda: lab.metric(f'weir_wire_state{{link="a",state="{policy}"}}') == 1), f"{policy}: in the metrics")
                got = lab.put(f"{policy}-during", os.urandom(50000), 4)
                if policy == "open":
                    ok(got == "201" and lab.unscanned() > before, f"open: uploads pass, counted as unscanned ({got})")
                else:
                    ok(got == "" and lab.unscanned() == before and not lab.stored("closed-during"),
                       "closed: nothing passes")
            ok(lab.wait("inspect", 20), f"{policy}: it turns again, the link is inspected again")
            ok(lab.metric('weir_worker_stalls_total{worker="w1"}') >= 1 and lab.reason("worker_stall") >= 1,
               f"{policy}: counted by main and by the worker itself")
            lab.works(f"{policy}: after")


# --- what systemd is told ---------------------------------------------------------------------------------------

def scenario_notify():
    with Lab(links("closed", 1, 300)) as lab, tempfile.TemporaryDirectory(prefix="fault-notify-") as tmp:
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        told.bind(tmp + "/notify")
        told.settimeout(0.2)

        def hear(word, seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                try:
                    if told.recv(200).decode() == word:
                        return True
                except TimeoutError:
                    pass
            return False

        os.environ["NOTIFY_SOCKET"] = tmp + "/notify"
        try:
            run(wire.LAB, "restart", "--dataplane", timeout=120)
        finally:
            del os.environ["NOTIFY_SOCKET"]
        lab.read_env()
        pid = int(lab.env["WEIR_DATAPLANE_PID"])
        ok(hear("READY=1", 20), "READY=1 once the workers run")
        ok(hear("WATCHDOG=1", 5) and hear("WATCHDOG=1", 5), "WATCHDOG=1 again and again")
        with StoppedThread(pid, "weir-w0"):
            def silent():
                while hear("WATCHDOG=1", 1.5):
                    pass
                return True
            began = time.monotonic()
            ok(silent() and time.monotonic() - began > 4, "a worker that stands still ends it, after five seconds")
        ok(hear("WATCHDOG=1", 10), "it turns again: WATCHDOG=1")
        os.kill(pid, signal.SIGTERM)
        ok(hear("STOPPING=1", 10), "STOPPING=1 at the end")
        told.close()


# --- records: disk full, ring full; control dead --------------------------------------------------------------

class Tmpfs:
    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="fault-disk-")
        r = run("mount", "-t", "tmpfs", "-o", f"size={self.size}", "none", self.path)
        self.mounted = r.returncode == 0
        return self.path

    def __exit__(self, *_):
        if self.mounted:
            run("umount", "-l", self.path)
        shutil.rmtree(self.path, ignore_errors=True)


def fill(path):
    with open(os.path.join(path, "ballast"), "wb", buffering=0) as f:
        try:
            while f.write(b"x" * 4096):
                pass
        except OSError:
            pass


def scenario_records():
    with Tmpfs("1m") as disk:
        user = links("closed", 1, 2000) + f"records: {{ path: {disk}/records }}\nmemory: {{ record_ring: 64KiB }}\n"
        with Lab(user) as lab:
            lab.env["WEIR_RECORDS"] = disk + "/records"
            lab.works("room on the disk")
            until(lambda: lab.records() == 2)
            fill(disk)
            sent = 2
            while sent < 400 and not lab.metric('weir_records_waiting{worker="w0"}'):
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    list(pool.map(lambda k: lab.put(f"full-{k}", b"x" * 500, 3), range(sent, sent + 16)))
                sent += 16
            ok(lab.metric("weir_records_stalled") == 1, "disk full: records stall, and the metric says so")
            ok(lab.reason("record_ring_full") > 0, f"the ring fills after {sent} uploads: reason record_ring_full")
            up = threading.Thread(target=lab.put, args=("held", b"h" * 700, 10))
            up.start()
            holds = until(lambda: json.loads(lab.weir("holds", "--json").stdout)["rows"], 4)
            ok(holds and holds[0]["held_bytes"] > 0 and holds[0]["waits_for"] == "record" and
               lab.metric("weir_hold_bytes") > 0, "a tail waits for room: weir holds and weir_hold_bytes say so")
            up.join()
            ok("records" in run("curl", "-s", lab.env["WEIR_METRICS_URL"].replace("/metrics", "/readyz")).stdout,
               "/readyz names the records")
            got = lab.put("no-record", os.urandom(3000), 15)
            ok(got in ("403", "") and not lab.stored("no-record"), f"closed: an upload without a record is refused ({got})")
            os.unlink(os.path.join(disk, "ballast"))
            ok(until(lambda: lab.metric("weir_records_stalled") == 0, 20), "room again: records flow again")
            lab.works("after the disk was full")
            lost = lab.metric("weir_records_lost_total")
            ok(lost == lab.reason("record_lost"), f"what was lost is counted ({lost:.0f}), the rest was kept")


def scenario_control():
    with Lab(links("closed", 1, 2000) + "memory: { event_ring: 4KiB }\n") as lab:
        lab.works("control alive")
        had = until(lambda: lab.records() == 2) and 2
        pid = int(lab.env["WEIR_CONTROL_PID"])
        os.kill(pid, signal.SIGSTOP)
        try:
            good = sum(lab.put(f"orphan-{k}", os.urandom(5000)) == "201" for k in range(10))
            bad = lab.put("orphan-bad", EICAR)
            ok(good == 10 and bad == "403", f"control stands still: {good} of 10 pass, marked is refused ({bad})")
            # Events of one reason are limited by rate, all of them by the ring.
            s = lab.socket("CLIENT", socket.AF_PACKET, socket.SOCK_RAW)
            s.bind(("client0", 0))
            for k in range(3000):
                s.send(tcp_frame("10.77.0.1", 30000 + k % 20000, 1000 + k, 0x18, b"GET / HTTP/1.1\r\n\r\n", ack=1))
                if k % 50 == 0:
                    time.sleep(0.05)
            s.close()
        finally:
            os.kill(pid, signal.SIGCONT)
        ok(until(lambda: lab.records() == had + 11), f"it goes on: every record is there ({lab.records()})")
        ok(lab.reason("midstream") >= 2000, f"{lab.reason('midstream'):.0f} frames without a connection")
        events, kept = lab.metric("weir_events_total"), lab.reason("event_suppressed") + lab.reason("event_ring_full")
        ok(lab.reason("event_suppressed") > 0, "events beyond their rate are counted, not written")
        ok(events <= 4096 / 72, f"no more are written than the ring holds while nobody reads ({events:.0f})")
        ok(0 < events < 1000 and events + kept >= 2000, f"{events:.0f} events written, {kept:.0f} counted")
        os.kill(pid, signal.SIGKILL)
        ok(lab.put("dead", os.urandom(5000)) == "201" and lab.put("dead-bad", EICAR) == "403", "control is killed: the same")
        run(wire.LAB, "restart", "--control", timeout=120)
        lab.read_env()
        ok(until(lambda: lab.records() >= had + 13), "the next one finds the records of that time")
        lab.works("control anew")


# --- a torn artifact ------------------------------------------------------------------------------------------

def scenario_artifact():
    with Lab(links("closed", 1, 2000)) as lab:
        lab.works("whole artifact")
        folder = os.path.join("/run", os.environ["WEIR_LAB"] + "-lab", "bundles")
        shards = [os.path.join(d, f) for d, _, names in os.walk(folder) for f in names if f.endswith(".shard")]
        ok(shards, f"{len(shards)} shards on disk")
        whole = {}
        for path in shards:
            with open(path, "rb") as f:
                whole[path] = f.read()
            os.chmod(path, 0o600)
            with open(path, "wb") as f:  # as after a crash: half of it, the rest zeroes
                f.write(whole[path][:len(whole[path]) // 2].ljust(len(whole[path]), b"\0"))
        os.kill(int(lab.env["WEIR_DATAPLANE_PID"]), signal.SIGTERM)
        time.sleep(0.5)
        r = subprocess.Popen([wire.LAB, "restart", "--dataplane"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = until(lambda: "FAIL ruleset" in run("curl", "-s", lab.env["WEIR_METRICS_URL"].replace(
            "/metrics", "/readyz")).stdout, 20)
        ok(said, "a torn artifact is refused: not ready, because of the ruleset")
        ok(until(lambda: lab.metric("weir_ruleset_push_failures_total") > 0, 10), "counted: the push failed")
        ok(lab.put("torn", EICAR, 4) != "201" and not lab.stored("torn"), "closed: nothing passes meanwhile")
        for path, data in whole.items():
            with open(path, "wb") as f:
                f.write(data)
        r.wait(timeout=120)
        ok(until(lambda: lab.metric('weir_wire_state{link="a",state="inspect"}') == 1, 30), "whole again: it is taken")
        lab.read_env()
        lab.works("after the torn artifact")


# --- links, queues, buffers --------------------------------------------------------------------------------------

def scenario_link():
    with Lab(links("closed", 1, 2000)) as lab:
        wire_ns = ["nsenter", "--net=/run/netns/" + lab.env["WEIR_WIRE_NS"]]
        lab.works("link up")
        for dev, port in (("wire-c", "a.client"), ("wire-s", "a.store")):
            up = subprocess.Popen(lab.ns("CLIENT") + ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time",
                                                      "60", "--limit-rate", "2M", "-T", "/dev/stdin", "-H",
                                                      "Content-Length: 6000000", "-H", "Transfer-Encoding:",
                                                      f"http://10.77.0.2/link-{dev}"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
            feeder = threading.Thread(target=lambda p=up: (p.stdin.write(os.urandom(6000000)), p.stdin.close()))
            feeder.start()
            time.sleep(1)
            run(*wire_ns, "ip", "link", "set", dev, "down")
            ok(until(lambda: lab.metric(f'weir_port_link_up{{port="{port}"}}') == 0), f"{dev} down: the metric says so")
            ok(up.poll() is None, f"{dev} down: the upload waits")
            run(*wire_ns, "ip", "link", "set", dev, "up")
            ok(until(lambda: lab.metric(f'weir_port_link_up{{port="{port}"}}') == 1), f"{dev} up again")
            code = up.communicate(timeout=80)[0].decode()
            feeder.join()
            ok(code == "201", f"{dev}: the upload goes on and arrives ({code})")
        lab.works("after down and up")


def blast(lab, seconds, frame):
    s = lab.socket("CLIENT", socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("client0", 0))
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for k in range(200):
            try:
                s.send(frame(n + k))
            except OSError:  # the device's queue is full
                pass
        n += 200
    s.close()
    return n


def scenario_overrun():
    with Lab(links("open", 1, 5000)) as lab:
        lab.works("quiet")
        junk = tcp_frame("10.77.0.1", 9, 1, 0x10, b"j" * 1200, dport=80, ack=1)
        pid = int(lab.env["WEIR_DATAPLANE_PID"])
        lost0 = sum(lab.metric(f'weir_port_{k}_total{{port="a.client"}}') for k in ("rx_missed", "rx_nombuf"))
        with StoppedThread(pid, "weir-w0"):
            n = blast(lab, 2, lambda k: junk)
        time.sleep(0.5)
        m = lab.metrics()
        lost = sum(m.get(f'weir_port_{k}_total{{port="a.client"}}', 0) for k in ("rx_missed", "rx_nombuf")) - lost0
        ok(lost > 0, f"{n} frames while nobody fetched: {lost:.0f} counted as missed by the port")
        ok(lab.wire()["state"] == "inspect", "shorter than the limit: still inspecting")
        lab.works("after the overrun")


def scenario_buffers():
    user = (links("closed", 1, 5000) + "memory: { mbufs: 8192, hold_budget: 1MiB, uploads: 16 }\n"
            "policy: { on_overload: closed }\n")
    with Lab(user) as lab:
        lab.works("small budgets")
        data = os.urandom(6000000)
        store = ["nsenter", "--net=/run/netns/" + lab.env["WEIR_STORE_NS"], "ip", "link", "set", "store0"]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            going = [pool.submit(lab.put, f"big-{k}", data, 90) for k in range(8)]
            # A store that acknowledges nothing for a moment: what was sent must be kept.
            for _ in range(2):
                time.sleep(0.4)
                run(*store, "down")
                time.sleep(0.3)
                run(*store, "up")
            got = [g.result() for g in going]
        limits = {k: lab.reason(k) for k in ("keep_limit", "pool_low", "held_limit", "tcp_ooo_limit")}
        ok(lab.reason("keep_limit") > 0, f"the budget was reached: {limits}")
        ok(got == ["201"] * 8, f"slower, not broken: every upload arrives ({got})")
        ok(all(lab.stored(f"big-{k}") for k in range(8)), "whole, at the store")
        socks = []
        for k in range(120):
            s = lab.socket("CLIENT", socket.AF_INET, socket.SOCK_STREAM)
            s.settimeout(10)
            s.connect(("10.77.0.2", 80))
            s.sendall(b"PUT /slot-%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nab" % k)
            socks.append(s)
        ok(until(lambda: lab.reason("object_limit") > 0), "more uploads than entries: reason object_limit")
        for s in socks:
            s.close()
        held = lab.metric('weir_frames_held{worker="w0"}')
        note(f"held {held}")
        lab.works("after the shortage")
        ok(until(lambda: lab.metric('weir_mempool_free{pool="a.small"}') > 0), "buffers came back")


# --- clocks ------------------------------------------------------------------------------------------------------

def scenario_clock():
    shim = os.path.join(BUILD, "tests/fault/libclock.so")
    with tempfile.NamedTemporaryFile() as offset:
        offset.write(struct.pack("=q", 0))
        offset.flush()

        def jump(seconds):
            offset.seek(0)
            offset.write(struct.pack("=q", seconds))
            offset.flush()

        os.environ.update(LD_PRELOAD=shim, WEIR_TEST_CLOCK=offset.name)
        try:
            with Lab(links("closed", 1, 2000)) as lab:
                del os.environ["LD_PRELOAD"]
                lab.works("clock steady")
                for hours in (30, -50):
                    up = subprocess.Popen(lab.ns("CLIENT") + ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                                              "--max-time", "30", "--limit-rate", "400k", "-T", "/dev/stdin",
                                                              "-H", "Content-Length: 1000000", "-H",
                                                              "Transfer-Encoding:", f"http://10.77.0.2/clock{hours}"],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                    feeder = threading.Thread(target=lambda p=up: (p.stdin.write(os.urandom(1000000)), p.stdin.close()))
                    feeder.start()
                    time.sleep(0.8)
                    stalls = lab.reason("worker_stall")
                    jump(hours * 3600)
                    code = up.communicate(timeout=60)[0].decode()
                    feeder.join()
                    ok(code == "201", f"{hours:+d} h in mid-upload: it arrives ({code})")
                    lab.works(f"after {hours:+d} h")
                    ok(lab.reason("worker_stall") == stalls and lab.wire()["state"] == "inspect",
                       f"{hours:+d} h: no stall is seen where none was")
                ok(lab.reason("flow_idle") < 5, "no connection expired by it")
                rows = []
                for name in sorted(os.listdir(lab.env["WEIR_RECORDS"])):
                    with open(os.path.join(lab.env["WEIR_RECORDS"], name)) as f:
                        rows += [json.loads(line) for line in f]
                ok(len({r["decision_id"] for r in rows}) == len(rows) == 8, f"{len(rows)} records, every id once")
                ok(all(0 <= r["timing"]["hold_us"] < 60000000 for r in rows if r["timing"]["hold_us"] is not None),
                   "hold times are of the clock that does not jump")
        finally:
            os.environ.pop("LD_PRELOAD", None)


# --- many slow ones, and many that never mean it ---------------------------------------------------------------------

def store_sink(lab, stop):
    """Takes connections and bytes in the store's namespace, and answers nothing. A process of its own: as many
    descriptors as a process may have are needed on either side."""
    srv = lab.socket("STORE", socket.AF_INET, socket.SOCK_STREAM)
    srv.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    srv.bind(("10.77.0.2", 8088))
    srv.listen(4096)
    srv.setblocking(False)
    ep, conns = select.epoll(), {}
    ep.register(srv.fileno(), select.EPOLLIN)
    while not stop.is_set():
        for fd, _ in ep.poll(0.2):
            if fd == srv.fileno():
                try:
                    while True:
                        c, _ = srv.accept()
                        c.setblocking(False)
                        conns[c.fileno()] = c
                        ep.register(c.fileno(), select.EPOLLIN)
                except OSError:
                    pass
                continue
            try:
                if not conns[fd].recv(65536):
                    raise OSError
            except BlockingIOError:
                pass
            except OSError:
                ep.unregister(fd)
                conns.pop(fd).close()
    srv.close()


def scenario_slow(n=10000):
    user = links("closed", 1, 5000) + "memory: { connections: 24000, uploads: 12000 }\n"
    with Lab(user) as lab:
        lab.works("before the crowd")
        stop = multiprocessing.Event()
        sink = multiprocessing.Process(target=store_sink, args=(lab, stop), daemon=True)
        sink.start()
        time.sleep(0.3)
        socks = []
        try:
            for k in range(n):
                s = lab.socket("CLIENT", socket.AF_INET, socket.SOCK_STREAM)
                s.settimeout(20)
                s.connect(("10.77.0.2", 8088))
                s.sendall(b"PUT /slow-%d HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n<" % k)
                socks.append(s)
            ok(until(lambda: lab.metric('weir_uploads_active{worker="w0"}') >= n, 30), f"{n} uploads under way at once")
            for _ in range(2):
                for s in socks:
                    s.send(b"a drop")
            free = lab.metric('weir_mempool_free{pool="a.rx"}')
            ok(free > 8192, f"what trickles is kept in small buffers: {free:.0f} receive buffers are free")
            flows = json.loads(lab.weir("flows", "--client", "10.77.0.1", "--limit", "10000", "--json").stdout)
            ok(len(flows["rows"]) == 10000, "weir flows lists ten thousand")
            lab.works("among the crowd")
        finally:
            for s in socks:
                s.close()
            stop.set()
            sink.join(5)
        ok(until(lambda: lab.metric('weir_uploads_active{worker="w0"}') == 0, 60), "they leave, nothing stays behind")
        lab.works("after the crowd")


def scenario_syn():
    user = links("closed", 1, 5000) + "memory: { connections: 4000 }\nlimits: { half_open_timeout: 3s }\n"
    with Lab(user) as lab:
        lab.works("before the flood")
        # A connection that was there before, and must not notice.
        s = lab.socket("CLIENT", socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(20)
        s.connect(("10.77.0.2", 80))
        s.sendall(b"PUT /steady HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
        frames = [tcp_frame(f"10.77.{1 + k // 200 % 100}.{1 + k % 200}", 1024 + k % 50000, k * 7919, 0x02) for k in range(20000)]
        n = blast(lab, 4, lambda k: frames[k % len(frames)])
        m = lab.metrics()
        ok(lab.reason("flow_table_full") > 0, f"{n} SYNs: the table is full, reason flow_table_full")
        ok(m.get('weir_connections{worker="w0"}', 0) <= 4000, "and no larger than it may be")
        s.sendall(b"56789")
        got = s.recv(100)
        s.close()
        ok(got.startswith(b"HTTP/1.1 201"), f"a connection from before goes on: {got[:12]}")
        ok(until(lambda: lab.put("new", b"x" * 100, 3) == "201", 30), "new ones are served once half-open ones expire")
        ok(lab.reason("flow_half_open") > 0, "reason flow_half_open")
        lab.works("after the flood")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("scenario", nargs="*")
    a = ap.parse_args()
    if os.geteuid() != 0 or not os.path.ismount("/sys/fs/bpf"):
        print("1..0 # SKIP needs root and bpffs at /sys/fs/bpf")
        return 0
    todo = {name[len("scenario_"):]: f for name, f in globals().items() if name.startswith("scenario_")}
    for name in a.scenario or todo:
        began = time.monotonic()
        todo[name]()
        note(f"--- {name}: {time.monotonic() - began:.0f} s")
    print(f"1..{wire.tests}")
    return wire.failed != 0


if __name__ == "__main__":
    sys.exit(main())
