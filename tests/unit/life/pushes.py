#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pushes against a real weir-control and weir-compile: refusals and their metric, kill -9, remote push.

usage: pushes.py WEIR WEIR_CONTROL
"""
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from control import Control, Tap

weir, control = (os.path.abspath(p) for p in sys.argv[1:3])
tap = Tap()
work = tempfile.mkdtemp(prefix="weir-push-")


def sh(*args):
    p = subprocess.run(args, cwd=work, capture_output=True, text=True, timeout=60, check=False)
    if p.returncode != 0:
        raise RuntimeError(f"{args}: {p.stdout}{p.stderr}")
    return p.stdout


def make(version, literal="benign-marker", sign=True):
    """A signed archive b-VERSION.weir."""
    folder = os.path.join(work, f"b{version}")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "rules"))
    with open(os.path.join(folder, "manifest.yaml"), "w") as f:
        f.write(f"format: weir-bundle/1\nname: b\nversion: {version}\ncreated: 2026-11-23T19:00:00Z\n")
    with open(os.path.join(folder, "rules", "r.yaml"), "w") as f:
        f.write(f"rules: [ {{ id: r, pattern: '{literal}', action: block }} ]\n")
    if sign:
        sh(weir, "bundle", "sign", folder, "-s", "k.key")
    return folder, os.path.join(work, f"b-{version}.weir")


def build(version, **how):
    folder, path = make(version, **how)
    sh(weir, "bundle", "build", folder, "-o", path)
    return path


def active(server):
    code, v = server.json("bundle", "status")
    return v.get("bundles", {}).get("b", {}).get("active")


def metric(server, name):
    s = socket.socket(socket.AF_UNIX)
    s.connect(server.socket)
    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    data = b""
    while chunk := s.recv(65536):
        data += chunk
    return [line for line in data.decode().splitlines() if line.startswith(name)]


def refusals(server):
    good = build(2)
    code, v = server.json("bundle", "push", good)
    tap.ok(code == 0 and v["state"] == "waiting" and active(server) == 2,
           "a signed bundle is compiled and kept for the dataplane", v)
    for path, want in ((good, "not_newer"), (build(1), "not_newer"), (build(3, sign=False), "unsigned")):
        code, v = server.json("bundle", "push", path)
        tap.ok(code == 1 and v.get("code") == want, f"{os.path.basename(path)}: {want}", v)
    bad = build(3)
    data = open(bad, "rb").read()
    cut = os.path.join(work, "cut.weir")
    with open(cut, "wb") as f:
        f.write(data[:len(data) // 2])
    code, v = server.json("bundle", "push", cut)
    tap.ok(code == 1 and v.get("code") == "bad_archive", "half an archive: bad_archive", v)
    folder, path = make(3, literal="a*")
    sh(weir, "bundle", "sign", folder, "-s", "k.key")
    files = subprocess.run("find . -type f -printf '%P\\n'", shell=True, cwd=folder, capture_output=True,
                           text=True, check=True).stdout.split()
    subprocess.run(["tar", "--zstd", "-cf", path, "-C", folder, *files], check=True)
    code, v = server.json("bundle", "push", path)
    tap.ok(code == 1 and "empty" in json.dumps(v), "a pattern that matches nothing at all: the compiler says so", v)
    tap.ok(active(server) == 2, "what was in force is in force")
    lines = metric(server, "weir_bundle_rejected_total")
    tap.ok(any('code="not_newer"' in x and x.endswith(" 2") for x in lines) and
           any('code="unsigned"' in x for x in lines), "each refusal is counted under its code", lines)
    code, out, err = server.run("bundle", "load", os.path.join(work, "b2"))
    tap.ok(code != 0 and "signature" in err, "a folder is not loaded where unsigned bundles are not allowed", err)


def killed(server):
    for i, after in enumerate((0.0, 0.01, 0.03, 0.06, 0.09, 0.12, 0.15, 0.18, 0.25, 0.5)):
        path = build(10 + i)
        p = subprocess.Popen([weir, "--socket", server.socket, "bundle", "push", path],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after)
        server.stop(signal.SIGKILL)
        p.wait(10)
        server.start()
        code, v = server.json("bundle", "status")
        b = v["bundles"]["b"]
        state = [x["state"] for x in b["versions"] if x["version"] == b["active"]]
        loaded = None
        with open(os.path.join(server.dir, "state", "active.json")) as f:
            loaded = json.load(f)["bundles"][0]["version"]
        tap.ok(b["active"] == loaded and state[-1:] == ["active"] and b["floor"] >= b["active"],
               f"kill -9 {after * 1000:.0f} ms into a push: version {b['active']} of both", b)
    code, v = server.json("bundle", "push", build(20))
    tap.ok(code == 0 and active(server) == 20, "and the next push goes through", v)


def broken_artifacts(server):
    server.stop()
    shutil.rmtree(os.path.join(server.dir, "state", "shards"))
    os.mkdir(os.path.join(server.dir, "state", "shards"), 0o700)
    server.start()
    shards = []
    for _ in range(200): # it answers before it has compiled, and says that it is not ready
        shards = os.listdir(os.path.join(server.dir, "state", "shards"))
        if len(shards) >= 2 and active(server) == 20:
            break
        time.sleep(0.1)
    tap.ok(active(server) == 20 and len(shards) >= 2, "without its compiled shards it compiles the kept sources",
           shards)
    server.stop()
    with open(os.path.join(server.dir, "state", "bundles", "life.json"), "w") as f:
        f.write("{")
    try:
        server.start()
        tap.ok(False, "a damaged state file is refused")
    except RuntimeError as e:
        tap.ok("life.json" in str(e), "a damaged state file is refused, by name", e)


def disk_full(trust):
    """The state folder on a disk of 400 KiB: refused by code, and what was in force stays."""
    s = Control(weir, control, trust=trust)
    state = os.path.join(s.dir, "state")
    p = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", state], capture_output=True, check=False)
    try:
        if p.returncode != 0:
            print("# no tmpfs can be mounted here: the full disk is not shown")
            return
        s.start()
        code, v = s.json("bundle", "push", build(40))
        tap.ok(code == 0, "a small bundle fits", v)
        folder, path = make(41, sign=False)
        os.makedirs(os.path.join(folder, "lists"))
        with open(os.path.join(folder, "lists", "l.txt"), "w") as f:
            for i in range(20000):
                f.write(f"{i:032x}\n")
        with open(os.path.join(folder, "manifest.yaml"), "a") as f:
            f.write("lists: [ { id: l, file: lists/l.txt } ]\n")
        sh(weir, "bundle", "sign", folder, "-s", "k.key")
        sh(weir, "bundle", "build", folder, "-o", path)
        code, v = s.json("bundle", "push", path)
        tap.ok(code == 2 and v.get("code") == "no_space", "one that fills the disk: no_space", v)
        tap.ok(active(s) == 40, "what was in force is in force")
        code, v = s.json("bundle", "push", build(42))
        tap.ok(code == 0 and active(s) == 42, "and there is room again for the next", v)
    finally:
        s.stop()
        if p.returncode == 0:
            subprocess.run(["umount", state], check=False)
        s.close()


def certificates():
    def gen(name, *more):
        sh("openssl", "req", "-x509" if not more else "-new", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key.pem", "-out",
           f"{name}.pem" if not more else f"{name}.csr", "-subj", f"/CN={name}", "-days", "2")
        if more:
            with open(os.path.join(work, "ext"), "w") as f:
                f.write("subjectAltName=IP:127.0.0.1\n")
            sh("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key.pem",
               "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "ext")

    gen("ca")
    gen("other-ca")
    gen("server", True)
    gen("robot", True)


def remote(server, port):
    def call(cert, method, path, body=None):
        ctx = ssl.create_default_context(cafile=os.path.join(work, "ca.pem"))
        if cert is not None:
            ctx.load_cert_chain(os.path.join(work, cert + ".pem"), os.path.join(work, cert + ".key.pem"))
        c = http.client.HTTPSConnection("127.0.0.1", port, context=ctx, timeout=20)
        try:
            c.request(method, path, body)
            r = c.getresponse()
            return r.status, r.read().decode()
        except (ssl.SSLError, OSError) as e:
            return 0, str(e)

    archive = open(build(30), "rb").read()
    status, text = call(None, "PUT", "/v1/bundles", archive)
    tap.ok(status in (0, 403), f"no client certificate: {status}", text)
    status, text = call("other-ca", "PUT", "/v1/bundles", archive)
    tap.ok(status in (0, 403), f"a certificate of another CA: {status}", text)
    tap.ok(active(server) is None, "nothing came of it")
    status, text = call("robot", "PUT", "/v1/bundles", archive)
    tap.ok(status == 202 and active(server) == 30, "a push by HTTPS with the right certificate", text)
    status, text = call("robot", "PUT", "/v1/bundles", archive)
    tap.ok(status == 422 and "not_newer" in text, "again: not_newer", text)
    status, text = call("robot", "GET", "/v1/bundles")
    tap.ok(status == 200 and '"who":"cert:robot"' in text, "status says who pushed", text)
    status, text = call("robot", "DELETE", "/v1/bundles")
    tap.ok(status == 405, "nothing else can be done there", text)


try:
    sh(weir, "bundle", "keygen", "-p", "k.pub", "-s", "k.key")
    trust = f'{{ b: {{ threshold: 1, keys: [ {{ file: {work}/k.pub, may: [ "rule:*", "list:*" ] }} ] }} }}'
    s = Control(weir, control, trust=trust)
    try:
        s.start()
        refusals(s)
        killed(s)
        broken_artifacts(s)
    finally:
        s.close()
    disk_full(trust)
    certificates()
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    s = Control(weir, control, trust=trust,
                push=f'{{ listen: "127.0.0.1:{port}", cert: {work}/server.pem, key: {work}/server.key.pem, '
                     f'client_ca: {work}/ca.pem }}')
    try:
        s.start()
        remote(s, port)
    finally:
        s.close()
finally:
    shutil.rmtree(work, ignore_errors=True)
tap.done()
