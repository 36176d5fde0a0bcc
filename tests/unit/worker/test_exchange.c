/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two and more workers that get each other's frames: each connection ends at one worker, whichever
 * queue its frames came in on, with the side they came in on; none is lost or there twice.
 */
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>

#include "mem/mem.h"
#include "tap.h"
#include "worker/exchange.h"

#define WORKERS 3u
#define RING    64u

static struct wr_stats stats[WORKERS];
static struct wr_lcore lc[WORKERS];
static struct exchange x[WORKERS];
static struct wr_lanes lanes;
static struct rte_mempool *pool;

static struct rte_ring *ring(void)
{
	struct rte_ring *r = aligned_alloc(64, (size_t)rte_ring_get_memsize(RING));

	return rte_ring_init(r, "x", RING, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0 ? r : NULL;
}

static void boot(void)
{
	for (uint32_t i = 0; i < WORKERS; i++) {
		lc[i].stats = &stats[i];
		x[i].slot = i;
		x[i].peers = WORKERS;
		for (uint32_t k = 0; k < WORKERS; k++)
			if (k != i)
				x[i].to[k] = x[k].from[i] = ring();
	}
}

static uint64_t count(enum wr_reason r)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < WORKERS; i++)
		n += wr_counter_get(&stats[i].reason[r]);
	return n;
}

/* Puts n frames into the lane, connection numbers from `first` on, number and side written into
 * each. */
static void fill(uint32_t first, uint16_t n, enum wr_side side)
{
	memset(&lanes, 0, sizeof(lanes));
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint32_t *b = (uint32_t *)(void *)rte_pktmbuf_append(m, 8);

		b[0] = first + i;
		b[1] = side;
		lanes.inspect[i].m = m;
		lanes.inspect[i].hash = (first + i) * 0x9e3779b97f4a7c15ull;
	}
	lanes.ninspect = n;
}

static uint32_t number(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, const uint32_t *)[0];
}

static void each_once(void)
{
	static uint8_t seen[2][600];
	uint32_t bad = 0, here = 0, handed = 0;

	/* Every worker receives other frames of both sides than it owns; then all read what came.
	 */
	for (uint32_t i = 0; i < 600; i += 20) {
		uint32_t w = i / 20 % WORKERS;
		enum wr_side side = (enum wr_side)(i / 20 % 2);

		fill(i, 20, side);
		handed += exchange_send(&lc[w], &x[w], side, &lanes);
		bad += lanes.ndrop;
		for (uint16_t k = 0; k < lanes.ninspect; k++) {
			bad += exchange_owner(&x[w], lanes.inspect[k].hash) != w;
			seen[side][number(lanes.inspect[k].m)]++;
			here++;
			rte_pktmbuf_free(lanes.inspect[k].m);
		}
		for (uint32_t o = 0; o < WORKERS; o++)
			for (int s = 0; s < 2; s++) {
				struct rte_mbuf *m[WR_BURST];
				uint16_t n = exchange_receive(&x[o], (enum wr_side)s, m, 32);

				for (uint16_t k = 0; k < n; k++) {
					uint32_t c = number(m[k]);

					bad += exchange_owner(&x[o], c * 0x9e3779b97f4a7c15ull) !=
					       o;
					bad += rte_pktmbuf_mtod(m[k], uint32_t *)[1] != (uint32_t)s;
					seen[s][c]++;
					rte_pktmbuf_free(m[k]);
				}
			}
	}
	IS(bad, 0, "each frame ended at its owner, on its side");
	for (uint32_t i = 0; i < 600; i++)
		bad += seen[0][i] + seen[1][i] != 1;
	IS(bad, 0, "each exactly once");
	OK(handed > 300 && here > 100 && handed + here == 600, "%u handed over, %u at home", handed,
	   here);
	IS(count(WR_R_FOREIGN_FRAME), handed, "counted where they were handed over");
	IS(rte_mempool_avail_count(pool), 2048, "every buffer is back");
}

static void full(void)
{
	uint32_t dropped = 0, kept = 0;

	for (uint32_t i = 0; i < 600; i += 60) {
		fill(i, 60, WR_SIDE_STORE);
		(void)exchange_send(&lc[0], &x[0], WR_SIDE_STORE, &lanes);
		dropped += lanes.ndrop;
		for (uint16_t k = 0; k < lanes.ndrop; k++)
			rte_pktmbuf_free(lanes.drop[k]);
		for (uint16_t k = 0; k < lanes.ninspect; k++)
			rte_pktmbuf_free(lanes.inspect[k].m);
		kept += lanes.ninspect;
	}
	OK(dropped > 0, "nobody reads: %u of 600 find the ring full", dropped);
	IS(count(WR_R_FOREIGN_RING_FULL), dropped, "each is dropped and counted");
	IS(600 - dropped - kept, 2 * (RING - 1), "both rings are full");
	for (uint32_t i = 0; i < WORKERS; i++)
		exchange_drain(&x[i]);
	IS(rte_mempool_avail_count(pool), 2048, "the end leaves no buffer in a ring");
}

/* One side's lane that is not emptied must not stop the other's frames for ever, nor lose any. */
static void one_side_waits(void)
{
	struct rte_mbuf *m[WR_BURST];
	uint32_t got = 0, n = 0;

	for (uint32_t i = 0; i < 2; i++) {
		fill(i * 60, 60, i == 0 ? WR_SIDE_CLIENT : WR_SIDE_STORE);
		n += exchange_send(&lc[0], &x[0], i == 0 ? WR_SIDE_CLIENT : WR_SIDE_STORE, &lanes);
		for (uint16_t k = 0; k < lanes.ninspect; k++)
			rte_pktmbuf_free(lanes.inspect[k].m);
	}
	for (uint32_t o = 1; o < WORKERS; o++)
		for (int side = 1; side >= 0; side--)
			for (uint16_t k;
			     (k = exchange_receive(&x[o], (enum wr_side)side, m, 3)) != 0; got += k)
				for (uint16_t j = 0; j < k; j++)
					rte_pktmbuf_free(m[j]);
	IS(got, n, "read three at a time, one side after the other: all there");
	IS(rte_mempool_avail_count(pool), 2048, "and back");
}

static void alone(void)
{
	struct exchange one = { .peers = 1 };
	struct rte_mbuf *m[4];

	fill(0, 4, WR_SIDE_CLIENT);
	IS(exchange_send(&lc[0], &one, WR_SIDE_CLIENT, &lanes), 0, "one worker hands nothing over");
	IS(lanes.ninspect, 4, "and keeps what it has");
	IS(exchange_receive(&one, WR_SIDE_CLIENT, m, 4), 0, "and receives nothing");
	for (int i = 0; i < 4; i++)
		rte_pktmbuf_free(lanes.inspect[i].m);
}

int main(void)
{
	pool = wr_mem_mbufs_sim("x", 2048, 64);
	boot();
	each_once();
	full();
	one_side_waits();
	alone();
	wr_mem_mbufs_sim_free(pool);
	return tap_done();
}
