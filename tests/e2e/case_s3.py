# SPDX-License-Identifier: BSD-3-Clause
"""S3 clients against S3 servers: the framing each really sends, and the refusal each really reads."""
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time

import servers
import sigv4
from groups import LISTED, body
from lab import EICAR, need, put_head, read_answer, same, until
from servers import PYTHON, client, last_json, need_module
from tap import Skip, case

# Found early, while most of it is still to be sent: clients that read only at the end must get there.
EARLY = body("s3 early", 60000) + EICAR + body("s3 rest", 7900000)
LATE = LISTED["sha256", 1000000]
GOOD = body("s3 good", 300001)
SEEN = {}  # client: framings that records of its requests named
KINDS = ("aws-signed", "aws-signed-trailer", "aws-unsigned-trailer", "aws-sigv4a")


def rows_of(lab, path):
    """Records of requests with this path, whatever their query."""
    rows = [r for r in lab.records() if (r["upload"]["path"] or "").partition("?")[0] == path]
    for r in rows:
        SEEN.setdefault(path.rpartition("/")[2].rpartition("-")[0], set()).add("+".join(r["upload"]["framing"]))
    return rows


def arrived(lab, server, key, data, framing):
    """The server's bytes and the record of one whole, clean object."""
    path = f"/bucket/{key}"
    r = until(f"record of {path}", lambda: rows_of(lab, path))
    same(len(r), 1, f"number of records of {path}")
    r = r[0]
    got = server.stored(f"bucket/{key}")
    need(got == data, f"{server.name} holds {got and len(got)} other bytes at {key}, sent {len(data)}")
    same((r["verdict"], r["action"], r["committed"]), ("clean", "pass", True), f"record of {path}")
    same(r["upload"]["framing"], framing, f"framing of {path}")
    same(r["upload"]["bytes"], len(data), "upload.bytes")
    for algo in ("md5", "sha1", "sha256"):
        same(r["digests"][algo], hashlib.new(algo, data).hexdigest(), f"digests.{algo}")
    return r


def refused(lab, server, key, marker, framing, decision=None):
    """Nothing at the server, a record for each attempt that says so; the decision is one of them."""
    path = f"/bucket/{key}"
    rows = until(f"record of {path}", lambda: rows_of(lab, path))
    need(server.stored(f"bucket/{key}") is None, f"{key} is at {server.name}")
    need(not server.keeps(marker), f"{server.name} keeps {server.keeps(marker)}")
    for r in rows:
        same((r["verdict"], r["action"], r["committed"]), ("match", "block", False), f"record of {path}")
        same(r["upload"]["framing"], framing, f"framing of {path}")
    if decision is not None:
        need(decision in [r["decision_id"] for r in rows], f"decision {decision} is in no record")
    return rows


def single(lab, server, name, framing, run):
    """run(key, file) -> (status, code, decision id); one clean body, two bad ones."""
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        for kind, data in (("good", GOOD), ("early", EARLY), ("late", LATE)):
            key, file = f"{name}-{kind}", os.path.join(tmp, kind)
            with open(file, "wb") as f:
                f.write(data)
            status, code, decision = run(key, file)
            if kind == "good":
                need(status in (200, 201), f"{name} saw {status} {code}; {server.log()[-300:]}")
                arrived(lab, server, key, data, framing)
                continue
            same((status, code), (403, "ContentRejected"), f"what {name} read, {kind}")
            marker = EICAR if kind == "early" else data[-64:]
            rows = refused(lab, server, key, marker, framing, decision)
            same(len(rows), 1, f"requests of {name}, {kind}: it should not try again")


def aws_env(server):
    return {"AWS_ACCESS_KEY_ID": server.access, "AWS_SECRET_ACCESS_KEY": server.secret,
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


def code_in(text):
    """The S3 error code that a client printed."""
    return "ContentRejected" if "ContentRejected" in text else text.strip()[-300:]


@case("awscli cp, to Swift", "clients")
def _(lab):
    if not os.path.exists("/usr/bin/aws"):
        raise Skip("awscli is not installed")
    server = servers.SWIFT.up(lab)

    def run(key, file):
        p = client(lab, "/usr/bin/aws", "--endpoint-url", server.url, "s3", "cp", "--no-progress", file,
                   f"s3://bucket/{key}", env=aws_env(server))
        if p.returncode == 0:
            return 200, "", None
        return 403, code_in(p.stderr.decode()), None

    single(lab, server, "awscli", ["content-length"], run)


BOTO = """
import json, sys, boto3, botocore
from botocore.config import Config
how, url, access, secret, key, file = sys.argv[1:]
c = boto3.client("s3", endpoint_url=url, aws_access_key_id=access, aws_secret_access_key=secret,
                 region_name="us-east-1", config=Config(s3={"addressing_style": "path"}))
try:
    with open(file, "rb") as f:
        if how == "put":
            r = c.put_object(Bucket="bucket", Key=key, Body=f)
            print(json.dumps([r["ResponseMetadata"]["HTTPStatusCode"], "", None]))
        else:
            c.upload_fileobj(f, "bucket", key)
            print(json.dumps([200, "", None]))
except botocore.exceptions.ClientError as e:
    m = e.response["ResponseMetadata"]
    print(json.dumps([m["HTTPStatusCode"], e.response["Error"]["Code"],
                      m["HTTPHeaders"].get("weir-decision-id")]))
"""


@case("boto3 put_object, to Swift", "clients")
def _(lab):
    need_module("boto3")
    server = servers.SWIFT.up(lab)
    single(lab, server, "boto3", ["content-length"], lambda key, file: last_json(client(
        lab, PYTHON, "-c", BOTO, "put", server.url, server.access, server.secret, key, file)))


@case("s3cmd put, to Swift", "clients")
def _(lab):
    if not shutil.which("s3cmd"):
        raise Skip("s3cmd is not installed")
    server = servers.SWIFT.up(lab)

    def run(key, file):
        p = client(lab, "/usr/bin/s3cmd", "-c", "/dev/null", f"--access_key={server.access}",
                   f"--secret_key={server.secret}", f"--host={server.host}", f"--host-bucket={server.host}",
                   "--no-ssl", "--region=us-east-1", "--no-progress", "put", file, f"s3://bucket/{key}")
        if p.returncode == 0:
            return 200, "", None
        return 403, code_in(p.stderr.decode()), None

    single(lab, server, "s3cmd", ["content-length"], run)


@case("rclone copyto, to Swift", "clients")
def _(lab):
    if not shutil.which("rclone"):
        raise Skip("rclone is not installed")
    server = servers.SWIFT.up(lab)

    def run(key, file):
        p = client(lab, "/usr/bin/rclone", "copyto", "--retries", "1", "--s3-no-check-bucket", file,
                   f"lab:bucket/{key}", env={
                       "RCLONE_CONFIG_LAB_TYPE": "s3", "RCLONE_CONFIG_LAB_PROVIDER": "Other",
                       "RCLONE_CONFIG_LAB_ENDPOINT": server.url, "RCLONE_CONFIG_LAB_REGION": "us-east-1",
                       "RCLONE_CONFIG_LAB_ACCESS_KEY_ID": server.access,
                       "RCLONE_CONFIG_LAB_SECRET_ACCESS_KEY": server.secret})
        if p.returncode == 0:
            return 200, "", None
        return 403, code_in(p.stderr.decode()), None

    single(lab, server, "rclone", ["content-length"], run)


def sdk(lab, server, how, key, file):
    return last_json(client(lab, *servers.script("s3-put.mjs", how, server.url, server.access,
                                                 server.secret, "bucket", key, file)))


@case("AWS SDK for JavaScript: a buffer, to Swift", "clients")
def _(lab):
    servers.need_npm()
    server = servers.SWIFT.up(lab)
    single(lab, server, "sdk-js-buffer", ["content-length"],
           lambda key, file: sdk(lab, server, "buffer", key, file))


@case("AWS SDK for JavaScript: a stream with a checksum trailer", "clients")
def _(lab):
    servers.need_npm()
    server = servers.STRICT.up(lab)
    single(lab, server, "sdk-js-stream", ["chunked", "aws-unsigned-trailer"],
           lambda key, file: sdk(lab, server, "stream", key, file))


@case("AWS SDK for JavaScript: a stream with a trailer, gzip inside", "clients")
def _(lab):
    servers.need_npm()
    server = servers.STRICT.up(lab)
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as tmp:
        for kind, data in (("good", GOOD), ("early", EARLY), ("late", LATE)):
            key, file, packed = f"sdk-js-gzip-{kind}", os.path.join(tmp, kind), gzip.compress(data)
            with open(file, "wb") as f:
                f.write(packed)
            status, code, decision = sdk(lab, server, "gzip", key, file)
            if kind == "good":
                same(status, 200, f"status; {server.log()[-300:]}")
                r = arrived(lab, server, key, packed, ["chunked", "aws-unsigned-trailer"])
                same([(v["view"], v["coding"], v["bytes"]) for v in r["views"]],
                     [("raw", None, len(packed)), ("decoded", "gzip", len(data))], "views")
                continue
            same((status, code), (403, "ContentRejected"), f"what the client read, {kind}")
            r = refused(lab, server, key, packed[-64:], ["chunked", "aws-unsigned-trailer"], decision)[0]
            # What gzip cannot shrink it stores as it is: there the raw view shows it too.
            need("decoded" in {m["view"] for m in r["matches"]}, f"views that matched: {r['matches']}")


@case("AWS SDK for JavaScript: a presigned PUT, sent by fetch", "clients")
def _(lab):
    servers.need_npm()
    server = servers.STRICT.up(lab)
    single(lab, server, "presigned", ["content-length"],
           lambda key, file: sdk(lab, server, "presigned", key, file))


def minio_put(lab, server, key, file, *options):
    """minio-go of Debian, built once from Debian's packages alone."""
    if not shutil.which("go") or not os.path.isdir("/usr/share/gocode/src/github.com/minio/minio-go/v7"):
        raise Skip("golang-go or golang-github-minio-minio-go-v7-dev is not installed")
    program = os.path.join(os.path.dirname(os.path.dirname(servers.HERE)), "build", "minio_put")
    source = os.path.join(servers.HERE, "go", "minio_put.go")
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        p = subprocess.run(["go", "build", "-o", program, source], capture_output=True, text=True, timeout=200,
                           env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                                "GOPROXY": "off", "GOCACHE": os.path.join(os.path.dirname(program), "go-cache")})
        need(p.returncode == 0, f"go build: {p.stderr[-400:]}")
    return [*last_json(client(lab, program, *options, server.host, server.access, server.secret, "bucket",
                              key, file)), None]


@case("minio-go: every chunk signed", "clients")
def _(lab):
    server = servers.STRICT.up(lab)
    single(lab, server, "minio-go", ["content-length", "aws-signed"],
           lambda key, file: minio_put(lab, server, key, file))


CRT = """
import datetime, json, sys
from awscrt import auth, http
a = json.load(sys.stdin)
when = datetime.datetime.strptime(a["date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
config = auth.AwsSigningConfig(
    algorithm=auth.AwsSigningAlgorithm.V4_ASYMMETRIC, signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
    credentials_provider=auth.AwsCredentialsProvider.new_static(a["access"], a["secret"]), region="*",
    service="s3", date=when, use_double_uri_encode=False, should_normalize_uri_path=False,
    signed_body_value=a["how"], signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256)
request = http.HttpRequest("PUT", a["target"], http.HttpHeaders([tuple(h) for h in a["headers"]]))
print(json.dumps(list(auth.aws_sign_request(request, config).result(20).headers)))
"""


def crt_head(lab, server, target, date, how, head):
    """The headers of a SigV4a request, signed by AWS' own library as Debian ships it."""
    need_module("awscrt")
    said = client(lab, PYTHON, "-c", CRT, stdin=json.dumps({
        "access": server.access, "secret": server.secret, "date": date, "how": how, "target": target,
        "headers": sorted(head.items())}).encode())
    return {name.lower(): value for name, value in last_json(said)}


def own_head(server, target, date, how, head):
    """The same for SigV4, by the tests' own signer."""
    head = {**head, "x-amz-content-sha256": how, "x-amz-date": date}
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    signer = sigv4.Signer(server.access, server.secret, date, scope)
    seed = signer.sign(signer.seed(sigv4.canonical("PUT", target, head, sorted(head), how)))
    head["authorization"] = (f"{signer.algo} Credential={server.access}/{scope}, "
                             f"SignedHeaders={';'.join(sorted(head))}, Signature={seed}")
    return head


def signed_request(lab, server, key, data, how, asymmetric=False, piece=65536):
    """A PUT as the specification of aws-chunked writes it; chunks and trailer by the tests' own signer."""
    date, target = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), f"/bucket/{key}"
    trailer = f"x-amz-checksum-crc32c:{sigv4.checksum('crc32c', data)}\n" if "TRAILER" in how else ""
    head = {"host": server.host, "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(len(data))}
    if trailer:
        head["x-amz-trailer"] = "x-amz-checksum-crc32c"
    head = (crt_head(lab, server, target, date, how, head) if asymmetric else
            own_head(server, target, date, how, head))
    scope = head["authorization"].partition("Credential=")[2].partition(",")[0].partition("/")[2]
    signer = sigv4.Signer(server.access, server.secret, date, scope, asymmetric)
    last = head["authorization"].rpartition("Signature=")[2]
    out = []
    for at in [*range(0, len(data), piece), len(data)]:
        chunk = data[at:at + piece]
        last = signer.sign(signer.chunk(last, chunk))
        out.append(b"%x;chunk-signature=%s\r\n" % (len(chunk), last.encode()) + chunk +
                   (b"\r\n" if chunk else b""))
    if trailer:
        out.append(trailer.replace("\n", "\r\n").encode() + b"x-amz-trailer-signature:" +
                   signer.sign(signer.trailer(last, trailer.encode())).encode() + b"\r\n")
    raw = b"".join(out) + b"\r\n"
    lines = [f"{k}: {v}" for k, v in head.items() if k != "host"]
    return put_head(target, len(raw), *lines, host=server.host) + raw


def scripted(lab, server, key, file, how, asymmetric=False):
    with open(file, "rb") as f:
        # ECDSA in Python takes milliseconds a chunk.
        raw = signed_request(lab, server, key, f.read(), how, asymmetric, 1 << 20 if asymmetric else 65536)
    s = lab.connect(server.port)
    try:
        s.sendall(raw)
    except OSError:
        pass  # refused while sending: the answer says why
    answer = read_answer(s)
    s.close()
    code = answer.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()
    return answer.status, code, answer.headers.get("weir-decision-id")


@case("signed chunks with a trailer, by the tests' own signer", "clients")
def _(lab):
    server = servers.STRICT.up(lab)
    how = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    single(lab, server, "signed-trailer", ["content-length", "aws-signed-trailer"],
           lambda key, file: scripted(lab, server, key, file, how))


@case("SigV4a: request signed by AWS' library, chunks by the tests' own signer", "clients")
def _(lab):
    server = servers.STRICT.up(lab)
    for name, how in (("sigv4a", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"),
                      ("sigv4a-trailer", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER")):
        single(lab, server, name, ["content-length", "aws-sigv4a"],
               lambda key, file, how=how: scripted(lab, server, key, file, how, True))


@case("all four kinds of aws-chunked have crossed the wire", "clients")
def _(lab):
    print("".join(f"# {name}: {', '.join(sorted(f))}\n" for name, f in sorted(SEEN.items())), end="", flush=True)
    servers.need_npm()
    kinds = {k for framings in SEEN.values() for one in framings for k in one.split("+")}
    same(sorted(set(KINDS) - kinds), [], "kinds that no client sent")
