/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and ends the pool of bodies. */
#include <stdlib.h>

#include "body/int.h"

uint64_t wr_body_memory(const struct wr_body_conf *c)
{
	return sizeof(struct wr_body_pool) + (uint64_t)c->bodies * sizeof(struct wr_body) +
	       (uint64_t)c->multiparts * sizeof(struct multi) + wr_decoders_memory(c);
}

struct wr_body_pool *wr_body_pool_new(const struct wr_body_conf *c)
{
	struct wr_body_pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->conf = *c;
	if (p->conf.expansion_ns == 0)
		p->conf.expansion_ns = 10000000000ull;
	if (p->conf.expansion_ratio == 0)
		p->conf.expansion_ratio = 200;
	if (p->conf.depth == 0)
		p->conf.depth = 4;
	p->body = calloc(c->bodies, sizeof(*p->body));
	p->multi = calloc(c->multiparts + 1, sizeof(*p->multi));
	if (c->bodies == 0 || p->body == NULL || p->multi == NULL || wr_decoders_new(p) != 0) {
		wr_body_pool_free(p);
		return NULL;
	}
	for (uint32_t i = 0; i < c->bodies; i++) {
		p->body[i].index = i;
		p->body[i].next = i + 1 < c->bodies ? i + 2 : 0;
	}
	for (uint32_t i = 0; i < c->multiparts; i++)
		p->multi[i].next = i + 1 < c->multiparts ? i + 2 : 0;
	p->free_body = 1;
	p->free_multi = c->multiparts > 0;
	return p;
}

void wr_body_pool_free(struct wr_body_pool *p)
{
	if (p == NULL)
		return;
	wr_decoders_free(p);
	free(p->multi);
	free(p->body);
	free(p);
}
