/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exchange - hands a frame to the worker that owns its connection. Private to worker/.
 *
 * takes    frames that pkt/ has put into the inspect lane; rings made at boot, one per pair of
 * workers gives    frames of this worker's connections that others received threads  each ring has
 * one producer and one consumer limits   the ring: a frame that finds it full is dropped
 * (FOREIGN_RING_FULL), its sender repeats it see      docs/concepts/where-it-sits.md,
 * tests/unit/worker/test_exchange.c
 *
 * Why it is always there with several workers and never asks whether the port's RSS is symmetric:
 * the owner is a function of the connection alone, so both directions meet whatever the port does.
 * A port that happens to agree costs nothing, one that does not costs a second parse.
 */
#ifndef WR_WORKER_EXCHANGE_H
#define WR_WORKER_EXCHANGE_H

#include "handoff/pkt.h"
#include "lcore/lcore.h"

struct rte_ring;

struct exchange {
	struct rte_ring *to[WR_WORKERS_MAX], *from[WR_WORKERS_MAX];
	uint32_t slot, peers; /* this worker's index among them; peers 1: nothing to do */
	uint32_t turn;        /* whose ring is read first: each in turn */
	struct rte_mbuf *in[2][WR_BURST];
	uint16_t nin[2];
};

static inline uint32_t exchange_owner(const struct exchange *x, uint64_t hash)
{
	/* The top bits: the flow table of the owner spreads by the others. */
	return (uint32_t)((hash >> 32) * x->peers >> 32);
}

/* Takes foreign frames out of the lane. Returns those handed over; what a full ring refuses is put
 * into the drop lane. */
uint32_t exchange_send(struct wr_lcore *lc, struct exchange *x, enum wr_side side,
                       struct wr_lanes *l);
/* Frames of one side that others received, at most max. */
uint16_t exchange_receive(struct exchange *x, enum wr_side side, struct rte_mbuf **m, uint16_t max);
/* Frees what lies in the inbox and in the rings to this worker. Shutdown. */
void exchange_drain(struct exchange *x);

#endif
