# SPDX-License-Identifier: BSD-3-Clause
"""The servers behind the clients: each is started once in the store's namespace, ends with its group."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.parse

from lab import Failed, until
from tap import Skip

HERE = os.path.dirname(os.path.abspath(__file__))
NODE = os.path.join(HERE, "node")
PYTHON = "/usr/bin/python3"  # Debian's own, which sees Debian's packages
LIFE_S = "1500"              # no server outlives a run of the tests, whatever happens to the test


def need_npm():
    if not shutil.which("node"):
        raise Skip("node is not installed")
    if not os.path.isdir(os.path.join(NODE, "node_modules")):
        raise Skip("the npm packages of tests/e2e/node are not installed")


def need_module(*names):
    for name in names:
        if subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True).returncode != 0:
            raise Skip(f"Debian's python3 has no {name}")


class Server:
    """One process, its folder and its port; argv gets address, port and folder."""

    def __init__(self, name, port, argv, needs, access="", secret=""):
        self.name, self.port, self.argv, self.needs = name, port, argv, needs
        self.access, self.secret = access, secret
        self.lab = self.process = self.folder = None

    def up(self, lab):
        if self.process is not None and self.process.poll() is None and self.lab is lab:
            return self
        self.down()
        self.needs()
        self.lab, self.folder = lab, tempfile.mkdtemp(prefix=f"weir-{self.name}-", dir="/var/tmp")
        log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            lab.inside(lab.store_ns, "timeout", "-k", "5", LIFE_S, *self.argv, lab.store_ip,
                       str(self.port), os.path.join(self.folder, "root")),
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        log.close()
        until(f"server {self.name}", self.ready, 60.0)
        return self

    def log(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as f:
            return f.read()

    def ready(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended: {self.log()[-600:]}")
        return "ready\n" in self.log()

    def down(self):
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGTERM)  # the group that only it started
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
            except ProcessLookupError:
                pass
            self.process.wait(10)
            shutil.rmtree(self.folder, ignore_errors=True)
        self.process = self.folder = None

    @property
    def host(self):
        return f"{self.lab.store_ip}:{self.port}"

    @property
    def url(self):
        return f"http://{self.host}"

    def files(self):
        for at, _, names in os.walk(os.path.join(self.folder, "root")):
            for name in names:
                yield os.path.join(at, name)

    def keeps(self, marker):
        """The files of the server's folder that hold these bytes, complete or not."""
        found = []
        for path in self.files():
            try:
                with open(path, "rb") as f:
                    if marker in f.read():
                        found.append(path)
            except FileNotFoundError:
                pass
        return found

    def stored(self, key):
        """The object's bytes, as files of the server hold them, or None."""
        try:
            with open(os.path.join(self.folder, "root", key), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None


class Swift(Server):
    """What Swift holds is asked of Swift, in its own namespace, so that nothing crosses the wire."""
    token = None

    def inside(self, *args):
        p = subprocess.run(self.lab.inside(self.lab.store_ns, "curl", "-sS", "--max-time", "30", *args),
                           capture_output=True, timeout=40)
        if p.returncode != 0:
            raise Failed(f"swift does not answer: {p.stderr.decode(errors='replace')}")
        return p.stdout

    def up(self, lab):
        was = self.process
        super().up(lab)
        if self.process is not was:
            head = self.inside("-D", "-", "-o", "/dev/null", "-H", f"X-Auth-User: {self.access}", "-H",
                               f"X-Auth-Key: {self.secret}", f"{self.url}/auth/v1.0")
            rows = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
            self.token = rows["X-Auth-Token"]
        return self

    def stored(self, key):
        out = self.inside("-H", f"X-Auth-Token: {self.token}", "-w", "%{stderr}%{http_code}", "-o",
                          "/dev/stdout", f"{self.url}/v1/AUTH_test/{urllib.parse.quote(key)}", "-f",
                          "--fail-early") if self.exists(key) else None
        return out

    def exists(self, key):
        got = self.inside("-I", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                          f"X-Auth-Token: {self.token}",
                          f"{self.url}/v1/AUTH_test/{urllib.parse.quote(key)}")
        if got not in (b"200", b"404"):
            raise Failed(f"swift answers {got!r} to HEAD {key}")
        return got == b"200"


class Daemon(Server):
    """A program of Debian with a configuration file; `side` says in whose namespace it runs."""

    def __init__(self, name, port, program, side, text):
        super().__init__(name, port, [], lambda: need_program(program[0]))
        self.program, self.side, self.text = program, side, text

    def up(self, lab):
        if self.process is not None and self.process.poll() is None and self.lab is lab:
            return self
        self.down()
        self.needs()
        self.lab, self.folder = lab, tempfile.mkdtemp(prefix=f"weir-{self.name}-", dir="/var/tmp")
        os.makedirs(os.path.join(self.folder, "root"))
        own_certificate(self.folder)
        conf = os.path.join(self.folder, "conf")
        with open(conf, "w") as f:
            f.write(self.text % {"folder": self.folder, "store": lab.store_ip, "port": self.port})
        log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            lab.inside(getattr(lab, self.side), "timeout", "-k", "5", LIFE_S, *self.program, conf),
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        log.close()
        until(f"server {self.name}", self.ready, 30.0)
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended: {self.log()[-600:]}")
        p = subprocess.run(self.lab.inside(getattr(self.lab, self.side), "ss", "-Hltn", f"sport = {self.port}"),
                           capture_output=True, text=True, timeout=10)
        return bool(p.stdout.strip())


def need_program(name):
    if not shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin"):
        raise Skip(f"{name} is not installed")


def own_certificate(folder):
    """A key and a certificate in one file, for as long as the test runs."""
    pem = os.path.join(folder, "pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=front.lab", "-keyout", pem + ".key", "-out", pem + ".crt"],
                   check=True, capture_output=True, timeout=30)
    with open(pem, "w") as out:
        for end in (".crt", ".key"):
            with open(pem + end) as f:
                out.write(f.read())


def script(name, *more):
    return ["node", os.path.join(NODE, name), *more]


SWIFT = Swift("swift", 8080, [PYTHON, os.path.join(HERE, "servers", "swift_s3.py")],
              lambda: need_module("swift", "eventlet", "xattr"), "test:tester", "testing")
STRICT = Server("strict", 8081, [PYTHON, os.path.join(HERE, "servers", "strict_s3.py")], lambda: None,
                "lab", "labsecret")
TUS = Server("tus", 8083, script("tus-server.mjs"), need_npm)
BUSBOY = Server("busboy", 8084, script("busboy-server.mjs"), need_npm)
NGINX_FRONT = """
user root;
worker_processes 1;
pid %(folder)s/pid;
error_log stderr warn;
events { worker_connections 256; }
http {
	access_log off;
	client_max_body_size 0;
	client_body_temp_path %(folder)s/body;
	proxy_temp_path %(folder)s/temp;
	upstream store { server %(store)s:80; keepalive 8; }
	server {
		listen 127.0.0.1:%(port)s ssl;
		ssl_certificate %(folder)s/pem;
		ssl_certificate_key %(folder)s/pem;
		proxy_http_version 1.1;
		proxy_set_header Connection "";
		proxy_set_header X-Forwarded-For 192.0.2.77;
		location /front/whole/ { proxy_pass http://store; }
		location /front/stream/ { proxy_pass http://store; proxy_request_buffering off; }
	}
}
"""
HAPROXY_FRONT = """
global
	log stdout format raw local0 err
defaults
	mode http
	timeout connect 10s
	timeout client 60s
	timeout server 60s
frontend tls
	bind 127.0.0.1:%(port)s ssl crt %(folder)s/pem alpn h2,http/1.1
	default_backend store
backend store
	server store %(store)s:8090 send-proxy-v2
"""
# The store behind HAProxy: it wants the PROXY header that Weir reads as well.
NGINX_STORE = """
user root;
worker_processes 1;
pid %(folder)s/pid;
error_log stderr warn;
events { worker_connections 256; }
http {
	access_log off;
	client_max_body_size 0;
	client_body_temp_path %(folder)s/body;
	server {
		listen %(store)s:%(port)s proxy_protocol;
		root %(folder)s/root;
		location / { dav_methods PUT; create_full_put_path on; }
	}
}
"""
NGINX = ["/usr/sbin/nginx", "-e", "stderr", "-g", "daemon off;", "-c"]
FRONT = Daemon("nginx-front", 8443, NGINX, "client_ns", NGINX_FRONT)
HAPROXY = Daemon("haproxy-front", 8444, ["/usr/sbin/haproxy", "-db", "-f"], "client_ns", HAPROXY_FRONT)
BEHIND = Daemon("nginx-behind", 8090, NGINX, "store_ns", NGINX_STORE)
ALL = [SWIFT, STRICT, TUS, BUSBOY, FRONT, HAPROXY, BEHIND]


def end_all():
    for server in ALL:
        server.down()


# --- clients ---------------------------------------------------------------------------------------

def client(lab, *argv, env=None, limit_s=90, stdin=None):
    """A client in its namespace, with an environment of its own and a home that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="weir-e2e-home-") as home:
        base = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:" + os.path.dirname(shutil.which("node") or "/usr/bin"),
                "HOME": home, "LANG": "C.UTF-8", "NODE_NO_WARNINGS": "1"}
        try:
            return subprocess.run(lab.inside(lab.client_ns, "timeout", "-k", "5", str(limit_s), *argv),
                                  capture_output=True, env={**base, **(env or {})}, input=stdin or b"",
                                  timeout=limit_s + 15)
        except subprocess.TimeoutExpired:
            raise Failed(f"{argv[0]} did not end") from None


def last_json(p):
    """What a client says in its last line."""
    lines = p.stdout.decode(errors="replace").strip().splitlines()
    if not lines:
        raise Failed(f"exit {p.returncode}: {p.stderr.decode(errors='replace').strip()[-500:]}")
    return json.loads(lines[-1])

