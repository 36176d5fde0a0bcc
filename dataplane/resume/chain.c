/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "resume/private.h"

static struct spool_block *block_at(const struct wr_resume *r, uint32_t i)
{
	return wr_pool_at(r->blocks, i);
}

bool wr_chain_add(struct wr_resume *r, struct wr_chain *c, const uint8_t *p, uint32_t n)
{
	uint32_t room = c->tail != 0 ? WR_RESUME_BLOCK - block_at(r, c->tail)->used : 0;
	uint32_t want = n > room ? (n - room + WR_RESUME_BLOCK - 1) / WR_RESUME_BLOCK : 0;

	if (r->blocks == NULL || want > wr_pool_free_count(r->blocks))
		return false;
	while (n > 0) {
		struct spool_block *b;
		uint32_t k, i = c->tail;

		if (i == 0 || block_at(r, i)->used == WR_RESUME_BLOCK) {
			i = wr_pool_get(r->blocks);
			b = block_at(r, i);
			b->next = b->used = 0;
			if (c->tail != 0)
				block_at(r, c->tail)->next = i;
			else
				c->head = i;
			c->tail = i;
			c->nblocks++;
		}
		b = block_at(r, i);
		k = wr_min_u32(n, WR_RESUME_BLOCK - b->used);
		memcpy(b->b + b->used, p, k);
		b->used += k;
		c->bytes += k;
		p += k;
		n -= k;
	}
	return true;
}

static void pop_block(struct wr_resume *r, struct wr_chain *c)
{
	uint32_t i = c->head;

	c->head = block_at(r, i)->next;
	if (c->head == 0)
		c->tail = 0;
	c->nblocks--;
	c->off = 0;
	wr_pool_put(r->blocks, i);
}

void wr_chain_free(struct wr_resume *r, struct wr_chain *c)
{
	while (c->head != 0)
		pop_block(r, c);
	memset(c, 0, sizeof(*c));
}

void wr_chain_cut(struct wr_resume *r, struct wr_chain *c, uint64_t n)
{
	while (c->head != 0) {
		uint32_t left = block_at(r, c->head)->used - c->off;

		/* The last block stays while it may still be filled. */
		if (n < left || c->head == c->tail)
			return;
		n -= left;
		c->bytes -= left;
		pop_block(r, c);
	}
}

uint32_t wr_chain_front(const struct wr_resume *r, const struct wr_chain *c, const uint8_t **p)
{
	const struct spool_block *b;

	if (c->head == 0)
		return 0;
	b = block_at(r, c->head);
	*p = b->b + c->off;
	return b->used - c->off;
}

void wr_chain_drop(struct wr_resume *r, struct wr_chain *c, uint32_t n)
{
	c->off += n;
	c->bytes -= n;
	if (c->off == block_at(r, c->head)->used)
		pop_block(r, c);
}

bool wr_chain_same(const struct wr_resume *r, const struct wr_chain *c, uint64_t at,
                   const uint8_t *p, uint32_t n)
{
	uint32_t i = c->head;
	uint64_t skip = at + c->off;

	while (i != 0 && n > 0) {
		const struct spool_block *b = block_at(r, i);

		if (skip < b->used) {
			uint32_t k = wr_min_u32(n, b->used - (uint32_t)skip);

			if (memcmp(b->b + skip, p, k) != 0)
				return false;
			p += k;
			n -= k;
			skip = 0;
		} else {
			skip -= b->used;
		}
		i = b->next;
	}
	return n == 0;
}

uint32_t wr_chain_walk(const struct wr_resume *r, const struct wr_chain *c, uint32_t *block,
                       const uint8_t **p)
{
	uint32_t i = *block == 0 ? c->head : block_at(r, *block)->next;
	uint32_t from = *block == 0 ? c->off : 0;

	if (i == 0)
		return 0;
	*block = i;
	*p = block_at(r, i)->b + from;
	return block_at(r, i)->used - from;
}
