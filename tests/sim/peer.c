/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer - a host's TCP, small and by its own hand: what it shares with the product is RFC 9293,
 * 2018, 5961, 7323, no code.
 */
#include <stdio.h>
#include <string.h>

#include "sim/world.h"

#define RTO_FIRST (200 * MS)
#define RTO_MAX   (3200 * MS)

void host_init(struct host *h, bool store, uint32_t pair)
{
	struct rng *r = &sim.rng;
	uint32_t used = h->in_top, sent = h->top;

	memset(h, 0, offsetof(struct host, out));
	memset(h->have, 0, used < STREAM_MAX ? used + 1 : STREAM_MAX);
	memset(h->sacked, 0, sent < STREAM_MAX ? sent + 1 : STREAM_MAX);
	h->is_store = store;
	h->pair = (uint8_t)pair;
	h->isn = rng_chance(r, 50) ? 0u - rng_below(r, 12000) : (uint32_t)rng_next(r);
	h->rto = RTO_FIRST;
	h->ts_now = (uint32_t)rng_next(r);
	h->mss = 1460;
	h->burst = 10;
}

static uint32_t window_of(const struct host *h)
{
	uint32_t edge = h->read + h->rbuf;

	return edge > h->rcv ? edge - h->rcv : 0;
}

struct seg host_seg(const struct host *h, uint8_t flags, uint32_t off)
{
	uint32_t win = window_of(h);
	struct seg g = {
		.seq = h->isn + ((flags & F_SYN) ? 0 : 1 + off),
		.ack = (flags & F_ACK) ? h->peer_isn + 1 + h->rcv + (h->fin_got ? 1 : 0) : 0,
		.flags = flags,
		.has_ts = h->ts,
		.ts = h->ts_now + (uint32_t)(sim.wire.now / MS),
		.ecr = h->ts_recent,
	};

	if (!(flags & F_SYN) && h->scaled)
		win >>= h->shift;
	g.window = (uint16_t)(win > 65535 ? 65535 : win);
	if (flags & F_SYN) {
		g.has_wscale = h->has_wscale;
		g.wscale = h->shift;
		g.sack_ok = h->sack;
	}
	return g;
}

static void emit(struct host *h, const struct seg *g, uint32_t off, uint8_t tags)
{
	struct meta m = {
		.off = off, .len = g->len, .tags = tags, .pair = h->pair, .is_store = h->is_store
	};

	host_send(h, g, m);
}

/* Up to three ranges that are there behind a gap; the newest need not be first for our readers. */
static void sack_blocks(struct host *h, struct seg *g)
{
	uint32_t pos = h->rcv;
	uint32_t most = h->ts ? 3 : SACK_BLOCKS;

	while (pos < h->in_top && g->nsack < most) {
		const uint8_t *a = memchr(h->have + pos, 1, h->in_top - pos), *b;

		if (a == NULL)
			break;
		b = memchr(a, 0, (size_t)(h->have + h->in_top - a));
		if (b == NULL)
			b = h->have + h->in_top;
		g->sack[g->nsack][0] = h->peer_isn + 1 + (uint32_t)(a - h->have);
		g->sack[g->nsack++][1] = h->peer_isn + 1 + (uint32_t)(b - h->have);
		pos = (uint32_t)(b - h->have);
	}
	if (g->nsack != 0 && h->is_store)
		sim.seen[SIT_SACK] = 1;
}

void host_ack(struct host *h)
{
	uint32_t off = h->nxt + (h->fin_sent ? 1 : 0);
	struct seg g = host_seg(h, F_ACK, off);

	if (h->sack && h->in_top > h->rcv)
		sack_blocks(h, &g);
	if (h->is_store && g.window == 0)
		sim.seen[SIT_ZERO_WINDOW] = 1;
	h->offered = h->read + h->rbuf;
	emit(h, &g, off, 0);
}

/* --- sending
 * ------------------------------------------------------------------------------------------ */

void host_range(struct host *h, uint32_t a, uint32_t b, const uint8_t *src, uint8_t tags)
{
	struct seg g = host_seg(h, (uint8_t)(F_ACK | (b == h->out_len ? F_PSH : 0)), a);
	const struct plan *p = &pair_of(h)->plan;

	g.data = src + a;
	g.len = b - a;
	if (!h->is_store && p->mark_end > p->mark_at && a < p->mark_end && b > p->mark_at) {
		if (p->kind == EVIL)
			tags |= TAG_DECOY;
		if (b < p->mark_end || a > p->mark_at)
			sim.seen[SIT_MARK_SPLIT] = 1;
	}
	if (b > h->top)
		h->top = b;
	if (p->hole != 0 && !h->is_store &&
	    (p->hole == 2 ? a == 0 : a < p->req[p->bad].start && b + 1 >= p->req[p->bad].start)) {
		/* What the bad request stands behind is lost once, what follows is not. */
		pair_of(h)->plan.hole = 0;
		return;
	}
	emit(h, &g, a, tags);
}

static void send_range(struct host *h, uint32_t a, uint32_t b, uint8_t tags)
{
	const uint8_t *src = h->out;

	if (!h->is_store && pair_of(h)->plan.kind == EVIL)
		src = evil_source(h, a, b);
	host_range(h, a, b, src, tags);
}

static void arm(struct host *h)
{
	if (h->rto_at == 0)
		h->rto_at = sim.wire.now + h->rto;
}

static void send_fin(struct host *h)
{
	struct seg g = host_seg(h, F_ACK | F_FIN, h->nxt);

	emit(h, &g, h->nxt, 0);
	h->fin_sent = true;
}

static void send_data(struct host *h)
{
	const struct plan *p = &pair_of(h)->plan;
	uint32_t n = 0, stop = h->is_store ? h->out_len : h->limit;

	while (h->open && !h->dead && h->nxt < stop && h->nxt < h->edge && n++ < h->burst) {
		uint32_t len = 1 + rng_below(&sim.rng, h->mss), room = h->edge - h->nxt;

		if (rng_chance(&sim.rng, 60))
			len = h->mss;
		if (len > stop - h->nxt)
			len = stop - h->nxt;
		if (len > room)
			len = room;
		if (!h->is_store && p->kind == EVIL && rng_chance(&sim.rng, 40))
			evil_mischief(h);
		else if (!h->is_store && p->noise && rng_chance(&sim.rng, 15))
			evil_noise(h);
		send_range(h, h->nxt, h->nxt + len, 0);
		h->nxt += len;
		arm(h);
	}
	if (h->open && !h->dead && h->want_fin && !h->fin_sent && h->nxt == h->out_len) {
		send_fin(h);
		arm(h);
	}
	/* The window is shut and nothing is under way that would open it. */
	if (h->open && !h->dead && h->nxt < stop && h->nxt >= h->edge && h->una == h->nxt) {
		if (h->persist_at == 0)
			h->persist_at = sim.wire.now + h->rto;
	} else {
		h->persist_at = 0;
	}
}

static void persist(struct host *h)
{
	if (h->persist_at == 0 || sim.wire.now < h->persist_at || h->dead)
		return;
	h->persist_at = sim.wire.now + h->rto;
	if (h->linux_probe && h->nxt > 0) { /* an old number, no byte: what Linux sends */
		struct seg g = host_seg(h, F_ACK, h->una - 1);

		emit(h, &g, h->una - 1, TAG_PROBE);
		return;
	}
	if (!h->is_store)
		sim.seen[SIT_PROBE] = 1;
	send_range(h, h->nxt, h->nxt + 1, TAG_PROBE);
	h->nxt++;
	arm(h);
}

/* The holes below the highest byte that the peer has said it has. */
static void selective(struct host *h)
{
	uint32_t pos = h->una, n = 0;

	while (pos < h->sack_top && n++ < 4) {
		const uint8_t *a = memchr(h->sacked + pos, 0, h->sack_top - pos), *b;
		uint32_t len;

		if (a == NULL)
			break;
		b = memchr(a, 1, (size_t)(h->sacked + h->sack_top - a));
		len = (uint32_t)((b != NULL ? b : h->sacked + h->sack_top) - a);
		pos = (uint32_t)(a - h->sacked);
		if (len > h->mss)
			len = h->mss;
		if (!h->is_store)
			sim.seen[SIT_SACK_REPEAT] = sim.seen[SIT_REPEAT] = 1;
		send_range(h, pos, pos + len, 0);
		pos += len;
	}
}

static void repeat_first(struct host *h, uint8_t tags)
{
	uint32_t len = h->nxt - h->una;

	if (len > h->mss)
		len = rng_chance(&sim.rng, 70) ? h->mss : 1 + rng_below(&sim.rng, h->mss);
	if ((tags & TAG_RTO) && rng_chance(&sim.rng, 15)) {
		tags |= TAG_PROBE;
		len = 1;
	}
	if (!h->is_store)
		sim.seen[SIT_REPEAT] = 1;
	send_range(h, h->una, h->una + len, tags);
}

static void timer(struct host *h)
{
	if (h->dead || h->rto_at == 0 || sim.wire.now < h->rto_at)
		return;
	if (h->una == h->nxt && !(h->fin_sent && !h->fin_acked)) {
		h->rto_at = 0;
		return;
	}
	h->rto = h->rto < RTO_MAX ? h->rto * 2 : h->rto;
	h->rto_at = sim.wire.now + h->rto;
	if (!h->is_store)
		sim.seen[SIT_RTO] = 1;
	/* RFC 2018: what was said by SACK may have been thrown away since. */
	memset(h->sacked + h->una, 0, h->nxt - h->una);
	h->sack_top = h->una;
	if (h->una == h->nxt)
		send_fin(h);
	else
		repeat_first(h, TAG_RTO);
}

static void connect_timer(struct host *h)
{
	struct seg g;

	if (h->is_store || h->open || h->dead || sim.wire.now < h->syn_at || !pair_of(h)->begun)
		return;
	g = host_seg(h, F_SYN, 0);
	evil_syn(h, &g);
	emit(h, &g, 0, 0);
	h->syn_at = sim.wire.now + RTO_FIRST;
}

/* --- receiving
 * ---------------------------------------------------------------------------------------- */

static void take_sack(struct host *h, const struct seg *g)
{
	for (uint32_t i = 0; i < g->nsack; i++) {
		uint32_t a = g->sack[i][0] - (h->isn + 1), b = g->sack[i][1] - (h->isn + 1);

		if (a >= b || b > h->nxt || a < h->una)
			continue;
		memset(h->sacked + a, 1, b - a);
		if (b > h->sack_top)
			h->sack_top = b;
	}
}

static void take_ack(struct host *h, const struct seg *g)
{
	uint32_t off = g->ack - (h->isn + 1), edge;

	if (!(g->flags & F_ACK) || (int32_t)off < 0 || off > h->nxt + 1)
		return;
	edge = off + ((uint32_t)g->window << (h->scaled ? h->peer_shift : 0));
	if (off > h->nxt) {
		h->fin_acked = h->fin_sent;
		off = h->nxt;
	}
	if (off >= h->una && edge > h->edge)
		h->edge = edge;
	if (h->sack)
		take_sack(h, g);
	if (off > h->una) {
		h->una = off;
		h->rto = RTO_FIRST;
		h->dupacks = 0;
		h->rto_at = h->una < h->nxt || (h->fin_sent && !h->fin_acked)
		                    ? sim.wire.now + h->rto
		                    : 0;
		if (h->una < h->recover && h->sack_top > h->una && sim.wire.now >= h->again_at)
			selective(h);
	} else if (g->len == 0 && h->una < h->nxt && ++h->dupacks >= 3 &&
	           sim.wire.now >= h->again_at) {
		h->dupacks = 0;
		h->again_at =
		        sim.wire.now + 20 * MS; /* about a round trip: repeats must not breed */
		h->recover = h->nxt;
		if (h->sack && h->sack_top > h->una)
			selective(h);
		else
			repeat_first(h, 0);
	}
}

static void handshake(struct host *h, const struct seg *g)
{
	if (!h->is_store && (!(g->flags & F_ACK) || g->ack != h->isn + 1))
		return;
	h->peer_isn = g->seq;
	h->ts = h->ts && g->has_ts;
	h->sack = h->sack && g->sack_ok;
	h->has_wscale = h->has_wscale && g->has_wscale;
	h->peer_shift = g->wscale;
	h->ts_recent = g->ts;
	if (h->edge < g->window)
		h->edge = g->window;
	if (h->is_store) {
		struct seg a;

		/* A store that takes data on a SYN as TCP Fast Open would have it. */
		if (g->len != 0 && pair_of(h)->plan.kind == EVIL)
			host_place(h, 0, g);
		a = host_seg(h, F_SYN | F_ACK, 0);
		h->scaled = h->has_wscale;
		emit(h, &a, 0, 0);
	} else {
		h->scaled = h->has_wscale;
		h->open = true;
		host_ack(h);
	}
}

static void take_rst(struct host *h, const struct seg *g)
{
	uint32_t want = h->peer_isn + 1 + h->rcv + (h->fin_got ? 1 : 0);

	if (g->seq == want) {
		h->dead = h->got_rst = true;
		return;
	}
	/* RFC 5961 3.2: in the window but not exact: a challenge. */
	if (g->seq - want < 65536) {
		if (h->is_store)
			sim.seen[SIT_CHALLENGE] = 1;
		host_ack(h);
	}
}

/* True: the segment is not for an open connection's data. */
static bool outside(struct host *h, const struct seg *g)
{
	if (g->flags & F_RST) {
		if (!h->dead && (h->open || (h->is_store && h->peer_isn != 0)))
			take_rst(h, g);
		return true;
	}
	if (h->dead) { /* a closed socket answers everything with RST */
		struct seg r = { .seq = g->ack, .flags = F_RST };

		if (g->flags & F_ACK)
			emit(h, &r, 0, 0);
		return true;
	}
	if (g->flags & F_SYN) {
		if (!h->open)
			handshake(h, g);
		else
			host_ack(h);
		return true;
	}
	if (h->is_store && !h->open) {
		if (!(g->flags & F_ACK) || g->ack != h->isn + 1 ||
		    g->seq - (h->peer_isn + 1) > 65536 || h->peer_isn == 0)
			return true;
		h->open = true;
	}
	return !h->open;
}

static void renege(struct host *h)
{
	if (!h->renegs || h->in_top <= h->rcv || !rng_chance(&sim.rng, 10))
		return;
	memset(h->have + h->rcv, 0, h->in_top - h->rcv);
	h->in_top = h->rcv;
	sim.seen[SIT_RENEGE] = 1;
}

void host_segment(struct host *h, const struct seg *g)
{
	uint32_t off = g->seq - (h->peer_isn + 1);
	int32_t rel;

	if (!g->csum_ok || outside(h, g))
		return;
	if (h->ts && g->has_ts && (int32_t)(g->ts - h->ts_recent) < 0) {
		host_ack(h);
		return;
	}
	rel = (int32_t)(off - h->rcv);
	if (rel > 70000 || rel < -140000) {
		host_ack(h);
		return;
	}
	if (h->ts && g->has_ts && rel <= 0)
		h->ts_recent = g->ts;
	take_ack(h, g);
	if (g->len != 0 && !h->fin_got)
		host_place(h, off, g);
	if ((g->flags & F_FIN) && off + g->len == h->rcv)
		h->fin_got = true;
	renege(h);
	if (h->is_store)
		store_app(pair_of(h));
	else
		client_app(pair_of(h));
	if (g->len != 0 || (g->flags & F_FIN) || rel < 0)
		host_ack(h);
	send_data(h);
}

/* A probe of the last byte that was acknowledged: nothing, or one byte of rubbish. */
static void keep_alive(struct host *h)
{
	struct seg g;

	if (h->alive_at == 0 || sim.wire.now < h->alive_at || h->dead || !h->open)
		return;
	h->alive_at = 0;
	if (h->una != h->nxt || h->nxt == 0 || h->fin_sent)
		return;
	g = host_seg(h, F_ACK, h->nxt - 1);
	if (rng_chance(&sim.rng, 50)) {
		g.data = (const uint8_t *)"?";
		g.len = 1;
	}
	sim.seen[SIT_KEEP_ALIVE] = 1;
	emit(h, &g, h->nxt - 1, TAG_BROKEN);
}

/* Its application has looked away and reads again: a window update. */
static void wake(struct host *h)
{
	if (h->read < h->rcv && sim.wire.now >= h->pause_to) {
		h->read = h->rcv;
		if (h->is_store)
			store_app(pair_of(h));
		if (h->open && !h->dead && h->read + h->rbuf > h->offered)
			host_ack(h);
	}
}

void host_tick(struct host *h)
{
	if (h->dead)
		return;
	wake(h);
	if (h->is_store && h->open)
		store_app(pair_of(h));
	else if (!h->is_store && h->open)
		client_app(pair_of(h));
	connect_timer(h);
	timer(h);
	persist(h);
	keep_alive(h);
	send_data(h);
}

static void sooner(uint64_t *at, uint64_t t)
{
	if (t != 0 && t < *at)
		*at = t;
}

uint64_t host_next(const struct host *h)
{
	const struct pair *p = &sim.pair[h->pair];
	uint64_t at = UINT64_MAX;

	if (h->dead)
		return at;
	if (!h->is_store && !p->begun)
		return p->plan.begin;
	if (!h->is_store && !h->open)
		sooner(&at, h->syn_at != 0 ? h->syn_at : sim.wire.now + 1);
	sooner(&at, h->rto_at);
	sooner(&at, h->persist_at);
	if (h->open)
		sooner(&at, h->alive_at);
	if (!h->is_store)
		sooner(&at, h->expect_at);
	if (h->is_store)
		sooner(&at, p->shop.answer_at);
	if (h->read < h->rcv)
		sooner(&at, h->pause_to);
	return at > sim.wire.now ? at : sim.wire.now + 1;
}
