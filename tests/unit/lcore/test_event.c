/* SPDX-License-Identifier: BSD-3-Clause */
/* Events: so many per second and reason, what is left out is counted, and nothing blocks. */
#include "lcore/lcore.h"
#include "tap.h"

#define RING 4096u
#define S    1000000000ull

static struct wr_lcore lc;
static struct wr_stats stats;
static struct wr_ring *ring;

static uint64_t count(enum wr_reason r)
{
	return wr_counter_get(&stats.reason[r]);
}

static uint32_t take(struct wr_event *last)
{
	uint32_t n = 0, size, tag;
	const void *p;

	while (wr_ring_peek(ring, RING, &p, &size, &tag) == 1) {
		if (size != sizeof(*last) || tag != WR_EVENT_TAG)
			break;
		memcpy(last, p, size);
		wr_ring_pop(ring, size);
		n++;
	}
	return n;
}

static void emit(enum wr_reason why, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct wr_event e = { .a = i, .client_port = 7 };

		wr_event_emit(&lc, why, &e);
	}
}

static void rate(void)
{
	struct wr_event e = { 0 };

	emit(WR_R_BARE_LF, WR_EVENT_BURST);
	IS(take(&e), WR_EVENT_BURST, "a first burst is told in full");
	IS(count(WR_R_EVENT_SUPPRESSED), 0, "nothing is suppressed");
	OK(e.reason == WR_R_BARE_LF && e.worker == 3 && e.client_port == 7 &&
	           e.a == WR_EVENT_BURST - 1 && e.ts_ns == lc.now + lc.real,
	   "reason, worker and wall clock are filled in, the rest is the caller's");
	emit(WR_R_BARE_LF, 1);
	IS(take(&e), 0, "one more is one too many");
	IS(count(WR_R_EVENT_SUPPRESSED), 1, "and is counted");
	emit(WR_R_BARE_CR, WR_EVENT_BURST + 1);
	IS(take(&e), WR_EVENT_BURST, "another reason has a burst of its own");
	lc.now += S / WR_EVENT_RATE - 1;
	emit(WR_R_BARE_LF, 1);
	IS(take(&e), 0, "a nanosecond before its time: none");
	lc.now += 1;
	emit(WR_R_BARE_LF, 2);
	IS(take(&e), 1, "then one");
	lc.now += 3600 * S;
	emit(WR_R_BARE_LF, 10 * WR_EVENT_BURST);
	IS(take(&e), WR_EVENT_BURST, "an hour of silence saves up no more than a burst");
}

static void ring_full(void)
{
	struct wr_event e = { 0 };
	uint64_t before = count(WR_R_EVENT_RING_FULL), written;
	uint32_t room = RING / (sizeof(e) + sizeof(struct wr_ring_slot)), n = 0;

	take(&e);
	written = wr_counter_get(&stats.events_written);
	for (uint32_t r = 1; n < room + 3; r++, n++)
		emit((enum wr_reason)(r % (WR_R_COUNT - 1) + 1), 1);
	OK(count(WR_R_EVENT_RING_FULL) > before, "nobody reads: counted, not waited for");
	OK(count(WR_R_EVENT_RING_FULL) - before + wr_counter_get(&stats.events_written) - written +
	                   0 ==
	           n,
	   "each is either written or counted");
	lc.events = NULL;
	emit(WR_R_BARE_LF, 1);
	lc.events = ring;
	OK(take(&e) > 0, "without a ring there is nothing to write to");
}

static void wanted(void)
{
	OK(wr_event_wanted(WR_R_BAD_TCP_CHECKSUM) && wr_event_wanted(WR_R_CL_TE) &&
	           wr_event_wanted(WR_R_EARLY_SUCCESS),
	   "what drops, refuses, or is an alarm is told");
	OK(!wr_event_wanted(WR_R_TCP_OOO) && !wr_event_wanted(WR_R_NOT_IP) &&
	           !wr_event_wanted(WR_R_FLOW_IDLE) && !wr_event_wanted(WR_R_NONE),
	   "what is routine or passes is not");
}

int main(void)
{
	ring = aligned_alloc(64, (wr_ring_bytes(RING) + 63) / 64 * 64);
	if (ring == NULL)
		return 2;
	memset(ring, 0, wr_ring_bytes(RING));
	wr_ring_init(ring, RING);
	lc = (struct wr_lcore){
		.now = 100 * S, .real = 1700000000 * S, .id = 3, .stats = &stats, .events = ring
	};
	rate();
	lc.now += 3600 * S;
	ring_full();
	wanted();
	free(ring);
	return tap_done();
}
