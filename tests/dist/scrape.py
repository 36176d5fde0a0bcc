#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""scrape.py WEIR WEIR-CONTROL: a real Prometheus scrapes weir-control and evaluates the shipped alarms."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR, CONTROL = sys.argv[1:3]


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def query(at, what):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{at}/api/v1/{what}", timeout=2) as r:
            return json.load(r)["data"]
    except OSError:
        return {}


def until(fn, seconds=25):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if v := fn():
            return v
        time.sleep(0.3)
    return None


def main():
    if not shutil.which("prometheus"):
        print("1..0 # SKIP no prometheus")
        return 0
    d, own, prom = tempfile.mkdtemp(prefix="weir-scrape-"), port(), port()
    conf = os.path.join(d, "weir.yaml")
    subprocess.run([WEIR, "config", "init", conf], check=True, stdout=subprocess.DEVNULL)
    text = open(conf).read()
    for was, new in (("/run/weir", d + "/run"), ("/var/lib/weir", d + "/lib"), ("127.0.0.1:9477", f"127.0.0.1:{own}")):
        text = text.replace(was, new)
    open(conf, "w").write(text)
    for sub in ("run", "lib", "lib/records", "lib/state"):
        os.makedirs(os.path.join(d, sub), mode=0o700)
    with open(os.path.join(d, "prom.yml"), "w") as f:
        f.write(f"""global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [ {ROOT}/dist/monitoring/weir-alerts.yaml ]
scrape_configs: [ {{ job_name: weir, static_configs: [ {{ targets: [ "127.0.0.1:{own}" ] }} ] }} ]
""")
    log = open(os.path.join(d, "log"), "w")
    procs = [subprocess.Popen([CONTROL, "--config", conf], stdout=log, stderr=log),
             subprocess.Popen(["prometheus", "--config.file=" + d + "/prom.yml", "--storage.tsdb.path=" + d + "/tsdb",
                               f"--web.listen-address=127.0.0.1:{prom}"], stdout=log, stderr=log)]
    bad = 0
    try:
        up = until(lambda: [r for r in query(prom, "query?query=up").get("result", []) if r["value"][1] == "1"])
        bad += not up
        print(f"{'' if up else 'not '}ok 1 - Prometheus scrapes weir-control")
        names = until(lambda: [x for x in query(prom, "label/__name__/values") or [] if x.startswith("weir_")] or None)
        good = names and {"weir_up", "weir_wire_state", "weir_build_info"} <= set(names)
        bad += not good
        print(f"{'' if good else 'not '}ok 2 - {len(names or [])} families arrive")
        # No dataplane runs: the alarm for that must come up by itself.
        fires = until(lambda: [a for a in query(prom, "alerts").get("alerts", [])
                               if a["labels"]["alertname"] == "WeirDataplaneDown"])
        bad += not fires
        print(f"{'' if fires else 'not '}ok 3 - the alarm for a missing dataplane comes up")
    finally:
        for p in procs:
            p.terminate()
        for p in procs:
            p.wait(timeout=10)
        if bad:
            print("# " + "\n# ".join(re.sub(r"[^ -~]", "?", x)[:200] for x in open(d + "/log").read().splitlines()[-15:]))
        shutil.rmtree(d, ignore_errors=True)
    print("1..3")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
