/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any sequence of fragments of one datagram. The law, by a model of its own (one cell per byte):
 * what comes out has at every place the byte that came first; nothing comes out while a byte is
 * missing, and nothing ever after two fragments overlapped without being the same. The second
 * version of the bytes has the same checksum as the first (16-bit words swapped), so no checksum
 * helps. Input: triples of bytes - place in units of 8, length in units of 8 (plus odd bytes for
 * the last), flags (bit 0 more, bit 1 second version, bit 2 IPv6, of the first triple).
 */
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>

#include "../../unit/pkt/frames.h"
#include "mem/mem.h"
#include "pkt/frag.h"
#include "pkt/pkt.h"

#define PART_MAX 2100u /* of the datagram that both versions fill: header and payload */

static struct wr_stats stats;
static struct wr_conf conf;
static struct wr_lcore lc;
static struct rte_mempool *pool;
static uint8_t version[2][PART_MAX];

struct model {
	uint8_t first[PART_MAX], covered[PART_MAX];
	uint32_t from[64], to[64], what[64], n, total;
	bool dead;
};

static void boot(void)
{
	if (pool != NULL)
		return;
	pool = wr_mem_mbufs_sim("fuzz", 64, 2300);
	lc.stats = &stats;
	lc.conf = &conf;
	lc.pools.gen = pool;
	conf.nservices = 1;
	conf.service[0].policy.on_reason[WR_R_IP_FRAGMENT] = WR_ON_REASSEMBLE;
	for (uint32_t i = 0; i < PART_MAX; i++)
		version[0][i] = (uint8_t)(i * 7 + (i >> 8));
	memset(version[0] + 12, 0, 8);
	version[0][12] = 5 << 4;
	version[0][13] = 0x10;
	memcpy(version[1], version[0], PART_MAX);
	for (uint32_t i = 24; i + 4 <= PART_MAX; i += 4) {
		memcpy(version[1] + i, version[0] + i + 2, 2);
		memcpy(version[1] + i + 2, version[0] + i, 2);
	}
}

/* True when the model has every byte; dead once two pieces overlap. */
static bool place(struct model *m, uint32_t from, uint32_t to, bool more, uint32_t what)
{
	bool repeat = false;

	if (m->dead)
		return false;
	if (from == to || (m->total != 0 && (to > m->total || (!more && to != m->total))))
		return m->dead = true, false;
	for (uint32_t i = 0; i < m->n; i++) {
		if (to <= m->from[i] || from >= m->to[i])
			continue;
		if (from != m->from[i] || to != m->to[i] ||
		    memcmp(version[what] + from, version[m->what[i]] + from, to - from) != 0)
			return m->dead = true, false;
		repeat = true;
	}
	for (uint32_t i = 0; !more && i < m->n; i++)
		if (m->to[i] > to)
			return m->dead = true, false;
	if (repeat)
		return false;
	m->from[m->n] = from;
	m->to[m->n] = to;
	m->what[m->n++] = what;
	if (!more)
		m->total = to;
	memcpy(m->first + from, version[what] + from, to - from);
	memset(m->covered + from, 1, to - from);
	return m->total != 0 && memchr(m->covered, 0, m->total) == NULL;
}

static void send_piece(uint32_t from, uint32_t to, bool more, uint32_t what, bool v6)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct raw r;
	uint8_t *h;

	raw_ether(&r, v6 ? 0x86dd : 0x0800, 0, NULL);
	h = r.b + r.l3;
	memset(h, 0, 60);
	h[0] = v6 ? 0x60 : 0x45;
	r.n += v6 ? 48 : 20;
	memcpy(r.b + r.n, version[what] + from, to - from);
	r.n += to - from;
	if (v6) {
		put16(h + 4, 8 + to - from);
		h[6] = 44;
		h[8] = h[24] = 0xfd;
		h[40] = 6;
		put16(h + 42, from | more);
	} else {
		put16(h + 2, 20 + to - from);
		put16(h + 6, from / 8 | (more ? 0x2000u : 0));
		h[9] = 6;
		h[12] = h[16] = 10;
		fix_ip4(&r);
	}
	memcpy(rte_pktmbuf_append(m, (uint16_t)r.n), r.b, r.n);
	WR_ASSERT(wr_frag_take(&lc, lc.frag, WR_SIDE_CLIENT, m));
	rte_pktmbuf_free(m);
}

/* Sets the checksum in both versions for a datagram of n bytes. */
static void sum(uint32_t n, bool v6)
{
	uint32_t s = 6 + n, k = v6 ? 0xfd00u * 2 : 0x0a00u * 2;

	put16(version[0] + 16, 0);
	s = naive_sum(version[0], n, s + k);
	put16(version[0] + 16, ~s & 0xffff);
	memcpy(version[1] + 16, version[0] + 16, 2);
}

static void compare(const struct model *mo)
{
	struct rte_mbuf *m[8];
	struct wr_pkt p;
	uint32_t at = 20;
	uint16_t n;

	while ((n = wr_frag_fetch(lc.frag, WR_SIDE_CLIENT, m, 8)) != 0)
		for (uint16_t i = 0; i < n; i++) {
			WR_ASSERT(wr_pkt_parse(&lc, WR_SIDE_CLIENT, m[i], &p) == WR_R_NONE);
			WR_ASSERT(at + p.len <= mo->total);
			WR_ASSERT(memcmp(wr_pkt_payload(&p), mo->first + at, p.len) == 0);
			at += p.len;
			rte_pktmbuf_free(m[i]);
		}
	WR_ASSERT(at == mo->total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct model mo;
	struct rte_mbuf *none[1];
	uint32_t last = 0;
	bool v6;

	boot();
	if (n < 3)
		return 0;
	v6 = (data[2] & 4) != 0;
	lc.frag = wr_frag_new();
	memset(&mo, 0, sizeof(mo));
	/* The checksum fits the end that the first last fragment claims. */
	for (size_t i = 0; i + 3 <= n && last == 0; i += 3)
		if ((data[i + 2] & 1) == 0)
			last = data[i] % 128 * 8u + data[i + 1] % 128 * 8u + (data[i + 2] >> 5);
	if (last >= 24 && last % 4 == 0)
		sum(last, v6);
	for (size_t i = 0; i + 3 <= n && i < 180; i += 3) {
		uint32_t from = data[i] % 128 * 8u, to = from + data[i + 1] % 128 * 8u;
		bool more = (data[i + 2] & 1) != 0, whole;

		if (!more)
			to += data[i + 2] >> 5;
		if (!v6 && from == 0 && !more)
			continue; /* not a fragment */
		whole = place(&mo, from, to, more, data[i + 2] >> 1 & 1);
		send_piece(from, to, more, data[i + 2] >> 1 & 1, v6);
		if (whole && mo.total >= 24 && mo.total % 4 == 0 && mo.total == last)
			compare(&mo);
		else if (!whole)
			WR_ASSERT(wr_frag_fetch(lc.frag, WR_SIDE_CLIENT, none, 1) == 0);
		if (whole)
			break;
	}
	wr_frag_free(lc.frag);
	lc.frag = NULL;
	WR_ASSERT(rte_mempool_avail_count(pool) == 64);
	return 0;
}
