# SPDX-License-Identifier: BSD-3-Clause
"""Forms and streams: curl -F, a browser's form, fetch from another origin, a server that stores each part
the moment it has seen its end."""
import gzip
import html
import json
import os
import shutil
import socket
import tempfile

import servers
from groups import LISTED, body
from lab import EICAR, need, parse_head, put_head, same, until
from servers import PYTHON, client, last_json, need_module
from tap import Skip, case

GOOD, OTHER = body("form good", 200000), body("form other", 3000)
EARLY = body("form early", 60000) + EICAR + body("form rest", 7900000)
LATE = LISTED["sha256", 1000000]


def streams(lab, name, framing, run):
    """run(path, file) -> (status, decision id), to nginx: a clean body and two bad ones."""
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        for kind, data in (("good", GOOD), ("early", EARLY), ("late", LATE)):
            path, file = f"/stream/{name}-{kind}", os.path.join(tmp, kind)
            with open(file, "wb") as f:
                f.write(data)
            status, decision = run(path, file)
            if kind == "good":
                need(status in (201, 204), f"{name} saw {status}")
                r = lab.check_clean(path, data)
            else:
                same(status, 403, f"status that {name} read, {kind}")
                r = lab.check_blocked(path)
                same(decision, r["decision_id"], "decision id")
            same(r["upload"]["framing"], framing, f"framing of {name}")


@case("curl -T -: chunked", "clients")
def _(lab):
    def run(path, file):
        with open(file, "rb") as f:
            a = lab.curl("-T", "-", lab.url(path), body=f.read())
        return a.status, a.headers.get("weir-decision-id")

    streams(lab, "curl", ["chunked"], run)


REQUESTS = """
import json, sys, requests
def pieces():
    with open(sys.argv[2], "rb") as f:
        while True:
            piece = f.read(16384)
            if not piece:
                return
            yield piece
r = requests.put(sys.argv[1], data=pieces(), timeout=60)
print(json.dumps([r.status_code, r.headers.get("Weir-Decision-Id")]))
"""


@case("python requests: a generator", "clients")
def _(lab):
    need_module("requests")
    streams(lab, "requests", ["chunked"], lambda path, file: last_json(
        client(lab, PYTHON, "-c", REQUESTS, lab.url(path), file)))


@case("node's fetch: a stream", "clients")
def _(lab):
    if not shutil.which("node"):
        raise Skip("node is not installed")
    streams(lab, "node", ["chunked"], lambda path, file: last_json(
        client(lab, *servers.script("fetch-stream.mjs", lab.url(path), file))))


@case("curl with Content-Encoding: gzip: both views judged", "clients")
def _(lab):
    packed = gzip.compress(GOOD)
    answer = lab.put("/stream/gz-good", packed, "-H", "Content-Encoding: gzip")
    need(answer.status == 201, f"client saw {answer}")
    need(lab.store_bytes("/stream/gz-good") == packed, "the store holds other bytes")
    r = lab.record("/stream/gz-good")
    same((r["verdict"], r["action"]), ("clean", "pass"), "record")
    same([(v["view"], v["coding"], v["bytes"]) for v in r["views"]],
         [("raw", None, len(packed)), ("decoded", "gzip", len(GOOD))], "views")
    r = lab.check_blocked("/stream/gz-late", lab.put("/stream/gz-late", gzip.compress(LATE), "-H",
                                                    "Content-Encoding: gzip"), list_="sample-sha256")
    same([m["view"] for m in r["matches"]], ["decoded"], "view that matched")


# --- forms -------------------------------------------------------------------------------------------

def parts_of(lab, path, n):
    return until(f"{n} records of {path}", lambda: len(lab.records_of(path)) >= n and lab.records_of(path))


def judged(lab, path, wanted):
    """The records of a form's files by name: {name: (verdict, action)}."""
    rows = parts_of(lab, path, len(wanted))
    same({r["upload"]["filename"]: (r["verdict"], r["action"]) for r in rows}, wanted, f"records of {path}")
    for r in rows:
        same((r["upload"]["record"], "multipart" in r["upload"]["framing"]), ("part", True), "kind")
    return rows


@case("busboy: forms by curl -F", "clients")
def _(lab):
    server = servers.BUSBOY.up(lab)
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        for name, data in (("cf-a.bin", GOOD), ("cf-b.bin", OTHER), ("cf-c.bin", EARLY), ("cf-d.bin", LATE)):
            with open(os.path.join(tmp, name), "wb") as f:
                f.write(data)

        def send(path, *names):
            args = ["-F", "note=hello"]
            for name in names:
                args += ["-F", f"file=@{os.path.join(tmp, name)}"]
            return lab.curl(*args, server.url + path)

        answer = send("/curl-good", "cf-a.bin", "cf-b.bin")
        same(answer.status, 200, f"status ({answer})")
        same(json.loads(answer.body), {"fields": {"note": "hello"}, "files": ["cf-a.bin", "cf-b.bin"]}, "answer")
        need(server.stored("cf-a.bin") == GOOD and server.stored("cf-b.bin") == OTHER, "other bytes are stored")
        judged(lab, "/curl-good", {"cf-a.bin": ("clean", "pass"), "cf-b.bin": ("clean", "pass")})
        for bad in ("cf-c.bin", "cf-d.bin"):
            answer = send("/curl-" + bad, bad)
            same(answer.status, 403, f"status ({answer})")
            rows = judged(lab, "/curl-" + bad, {bad: ("match", "block")})
            same(answer.headers.get("weir-decision-id"), rows[0]["decision_id"], "decision id")
            need(server.stored(bad) is None, f"{bad} is stored as complete")


def part(name, data):
    return (f'--lab-boundary\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n").encode() + data + b"\r\n"


@case("busboy: a bad part first of three, the third never finished", "clients")
def _(lab):
    server = servers.BUSBOY.up(lab)
    for kind, bad in (("early", EARLY), ("late", LATE)):
        path, names = f"/three-{kind}", [f"three-{kind}-{n}" for n in range(3)]
        raw = (part(names[0], bad) + part(names[1], OTHER) + part(names[2], GOOD))[:-1000]
        s = lab.connect(server.port)
        got = b""
        try:
            s.sendall(put_head(path, len(raw) + 2000, 'Content-Type: multipart/form-data; boundary="lab-boundary"',
                               host=server.host).replace(b"PUT", b"POST", 1) + raw)
        except OSError:
            pass  # refused while it was sending: the answer says so
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
        except (ConnectionResetError, socket.timeout):
            pass
        s.close()
        status, headers, _ = parse_head(got)
        same(status, 403, "status")
        rows = parts_of(lab, path, 1)
        r = next(r for r in rows if r["upload"]["filename"] == names[0])
        same((r["verdict"], r["action"], r["committed"]), ("match", "block", False), "record of the bad part")
        same(headers.get("weir-decision-id"), r["decision_id"], "decision id")
        # Whatever the server does when it sees a part's end: it has not seen this one's.
        for name in names:
            need(server.stored(name) is None, f"{name} is stored as complete")


# --- a browser ----------------------------------------------------------------------------------------

def browse(lab, url):
    """The document that a headless Chromium ends at."""
    browser = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None)
    if not browser:
        raise Skip("no chromium is installed")
    p = client(lab, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               f"--host-resolver-rules=MAP app.lab {lab.store_ip}, MAP other.lab {lab.store_ip}",
               "--virtual-time-budget=20000", "--dump-dom", url, limit_s=60)
    return html.unescape(p.stdout.decode(errors="replace"))


def publish(server, name, data):
    with open(os.path.join(server.folder, "root", "www", name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


FORM = """<!doctype html><title>form</title>
<form id=form method=post action="%s" enctype="multipart/form-data">
<input name=note value="hello"><input type=file name=file id=file></form>
<script>
(async () => {
  const blob = await (await fetch('/source')).blob();
  const chosen = new DataTransfer();
  chosen.items.add(new File([blob], '%s', { type: 'application/octet-stream' }));
  document.getElementById('file').files = chosen.files;
  document.getElementById('form').submit();
})();
</script>"""


@case("busboy: a form in Chromium", "clients")
def _(lab):
    server = servers.BUSBOY.up(lab)
    for kind, data in (("good", GOOD), ("early", EARLY), ("late", LATE)):
        name, path = f"browser-{kind}.bin", f"/browser-{kind}"
        publish(server, "source", data)
        publish(server, "form.html", FORM % (path, name))
        page = browse(lab, server.url + "/form.html")
        if kind == "good":
            need(f'"files":["{name}"]' in page, f"the browser shows {page[:300]}")
            need(server.stored(name) == data, "other bytes are stored")
            judged(lab, path, {name: ("clean", "pass")})
        else:
            r = judged(lab, path, {name: ("match", "block")})[0]
            need(r["decision_id"] in page, f"the browser shows {page[:300]}")
            need(server.stored(name) is None, f"{name} is stored as complete")


CROSS = """<!doctype html><title>cross origin</title><pre id=out>waiting</pre><script>
(async () => {
  const out = document.getElementById('out');
  try {
    const blob = await (await fetch('/source')).blob();
    const form = new FormData();
    form.append('file', new File([blob], '%s'));
    const r = await fetch('%s', { method: 'POST', body: form, credentials: 'include',
      headers: { 'X-Note': 'preflight' } });
    out.textContent = JSON.stringify([r.status, r.headers.get('weir-decision-id'), await r.text()]);
  } catch (e) { out.textContent = 'failed: ' + e; }
})();
</script>"""


@case("busboy: a fetch from another origin reads status and decision id", "clients")
def _(lab):
    server = servers.BUSBOY.up(lab)
    for kind, data, origin in (("good", GOOD, "app.lab"), ("early", EARLY, "app.lab"), ("late", LATE, "app.lab"),
                               ("unlisted", EARLY, "other.lab")):
        name, path = f"cross-{kind}.bin", f"/cross-{kind}"
        publish(server, "source", data)
        publish(server, "cross.html", CROSS % (name, server.url + path))
        page = browse(lab, f"http://{origin}:{server.port}/cross.html")
        need('<pre id="out">' in page, f"no page: {page[:300]}")
        said = page.split('<pre id="out">')[1].split("</pre>")[0]
        if kind == "unlisted":  # the browser keeps an answer from a page that may not read it
            need(said.startswith("failed"), f"the page of an origin that is not listed reads {said}")
            judged(lab, path, {name: ("match", "block")})
            continue
        need(said.startswith("["), f"the page says {said}")
        status, decision, text = json.loads(said)
        if kind == "good":
            same((status, decision), (200, None), "what the page read")
            need(server.stored(name) == data and name in text, "other bytes are stored")
            judged(lab, path, {name: ("clean", "pass")})
            continue
        r = judged(lab, path, {name: ("match", "block")})[0]
        same((status, decision), (403, r["decision_id"]), "what the page read")
        need(server.stored(name) is None, f"{name} is stored as complete")
