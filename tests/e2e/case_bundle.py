# SPDX-License-Identifier: BSD-3-Clause
"""Rulesets that change under uploads: each upload is judged by one version, and none is lost."""
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

    def __init__(self, lab):
        self.lab = lab
        self.dir = tempfile.mkdtemp(prefix="weir-e2e-team-")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.dir, ignore_errors=True)

    def weir(self, *args):
        return subprocess.run([WEIR, "--socket", self.lab.env["WEIR_SOCKET"], *args], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)

    def push(self, version):
        folder = os.path.join(self.dir, f"v{version}")
        os.makedirs(os.path.join(folder, "rules"))
        with open(os.path.join(folder, "manifest.yaml"), "w") as f:
            f.write(f"format: weir-bundle/1\nname: switch\nversion: {version}\n"
                    "created: 2026-11-23T19:00:00Z\n")
        with open(os.path.join(folder, "rules", "r.yaml"), "w") as f:
            f.write(f"rules: [ {{ id: mark, literal: '{MARK.decode()}', "
                    f"action: {'block' if version % 2 else 'flag'} }} ]\n")
        archive = os.path.join(self.dir, f"switch-{version}.weir")
        for args in (("bundle", "build", folder, "-o", archive), ("bundle", "push", archive)):
            p = self.weir(*args)
            need(p.returncode == 0, f"{args}: {p.stdout}{p.stderr}")
        need("is active" in p.stdout, f"the push did not wait for the workers: {p.stdout}")


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
        answers, errors = {}, []

        def client(k):
            try:
                for i in range(k, UPLOADS, CLIENTS):
                    path = f"/sw/{i}"
                    s = lab.connect()
                    data = b"x" * (i * 97 % 9000) + MARK + b"y" * (i * 31 % 5000)
                    s.sendall(put_head(path, len(data)) + data)
                    answers[path] = read_answer(s).status
                    s.close()
            except OSError as e:
                errors.append(f"client {k}: {e}")

        threads = [threading.Thread(target=client, args=(k,)) for k in range(CLIENTS)]
        for t in threads:
            t.start()
        for v in range(2, PUSHES + 2):
            team.push(v)
        for t in threads:
            t.join(100)
        same(errors, [], "errors of clients")
        rows = until("all records", lambda: len(r := [x for x in lab.records()
                                                      if x["upload"]["path"] in answers]) >= UPLOADS and r, 20)
        same(len(rows), UPLOADS, "number of records")
        for r in rows:
            version = judged_by(r)
            same(answers[r["upload"]["path"]] == 403, version % 2 == 1,
                 f"403 to {r['upload']['path']}, judged by version {version}")


@case("an upload that began before twenty pushes is judged by what it began with", group="bundles")
def _(lab):
    with Team(lab) as team:
        first = 101
        team.push(first)
        s = lab.connect()
        data = b"z" * 4000 + MARK + b"end"
        send_cut(s, [put_head("/sw/long", len(data)), data[:1000]])
        time.sleep(0.2)
        waiting = 0
        for v in range(first + 1, first + 21):
            try:
                team.push(v)
            except Exception as e:  # eight generations at once; then a push has to wait, and says so
                need("drain" in str(e) or "generation" in str(e) or "push" in str(e), str(e))
                waiting += 1
        t0 = lab.connect()
        t0.sendall(put_head("/sw/new", len(MARK)) + MARK)
        read_answer(t0)
        t0.close()
        s.sendall(data[1000:])
        answer = read_answer(s)
        s.close()
        same(answer.status, 403, "answer to the long upload")
        same(judged_by(lab.record("/sw/long")), first, "version of the long upload")
        new = judged_by(lab.record("/sw/new"))
        need(new > first, f"a new upload is judged by version {new}")
        need(waiting == 0 or new >= first + 6, f"{waiting} pushes were refused and version {new} is in force")
