# SPDX-License-Identifier: BSD-3-Clause
"""What an object is: bytes behind its end, two formats in one, a name that lies."""
import gzip
import hashlib
import io
import zipfile

from groups import PICTURE, PNG, body
from lab import need, same
from tap import case

GIF = (b"GIF89a\1\0\1\0\x80\0\0\xff\xff\xff\0\0\0\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0;")
# A browser shows one point; a script engine reads GIF89a/* ... */=1 and what follows.
GIF_JS = b"GIF89a/*" + GIF[8:] + b"*/=1;document.title='x'"


def packed(name, data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(name, data)
    return out.getvalue()


def flagged(lab, path, data, cause, *args):
    """It arrives, and its record says what is odd."""
    r = lab.check_clean(path, data, lab.put(path, data, *args), verdict="suspect", action="flag")
    same(r["cause"], cause, f"cause of {path}")
    return r


@case("a listed picture with bytes appended never reaches the store")
def _(lab):
    for name, more in (("byte", b"x"), ("zeros", bytes(700)), ("zip", packed("a.txt", b"a"))):
        path, data = f"/content/png-{name}", PICTURE + more
        r = lab.check_blocked(path, lab.put(path, data), list_="sample-sha256")
        same([(v["view"], v["bytes"]) for v in r["views"]],
             [("raw", len(data)), ("trimmed", len(PICTURE))], "views")
        same(r["views"][1]["digests"]["sha256"], hashlib.sha256(PICTURE).hexdigest(), "its digest")
        same([m["view"] for m in r["matches"]], ["trimmed"], "where it was found")
    data = gzip.compress(PICTURE + b"x", 6)
    path = "/content/png-gzip"
    r = lab.check_blocked(path, lab.put(path, data, "-H", "Content-Encoding: gzip"), list_="sample-sha256")
    same([(v["view"], v["coding"]) for v in r["views"]],
         [("raw", None), ("decoded", "gzip"), ("trimmed", "gzip")], "views inside gzip")


@case("a picture that is a script, a .jpg that is an archive, bytes behind a picture: flagged")
def _(lab):
    other = PNG(b"other")
    r = lab.check_clean("/content/a.png", other, lab.put("/content/a.png", other))
    same(r["upload"]["type"], "image/png", "type")
    same([v["view"] for v in r["views"]], ["raw"], "views of a picture that is nothing else")
    flagged(lab, "/content/script.gif", GIF_JS, "polyglot")
    flagged(lab, "/content/photo.jpg", packed("a.txt", body("zip", 3000)), "type_mismatch")
    flagged(lab, "/content/photo", packed("a.txt", body("zip", 30)), "type_mismatch",
            "-H", "Content-Type: image/jpeg")
    flagged(lab, "/content/more.png", other + b"hidden", "trailing_data")
    flagged(lab, "/content/archive.png", other + packed("a.txt", b"a"), "polyglot")
    flagged(lab, "/content/half.png", other[:-9], "malformed")
    r = lab.check_clean("/content/zip.zip", packed("a", b"b"), lab.put("/content/zip.zip", packed("a", b"b")))
    need(r["upload"]["type"] == "application/zip", f"type {r['upload']['type']}")
