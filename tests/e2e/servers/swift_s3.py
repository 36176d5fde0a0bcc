#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""swift_s3 - OpenStack Swift with its S3 interface (Debian's swift packages), one process, one device.

usage: swift_s3.py ADDRESS PORT FOLDER
The proxy with s3api listens on ADDRESS:PORT; account, container and object server on 127.0.0.1, where
only the proxy meets them. Prints `ready` once the proxy answers. User test:tester, key testing, which are
also the S3 access key and secret; bucket `bucket` exists.
"""
import os
import sys

address, port, folder = sys.argv[1], int(sys.argv[2]), os.path.abspath(sys.argv[3])
os.makedirs(os.path.join(folder, "devices", "sda"), exist_ok=True)
conf = os.path.join(folder, "swift.conf")
with open(conf, "w") as f:
    f.write("[swift-hash]\nswift_hash_path_suffix = lab\nswift_hash_path_prefix = lab\n")

import swift.common.utils as utils  # noqa: E402
utils.SWIFT_CONF_FILE = conf
utils.eventlet_monkey_patch()
import eventlet  # noqa: E402
import eventlet.wsgi  # noqa: E402
from swift.account.server import AccountController  # noqa: E402
from swift.container.server import ContainerController  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: E402
from swift.obj.server import ObjectController  # noqa: E402

PROXY = """
[DEFAULT]
swift_dir = {folder}
log_level = ERROR
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:cache]
paste.filter_factory = swift_cache:factory
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
dns_compliant_bucket_names = false
allow_multipart_uploads = true
min_segment_size = 1048576
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


class Cache:
    """Swift wants a memcached for its tokens; a dictionary of this process serves as well."""

    def __init__(self, app):
        self.app, self.rows = app, {}

    def __call__(self, env, start):
        env["swift.cache"] = self
        return self.app(env, start)

    def get(self, key, *_, **__):
        return self.rows.get(key)

    def set(self, key, value, *_, **__):
        self.rows[key] = value
        return True

    def incr(self, key, delta=1, *_, **__):
        self.rows[key] = int(self.rows.get(key, 0)) + delta
        return self.rows[key]

    def decr(self, key, delta=1, *_, **__):
        return self.incr(key, -delta)

    def delete(self, key, *_, **__):
        self.rows.pop(key, None)


def factory(_conf, **_):
    return Cache


sys.modules["swift_cache"] = sys.modules["__main__"]


def ring(name, at):
    b = RingBuilder(4, 1, 0)
    b.add_dev({"id": 0, "region": 1, "zone": 0, "weight": 1.0, "ip": "127.0.0.1", "port": at,
               "replication_ip": "127.0.0.1", "replication_port": at, "device": "sda", "meta": ""})
    b.rebalance(seed="lab")
    b.get_ring().save(os.path.join(folder, f"{name}.ring.gz"))


def serve(app, where):
    sock = eventlet.listen(where, backlog=1024)
    eventlet.spawn(eventlet.wsgi.server, sock, app, log=open(os.devnull, "w"), protocol=SwiftHttpProtocol)


def main():
    backend = {"devices": os.path.join(folder, "devices"), "mount_check": "false", "swift_dir": folder,
               "fallocate_reserve": "0", "disable_fallocate": "true"}
    logger = utils.get_logger({"log_level": "ERROR"}, log_to_console=False)
    for i, (name, cls) in enumerate((("object", ObjectController), ("container", ContainerController),
                                     ("account", AccountController))):
        ring(name, 6200 + i)
        serve(cls(backend, logger), ("127.0.0.1", 6200 + i))
    path = os.path.join(folder, "proxy-server.conf")
    with open(path, "w") as f:
        f.write(PROXY.format(folder=folder))
    serve(loadapp(path), (address, port))
    make_bucket()
    print("ready", flush=True)
    while True:
        eventlet.sleep(3600)


def make_bucket():
    from eventlet.green.http import client
    c = client.HTTPConnection(address, port, timeout=30)
    c.request("GET", "/auth/v1.0", headers={"X-Auth-User": "test:tester", "X-Auth-Key": "testing"})
    r = c.getresponse()
    r.read()
    token = r.getheader("X-Auth-Token")
    for bucket in ("bucket", "bucket+segments"):
        c.request("PUT", f"/v1/AUTH_test/{bucket}", headers={"X-Auth-Token": token})
        r = c.getresponse()
        r.read()
        if r.status not in (201, 202):
            sys.exit(f"swift: the bucket cannot be made: {r.status}")


main()
