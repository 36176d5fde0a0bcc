/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments, as networks cut them and as attackers do: what comes out is what was sent, or nothing.
 */
#include "frames.h"
#include "mem/mem.h"
#include "pkt/build.h"
#include "pkt/frag.h"
#include "pkt/pkt.h"
#include "tap.h"

static struct wr_stats stats;
static struct wr_conf conf;
static struct wr_lcore lc;
static struct rte_mempool *pool;
static struct wr_lanes lanes;
static uint32_t rng = 7;

static uint32_t rnd(uint32_t n)
{
	rng = rng * 1664525u + 1013904223u;
	return (rng >> 8) % n;
}

struct big { /* a datagram, whole: up to 64 KiB of it */
	uint8_t b[70000];
	unsigned l3, at, end; /* at: where the part that is cut begins */
	bool v6;
	uint32_t id;
};

static uint8_t sent[66000]; /* its TCP payload */

/* A TCP segment with n bytes, its checksum right (or not). */
static void make(struct big *g, bool v6, unsigned n, unsigned flags, bool good)
{
	static struct raw r;
	struct raw_tcp t = {
		.sport = 1000, .dport = 80, .flags = flags, .window = 5, .seq = 0xfffffff0
	};
	uint32_t s;
	unsigned seg = 20 + n;
	const uint8_t *h;

	raw_ether(&r, v6 ? 0x86dd : 0x0800, 0, NULL);
	if (v6)
		raw_ip6(&r, 6, NULL, 0, &t);
	else
		raw_ip4(&r, NULL, 0, &t);
	for (unsigned i = 0; i < n; i++)
		sent[i] = (uint8_t)rnd(256);
	memcpy(g->b, r.b, r.n);
	memcpy(g->b + r.n, sent, n);
	g->l3 = r.l3;
	g->at = r.l4;
	g->end = r.n + n;
	g->v6 = v6;
	g->id = rnd(65536);
	h = g->b + g->l3;
	put16(g->b + g->at + 16, 0);
	s = naive_sum(v6 ? h + 8 : h + 12, v6 ? 32 : 8, 6 + seg);
	put16(g->b + g->at + 16, ~naive_sum(g->b + g->at, seg, s) & 0xffff);
	if (!good)
		g->b[g->end - 1] ^= 1;
}

/* Bytes [from, to) of the cut part as a frame; more as given. */
static void send_part(const struct big *g, unsigned from, unsigned to, bool more,
                      const uint8_t *other)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	unsigned head = g->at, extra = g->v6 ? 8 : 0, n = to - from;
	uint8_t *b = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(head + extra + n)), *h = b + g->l3;

	memcpy(b, g->b, head);
	memcpy(b + head + extra, (other != NULL ? other : g->b + g->at) + from, n);
	if (g->v6) {
		put16(h + 4, 8 + n);
		h[6] = 44;
		memset(b + head, 0, 8);
		b[head] = 6;
		put16(b + head + 2, from | more);
		put32(b + head + 4, g->id);
	} else {
		put16(h + 2, 20 + n);
		put16(h + 4, g->id);
		put16(h + 6, from / 8 | (more ? 0x2000u : 0));
		put16(h + 10, 0);
		put16(h + 10, ~naive_sum(h, 20, 0) & 0xffff);
	}
	wr_pkt_sort_burst(&lc, WR_SIDE_CLIENT, &m, 1, &lanes);
	if (lanes.ndrop == 1)
		rte_pktmbuf_free(lanes.drop[0]);
	else if (lanes.npass == 1)
		rte_pktmbuf_free(lanes.pass[0]);
	else
		OK(0, "a fragment is never inspected as it stands");
}

static uint64_t counted(enum wr_reason r)
{
	return wr_counter_get(&stats.reason[r]);
}

/* Fetches what came out: payload bytes in a row, all as the first n of `sent`; -1 when anything is
 * off. */
static int came_out(unsigned *frames)
{
	struct rte_mbuf *m[WR_BURST];
	unsigned at = 0, bad = 0, last_flags = 0;
	uint16_t n;

	*frames = 0;
	while ((n = wr_frag_fetch(lc.frag, WR_SIDE_CLIENT, m, 7)) != 0) {
		wr_pkt_sort_burst(&lc, WR_SIDE_CLIENT, m, n, &lanes);
		bad += lanes.ninspect != n;
		for (uint16_t i = 0; i < lanes.ninspect; i++) {
			const struct wr_pkt *p = &lanes.inspect[i];

			bad += p->seq != 0xfffffff0u + at || p->m->data_len > 1514;
			bad += memcmp(wr_pkt_payload(p), sent + at, p->len) != 0;
			bad += (last_flags & (WR_TCP_FIN | WR_TCP_PSH)) != 0;
			last_flags = p->tcp_flags;
			at += p->len;
		}
		for (uint16_t i = 0; i < n; i++)
			rte_pktmbuf_free(m[i]);
		*frames += n;
	}
	return bad ? -1 : (int)at;
}

static void start(void)
{
	wr_frag_free(lc.frag);
	lc.frag = wr_frag_new();
	memset(&stats, 0, sizeof(stats));
}

static void whole(void)
{
	static struct big g;
	unsigned frames;

	for (int v6 = 0; v6 < 2; v6++) {
		start();
		make(&g, v6, 3000, 0x19, true);
		send_part(&g, 0, 1440, true, NULL);
		send_part(&g, 1440, 2880, true, NULL);
		IS(came_out(&frames), 0, "v%d: nothing before the last", v6 ? 6 : 4);
		send_part(&g, 2880, g.end - g.at, false, NULL);
		IS(came_out(&frames), 3000, "every byte, in frames that fit the wire");
		IS(frames, 3, "three of them");
		IS(counted(WR_R_FRAG_REASSEMBLED), 1, "counted once");
		IS(counted(WR_R_IP_FRAGMENT), 3, "each fragment too");
		make(&g, v6, 100, 0x18, true);
		send_part(&g, 80, g.end - g.at, false, NULL);
		send_part(&g, 8, 80, true, NULL);
		send_part(&g, 0, 8, true, NULL);
		IS(came_out(&frames), 100, "backwards, cut inside the TCP header");
		IS(frames, 1, "one frame");
		make(&g, v6, 65000, 0x10, true);
		for (unsigned k = 0; k < 65024; k += 1440)
			send_part(&g, k, k + 1440 < 65020 ? k + 1440 : 65020, k + 1440 < 65020,
			          NULL);
		IS(came_out(&frames), 65000, "65,000 bytes");
		make(&g, v6, 50, 0x18, false);
		send_part(&g, 0, 40, true, NULL);
		send_part(&g, 40, 70, false, NULL);
		OK(came_out(&frames) == 0 && counted(WR_R_BAD_TCP_CHECKSUM) == 1,
		   "a wrong TCP checksum is not made right by cutting anew");
		make(&g, v6, 3000, 0x02, true);
		send_part(&g, 0, 1480, true, NULL);
		send_part(&g, 1480, 3020, false, NULL);
		OK(came_out(&frames) == 0 && counted(WR_R_BAD_TCP_HEADER) == 1,
		   "no SYN of 3,000 bytes");
	}
}

/* Ptacek and Newsham's tricks, each followed by the honest rest: nothing may come out. */
static void overlaps(void)
{
	static const struct {
		const char *what;
		unsigned from, to;
		int more, other;
	} row[] = {
		/* clang-format off */
		{ "same place, other bytes",      200, 400, 1, 1 },
		{ "over the end",                 320, 480, 1, 0 },
		{ "over the beginning",           120, 280, 1, 0 },
		{ "inside",                       240, 320, 1, 0 },
		{ "around",                       120, 480, 1, 0 },
		{ "one octet of eight",           392, 400, 1, 1 },
		{ "same bytes, other extent",     200, 392, 1, 0 },
		{ "an end before what is there", 8, 160, 0, 0 },
		{ "an odd length with more",      400, 409, 1, 0 },
		{ "nothing at all",               400, 400, 1, 0 },
		/* clang-format on */
	};
	static struct big g;
	static uint8_t other[4000];
	unsigned frames;

	memset(other, 'B', sizeof(other));
	for (unsigned i = 0; i < WR_COUNT_OF(row) * 2; i++) {
		unsigned k = i / 2, n;

		start();
		make(&g, i & 1, 580, 0x18, true);
		n = g.end - g.at;
		send_part(&g, 200, 400, true, NULL);
		send_part(&g, row[k].from, row[k].to, row[k].more, row[k].other ? other : NULL);
		send_part(&g, 0, 200, true, NULL);
		send_part(&g, 400, n, false, NULL);
		IS(came_out(&frames), 0, "overlap: %s", row[k].what);
		IS(counted(WR_R_FRAG_OVERLAP), 1, "counted once");
		send_part(&g, 0, 200, true, NULL);
		send_part(&g, 200, 400, true, NULL);
		send_part(&g, 400, n, false, NULL);
		IS(came_out(&frames), 0, "and nothing more of that datagram for a while");
	}
	start();
	make(&g, false, 580, 0x18, true);
	send_part(&g, 0, 200, true, NULL);
	send_part(&g, 200, 600, false, NULL);
	IS(came_out(&frames), 580, "(the honest one alone comes out)");
	make(&g, false, 580, 0x18, true);
	send_part(&g, 0, 200, true, NULL);
	send_part(&g, 0, 200, true, NULL);
	send_part(&g, 200, 600, false, NULL);
	IS(came_out(&frames), 580, "an exact repeat changes nothing");
	start();
	send_part(&g, 400, 600, false, NULL);
	send_part(&g, 400, 592, false, NULL);
	IS(counted(WR_R_FRAG_OVERLAP), 1, "two different ends");
	start();
	make(&g, false, 3000, 0x18, true);
	send_part(&g, 65528, 65528 + 1400, false, g.b);
	IS(counted(WR_R_FRAG_OVERLAP), 1, "an end beyond 65,535");
}

static void limits(void)
{
	static struct big g;
	unsigned frames;

	start();
	make(&g, false, 1004, 0x18, true);
	for (unsigned k = 0; k < 128 * 8; k += 8)
		send_part(&g, k, k + 8, k + 8 < 1024, NULL);
	OK(came_out(&frames) == 0 && counted(WR_R_FRAG_LIMIT) >= 1, "more pieces than the limit");
	start();
	make(&g, false, 500, 0x18, true);
	for (unsigned k = 0; k < WR_FRAG_PIECES - 1; k++)
		send_part(&g, k * 8, k * 8 + 8, true, NULL);
	send_part(&g, (WR_FRAG_PIECES - 1) * 8, 520, false, NULL);
	IS(came_out(&frames), 500, "as many as the limit");
	start();
	make(&g, false, 500, 0x18, true);
	for (unsigned i = 0; i <= WR_FRAG_DATAGRAMS; i++) {
		lc.now++;
		g.id = i;
		send_part(&g, 0, 200, true, NULL);
	}
	IS(counted(WR_R_FRAG_LIMIT), 1, "one datagram too many takes the oldest's place");
	g.id = 1;
	send_part(&g, 200, 520, false, NULL);
	IS(came_out(&frames), 500, "the second oldest is still there");
	lc.now += WR_FRAG_NS + 100;
	g.id = 2;
	send_part(&g, 200, 520, false, NULL);
	OK(came_out(&frames) == 0 && counted(WR_R_FRAG_TIMEOUT) > 0,
	   "after the time limit none is");
	/* No buffer for what is whole: the datagram ends, and only that. */
	start();
	{
		struct rte_mbuf *all[300];
		unsigned n = 0;

		send_part(&g, 0, 200, true, NULL);
		while (n < 300 && rte_mempool_avail_count(pool) > 1)
			all[n++] = rte_pktmbuf_alloc(pool);
		send_part(&g, 200, 520, false, NULL);
		OK(came_out(&frames) == 0 && counted(WR_R_POOL_LOW) == 1,
		   "no buffer: dropped, counted");
		rte_pktmbuf_free_bulk(all, n);
	}
}

/* Any datagram, cut anywhere, in any order, with a repeat: the same bytes come out, once. */
static void law(void)
{
	static struct big g;
	unsigned bad = 0, frames, many = 0;

	start();
	for (unsigned i = 0; i < 1500; i++) {
		unsigned cut[40], order[40], n = 0, total, len = rnd(i % 10 ? 3000 : 20000);

		make(&g, i & 1, len, 0x10, true);
		g.id = i;
		lc.now += 1000;
		total = 20 + len;
		for (unsigned at = 0; at < total; at += 8 * (n > 18 ? 180 : 1 + rnd(180)))
			cut[n++] = at;
		cut[n] = total;
		if (n < 2)
			continue; /* not a fragment */
		for (unsigned k = 0; k < n; k++)
			order[k] = k;
		for (unsigned k = n; k > 1; k--) {
			unsigned o = rnd(k), t = order[k - 1];

			order[k - 1] = order[o];
			order[o] = t;
		}
		for (unsigned k = 0; k < n; k++) {
			unsigned p = order[k];

			send_part(&g, cut[p], cut[p + 1], p + 1 < n, NULL);
			if (k + 1 < n && k % 3 == 0)
				send_part(&g, cut[p], cut[p + 1], p + 1 < n, NULL);
		}
		bad += came_out(&frames) != (int)len;
		many += n > 2;
	}
	IS(bad, 0,
	   "1,500 datagrams in random pieces, shuffled and repeated, come out as they were");
	OK(many > 500, "hundreds of them in more than two pieces");
}

int main(void)
{
	pool = wr_mem_mbufs_sim("frag", 300, 2100);
	lc.stats = &stats;
	lc.conf = &conf;
	lc.pools.gen = pool;
	lc.key = (struct wr_mix_key){ { 1, 2, 3, 4 } };
	conf.nservices = 1;
	conf.service[0].nports = 1;
	conf.service[0].port[0] = 80;
	conf.service[0].policy.on_reason[WR_R_IP_FRAGMENT] = WR_ON_REASSEMBLE;
	OK(wr_frag_wanted(&conf), "a policy that reassembles");
	whole();
	overlaps();
	limits();
	law();
	wr_frag_free(lc.frag);
	wr_mem_mbufs_sim_free(pool);
	return tap_done();
}
