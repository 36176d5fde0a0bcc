# SPDX-License-Identifier: BSD-3-Clause
"""Weir where it stands in production: behind a terminator that speaks TLS (and HTTP/2) with the clients. The
terminator is the client on Weir's wire: it must hand the refusal on."""
import os
import tempfile

import servers
from groups import LISTED, body
from lab import EICAR, need, same, until
from tap import case

GOOD = body("front good", 400000)
EARLY = body("front early", 60000) + EICAR + body("front rest", 30000000)
LATE = LISTED["sha256", 1000000]


def through(lab, front, name, framing, stored, *how, stdin=False):
    """A clean and two bad uploads by curl through a terminator; returns the records."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        for kind, data in (("good", GOOD), ("early", EARLY), ("late", LATE)):
            path, file = f"/front/{name}-{kind}", os.path.join(tmp, kind)
            with open(file, "wb") as f:
                f.write(data)
            answer = lab.curl("-k", *how, "-T", "-" if stdin else file, f"https://127.0.0.1:{front.port}{path}",
                              body=data if stdin else None)
            r = until(f"record of {path}", lambda: lab.records_of(path))
            same(len(r), 1, f"number of records of {path}: a terminator should not try again")
            r = r[0]
            if kind == "good":
                need(answer.status in (201, 204), f"client saw {answer}; {front.log()[-300:]}")
                same((r["verdict"], r["action"], r["committed"]), ("clean", "pass", True), f"record of {path}")
                need(stored(path) == data, "the store holds other bytes")
            else:
                same(answer.status, 403, f"{kind}: status ({answer}); {front.log()[-300:]}")
                same(answer.headers.get("weir-decision-id"), r["decision_id"], "decision id")
                same((r["verdict"], r["action"], r["committed"]), ("match", "block", False), f"record of {path}")
                need(stored(path) is None, f"{path} is at the store")
            same(r["upload"]["framing"], framing, f"framing of {path}")
            rows.append(r)
    return rows


@case("behind nginx with TLS: it collects the body, then sends it", "clients")
def _(lab):
    front = servers.FRONT.up(lab)
    for r in through(lab, front, "whole/nginx", ["content-length"], lab.store_bytes):
        same((r["client"]["ip"], r["client"]["source"]), ("192.0.2.77", "xff"), "client")


@case("behind nginx with TLS: it hands on what comes, with a length or chunked", "clients")
def _(lab):
    front = servers.FRONT.up(lab)
    through(lab, front, "stream/nginx", ["content-length"], lab.store_bytes)
    through(lab, front, "stream/nginx-chunked", ["chunked"], lab.store_bytes, stdin=True)


@case("behind HAProxy with HTTP/2 and TLS, which sends PROXY v2", "clients")
def _(lab):
    behind, front = servers.BEHIND.up(lab), servers.HAPROXY.up(lab)

    def stored(path):
        return behind.stored(path.lstrip("/"))

    for how in ("--http2", "--http1.1"):
        for r in through(lab, front, "haproxy" + how, ["content-length"], stored, how):
            same((r["client"]["ip"], r["client"]["source"]), ("127.0.0.1", "proxy_v2"), "client")
