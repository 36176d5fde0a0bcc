# SPDX-License-Identifier: BSD-3-Clause
"""What an SRE and a rule team do to a running Weir: load, restart, kill, misconfigure."""
import os
import re
import shutil
import signal
import subprocess
import tempfile

from groups import body
from lab import EICAR, ROOT, need, same
from tap import case

OPS = "operations"
NEWS = b"a-made-up-marker-of-version-two"


def bundle(lab, version, rules, tmp):
    """The core bundle with another version and one more rule file."""
    to = os.path.join(tmp, f"v{version}")
    here = os.path.dirname(os.path.abspath(__file__))
    shutil.copytree(os.path.join(here, "../../examples/bundles/core"), to)
    path = os.path.join(to, "manifest.yaml")
    with open(path) as f:
        text = f.read().replace("version: 1\n", f"version: {version}\n")
    with open(path, "w") as f:
        f.write(text)
    with open(os.path.join(to, "rules", "more.yaml"), "w") as f:
        f.write(rules)
    return to


def works(lab, name):
    data = body(name, 30000)
    lab.check_clean(f"/ops/{name}", data, lab.put(f"/ops/{name}", data))
    lab.check_blocked(f"/ops/{name}-bad", lab.put(f"/ops/{name}-bad", data + EICAR), rule="eicar")


@case("a second up changes nothing", group=OPS)
def _(lab):
    before = dict(lab.env)
    p = lab.call("up", "--workers", "2")
    same(p.returncode, 0, "exit of the second up")
    lab.refresh()
    same(lab.env, before, "environment")
    works(lab, "second-up")


@case("the effective configuration shows what was merged", group=OPS)
def _(lab):
    p = lab.call("config")
    same(p.returncode, 0, "exit")
    for word in ("shared_cores: true", "idle: yield", "allow_unsigned: true", "7001"):
        need(word in p.stdout, f"no {word!r} in it")


@case("what runs is named by version, in the metrics", group=OPS)
def _(lab):
    line = [x for x in lab.metrics() if x.startswith("weir_build_info{")]
    same(len(line), 1, "lines of weir_build_info")
    for label, form in (("dpdk", r"2\d\.\d+\.\d+"), ("hyperscan", r"5\.\d+\.\d+"), ("simd", r"\w+")):
        need(re.search(f'{label}="{form}"', line[0]), f"no version of {label} in {line[0]}")


@case("a new bundle decides from its load on", group=OPS)
def _(lab):
    data = b"x" * 5000 + NEWS + b"y" * 5000
    lab.check_clean("/ops/news-1", data, lab.put("/ops/news-1", data))
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        to = bundle(lab, 2, "rules:\n  - id: news\n    literal: '" + NEWS.decode() +
                    "'\n    action: block\n    mode: enforce\n", tmp)
        p = lab.call("load", to)
        same(p.returncode, 0, f"exit of load ({p.stderr.strip()})")
    r = lab.check_blocked("/ops/news-2", lab.put("/ops/news-2", data), rule="news")
    same(r["bundles"]["core"]["version"], 2, "version in the record")
    works(lab, "after-load")


@case("a bundle with a bad regex is refused by file and line, the old one stays", group=OPS)
def _(lab):
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        to = bundle(lab, 3, "rules:\n  - id: broken\n    pattern: 'a(b'\n    action: block\n"
                            "    mode: enforce\n", tmp)
        p = lab.call("load", to)
    need(p.returncode != 0, "load of a broken bundle returned 0")
    said = p.stderr + p.stdout
    need("rules/more.yaml:3" in said or "rules/more.yaml:2" in said, f"no file and line: {said!r}")
    need("arenthes" in said, f"not the compiler's message: {said!r}")
    works(lab, "after-refusal")


@case("control restarts alone, uploads go on", group=OPS)
def _(lab):
    before = lab.dataplane_pid
    p = lab.call("restart", "--control")
    same(p.returncode, 0, f"exit of restart ({p.stderr.strip()})")
    lab.refresh()
    same(lab.dataplane_pid, before, "pid of the dataplane")
    works(lab, "control-again")


@case("the dataplane restarts alone and scans again", group=OPS)
def _(lab):
    before = lab.control_pid
    p = lab.call("restart", "--dataplane")
    same(p.returncode, 0, f"exit of restart ({p.stderr.strip()})")
    lab.refresh()
    same(lab.control_pid, before, "pid of control")
    works(lab, "dataplane-again")


@case("on_process_death: closed: nothing passes while no dataplane lives", group=OPS)
def _(lab):
    os.kill(int(lab.dataplane_pid), signal.SIGKILL)
    got = lab.put("/ops/dead", EICAR, limit_s=4)
    need(got.exit != 0 and got.status == 0, f"an upload got through: {got}")
    need(lab.store_bytes("/ops/dead") is None, "it is at the store")
    p = lab.call("restart", "--dataplane")
    same(p.returncode, 0, f"exit of restart ({p.stderr.strip()})")
    lab.refresh()
    works(lab, "risen")


@case("control is killed and comes back: every upload since has its record", group=OPS)
def _(lab):
    os.kill(int(lab.control_pid), signal.SIGKILL)
    data = body("orphan", 40000)
    got = lab.put("/ops/orphan", data)
    p = lab.call("restart", "--control")
    same(p.returncode, 0, f"exit of restart ({p.stderr.strip()})")
    lab.refresh()
    lab.check_clean("/ops/orphan", data, got)
    works(lab, "control-risen")


def refused(lab, config, *words):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="weir-e2e-") as f:
        f.write(config)
        f.flush()
        p = lab.call("up", "--config", f.name)
    need(p.returncode != 0, "up returned 0")
    said = p.stderr.strip()
    same(len(said.splitlines()), 1, f"lines of the message {said!r}")
    for w in words:
        need(w in said, f"no {w!r} in {said!r}")


@case("mistakes in the configuration get one clear line", group=OPS)
def _(lab):
    options = lab.options
    lab.down()
    try:
        refused(lab, "polcy: { match: flag }\n", "polcy", "policy")
        refused(lab, "records: { path: /proc/weir-cannot-be }\n", "/proc/weir-cannot-be")
        refused(lab, "cores: { shared_cores: false, main: 0,\n"
                     "         workers: [ { name: w0, core: 0, link: a, queue: 0 } ] }\n", "core")
        refused(lab, "links: [ { name: a, on_process_death: closed, on_worker_stall: closed,\n"
                     "  client: { device: \"net_af_xdp_c0,iface=no-such-if\" },\n"
                     "  store: { device: \"net_af_xdp_s0,iface=wire-s\" } } ]\n", "no-such-if")
    finally:
        lab.up(*options)
    works(lab, "after-mistakes")


def says(p, code, *words):
    """One line for people on stderr, this exit code."""
    said = p.stderr.strip()
    same(p.returncode, code, f"exit ({said!r})")
    same(len(said.splitlines()), 1, f"lines of the message {said!r}")
    for w in words:
        need(w in said, f"no {w!r} in {said!r}")


@case("what is taken is not taken twice: port, run folder, control socket", group=OPS)
def _(lab):
    socket = lab.env["WEIR_SOCKET"]
    run = os.path.dirname(socket)
    built = os.environ.get("WEIR_BUILD", os.path.join(ROOT, "build"))
    dataplane = os.path.join(built, "dataplane/main/weir-dataplane")
    env = dict(os.environ, WEIR_BPFFS=lab.bpffs + "-other")

    def start(*argv):
        return subprocess.run(lab.inside(lab.wire_ns, *argv), stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=60, env=env, check=False)

    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        with open(os.path.join(run, "lab.yaml")) as f:
            text = re.sub(r"(?m)^run: .*$", f"run: {{ dir: {tmp}, file_prefix: other-lab, state: {tmp}/s }}",
                          f.read())
        with open(os.path.join(tmp, "weir.yaml"), "w") as f:
            f.write(text)
        p = subprocess.run([os.path.join(built, "control/cli/weir"), "config", "compile",
                            os.path.join(tmp, "weir.yaml"), "--out", os.path.join(tmp, "conf")],
                           capture_output=True, text=True, timeout=30, check=False)
        same(p.returncode, 0, f"exit of config compile ({p.stderr})")
        says(start(dataplane, "--conf", os.path.join(tmp, "conf")), 1, "wire-c", "busy")
    shutil.rmtree(env["WEIR_BPFFS"], ignore_errors=True)
    says(start(dataplane, "--conf", os.path.join(run, "dataplane.conf")), 1, "dataplane.sock", "in use")
    says(start(os.path.join(built, "control/main/weir-control"), "--config",
               os.path.join(run, "lab.yaml")), 2, socket, "in use")
    works(lab, "after-the-second")


@case("an MTU above the receive buffers is refused, with the command that mends it", group=OPS)
def _(lab):
    def mtu(n):
        subprocess.run(lab.inside(lab.wire_ns, "ip", "link", "set", "wire-c", "mtu", str(n)), check=True,
                       timeout=10)
    mtu(9000)
    try:
        p = lab.call("restart", "--dataplane")
        says(p, 1, "MTU 9000 of wire-c", "ip link set dev wire-c mtu 1500")
    finally:
        mtu(1500)
        p = lab.call("restart", "--dataplane")
    same(p.returncode, 0, f"exit of restart ({p.stderr.strip()})")
    lab.refresh()
    works(lab, "after-mtu")


@case("too few cores and too few hugepages are said with what to do", group=OPS)
def _(lab):
    options = lab.options
    lab.down()
    try:
        refused(lab, "cores: { workers: [ { name: w0, core: 1023, link: a, queue: 0 } ] }\n",
                "too few cores", "w0", "1023")
        refused(lab, "memory: { mbufs: 16777216 }\n", "too few hugepages", "vm.nr_hugepages=")
    finally:
        lab.up(*options)
    works(lab, "after-too-few")


@case("down removes everything, also after a crash", group=OPS)
def _(lab):
    options, env = lab.options, dict(lab.env)
    for name in ("dataplane", "control"):
        os.kill(int(env[f"WEIR_{name.upper()}_PID"]), signal.SIGKILL)
    p = lab.call("down")
    try:
        same(p.returncode, 0, f"exit of down ({p.stderr.strip()})")
        for ns in ("CLIENT", "WIRE", "STORE"):
            need(not os.path.exists("/run/netns/" + env[f"WEIR_{ns}_NS"]), f"the {ns} namespace is there")
        for what in (os.path.dirname(env["WEIR_SOCKET"]), env["WEIR_BPFFS"], env["WEIR_STORE_ROOT"]):
            need(not os.path.exists(what), f"{what} is there")
        same(lab.call("env").returncode, 1, "exit of env")
    finally:
        lab.up(*options)
    works(lab, "after-down")
