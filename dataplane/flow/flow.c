/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow/flow.h"

#include <rte_prefetch.h>
#include <string.h>

#include "mem/mem.h"

#define WAYS       8u
#define FIRST_WAYS 6u /* from here on the emptier bucket is taken */

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

static bool same_key(const struct wr_flow_key *a, const struct wr_flow_key *b)
{
	uint64_t x[5], y[5];

	static_assert(sizeof(x) == sizeof(*a), "the whole key");
	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

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

		if (b->way[i].sig == sig && idx != 0 && same_key(&t->flow[idx].key, key))
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

/* The entry of b whose signature fits, not compared yet: enough to prefetch the right lines. */
static uint32_t guess(const struct bucket *b, uint32_t sig)
{
	for (uint32_t i = 0; i < WAYS; i++)
		if (b->way[i].sig == sig && b->way[i].idx != 0)
			return b->way[i].idx;
	return 0;
}

static void warm(const struct wr_flow_table *t, uint32_t idx, const void *twin, uint32_t size)
{
	const char *c = (const char *)twin + (uint64_t)idx * size;

	rte_prefetch0(&t->flow[idx]);
	if (twin == NULL)
		return;
	for (uint32_t i = 0; i < WR_FLOW_TWIN_LINES; i++)
		rte_prefetch1(c + WR_CACHE_LINE * i);
}

/*
 * Most entries lie in their first bucket (see wr_flow_insert), so the second one is fetched only
 * for those that do not: a line less for nearly every frame. bench_conns, Zen 4.
 */
void wr_flow_find_burst(struct wr_flow_table *t, const struct wr_pkt *p, uint16_t n, uint32_t *idx,
                        const void *twin, uint32_t twin_size)
{
	uint16_t later[WR_BURST], nlater = 0;

	WR_DCHECK(n <= WR_BURST);
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(first(t, p[i].hash));
	for (uint16_t i = 0; i < n; i++) {
		idx[i] = guess(first(t, p[i].hash), signature(p[i].hash));
		if (idx[i] == 0) {
			rte_prefetch0(second(t, p[i].hash));
			later[nlater++] = i;
		}
		warm(t, idx[i], twin, twin_size);
	}
	for (uint16_t k = 0; k < nlater; k++) {
		uint16_t i = later[k];

		idx[i] = guess(second(t, p[i].hash), signature(p[i].hash));
		warm(t, idx[i], twin, twin_size);
	}
	for (uint16_t i = 0; i < n; i++)
		if (idx[i] == 0 || !same_key(&t->flow[idx[i]].key, &p[i].key))
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
	/* The first bucket while it has room to spare, so that a lookup rarely needs the second. */
	if (a == NULL || (b != NULL && used_a >= FIRST_WAYS && used_b < used_a))
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

bool wr_flow_is(const struct wr_flow_table *t, uint32_t idx, const struct wr_flow_key *key)
{
	return idx != 0 && t->flow[idx].used && same_key(&t->flow[idx].key, key);
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
