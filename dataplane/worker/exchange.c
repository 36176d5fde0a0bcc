/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/exchange.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

/* The side a frame came in on travels in the pointer: mbufs lie on cache lines. */
static void *tag(struct rte_mbuf *m, enum wr_side side)
{
	return (void *)((uintptr_t)m | (uintptr_t)side);
}

uint32_t exchange_send(struct wr_lcore *lc, struct exchange *x, enum wr_side side,
                       struct wr_lanes *l)
{
	uint16_t kept = 0;
	uint32_t sent = 0;

	if (x->peers <= 1)
		return 0;
	for (uint16_t i = 0; i < l->ninspect; i++) {
		struct rte_mbuf *m = l->inspect[i].m;
		uint32_t owner = exchange_owner(x, l->inspect[i].hash);

		if (owner == x->slot || x->to[owner] == NULL) {
			if (kept != i)
				l->inspect[kept] = l->inspect[i];
			kept++;
		} else if (rte_ring_sp_enqueue(x->to[owner], tag(m, side)) == 0) {
			wr_count(lc, WR_R_FOREIGN_FRAME, 1);
			sent++;
		} else {
			wr_count(lc, WR_R_FOREIGN_RING_FULL, 1);
			l->drop[l->ndrop++] = m;
		}
	}
	l->ninspect = kept;
	return sent;
}

/* Fills the inbox from the rings, as far as either side could be what comes. */
static void refill(struct exchange *x)
{
	for (uint32_t i = 0; i < x->peers; i++) {
		uint32_t from = (x->turn + i) % x->peers;
		uint32_t room = WR_BURST - wr_max_u32(x->nin[0], x->nin[1]), n;
		void *obj[WR_BURST];

		if (room == 0)
			return;
		if (x->from[from] == NULL)
			continue;
		n = rte_ring_sc_dequeue_burst(x->from[from], obj, room, NULL);
		for (uint32_t k = 0; k < n; k++) {
			uintptr_t p = (uintptr_t)obj[k], side = p & 1;

			x->in[side][x->nin[side]++] = (struct rte_mbuf *)(p & ~(uintptr_t)1);
		}
	}
	x->turn++;
}

uint16_t exchange_receive(struct exchange *x, enum wr_side side, struct rte_mbuf **m, uint16_t max)
{
	uint16_t n;

	if (x->peers <= 1)
		return 0;
	refill(x);
	n = x->nin[side] < max ? x->nin[side] : max;
	memcpy(m, x->in[side], n * sizeof(m[0]));
	x->nin[side] = (uint16_t)(x->nin[side] - n);
	memmove(x->in[side], x->in[side] + n, x->nin[side] * sizeof(m[0]));
	return n;
}

void exchange_drain(struct exchange *x)
{
	struct rte_mbuf *m[WR_BURST];

	for (uint32_t side = 0; x->peers > 1 && side < 2;) {
		uint16_t n = exchange_receive(x, (enum wr_side)side, m, WR_BURST);

		for (uint16_t i = 0; i < n; i++)
			rte_pktmbuf_free(m[i]);
		/* A round that finds nothing on the second side has emptied the rings of both. */
		side = n == 0 ? side + 1 : 0;
	}
}
