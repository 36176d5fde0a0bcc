/* SPDX-License-Identifier: BSD-3-Clause */
#include "resume/private.h"

static uint32_t pow2_above(uint32_t n)
{
	uint32_t p = 16;

	while (p < n && p < 1u << 30)
		p <<= 1;
	return p;
}

static uint32_t nblocks(const struct wr_resume_conf *c)
{
	uint64_t n = c->spool_bytes / sizeof(struct spool_block);

	return (uint32_t)wr_min_u64(n, 1u << 28);
}

uint64_t wr_resume_memory(const struct wr_resume_conf *c)
{
	return (uint64_t)c->sessions * (sizeof(struct wr_session) + 8) +
	       (uint64_t)c->parts * (sizeof(struct wr_part) + 8) +
	       (uint64_t)c->bad * sizeof(struct bad_key) + nblocks(c) * sizeof(struct spool_block);
}

struct wr_resume *wr_resume_new(const struct wr_resume_conf *c)
{
	struct wr_resume *r = wr_mem_alloc("resume", sizeof(*r));
	uint32_t keys = pow2_above(c->sessions), parts = pow2_above(c->parts);

	if (r == NULL)
		return NULL;
	r->key_mask = keys - 1;
	r->part_mask = parts - 1;
	r->bad_sets = pow2_above((c->bad + BAD_WAYS - 1) / BAD_WAYS);
	r->sessions = wr_pool_new("upload sessions", c->sessions, sizeof(struct wr_session));
	r->parts = wr_pool_new("upload parts", c->parts, sizeof(struct wr_part));
	r->by_key = wr_mem_alloc("session keys", keys * sizeof(uint32_t));
	r->by_part = wr_mem_alloc("part keys", parts * sizeof(uint32_t));
	r->bad = wr_mem_alloc("bad uploads", (uint64_t)r->bad_sets * BAD_WAYS * sizeof(*r->bad));
	if (nblocks(c) != 0)
		r->blocks = wr_pool_new_lazy("spool", nblocks(c), sizeof(struct spool_block));
	if (r->sessions && r->parts && r->by_key && r->by_part && r->bad &&
	    (r->blocks != NULL || nblocks(c) == 0))
		return r;
	wr_resume_free(r);
	return NULL;
}

void wr_resume_free(struct wr_resume *r)
{
	if (r == NULL)
		return;
	wr_pool_free(r->sessions);
	wr_pool_free(r->parts);
	wr_pool_free(r->blocks);
	wr_mem_free(r->by_key);
	wr_mem_free(r->by_part);
	wr_mem_free(r->bad);
	wr_mem_free(r);
}
