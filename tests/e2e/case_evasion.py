# SPDX-License-Identifier: BSD-3-Clause
"""Evasions, segment by segment, against the real TCP of the store behind Weir.

The law of every case: the store never completes an object that holds EICAR or has a listed digest, and
a clean object arrives byte for byte.
"""
import subprocess

from groups import LISTED, body
from lab import EICAR, need, put_head, same, until
from raw import ACK, FIN, PSH, RST, URG, Conn, Host, seeded
from tap import case

BAD = b"before " * 30 + EICAR + b" after" * 30
CLEAN = bytes(b ^ 1 for b in BAD)
AT = BAD.index(EICAR)
ANY = ("af_xdp", "af_packet")
XDP = ("af_xdp",)  # af_packet puts fragments together by itself


def begin(host, path, data, **how):
    """Connects and sends the head; what follows is at offset `base`."""
    c = Conn(host, **how)
    head = put_head(path, len(data))
    c.segment(0, head)
    c.repeat([(0, head)])
    return c, len(head)


def cut(data, size, base=0):
    return [(base + i, data[i:i + size]) for i in range(0, len(data), size)]


def must_block(lab, path, c, **kw):
    return lab.check_blocked(path, c.answer(), **kw)


def must_pass(lab, path, data, c):
    return lab.check_clean(path, data, c.answer())


def never_bad(lab, path):
    got = lab.store_bytes(path)
    need(got is None or EICAR not in got, f"EICAR is at the store in {path}")


@case("out of order: every order of four segments", drivers=ANY)
def _(lab):
    from itertools import permutations
    with Host(lab) as host:
        for n, order in enumerate(permutations(range(4))):
            for kind, data in (("bad", BAD), ("clean", CLEAN)):
                if kind == "clean" and n % 4:
                    continue
                path = f"/ev/order-{kind}-{n}"
                c, base = begin(host, path, data)
                pieces = cut(data, len(data) // 4 + 1, base)
                for i in order:
                    c.segment(*pieces[i])
                c.repeat(pieces)
                if kind == "bad":
                    must_block(lab, path, c, rule="eicar")
                else:
                    must_pass(lab, path, data, c)


@case("segments of one byte, in order, reversed and shuffled", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        for how in ("forward", "backward", "shuffled"):
            for kind, data in (("bad", BAD), ("clean", CLEAN)):
                path = f"/ev/one-{how}-{kind}"
                c, base = begin(host, path, data)
                pieces = cut(data, 1, base)
                order = pieces[:]
                if how == "backward":
                    order.reverse()
                elif how == "shuffled":
                    seeded(path).shuffle(order)
                for p in order:
                    c.segment(*p)
                c.repeat(pieces)
                if kind == "bad":
                    must_block(lab, path, c, rule="eicar")
                else:
                    must_pass(lab, path, data, c)


# Where the second copy lies over the first, which is bytes [100, 200) of the body.
POSITIONS = {"same": (100, 200), "front": (60, 140), "back": (160, 240), "inside": (120, 180),
             "around": (60, 240)}


def overlap(host, where, old, new, how):
    """First [100, 200) of `old`, then the range of `where` from `new`, then the rest of `old`. Returns
    what was first of each byte, too: that, and nothing else, may be at the store.

    acked   each step once the store has acknowledged the one before: Weir keeps no copy any more
    queued  behind a gap, so that Weir keeps all copies and compares
    rush    without waiting for anything
    """
    name = f"/ev/lap-{where}-{'bad' if old is BAD else 'clean'}-{how}"
    lo, hi = POSITIONS[where]
    c, base = begin(host, name, old)
    first = [None] * len(old)

    def send(at, data):
        """A busy machine may lose a frame, and then the copy after it would be the first: so again,
        until the store has answered. Behind a gap it answers with the old number."""
        for i, b in enumerate(data, at):
            first[i] = b if first[i] is None else first[i]
        if how == "rush":
            c.segment(base + at, data)
            return
        end = base + max(at + len(data), hi if at == lo else 0)
        for _ in range(20):
            acks = c.acks
            c.segment(base + at, data)
            if c.wait(lambda: c.reset or c.got or (c.acked >= end if how == "acked" else
                                                   c.acks > acks), 0.5):
                return

    steps = [] if how == "queued" else [(0, old[:100])]
    for at, data in steps + [(100, old[100:200]), (lo, new[lo:hi])]:
        send(at, data)
    rest = [(base, old[:100]), (base + 200, old[200:])]
    for at, data in rest:
        for i, b in enumerate(data, at - base):
            first[i] = b if first[i] is None else first[i]
        c.segment(at, data)
    c.repeat(rest, 3.0)
    return name, c, bytes(first)


@case("conflicting overlaps in every position never carry EICAR to the store", drivers=ANY)
def _(lab):
    need(100 <= AT + len(EICAR) - 1 and AT < 240, "the layout of the case")
    with Host(lab) as host:
        before = lab.reason("overlap_conflict")
        for where in POSITIONS:
            for old, new in ((CLEAN, BAD), (BAD, CLEAN)):
                for how in ("acked", "queued", "rush"):
                    name, c, first = overlap(host, where, old, new, how)
                    got = c.answer(5.0)
                    never_bad(lab, name)
                    # What was acknowledged is not compared any more, so there may be no conflict to
                    # refuse. Then the object is made of the first copies, and was scanned as such.
                    if got.status in (200, 201, 204):
                        holds = lab.store_bytes(name)
                        if how == "rush":  # a frame may have been lost: either copy, then
                            need(len(holds) == len(old) and all(
                                b in (old[i], new[i]) for i, b in enumerate(holds)), name)
                        else:
                            same(holds, first, f"what the store holds of {name}")
                    c.segment(c.top, b"", RST | ACK)
        until("count of overlap_conflict", lambda: lab.reason("overlap_conflict") > before, 5.0)


@case("identical retransmissions are harmless", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        for kind, data in (("bad", BAD), ("clean", CLEAN)):
            path = f"/ev/again-{kind}"
            c, base = begin(host, path, data)
            pieces = cut(data, 90, base)
            for p in pieces:
                c.segment(*p)
                c.segment(*p)
                c.segment(p[0], p[1][:40])
            for p in pieces[:-1]:
                c.segment(*p)
            c.repeat(pieces)
            if kind == "bad":
                must_block(lab, path, c, rule="eicar")
            else:
                must_pass(lab, path, data, c)


@case("segments with a bad checksum are as if never sent", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        before = lab.reason("bad_tcp_checksum")
        for kind, data, decoy in (("bad", BAD, CLEAN), ("clean", CLEAN, BAD)):
            path = f"/ev/sum-{kind}"
            c, base = begin(host, path, data)
            for (off, real), (_, fake) in zip(cut(data, 50, base), cut(decoy, 50, base)):
                c.segment(off, fake, bad_sum=True)
                c.segment(off, real)
            c.repeat(cut(data, 50, base))
            if kind == "bad":
                must_block(lab, path, c, rule="eicar")
            else:
                must_pass(lab, path, data, c)
        until("count of bad_tcp_checksum", lambda: lab.reason("bad_tcp_checksum") >= before + 10, 5.0)


@case("a low TTL hides nothing", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        for ttl in (1, 2):
            path = f"/ev/ttl-{ttl}"
            c, base = begin(host, path, BAD)
            pieces, decoys = cut(BAD, 60, base), cut(CLEAN, 60, base)
            for real, fake in zip(pieces, decoys):
                c.segment(*fake, ttl=ttl)
                c.segment(*real)
            c.repeat(pieces, 2.0)
            c.answer(5.0)
            never_bad(lab, path)
            path = f"/ev/ttl-all-{ttl}"
            c, base = begin(host, path, BAD)
            for p in cut(BAD, 60, base):
                c.segment(*p, ttl=ttl)
            c.repeat(cut(BAD, 60, base))
            must_block(lab, path, c, rule="eicar")


@case("RST and FIN that the store ignores do not end the inspection", drivers=ANY)
def _(lab):
    tricks = {
        "rst-bad-sum": lambda c, at: c.segment(at, b"", RST, bad_sum=True),
        "rst-ahead": lambda c, at: c.segment(at, b"", RST, seq=(c.isn + 1 + at + 100) & 0xffffffff),
        "rst-behind": lambda c, at: c.segment(at, b"", RST, seq=(c.isn + at - 50) & 0xffffffff),
        "rst-far": lambda c, at: c.segment(at, b"", RST, seq=(c.isn + at + (1 << 30)) & 0xffffffff),
        "fin-bad-sum": lambda c, at: c.segment(at, b"", FIN | ACK, bad_sum=True),
        "fin-behind": lambda c, at: c.segment(at, b"", FIN | ACK, seq=(c.isn + at - 50) & 0xffffffff),
        "syn": lambda c, at: c.segment(at, b"", 2, seq=(c.isn + 1 + at) & 0xffffffff),
    }
    with Host(lab) as host:
        for name, trick in tricks.items():
            path = f"/ev/{name}"
            c, base = begin(host, path, BAD)
            half = AT + 20
            c.segment(base, BAD[:half])
            c.repeat([(base, BAD[:half])], 3.0)
            trick(c, base + half)
            c.segment(base + half, BAD[half:])
            c.repeat([(base + half, BAD[half:])])
            must_block(lab, path, c, rule="eicar")


@case("data without the ACK flag, which the store ignores, hides nothing", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        c, base = begin(host, "/ev/no-ack", BAD)
        half = AT + 20
        c.segment(base, BAD[:half])
        c.repeat([(base, BAD[:half])], 3.0)
        c.segment(base + half, CLEAN[half:], PSH)
        c.segment(base + half, BAD[half:])
        c.repeat([(base + half, BAD[half:])])
        must_block(lab, "/ev/no-ack", c, rule="eicar")


@case("an RST at the exact number ends the upload, nothing is committed", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        c, base = begin(host, "/ev/rst", CLEAN)
        c.segment(base, CLEAN[:100])
        c.repeat([(base, CLEAN[:100])])
        c.segment(base + 100, b"", RST | ACK)
        c.segment(base + 100, CLEAN[100:])
        r = lab.record("/ev/rst")
        same(r["committed"], False, "committed")
        need(lab.store_bytes("/ev/rst") is None, "the object is at the store")


@case("a body across the wrap of the sequence number", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        for back in (1, 60, len(BAD), len(BAD) + 80):
            for kind, data in (("bad", BAD), ("clean", CLEAN)):
                path = f"/ev/wrap-{back}-{kind}"
                head = len(put_head(path, len(data)))
                c, base = begin(host, path, data, isn=(1 << 32) - head - back)
                pieces = cut(data, 33, base)
                for p in pieces[1::2] + pieces[0::2]:
                    c.segment(*p)
                c.repeat(pieces)
                if kind == "bad":
                    must_block(lab, path, c, rule="eicar")
                else:
                    must_pass(lab, path, data, c)


@case("TCP in IP fragments is dropped and counted", drivers=XDP)
def _(lab):
    with Host(lab) as host:
        before = lab.reason("ip_fragment")
        for name, order in (("forward", None), ("backward", lambda at: at[::-1])):
            path = f"/ev/frag-{name}"
            c, base = begin(host, path, BAD)
            c.fragments(base, BAD, 24, order)
            c.wait_acked(base + len(BAD), 1.0)
            same(c.acked, base, "what the store acknowledged")
            c.segment(base, BAD)  # the client falls back to whole packets
            c.repeat([(base, BAD)])
            must_block(lab, path, c, rule="eicar")
        need(lab.reason("ip_fragment") > before, "ip_fragment is not counted")


@case("fragments of other protocols pass untouched", drivers=XDP)
def _(lab):
    p = subprocess.run(lab.inside(lab.client_ns, "ping", "-c", "3", "-i", "0.2", "-W", "2", "-s", "4000",
                                  lab.store_ip), capture_output=True, text=True, timeout=30)
    need(" 0% packet loss" in p.stdout, p.stdout.strip()[-200:])


@case("a held tail is not talked loose by repeating it", drivers=ANY)
def _(lab):
    data = LISTED["sha1", 77]
    with Host(lab) as host:
        c, base = begin(host, "/ev/held", data)
        for n in range(20):
            c.segment(base, data)
            c.segment(base + n, data[n:])
            c.segment(base + 70, data[70:])
        must_block(lab, "/ev/held", c, list_="sample-sha1")


@case("data goes on after the answer, and nothing of it arrives", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        data = BAD + CLEAN * 20
        c, base = begin(host, "/ev/after", data)
        pieces = cut(data, 400, base)
        for p in pieces:
            c.segment(*p)
        r = must_block(lab, "/ev/after", c, rule="eicar")
        need(r["last_byte_forwarded"] <= AT + len(EICAR), "the end of the match went on")
        for p in pieces:
            c.segment(*p)
        need(c.wait_acked(base + len(data), 5.0), "the client's rest is not acknowledged")
        need(lab.store_bytes("/ev/after") is None, "the object is at the store")


@case("data on the SYN is not lost on the scanner", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        head = put_head("/ev/syn-data", len(BAD))
        raw = head + BAD
        c = Conn(host, syn_data=raw)
        pieces = cut(raw, 200)
        for p in pieces:
            c.segment(*p)
        c.repeat(pieces)
        must_block(lab, "/ev/syn-data", c, rule="eicar")


@case("the urgent flag hides no byte", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        for at in (AT + 10, AT + len(EICAR) - 1):
            path = f"/ev/urgent-{at}"
            c, base = begin(host, path, BAD)
            c.segment(base, BAD[:at])
            c.segment(base + at, BAD[at:at + 1], ACK | PSH | URG, urgent=1)
            c.segment(base + at + 1, BAD[at + 1:])
            c.repeat(cut(BAD, 100, base))
            must_block(lab, path, c, rule="eicar")


@case("a segment with an old timestamp changes nothing", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        for kind, data, decoy in (("bad", BAD, CLEAN), ("clean", CLEAN, BAD)):
            path = f"/ev/paws-{kind}"
            c, base = begin(host, path, data, stamps=True)
            half = AT + 20
            c.segment(base, data[:half])
            c.repeat([(base, data[:half])])
            c.segment(base + half, decoy[half:], ts=1000)
            c.segment(base + half, data[half:])
            c.repeat([(base + half, data[half:])])
            if kind == "bad":
                must_block(lab, path, c, rule="eicar")
            else:
                must_pass(lab, path, data, c)


@case("keep-alive probes with a garbage byte change nothing", drivers=ANY)
def _(lab):
    with Host(lab) as host:
        data = body("probe", 900)
        c, base = begin(host, "/ev/probe", data)
        for off, piece in cut(data, 100, base):
            c.segment(off, piece)
            c.segment(off + len(piece) - 1, b"\0")
            c.segment(off + len(piece) - 1, b"")
        c.repeat(cut(data, 100, base))
        got = c.answer()
        # A probe that differs from the byte sent is a conflict; refused is right, changed is not.
        need(lab.store_bytes("/ev/probe") in (None, data), "other bytes are at the store")
        if got.status == 201:
            lab.check_clean("/ev/probe", data, got)


case("every frame is accounted for after the evasions")(
    lambda lab: __import__("case_uploads").conserved(lab))
