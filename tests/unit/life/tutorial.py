#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs every ```sh block of docs/rules/tutorial.md, in order, as a reader would.

usage: tutorial.py WEIR WEIR_CONTROL TUTORIAL.md
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from control import Control, Tap

weir, control, page = (os.path.abspath(p) for p in sys.argv[1:4])
tap = Tap()
work = tempfile.mkdtemp(prefix="weir-tutorial-")
os.makedirs(os.path.join(work, "bin"))
os.symlink(weir, os.path.join(work, "bin", "weir"))
with open(page) as f:
    text = f.read()
env = dict(os.environ, PATH=os.path.join(work, "bin") + ":" + os.environ["PATH"])
server = None

try:
    for step in re.split(r"^## ", text, flags=re.M)[1:]:
        title = step.split("\n", 1)[0]
        if title.startswith("6."):
            # What the page asks of whoever runs Weir: the key in weir.yaml, weir-control running.
            trust = re.search(r"^  bundles: (.*)$", step, re.M).group(1)
            server = Control(weir, control, trust=trust.replace("demo.pub", os.path.join(work, "demo.pub")))
            server.start()
            env["WEIR_SOCKET"] = server.socket
            shutil.rmtree(os.path.join(work, "records"), ignore_errors=True)
            os.symlink(os.path.join(server.dir, "records"), os.path.join(work, "records"))
        for i, block in enumerate(re.findall(r"^```sh\n(.*?)^```", step, re.M | re.S)):
            p = subprocess.run(["bash", "-euc", block], cwd=work, env=env, capture_output=True, text=True,
                               timeout=120, check=False)
            tap.ok(p.returncode == 0, f"{title}, block {i + 1}", p.stdout + p.stderr)
    code, status = server.json("bundle", "status")
    demo = status["bundles"]["demo"]
    tap.ok(demo["active"] == 2 and demo["floor"] == 3 and demo["pinned"]["version"] == 2,
           "in the end version 2 is in force by an operator's rollback", demo)
    tap.ok([v["state"] for v in demo["versions"]] == ["retired", "compiled", "retired"],
           "without a dataplane versions wait compiled, and none was in use", demo["versions"])
finally:
    if server is not None:
        server.close()
    shutil.rmtree(work, ignore_errors=True)
tap.done()
