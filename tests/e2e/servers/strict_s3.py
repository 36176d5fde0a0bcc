#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""strict_s3 - a small strict S3 test server: written for these tests, not a real store.

usage: strict_s3.py ADDRESS PORT FOLDER
It is there for the framings that no S3 server of Debian or npm takes (docs/adr/0005-s3-servers.md):
aws-chunked with trailers and with SigV4a. It checks the request's signature, every chunk's, the trailer's,
each checksum and the decoded length, and stores an object only when all of it holds: FOLDER/BUCKET/KEY;
parts of a multipart upload as FOLDER/.parts/ID/NUMBER. Access key `lab`, secret `labsecret`.
"""
import base64
import hashlib
import http.server
import os
import re
import secrets
import socketserver
import sys
import threading
import urllib.parse
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import sigv4  # noqa: E402

ACCESS, SECRET = "lab", "labsecret"
AUTH = re.compile(r"^(AWS4-(?:HMAC|ECDSA-P256)-SHA256) Credential=([^/]+)/([^,]+), ?"
                  r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]+)$")
STREAMING = {  # x-amz-content-sha256: (chunks are signed, a trailer comes, asymmetric)
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (True, False, False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (True, True, False),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": (False, True, False),
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD": (True, False, True),
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER": (True, True, True),
}
SIZE_LINE = re.compile(rb"^([0-9a-f]{1,8})(?:;chunk-signature=([0-9a-f]{1,160}))?\r\n$", re.I)
LINE_MAX, BODY_MAX = 4096, 1 << 30


class Bad(Exception):
    def __init__(self, status, code, why=""):
        super().__init__(why)
        self.status, self.code, self.why = status, code, why


class Body:
    """The bytes behind the HTTP framing: Content-Length or chunked, never more, never fewer."""

    def __init__(self, stream, length):
        self.stream, self.left, self.chunked = stream, length, length is None
        self.ended = not self.chunked and length == 0
        if self.chunked:
            self.left = 0

    def fill(self):
        if self.left or self.ended:
            return
        if not self.chunked:
            self.ended = True
            return
        m = SIZE_LINE.match(self.stream.readline(LINE_MAX))
        if not m or m[2]:
            raise Bad(400, "IncompleteBody", "chunk size")
        self.left = int(m[1], 16)
        if self.left == 0:
            if self.stream.readline(LINE_MAX) != b"\r\n":
                raise Bad(400, "InvalidRequest", "an HTTP trailer")
            self.ended = True

    def taken(self, n):
        self.left -= n
        if self.left == 0 and self.chunked and self.stream.read(2) != b"\r\n":
            raise Bad(400, "IncompleteBody", "chunk end")

    def read(self, n):
        out = b""
        while len(out) < n:
            self.fill()
            if self.ended:
                break
            more = self.stream.read(min(n - len(out), self.left))
            if not more:
                raise Bad(400, "IncompleteBody", "the connection ended")
            out += more
            self.taken(len(more))
        return out

    def readline(self):
        out = b""
        while not out.endswith(b"\n") and len(out) < LINE_MAX:
            more = self.read(1)
            if not more:
                break
            out += more
        return out


def chunks(body, signer, before, signed, trailer, declared):
    """Takes aws-chunked off: the object's bytes and the trailer's fields."""
    out = []
    while True:
        line = body.readline()
        m = SIZE_LINE.match(line)
        if not m or bool(m[2]) != signed:
            raise Bad(400, "IncompleteBody", f"chunk line {line[:80]!r}")
        size = int(m[1], 16)
        data = body.read(size)
        if len(data) != size:
            raise Bad(400, "IncompleteBody", "chunk data")
        if signed:
            if not signer.holds(signer.chunk(before, data), m[2].decode()):
                raise Bad(403, "SignatureDoesNotMatch", f"chunk {len(out)}")
            before = m[2].decode()
        if size == 0:
            break
        if body.read(2) != b"\r\n":
            raise Bad(400, "IncompleteBody", "chunk end")
        out.append(data)
    fields, lines, signature = {}, b"", None
    while True:
        line = body.readline()
        if line == b"\r\n" or line == b"" and not trailer:
            break
        if trailer and line.endswith(b"\n") and not line.endswith(b"\r\n"):
            line += body.read(2)  # minio-go ends a field by LF CRLF, and signs the LF: S3 takes it
            if not line.endswith(b"\n\r\n"):
                raise Bad(400, "MalformedTrailerError", repr(line[:80]))
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not line.endswith(b"\n"):
            raise Bad(400, "MalformedTrailerError", repr(line[:80]))
        if name == "x-amz-trailer-signature":
            signature = value.strip()
            continue
        fields[name] = value.strip()
        lines += f"{name}:{value.strip()}\n".encode()
    if set(fields) != set(declared) or bool(fields) != trailer:
        raise Bad(400, "MalformedTrailerError", f"fields {sorted(fields)}, declared {declared}")
    if trailer and signed:
        if signature is None or not signer.holds(signer.trailer(before, lines), signature):
            raise Bad(403, "SignatureDoesNotMatch", "trailer")
    if body.read(1):
        raise Bad(400, "InvalidRequest", "bytes behind the last chunk")
    return b"".join(out), fields


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "strict-s3-test-server"
    timeout = 60

    def handle_expect_100(self):
        self.send_response_only(100)
        self.end_headers()
        return True

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def length(self):
        te, cl = self.headers.get_all("Transfer-Encoding", []), self.headers.get_all("Content-Length", [])
        if te and (cl or te != ["chunked"]) or len(cl) > 1 or cl and not cl[0].isdigit():
            raise Bad(400, "InvalidRequest", "framing")
        return None if te else int(cl[0]) if cl else 0

    def payload(self):
        """The object's bytes, once everything that the client said about them has been checked."""
        h = {k.lower(): v for k, v in self.headers.items()}
        how = h.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        body = Body(self.rfile, self.length())
        auth = AUTH.match(h.get("authorization", ""))
        query = dict(urllib.parse.parse_qsl(self.path.partition("?")[2], keep_blank_values=True))
        if auth:
            algo, access, scope, signed, signature = auth.groups()
            date = h.get("x-amz-date", "")
        elif "X-Amz-Signature" in query:
            algo, signature = query["X-Amz-Algorithm"], query["X-Amz-Signature"]
            access, _, scope = query["X-Amz-Credential"].partition("/")
            signed, date, how = query["X-Amz-SignedHeaders"], query["X-Amz-Date"], "UNSIGNED-PAYLOAD"
        else:
            raise Bad(403, "AccessDenied", "no signature")
        signer = sigv4.Signer(access, SECRET, date, scope, "ECDSA" in algo)
        text = signer.seed(sigv4.canonical(self.command, self.path, h, signed.split(";"), how))
        if access != ACCESS or not signer.holds(text, signature):
            raise Bad(403, "SignatureDoesNotMatch", "request")

        marked = "aws-chunked" in h.get("content-encoding", "")
        fields = {}
        if how.startswith("STREAMING-"):
            if how not in STREAMING:
                raise Bad(501, "NotImplemented", how)
            chunk_signed, trailer, asymmetric = STREAMING[how]
            declared = [x.strip().lower() for x in h.get("x-amz-trailer", "").split(",") if x.strip()]
            # Content-Encoding may lack aws-chunked, as minio-go leaves it out: S3 takes it too.
            if chunk_signed and asymmetric != signer.asymmetric:
                raise Bad(400, "InvalidRequest", "the markers disagree")
            data, fields = chunks(body, signer, signature, chunk_signed, trailer, declared)
            if h.get("x-amz-decoded-content-length") != str(len(data)):
                raise Bad(400, "IncompleteBody", "x-amz-decoded-content-length")
        else:
            data = body.read(BODY_MAX)
            if marked or body.read(1) or how != "UNSIGNED-PAYLOAD" and how != sigv4.sha256(data):
                raise Bad(400, "XAmzContentSHA256Mismatch", how)
        if "content-md5" in h and base64.b64decode(h["content-md5"]) != hashlib.md5(data).digest():
            raise Bad(400, "BadDigest", "content-md5")
        for name, value in [*h.items(), *fields.items()]:
            kind = name[len("x-amz-checksum-"):] if name.startswith("x-amz-checksum-") else ""
            # A completing request's is of the object, made from those of its parts.
            if self.command == "PUT" and kind in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256"):
                if sigv4.checksum(kind, data) != value:
                    raise Bad(400, "BadDigest", name)
        return data, query

    def put_file(self, data, *names):
        path = os.path.join(self.server.folder, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = os.path.join(self.server.folder, f".tmp-{secrets.token_hex(8)}")
        with open(part, "wb") as f:
            f.write(data)
        os.replace(part, path)

    def act(self):
        data, query = self.payload()
        names = urllib.parse.unquote(self.path.partition("?")[0]).strip("/").split("/")
        if any(n in ("", ".", "..") or n.startswith(".") for n in names):
            raise Bad(400, "InvalidURI", self.path)
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        path = os.path.join(self.server.folder, *names)
        uploads = self.server.uploads
        if self.command == "PUT" and "x-amz-copy-source" in self.headers:
            raise Bad(501, "NotImplemented", "copy")
        if self.command == "PUT" and "uploadId" in query:
            if query["uploadId"] not in uploads:
                raise Bad(404, "NoSuchUpload")
            self.put_file(data, ".parts", query["uploadId"], str(int(query["partNumber"])))
            return self.answer(200, ETag=etag)
        if self.command == "PUT" and len(names) > 1:
            self.put_file(data, *names)
            return self.answer(200, ETag=etag)
        if self.command == "POST" and "uploads" in query:
            id_ = secrets.token_hex(8)
            uploads[id_] = names
            return self.answer(200, f"<InitiateMultipartUploadResult><Bucket>{names[0]}</Bucket><Key>"
                               f"{'/'.join(names[1:])}</Key><UploadId>{id_}</UploadId>"
                               "</InitiateMultipartUploadResult>".encode(), Content_Type="application/xml")
        if self.command == "POST" and "uploadId" in query:
            return self.complete(query["uploadId"], names, data)
        if self.command == "DELETE":
            if uploads.pop(query.get("uploadId", ""), None) is None and os.path.isfile(path):
                os.unlink(path)
            return self.answer(204)
        if self.command in ("GET", "HEAD"):
            if "location" in query:
                return self.answer(200, b"<LocationConstraint>us-east-1</LocationConstraint>")
            if len(names) == 1:
                return self.answer(200)
            if not os.path.isfile(path):
                raise Bad(404, "NoSuchKey")
            with open(path, "rb") as f:
                return self.answer(200, f.read())
        raise Bad(501, "NotImplemented", f"{self.command} {self.path}")

    def complete(self, id_, names, wanted):
        if self.server.uploads.get(id_) != names:
            raise Bad(404, "NoSuchUpload")
        numbers = [int(n.text) for n in xml.fromstring(wanted).iter() if n.tag.endswith("PartNumber")]
        if not numbers or numbers != sorted(set(numbers)):
            raise Bad(400, "InvalidPartOrder")
        pieces = []
        for n in numbers:
            try:
                with open(os.path.join(self.server.folder, ".parts", id_, str(n)), "rb") as f:
                    pieces.append(f.read())
            except FileNotFoundError:
                raise Bad(400, "InvalidPart", str(n)) from None
        self.put_file(b"".join(pieces), *names)
        del self.server.uploads[id_]
        self.answer(200, f"<CompleteMultipartUploadResult><Bucket>{names[0]}</Bucket><Key>"
                    f"{'/'.join(names[1:])}</Key><ETag>\"{secrets.token_hex(16)}-{len(numbers)}\"</ETag>"
                    "</CompleteMultipartUploadResult>".encode(), Content_Type="application/xml")

    def handle_one(self):
        try:
            self.act()
        except Bad as e:
            self.close_connection = True  # what is left of the body is nobody's
            print(f"{self.command} {self.path}: {e.status} {e.code} {e.why}", file=sys.stderr, flush=True)
            self.answer(e.status, f"<Error><Code>{e.code}</Code><Message>{e.why}</Message></Error>".encode(),
                        Content_Type="application/xml", Connection="close")
        except OSError as e:  # a client that went away: nothing was stored
            self.close_connection = True
            print(f"{self.command} {self.path}: {e}", file=sys.stderr, flush=True)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    server = Server((sys.argv[1], int(sys.argv[2])), Handler)
    server.folder, server.uploads, server.lock = os.path.abspath(sys.argv[3]), {}, threading.Lock()
    os.makedirs(os.path.join(server.folder, "bucket"), exist_ok=True)
    print("ready", flush=True)
    server.serve_forever()


main()
