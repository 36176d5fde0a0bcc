# SPDX-License-Identifier: BSD-3-Clause
"""What is not seen from its beginning, or not from both sides; fragments put together; workers shown."""
import json
import os
import random
import socket
import subprocess
import threading

from groups import body
from lab import EICAR, ROOT, need, put_head, same, until
from raw import Conn, Host
from tap import case

TCP = "tcp"
BAD = b"before " * 30 + EICAR + b" after" * 30
CLEAN = bytes(b ^ 1 for b in BAD)


@case("TCP in IP fragments is put together where policy says so", group=TCP, drivers=("af_xdp",))
def _(lab):
    orders = {"forward": None, "backward": lambda at: at[::-1],
              "shuffled": lambda at: random.Random("weir").sample(at, len(at)),
              "doubled": lambda at: [i for i in at for _ in (0, 1)]}
    with Host(lab) as host:
        for name, order in orders.items():
            for kind, data in (("bad", BAD), ("clean", CLEAN)):
                path = f"/tcp/frag-{name}-{kind}"
                c = Conn(host)
                head = put_head(path, len(data))
                c.segment(0, head)
                c.repeat([(0, head)])
                for _ in range(5):
                    c.fragments(len(head), data, 24, order)
                    if c.wait(lambda: c.got or c.reset, 2):
                        break
                if kind == "bad":
                    lab.check_blocked(path, c.answer(), rule="eicar")
                else:
                    lab.check_clean(path, data, c.answer())


def server(lab, port, told):
    """Takes connections one after the other and keeps what each was told."""
    srv = lab.listen(port)

    def serve():
        try:
            while True:
                s, _ = srv.accept()
                s.settimeout(30)
                told.append(b"")
                try:
                    while more := s.recv(1000):
                        told[-1] += more
                        s.sendall(b"more")
                except OSError:
                    told.append("reset")
                s.close()
        except OSError:
            pass
    threading.Thread(target=serve, daemon=True).start()
    return srv


def ended(s):
    """True once the connection is over for our kernel."""
    try:
        s.settimeout(1)
        return s.recv(100) == b""
    except socket.timeout:
        return False
    except OSError:
        return True


@case("midstream, block: a connection from before a restart ends on both sides", group=TCP)
def _(lab):
    before = lab.reason("midstream")
    s = lab.connect()
    port = s.getsockname()[1]
    s.sendall(put_head("/tcp/mid", len(BAD)) + BAD[:100])
    same(lab.call("restart", "--dataplane").returncode, 0, "exit of restart")
    lab.refresh()
    try:
        s.sendall(BAD[100:])
    except OSError:
        pass
    until("end of the client's connection", lambda: ended(s), 20)
    until("end of the store's", lambda: not subprocess.run(
        lab.inside(lab.store_ns, "ss", "-Htn", f"dport = :{port}"), capture_output=True, text=True,
        timeout=20).stdout.strip(), 10)
    need(lab.store_bytes("/tcp/mid") is None, "the object is at the store")
    need(lab.reason("midstream") > before or lab.reason("midstream") > 0, "midstream is not counted")
    s.close()


@case("midstream, pass: it goes on, is counted, and is reset when it rests", group=TCP)
def _(lab):
    told = []
    srv = server(lab, 7004, told)
    s = lab.connect(7004)
    s.sendall(b"first ")
    same(s.recv(100), b"more", "what the server said")
    same(lab.call("restart", "--dataplane").returncode, 0, "exit of restart")
    lab.refresh()
    s.sendall(b"second ")
    same(s.recv(100), b"more", "what the server said after the restart")
    same(told[0], b"first second ", "what the server was told")
    need(lab.reason("midstream") > 0, "midstream is not counted")
    need(any(k.startswith("weir_unscanned_bytes_total") and v > 0 for k, v in lab.metrics().items()),
         "no unscanned bytes are counted")
    until("the reset at its idle moment", lambda: lab.reason("pass_reset") > 0, 20)
    until("end of the client's connection", lambda: ended(s), 10)
    until("end of the server's", lambda: "reset" in told, 10)
    s.close()
    srv.close()


@case("one way: the store's answers go around Weir", group=TCP)
def _(lab):
    def run(ns, *argv):
        p = subprocess.run(lab.inside(ns, *argv), capture_output=True, text=True, timeout=20)
        need(p.returncode == 0, f"{' '.join(argv)}: {p.stderr.strip()}")

    told, other = [], "10.77.0.99"
    srv = server(lab, 7005, told)
    run(lab.client_ns, "ip", "link", "add", "around-c", "type", "veth", "peer", "name", "around-s")
    try:
        run(lab.client_ns, "ip", "link", "set", "around-s", "netns",
            f"/run/netns/{lab.store_ns}")
        run(lab.client_ns, "ip", "addr", "add", f"{other}/32", "dev", lab.client_if)
        for ns, dev in ((lab.client_ns, "around-c"), (lab.store_ns, "around-s")):
            run(ns, "sysctl", "-qw", f"net.ipv4.conf.{dev}.rp_filter=0", "net.ipv4.conf.all.rp_filter=0")
            run(ns, "ip", "link", "set", dev, "up")
        run(lab.client_ns, "sysctl", "-qw", f"net.ipv4.conf.{lab.client_if}.rp_filter=0")
        run(lab.store_ns, "ip", "route", "add", f"{other}/32", "dev", "around-s")
        for port, passes in ((80, False), (7005, True)):
            before = lab.reason("one_way")
            s = lab.socket(lab.client_ns, socket.AF_INET, socket.SOCK_STREAM)
            s.settimeout(10)
            s.bind((other, 0))
            try:
                s.connect((lab.store_ip, port))
                s.sendall(put_head("/tcp/around", len(BAD)) + BAD)
            except OSError:  # the reset may come before connect() returns
                need(not passes, "the connection was refused")
            if passes:
                same(s.recv(100), b"more", "what the server said")
                need(EICAR in told[-1], "it was not passed on")
            else:
                until("end of the connection", lambda: ended(s), 10)
                need(lab.store_bytes("/tcp/around") is None, "the object is at the store")
            until("count of one_way", lambda: lab.reason("one_way") > before, 5)
            s.close()
    finally:
        subprocess.run(lab.inside(lab.client_ns, "ip", "link", "del", "around-c"), capture_output=True)
        subprocess.run(lab.inside(lab.client_ns, "ip", "addr", "del", f"{other}/32", "dev",
                                  lab.client_if), capture_output=True)
        srv.close()


@case("weir status tells how many workers there are, the metrics what each does", group="two workers")
def _(lab):
    for i in range(12):
        lab.put(f"/status/{i}", body(f"status {i}", 5000))
    busy = {k for k, v in lab.metrics().items()
            if k.startswith("weir_frames_total{") and 'fate="received"' in k and v > 0}
    need(any('worker="w0"' in k for k in busy) and any('worker="w1"' in k for k in busy),
         f"not both workers received: {sorted(busy)}")
    build = os.environ.get("WEIR_BUILD", os.path.join(ROOT, "build"))
    p = subprocess.run([os.path.join(build, "control/cli/weir"), "--socket", lab.env["WEIR_SOCKET"], "--json", "status"],
                       capture_output=True, text=True, timeout=30)
    same(json.loads(p.stdout)["dataplane"]["workers"], 2, f"workers in weir status ({p.stderr})")
