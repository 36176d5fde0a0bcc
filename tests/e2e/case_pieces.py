# SPDX-License-Identifier: BSD-3-Clause
"""Objects that come in several requests, by real clients: multipart uploads of S3, tus. The request that
completes the object is refused when the whole is bad, although the pieces already lie at the store."""
import hashlib
import os
import shutil
import tempfile

import servers
from case_s3 import BOTO, aws_env, code_in, minio_put, rows_of, sdk
from groups import LISTED, OBJECT, body
from lab import EICAR, need, same, until
from servers import PYTHON, client, last_json, need_module
from tap import Skip, case

MIB = 1 << 20
GOOD = body("object good", 11534337)
SIZES = {"5": 5 * MIB, "8": 8 * MIB}


def seam(at):
    """The good object with EICAR over the seam of the first two pieces: neither piece holds it."""
    return GOOD[:at - 30] + EICAR + GOOD[at - 30 + len(EICAR):]


def whole_of(lab, path):
    """The record of the object, written at its completing request."""
    return until(f"record of the object {path}",
                 lambda: [r for r in rows_of(lab, path) if r["upload"]["record"] == "object"], 15.0)


def whole_arrived(lab, server, key, data):
    rows = whole_of(lab, f"/bucket/{key}")
    same(len(rows), 1, f"number of records of the object {key}")
    r = rows[0]
    same((r["verdict"], r["action"], r["committed"]), ("clean", "pass", True), f"record of {key}")
    need(r["upload"]["object"] is not None, "upload.object is null")
    same(r["upload"]["bytes"], len(data), "upload.bytes")
    for algo in ("md5", "sha1", "sha256"):
        same(r["digests"][algo], hashlib.new(algo, data).hexdigest(), f"digests.{algo}")
    need(server.stored(f"bucket/{key}") == data, f"{server.name} holds other bytes at {key}")
    return r


def whole_refused(lab, server, key, decision):
    """Refused at the piece whose bytes complete what is bad, at the latest at the completing request."""
    path = f"/bucket/{key}"
    rows = until(f"a refusal in the records of {path}",
                 lambda: [r for r in rows_of(lab, path) if r["action"] == "block"], 15.0)
    for r in rows:
        same((r["verdict"], r["committed"]), ("match", False), f"record of {path}")
    need(decision is None or decision in [r["decision_id"] for r in rows], f"decision {decision} is in no record")
    need(server.stored(f"bucket/{key}") is None, f"{key} is at {server.name}")
    return rows


def pieces(lab, server, name, size, framing, run, inside=False):
    """run(key, file) -> (status, code, ...): a clean object, a bad one over a seam, a listed one; and one whose
    second part is bad by itself."""
    kinds = {"good": GOOD, "seam": seam(size), "listed": OBJECT}
    if inside:
        kinds["inside"] = seam(size + 100000)
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        for kind, data in kinds.items():
            key, file = f"{name}-{kind}", os.path.join(tmp, kind)
            with open(file, "wb") as f:
                f.write(data)
            said = run(key, file)
            if kind == "good":
                need(said[0] == 200, f"{name} saw {said}; {server.log()[-300:]}")
                whole_arrived(lab, server, key, data)
            else:
                same(tuple(said[:2]), (403, "ContentRejected"), f"what {name} read, {kind}")
                whole_refused(lab, server, key, said[2] if len(said) > 2 else None)
            rows = [r for r in rows_of(lab, f"/bucket/{key}") if r["upload"]["method"] == "PUT"]
            need(len(rows) >= (1 if kind == "inside" else 2), f"{len(rows)} records of parts of {key}")
            for r in rows:
                same(r["upload"]["framing"], framing, f"framing of a part of {key}")


def code_of(p):
    return (200, "") if p.returncode == 0 else (403, code_in(p.stderr.decode()))


@case("awscli cp, in parts at once, to Swift", "clients")
def _(lab):
    if not os.path.exists("/usr/bin/aws"):
        raise Skip("awscli is not installed")
    server = servers.SWIFT.up(lab)
    pieces(lab, server, "awscli", SIZES["8"], ["content-length"], lambda key, file: code_of(client(
        lab, "/usr/bin/aws", "--endpoint-url", server.url, "s3", "cp", "--no-progress", file,
        f"s3://bucket/{key}", env=aws_env(server))))


@case("boto3 upload_fileobj, in parts at once, to Swift", "clients")
def _(lab):
    need_module("boto3")
    server = servers.SWIFT.up(lab)
    pieces(lab, server, "boto3", SIZES["8"], ["content-length"], lambda key, file: last_json(client(
        lab, PYTHON, "-c", BOTO, "upload", server.url, server.access, server.secret, key, file)))


@case("s3cmd put, part after part, to Swift", "clients")
def _(lab):
    if not shutil.which("s3cmd"):
        raise Skip("s3cmd is not installed")
    server = servers.SWIFT.up(lab)
    pieces(lab, server, "s3cmd", SIZES["5"], ["content-length"], lambda key, file: code_of(client(
        lab, "/usr/bin/s3cmd", "-c", "/dev/null", f"--access_key={server.access}",
        f"--secret_key={server.secret}", f"--host={server.host}", f"--host-bucket={server.host}", "--no-ssl",
        "--region=us-east-1", "--no-progress", "--multipart-chunk-size-mb=5", "put", file,
        f"s3://bucket/{key}")))


@case("rclone copyto, in parts at once, to Swift", "clients")
def _(lab):
    if not shutil.which("rclone"):
        raise Skip("rclone is not installed")
    server = servers.SWIFT.up(lab)
    env = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": server.url, "REGION": "us-east-1",
           "ACCESS_KEY_ID": server.access, "SECRET_ACCESS_KEY": server.secret}
    env = {f"RCLONE_CONFIG_LAB_{k}": v for k, v in env.items()}
    pieces(lab, server, "rclone", SIZES["5"], ["content-length"], lambda key, file: code_of(client(
        lab, "/usr/bin/rclone", "copyto", "--retries", "1", "--s3-no-check-bucket", "--s3-upload-cutoff", "5M",
        "--s3-chunk-size", "5M", file, f"lab:bucket/{key}", env=env)))


@case("AWS SDK lib-storage: a stream, four parts at once, to Swift", "clients")
def _(lab):
    servers.need_npm()
    server = servers.SWIFT.up(lab)
    pieces(lab, server, "lib-storage", SIZES["5"], ["content-length"],
           lambda key, file: sdk(lab, server, "upload", key, file), inside=True)


@case("minio-go: parts at once, every chunk signed, and a trailer", "clients")
def _(lab):
    server = servers.STRICT.up(lab)
    pieces(lab, server, "minio-go-trailer", SIZES["5"], ["content-length", "aws-signed-trailer"],
           lambda key, file: minio_put(lab, server, key, file, "-trailer", "-part", str(SIZES["5"])))


# --- tus ---------------------------------------------------------------------------------------------

TUS_SIZE = 300000  # of one PATCH
TUS_GOOD = body("tus good", 1000000)


def tus(lab, how, name, data, chunk=TUS_SIZE):
    server = servers.TUS.up(lab)
    with tempfile.NamedTemporaryFile(prefix="weir-e2e-") as f:
        f.write(data)
        f.flush()
        said = last_json(client(lab, *servers.script("tus-client.mjs", how, server.url + "/files", f.name, name,
                                                     str(chunk))))
    said["path"] = (said["url"] or "").partition(server.host)[2]
    said["id"] = said["path"].rpartition("/")[2]
    return server, said


@case("tus: whole, in chunks, aborted and resumed", "clients")
def _(lab):
    for how in ("whole", "chunks", "resume"):
        data = TUS_GOOD if how != "resume" else body("tus resume", 6000000)
        server, said = tus(lab, how, f"tus-{how}", data, TUS_SIZE if how == "chunks" else 1500000)
        same(said["status"], 200, f"what the client saw ({said})")
        patches = [m for m, _ in said["requests"]].count("PATCH")
        need(patches == {"whole": 1, "chunks": 4}.get(how, patches), f"PATCHes that were answered: {said}")
        same(["HEAD", 200] in said["requests"], how == "resume", f"the client asked for the offset ({said})")
        need(server.stored(said["id"]) == data, "the server holds other bytes")
        need(server.stored(f"tus-{how}.done") is not None, "the server does not call it complete")
        r = whole_of(lab, said["path"])
        same(len(r), 1, "number of records of the object")
        same((r[0]["verdict"], r[0]["action"], r[0]["committed"]), ("clean", "pass", True), f"record, {how}")
        same(r[0]["digests"]["sha256"], hashlib.sha256(data).hexdigest(), f"digests.sha256, {how}")


@case("tus: a bad sequence over two PATCHes, a listed file in four", "clients")
def _(lab):
    split = TUS_GOOD[:TUS_SIZE - 30] + EICAR + TUS_GOOD[TUS_SIZE - 30 + len(EICAR):]
    for name, data, stored in (("tus-split", split, TUS_SIZE), ("tus-listed", LISTED["sha256", 1000000], 900000)):
        server, said = tus(lab, "chunks", name, data)
        same(said["status"], 403, f"what the client saw ({said})")
        need([m for m, _ in said["requests"]].count("PATCH") <= stored // TUS_SIZE + 1, f"it tried again: {said}")
        need(server.stored(f"{name}.done") is None, "the server calls it complete")
        got = server.stored(said["id"])
        # Never all of it. What completes the sequence may have gone on, where another worker owns the upload.
        need(got is None or len(got) < len(data), f"the server holds {got and len(got)} bytes")
        rows = until("a blocked record", lambda: [r for r in rows_of(lab, said["path"]) if r["action"] == "block"])
        need(said["decision"] in [r["decision_id"] for r in rows], f"decision {said['decision']} is in no record")
        same(rows[0]["verdict"], "match", "verdict")
        # Found bad once, refused for ever: whatever is asked of it, on another connection.
        url = server.url + said["path"]
        for args in (["-X", "PATCH", "-H", f"Upload-Offset: {stored}", "-H",
                      "Content-Type: application/offset+octet-stream", "--data-binary", "more"], ["-I"]):
            answer = lab.curl("-H", "Tus-Resumable: 1.0.0", *args, url)
            same(answer.status, 403, f"status of {args[:2]} afterwards")
        need(server.stored(f"{name}.done") is None, "the server calls it complete")
