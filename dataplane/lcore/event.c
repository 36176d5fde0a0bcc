/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/lcore.h"

#define COST  (1000000000ull / WR_EVENT_RATE)
#define BURST (COST * WR_EVENT_BURST)

void wr_event_emit(struct wr_lcore *lc, enum wr_reason why, struct wr_event *e)
{
	uint64_t at = wr_max_u64(lc->next_event[why], lc->now);
	void *slot;

	/* A leaky bucket kept as one time stamp: `at` runs ahead of now by what was spent. */
	if (at + COST - lc->now > BURST) {
		wr_count(lc, WR_R_EVENT_SUPPRESSED, 1);
		return;
	}
	if (lc->events == NULL)
		return;
	slot = wr_ring_reserve(lc->events, sizeof(*e));
	if (slot == NULL) {
		wr_count(lc, WR_R_EVENT_RING_FULL, 1);
		return;
	}
	lc->next_event[why] = at + COST;
	e->ts_ns = lc->now + lc->real;
	e->reason = (uint32_t)why;
	e->worker = lc->id;
	memcpy(slot, e, sizeof(*e));
	wr_ring_commit(lc->events, slot, sizeof(*e), WR_EVENT_TAG);
	wr_counter_add(&lc->stats->events_written, 1);
}
