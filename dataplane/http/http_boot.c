/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and ends the table of heads: the only file of the room that allocates. */
#include <stdlib.h>

#include "http/int.h"

/* One head in eight may be a long one; all may where there are few. */
static uint32_t larges(const struct wr_http_conf *c)
{
	return c->heads <= 64 ? c->heads : wr_max_u32(c->heads / 8, 64);
}

/* A response's head is gone as soon as it is read: few are read at the same time. */
static uint32_t rheads(const struct wr_http_conf *c)
{
	return larges(c);
}

uint64_t wr_http_memory(const struct wr_http_conf *c)
{
	return sizeof(struct wr_http) + (uint64_t)c->heads * sizeof(struct head_slot) +
	       (uint64_t)larges(c) * sizeof(struct large_buf) +
	       (uint64_t)rheads(c) * sizeof(struct rhead_slot);
}

struct wr_http *wr_http_new(const struct wr_http_conf *c)
{
	struct wr_http *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->conf = *c;
	if (t->conf.header_bytes == 0)
		t->conf.header_bytes = 65536;
	if (t->conf.headers == 0)
		t->conf.headers = 100;
	t->slot = calloc(c->heads, sizeof(*t->slot));
	t->rslot = calloc(rheads(c), sizeof(*t->rslot));
	t->large = calloc(larges(c), sizeof(*t->large));
	if (c->heads == 0 || t->slot == NULL || t->rslot == NULL || t->large == NULL) {
		wr_http_free(t);
		return NULL;
	}
	for (uint32_t i = 0; i < c->heads; i++)
		t->slot[i].next = i + 1 < c->heads ? i + 2 : 0;
	for (uint32_t i = 0; i < rheads(c); i++)
		t->rslot[i].next = i + 1 < rheads(c) ? i + 2 : 0;
	for (uint32_t i = 0; i < larges(c); i++)
		t->large[i].next = i + 1 < larges(c) ? i + 2 : 0;
	t->free = t->rfree = t->lfree = 1;
	t->nfree = c->heads;
	return t;
}

void wr_http_free(struct wr_http *t)
{
	if (t == NULL)
		return;
	free(t->slot);
	free(t->rslot);
	free(t->large);
	free(t);
}
