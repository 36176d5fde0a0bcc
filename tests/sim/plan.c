/* SPDX-License-Identifier: BSD-3-Clause */
/* plan - what a schedule is: connections, requests, bodies, faults of the wire. All from its seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "sim/world.h"

#define BODY_MAX 12000u

const char mark[MARK_LEN + 1] =
        "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
uint8_t listed_body[LISTED_LEN];

/* A body under construction: what is wanted in it and, for an evil client, its harmless twin. */
static struct text {
	uint8_t real[BODY_MAX], twin[BODY_MAX];
	uint32_t len, mark_at, mark_end; /* of the marked bytes; 0 0 = none */
} text;

static struct out { /* where the stream goes: the client's, and its second version */
	struct host *h;
	struct plan *p;
	uint32_t at;
} o;

static bool chance(uint32_t percent)
{
	return rng_chance(&sim.rng, percent);
}

static uint32_t below(uint32_t n)
{
	return rng_below(&sim.rng, n);
}

static void put(const void *p, uint32_t n)
{
	if (o.at + n > STREAM_MAX)
		abort();
	memcpy(o.h->out + o.at, p, n);
	if (o.p->kind == EVIL)
		memcpy(o.h->decoy + o.at, p, n);
	o.at += n;
}

static void puts_(const char *s)
{
	put(s, (uint32_t)strlen(s));
}

/* Bytes [from, from + n) of the text, and where in the stream the marked ones come to lie. */
static void put_text(uint32_t from, uint32_t n)
{
	if (o.at + n > STREAM_MAX)
		abort();
	memcpy(o.h->out + o.at, text.real + from, n);
	if (o.p->kind == EVIL)
		memcpy(o.h->decoy + o.at, text.twin + from, n);
	if (text.mark_end != 0 && text.mark_at >= from && text.mark_at < from + n)
		o.p->mark_at = o.at + text.mark_at - from;
	if (text.mark_end != 0 && text.mark_end > from && text.mark_end <= from + n)
		o.p->mark_end = o.at + text.mark_end - from;
	o.at += n;
}

static void letters(uint8_t *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 8) {
		uint64_t x = rng_next(&sim.rng);

		for (uint32_t k = i; k < n && k < i + 8; k++, x >>= 8)
			b[k] = (uint8_t)('a' + (x & 15));
	}
}

static void make_text(bool bad, bool tiny)
{
	enum kind kind = o.p->kind;
	bool listed = bad && (kind == LISTED || (kind == EVIL && chance(25)));
	bool marked = bad && !listed;

	text.len = tiny || chance(20) ? below(60) : below(9000);
	text.mark_at = text.mark_end = 0;
	if (listed) {
		text.len = LISTED_LEN;
		memcpy(text.real, listed_body, LISTED_LEN);
	} else {
		if (marked)
			text.len += MARK_LEN;
		letters(text.real, text.len);
	}
	if (marked) {
		/* Near the start where a SYN is to carry it. */
		text.mark_at = below(text.len - MARK_LEN + 1);
		if (o.p->craft == MARK_ON_SYN && text.mark_at > 600)
			text.mark_at = below(600);
		text.mark_end = text.mark_at + MARK_LEN;
		memcpy(text.real + text.mark_at, mark, MARK_LEN);
	}
	if (kind != EVIL)
		return;
	memcpy(text.twin, text.real, text.len);
	if (marked) {
		memset(text.twin + text.mark_at, 'z', MARK_LEN);
	} else if (listed) {
		text.mark_at = below(LISTED_LEN);
		text.mark_end = text.mark_at + 1;
		text.twin[text.mark_at] = 'z';
	}
}

/* --- one request
 * ------------------------------------------------------------------------------------------ */

static void put_chunks(void)
{
	uint32_t pos = 0;
	char line[16];

	while (pos < text.len) {
		uint32_t n = 1 + below(2000);

		if (n > text.len - pos)
			n = text.len - pos;
		sprintf(line, "%x\r\n", n);
		puts_(line);
		put_text(pos, n);
		puts_("\r\n");
		pos += n;
	}
	puts_("0\r\n\r\n");
}

static void zip(void)
{
	static uint8_t packed[BODY_MAX];
	z_stream z = { .next_in = text.real,
		       .avail_in = text.len,
		       .next_out = packed,
		       .avail_out = BODY_MAX };

	if (deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
	    deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	text.len = (uint32_t)z.total_out;
	deflateEnd(&z);
	memcpy(text.real, packed, text.len);
	text.mark_at = text.mark_end = 0;
}

/* Files of a form; the one that must not arrive is one of them. */
static void put_form(bool bad, bool tiny)
{
	static struct host scratch;
	static struct plan plan;
	uint32_t n = 1 + below(3), which = below(n), start;
	struct out real = o;
	char head[80];

	/* Written aside first: its length stands in the head. */
	scratch.in_top = 0;
	plan = *o.p;
	o = (struct out){ &scratch, &plan, 0 };
	plan.mark_at = plan.mark_end = 0;
	for (uint32_t i = 0; i < n; i++) {
		make_text(bad && i == which, tiny);
		puts_(FORM_LINE "\r\nContent-Disposition: form-data; name=\"f\"; "
		                "filename=\"x.bin\"\r\n"
		                "Content-Type: application/octet-stream\r\n\r\n");
		put_text(0, text.len);
		puts_("\r\n");
	}
	puts_(FORM_LINE "--\r\n");
	start = o.at;
	o = real;
	sprintf(head, "Content-Length: %u\r\n\r\n", start);
	puts_(head);
	if (plan.mark_end != 0) {
		o.p->mark_at = o.at + plan.mark_at;
		o.p->mark_end = o.at + plan.mark_end;
	}
	o.p->req[o.p->requests - 1].body = o.at;
	if (o.p->kind == EVIL)
		memcpy(o.h->decoy + o.at, scratch.decoy, start);
	memcpy(o.h->out + o.at, scratch.out, start);
	o.at += start;
}

static void put_request(uint32_t i, bool tiny)
{
	struct request *q = &o.p->req[i];
	bool bad = i == o.p->bad;
	char line[80];

	q->start = o.at;
	sprintf(line, "%s /o%u HTTP/1.1\r\nHost: store\r\n", chance(70) ? "PUT" : "POST", i);
	puts_(line);
	if (q->expect)
		puts_("Expect: 100-continue\r\n");
	if (q->form == FORM)
		puts_("Content-Type: multipart/form-data; boundary=sep4r8tor\r\n");
	if (q->form == GZIP || q->form == GZIP_CHUNKED)
		puts_("Content-Encoding: gzip\r\n");
	if (q->form == FORM) {
		uint32_t all = o.p->requests;

		o.p->requests = i + 1;
		put_form(bad, tiny);
		o.p->requests = all;
	} else {
		make_text(bad, tiny);
		if (q->form == GZIP || q->form == GZIP_CHUNKED)
			zip();
		if (q->form == CHUNKED || q->form == GZIP_CHUNKED) {
			puts_("Transfer-Encoding: chunked\r\n\r\n");
			q->body = o.at;
			put_chunks();
		} else {
			sprintf(line, "Content-Length: %u\r\n\r\n", text.len);
			puts_(line);
			q->body = o.at;
			put_text(0, text.len);
		}
	}
	q->end = o.at;
}

/* --- one connection
 * --------------------------------------------------------------------------------------- */

static enum form form_of(const struct plan *p)
{
	uint32_t x = below(100);

	if (p->kind == EVIL) /* two versions must be of one length */
		return x < 60 ? PLAIN : x < 85 ? CHUNKED : FORM;
	return x < 42 ? PLAIN : x < 68 ? CHUNKED : x < 82 ? FORM : x < 92 ? GZIP : GZIP_CHUNKED;
}

static void plan_requests(struct plan *p, bool flood)
{
	p->requests = 1 + (chance(50) ? below(4) : 0);
	if (flood)
		p->requests = 17 + below(6);
	p->in_turn = !flood && chance(40);
	p->bad = p->kind == CLEAN ? BAD_NONE : below(p->requests);
	if (flood && p->kind != CLEAN)
		p->bad = 14 + below(p->requests - 14);
	for (uint32_t i = 0; i < p->requests; i++) {
		p->req[i].form = flood && i != p->bad ? PLAIN : form_of(p);
		p->req[i].expect = false;
	}
	/* Once a connection, so that one 100 Continue is enough to tell. */
	if (!flood && p->kind != EVIL && chance(8))
		p->req[0].expect = true;
	if (p->kind != CLEAN && p->kind != EVIL && p->bad > 0 && !p->in_turn && chance(40))
		p->hole = (uint8_t)(1 + below(2));
	o.at = 0;
	for (uint32_t i = 0; i < p->requests; i++)
		put_request(i, flood);
}

static void plan_client(struct host *h, const struct plan *p)
{
	static const uint32_t mss[] = { 1460, 1460, 1460, 536, 100, 17 };

	h->ts = chance(65);
	h->sack = chance(70);
	h->has_wscale = chance(60);
	h->shift = (uint8_t)below(8);
	h->rbuf = chance(20) ? 1500 + below(4000) : 20000;
	h->mss = mss[below(6)];
	if (o.at > 20000 && h->mss == 17)
		h->mss = 100;
	h->burst = 1 + below(14);
	h->linux_probe = chance(50);
	h->alive_at = chance(10) ? sim.start + below(3000) * MS : 0;
	h->out_len = o.at;
	h->limit = 0;
	h->answer_lost = chance(8);
	(void)p;
}

static void plan_store(struct pair *p)
{
	struct host *h = &p->store;
	struct shop *w = &p->shop;

	h->ts = chance(85);
	h->sack = chance(80);
	h->has_wscale = chance(70);
	h->shift = (uint8_t)below(8);
	h->rbuf = chance(60) ? 20000 : 3000 + below(62000);
	h->policy = (enum overlap)below(OVERLAPS);
	h->probe_taken = chance(50);
	h->renegs = chance(6);
	w->slow_ms = chance(30) ? below(400) : 0;
	w->early = p->plan.kind != EVIL && chance(4);
	w->chunked_answers = chance(30);
	if (chance(14)) { /* it looks away for a while: the window closes */
		h->rbuf = 1000 + below(5000);
		h->pause_from = p->plan.begin + below(40) * sim.wire.delay_ns;
		h->pause_to = h->pause_from + (200 + below(2500)) * MS;
	}
}

static void plan_pair(uint32_t i)
{
	struct pair *p = &sim.pair[i];
	struct plan *pl = &p->plan;
	bool flood = chance(4);
	uint16_t port = (uint16_t)(sim.port0 + i);
	bool v6 = chance(25);

	memset(pl, 0, sizeof(*pl));
	memset(p->weir_have, 0, p->weir_top + 1);
	p->weir_nxt = p->weir_top = 0;
	p->begun = p->reset_ok = false;
	memset(&p->shop, 0, offsetof(struct shop, body));
	pl->kind = (enum kind)below(4);
	pl->craft = pl->kind == EVIL ? (enum craft)below(CRAFTS) : MIX;
	pl->begin = sim.start + below(30) * sim.wire.delay_ns;
	pl->reuse = i > 0 && sim.pair[i - 1].plan.kind != EVIL && chance(20);
	pl->half_close = chance(8);
	pl->noise = pl->kind != EVIL && chance(15);
	pl->frag = chance(12) ? 10 + below(40) : 0;
	if (pl->reuse) {
		port = sim.pair[i - 1].client.me.port;
		v6 = sim.pair[i - 1].client.me.v6;
		pl->begin = UINT64_MAX;
	}
	host_init(&p->client, false, i);
	host_init(&p->store, true, i);
	o = (struct out){ &p->client, pl, 0 };
	plan_requests(pl, flood);
	plan_client(&p->client, pl);
	plan_store(p);
	if (flood && p->shop.slow_ms < 50)
		p->shop.slow_ms = 50 + below(300);
	p->client.me = (struct addr){ { 10, 0, 0, 1 }, port, v6 };
	p->store.me = (struct addr){ { 10, 0, 0, 2 }, 80, v6 };
	if (v6) {
		memcpy(p->client.me.ip, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
		memcpy(p->store.me.ip, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2", 16);
	}
	p->client.peer = p->store.me;
	p->store.peer = p->client.me;
}

/* --- one schedule
 * ----------------------------------------------------------------------------------------- */

static void plan_wire(void)
{
	struct wire *w = &sim.wire;
	uint32_t loss = chance(40) ? 1 + below(6) : 0;

	w->delay_ns = (1 + below(20)) * MS / 10;
	for (int h = 0; h < HOPS; h++)
		w->loss[h] = loss;
	if (chance(10))
		w->loss[WEIR_TO_STORE] = 5 + below(10);
	w->reorder = chance(40) ? 5 + below(30) : 0;
	w->dup = chance(30) ? 1 + below(8) : 0;
}

void plan_schedule(uint64_t seed)
{
	sim.seed = seed;
	sim.rng.s = seed * 0x9e3779b97f4a7c15ull + 1;
	memset(sim.seen, 0, sizeof(sim.seen));
	sim.wire.now += S;
	sim.start = sim.wire.now;
	sim.hold_from = sim.hold_to = sim.switch_at = sim.epoch_at = 0;
	sim.port0 = (uint16_t)(1024 + seed * 4 % 60000);
	plan_wire();
	sim.workers = chance(25) ? 2 : 1;
	sim.reassemble = chance(60);
	sim.npairs = chance(65) ? 1 : 2 + below(PAIRS - 1);
	if (chance(7)) {
		sim.hold_from = sim.start + below(20) * sim.wire.delay_ns;
		sim.hold_to = sim.hold_from + (300 + below(3500)) * MS;
	}
	if (chance(8))
		sim.switch_at = sim.start + below(40) * sim.wire.delay_ns + 1;
	if (chance(5))
		sim.epoch_at = sim.start + below(40) * sim.wire.delay_ns + 1;
	for (uint32_t i = 0; i < sim.npairs; i++)
		plan_pair(i);
}
