/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Boot and shutdown of a worker's digest room: one mapping, filled once.
 */
#include <rte_mbuf.h>

#include "digest/room.h"
#include "mem/mem.h"

static size_t align_up(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

struct wr_digest *wr_digest_new(uint32_t slots, enum wr_digest_engine e)
{
	size_t at_slot = align_up(sizeof(struct wr_digest));
	size_t at_node = align_up(at_slot + ((size_t)slots + 1) * sizeof(struct slot));
	size_t bytes = at_node + (WR_DIGEST_NODES + 1) * sizeof(struct node);
	struct wr_digest *d;

	if (slots == 0 || slots >= UINT32_MAX / 2)
		return NULL;
	d = wr_mem_alloc("digest", bytes);
	if (d == NULL)
		return NULL;
	d->slot = (struct slot *)((char *)d + at_slot);
	d->node = (struct node *)((char *)d + at_node);
	d->nslots = slots + 1;
	for (uint32_t i = 1; i <= slots; i++)
		d->slot[i].next = i == slots ? 0 : i + 1;
	for (uint32_t i = 1; i <= WR_DIGEST_NODES; i++)
		d->node[i].next = i == WR_DIGEST_NODES ? 0 : i + 1;
	d->free_slot = d->free_node = 1;
	wr_digest_kernels(d->kernel);
	wr_digest_plan_of(e, &d->plan);
	return d;
}

void wr_digest_free(struct wr_digest *d)
{
	if (d == NULL)
		return;
	for (uint32_t i = 1; i < d->nslots; i++)
		if (d->slot[i].phase != SLOT_FREE)
			wr_digest_close(d, i);
	wr_mem_free(d);
}
