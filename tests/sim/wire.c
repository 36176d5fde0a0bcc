/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "sim/rig.h"

uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return n == 0 ? 0 : (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

bool rng_chance(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}

static void insert(struct wire *w, enum hop h, const struct frame *from, uint64_t at)
{
	struct frame *f = w->free, **p = &w->q[h][from->meta.queue];

	if (f != NULL)
		w->free = f->next;
	else if ((f = malloc(sizeof(*f))) == NULL)
		abort();
	f->at = at;
	f->len = from->len;
	f->meta = from->meta;
	memcpy(f->b, from->b, from->len);
	while (*p != NULL && (*p)->at <= at)
		p = &(*p)->next;
	f->next = *p;
	*p = f;
}

bool wire_put(struct wire *w, struct rng *r, enum hop h, const struct frame *f)
{
	uint64_t at = w->now + w->delay_ns;

	if (f->len > FRAME_MAX || f->meta.queue >= QUEUES)
		abort();
	if (rng_chance(r, w->loss[h]))
		return false;
	if (rng_chance(r, w->reorder))
		at += rng_below(r, 8) * w->delay_ns;
	insert(w, h, f, at);
	if (rng_chance(r, w->dup))
		insert(w, h, f, at + rng_below(r, 4) * w->delay_ns);
	return true;
}

struct frame *wire_get(struct wire *w, enum hop h, uint32_t queue)
{
	struct frame *f = w->q[h][queue];

	if (f == NULL || f->at > w->now)
		return NULL;
	w->q[h][queue] = f->next;
	return f;
}

void wire_done(struct wire *w, struct frame *f)
{
	f->next = w->free;
	w->free = f;
}

uint64_t wire_next(const struct wire *w)
{
	uint64_t at = UINT64_MAX;

	for (int h = 0; h < HOPS; h++)
		for (uint32_t q = 0; q < QUEUES; q++)
			if (w->q[h][q] != NULL && w->q[h][q]->at < at)
				at = w->q[h][q]->at;
	return at;
}

bool wire_empty(const struct wire *w, enum hop h)
{
	return w->q[h][0] == NULL && w->q[h][1] == NULL;
}

void wire_clear(struct wire *w)
{
	for (int h = 0; h < HOPS; h++) {
		for (uint32_t q = 0; q < QUEUES; q++) {
			while (w->q[h][q] != NULL) {
				struct frame *f = w->q[h][q];

				w->q[h][q] = f->next;
				wire_done(w, f);
			}
		}
	}
}
