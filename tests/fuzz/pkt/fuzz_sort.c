/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a frame. The laws:
 *   nothing outside the frame is read (it ends where its allocation ends), nothing in it is
 * written; a frame gets the same lane, reason and fields alone, in a burst, and with Ethernet
 * padding behind it; what is inspected has offsets inside the frame and right checksums; after
 * every change that build.h offers, pkt/ reads back what the change meant. The first byte: bit 0
 * side, bit 1 repairs checksums first (or a fuzzer would never get past them).
 */
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>

#include "mem/mem.h"
#include "pkt/build.h"
#include "pkt/csum.h"
#include "pkt/ip.h"
#include "pkt/pkt.h"

#define FRAME_MAX 4000u

static struct wr_stats stats;
static struct wr_conf conf;
static struct wr_lcore lc;
static struct rte_mempool *pool;

static void boot(void)
{
	if (pool != NULL)
		return;
	pool = wr_mem_mbufs_sim("fuzz", 8, 4096);
	lc.stats = &stats;
	lc.conf = &conf;
	lc.key = (struct wr_mix_key){ { 1, 2, 3, 4 } };
	conf.nservices = 2;
	conf.service[0].nports = 2;
	conf.service[0].port[0] = 80;
	conf.service[0].port[1] = 9000;
	conf.service[1].nnets = 1;
	conf.service[1].net[0] = (struct wr_conf_net){ .addr = { 0xfd }, .bits = 9 };
}

static void repair(uint8_t *b, uint32_t n)
{
	uint32_t l3 = 14;
	struct wr_ip ip = { 0 };
	uint16_t sum;

	for (int i = 0; i < 2 && n >= l3 + 4 && b[l3 - 2] == 0x81 && b[l3 - 1] == 0; i++)
		l3 += 4;
	if (n < l3 + 20)
		return;
	if (b[l3] >> 4 == 4 && n >= l3 + (b[l3] & 15u) * 4) {
		memset(b + l3 + 10, 0, 2);
		sum = (uint16_t)~wr_csum_fold(wr_csum_head(b + l3, (b[l3] & 15u) * 4));
		memcpy(b + l3 + 10, &sum, 2);
		if (wr_ip4_parse(b, l3, n, &ip) != WR_R_NONE)
			return;
	} else if (wr_ip6_parse(b, l3, n, &ip) != WR_R_NONE) {
		return;
	}
	if (ip.end - ip.l4 < 18)
		return;
	memset(b + ip.l4 + 16, 0, 2);
	sum = (uint16_t)~wr_csum_fold(wr_ip_pseudo(b, &ip, ip.end - ip.l4) +
	                              wr_csum_bytes(b + ip.l4, ip.end - ip.l4));
	memcpy(b + ip.l4 + 16, &sum, 2);
}

/* Points an mbuf at bytes elsewhere, for one call. */
static struct rte_mbuf *lend(uint8_t *b, uint32_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	WR_ASSERT(m != NULL);
	m->buf_addr = b;
	m->data_off = 0;
	m->buf_len = m->data_len = (uint16_t)n;
	m->pkt_len = n;
	return m;
}

static void give_back(struct rte_mbuf *m)
{
	m->buf_addr = (uint8_t *)m + sizeof(*m);
	m->buf_len = 4096 + RTE_PKTMBUF_HEADROOM;
	rte_pktmbuf_free(m);
}

static bool same(const struct wr_pkt *a, const struct wr_pkt *b)
{
	struct wr_pkt x = *a, y = *b;

	x.m = y.m = NULL;
	return memcmp(&x, &y, sizeof(x)) == 0;
}

static void in_a_burst(uint8_t *b, uint32_t n, enum wr_side side, enum wr_reason why,
                       const struct wr_pkt *p)
{
	static struct wr_lanes lanes;
	uint8_t arp[60] = { [12] = 8, [13] = 6 }, junk[3] = { 0 };
	struct rte_mbuf *m[3] = { lend(arp, sizeof(arp)), lend(b, n), lend(junk, sizeof(junk)) };
	bool wire = wr_reason_info(why)->def == WR_RD_WIRE;

	memset(&stats, 0, sizeof(stats));
	wr_pkt_sort_burst(&lc, side, m, 3, &lanes);
	WR_ASSERT(lanes.ninspect + lanes.npass + lanes.ndrop == 3);
	WR_ASSERT(lanes.npass >= 1 && lanes.pass[0] == m[0]);
	WR_ASSERT(lanes.ndrop >= 1 && lanes.drop[lanes.ndrop - 1] == m[2]);
	if (why == WR_R_NONE) {
		WR_ASSERT(lanes.ninspect == 1 && lanes.inspect[0].m == m[1]);
		WR_ASSERT(same(&lanes.inspect[0], p));
	} else {
		WR_ASSERT(wr_counter_get(&stats.reason[why]) >= 1);
		WR_ASSERT(wire ? lanes.pass[1] == m[1] && lanes.npass == 2
		               : lanes.drop[0] == m[1] && lanes.ndrop == 2);
	}
	for (int i = 0; i < 3; i++)
		give_back(m[i]);
}

static void reads_back(const struct wr_pkt *p)
{
	struct wr_pkt again;

	WR_ASSERT(wr_pkt_checksums_ok(p));
	WR_ASSERT(wr_pkt_parse(&lc, (enum wr_side)p->side, p->m, &again) == WR_R_NONE);
	WR_ASSERT(same(&again, p));
}

static void changed(const uint8_t *b, uint32_t n, const struct wr_pkt *old)
{
	struct wr_pkt p = *old;
	uint8_t junk[FRAME_MAX];

	p.m = rte_pktmbuf_alloc(pool);
	memcpy(rte_pktmbuf_append(p.m, (uint16_t)n), b, n);
	wr_pkt_set_seq(&p, p.seq ^ 0x80000001u);
	wr_pkt_set_ack(&p, p.ack + 77);
	wr_pkt_set_window(&p, (uint16_t)(p.window ^ 0x1234));
	reads_back(&p);
	if ((p.opt & WR_PKT_TSTAMP) != 0) {
		wr_pkt_set_timestamps(&p, p.ts_ecr, p.ts_val);
		reads_back(&p);
	}
	memset(junk, 0xa5, p.len);
	wr_pkt_set_payload(&p, (uint16_t)(p.len / 3), junk, (uint16_t)(p.len / 2));
	reads_back(&p);
	(void)wr_pkt_blank_options(&p);
	reads_back(&p);
	wr_pkt_trim(&p, (uint16_t)(p.len - p.len / 3));
	reads_back(&p);
	wr_pkt_trim_front(&p, (uint16_t)(p.len / 3));
	reads_back(&p);
	wr_pkt_set_flags(&p, (uint8_t)(p.tcp_flags & ~(WR_TCP_URG | WR_TCP_SYN)));
	WR_ASSERT(wr_pkt_checksums_ok(&p));
	rte_pktmbuf_free(p.m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *b, *padded, before[FRAME_MAX];
	struct rte_mbuf *m;
	struct wr_pkt p, q;
	enum wr_side side;
	enum wr_reason why, again;

	boot();
	if (n < 2 || n > FRAME_MAX)
		return 0;
	side = (data[0] & 1) != 0 ? WR_SIDE_STORE : WR_SIDE_CLIENT;
	n--;
	b = malloc(n);
	padded = malloc(n + 7);
	memcpy(b, data + 1, n);
	if ((data[0] & 2) != 0)
		repair(b, (uint32_t)n);
	memcpy(before, b, n);
	m = lend(b, (uint32_t)n);
	why = wr_pkt_parse(&lc, side, m, &p);
	WR_ASSERT((unsigned)why < WR_R_COUNT && memcmp(before, b, n) == 0);
	if (why == WR_R_NONE) {
		WR_ASSERT(p.l3 >= 14 && p.l4 >= p.l3 + 20 && p.payload >= p.l4 + 20);
		WR_ASSERT((size_t)p.payload + p.len <= n && p.service < conf.nservices);
		WR_ASSERT(wr_pkt_checksums_ok(&p));
		changed(b, (uint32_t)n, &p);
	}
	in_a_burst(b, (uint32_t)n, side, why, &p);
	give_back(m);
	memcpy(padded, b, n);
	memset(padded + n, 0x5a, 7);
	m = lend(padded, (uint32_t)n + 7);
	again = wr_pkt_parse(&lc, side, m, &q);
	WR_ASSERT(why == WR_R_TRUNCATED || (again == why && (why != WR_R_NONE || same(&p, &q))));
	give_back(m);
	free(b);
	free(padded);
	return 0;
}
