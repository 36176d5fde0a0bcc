/* SPDX-License-Identifier: BSD-3-Clause */
#include "body/heap.h"

#include "base/base.h"

struct block {       /* in front of every piece; pieces lie in address order */
	size_t size; /* with this header */
	size_t used;
};

static struct block *next_of(const struct heap *h, struct block *k)
{
	uint8_t *n = (uint8_t *)k + k->size;

	return n < h->base + h->size ? (struct block *)(void *)n : NULL;
}

void wr_heap_reset(struct heap *h)
{
	struct block *k = (struct block *)(void *)h->base;

	k->size = h->size;
	k->used = 0;
}

void *wr_heap_get(void *heap, size_t n)
{
	struct heap *h = heap;
	size_t need = ((n + 15) & ~(size_t)15) + sizeof(struct block);

	if (n > h->size)
		return NULL;
	for (struct block *k = (struct block *)(void *)h->base; k != NULL; k = next_of(h, k)) {
		/* Neighbours that were freed grow together here, so put() is one store. */
		for (struct block *m; !k->used && (m = next_of(h, k)) != NULL && !m->used;)
			k->size += m->size;
		if (k->used || k->size < need)
			continue;
		if (k->size - need > sizeof(struct block)) {
			struct block *rest = (struct block *)(void *)((uint8_t *)k + need);

			rest->size = k->size - need;
			rest->used = 0;
			k->size = need;
		}
		k->used = 1;
		return k + 1;
	}
	return NULL;
}

void wr_heap_put(void *heap, void *p)
{
	struct heap *h = heap;

	if (p == NULL)
		return;
	WR_ASSERT((uint8_t *)p > h->base && (uint8_t *)p < h->base + h->size);
	((struct block *)p - 1)->used = 0;
}
