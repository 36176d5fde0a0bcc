# SPDX-License-Identifier: BSD-3-Clause
"""Rulesets that change under uploads: each upload is judged by one version, and none is lost."""
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

from lab import ROOT, need, put_head, read_answer, same, send_cut, until
from tap import case

WEIR = os.path.join(os.environ.get("WEIR_BUILD", os.path.join(ROOT, "build")), "control/cli/weir")
MARK = b"switch-marker-20261123"
UPLOADS, PUSHES, CLIENTS = 200, 8, 8


class Team:
    """A rule team with a folder; odd versions block MARK, even ones flag it."""

    def __init__(self, lab, name="switch"):
        self.lab, self.name = lab, name
        self.dir = tempfile.mkdtemp(prefix="weir-e2e-team-")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.dir, ignore_errors=True)

    def weir(self, *args):
        return subprocess.run([WEIR, "--socket", self.lab.env["WEIR_SOCKET"], *args], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)

    def status(self):
        return json.loads(self.weir("bundle", "status", "--json").stdout)["bundles"].get(self.name, {})

    def push(self, version, may_wait=False, digests=()):
        """True: every worker uses it; False: it waits for a drain. digests: of a list that goes along."""
        folder = os.path.join(self.dir, f"v{version}")
        os.makedirs(os.path.join(folder, "rules"))
        with open(os.path.join(folder, "manifest.yaml"), "w") as f:
            f.write(f"format: weir-bundle/1\nname: {self.name}\nversion: {version}\n"
                    "created: 2026-11-23T19:00:00Z\n")
        with open(os.path.join(folder, "rules", "r.yaml"), "w") as f:
            f.write(f"rules: [ {{ id: mark, literal: '{MARK.decode()}', "
                    f"action: {'block' if version % 2 else 'flag'} }} ]\n")
        if digests:
            os.makedirs(os.path.join(folder, "lists"))
            with open(os.path.join(folder, "lists", "l.txt"), "w") as f:
                f.write("".join(d + "\n" for d in digests))
            with open(os.path.join(folder, "manifest.yaml"), "a") as f:
                f.write("lists: [ { id: l, file: lists/l.txt, action: block } ]\n")
        archive = os.path.join(self.dir, f"{self.name}-{version}.weir")
        for args in (("bundle", "build", folder, "-o", archive), ("bundle", "push", archive)):
            p = self.weir(*args)
            need(p.returncode == 0, f"{args}: {p.stdout}{p.stderr}")
        if may_wait and "is staged: " in p.stdout and "waiting for drain" in p.stdout:
            return False
        need("is active" in p.stdout, f"the push did not wait for the workers: {p.stdout}")
        return True


def judged_by(record):
    """The one version of `switch` that judged an upload."""
    version = record["bundles"]["switch"]["version"]
    for m in record["matches"]:
        same((m["bundle"], m["bundle_version"]), ("switch", version),
             f"match of {record['upload']['path']} against the record's own bundles")
    same(record["action"], "block" if version % 2 else "flag",
         f"action of {record['upload']['path']} by version {version}")
    return version


@case("pushes under parallel uploads: one version judges each, none is lost", group="bundles")
def _(lab):
    with Team(lab) as team:
        team.push(1)
        answers, errors, order, pushed = {}, [], [[] for _ in range(CLIENTS)], threading.Event()

        def client(k):
            try:
                i = k
                while i < UPLOADS or (i < 7 * UPLOADS and not pushed.is_set()):
                    path = f"/sw/{i}"
                    s = lab.connect()
                    data = b"x" * (i * 97 % 9000) + MARK + b"y" * (i * 31 % 5000)
                    s.sendall(put_head(path, len(data)) + data)
                    answers[path] = read_answer(s).status
                    order[k].append(path)
                    s.close()
                    i += CLIENTS
                    time.sleep(0.05)  # together below the flood breaker's budget
            except OSError as e:
                errors.append(f"client {k}: {e}")

        threads = [threading.Thread(target=client, args=(k,)) for k in range(CLIENTS)]
        for t in threads:
            t.start()
        for v in range(2, PUSHES + 2):
            team.push(v)
        pushed.set()
        for t in threads:
            t.join(100)
        same(errors, [], "errors of clients")
        n = len(answers)
        rows = until("all records", lambda: len(r := [x for x in lab.records()
                                                      if x["upload"]["path"] in answers]) >= n and r, 20)
        same(len(rows), n, "number of records")
        version = {}
        for r in rows:
            path = r["upload"]["path"]
            version[path] = judged_by(r)
            same(answers[path] == 403, version[path] % 2 == 1,
                 f"403 to {path}, judged by version {version[path]}")
        need(len(set(version.values())) > PUSHES // 2,
             f"{n} uploads met only versions {sorted(set(version.values()))}: nothing was shown")
        for paths in order:
            seen = [version[p] for p in paths]
            same(seen, sorted(seen), "versions that judged one client's uploads, in order")


@case("an upload that began before twenty pushes is judged by what it began with", group="bundles")
def _(lab):
    with Team(lab) as team:
        first = 301
        team.push(first)
        s = lab.connect()
        data = b"z" * 4000 + MARK + b"end"
        send_cut(s, [put_head("/sw/long", len(data)), data[:1000]])
        time.sleep(0.2)
        longer = []
        for v in range(first + 1, first + 21):
            if team.push(v, may_wait=True):
                # An upload under each, or a generation would be gone before the next comes.
                t = lab.connect()
                send_cut(t, [put_head(f"/sw/long{v}", len(data)), data[:1000]])
                longer.append((v, t))
        last, waiting = first + 20, 20 - len(longer)
        need(waiting >= 12, f"only {waiting} of twenty pushes waited, with an upload under each generation")
        st = team.status()
        same((st["staged"], st["active"]), (last, longer[-1][0]), "staged and active version")
        need("waiting for drain" in st["waiting"], st["waiting"])
        need("is staged: waiting for drain" in team.weir("bundle", "status").stdout, "status says that it waits")
        same([v["state"] for v in st["versions"] if v["version"] == last], ["staged"], "state of the last")
        same(lab.metrics().get("weir_bundle_staged"), 1.0, "weir_bundle_staged")
        t0 = lab.connect()
        t0.sendall(put_head("/sw/new", len(MARK)) + MARK)
        read_answer(t0)
        t0.close()
        for v, t in longer:
            t.sendall(data[1000:])
            same(read_answer(t).status == 403, v % 2 == 1, f"answer to the upload under version {v}")
            t.close()
            same(judged_by(lab.record(f"/sw/long{v}")), v, f"version of the upload under {v}")
        until("the version that waited, in force", lambda: team.status()["active"] == last)
        need("staged" not in team.status(), "and nothing waits any more")
        s.sendall(data[1000:])
        answer = read_answer(s)
        s.close()
        same(answer.status, 403, "answer to the long upload")
        same(judged_by(lab.record("/sw/long")), first, "version of the long upload")
        new = judged_by(lab.record("/sw/new"))
        same(new, longer[-1][0], "version of a new upload while others wait")
        t0 = lab.connect()
        t0.sendall(put_head("/sw/newest", len(MARK)) + MARK)
        read_answer(t0)
        t0.close()
        same(judged_by(lab.record("/sw/newest")), last, "version of an upload afterwards")


@case("what passed yesterday and matches a new entry today is listed", group="bundles")
def _(lab):
    with Team(lab, "hunt") as team:
        old, new = b"known since yesterday" * 50, b"known since today" * 50
        sha = {d: hashlib.sha256(d).hexdigest() for d in (old, new)}
        for path, data in (("/hunt/old", old), ("/hunt/new", new), ("/hunt/other", b"nobody's")):
            same(lab.put(path, data).exit, 0, f"upload of {path}")
            lab.record(path)
        base = int(time.time())
        team.push(base, digests=[sha[old]])

        def hunt(version):
            docs = json.loads(team.weir("hunt", "--json").stdout)["hunts"]
            return [d for d in docs if (d["bundle"], d["version"]) == ("hunt", version)]

        doc = until("the hunt for what is new in the first version", lambda: hunt(base), 60)[0]
        same([u["path"] for u in doc["uploads"]], ["/hunt/old"], "uploads that match the first version")
        team.push(base + 1, digests=[sha[old], sha[new]])
        doc = until("the hunt for what is new in the second", lambda: hunt(base + 1), 60)[0]
        same(doc["against"], base, "the version that it was compared with")
        same([u["path"] for u in doc["uploads"]], ["/hunt/new"], "uploads that match new entries only")
        same((doc["would_block"], doc["uploads"][0]["lists"]), (1, "l"), "count and list")
        p = team.weir("hunt")
        need(p.returncode == 1 and "/hunt/new" in p.stdout, f"weir hunt names it: {p.stdout}{p.stderr}")
        metric = 'weir_hunt_uploads_total{bundle="hunt"}'
        until("metric of uploads that were found", lambda: lab.metrics().get(metric) == 2.0)
        same(lab.put("/hunt/again", new).status, 403, "answer to the same object now")


@case("a rule that floods is lowered to shadow by itself", group="bundles")
def _(lab):
    with Team(lab, "flood") as team:
        team.push(1)
        passed = threading.Event()

        def client(k):
            for i in range(k, 4000, CLIENTS):
                if passed.is_set():
                    return
                s = lab.connect()
                s.sendall(put_head(f"/flood/{i}", len(MARK)) + MARK)
                if read_answer(s).status in (200, 201, 204):
                    passed.set()
                s.close()

        threads = [threading.Thread(target=client, args=(k,)) for k in range(CLIENTS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(150)
        need(passed.is_set(), "4000 blocks and the breaker is not open")
        status = json.loads(team.weir("bundle", "status", "--json").stdout)
        line = status["bundles"]["flood"]["overlay"][0]
        same((line["item"], line["mode"], line["who"]), ("rule:mark", "shadow", "breaker"), "overlay")
        metric = 'weir_breaker_open{bundle="flood",item="rule:mark"}'
        until("metric of the open breaker", lambda: lab.metrics().get(metric) == 1.0)
        p = team.weir("bundle", "promote", "flood", "--item", "rule:mark", "--to", "enforce")
        same(p.returncode, 0, f"lifting it ({p.stderr})")
        same(lab.metrics().get(metric), 0.0, "metric of the closed breaker")
        s = lab.connect()
        s.sendall(put_head("/flood/after", len(MARK)) + MARK)
        same(read_answer(s).status, 403, "answer once an operator has lifted it")
        s.close()
