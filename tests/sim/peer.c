/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer - the two hosts: a client that uploads (honestly or not) and a store that commits bodies.
 * Small, simple TCP by its own hand: what it shares with the product is RFC 9293, no code.
 */
#include <stdio.h>
#include <string.h>

#include "sim/rig.h"

#define MS        1000000ull
#define RTO_FIRST (200 * MS)
#define WINDOW    20000u

void host_init(struct host *h, bool store, struct rng *r, uint16_t client_port)
{
	static const struct addr client = { { 10, 0, 0, 1 }, 0 }, server = { { 10, 0, 0, 2 }, 80 };

	memset(h, 0, sizeof(*h));
	h->is_store = store;
	h->me = store ? server : client;
	h->peer = store ? client : server;
	if (store)
		h->peer.port = client_port;
	else
		h->me.port = client_port;
	h->isn = rng_chance(r, 50) ? 0u - rng_below(r, 12000) : (uint32_t)rng_next(r);
	h->rto = RTO_FIRST;
	h->ts_now = (uint32_t)rng_next(r);
	h->mss = 1460;
	h->burst = 10;
}

static void emit(struct sim *s, struct host *h, uint8_t flags, uint32_t off, const uint8_t *data,
                 uint32_t len)
{
	struct seg g = {
		.seq = h->isn + ((flags & F_SYN) ? 0 : 1 + off),
		.ack = (flags & F_ACK) ? h->peer_isn + 1 + h->rcv + (h->fin_got ? 1 : 0) : 0,
		.flags = flags,
		.window = WINDOW,
		.has_ts = h->ts,
		.ts = h->ts_now + (uint32_t)(s->wire.now / MS),
		.ecr = h->ts_recent,
		.data = data,
		.len = len,
	};

	host_send(s, h, &g);
}

static void ack(struct sim *s, struct host *h)
{
	emit(s, h, F_ACK, h->nxt + (h->fin_sent ? 1 : 0), NULL, 0);
}

/* --- sending
 * ------------------------------------------------------------------------------------------ */

static bool marked(const struct sim *s, const struct host *h, uint32_t a, uint32_t b)
{
	size_t n = strlen(s->mark);

	for (uint32_t i = a; i + 1 < b; i++)
		if (memcmp(h->out + i, s->mark, 2) == 0 && i + n > b && i + n <= h->out_len &&
		    memcmp(h->out + i, s->mark, n) == 0)
			return true;
	return false;
}

static void send_range(struct sim *s, struct host *h, uint32_t a, uint32_t b)
{
	const uint8_t *src = h->out;

	if (h->evil && rng_chance(&s->rng, 50))
		src = h->decoy;
	if (!h->is_store && marked(s, h, a, b))
		s->seen[SIT_MARK_SPLIT] = 1;
	emit(s, h, F_ACK | (b == h->out_len ? F_PSH : 0), a, src + a, b - a);
}

/* What an attacker mixes in: other bytes for the same numbers, early, late, broken, old. */
static void mischief(struct sim *s, struct host *h)
{
	uint32_t a = h->una + rng_below(&s->rng, 4000);
	uint32_t len = 1 + rng_below(&s->rng, 1400), b;
	struct seg g = { .flags = F_ACK, .window = WINDOW, .has_ts = h->ts };

	if (a >= h->out_len)
		a = h->una;
	b = a + len < h->out_len ? a + len : h->out_len;
	if (a >= b)
		return;
	switch (rng_below(&s->rng, 8)) {
	case 0: /* a checksum that no host accepts: the wire test shows who believes it */
		g.seq = h->isn + 1 + a;
		g.ack = h->peer_isn + 1 + h->rcv;
		g.ts = h->ts_now + (uint32_t)(s->wire.now / MS);
		g.data = (rng_chance(&s->rng, 50) ? h->decoy : h->out) + a;
		g.len = b - a;
		{
			uint8_t f[FRAME_MAX];
			uint32_t n = frame_make(f, &h->me, &h->peer, &g);

			f[14 + 20 + 16] ^= 0x55;
			wire_put(&s->wire, &s->rng, CLIENT_TO_WEIR, f, n);
		}
		s->seen[SIT_BAD_SUM] = 1;
		break;
	case 1: /* PAWS: the store throws it away, so must whoever reads for it */
		if (!h->ts)
			break;
		g.seq = h->isn + 1 + a;
		g.ack = h->peer_isn + 1 + h->rcv;
		g.ts = h->ts_now - 100000;
		g.data = (rng_chance(&s->rng, 50) ? h->decoy : h->out) + a;
		g.len = b - a;
		host_send(s, h, &g);
		s->seen[SIT_OLD_TS] = 1;
		break;
	case 2: /* an RST that is in the window but not at the expected number */
		g.seq = h->isn + 1 + h->nxt + 1 + rng_below(&s->rng, 5000);
		g.flags = F_RST;
		g.ts = h->ts_now + (uint32_t)(s->wire.now / MS);
		host_send(s, h, &g);
		s->seen[SIT_BOGUS_RST] = 1;
		break;
	default: send_range(s, h, a, b); break;
	}
}

static void send_data(struct sim *s, struct host *h)
{
	uint32_t n = 0;

	while (h->open && !h->dead && h->nxt < h->out_len && h->nxt < h->una + h->wnd &&
	       n++ < h->burst) {
		uint32_t len = 1 + rng_below(&s->rng, h->mss), room = h->una + h->wnd - h->nxt;

		if (rng_chance(&s->rng, 60))
			len = h->mss;
		if (len > h->out_len - h->nxt)
			len = h->out_len - h->nxt;
		if (len > room)
			len = room;
		if (h->evil && rng_chance(&s->rng, 40))
			mischief(s, h);
		send_range(s, h, h->nxt, h->nxt + len);
		h->nxt += len;
		if (h->rto_at == 0)
			h->rto_at = s->wire.now + h->rto;
	}
	if (h->open && h->want_fin && !h->fin_sent && h->nxt == h->out_len) {
		emit(s, h, F_ACK | F_FIN, h->nxt, NULL, 0);
		h->fin_sent = true;
		if (h->rto_at == 0)
			h->rto_at = s->wire.now + h->rto;
	}
}

static void timer(struct sim *s, struct host *h)
{
	uint32_t len;

	if (!h->is_store && !h->open && !h->dead && s->wire.now >= h->syn_at) {
		emit(s, h, F_SYN, 0, NULL, 0);
		h->syn_at = s->wire.now + RTO_FIRST;
		return;
	}
	if (h->dead || h->rto_at == 0 || s->wire.now < h->rto_at)
		return;
	if (h->una == h->nxt && !(h->fin_sent && !h->fin_acked)) {
		h->rto_at = 0;
		return;
	}
	h->rto = h->rto < 3200 * MS ? h->rto * 2 : h->rto;
	h->rto_at = s->wire.now + h->rto;
	if (!h->is_store)
		s->seen[SIT_RTO] = 1;
	if (h->una == h->nxt) {
		emit(s, h, F_ACK | F_FIN, h->nxt, NULL, 0);
		return;
	}
	len = h->nxt - h->una;
	if (len > h->mss)
		len = rng_chance(&s->rng, 70) ? h->mss : 1 + rng_below(&s->rng, h->mss);
	if (!h->is_store)
		s->seen[SIT_REPEAT] = 1;
	send_range(s, h, h->una, h->una + len);
}

/* --- receiving
 * ---------------------------------------------------------------------------------------- */

static void place(struct sim *s, struct host *h, uint32_t off, const struct seg *g)
{
	bool replace = h->policy == LAST_WINS;

	if (h->policy == LINUX_LIKE) {
		/* A later segment that starts before a queued one replaces it. */
		uint32_t first = off;

		while (first < off + g->len && first < STREAM_MAX && !h->have[first])
			first++;
		replace = first > off;
	}
	for (uint32_t i = 0; i < g->len; i++) {
		uint32_t at = off + i;

		if (at < h->rcv || at >= STREAM_MAX || (h->have[at] && !replace))
			continue;
		if (s->verbose && h->have[at] && h->in[at] != g->data[i])
			printf("  CONFLICT at the host: offset %u, seg %u+%u\n", at, off, g->len);
		h->in[at] = g->data[i];
		h->have[at] = 1;
		if (at >= h->in_top)
			h->in_top = at + 1;
	}
	while (h->rcv < h->in_top && h->have[h->rcv])
		h->rcv++;
}

static bool find(const uint8_t *b, uint32_t n, const char *what, uint32_t *at)
{
	uint32_t m = (uint32_t)strlen(what);

	for (uint32_t i = 0; i + m <= n; i++) {
		if (memcmp(b + i, what, m) == 0) {
			*at = i;
			return true;
		}
	}
	return false;
}

extern const uint8_t listed_body[];
extern const uint32_t listed_len;

static void commit(struct sim *s, struct host *h, uint32_t len)
{
	uint32_t at;

	h->commits++;
	if (find(h->body, len, s->mark, &at) ||
	    (len == listed_len && memcmp(h->body, listed_body, len) == 0))
		h->bad_commits++;
}

static uint32_t number(const uint8_t *b, uint32_t n, uint32_t base, uint32_t *used)
{
	uint32_t v = 0, i;

	for (i = 0; i < n; i++) {
		uint32_t d = 99;

		if (b[i] >= '0' && b[i] <= '9')
			d = (uint32_t)(b[i] - '0');
		else if (b[i] >= 'a' && b[i] <= 'f')
			d = (uint32_t)(b[i] - 'a') + 10;
		if (d >= base)
			break;
		v = v * base + d;
	}
	*used = i;
	return v;
}

/* One request at h->parsed, if it is whole: commits it. */
static bool one_request(struct sim *s, struct host *h)
{
	const uint8_t *b = h->in + h->parsed;
	uint32_t n = h->rcv - h->parsed, head, at, used, len = 0, pos;

	if (!find(b, n, "\r\n\r\n", &head))
		return false;
	pos = head + 4;
	if (find(b, head, "Content-Length: ", &at)) {
		len = number(b + at + 16, head - at - 16, 10, &used);
		if (n - pos < len)
			return false;
		memcpy(h->body, b + pos, len);
		pos += len;
	} else {
		for (;;) {
			uint32_t size, line;

			if (!find(b + pos, n - pos, "\r\n", &line))
				return false;
			size = number(b + pos, line, 16, &used);
			if (n - pos < line + 2 + size + 2)
				return false;
			memcpy(h->body + len, b + pos + line + 2, size);
			len += size;
			pos += line + 2 + size + 2;
			if (size == 0)
				break;
		}
	}
	h->parsed += pos;
	commit(s, h, len);
	return true;
}

static void store_app(struct sim *s, struct host *h)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

	while (one_request(s, h))
		if (h->answer_at == 0)
			h->answer_at = s->wire.now + h->slow_ms * MS;
	if (h->responded < h->commits && s->wire.now >= h->answer_at) {
		while (h->responded < h->commits && h->out_len + sizeof(ok) < STREAM_MAX) {
			memcpy(h->out + h->out_len, ok, sizeof(ok) - 1);
			h->out_len += (uint32_t)sizeof(ok) - 1;
			h->responded++;
		}
		h->answer_at = 0;
	}
}

static void take_ack(struct sim *s, struct host *h, const struct seg *g)
{
	uint32_t off = g->ack - (h->isn + 1);

	if (!(g->flags & F_ACK) || (int32_t)off < 0 || off > h->nxt + 1)
		return;
	if (off > h->nxt) {
		h->fin_acked = h->fin_sent;
		off = h->nxt;
	}
	h->wnd = g->window;
	if (off > h->una) {
		h->una = off;
		h->rto = RTO_FIRST;
		h->dupacks = 0;
		h->rto_at = h->una < h->nxt ? s->wire.now + h->rto : 0;
	} else if (g->len == 0 && h->una < h->nxt && ++h->dupacks == 3) {
		uint32_t len = h->nxt - h->una < h->mss ? h->nxt - h->una : h->mss;

		h->dupacks = 0;
		if (!h->is_store)
			s->seen[SIT_REPEAT] = 1;
		send_range(s, h, h->una, h->una + len);
	}
}

static void handshake(struct sim *s, struct host *h, const struct seg *g)
{
	if (!h->is_store && (!(g->flags & F_ACK) || g->ack != h->isn + 1))
		return;
	h->peer_isn = g->seq;
	h->ts = h->ts && g->has_ts;
	h->ts_recent = g->ts;
	h->wnd = g->window;
	if (h->is_store) {
		emit(s, h, F_SYN | F_ACK, 0, NULL, 0);
	} else {
		h->open = true;
		ack(s, h);
	}
}

static void take_rst(struct sim *s, struct host *h, const struct seg *g)
{
	uint32_t want = h->peer_isn + 1 + h->rcv + (h->fin_got ? 1 : 0);

	if (g->seq == want) {
		h->dead = h->got_rst = true;
		return;
	}
	/* RFC 5961 3.2: in the window but not exact: a challenge. */
	if (g->seq - want < WINDOW) {
		if (h->is_store)
			s->seen[SIT_CHALLENGE] = 1;
		ack(s, h);
	}
}

void host_segment(struct sim *s, struct host *h, const struct seg *g)
{
	uint32_t off = g->seq - (h->peer_isn + 1);
	int32_t rel;

	if (!g->csum_ok)
		return;
	if (g->flags & F_RST) {
		if (h->open || (h->is_store && h->peer_isn != 0))
			take_rst(s, h, g);
		return;
	}
	if (h->dead) { /* a closed socket answers everything with RST */
		struct seg r = { .seq = g->ack, .flags = F_RST };

		host_send(s, h, &r);
		return;
	}
	if (g->flags & F_SYN) {
		if (!h->open)
			handshake(s, h, g);
		else
			ack(s, h);
		return;
	}
	if (h->is_store && !h->open) {
		if (!(g->flags & F_ACK) || g->ack != h->isn + 1)
			return;
		h->open = true;
	}
	if (!h->open)
		return;
	if (h->ts && g->has_ts && (int32_t)(g->ts - h->ts_recent) < 0) {
		ack(s, h);
		return;
	}
	rel = (int32_t)(off - h->rcv);
	if (rel > (int32_t)WINDOW || rel < -(int32_t)(2 * WINDOW)) {
		ack(s, h);
		return;
	}
	if (h->ts && g->has_ts && rel <= 0)
		h->ts_recent = g->ts;
	take_ack(s, h, g);
	if (g->len != 0 && !h->fin_got)
		place(s, h, off, g);
	if ((g->flags & F_FIN) && off + g->len == h->rcv)
		h->fin_got = true;
	if (h->is_store)
		store_app(s, h);
	if (g->len != 0 || (g->flags & F_FIN) || rel != 0)
		ack(s, h);
	send_data(s, h);
}

void host_tick(struct sim *s, struct host *h)
{
	if (h->is_store && h->open && !h->dead)
		store_app(s, h);
	timer(s, h);
	send_data(s, h);
}

uint64_t host_next(const struct host *h, uint64_t now)
{
	uint64_t at = UINT64_MAX;

	if (h->dead)
		return at;
	if (!h->is_store && !h->open)
		return h->syn_at > now ? h->syn_at : now + 1;
	if (h->rto_at != 0)
		at = h->rto_at;
	if (h->answer_at != 0 && h->answer_at < at)
		at = h->answer_at;
	return at > now ? at : now + 1;
}
