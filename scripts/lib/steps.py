# SPDX-License-Identifier: BSD-3-Clause
"""The steps of scripts/check and scripts/test: each runs a program, counts what it proved, keeps time."""
import fnmatch
import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JOBS = str(os.cpu_count() or 2)
SKIPS = "tests/skip.tsv"
POINT = re.compile(r"^(not )?ok\b\s*\d*\s*(?:- )?(.*)$")
BUILDS = {  # folder: (compiler, meson options)
    "build": ("gcc", []),
    "build-clang": ("clang-14", []),
    # Sanitizers lead gcc's flow warnings astray; the two builds above hold the code to them.
    "build-asan": ("gcc", ["-Dwerror=false", "-Db_sanitize=address,undefined", "-Dchecks=true", "-Doptimization=1",
                           "-Ddebug=true"]),
}
# No leak search: what boot allocates hangs on mapped memory, where LeakSanitizer does not look. The
# simulation checks by itself that every slot and buffer comes back.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_stack_use_after_return=1:detect_leaks=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


class Tally:
    """What passed, failed and was skipped; a skip that tests/skip.tsv does not name is a failure."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.times = []
        self.allowed = read_skips()

    def ok(self, _name):
        self.passed += 1

    def bad(self, name, why=""):
        self.failed += 1
        print(f"FAIL {name}" + (f": {why}" if why else ""), flush=True)

    def skip(self, name, why):
        for glob, reason in self.allowed:
            if fnmatch.fnmatchcase(name, glob):
                self.skipped += 1
                print(f"SKIP {name}: {why or reason}", flush=True)
                return
        self.bad(name, f"skipped ({why}), and {SKIPS} does not name it")

    def tap(self, name, out, code, note=""):
        """Counts the points of one TAP program; silence or a bad end is a failure of its own."""
        points = bad = skips = planned = 0
        for line in out.splitlines():
            if re.match(r"^1\.\.\d+", line):
                planned = int(line[3:].split()[0])
                if planned == 0 and "SKIP" in line.upper():
                    self.skip(name, line.split("SKIP", 1)[-1].strip())
                    return
                continue
            m = POINT.match(line)
            if not m:
                continue
            points += 1
            what = m.group(2)
            cut = re.search(r"#\s*SKIP\b:?\s*(.*)$", what, re.I)
            if m.group(1):
                bad += 1
                self.bad(f"{name}: {what}")
            elif cut:
                skips += 1
                self.skip(f"{name}: {what[:cut.start()].strip()}".rstrip(": "), cut.group(1))
            else:
                self.ok(name)
        if not bad and (code != 0 or points == 0 or (planned and planned != points)):
            self.bad(name, note or f"exit {code} after {points} of {planned or '?'} points")
            bad = 1
        if bad:
            print("".join(f"    {x}\n" for x in out.splitlines()[-40:]), end="", flush=True)

    def line(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def read_skips():
    rows = []
    path = os.path.join(ROOT, SKIPS)
    if os.path.exists(path):
        with open(path) as f:
            for n, line in enumerate(f, 1):
                line = line.rstrip("\n")
                if not line or line.startswith("#"):
                    continue
                glob, tab, why = line.partition("\t")
                if not tab or not why.strip():
                    sys.exit(f"{SKIPS}:{n}: wants 'name<TAB>reason'")
                rows.append((glob, why.strip()))
    return rows


def run(argv, limit_s, env=None, quiet=True):
    """Runs argv in the tree, bounded in time, its whole process group ended at the limit."""
    p = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True,
                         env={**os.environ, **(env or {})}, text=True, errors="replace",
                         stdout=subprocess.PIPE if quiet else None,
                         stderr=subprocess.STDOUT if quiet else None)
    try:
        out, _ = p.communicate(timeout=limit_s)
        return p.returncode, out or ""
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGTERM)
        try:
            out, _ = p.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            out, _ = p.communicate()
        return 124, (out or "") + f"\nended after {limit_s} s\n"


def timed(tally, title, work):
    start = time.monotonic()
    before = tally.passed, tally.failed
    work()
    took = time.monotonic() - start
    tally.times.append((title, took))
    print(f"{title}: {tally.passed - before[0]} passed, {tally.failed - before[1]} failed, "
          f"{took:.0f} s", flush=True)


def command(tally, name, argv, limit_s=600, env=None):
    code, out = run(argv, limit_s, env)
    if code == 0:
        tally.ok(name)
        return True
    tally.bad(name, f"{' '.join(argv)}: exit {code}")
    print("".join(f"    {x}\n" for x in out.splitlines()[-40:]), end="", flush=True)
    return False


def build(tally, folder, limit_s=1200):
    cc, options = BUILDS[folder]
    name = f"build with {cc}" + (" and sanitizers" if folder == "build-asan" else "")
    configure = [os.path.join(ROOT, "scripts/lib/configure"), folder, ROOT, *options]
    if not command(tally, name, configure, 300, {"CC": cc}):
        return False
    tally.passed -= 1  # one point for the whole build
    return command(tally, name, ["ninja", "-C", folder, "-j", JOBS], limit_s)


def meson_suite(tally, folder, suite, limit_s, env=None, prefix=""):
    """Runs one meson suite and counts its TAP points from meson's own log."""
    log = os.path.join(ROOT, folder, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    code, out = run(["meson", "test", "-C", folder, "--suite", suite, "--no-rebuild",
                     "--num-processes", JOBS, "--print-errorlogs"], limit_s, env)
    if not os.path.exists(log):
        if "No suitable tests" not in out:
            tally.bad(f"{prefix}suite {suite}", f"exit {code}: {out.strip()[-300:]}")
        return
    seen = 0
    with open(log) as f:
        for line in f:
            t = json.loads(line)
            seen += 1
            name = prefix + t["name"].split(" / ")[-1]
            out = t.get("stdout") or ""
            result = t["result"]
            if result == "SKIP" and not POINT.search(out) and "1..0" not in out:
                tally.skip(name, "the whole test")
            elif re.search(r"^(not )?ok\b", out, re.M) or "1..0" in out:
                note = "" if result in ("OK", "SKIP") else result.lower()
                end = 0 if result in ("OK", "SKIP") else t.get("returncode") or 1
                tally.tap(name, out + "".join(f"\n# {x}" for x in
                                              (t.get("stderr") or "").splitlines()[-25:]),
                          end, note)
            elif result in ("OK", "EXPECTEDFAIL"):
                tally.ok(name)
            else:
                tally.bad(name, result.lower())
                text = out + (t.get("stderr") or "")
                print("".join(f"    {x}\n" for x in text.splitlines()[-40:]), end="")
    if seen == 0:
        tally.bad(f"{prefix}suite {suite}", "no test ran")
    elif code == 124:
        tally.bad(f"{prefix}suite {suite}", f"ended after {limit_s} s")


def check(tally):
    """What scripts/check does."""
    timed(tally, "format", lambda: command(tally, "format", ["scripts/fmt", "--check"]))
    timed(tally, "layers", lambda: command(tally, "layers", ["scripts/check-layers"]))
    timed(tally, "faults apply", lambda: command(tally, "planted faults apply",
                                                 ["scripts/mutants", "--check"]))
    good = {}
    for folder in BUILDS:
        timed(tally, folder, lambda: good.__setitem__(folder, build(tally, folder)))
    if good["build"]:
        timed(tally, "docs", lambda: command(tally, "generated docs",
                                             ["scripts/gen-docs", "--check"]))
        timed(tally, "hot path", lambda: command(tally, "hot path", ["scripts/check-hotpath"]))
    if good["build-asan"]:
        timed(tally, "fast, sanitizers", lambda: meson_suite(
            tally, "build-asan", "fast", 1200, SANITIZER_ENV, "sanitizers: "))
    return good["build"]
