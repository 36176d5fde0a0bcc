# SPDX-License-Identifier: BSD-3-Clause
"""A weir-control without a dataplane, in a folder of its own, for tests of bundles."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CONFIG = """
node: test
region: ""
links:
- name: a
  client: {{ device: "net_null0" }}
  store: {{ device: "net_null1" }}
  on_process_death: closed
  on_worker_stall: closed
  stall_limit: 2s
cores:
  main: 0
  control: "0"
  workers: [ {{ name: w0, core: 0, link: a, queue: 0 }} ]
  decoders: []
  idle: yield
  shared_cores: true
memory: {{ mbufs: 32768, connections: 20000, uploads: 4000, hold_budget: 64MiB, media_budget: 64MiB,
          spool: 256MiB, hugepages: false }}
services:
- {{ name: store, address: any, port: any, mode: enforce, proxy_protocol: off, trusted_proxies: [] }}
policy: {{ match: block, suspect: flag, incomplete: {{ default: block, decoder_late: flag }}, error: block,
          skipped: flag, framing: block, overlap_conflict: block, midstream: block, one_way: block,
          not_http: block, bundle_expired: flag, on_overload: closed, on_records_lost: closed }}
answer: {{ status: 403, cors_origins: [] }}
http: {{ header_bytes: 65536, headers: 100, expansion_ratio: 200, depth: 4 }}
trust:
  bundles: {trust}
  allow_unsigned: false
api: {{ socket: {dir}/control.sock, metrics: "127.0.0.1:0", push: {push} }}
records: {{ path: {dir}/records, rotate: 256MiB, keep: 64 }}
run: {{ dir: {dir}/run, file_prefix: weirtest, state: {dir}/state }}
"""


class Control:
    def __init__(self, weir, control, trust="{}", push='{ listen: "", cert: "", key: "", client_ca: "" }'):
        self.weir, self.control = weir, control
        self.dir = tempfile.mkdtemp(prefix="weir-ctl-")
        for sub in ("run", "records", "state"):
            os.mkdir(os.path.join(self.dir, sub))
        self.config = os.path.join(self.dir, "weir.yaml")
        with open(self.config, "w") as f:
            f.write(CONFIG.format(dir=self.dir, trust=trust, push=push))
        self.socket = os.path.join(self.dir, "control.sock")
        self.process = None

    def start(self):
        self.log = open(os.path.join(self.dir, "log"), "a")
        self.process = subprocess.Popen([self.control, "--config", self.config], stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL)
        for _ in range(200):
            if self.process.poll() is not None:
                raise RuntimeError("weir-control ended: " + self.tail())
            if self.run("bundle", "status", "--json")[0] == 0:
                return self
            time.sleep(0.05)
        raise RuntimeError("weir-control does not answer: " + self.tail())

    def tail(self):
        with open(os.path.join(self.dir, "log")) as f:
            return f.read()[-2000:]

    def stop(self, sig=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, *args, cwd=None):
        p = subprocess.run([self.weir, "--socket", self.socket, *args], capture_output=True, text=True,
                           cwd=cwd, timeout=300, check=False)
        return p.returncode, p.stdout, p.stderr

    def json(self, *args):
        code, out, err = self.run(*args, "--json")
        return code, json.loads(out) if out.strip() else {"stderr": err}


class Tap:
    def __init__(self):
        self.n = self.bad = 0

    def ok(self, good, what, more=""):
        self.n += 1
        self.bad += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {what}")
        if not good and more:
            for line in str(more).splitlines()[-20:]:
                print("#  ", line)
        sys.stdout.flush()

    def done(self):
        print(f"1..{self.n}")
        sys.exit(self.bad != 0)
