# SPDX-License-Identifier: BSD-3-Clause
"""Other clients than curl read the refusal: python requests, node's fetch, a browser."""
import json
import os
import shutil
import subprocess
import tempfile

from groups import LISTED, body
from lab import EICAR, need, same
from tap import Skip, case

# Stopped early, while most of the body is still to be sent, and at the very end.
EARLY = body("early", 60000) + EICAR + body("rest", 700000)
LATE = LISTED["sha256", 1000000]
GOOD = body("good", 1000000)


def upload_all(lab, name, run):
    """run(url path, file) -> (status, decision id); for a clean body and two bad ones."""
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        for kind, data in (("good", GOOD), ("early", EARLY), ("late", LATE)):
            path, file = f"/client/{name}-{kind}", os.path.join(tmp, kind)
            with open(file, "wb") as f:
                f.write(data)
            status, decision = run(path, file)
            if kind == "good":
                need(status in (201, 204), f"{name} saw {status}")
                lab.check_clean(path, data)
                continue
            same(status, 403, f"status that {name} read, {kind}")
            r = lab.check_blocked(path)
            same(decision, r["decision_id"], "decision id")


def last_json(p):
    need(p.returncode == 0 and p.stdout.strip(), f"exit {p.returncode}: {p.stderr.strip()[-400:]}")
    return json.loads(p.stdout.strip().splitlines()[-1])


@case("python requests reads the 403")
def _(lab):
    code = ("import sys, json, requests\n"
            "r = requests.put(sys.argv[1], data=open(sys.argv[2], 'rb'), timeout=60)\n"
            "print(json.dumps([r.status_code, r.headers.get('Weir-Decision-Id')]))")
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import requests"], capture_output=True).returncode != 0:
        raise Skip("python3-requests is not installed")
    upload_all(lab, "requests", lambda path, file: last_json(subprocess.run(
        lab.inside(lab.client_ns, python, "-c", code, lab.url(path), file),
        capture_output=True, text=True, timeout=90)))


@case("node's fetch reads the 403")
def _(lab):
    if not shutil.which("node"):
        raise Skip("node is not installed")
    code = ("const [url, file] = process.argv.slice(1);\n"
            "const body = require('fs').readFileSync(file);\n"
            "fetch(url, {method: 'PUT', body}).then(async r => { await r.text();\n"
            "  console.log(JSON.stringify([r.status, r.headers.get('weir-decision-id')]));\n"
            "}, e => { console.error(e, e.cause); process.exit(1); });")
    has = subprocess.run(["node", "-e", "fetch"], capture_output=True).returncode == 0
    if not has:
        raise Skip("this node has no fetch")
    upload_all(lab, "node", lambda path, file: last_json(subprocess.run(
        lab.inside(lab.client_ns, "node", "-e", code, lab.url(path), file),
        capture_output=True, text=True, timeout=90)))


PAGE = """<!doctype html><title>upload</title><pre id=out>waiting</pre><script>
(async () => {
  const out = document.getElementById('out');
  try {
    const body = await (await fetch('%s')).blob();
    const r = await fetch('%s', {method: 'PUT', body});
    await r.text();
    out.textContent = JSON.stringify([r.status, r.headers.get('weir-decision-id')]);
  } catch (e) { out.textContent = 'failed: ' + e; }
})();
</script>"""


@case("a browser reads the 403")
def _(lab):
    browser = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None)
    if not browser:
        raise Skip("no chromium is installed")

    def run(path, file):
        name = os.path.basename(file)
        shutil.copy(file, lab.stored(f"/source-{name}"))
        with open(lab.stored("/page.html"), "w") as f:
            f.write(PAGE % (f"/source-{name}", path))
        for f in (f"/source-{name}", "/page.html"):
            os.chmod(lab.stored(f), 0o644)
        with tempfile.TemporaryDirectory(prefix="weir-e2e-") as home:
            p = subprocess.run(
                lab.inside(lab.client_ns, "timeout", "-k", "5", "90", browser, "--headless",
                           "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                           f"--user-data-dir={home}", "--virtual-time-budget=20000", "--dump-dom",
                           lab.url("/page.html")),
                capture_output=True, text=True, timeout=120)
        need('<pre id="out">' in p.stdout, f"no page: {p.stderr.strip()[-300:]}")
        said = p.stdout.split('<pre id="out">')[1].split("</pre>")[0]
        need(said.startswith("["), f"the page says {said}")
        return json.loads(said)

    upload_all(lab, "browser", run)
