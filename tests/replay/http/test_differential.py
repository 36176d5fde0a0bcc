# SPDX-License-Identifier: BSD-3-Clause
"""Weir's reading of generated uploads against decode.py's. usage: test_differential.py OBJECTS [COUNT [SEED]]

Laws: a well-formed upload is read, and as the second decoder reads it; a damaged one is refused, or both
still find the same objects; how it is cut changes nothing.
"""
import gzip
import hashlib
import random
import struct
import subprocess
import sys
import zlib

import decode

TRICKY = [b"\r", b"\n", b"\r\n", b"--", b"-", b"--bb", b"\r\n--bb", b"\r\n--b", b"bb", b"a", b"\0", b"\xff",
          b" ", b";", b":", b"0", b"0\r\n", b"\r\n\r\n", b"=", b"\"", b"\t"]
SIG = b";chunk-signature=" + b"0123456789abcdef" * 4


def noise(r, boundary):
    """Content full of what could be taken for framing, but never a whole delimiter."""
    data = b"".join(r.choice(TRICKY) for _ in range(r.randrange(40)))
    while b"--" + boundary in data:
        data = data.replace(b"--" + boundary, b"++" + boundary)
    return data


def cut_up(r, data, end=b"\r\n", ext=b""):
    """data in chunks, without what follows the zero chunk's size line."""
    out = b""
    while data:
        n = r.randrange(1, len(data) + 1) if r.random() < 0.7 else 1
        out += b"%x%s\r\n%s%s" % (n, ext, data[:n], end)
        data = data[n:]
    return out + b"0" * r.choice((1, 1, 1, 2)) + ext + b"\r\n"


def form(r, boundary, depth=0):
    out = r.choice((b"", b"", b"\r\n", b"preamble\r\n"))
    for _ in range(r.randrange(1, 5)):
        out += b"--" + boundary + r.choice((b"", b"", b" ", b" \t")) + b"\r\n"
        out += b'Content-Disposition: form-data; name="n%d"' % r.randrange(10)
        out += r.choice((b"", b'; filename="x.bin"', b"; filename=y", b"; filename*=utf-8''z")) + b"\r\n"
        content = noise(r, boundary)
        what = r.random()
        if what < 0.15 and depth < 2:
            inner = b"in%d" % depth
            out += b"Content-Type: multipart/mixed; boundary=" + inner + b"\r\n"
            content = form(r, inner, depth + 1)
            if b"--" + boundary in content:
                content = b"--%s\r\n\r\nx\r\n--%s--" % (inner, inner)
        elif what < 0.3:
            out += b"Content-Type: image/png\r\n"
        elif what < 0.4:
            out += b"Content-Transfer-Encoding: base64\r\n"
            content = decode.base64.encodebytes(content).replace(b"\n", b"\r\n").rstrip()
        out += b"\r\n" + content + b"\r\n"
    return out + b"--" + boundary + b"--" + r.choice((b"", b"\r\n", b"\r\nepilogue"))


def upload(r):
    head = [b"POST /u HTTP/1.1", b"Host: h"]
    if r.random() < 0.6:
        boundary = r.choice((b"bb", b"----x-", b"-", b"b'()+_,-./:=?"))
        head.append(b"Content-Type: multipart/%s; boundary=\"%s\"" % (r.choice((b"form-data", b"related")), boundary))
        body = form(r, boundary)
    else:
        body = noise(r, b"none") or b"x"
    coding = r.choice((None, None, b"gzip", b"deflate", b"raw"))
    if coding == b"gzip":
        body = gzip.compress(body, mtime=0)
    elif coding == b"deflate":
        body = zlib.compress(body)
    elif coding == b"raw":
        z = zlib.compressobj(wbits=-15)
        body = z.compress(body) + z.flush()
        coding = b"deflate"
    if coding:
        head.append(b"Content-Encoding: " + coding)
    if r.random() < 0.4:
        kind = r.choice((b"AWS4-HMAC-SHA256-PAYLOAD", b"AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                         b"UNSIGNED-PAYLOAD-TRAILER", b"AWS4-ECDSA-P256-SHA256-PAYLOAD"))
        head += [b"x-amz-content-sha256: STREAMING-" + kind, b"x-amz-decoded-content-length: %d" % len(body)]
        body = cut_up(r, body, ext=b"" if kind.startswith(b"UNSIGNED") else SIG)
        body += (b"x-amz-checksum-crc32:AA==\r\n" if kind.endswith(b"TRAILER") else b"") + b"\r\n"
    if r.random() < 0.5:
        head.append(b"Transfer-Encoding: chunked")
        body = cut_up(r, body, ext=r.choice((b"", b"", b';a="b"'))) + r.choice((b"", b"T: u\r\n")) + b"\r\n"
    else:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def damage(r, data):
    at = r.randrange(data.index(b"\r\n\r\n"), len(data) + 1)
    kind = r.randrange(4)
    if kind == 0:
        return data[:at] + r.choice(TRICKY) + data[at:]
    if kind == 1:
        return data[:at] + data[at + r.randrange(1, 4):]
    if kind == 2:
        return data[:at] + r.choice(TRICKY) + data[at + 1:]
    to = r.randrange(len(data))
    return data[:at] + data[at:at + 30] + data[min(at, to):]


def line(found):
    out = "ok"
    for kind, name, filename, raw, decoded in found:
        out += " %s:%s:%s:%s" % (kind, name.hex(), filename.hex(), hashlib.sha256(raw).hexdigest())
        if decoded is not None:
            out += ":" + hashlib.sha256(decoded).hexdigest()
    return out


def second(data):
    try:
        return line(decode.objects(data))
    except (decode.Bad, ValueError, KeyError, EOFError, OSError, zlib.error) as e:
        return "no %r" % e


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1500
    r = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 7)
    cases = []
    for i in range(count):
        data = upload(r)
        cases.append((data, i % 2 == 0) if i % 2 == 0 else (damage(r, data), False))
    stream = b"".join(struct.pack(">I", len(d)) + d for d, _ in cases)
    answers = [subprocess.run([sys.argv[1], str(cut)], input=stream, stdout=subprocess.PIPE, check=True,
                              timeout=60).stdout.decode().splitlines() for cut in (0, 1, 5)]
    want = [second(d) for d, _ in cases]
    bad, refused = [], 0
    for i, (data, good) in enumerate(cases):
        got = answers[0][i]
        refused += got.startswith("no")
        if any(a[i] != got for a in answers):
            bad.append((i, "cut", data, [a[i] for a in answers]))
        elif good and got != want[i] or got.startswith("ok") and got != want[i]:
            bad.append((i, "well-formed" if good else "damaged", data, (got, want[i])))
    print("1..3")
    accepted = sum(a.startswith("ok") for a in answers[0])
    print("%s 1 - %d uploads are read as the second decoder reads them" % ("not ok" if bad else "ok", accepted))
    for i, kind, data, said in bad[:5]:
        print("# %d %s %r\n#   %.300r" % (i, kind, data, said))
    print("%s 2 - %d damaged ones are refused" % ("ok" if refused > count // 8 else "not ok", refused))
    read = sum(1 for (d, good), a in zip(cases, answers[0]) if not good and a.startswith("ok"))
    print("%s 3 - %d damaged ones have one reading" % ("ok" if read > 0 else "not ok", read))
    return 1 if bad else 0


sys.exit(main())
