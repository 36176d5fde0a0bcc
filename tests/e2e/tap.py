# SPDX-License-Identifier: BSD-3-Clause
"""The cases register themselves here; run.py plays them and prints TAP."""
import signal
import time
import traceback

import lab as _lab

CASES = []
CASE_S = 240


class Skip(Exception):
    pass


def case(title, group="plain", drivers=("af_xdp", "af_packet")):
    """Registers fn(lab) under the group whose lab it needs."""
    def wrap(fn):
        CASES.append((group, title, drivers, fn))
        return fn
    return wrap


def _late(_sig, _frame):
    raise _lab.Failed(f"not done within {CASE_S} s")


class Out:
    def __init__(self):
        self.n = self.bad = 0

    def point(self, good, title, note="", skip=None):
        self.n += 1
        self.bad += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {title}" +
              (f" # SKIP {skip}" if skip is not None else ""), flush=True)
        for line in note.splitlines():
            print(f"# {line}", flush=True)

    def play(self, title, fn, lab):
        """A case that fails is played once more and says so: two cores that do other work at the same
        time can delay a client beyond what a case assumes. What fails twice fails."""
        why = self.once(title, fn, lab)
        if why is not None:
            print(f"# again, after: {why}", flush=True)
            time.sleep(2)
            lab.forget()
            why = self.once(title, fn, lab)
        if why is not None:
            self.point(False, title, why)

    def once(self, title, fn, lab):
        signal.signal(signal.SIGALRM, _late)
        signal.alarm(CASE_S)
        start = time.monotonic()
        try:
            fn(lab)
            self.point(True, title, f"{time.monotonic() - start:.1f} s")
        except Skip as e:
            self.point(True, title, skip=str(e))
        except _lab.Failed as e:
            line = traceback.extract_tb(e.__traceback__)
            at = next((f for f in reversed(line) if not f.filename.endswith("lab.py")), line[-1])
            return f"{e} at {at.filename.split('/')[-1]}:{at.lineno}"
        except Exception:  # a test that breaks is a test that fails
            return traceback.format_exc().strip().replace("\n", " | ")
        finally:
            signal.alarm(0)
        return None

    def done(self):
        print(f"1..{self.n}", flush=True)
        return 1 if self.bad else 0
