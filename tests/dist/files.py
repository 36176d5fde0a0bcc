#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""files.py WEIR: what dist/ ships is accepted by the tools it is for, and names only metrics that exist."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = sys.argv[1]
n = bad = 0


def ok(cond, what, why=""):
    global n, bad
    n += 1
    bad += not cond
    print(f"{'' if cond else 'not '}ok {n} - {what}")
    for line in why.strip().splitlines() if not cond else []:
        print("#   " + line)


def skip(what, why):
    global n
    n += 1
    print(f"ok {n} - {what} # SKIP {why}")


def run(*cmd, **kw):
    return subprocess.run(cmd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, **kw)


def read(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


# Histograms are named with their suffixes in queries.
known = set(re.findall(r"`(weir_\w+)`", run(WEIR, "docs", "metrics").stdout))
known |= {k + s for k in known for s in ("_bucket", "_sum", "_count")}
alerts, board = read("dist/monitoring/weir-alerts.yaml"), read("dist/monitoring/weir-dashboard.json")
exprs = "\n".join(re.findall(r"expr: (?:>-\n)?((?:.|\n)*?)(?=\n        (?:for|labels):)", alerts))
for name, text in (("alarms", exprs), ("dashboard", "\n".join(
        t["expr"] for p in json.loads(board)["panels"] for t in p.get("targets", [])))):
    used = set(re.findall(r"\bweir_\w+", text))
    ok(len(used) > 8 and used <= known, f"the {name} use metrics that exist", "unknown: " + " ".join(used - known))
ok(run(os.path.join(ROOT, "dist/monitoring/make-dashboard.py"), "--check").returncode == 0,
   "the dashboard is what its generator writes")
if shutil.which("promtool"):
    r = run("promtool", "check", "rules", os.path.join(ROOT, "dist/monitoring/weir-alerts.yaml"))
    ok(r.returncode == 0, "promtool accepts the alarms", r.stdout)
else:
    skip("promtool accepts the alarms", "no promtool")

page = os.path.join(ROOT, "docs/operate/alarms.md")
wanted = set(re.findall(r"runbook: (\S+)", alerts))
have = set(re.findall(r"^## (\S+)", open(page).read(), re.M)) if os.path.exists(page) else set()
ok(wanted <= have, "every alarm has its section in docs/operate/alarms.md", "missing: " + " ".join(wanted - have))

ids = set(re.findall(r'X\("([\w.]+)"', read("control/sre/check.h")))
listed = set(re.findall(r"^\| `([\w.]+)` \|", read("docs/operate/doctor.md"), re.M))
ok(len(ids) >= 26 and ids == listed, "docs/operate/doctor.md lists the doctor's checks", " ".join(ids ^ listed))

units = sorted(u for u in os.listdir(os.path.join(ROOT, "dist/systemd")) if re.search(r"\.(service|slice|timer)$", u))
if shutil.which("systemd-analyze"):
    with tempfile.TemporaryDirectory() as d:
        for u in units:
            # The programs need not be installed here: only their paths are replaced.
            with open(os.path.join(d, u), "w") as f:
                f.write(re.sub(r"^(Exec\w+=)/usr/bin/\S+", r"\1/bin/true", read("dist/systemd/" + u), flags=re.M))
        r = run("systemd-analyze", "verify", "--man=no", *[os.path.join(d, u) for u in units])
        # A floor: what a unit may do besides its work grows only on purpose. Tenths, lower is better.
        for u, most in (("weir-control", 40), ("weir-dataplane", 56), ("weir-wire", 69), ("weir-selftest", 20)):
            s = run("systemd-analyze", "security", "--offline=yes", f"--threshold={most}", os.path.join(d, u + ".service"))
            last = (s.stdout.strip().splitlines() or ["?"])[-1]
            if "Overall exposure" in s.stdout:
                ok(s.returncode == 0, f"systemd-analyze security {u}: at most {most / 10}: {last}")
            else:
                skip(f"systemd-analyze security {u}", "it does not work offline here")
        mine = [x for x in r.stdout.splitlines() if "weir" in x]
        ok(not mine, "systemd-analyze verify has nothing to say about the units", "\n".join(mine))
else:
    skip("systemd-analyze verify has nothing to say about the units", "no systemd-analyze")

man = run(WEIR, "docs", "man").stdout
if shutil.which("man"):
    r = run("man", "--warnings", "-l", "-", input=man, env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
    ok(re.search(r"wire\s+install", r.stdout) and "warning:" not in r.stdout, "the man page is readable", r.stdout[-400:])
else:
    ok(".SH COMMANDS" in man and "wire install" in man, "the man page has the commands")
comp = run(WEIR, "docs", "completion").stdout
r = run("bash", "-c", comp + "\nCOMP_WORDS=(weir wire in); COMP_CWORD=2; _weir; echo ${COMPREPLY[@]}")
ok(r.stdout.split() == ["install", "inspect"], "completion: weir wire in<TAB>", r.stdout)
r = run("bash", "-c", comp + "\nCOMP_WORDS=(weir doc); COMP_CWORD=1; _weir; echo ${COMPREPLY[@]}")
ok("doctor" in r.stdout.split(), "completion: weir doc<TAB>", r.stdout)
print(f"1..{n}")
sys.exit(bad != 0)
