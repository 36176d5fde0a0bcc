/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lcore - what one worker owns and every packet-path function gets as its first argument.
 *
 * takes    stats page, rings, pools: made at boot by main/ (or by a test)
 * gives    counting, events, time
 * owns     nothing it frees; struct wr_lcore lives in the worker
 * threads  one writer: the worker. No globals, no __thread, no rte_lcore_id() in a stage, so that a
 *          test runs ten workers in one thread.
 * limits   events: WR_EVENT_RATE per second and reason, WR_EVENT_BURST at once
 */
#ifndef WR_LCORE_LCORE_H
#define WR_LCORE_LCORE_H

#include <stdint.h>

#include "abi/conf.h"
#include "abi/event.h"
#include "abi/reason.h"
#include "abi/ring.h"
#include "abi/stats.h"
#include "base/base.h"
#include "base/mix.h"

struct rte_mempool;
struct wr_frag;

/* A line of control's log per reason and second, and a few at once: whoever sends bad frames as
 * fast as he can must not fill a disk. The counters tell how many there were. */
#define WR_EVENT_RATE  1u
#define WR_EVENT_BURST 5u

/* Buffers of one worker's link. Sizes: docs/concepts/one-burst.md. */
struct wr_pools {
	struct rte_mempool *rx;    /* receive buffers, shared with the port */
	struct rte_mempool *small; /* compact copies, up to WR_SMALL_BYTES of payload */
	struct rte_mempool *large; /* compact copies and decoded output, WR_LARGE_BYTES */
	struct rte_mempool *gen;   /* frames that Weir makes itself */
	uint32_t rx_reserve;       /* receive buffers that nothing may keep */
	uint32_t rx_free;          /* sampled by the worker once a turn */
	uint32_t rx_low_water;     /* below this many free, payloads are copied */
};
#define WR_SMALL_BYTES 256u
#define WR_LARGE_BYTES 2048u
/* Data room of those pools: the payload and the headers of a whole frame in front of it. */
#define WR_SMALL_ROOM (WR_SMALL_BYTES + 128u)
#define WR_LARGE_ROOM (WR_LARGE_BYTES + 128u)

struct wr_lcore {
	uint64_t now;      /* monotonic ns, read once per turn */
	uint64_t real;     /* realtime ns minus monotonic ns, refreshed now and then */
	uint32_t id, link; /* index into conf->worker, conf->link */
	struct wr_stats *stats;
	struct wr_ring *records, *events;
	const struct wr_conf *conf;
	struct wr_pools pools;
	struct wr_frag *frag; /* pkt/: NULL unless a policy reassembles fragments */
	struct wr_mix_key key;
	uint64_t rng; /* xorshift state: ids only, never secrets */
	uint64_t next_event[WR_R_COUNT];
};

static inline void wr_count(struct wr_lcore *lc, enum wr_reason r, uint64_t n)
{
	wr_counter_add(&lc->stats->reason[r], n);
}

static inline void wr_fate(struct wr_lcore *lc, enum wr_fate f, uint64_t n)
{
	wr_counter_add(&lc->stats->fate[f], n);
}

static inline uint64_t wr_random(struct wr_lcore *lc)
{
	uint64_t x = lc->rng;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return lc->rng = x;
}

/*
 * Is it worth a line about a single connection? What drops, refuses or loses something is, and a
 * store that commits before the verdict; what is routine or merely passes is a counter only.
 */
static inline bool wr_event_wanted(enum wr_reason why)
{
	enum wr_reason_default def = wr_reason_info(why)->def;

	return def == WR_RD_DROP || def == WR_RD_POLICY || why == WR_R_EARLY_SUCCESS;
}

/* Writes e to the event ring unless the reason's rate is used up; counts what it could not write.
 */
void wr_event_emit(struct wr_lcore *lc, enum wr_reason why, struct wr_event *e);

#endif
