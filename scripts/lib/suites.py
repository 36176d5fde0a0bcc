# SPDX-License-Identifier: BSD-3-Clause
"""scripts/test, once the packages are there: check, build, every suite, one line at the end."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import steps  # noqa: E402
from steps import command, meson_suite, timed  # noqa: E402


def e2e(tally):
    """The lab with real clients and a real server; where the kernel refuses it, a skip with a reason."""
    code, out = steps.run(["tests/e2e/run"], 1500)
    tally.tap("e2e", out, code)


def main():
    suite = sys.argv[1]
    tally = steps.Tally()
    if steps.check(tally):
        timed(tally, "fast", lambda: meson_suite(tally, "build", "fast", 600))
        if suite in ("full", "long"):
            timed(tally, "full", lambda: meson_suite(tally, "build", "full", 1500))
            timed(tally, "e2e", lambda: e2e(tally))
            timed(tally, "mutants", lambda: command(tally, "mutants", ["scripts/mutants"], 1800))
        if suite == "long":
            timed(tally, "fault", lambda: meson_suite(tally, "build", "fault", 1200))
            timed(tally, "long", lambda: meson_suite(tally, "build", "long", 24 * 3600))
    print("\ntimes: " + ", ".join(f"{name} {took:.0f} s" for name, took in tally.times))
    print(tally.line(), flush=True)
    sys.exit(1 if tally.failed else 0)


main()
