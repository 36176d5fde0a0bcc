# SPDX-License-Identifier: BSD-3-Clause
"""Uploads as clients make them: sizes, framings, connections, the server's own ways."""
import os
import socket
import subprocess
import tempfile
import threading
import time

from groups import LISTED, body
from lab import EICAR, need, parse_head, put_head, read_answer, same, send_cut, until
from tap import case

SIZES = {"start": (0, 50000), "middle": (25000, 25000), "end": (50000, 0), "whole": (0, 0)}


def chunked(pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


@case("100 MB arrive byte for byte")
def _(lab):
    data = body("hundred", 100000000)
    r = lab.check_clean("/up/100mb", data, lab.put("/up/100mb", data, limit_s=150))
    same(r["upload"]["framing"], ["content-length"], "framing")
    os.unlink(lab.stored("/up/100mb"))


@case("bodies of 0 and 1 bytes")
def _(lab):
    for n in (0, 1):
        for how in ("content-length", "chunked"):
            path = f"/up/{how}-{n}"
            s = lab.connect()
            data = b"x" * n
            if how == "chunked":
                s.sendall(put_head(path, None, "Transfer-Encoding: chunked") +
                          chunked([data] if n else []))
            else:
                s.sendall(put_head(path, n) + data)
            answer = read_answer(s)
            s.close()
            r = lab.check_clean(path, data, answer)
            same(r["upload"]["framing"], [how], "framing")


@case("EICAR at the start, in the middle, as the last bytes, alone")
def _(lab):
    for name, (before, after) in SIZES.items():
        data = body("b", before) + EICAR + body("a", after)
        path = f"/up/eicar-{name}"
        r = lab.check_blocked(path, lab.put(path, data), rule="eicar")
        m = next(m for m in r["matches"] if m["kind"] == "pattern")
        same(m["offset"], before + len(EICAR), f"offset, {name}")
        need(r["last_byte_forwarded"] < before + len(EICAR),
             f"{r['last_byte_forwarded']} bytes went on, the match ends at {before + len(EICAR)}")


@case("EICAR in a chunked body, split over chunks and segments")
def _(lab):
    for name, (before, after) in SIZES.items():
        data = body("b", before) + EICAR + body("a", after)
        path = f"/up/chunked-eicar-{name}"
        lab.check_blocked(path, lab.curl("-T", "-", lab.url(path), body=data), rule="eicar")
    for cut in (1, 34, 67):
        path = f"/up/chunks-{cut}"
        raw = chunked([b"clean ", EICAR[:cut], EICAR[cut:], b" clean"])
        s = lab.connect()
        at = raw.index(EICAR[cut:])
        send_cut(s, [put_head(path, None, "Transfer-Encoding: chunked"), raw[:at - 2], raw[at - 2:]])
        answer = read_answer(s)
        s.close()
        lab.check_blocked(path, answer, rule="eicar")


@case("digest hits by MD5, SHA-1 and SHA-256, Content-Length and chunked")
def _(lab):
    for (algo, size), data in LISTED.items():
        for how in ("length", "chunked"):
            path = f"/up/{algo}-{size}-{how}"
            if how == "length":
                answer = lab.put(path, data)
            else:
                answer = lab.curl("-T", "-", lab.url(path), body=data)
            r = lab.check_blocked(path, answer, list_=f"sample-{algo}")
            # Chunked is held from the zero chunk's line, which may come after the last body byte.
            need(r["last_byte_forwarded"] < size or how == "chunked", f"{path}: the last byte went on")
            same(r["coverage"]["hashed"], size, f"{path}: coverage.hashed")


@case("a file that differs from a listed one by its last bit passes")
def _(lab):
    data = bytearray(LISTED["sha256", 1000000])
    data[-1] ^= 1
    lab.check_clean("/up/near", bytes(data), lab.put("/up/near", bytes(data)))


@case("Expect: 100-continue flows, a bad body behind it is stopped")
def _(lab):
    for name, data in (("clean", body("expect", 5000)), ("bad", LISTED["md5", 1460])):
        path = f"/up/expect-{name}"
        s = lab.connect()
        s.sendall(put_head(path, len(data), "Expect: 100-continue"))
        first = s.recv(4096)
        need(first.startswith(b"HTTP/1.1 100"), f"wanted 100 Continue, got {first[:60]!r}")
        s.sendall(data)
        answer = read_answer(s)
        s.close()
        if name == "clean":
            lab.check_clean(path, data, answer)
        else:
            lab.check_blocked(path, answer, list_="sample-md5")


@case("several uploads on one connection, a bad one in the middle")
def _(lab):
    s = lab.connect()
    for i in range(5):
        path, data = f"/up/alive-{i}", body(f"alive {i}", 3000 * i + 1)
        s.sendall(put_head(path, len(data)) + data)
        lab.check_clean(path, data, read_answer(s))
    bad = b"x" * 2000 + EICAR + b"y" * 2000
    s.sendall(put_head("/up/alive-bad", len(bad)) + bad)
    lab.check_blocked("/up/alive-bad", read_answer(s), rule="eicar")
    same(s.recv(1), b"", "after the answer")
    s.close()


@case("curl reuses its connection for many uploads")
def _(lab):
    n = 20
    args, want = [], {}
    for i in range(n):
        path, data = f"/up/reuse-{i}", body(f"reuse {i}", 997 * i)
        name = f"/tmp/weir-e2e-reuse-{os.getpid()}-{i}"
        with open(name, "wb") as f:
            f.write(data)
        want[path] = (name, data)
        args += (["--next"] if i else []) + ["-sS", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n",
                                            "-T", name, lab.url(path)]
    p = subprocess.run(lab.inside(lab.client_ns, "curl", *args), capture_output=True, text=True,
                       timeout=120)
    for name, _ in want.values():
        os.unlink(name)
    rows = [line.split() for line in p.stdout.splitlines()]
    same([r[0] for r in rows], ["201"] * n, "statuses")
    same(sum(int(r[1]) for r in rows), 1, "connections made")
    for path, (_, data) in want.items():
        lab.check_clean(path, data)


@case("pipelined uploads: the good ones before a bad one are answered first")
def _(lab):
    good = [body(f"pipe {i}", 1000 + i) for i in range(3)]
    bad = EICAR
    raw = b"".join(put_head(f"/up/pipe-{i}", len(d)) + d for i, d in enumerate(good))
    s = lab.connect()
    s.sendall(raw + put_head("/up/pipe-bad", len(bad)) + bad +
              put_head("/up/pipe-after", 4) + b"late")
    got = b""
    s.settimeout(20)
    try:
        while True:
            more = s.recv(65536)
            if not more:
                break
            got += more
    except ConnectionResetError:
        pass
    s.close()
    statuses = [line.split()[1] for line in got.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    same(statuses, [b"201"] * 3 + [b"403"], "statuses")
    for i, d in enumerate(good):
        lab.check_clean(f"/up/pipe-{i}", d)
    lab.check_blocked("/up/pipe-bad", rule="eicar")
    need(lab.store_bytes("/up/pipe-after") is None, "what followed the bad upload is at the store")


@case("50 uploads at once, a third of them bad")
def _(lab):
    bad_ones = [b"z" * 40000 + EICAR + b"z" * 20000, LISTED["sha1", 700001], LISTED["md5", 3000000]]
    answers, datas = {}, {}

    def one(i):
        answers[i] = lab.put(f"/up/many-{i}", datas[i], limit_s=100)

    for i in range(50):
        datas[i] = bad_ones[i // 3 % 3] if i % 3 == 0 else body(f"many {i}", 10000 + 37000 * i)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(50):
        path = f"/up/many-{i}"
        if i % 3 == 0:
            lab.check_blocked(path, answers[i])
        else:
            lab.check_clean(path, datas[i], answers[i])


@case("IPv6: a clean upload arrives, a bad one does not")
def _(lab):
    data = body("six", 300000)
    r = lab.check_clean("/up/v6", data, lab.put("/up/v6", data, ip6=True))
    same(r["client"]["ip"], "fd77::1", "client.ip")
    same(r["store"], {"ip": "fd77::2", "port": 80}, "store")
    lab.check_blocked("/up/v6-bad", lab.put("/up/v6-bad", data + EICAR, ip6=True), rule="eicar")


@case("a GET, a HEAD and a DELETE go through untouched")
def _(lab):
    data = body("get", 2000000) + EICAR  # what the store serves is not Weir's business
    with open(lab.stored("/served"), "wb") as f:
        f.write(data)
    os.chmod(lab.stored("/served"), 0o666)
    got = lab.curl(lab.url("/served"))
    same((got.status, got.body == data), (200, True), "GET")
    got = lab.curl("-I", lab.url("/served"))
    same((got.status, got.headers["content-length"]), (200, str(len(data))), "HEAD")
    same(lab.curl(lab.url("/missing")).status, 404, "GET of nothing")
    p = "/up/delete-me"
    lab.check_clean(p, b"short", lab.put(p, b"short"))
    same(lab.curl("-X", "DELETE", lab.url(p)).status, 204, "DELETE")
    need(lab.store_bytes(p) is None, "the object is still there")
    for path in ("/served", "/missing"):
        same(lab.records_of(path), [], f"records of {path}")


@case("POST: a clean one is answered by the store, a bad one by Weir")
def _(lab):
    data = body("post", 150000)
    got = lab.curl("--data-binary", "@-", lab.url("/echo?clean"), body=data)
    same((got.status, got.body), (200, b"ok\n"), "clean POST")
    same(lab.record("/echo?clean")["verdict"], "clean", "verdict")
    got = lab.curl("--data-binary", "@-", lab.url("/echo?bad"), body=data + EICAR + data)
    lab.check_blocked("/echo?bad", got, rule="eicar")


@case("a flag passes and the record says suspect")
def _(lab):
    data = b"a WEIR-SAMPLE-FLAG inside" * 10
    lab.check_clean("/up/flag", data, lab.put("/up/flag", data), verdict="suspect", action="flag")


@case("a slow client, one byte every 10 ms, clean and bad")
def _(lab):
    for name, data in (("clean", b"slow and steady " * 12), ("bad", b"slow " * 20 + EICAR)):
        path = f"/up/slow-{name}"
        s = lab.connect()
        try:
            for b in put_head(path, len(data)) + data:
                s.send(bytes([b]))
                time.sleep(0.01)
        except OSError:
            need(name == "bad", "a clean upload was cut off")
        answer = read_answer(s)
        s.close()
        if name == "clean":
            lab.check_clean(path, data, answer)
        else:
            lab.check_blocked(path, answer, rule="eicar")


@case("an upload that its client gives up is never committed and has its record")
def _(lab):
    s = lab.connect()
    s.sendall(put_head("/up/gave-up", 100000) + body("up", 60000))
    time.sleep(0.3)
    s.close()
    r = lab.record("/up/gave-up")
    same(r["verdict"], "incomplete", "verdict")
    same(r["committed"], False, "committed")
    need(lab.store_bytes("/up/gave-up") is None, "a part is at the store")


@case("a blocked upload's connection to the store is gone")
def _(lab):
    bad = body("gone", 500000) + EICAR
    s = lab.connect()
    port = s.getsockname()[1]
    s.sendall(put_head("/up/gone", len(bad)) + bad)
    lab.check_blocked("/up/gone", read_answer(s), rule="eicar")

    def gone():
        p = subprocess.run(lab.inside(lab.store_ns, "ss", "-Htn", f"dport = :{port}"),
                           capture_output=True, text=True, timeout=20)
        return not p.stdout.strip()

    until("end of the store's socket", gone, 5.0)
    s.close()
    tmp = os.path.join(os.path.dirname(lab.store_root), "tmp")
    if os.path.isdir(tmp):
        until("empty spool at the store", lambda: not any(f for _, _, f in os.walk(tmp)), 5.0)


def banner_server(lab, port):
    """A server that speaks first, as mail and databases do, then echoes one line; what it was told."""
    srv, told = lab.listen(port), []

    def serve():
        try:
            while True:
                c, _ = srv.accept()
                c.settimeout(10)
                try:
                    c.sendall(b"220 hello\r\n")
                    told.append(c.recv(1000))
                    c.sendall(b"you said " + told[-1])
                except OSError:
                    pass
                c.close()
        except OSError:
            pass
    threading.Thread(target=serve, daemon=True).start()
    return srv, told


@case("a connection that is not HTTP is passed where policy says so")
def _(lab):
    srv, told = banner_server(lab, 7001)
    try:
        s = lab.connect(7001)
        same(s.recv(100), b"220 hello\r\n", "banner")
        s.sendall(b"\x00\x01\x02 not http \xff\xfe")
        same(s.recv(100), b"you said \x00\x01\x02 not http \xff\xfe", "echo")
        s.close()
    finally:
        srv.close()
    same(told, [b"\x00\x01\x02 not http \xff\xfe"], "what the server was told")
    rows = until("record", lambda: [r for r in lab.records() if r["store"]["port"] == 7001], 10.0)
    same([(r["verdict"], r["cause"], r["reason"], r["action"]) for r in rows],
         [("incomplete", "framing", "not_http", "pass")], "record")


@case("a connection that is not HTTP is refused where policy says so")
def _(lab):
    before = lab.reason("not_http")
    srv, told = banner_server(lab, 7002)
    try:
        s = lab.connect(7002, limit_s=10)
        try:
            s.sendall(b"\x00\x01\x02 not http \xff\xfe")
            got = s.recv(100)
            while got and b"you said" not in got:
                more = s.recv(100)
                if not more:
                    break
                got += more
        except (ConnectionResetError, BrokenPipeError, socket.timeout):
            got = b""
        need(b"you said" not in got, "the server's echo came through")
        port = s.getsockname()[1]
        s.close()
    finally:
        srv.close()
    need(not any(told), f"the server was told {told}")
    until("count of not_http", lambda: lab.reason("not_http") > before, 5.0)
    rows = until("record", lambda: [r for r in lab.records() if r["store"]["port"] == 7002], 10.0)
    same([(r["verdict"], r["cause"], r["reason"], r["action"], r["committed"]) for r in rows],
         [("incomplete", "framing", "not_http", "block", False)], "record")

    def in_the_log():
        with open(os.path.join(lab.log_dir, "control.log")) as log:
            return any("reason=not_http" in x and f"client=10.77.0.1:{port} " in x for x in log)

    until("line about it in control's log", in_the_log, 10.0)


@case("two workers: uploads on many connections, good and bad", group="two workers")
def _(lab):
    for i in range(24):
        path, data = f"/two/{i}", body(f"two {i}", 20000 + i)
        if i % 4 == 3:
            lab.check_blocked(path, lab.put(path, data + EICAR), rule="eicar")
        else:
            lab.check_clean(path, data, lab.put(path, data))
    workers = {r["worker"] for r in lab.records() if r["upload"]["path"].startswith("/two/")}
    same(workers, {"w0", "w1"}, "workers that judged")


@case("af_packet: a clean PUT arrives, EICAR and a listed file do not", group="af_packet")
def _(lab):
    data = body("packet", 2000000)
    lab.check_clean("/p/clean", data, lab.put("/p/clean", data))
    lab.check_blocked("/p/eicar", lab.put("/p/eicar", data + EICAR + data), rule="eicar")
    lab.check_blocked("/p/sha1", lab.put("/p/sha1", LISTED["sha1", 700001]), list_="sample-sha1")


def conserved(lab):
    def fates():
        m, out = lab.metrics(), {}
        for key, value in m.items():
            if key.startswith("weir_frames_total{"):
                labels = dict(p.split("=", 1) for p in key[len("weir_frames_total{"):-1].split(","))
                w = out.setdefault(labels["worker"].strip('"'), {})
                w[labels["fate"].strip('"')] = value
            elif key.startswith("weir_frames_held{"):
                w = out.setdefault(key.split('"')[1], {})
                w["held"] = value
        return out

    def balanced():
        rows = fates()
        need(rows, "no weir_frames_total")
        return all(r["received"] + r["generated"] ==
                   r["sent"] + r["dropped"] + r["absorbed"] + r["held"] for r in rows.values())

    until("balance of the frames", balanced, 10.0)
    need(sum(r["received"] for r in fates().values()) > 0, "no frame was received")


for _group in ("plain", "two workers", "af_packet"):
    case("every frame is accounted for", group=_group)(conserved)


@case("a form: each file part is judged and recorded, a bad one stops it")
def _(lab):
    clean, other = body("part", 70000), body("other", 300)
    for name, parts, bad in (("clean", (clean, other), False), ("bad", (other, b"x" + EICAR), True)):
        path = f"/echo?form-{name}"
        with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
            args = ["-F", "note=hello"]
            for n, data in enumerate(parts):
                with open(os.path.join(tmp, f"f{n}"), "wb") as f:
                    f.write(data)
                args += ["-F", f"f{n}=@{f.name}"]
            answer = lab.curl(*args, lab.url(path), limit_s=20)
        same(answer.status, 403 if bad else 200, f"{name}: status")
        until(f"two records of {path}", lambda: len(lab.records_of(path)) >= 2, 5)
        found = sorted((r["upload"]["record"], r["verdict"]) for r in lab.records_of(path)[-2:])
        same(found, [("part", "clean"), ("part", "match" if bad else "clean")], name)


@case("a gzip body is looked into, the piece of an object is not called clean")
def _(lab):
    import gzip
    packed = gzip.compress(b"before " + EICAR + b" after")
    r = lab.check_blocked("/up/gz", lab.put("/up/gz", packed, "-H", "Content-Encoding: gzip"), rule="eicar")
    same([v["view"] for v in r["views"]], ["raw", "decoded"], "views")
    piece = body("piece", 5000)
    r = lab.check_blocked("/up/piece", lab.put("/up/piece", piece, "-H", "Upload-Complete: ?0"),
                          verdict="incomplete")
    same(r["cause"], "protocol", "cause")
