/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow/flow.h"

#include <rte_prefetch.h>
#include <string.h>

#include "mem/mem.h"

#define WAYS 8u

struct way {
	uint32_t sig, idx; /* idx 0 = free */
};

struct bucket {
	struct way way[WAYS];
};
static_assert(sizeof(struct bucket) == WR_CACHE_LINE, "one bucket, one line");

struct wr_flow_table {
	struct bucket *bucket;
	struct wr_flow *flow; /* 1..capacity */
	uint32_t *freelist;
	uint32_t mask, capacity, nfree, count;
	uint32_t wheel[WR_FLOW_WHEEL]; /* first entry of each slot */
	uint64_t tick;                 /* the last tick whose slot was emptied */
};

static struct bucket *first(const struct wr_flow_table *t, uint64_t hash)
{
	return &t->bucket[(uint32_t)hash & t->mask];
}

static struct bucket *second(const struct wr_flow_table *t, uint64_t hash)
{
	return &t->bucket[((uint32_t)(hash >> 24) ^ 0x9e3779b9u) & t->mask];
}

static uint32_t signature(uint64_t hash)
{
	return (uint32_t)(hash >> 32);
}

struct wr_flow_table *wr_flow_new(uint32_t capacity)
{
	struct wr_flow_table *t = wr_mem_alloc("flow table", sizeof(*t));
	uint32_t buckets = 16;

	if (t == NULL || capacity == 0)
		return NULL;
	while ((uint64_t)buckets * WAYS < 2ull * capacity)
		buckets *= 2;
	t->bucket = wr_mem_alloc("flow buckets", (uint64_t)buckets * sizeof(struct bucket));
	t->flow = wr_mem_alloc("flow entries", (capacity + 1ull) * sizeof(struct wr_flow));
	t->freelist = wr_mem_alloc("flow free list", (uint64_t)capacity * sizeof(uint32_t));
	if (t->bucket == NULL || t->flow == NULL || t->freelist == NULL) {
		wr_flow_free(t);
		return NULL;
	}
	t->mask = buckets - 1;
	t->capacity = t->nfree = capacity;
	for (uint32_t i = 0; i < capacity; i++)
		t->freelist[i] = capacity - i;
	return t;
}

void wr_flow_free(struct wr_flow_table *t)
{
	if (t == NULL)
		return;
	wr_mem_free(t->bucket);
	wr_mem_free(t->flow);
	wr_mem_free(t->freelist);
	wr_mem_free(t);
}

static uint32_t find_in(const struct wr_flow_table *t, const struct bucket *b, uint32_t sig,
                        const struct wr_flow_key *key)
{
	for (uint32_t i = 0; i < WAYS; i++) {
		uint32_t idx = b->way[i].idx;

		if (b->way[i].sig == sig && idx != 0 &&
		    memcmp(&t->flow[idx].key, key, sizeof(*key)) == 0)
			return idx;
	}
	return 0;
}

uint32_t wr_flow_find(struct wr_flow_table *t, const struct wr_flow_key *key, uint64_t hash)
{
	uint32_t sig = signature(hash);
	uint32_t idx = find_in(t, first(t, hash), sig, key);

	return idx != 0 ? idx : find_in(t, second(t, hash), sig, key);
}

/* The entry whose signature fits, not compared yet: enough to prefetch the right line. */
static uint32_t guess(const struct wr_flow_table *t, uint64_t hash)
{
	const struct bucket *b[2] = { first(t, hash), second(t, hash) };
	uint32_t sig = signature(hash);

	for (int k = 0; k < 2; k++)
		for (uint32_t i = 0; i < WAYS; i++)
			if (b[k]->way[i].sig == sig && b[k]->way[i].idx != 0)
				return b[k]->way[i].idx;
	return 0;
}

void wr_flow_find_burst(struct wr_flow_table *t, const struct wr_pkt *p, uint16_t n, uint32_t *idx,
                        const void *twin, uint32_t twin_size)
{
	for (uint16_t i = 0; i < n; i++) {
		rte_prefetch0(first(t, p[i].hash));
		rte_prefetch0(second(t, p[i].hash));
	}
	for (uint16_t i = 0; i < n; i++) {
		idx[i] = guess(t, p[i].hash);
		rte_prefetch0(&t->flow[idx[i]]);
		if (twin != NULL) {
			const char *c = (const char *)twin + (uint64_t)idx[i] * twin_size;

			for (unsigned k = 0; k < WR_FLOW_TWIN_LINES; k++)
				rte_prefetch0(c + k * WR_CACHE_LINE);
		}
	}
	for (uint16_t i = 0; i < n; i++)
		if (idx[i] == 0 || memcmp(&t->flow[idx[i]].key, &p[i].key, sizeof(p[i].key)) != 0)
			idx[i] = wr_flow_find(t, &p[i].key, p[i].hash);
}

static struct way *free_way(struct bucket *b, uint32_t *used)
{
	struct way *found = NULL;

	*used = 0;
	for (uint32_t i = 0; i < WAYS; i++) {
		if (b->way[i].idx == 0)
			found = &b->way[i];
		else
			(*used)++;
	}
	return found;
}

uint32_t wr_flow_insert(struct wr_flow_table *t, const struct wr_flow_key *key, uint64_t hash)
{
	uint32_t used_a, used_b, idx;
	struct way *a = free_way(first(t, hash), &used_a);
	struct way *b = free_way(second(t, hash), &used_b);

	if (t->nfree == 0 || (a == NULL && b == NULL))
		return 0;
	if (a == NULL || (b != NULL && used_b < used_a))
		a = b;
	idx = t->freelist[--t->nfree];
	a->sig = signature(hash);
	a->idx = idx;
	memset(&t->flow[idx], 0, sizeof(t->flow[idx]));
	t->flow[idx].key = *key;
	t->flow[idx].hash = hash;
	t->flow[idx].used = 1;
	t->count++;
	return idx;
}

void wr_flow_remove(struct wr_flow_table *t, uint32_t idx)
{
	struct bucket *b[2] = { first(t, t->flow[idx].hash), second(t, t->flow[idx].hash) };

	WR_ASSERT(idx != 0 && idx <= t->capacity && t->flow[idx].used);
	wr_flow_disarm(t, idx);
	for (int k = 0; k < 2; k++) {
		for (uint32_t i = 0; i < WAYS; i++) {
			if (b[k]->way[i].idx != idx)
				continue;
			b[k]->way[i].idx = 0;
			t->flow[idx].used = 0;
			t->freelist[t->nfree++] = idx;
			t->count--;
			return;
		}
	}
	wr_assert_fail("a used entry is in one of its buckets", __FILE__, __LINE__);
}

struct wr_flow *wr_flow_at(struct wr_flow_table *t, uint32_t idx)
{
	WR_DCHECK(idx != 0 && idx <= t->capacity && t->flow[idx].used);
	return &t->flow[idx];
}

bool wr_flow_used(const struct wr_flow_table *t, uint32_t idx)
{
	return t->flow[idx].used != 0;
}

uint32_t wr_flow_count(const struct wr_flow_table *t)
{
	return t->count;
}

uint32_t wr_flow_capacity(const struct wr_flow_table *t)
{
	return t->capacity;
}

void wr_flow_arm(struct wr_flow_table *t, uint32_t idx, uint64_t now, uint64_t at)
{
	uint64_t tick = wr_max_u64(at, now) / WR_FLOW_TICK_NS + 1;
	struct wr_flow *f = wr_flow_at(t, idx);
	uint32_t slot;

	if (t->tick == 0)
		t->tick = now / WR_FLOW_TICK_NS;
	/* Farther than one round: it comes up at the end of the round and is armed again. */
	tick = wr_min_u64(tick, now / WR_FLOW_TICK_NS + WR_FLOW_WHEEL - 1);
	slot = (uint32_t)(tick % WR_FLOW_WHEEL);
	wr_flow_disarm(t, idx);
	f->timer_prev = 0;
	f->timer_next = t->wheel[slot];
	if (f->timer_next != 0)
		t->flow[f->timer_next].timer_prev = idx;
	t->wheel[slot] = idx;
	f->timer_slot = slot + 1;
}

void wr_flow_disarm(struct wr_flow_table *t, uint32_t idx)
{
	struct wr_flow *f = wr_flow_at(t, idx);

	if (f->timer_slot == 0)
		return;
	if (f->timer_prev != 0)
		t->flow[f->timer_prev].timer_next = f->timer_next;
	else
		t->wheel[f->timer_slot - 1] = f->timer_next;
	if (f->timer_next != 0)
		t->flow[f->timer_next].timer_prev = f->timer_prev;
	f->timer_slot = 0;
}

uint32_t wr_flow_due(struct wr_flow_table *t, uint64_t now, uint32_t *idx, uint32_t max)
{
	uint64_t tick = now / WR_FLOW_TICK_NS;
	uint32_t n = 0;

	if (t->tick == 0)
		t->tick = tick;
	/* A clock that stood still for more than a round: one pass over the wheel is enough. */
	if (tick > t->tick + WR_FLOW_WHEEL)
		t->tick = tick - WR_FLOW_WHEEL;
	while (t->tick <= tick) {
		uint32_t slot = (uint32_t)(t->tick % WR_FLOW_WHEEL);

		while (t->wheel[slot] != 0 && n < max) {
			idx[n] = t->wheel[slot];
			wr_flow_disarm(t, idx[n]);
			n++;
		}
		if (t->wheel[slot] != 0 || t->tick == tick)
			break;
		t->tick++;
	}
	return n;
}
