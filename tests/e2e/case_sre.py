# SPDX-License-Identifier: BSD-3-Clause
"""What SREs read and run: every counter against a count of our own, live views, traces, self-test, drain."""
import glob
import json
import os
import re
import struct
import subprocess
import tempfile
import threading
import time

from groups import LISTED, body
from lab import EICAR, ROOT, need, put_head, read_answer, same, until
from tap import case

SRE = "sre"
WEIR = os.path.join(os.environ.get("WEIR_BUILD", os.path.join(ROOT, "build")), "control/cli/weir")


def weir(lab, *args, code=0, ns=None, limit_s=60):
    """Output of one command; its exit code is part of its promise."""
    env = dict(os.environ, WEIR_SOCKET=lab.env["WEIR_SOCKET"], WEIR_RECORDS=lab.env["WEIR_RECORDS"],
               WEIR_BPFFS=lab.env["WEIR_BPFFS"])
    argv = lab.inside(ns, WEIR, *args) if ns else [WEIR, *args]
    p = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=limit_s)
    same(p.returncode, code, f"exit of weir {' '.join(args)} ({p.stdout.strip()[-300:]} {p.stderr.strip()})")
    return p.stdout


def weir_json(lab, *args, **kw):
    return json.loads(weir(lab, *args, "--json", **kw))


# --- counters ------------------------------------------------------------------------------------------------

def interface(lab, ns, dev):
    """What the kernel counted on the other end of each wire: frames and bytes, sent and received."""
    out = subprocess.run(lab.inside(ns, "ip", "-s", "-j", "link", "show", dev), capture_output=True, text=True,
                         check=True).stdout
    s = json.loads(out)[0]["stats64"]
    return {"rx": (s["rx"]["packets"], s["rx"]["bytes"]), "tx": (s["tx"]["packets"], s["tx"]["bytes"])}


def ends(lab):
    return interface(lab, lab.client_ns, lab.client_if), interface(lab, lab.store_ns, lab.store_if)


def minus(a, b):
    return tuple(x - y for x, y in zip(a, b))


def chunked(data, ext=b"", end=b""):
    cut = len(data) // 3
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), ext, p) for p in (data[:cut], data[cut:])) + b"0%s\r\n%s\r\n" % (ext, end)


SIGNATURE = b";chunk-signature=" + b"0123456789abcdef" * 4
AWS = [("aws-unsigned-trailer", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", True, b""),
       ("aws-signed", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", False, SIGNATURE),
       ("aws-sigv4a", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", False, SIGNATURE)]


def raw_put(lab, path, lines, sent):
    s = lab.connect()
    try:
        s.sendall(put_head(path, None, *lines))
        s.sendall(sent)
        return read_answer(s)
    finally:
        s.close()


class Ledger:
    """What was sent, kept by the one who sent it."""

    def __init__(self):
        self.uploads, self.bytes, self.verdicts = {}, {}, {}
        self.total = self.n = 0

    def add(self, framing, size, verdict, action, sent=None):
        self.uploads[framing] = self.uploads.get(framing, 0) + 1
        self.bytes[framing] = self.bytes.get(framing, 0) + size
        key = (verdict, action)
        self.verdicts[key] = self.verdicts.get(key, 0) + 1
        self.total += size
        self.n += 1


def drive(lab, book):
    """Known traffic: every framing, clean and marked, listed, one body that Weir cannot decode."""
    for i in range(5):
        data = body(f"len {i}", 1000 * 7 ** i % 300000 + 1)
        need(lab.put(f"/sre/len-{i}", data).status in (201, 204), "clean")
        book.add("content-length", len(data), "clean", "pass")
    for i in range(3):
        data = body(f"chunk {i}", 5000 * (i + 1))
        same(raw_put(lab, f"/sre/chunk-{i}", ["Transfer-Encoding: chunked"], chunked(data)).status // 100, 2, "chunked")
        book.add("chunked", len(data), "clean", "pass")
    for name, kind, trailer, ext in AWS:
        data = body(name, 4000)
        sent = chunked(data, ext, b"x-amz-checksum-crc32: AAAAAA==\r\n" if trailer else b"")
        lines = [f"x-amz-content-sha256: {kind}", "Content-Encoding: aws-chunked", f"Content-Length: {len(sent)}",
                 f"x-amz-decoded-content-length: {len(data)}"]
        same(raw_put(lab, f"/sre/{name}", lines + (["x-amz-trailer: x-amz-checksum-crc32"] if trailer else []),
                     sent).status // 100, 2, name)
        book.add(name, len(data), "clean", "pass")
    for i in range(2):
        data = body(f"marked {i}", 9000) + EICAR
        same(lab.put(f"/sre/marked-{i}", data).status, 403, "marked")
        book.add("content-length", len(data), "match", "block")
    data = LISTED["sha256", 64]
    same(lab.put("/sre/listed", data).status, 403, "listed")
    book.add("content-length", len(data), "match", "block")
    data = body("coding", 2000)
    same(lab.put("/sre/coding", data, "-H", "Content-Encoding: compress").status, 403, "a coding nobody decodes")
    book.add("content-length", len(data), "incomplete", "block")
    # The watched service blocks nothing, and counts what it would have.
    data = body("watch", 3000) + EICAR
    need(lab.put("/sre/watched", data, ip6=True).status in (201, 204), "observe blocked")
    book.add("content-length", len(data), "match", "flag")


def delta(after, before, name):
    return after.get(name, 0.0) - before.get(name, 0.0)


def settled(lab, book, before):
    """Metrics after the traffic, once every record is written and connections have closed."""
    def there():
        m = lab.metrics()
        return delta(m, before, "weir_records_written_total") == book.n and \
            not sum(v for k, v in m.items() if k.startswith("weir_uploads_active")) and m
    until("records of all uploads", there, 20)
    # Late ACKs and FINs are frames too, and port counters are taken ten times a second: nothing may
    # move from well before the page is read until after it.
    for _ in range(100):
        e = ends(lab)
        time.sleep(0.5)
        m = lab.metrics()
        if ends(lab) == e:
            break
    return m, e


@case("every counter is what an independent count says", group=SRE, drivers=("af_xdp",))
def _(lab):
    book, before = Ledger(), None
    last = None
    while (now := ends(lab)) != last:  # whatever came before has ended
        last = now
        time.sleep(0.5)
    before, here = lab.metrics(), ends(lab)
    lines0 = len(lab.records())
    drive(lab, book)
    m, there = settled(lab, book, before)

    def d(name):
        return delta(m, before, name)

    # ports and queues: the kernel's count on the far end of each wire
    for k, (port, i) in enumerate((("a.client", 0), ("a.store", 1))):
        for way, far in (("rx", "tx"), ("tx", "rx")):
            frames, size = minus(there[i][far], here[i][far])
            same(d(f'weir_port_{way}_packets_total{{port="{port}"}}'), frames, f"{port} {way} frames")
            # A veth whose far end polls counts what is behind the Ethernet header, others all of it.
            have = d(f'weir_port_{way}_bytes_total{{port="{port}"}}')
            need(have in (size, size + 14 * frames), f"{port} {way} bytes: {have}, the kernel says {size} in {frames}")
            same(d(f'weir_queue_{way}_packets_total{{port="{port}",queue="0",worker="w0"}}'), frames,
                 f"{port} queue {way}")
        for zero in ("rx_missed", "rx_nombuf", "rx_errors", "tx_errors"):
            same(d(f'weir_port_{zero}_total{{port="{port}"}}'), 0, f"{port} {zero}")
        same(m[f'weir_port_link_up{{port="{port}"}}'], 1, f"{port} link_up")
    came = sum(minus(there[i]["tx"], here[i]["tx"])[0] for i in (0, 1))
    went = sum(minus(there[i]["rx"], here[i]["rx"])[0] for i in (0, 1))
    fate = {f: d(f'weir_frames_total{{worker="w0",fate="{f}"}}') for f in
            ("received", "generated", "sent", "dropped", "absorbed")}
    same(fate["received"], came, "frames received")
    same(fate["sent"], went, "frames sent")
    same(fate["received"] + fate["generated"], fate["sent"] + fate["dropped"] + fate["absorbed"], "balance")
    same(m['weir_frames_held{worker="w0"}'], 0, "held")

    # uploads, verdicts, coverage: our own ledger
    for framing, n in book.uploads.items():
        same(d(f'weir_uploads_total{{framing="{framing}"}}'), n, f"uploads {framing}")
        same(d(f'weir_upload_bytes_total{{framing="{framing}"}}'), book.bytes[framing], f"bytes {framing}")
    same(sum(d(k) for k in m if k.startswith("weir_uploads_total{")), book.n, "uploads in all")
    got = {}
    for k in m:
        if k.startswith("weir_verdicts_total{") and d(k):
            v = re.match(r'.*verdict="(\w+)",cause="(\w*)",action="(\w+)"', k)
            got[v.group(1), v.group(3)] = got.get((v.group(1), v.group(3)), 0) + d(k)
    same(got, book.verdicts, "verdicts")
    same(d('weir_verdicts_total{verdict="incomplete",cause="coding",action="block"}') or
         sum(d(k) for k in m if k.startswith('weir_verdicts_total{verdict="incomplete",cause="') and 'cause=""' not in k),
         1, "incomplete with its cause")
    same(d('weir_would_block_total{service="watch"}'), 1, "would_block of the watched service")
    same(d('weir_would_block_total{service="store"}'), 0, "would_block of the other")
    same(d('weir_rule_hits_total{bundle="core",rule="eicar",mode="enforce"}'), 3, "rule hits")
    same(d('weir_list_hits_total{bundle="core",list="sample-sha256",mode="enforce"}'), 1, "list hits")
    for kind in ("received", "hashed", "pattern"):
        have = d(f'weir_coverage_bytes_total{{kind="{kind}"}}')
        records = sum(r["coverage"][kind] for r in lab.records()[lines0:])
        same(have, records, f"coverage {kind}, against the records")
    same(d('weir_coverage_bytes_total{kind="received"}'), book.total, "bytes received, against what was sent")
    same(d("weir_records_written_total"), len(lab.records()) - lines0, "records, against the lines on disk")
    same(d("weir_records_lost_total"), 0, "records lost")

    # the delay histogram: as many as were judged with a last byte; whole; a sum
    count = d("weir_verdict_delay_seconds_count")
    need(0 < count <= book.n, f"delays counted: {count} of {book.n}")
    buckets = [(float(re.search(r'le="([^"]+)"', k).group(1).replace("+Inf", "inf")), d(k)) for k in m
               if k.startswith("weir_verdict_delay_seconds_bucket")]
    same(sorted(buckets)[-1][1], count, "the last bucket")
    need(all(a[1] <= b[1] for a, b in zip(sorted(buckets), sorted(buckets)[1:])), "buckets grow")
    # Time is read once a turn: a verdict in the turn of the last byte took none that can be told.
    need(0 <= d("weir_verdict_delay_seconds_sum") < 60, "sum of delays")
    need(d("weir_lanes_filled_count") > 0, "digest calls")

    # cycles: busy is a part of all, its stages are a part of busy, a second has so many of them
    cycles, hz = d('weir_worker_cycles_total{worker="w0"}'), m['weir_worker_tsc_hertz{worker="w0"}']
    stages = sum(d(k) for k in m if k.startswith("weir_worker_busy_cycles_total{"))
    need(0 < stages < cycles and hz > 1e8, f"stages {stages}, cycles {cycles}, hertz {hz}")
    need(0 < m['weir_worker_longest_turn_seconds{worker="w0"}'] < 60, "longest turn")


@case("every gauge says what is", group=SRE, drivers=("af_xdp",))
def _(lab):
    w0 = '{worker="w0"}'
    until("quiet", lambda: lab.metrics()["weir_uploads_active" + w0] == 0, 20)
    socks = []
    try:
        conns = lab.metrics()["weir_connections" + w0]
        for i in range(7):
            s = lab.connect()
            s.sendall(put_head(f"/sre/open-{i}", 5000) + b"x" * 100)
            socks.append(s)
        until("seven uploads", lambda: lab.metrics()["weir_uploads_active" + w0] == 7, 5)
        need(lab.metrics()["weir_connections" + w0] >= 7 and lab.metrics()["weir_connections" + w0] <= conns + 7,
             "connections")
        m = lab.metrics()
        need(m["weir_kept_bytes"] >= 0 and m["weir_hold_bytes"] == 0, "nothing is held: no tail has come")
        rows = weir_json(lab, "flows", "--client", "10.77.0.1")["rows"]
        mine = [r for r in rows if r["upload"] and (r["upload"]["path"] or "").startswith("/sre/open-")]
        same(len(mine), 7, "connections that weir flows lists")
        ports = {s.getsockname()[1] for s in socks}
        same({r["client_port"] for r in mine}, ports, "their ports")
        same({(r["upload"]["bytes"], r["upload"]["length"]) for r in mine}, {(100, 5000)}, "bytes of each")
        one = weir_json(lab, "flows", "--client", f"10.77.0.1:{min(ports)}")["rows"]
        same([r["client_port"] for r in one], [min(ports)], "one by address and port")
    finally:
        for s in socks:
            s.close()
    m = lab.metrics()
    same(m['weir_up{process="control"}'], 1, "up control")
    same(m['weir_up{process="dataplane"}'], 1, "up dataplane")
    same(m['weir_wire_state{link="a",state="inspect"}'], 1, "wire_state")
    same(m['weir_wire_state{link="a",state="open"}'], 0, "wire_state")
    same(m['weir_bundle_info{bundle="core",version="1"}'], 1, "bundle_info")
    need(abs(m['weir_bundle_activated_timestamp_seconds{bundle="core"}'] - time.time()) < 3600, "activated")
    need(m['weir_bundle_expires_timestamp_seconds{bundle="core"}'] > time.time(), "expires")
    for algo in ("md5", "sha1", "sha256"):
        rows = lab.bundle_lines(f"lists/sample-{algo}.txt")
        same(m[f'weir_list_entries{{list="sample-{algo}",algo="{algo}"}}'], rows, f"list_entries {algo}")
    need(m["weir_ruleset_generation" + w0] >= 1, "ruleset_generation")
    same(m["weir_ruleset_draining_uploads"], 0, "draining")
    same(m["weir_trust_unsigned_allowed"], 1, "unsigned_allowed, in a lab")
    same(m["weir_worker_stalled" + w0], 0, "stalled")
    same(m["weir_decoder_restarts_total"] + m["weir_decoder_queue"], 0, "no decoder yet")
    need(m["weir_hold_budget_bytes"] == 64 << 20, "hold budget, as configured")
    for pool in ("rx", "small", "large", "generated"):
        need(m[f'weir_mempool_free{{pool="a.{pool}"}}'] > 0, f"mempool_free {pool}")
    checks = {k: v for k, v in until("the doctor's first round", lambda: [
        (k, v) for k, v in lab.metrics().items() if k.startswith("weir_doctor_check_ok")], 30)}
    need(len(checks) >= 26 and set(checks.values()) <= {0, 1}, f"{len(checks)} checks of the doctor")
    page = subprocess.run(["curl", "-s", lab.metrics_url], capture_output=True, text=True).stdout
    have = set(re.findall(r"^# TYPE (\S+)", page, re.M))
    with open(os.path.join(ROOT, "docs/operate/metrics.md")) as f:
        listed = set(re.findall(r"`(weir_\w+)", f.read()))
    same(have - listed, set(), "families that the page does not list")
    same(listed - have, set(), "families that only the page has")


@case("a bundle that is refused is counted with its code", group=SRE)
def _(lab):
    def rejected():
        return sum(v for k, v in lab.metrics().items() if k.startswith("weir_bundle_rejected_total"))

    before = rejected()
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        os.makedirs(tmp + "/rules")
        with open(tmp + "/manifest.yaml", "w") as f:
            f.write("format: weir-bundle/1\nname: core\nversion: zero\n")
        os.chmod(tmp, 0o755)
        need(lab.call("load", tmp).returncode != 0, "a broken bundle was loaded")
    same(rejected(), before + 1, "rejected")


# --- live views -----------------------------------------------------------------------------------------------

@case("weir top, drops, reasons, status tell of traffic, as text and as JSON", group=SRE)
def _(lab):
    stop = threading.Event()

    def load():
        i = 0
        while not stop.is_set():
            lab.put(f"/sre/top-{i % 10}", body("top", 200000) + (EICAR if i % 3 == 0 else b""))
            i += 1

    t = threading.Thread(target=load)
    t.start()
    try:
        time.sleep(0.5)
        out = until("a busy second", lambda: (lambda o: o if re.search(r"clean \d+\.\d/s", o) else None)(
            weir(lab, "top", "--once", "--every", "1.5")), 30)
        row = re.search(r"^w0 +([\d.]+)% +([\d.]+) +(\d+) +(\d+) +(\d+) +(\S+) +(\d+) +(.*)$", out, re.M)
        need(row and float(row.group(1)) > 0 and float(row.group(2)) > 0, f"busy and Gbit/s of w0: {out}")
        need(int(row.group(7)) >= 1, f"the ruleset's number: {out}")
        shares = [float(x) for x in re.findall(r"\w+ (\d+)%", row.group(8))]
        need(50 <= sum(shares) <= 101, f"stage shares add up to {sum(shares)}: {out}")
        need("match" in out and "block" in out, f"verdicts: {out}")
        raw = weir_json(lab, "top", "--once", "--every", "0.5")
        need(raw["after"]["workers"][0]["cycles"] > raw["before"]["workers"][0]["cycles"], "raw counters")
    finally:
        stop.set()
        t.join()
    s = lab.connect()
    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    try:
        s.recv(100)
    except OSError:
        pass
    s.close()
    until("host_twice", lambda: lab.reason("host_twice") >= 1, 5)
    rows = {(r["where"], r["what"]): r for r in weir_json(lab, "drops", "--every", "0.2")}
    same(rows["reason", "host_twice"]["action"], "block", "what policy does")
    need(rows["reason", "host_twice"]["count"] == lab.reason("host_twice"), "weir drops counts as /metrics does")
    need("host_twice" in weir(lab, "drops", "--every", "0.2"), "as text")
    need(re.search(r"^host_twice +block", weir(lab, "reasons", "--seen"), re.M), "weir reasons --seen")
    need("ready" in weir(lab, "status"), "weir status")


@case("a trace has one client's headers and no payload; with payload only when asked", group=SRE)
def _(lab):
    secret = b"these bytes are nobody's business " * 40
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        for payload in (False, True):
            s = lab.connect()
            port = s.getsockname()[1]
            out = os.path.join(tmp, f"t{payload}.pcapng")
            began = time.time()
            t = subprocess.Popen([WEIR, "--socket", lab.env["WEIR_SOCKET"], "trace", "--client", f"10.77.0.1:{port}",
                                  "--out", out, "--packets", "60", "--seconds", "4", *(["--payload"] if payload else [])],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            t.stderr.readline()  # it says when it has begun
            s.sendall(put_head(f"/sre/trace-{payload}", len(secret)) + secret[:500])
            time.sleep(0.3)
            s.sendall(secret[500:])
            same(read_answer(s).status, 201, "status")
            lab.put("/sre/trace-other", b"of another connection")
            s.close()
            said = t.communicate(timeout=30)[0]
            frames = pcapng(out)
            need(re.match(rf"{len(frames)} frames in ", said), f"{said!r}, {len(frames)} frames in the file")
            need(len(frames) >= 6, f"{len(frames)} frames")
            mode = os.stat(out).st_mode & 0o777
            same(mode, 0o600, "mode of the file")
            for f in frames:
                ports = struct.unpack("!HH", f["data"][34:38])
                need(port in ports, f"a frame of another connection: {ports}")
                need(began - 1 < f["time"] < time.time() + 1, f"time {f['time']}, not between {began} and now")
            text = b"".join(f["data"] for f in frames)
            same(b"nobody's business" in text, payload, "payload in the file")
            same({f["direction"] for f in frames}, {1, 2}, "frames received and frames sent on")
            same({f["interface"] for f in frames}, {0, 1}, "both ports")
            cut = [f for f in frames if f["length"] > len(f["data"])]
            need(payload or cut, "no frame was cut")
    need("payload=yes" in open(os.path.join(lab.env["WEIR_LOG_DIR"], "control.log")).read(), "not on record")
    same(lab.metrics()['weir_traces_total{payload="yes"}'], 1, "traces with payload")
    need("not an address" in subprocess.run([WEIR, "--socket", lab.env["WEIR_SOCKET"], "trace", "--client", "x.y", "--out",
                                             "/dev/null"], capture_output=True, text=True).stderr, "a bad address")


def pcapng(path):
    """Enhanced packets of a pcapng file, by the format's own description and nothing of ours."""
    frames, interfaces = [], []
    with open(path, "rb") as f:
        data = f.read()
    same(data[:4], b"\x0a\x0d\x0d\x0a", "magic")
    at = 0
    while at < len(data):
        kind, size = struct.unpack("<II", data[at:at + 8])
        same(struct.unpack("<I", data[at + size - 4:at + size])[0], size, "length behind the block")
        block = data[at + 8:at + size - 4]
        if kind == 1:
            options, resol = block[8:], 6
            while len(options) >= 4:
                code, n = struct.unpack("<HH", options[:4])
                if code == 9:
                    resol = options[4]
                options = options[4 + (n + 3) // 4 * 4:] if code else b""
            interfaces.append(resol)
        elif kind == 6:
            i, hi, lo, cap, length = struct.unpack("<IIIII", block[:20])
            options, direction = block[20 + (cap + 3) // 4 * 4:], None
            while len(options) >= 4:
                code, n = struct.unpack("<HH", options[:4])
                if code == 2:
                    direction = struct.unpack("<I", options[4:8])[0] & 3
                options = options[4 + (n + 3) // 4 * 4:] if code else b""
            frames.append({"interface": i, "time": (hi << 32 | lo) / 10 ** interfaces[i], "length": length,
                           "data": block[20:20 + cap], "direction": direction})
        at += size
    same(at, len(data), "end of the file")
    return frames


# --- self-test, drain, reload ------------------------------------------------------------------------------------

FRAMINGS = {"content-length", "chunked", "multipart", "multipart-related", "gzip", "aws-unsigned-trailer", "aws-signed",
            "aws-signed-trailer", "aws-sigv4a"}


@case("self-test: every framing is protected; in observe mode it says that nothing is", group=SRE)
def _(lab):
    rows = weir_json(lab, "selftest", "http://10.77.0.2/canary", ns=lab.client_ns, limit_s=120)
    same({r["framing"]: r["result"] for r in rows}, {f: "protected" for f in FRAMINGS}, "results")
    same(lab.metrics()["weir_selftest_ok"], 1, "weir_selftest_ok")
    need(abs(lab.metrics()["weir_selftest_timestamp_seconds"] - time.time()) < 60, "when")
    need(not glob.glob(lab.stored("/canary/*")), "something was left at the store")
    out = weir(lab, "selftest", "http://[fd77::2]/canary", ns=lab.client_ns, code=1, limit_s=120)
    need(out.count("NOT PROTECTED") == len(FRAMINGS), f"observe: {out}")
    need("service watch is in observe mode" in out, f"why: {out}")
    same(lab.metrics()["weir_selftest_ok"], 0, "weir_selftest_ok")
    need(not glob.glob(lab.stored("/canary/*")), "something was left at the store")


@case("drain and undrain: readiness goes and comes, new connections by policy", group=SRE)
def _(lab):
    def ready():
        return subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                               lab.metrics_url.replace("/metrics", "/readyz")], capture_output=True, text=True).stdout

    steady = lab.connect()
    steady.sendall(put_head("/sre/steady", 20) + b"0123456789")
    need("draining" in weir(lab, "drain", "--no-wait"), "weir drain --no-wait")
    same(ready(), "503", "/readyz while draining")
    got = lab.put("/sre/drained", b"new", limit_s=3)
    same((got.exit != 0, got.status), (True, 0), "a new connection while draining")
    weir(lab, "drain", "--timeout", "1", code=1)
    steady.sendall(b"0123456789")
    same(read_answer(steady).status, 201, "a connection from before")
    steady.close()
    need("drained" in weir(lab, "drain", "--timeout", "30"), "weir drain waits for the last upload")
    weir(lab, "undrain")
    until("readiness", lambda: ready() == "200", 10)
    data = body("undrained", 1000)
    lab.check_clean("/sre/undrained", data, lab.put("/sre/undrained", data))
