# SPDX-License-Identifier: BSD-3-Clause
"""AWS Signature Version 4 and 4a with the signatures of aws-chunked bodies, for the strict test server and
for the framings that no client in Debian or npm sends. Only what the tests need."""
import base64
import hashlib
import hmac
import urllib.parse
import zlib

try:
    from awscrt.checksums import crc32c  # AWS' own, where Debian's Python runs us
except ImportError:
    crc32c = None

EMPTY = hashlib.sha256(b"").hexdigest()


def hmac256(key, text):
    return hmac.new(key, text.encode() if isinstance(text, str) else text, hashlib.sha256).digest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# --- ECDSA on P-256, as SigV4a wants it: plain integers, far too slow and too leaky for anything real ---

P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)


def add(a, b):
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def mul(k, point):
    got = None
    while k:
        if k & 1:
            got = add(got, point)
        point, k = add(point, point), k >> 1
    return got


def key4a(access, secret):
    """The private number that SigV4a derives from an access key and its secret."""
    for counter in range(1, 255):
        fixed = (b"\0\0\0\1AWS4-ECDSA-P256-SHA256\0" + access.encode() + bytes([counter]) +
                 b"\0\0\1\0")
        c = int.from_bytes(hmac256(b"AWS4A" + secret.encode(), fixed), "big")
        if c <= N - 2:
            return c + 1
    raise ValueError("no key")


def der(r, s):
    def number(v):
        raw = v.to_bytes(v.bit_length() // 8 + 1, "big")
        return bytes([2, len(raw)]) + raw
    rows = number(r) + number(s)
    return bytes([0x30, len(rows)]) + rows


def sign4a(d, text):
    z = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    k = int.from_bytes(hmac256(d.to_bytes(32, "big"), text), "big") % (N - 1) + 1
    r = mul(k, G)[0] % N
    return der(r, pow(k, -1, N) * (z + r * d) % N).hex()


def holds4a(d, text, signature):
    raw = bytes.fromhex(signature)
    if len(raw) < 8 or raw[0] != 0x30 or raw[2] != 2:
        return False
    n = raw[3]
    r, s = int.from_bytes(raw[4:4 + n], "big"), int.from_bytes(raw[6 + n:6 + n + raw[5 + n]], "big")
    if not 0 < r < N or not 0 < s < N:
        return False
    z, w = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"), pow(s, -1, N)
    point = add(mul(z * w % N, G), mul(r * w % N, mul(d, G)))
    return point is not None and point[0] % N == r


# --- the texts that are signed -----------------------------------------------------------------------

def canonical(method, target, headers, signed, payload):
    """The canonical request; headers by lower-case name, target as it stands on the request line."""
    path, _, query = target.partition("?")
    pairs = []
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name != "X-Amz-Signature":
            pairs.append("=".join(urllib.parse.quote(urllib.parse.unquote(x), safe="-_.~")
                                  for x in (name, value)))
    path = urllib.parse.quote(urllib.parse.unquote(path), safe="/-_.~")
    rows = [f"{h}:{' '.join(headers.get(h, '').split())}\n" for h in signed]
    return "\n".join([method, path, "&".join(sorted(pairs)), "".join(rows), ";".join(signed), payload])


class Signer:
    """Signs, or checks, one request's seed, chunks and trailer."""

    def __init__(self, access, secret, date, scope, asymmetric=False):
        self.date, self.scope, self.asymmetric = date, scope, asymmetric
        if asymmetric:
            self.key = key4a(access, secret)
        else:
            day, region, service, last = scope.split("/")
            self.key = b"AWS4" + secret.encode()
            for word in (day, region, service, last):
                self.key = hmac256(self.key, word)
        self.algo = "AWS4-ECDSA-P256-SHA256" if asymmetric else "AWS4-HMAC-SHA256"

    def sign(self, text):
        return sign4a(self.key, text) if self.asymmetric else hmac256(self.key, text).hex()

    def holds(self, text, signature):
        if self.asymmetric:
            return holds4a(self.key, text, signature)
        return hmac.compare_digest(hmac256(self.key, text).hex(), signature)

    def seed(self, request):
        return "\n".join([self.algo, self.date, self.scope, sha256(request.encode())])

    def chunk(self, before, data):
        return "\n".join([self.algo + "-PAYLOAD", self.date, self.scope, before, EMPTY, sha256(data)])

    def trailer(self, before, lines):
        return "\n".join([self.algo + "-TRAILER", self.date, self.scope, before, sha256(lines)])


# --- checksums that clients put into headers and trailers ---------------------------------------------

def table(poly):
    rows = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (poly if n & 1 else 0)
        rows.append(n)
    return rows


CRC32C, CRC64 = table(0x82f63b78), table(0x9a6c9329ac4bc9b5)


def crc(rows, bits, data):
    got = full = (1 << bits) - 1
    for byte in data:
        got = got >> 8 ^ rows[(got ^ byte) & 255]
    return (got ^ full).to_bytes(bits // 8, "big")


def checksum(name, data):
    """The value of x-amz-checksum-NAME."""
    raw = {"crc32": lambda: zlib.crc32(data).to_bytes(4, "big"), "crc32c": lambda: crc32c(data).to_bytes(4, "big") if crc32c else crc(CRC32C, 32, data),
           "crc64nvme": lambda: crc(CRC64, 64, data), "sha1": lambda: hashlib.sha1(data).digest(),
           "sha256": lambda: hashlib.sha256(data).digest()}[name]()
    return base64.b64encode(raw).decode()
