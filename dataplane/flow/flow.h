/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flow - finds the connection of a frame.
 *
 * takes    keys and keyed hashes from pkt/
 * gives    an index, the same for the hot entry here and for its cold twin in worker/; 0 = none
 * owns     the hot entries and the bucket array; a timer wheel over the entries
 * threads  one table per worker
 * limits   capacity; an entry has two buckets of eight: when both are full, insert gives 0 and the
 *          caller counts WR_R_FLOW_TABLE_FULL. At half load that needs 16 keys of one bucket pair
 *          under a secret hash.
 * see      docs/concepts/one-burst.md, tests/unit/flow
 *
 * Why two lines per lookup and not a chain: both can be prefetched before the first is read.
 */
#ifndef WR_FLOW_FLOW_H
#define WR_FLOW_FLOW_H

#include "handoff/pkt.h"

struct wr_flow_table;

struct wr_flow { /* HOT: every packet */
	struct wr_flow_key key;
	uint64_t hash;
	uint32_t timer_next, timer_prev; /* wheel links, 0 = end */
	uint32_t timer_slot;             /* 1 + slot of the wheel, 0 = not armed */
	uint8_t used, pad[3];
};
static_assert(sizeof(struct wr_flow) == WR_CACHE_LINE, "one flow, one line");
static_assert(offsetof(struct wr_flow, key) == 0, "prefetching the key brings the whole line");

/* Boot only. NULL: no memory. */
WR_MUST_USE struct wr_flow_table *wr_flow_new(uint32_t capacity);
void wr_flow_free(struct wr_flow_table *t);

/*
 * idx[i] = entry of p[i] or 0. twin: the cold array of entries of twin_size bytes, or NULL; the
 * first WR_FLOW_TWIN_LINES lines of each are on their way to the second cache level afterwards.
 */
#define WR_FLOW_TWIN_LINES 7u
void wr_flow_find_burst(struct wr_flow_table *t, const struct wr_pkt *p, uint16_t n, uint32_t *idx,
                        const void *twin, uint32_t twin_size);
uint32_t wr_flow_find(struct wr_flow_table *t, const struct wr_flow_key *key, uint64_t hash);
uint32_t wr_flow_insert(struct wr_flow_table *t, const struct wr_flow_key *key, uint64_t hash);
void wr_flow_remove(struct wr_flow_table *t, uint32_t idx);
struct wr_flow *wr_flow_at(struct wr_flow_table *t, uint32_t idx);
/* Is idx (0 is allowed) in use, and by this key? */
bool wr_flow_is(const struct wr_flow_table *t, uint32_t idx, const struct wr_flow_key *key);
bool wr_flow_used(const struct wr_flow_table *t, uint32_t idx);
uint32_t wr_flow_count(const struct wr_flow_table *t);
uint32_t wr_flow_capacity(const struct wr_flow_table *t);

/* Timers: one per entry; coarse (WR_FLOW_TICK_NS), never early by more than a tick. */
#define WR_FLOW_TICK_NS (1ull << 24) /* 16.8 ms */
#define WR_FLOW_WHEEL   4096u        /* 68.7 s round: a later time is looked at and armed again */
void wr_flow_arm(struct wr_flow_table *t, uint32_t idx, uint64_t now, uint64_t at);
void wr_flow_disarm(struct wr_flow_table *t, uint32_t idx);
/* Disarms and returns up to max entries whose slot is due. */
uint32_t wr_flow_due(struct wr_flow_table *t, uint64_t now, uint32_t *idx, uint32_t max);

#endif
