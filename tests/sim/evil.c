/* SPDX-License-Identifier: BSD-3-Clause */
/* evil - what no honest client sends: other bytes for the same numbers, early, late, broken, old.
 */
#include <string.h>

#include "sim/world.h"

/* Which of the two versions this range is sent with. */
const uint8_t *evil_source(const struct host *h, uint32_t a, uint32_t b)
{
	switch (pair_of(h)->plan.craft) {
	case DECOY_FIRST: return b <= h->top ? h->out : h->decoy;
	case MARK_EARLY: return a == h->nxt || a == h->una ? h->decoy : h->out;
	case MARK_ON_SYN: return h->decoy;
	default: return rng_chance(&sim.rng, 50) ? h->decoy : h->out;
	}
}

static void put(struct host *h, const struct seg *g, uint32_t off, uint8_t tags)
{
	struct meta m = { .off = off, .len = g->len, .tags = tags, .pair = h->pair };

	host_send(h, g, m);
}

static void broken_sum(struct host *h, uint32_t a, uint32_t b)
{
	struct seg g = host_seg(h, F_ACK, a);

	g.data = (rng_chance(&sim.rng, 50) ? h->decoy : h->out) + a;
	g.len = b - a;
	sim.seen[SIT_BAD_SUM] = 1;
	put(h, &g, a, TAG_BROKEN | TAG_SPOIL);
}

/* PAWS: the store throws it away, so must whoever reads for it. */
static void old_stamp(struct host *h, uint32_t a, uint32_t b)
{
	struct seg g = host_seg(h, F_ACK, a);

	if (!h->ts)
		return;
	g.ts -= 100000;
	g.data = (rng_chance(&sim.rng, 50) ? h->decoy : h->out) + a;
	g.len = b - a;
	sim.seen[SIT_OLD_TS] = 1;
	put(h, &g, a, TAG_BROKEN);
}

/* An RST in the window, beyond all that is ever sent: never the expected number. */
static void bogus_rst(struct host *h)
{
	uint32_t off = h->out_len + 2 + rng_below(&sim.rng, 3000);
	struct seg g = host_seg(h, F_RST, off);

	g.ack = 0;
	sim.seen[SIT_BOGUS_RST] = 1;
	put(h, &g, off, TAG_BROKEN);
}

static void bogus_fin(struct host *h, uint32_t off)
{
	struct seg g = host_seg(h, F_ACK | F_FIN, off);

	sim.seen[SIT_BOGUS_FIN] = 1;
	put(h, &g, off, TAG_BROKEN);
}

static void urgent(struct host *h, uint32_t a, uint32_t b)
{
	struct seg g = host_seg(h, F_ACK | F_URG, a);

	g.data = evil_source(h, a, b) + a;
	g.len = b - a;
	sim.seen[SIT_URGENT] = 1;
	put(h, &g, a, TAG_OVERLAP);
}

static void again_syn(struct host *h, uint32_t a)
{
	struct seg g = host_seg(h, F_SYN, 0);

	g.seq = h->isn + 1 + a;
	put(h, &g, a, TAG_BROKEN);
}

/* A range at or behind what is under way, mostly over the marked bytes. */
static bool range(const struct host *h, uint32_t *a, uint32_t *b)
{
	const struct plan *p = &pair_of(h)->plan;
	struct rng *r = &sim.rng;
	uint32_t len = 1 + rng_below(r, 1400);

	*a = h->una + rng_below(r, 4000);
	if (p->mark_end != 0 && rng_chance(r, 60)) {
		*a = p->mark_at + rng_below(r, MARK_LEN);
		*a -= rng_below(r, 100) < *a ? rng_below(r, 100) : 0;
		len = rng_chance(r, 50) ? 1 + rng_below(r, 120) : len;
	}
	if (*a < h->una || *a >= h->out_len)
		*a = h->una;
	*b = *a + len < h->out_len ? *a + len : h->out_len;
	return *a < *b && *b <= h->edge + 1;
}

void evil_mischief(struct host *h)
{
	struct rng *r = &sim.rng;
	uint32_t a, b;

	if (!range(h, &a, &b))
		return;
	switch (rng_below(r, 12)) {
	case 0: broken_sum(h, a, b); break;
	case 1: old_stamp(h, a, b); break;
	case 2: bogus_rst(h); break;
	case 3:
		if (rng_chance(r, 30))
			bogus_fin(h, rng_chance(r, 50) ? a : h->out_len + 1 + rng_below(r, 50));
		break;
	case 4: urgent(h, a, b); break;
	case 5:
		if (rng_chance(r, 20))
			again_syn(h, a);
		break;
	default: {
		const uint8_t *src = evil_source(h, a, b);

		if (rng_chance(r, 30))
			src = rng_chance(r, 50) ? h->out : h->decoy;
		host_range(h, a, b, src, TAG_OVERLAP);
	}
	}
}

/* From a third party on the path that wants to confuse: an honest connection must live through it.
 */
void evil_noise(struct host *h)
{
	uint32_t a, b;

	if (!range(h, &a, &b))
		return;
	switch (rng_below(&sim.rng, 4)) {
	case 0: broken_sum(h, a, b); break;
	case 1: old_stamp(h, a, b); break;
	case 2: bogus_rst(h); break;
	default: bogus_fin(h, h->edge + 80000 + rng_below(&sim.rng, 5000)); break;
	}
}

void evil_syn(struct host *h, struct seg *g)
{
	const struct plan *p = &pair_of(h)->plan;

	if (p->kind != EVIL || p->craft != MARK_ON_SYN)
		return;
	g->data = h->out;
	g->len = h->out_len < 1200 ? h->out_len : 1200;
	sim.seen[SIT_SYN_DATA] = 1;
}

/* The frame in two to four fragments; an evil client lets two of them disagree about some bytes. */
void evil_fragments(const struct host *h, const struct frame *whole, const struct seg *g)
{
	uint32_t n = frame_ip_payload(whole->b, whole->len), at = 0, id;
	bool lie = pair_of(h)->plan.kind == EVIL && rng_chance(&sim.rng, 40);
	struct frame other = *whole, f = { .meta = whole->meta };
	uint32_t parts = 2 + rng_below(&sim.rng, 3), step = ((n / parts) + 8) & ~7u;

	id = (uint32_t)rng_next(&sim.rng);
	if (lie && g->len != 0) {
		struct seg d = *g;

		d.data = h->decoy + whole->meta.off;
		other.len = frame_make(other.b, &h->me, &h->peer, &d);
	}
	f.meta.tags |= TAG_PIECE;
	while (at < n) {
		uint32_t to = at + step < n ? at + step : n;
		uint32_t from = lie && at >= 8 ? at - 8 : at;

		f.len = frame_cut(f.b, (lie && at != 0 ? &other : whole)->b, from, to, to < n, id);
		(void)wire_put(&sim.wire, &sim.rng, h->is_store ? STORE_TO_WEIR : CLIENT_TO_WEIR,
		               &f);
		at = to;
	}
}
