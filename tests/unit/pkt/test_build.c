/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames that Weir writes or changes have right checksums: compared with a checksum of the test's
 * own. */
#include "frames.h"
#include "mem/mem.h"
#include "pkt/build.h"
#include "pkt/csum.h"
#include "pkt/pkt.h"
#include "tap.h"

static struct wr_stats stats;
static struct wr_conf conf;
static struct wr_lcore lc;
static struct rte_mempool *pool;

static uint32_t rng = 1;

static uint32_t rnd(void)
{
	rng = rng * 1664525u + 1013904223u;
	return rng >> 8;
}

static struct rte_mbuf *to_mbuf(const struct raw *r)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	memcpy(rte_pktmbuf_append(m, (uint16_t)r->n), r->b, r->n);
	return m;
}

/* The frame in m as the test's own writer sees it: sums must come out as all ones. */
static bool right(const struct wr_pkt *p)
{
	struct raw r = { 0 };
	struct wr_pkt again;

	r.n = p->m->data_len;
	memcpy(r.b, rte_pktmbuf_mtod(p->m, void *), r.n);
	r.l3 = p->l3;
	r.l4 = p->l4;
	r.ip_end = p->payload + p->len;
	r.v6 = (p->opt & WR_PKT_V6) != 0;
	if (!r.v6 && naive_sum(r.b + r.l3, r.l4 - r.l3, 0) != 0xffff)
		return false;
	if (tcp_sum(&r) != 0xffff || !wr_pkt_checksums_ok(p))
		return false;
	/* And pkt/ reads back what p says. */
	return wr_pkt_parse(&lc, (enum wr_side)p->side, p->m, &again) == WR_R_NONE &&
	       memcmp(&again, p, sizeof(again)) == 0;
}

static void make(struct raw *r, bool v6, unsigned ndata, const uint8_t *opt, unsigned nopt,
                 unsigned flags)
{
	static uint8_t data[1500];
	struct raw_tcp t = { .sport = 50000,
		             .dport = 80,
		             .flags = flags,
		             .window = 77,
		             .seq = rnd() << 8,
		             .ack = rnd() << 8,
		             .opt = opt,
		             .nopt = nopt,
		             .data = data,
		             .ndata = ndata };

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rnd();
	raw_ether(r, v6 ? 0x86dd : 0x0800, ndata % 3, (const unsigned[]){ 5, 9 });
	if (v6)
		raw_ip6(r, 6, NULL, 0, &t);
	else
		raw_ip4(r, NULL, 0, &t);
}

static void changes(void)
{
	/* Timestamps at an odd offset, so that their words straddle the checksum's. */
	static const uint8_t opt[12] = { 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1 };
	unsigned bad = 0, done = 0;

	for (unsigned i = 0; i < 4000; i++) {
		struct wr_pkt p;
		struct raw r;
		unsigned at, n;
		uint8_t other[1500];

		make(&r, i & 1, rnd() % 1400, opt, 12, 0x38);
		raw_pad(&r, rnd() % 8);
		p.m = to_mbuf(&r);
		if (wr_pkt_parse(&lc, WR_SIDE_CLIENT, p.m, &p) != WR_R_NONE) {
			bad++;
			continue;
		}
		wr_pkt_set_seq(&p, rnd() * 977);
		wr_pkt_set_ack(&p, rnd() * 977);
		wr_pkt_set_window(&p, (uint16_t)rnd());
		wr_pkt_set_flags(&p, (uint8_t)(rnd() & 0x1f));
		wr_pkt_set_timestamps(&p, rnd(), rnd());
		bad += !right(&p);
		for (n = 0; n < sizeof(other); n++)
			other[n] = (uint8_t)rnd();
		at = p.len ? rnd() % p.len : 0;
		n = p.len ? rnd() % (p.len - at + 1) : 0;
		wr_pkt_set_payload(&p, (uint16_t)at, other, (uint16_t)n);
		bad += !right(&p) || memcmp(wr_pkt_payload(&p) + at, other, n) != 0;
		memcpy(other, wr_pkt_payload(&p), p.len);
		n = p.len ? rnd() % (p.len + 1) : 0;
		wr_pkt_trim(&p, (uint16_t)n);
		bad += !right(&p) || p.len != n || p.m->data_len != p.payload + n ||
		       memcmp(wr_pkt_payload(&p), other, n) != 0;
		at = p.seq;
		done = p.len ? rnd() % (p.len + 1) : 0;
		wr_pkt_trim_front(&p, (uint16_t)done);
		bad += !right(&p) || p.len != n - done || p.seq != at + done ||
		       memcmp(wr_pkt_payload(&p), other + done, n - done) != 0;
		rte_pktmbuf_free(p.m);
	}
	IS(bad, 0, "4000 frames changed in every way keep right checksums and lengths");
}

static void options(void)
{
	static const uint8_t opt[28] = { 2, 4, 5, 180, 30, 12, 0, 0x81, 9, 9, 9, 9, 9, 9,
		                         9, 9, 4, 2,   3,  3,  7, 34,   6, 1, 2, 3, 4, 0 };
	struct wr_pkt p;
	struct raw r;

	make(&r, false, 3, opt, 28, 0x02);
	p.m = to_mbuf(&r);
	IS(wr_pkt_parse(&lc, WR_SIDE_CLIENT, p.m, &p), WR_R_NONE,
	   "a SYN with MPTCP and a TFO cookie");
	OK(p.opt & WR_PKT_ODDOPT, "is marked");
	IS(wr_pkt_blank_options(&p), 2, "both are blanked");
	OK(right(&p) && !(p.opt & WR_PKT_ODDOPT), "checksums right, mark gone");
	OK(p.mss == 1460 && p.wscale == 7, "what Weir follows is still there");
	IS(wr_pkt_blank_options(&p), 0, "nothing left to blank");
	rte_pktmbuf_free(p.m);
}

static void urgent(void)
{
	struct wr_pkt p;
	struct raw r;

	make(&r, false, 10, NULL, 0, 0x38);
	put16(r.b + r.l4 + 18, 5);
	fix_tcp(&r);
	p.m = to_mbuf(&r);
	IS(wr_pkt_parse(&lc, WR_SIDE_CLIENT, p.m, &p), WR_R_NONE, "a segment with URG");
	wr_pkt_set_flags(&p, 0x18);
	OK(right(&p), "cleared, checksum right");
	OK(rte_pktmbuf_mtod(p.m, uint8_t *)[p.l4 + 19] == 0, "and the pointer is gone");
	rte_pktmbuf_free(p.m);
}

static void built(void)
{
	unsigned bad = 0;
	struct rte_mbuf *m;
	struct wr_pkt_template t, back;
	struct wr_pkt_seg seg = { 0 };
	struct wr_pkt p, q;
	struct raw r;

	for (unsigned i = 0; i < 1000; i++) {
		uint8_t data[1400];

		make(&r, i & 1, 30, NULL, 0, 0x18);
		p.m = to_mbuf(&r);
		bad += wr_pkt_parse(&lc, WR_SIDE_CLIENT, p.m, &p) != WR_R_NONE;
		wr_pkt_template_take(&t, &p);
		for (unsigned k = 0; k < sizeof(data); k++)
			data[k] = (uint8_t)rnd();
		seg = (struct wr_pkt_seg){ .seq = rnd(),
			                   .ack = rnd(),
			                   .ts_val = rnd(),
			                   .ts_ecr = rnd(),
			                   .window = (uint16_t)rnd(),
			                   .len = (uint16_t)(rnd() % 1400),
			                   .flags = WR_TCP_ACK | WR_TCP_PSH,
			                   .opt = i & 2 ? WR_PKT_TSTAMP : 0,
			                   .data = data };
		m = rte_pktmbuf_alloc(pool);
		bad += !wr_pkt_build(m, &t, &p.key, WR_SIDE_CLIENT, &seg);
		bad += wr_pkt_parse(&lc, WR_SIDE_CLIENT, m, &q) != WR_R_NONE || !right(&q);
		bad += q.hash != p.hash || q.seq != seg.seq || q.ack != seg.ack ||
		       q.len != seg.len || q.window != seg.window ||
		       memcmp(wr_pkt_payload(&q), data, seg.len) != 0 ||
		       (i & 2 && q.ts_val != seg.ts_val) || q.ttl != 61;
		bad += memcmp(rte_pktmbuf_mtod(m, void *), r.b, r.l3) != 0;
		rte_pktmbuf_free(m);
		wr_pkt_template_reverse(&back, &t);
		m = rte_pktmbuf_alloc(pool);
		seg.flags = WR_TCP_RST | WR_TCP_ACK;
		seg.len = 0;
		bad += !wr_pkt_build(m, &back, &p.key, WR_SIDE_STORE, &seg);
		bad += wr_pkt_parse(&lc, WR_SIDE_STORE, m, &q) != WR_R_NONE || !right(&q);
		bad += q.hash != p.hash || q.len != 0 || q.tcp_flags != 0x14;
		bad += memcmp(rte_pktmbuf_mtod(m, uint8_t *), r.b + 6, 6) != 0;
		rte_pktmbuf_free(m);
		rte_pktmbuf_free(p.m);
	}
	IS(bad, 0, "1000 frames built in both directions read back as they were meant");
	m = rte_pktmbuf_alloc(pool);
	seg.len = 2048;
	OK(!wr_pkt_build(m, &t, &p.key, WR_SIDE_CLIENT, &seg) && m->data_len == 0,
	   "what does not fit is not begun");
	rte_pktmbuf_free(m);
}

static void checksum_paths(void)
{
	static uint8_t b[70000];
	unsigned bad = 0;

	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(rnd() | (i % 5 ? 0 : 0xff));
	for (unsigned n = 0; n < 3000; n += 1 + n / 200) {
		unsigned at = rnd() % 64;
		uint16_t want = (uint16_t)naive_sum(b + at, n, 0);

		want = (uint16_t)(want << 8 | want >> 8);
		bad += wr_csum_fold(wr_csum_bytes(b + at, n)) != want;
		bad += wr_csum_fold(wr_csum_bytes_portable(b + at, n)) != want;
	}
	IS(bad, 0, "both ways to sum agree with the naive one at every length");
	memset(b, 0xff, sizeof(b));
	IS(wr_csum_fold(wr_csum_bytes(b, 65535)), 0x00ff, "no lane overflows at 64 KiB");
	IS(wr_csum_fold(wr_csum_bytes(b, 70000)), 0xffff, "nor beyond");
}

int main(void)
{
	pool = wr_mem_mbufs_sim("build", 8, 1800);
	lc.stats = &stats;
	lc.conf = &conf;
	lc.key = (struct wr_mix_key){ { 1, 2, 3, 4 } };
	conf.nservices = 1;
	checksum_paths();
	changes();
	options();
	urgent();
	built();
	wr_mem_mbufs_sim_free(pool);
	return tap_done();
}
