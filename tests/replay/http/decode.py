# SPDX-License-Identifier: BSD-3-Clause
"""decode - a second reading of an upload, written apart from Weir's: whole buffers, slices and regexes.

objects(stream) returns the objects of one request as [kind, name, filename, raw, decoded or None], in the
order in which they begin. It is lenient where that is simpler: it raises Bad only where it cannot go on.
"""
import base64
import gzip
import quopri
import re
import zlib


class Bad(Exception):
    pass


def headers(block):
    out = {}
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            out.setdefault(name.strip().lower(), value.strip())
    return out


def chunked(data):
    """Chunks until the one of size zero; what follows it is trailers."""
    out = b""
    while True:
        line, crlf, data = data.partition(b"\r\n")
        if not crlf:
            raise Bad("size line")
        size = int(line.split(b";")[0], 16)
        if size == 0:
            return out
        if data[size:size + 2] != b"\r\n":
            raise Bad("chunk end")
        out, data = out + data[:size], data[size + 2:]


def params(value):
    """{name: value} of a header's parameters."""
    out = {}
    for m in re.finditer(rb';\s*([^\s=;"]+)=(?:"([^"]*)"|([^;"\s]*))', value):
        out.setdefault(m[1].lower(), m[2] if m[2] is not None else m[3])
    return out


def multipart(body, boundary):
    """[(headers, content)], preamble, epilogue."""
    mark = re.compile(rb"(?:\A|(?<=\r\n))--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r\n|\Z)")
    parts, preamble, start = [], b"", None
    for m in mark.finditer(body):
        piece = body[start if start is not None else 0:m.start()]
        if piece.endswith(b"\r\n"):
            piece = piece[:-2]
        if start is None:
            preamble = piece
        elif piece.startswith(b"\r\n"):
            parts.append(({}, piece[2:]))
        else:
            head, _, content = piece.partition(b"\r\n\r\n")
            parts.append((headers(head), content))
        if m[1]:
            return parts, preamble, body[m.end():]
        start = m.end()
    raise Bad("no close delimiter")


def part_objects(body, boundary, form):
    parts, preamble, epilogue = multipart(body, boundary)
    out = [["a", b"", b"", preamble, None]] if preamble else []
    for head, content in parts:
        p = params(head.get(b"content-disposition", b""))
        filename = p.get(b"filename", p.get(b"filename*"))
        file = not form or filename is not None or b"content-type" in head
        coding = head.get(b"content-transfer-encoding", b"").lower()
        decoded = None
        if coding == b"base64":
            decoded = base64.b64decode(content)
        elif coding == b"quoted-printable":
            decoded = quopri.decodestring(content)
        out.append(["p" if file else "f", p.get(b"name", b""), filename or b"", content, decoded])
        inner = head.get(b"content-type", b"")
        if inner.lower().startswith(b"multipart/") and b"boundary" in params(inner) and decoded is None:
            out += part_objects(content, params(inner)[b"boundary"], False)
    if epilogue:
        out.append(["a", b"", b"", epilogue, None])
    return out


def decode(coding, data):
    if coding in (b"gzip", b"x-gzip"):
        return gzip.decompress(data)
    try:
        return zlib.decompress(data)
    except zlib.error:
        return zlib.decompress(data, -15)


def objects(stream):
    head, end, body = stream.partition(b"\r\n\r\n")
    if not end:
        raise Bad("head")
    h = headers(head.partition(b"\r\n")[2])
    if b"transfer-encoding" in h:
        body = chunked(body)
    else:
        body = body[:int(h.get(b"content-length", b"0"))]
        if not body:
            return []
    if h.get(b"x-amz-content-sha256", b"").upper().startswith(b"STREAMING-"):
        body = chunked(body)
    codings = [c.strip().lower() for c in h.get(b"content-encoding", b"").split(b",")]
    codings = [c for c in codings if c not in (b"", b"identity", b"aws-chunked")]
    data = body
    for c in reversed(codings):
        data = decode(c, data)
    kind = h.get(b"content-type", b"")
    if kind.lower().startswith(b"multipart/"):
        inner = part_objects(data, params(kind)[b"boundary"], kind.lower().startswith(b"multipart/form-data"))
        return ([["w", b"", b"", body, None]] if codings else []) + inner
    return [["w", b"", b"", body, data if codings else None]]
