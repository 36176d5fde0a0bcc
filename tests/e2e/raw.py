# SPDX-License-Identifier: BSD-3-Clause
"""A TCP client of our own on a packet socket: it decides about every segment that it sends.

It uses an address of the client's network that the kernel does not own, so no kernel answers for it.
"""
import random
import select
import socket
import struct
import threading
import time

from lab import Answer, Failed, parse_head

ETH_P_ALL = 3
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
OUR_IP = "10.77.0.77"


def csum(data):
    if len(data) & 1:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


class Host:
    """Our end of the wire: answers ARP, hands TCP segments to the connection of their port."""

    def __init__(self, lab, ip=OUR_IP):
        self.lab, self.ip = lab, socket.inet_aton(ip)
        self.store_ip = socket.inet_aton(lab.store_ip)
        self.sock = lab.socket(lab.client_ns, socket.AF_PACKET, socket.SOCK_RAW,
                               socket.htons(ETH_P_ALL))
        self.sock.bind((lab.client_if, ETH_P_ALL))
        self.mac = self.sock.getsockname()[4]
        self.store_mac = None
        self.conns = {}
        self.stop = False
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def __enter__(self):
        end = time.monotonic() + 10
        while self.store_mac is None:
            if time.monotonic() > end:
                raise Failed("no ARP answer from the store through the wire")
            self._send(b"\xff" * 6, 0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1,
                                                        self.mac, self.ip, b"\0" * 6, self.store_ip))
            time.sleep(0.1)
        return self

    def __exit__(self, *exc):
        for c in list(self.conns.values()):
            if not c.reset:
                c.segment(c.top, b"", RST | ACK)
        self.stop = True
        self.thread.join(5)
        self.sock.close()

    def _send(self, dst, kind, payload):
        self.sock.send(dst + self.mac + struct.pack("!H", kind) + payload)

    def ip_packet(self, payload, ttl=64, ident=None, frag=0, more=False, proto=6):
        ident = random.getrandbits(16) if ident is None else ident
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident,
                           frag // 8 | (0x2000 if more else 0), ttl, proto, 0, self.ip, self.store_ip)
        return head[:10] + struct.pack("!H", csum(head)) + head[12:] + payload

    def send_ip(self, packet):
        self._send(self.store_mac, 0x0800, packet)

    def _loop(self):
        while not self.stop:
            if not select.select([self.sock], [], [], 0.1)[0]:
                continue
            try:
                frame, addr = self.sock.recvfrom(70000)
            except OSError:
                return
            if addr[2] == socket.PACKET_OUTGOING:
                continue
            kind = struct.unpack("!H", frame[12:14])[0]
            if kind == 0x0806 and frame[38:42] == self.ip and frame[20:22] == b"\0\1":
                self._send(frame[6:12], 0x0806, struct.pack(
                    "!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 2, self.mac, self.ip, frame[22:28],
                    frame[28:32]))
            elif kind == 0x0806 and frame[28:32] == self.store_ip and frame[20:22] == b"\0\2":
                self.store_mac = frame[22:28]
            elif kind == 0x0800 and frame[30:34] == self.ip and frame[23] == 6:
                at = 14 + (frame[14] & 15) * 4
                total = struct.unpack("!H", frame[16:18])[0]
                tcp = frame[at:14 + total]
                conn = self.conns.get(struct.unpack("!H", tcp[2:4])[0])
                if conn:
                    conn.take(tcp)


class Conn:
    """One connection; offsets count the bytes of our stream from 0."""

    def __init__(self, host, port=80, isn=None, stamps=False, syn_data=b""):
        self.host, self.dport = host, port
        self.sport = random.randrange(20000, 60000)
        while self.sport in host.conns:
            self.sport += 1
        self.isn = random.getrandbits(32) if isn is None else isn
        self.stamps, self.ts_ecr, self.ts_val = stamps, 0, 1000000
        self.rcv_nxt, self.got, self.top = None, b"", 0
        self.acked, self.reset, self.fin = 0, False, False
        self.acks = 0  # segments without data that acknowledge something, the same again included
        self.lock = threading.Lock()
        host.conns[self.sport] = self
        for _ in range(5):
            self.segment(-1, syn_data, SYN)
            if self.wait(lambda: self.rcv_nxt is not None or self.reset, 3):
                break
        if self.rcv_nxt is None:
            raise Failed("no SYN-ACK")
        self.segment(0, b"", ACK)

    def wait(self, probe, limit_s):
        end = time.monotonic() + limit_s
        while not probe():
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def tcp(self, off, data, flags=ACK | PSH, bad_sum=False, urgent=0, ts=None, seq=None):
        options = b""
        if flags & SYN:
            options = struct.pack("!BBH", 2, 4, 1460) + b"\1\3\3\7"
        if self.stamps:
            if ts is None:
                self.ts_val += 1
            options += b"\1\1\x08\x0a" + struct.pack("!II", self.ts_val if ts is None else ts,
                                                     self.ts_ecr)
        seq = (self.isn + 1 + off) & 0xffffffff if seq is None else seq
        ack = self.rcv_nxt if self.rcv_nxt is not None and not flags & SYN else 0
        head = struct.pack("!HHIIBBHHH", self.sport, self.dport, seq, ack or 0,
                           (20 + len(options)) // 4 << 4, flags, 65535, 0, urgent) + options
        pseudo = self.host.ip + self.host.store_ip + struct.pack("!BBH", 0, 6, len(head) + len(data))
        c = csum(pseudo + head + data)
        if bad_sum:
            c ^= 0x5555
        return head[:16] + struct.pack("!H", c) + head[18:] + data

    def segment(self, off, data, flags=ACK | PSH, ttl=64, **how):
        if off >= 0 and not how.get("bad_sum") and how.get("seq") is None:
            self.top = max(self.top, off + len(data))
        self.host.send_ip(self.host.ip_packet(self.tcp(off, data, flags, **how), ttl))

    def fragments(self, off, data, cut=24, order=None):
        """The segment in IP fragments of `cut` bytes (a multiple of 8), in the order given."""
        tcp = self.tcp(off, data)
        self.top = max(self.top, off + len(data))
        ident = random.getrandbits(16)
        at = list(range(0, len(tcp), cut))
        for i in order(at) if order else at:
            self.host.send_ip(self.host.ip_packet(tcp[i:i + cut], ident=ident, frag=i,
                                                  more=i + cut < len(tcp)))

    def take(self, tcp):
        seq, ack = struct.unpack("!II", tcp[4:12])
        head, flags = (tcp[12] >> 4) * 4, tcp[13]
        data = tcp[head:]
        with self.lock:
            if flags & RST:
                if self.rcv_nxt is None or seq == self.rcv_nxt:
                    self.reset = True
                return
            if self.stamps and (i := tcp[20:head].find(b"\x08\x0a")) >= 0:
                self.ts_ecr = struct.unpack("!I", tcp[20 + i + 2:20 + i + 6])[0]
            if flags & SYN:
                if self.rcv_nxt is None:
                    self.rcv_nxt = (seq + 1) & 0xffffffff
                return
            if flags & ACK:
                off = (ack - self.isn - 1) & 0xffffffff
                if off < 1 << 31:
                    self.acked = max(self.acked, off)
            if not data and not flags & FIN:
                self.acks += 1
                return
            skip = (self.rcv_nxt - seq) & 0xffffffff
            if skip <= len(data):
                self.got += data[skip:]
                self.rcv_nxt = (seq + len(data)) & 0xffffffff
                if flags & FIN and not self.fin:
                    self.fin = True
                    self.rcv_nxt = (self.rcv_nxt + 1) & 0xffffffff
        self.segment(self.top, b"", ACK)

    def wait_acked(self, off, limit_s=0.5):
        return self.wait(lambda: self.acked >= off or self.reset, limit_s)

    def repeat(self, pieces, limit_s=10.0):
        """Sends (offset, data) again until all is acknowledged, the answer is there or all is over."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end and not self.reset and not self.got:
            for off, data in pieces:
                if self.acked < off + len(data):
                    self.segment(off, data)
            if self.wait_acked(max(o + len(d) for o, d in pieces), 0.3):
                return

    def answer(self, limit_s=10.0):
        def there():
            if self.reset or self.fin:
                return True
            if b"\r\n\r\n" not in self.got:
                return False
            status, headers, rest = parse_head(self.got)
            return status >= 200 and len(rest) >= int(headers.get("content-length", "0"))
        self.wait(there, limit_s)
        status, headers, rest = parse_head(self.got)
        return Answer(0 if status else 1, status, headers, rest,
                      "reset" if self.reset else "" if status else "no answer")


def seeded(name):
    return random.Random(f"weir {name}")


