/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and ends the table of heads: the only file of the room that allocates. */
#include <stdlib.h>

#include "http/int.h"

uint64_t wr_http_memory(const struct wr_http_conf *c)
{
	return sizeof(struct wr_http) +
	       (uint64_t)c->heads * (sizeof(struct head_slot) + sizeof(struct rhead_slot));
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
	t->rslot = calloc(c->heads, sizeof(*t->rslot));
	if (c->heads == 0 || t->slot == NULL || t->rslot == NULL) {
		wr_http_free(t);
		return NULL;
	}
	for (uint32_t i = 0; i < c->heads; i++)
		t->slot[i].next = t->rslot[i].next = i + 1 < c->heads ? i + 2 : 0;
	t->free = t->rfree = 1;
	t->nfree = c->heads;
	return t;
}

void wr_http_free(struct wr_http *t)
{
	if (t == NULL)
		return;
	free(t->slot);
	free(t->rslot);
	free(t);
}
