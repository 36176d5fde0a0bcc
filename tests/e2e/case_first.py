# SPDX-License-Identifier: BSD-3-Clause
"""The main job: a good upload arrives byte for byte, a bad one never reaches the store."""
from groups import LISTED, body
from lab import EICAR, put_head, read_answer, same, send_cut
from tap import case


@case("a clean PUT arrives")
def _(lab):
    data = body("clean", 200000)
    lab.check_clean("/first/clean", data, lab.put("/first/clean", data))


@case("EICAR over a segment boundary never reaches the store")
def _(lab):
    data = body("before", 3000) + EICAR + body("after", 3000)
    cut = 3000 + 30
    s = lab.connect()
    send_cut(s, [put_head("/first/cut", len(data)), data[:cut], data[cut:]])
    answer = read_answer(s)
    s.close()
    r = lab.check_blocked("/first/cut", answer, rule="eicar")
    offset = next(m["offset"] for m in r["matches"] if m["kind"] == "pattern")
    same(offset, 3000 + len(EICAR), "offset of the match")


@case("a file with a listed SHA-256 never reaches the store")
def _(lab):
    data = LISTED["sha256", 1000000]
    lab.check_blocked("/first/listed", lab.put("/first/listed", data), list_="sample-sha256")
