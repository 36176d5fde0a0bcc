/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * body_run - feeds a client's stream through http/ and body/ in cuts of a given size and keeps
 * every object in both views. Every cut is its own exact allocation, so a sanitizer sees one byte
 * too many.
 */
#ifndef WR_TESTS_BODY_RUN_H
#define WR_TESTS_BODY_RUN_H

#include <stdlib.h>
#include <string.h>

#include "body/body.h"
#include "http/http.h"

#define RUN_OBJECTS 64u

struct run_view {
	uint8_t *p;
	size_t n, room;
};

struct run_object {
	uint32_t request, obj;
	uint8_t kind, depth, coding, container, ended, lost;
	char name[256], filename[256], type[128];
	uint32_t part;
	uint64_t hold;
	struct run_view view[2]; /* raw, decoded */
};

struct body_run {
	struct wr_stats stats;
	struct wr_lcore lc;
	struct wr_policy policy;
	struct wr_http *t;
	struct wr_body_pool *pool;
	uint64_t turn;     /* budget of a turn; 0 = no end */
	uint64_t pause_ns; /* how long a pause takes */
	uint32_t pauses, nobjects, requests, ends, objects_seen;
	uint64_t bytes_seen, hash; /* of all DATA events, whatever their cut, per object */
	struct run_object object[RUN_OBJECTS];
	enum wr_reason reason; /* of BAD, by http or body */
	enum wr_reason note;   /* the first */
	uint8_t note_lost;
	uint32_t note_obj;
	uint64_t hold; /* latest of body */
	uint16_t framing;
	struct wr_http_req h;
	struct wr_body *b;
};

static struct wr_body_conf body_run_conf(void)
{
	return (struct wr_body_conf){
		.bodies = 2, .multiparts = 4, .inflate = 3, .brotli = 1, .zstd = 1
	};
}

__attribute__((unused)) static struct body_run *body_run_new(const struct wr_body_conf *c)
{
	struct body_run *r = calloc(1, sizeof(*r));
	struct wr_http_conf hc = { .heads = 4 };
	struct wr_body_conf bc = body_run_conf();

	r->lc.stats = &r->stats;
	memset(r->policy.on_reason, WR_ON_BLOCK, sizeof(r->policy.on_reason));
	r->t = wr_http_new(&hc);
	r->pool = wr_body_pool_new(c != NULL ? c : &bc);
	if (r->t == NULL || r->pool == NULL)
		abort();
	return r;
}

static void body_run_reset(struct body_run *r)
{
	for (uint32_t i = 0; i < RUN_OBJECTS; i++) {
		free(r->object[i].view[0].p);
		free(r->object[i].view[1].p);
	}
	memset(r->object, 0, sizeof(r->object));
	memset(&r->stats, 0, sizeof(r->stats));
	r->pauses = r->nobjects = r->requests = r->ends = r->objects_seen = 0;
	r->bytes_seen = 0;
	r->reason = r->note = WR_R_NONE;
	r->note_lost = 0;
	r->framing = 0;
	r->hold = WR_BODY_HOLD_NONE;
}

__attribute__((unused)) static void body_run_free(struct body_run *r)
{
	body_run_reset(r);
	wr_body_pool_free(r->pool);
	wr_http_free(r->t);
	free(r);
}

static void run_str(char *to, size_t size, struct wr_str s)
{
	size_t n = s.len < size - 1 ? s.len : size - 1;

	if (s.p != NULL)
		memcpy(to, s.p, n);
	to[s.p != NULL ? n : 0] = '\0';
}

static struct run_object *run_find(struct body_run *r, uint32_t obj)
{
	for (uint32_t i = 0; i < r->nobjects; i++)
		if (r->object[i].obj == obj && r->object[i].request == r->requests)
			return &r->object[i];
	return NULL;
}

static void run_begin(struct body_run *r, const struct wr_body_out *out)
{
	struct run_object *o;

	r->objects_seen++;
	if (r->nobjects == RUN_OBJECTS)
		return;
	o = &r->object[r->nobjects++];
	o->request = r->requests;
	o->obj = out->obj;
	o->kind = out->meta->kind;
	o->depth = out->meta->depth;
	o->coding = out->meta->coding;
	o->container = out->meta->container;
	o->part = out->meta->part;
	o->hold = WR_BODY_HOLD_NONE;
	run_str(o->name, sizeof(o->name), out->meta->name);
	run_str(o->filename, sizeof(o->filename),
	        out->meta->filename.p != NULL ? out->meta->filename : out->meta->filename_ext);
	run_str(o->type, sizeof(o->type), out->meta->type);
}

static void run_data(struct body_run *r, const struct wr_body_out *out)
{
	struct run_object *o = run_find(r, out->obj);
	struct run_view *v;

	r->bytes_seen += out->piece.len;
	if (o == NULL)
		return;
	WR_ASSERT(!o->ended && out->piece.len > 0 && out->view < 2);
	v = &o->view[out->view];
	if (v->n + out->piece.len > v->room) {
		v->room = (v->n + out->piece.len) * 2 + 64;
		v->p = realloc(v->p, v->room);
		if (v->p == NULL)
			abort();
	}
	memcpy(v->p + v->n, out->piece.p, out->piece.len);
	v->n += out->piece.len;
}

/* True while body/ goes on. */
static int run_event(struct body_run *r, enum wr_body_ev ev, const struct wr_body_out *out)
{
	struct run_object *o;

	r->hold = wr_body_hold_from(r->b);
	switch (ev) {
	case WR_BODY_OBJ_BEGIN: run_begin(r, out); return 1;
	case WR_BODY_DATA: run_data(r, out); return 1;
	case WR_BODY_OBJ_END:
		o = run_find(r, out->obj);
		r->ends++;
		if (o != NULL) {
			WR_ASSERT(!o->ended);
			o->ended = 1;
			o->lost = out->lost;
			o->hold = out->hold;
		}
		return 1;
	case WR_BODY_NOTE:
		/* It is about an object that is open. */
		o = run_find(r, out->obj);
		WR_ASSERT(r->nobjects == RUN_OBJECTS || out->obj == WR_BODY_NO_OBJ ||
		          (o != NULL && !o->ended));
		WR_ASSERT(!out->lost || out->obj != WR_BODY_NO_OBJ);
		if (r->note == WR_R_NONE) {
			r->note = out->reason;
			r->note_lost = out->lost;
			r->note_obj = out->obj;
		}
		return 1;
	case WR_BODY_PAUSE:
		r->pauses++;
		r->lc.now += r->pause_ns;
		wr_body_turn(r->pool, r->turn != 0 ? r->turn : UINT64_MAX);
		return 1;
	case WR_BODY_BAD: r->reason = out->reason; return 0;
	default: return 0;
	}
}

static int run_http(struct body_run *r, enum wr_http_ev ev, const struct wr_http_out *h)
{
	struct wr_body_out out;
	enum wr_body_ev e;

	switch (ev) {
	case WR_HTTP_HEAD:
		if (wr_http_req_head(&r->h)->has_body)
			r->reason = wr_body_open(&r->lc, r->pool, wr_http_req_head(&r->h),
			                         &r->policy, &r->b);
		if (r->b != NULL)
			r->framing |= wr_body_framing(r->b);
		return r->reason == WR_R_NONE;
	case WR_HTTP_BODY: {
		struct wr_span s = { h->body.p, h->body.p + h->body.len, h->off, h->body.owner };

		do
			e = wr_body_next(&r->lc, r->b, &s, &out);
		while (run_event(r, e, &out));
		return r->reason == WR_R_NONE;
	}
	case WR_HTTP_END:
		if (r->b != NULL) {
			do
				e = wr_body_end(&r->lc, r->b, &out);
			while (run_event(r, e, &out));
			wr_body_close(r->b);
			r->b = NULL;
		}
		r->requests++;
		return r->reason == WR_R_NONE;
	case WR_HTTP_BAD: r->reason = h->reason; return 0;
	default: return 1;
	}
}

/* One connection's bytes. cut 0: all at once; cut >= 1: pieces of that many; at: one cut at that
 * byte. */
__attribute__((unused)) static void body_run(struct body_run *r, const void *data, size_t n,
                                             size_t cut, size_t at)
{
	const uint8_t *p = data;
	int on = 1;

	body_run_reset(r);
	wr_http_req_init(&r->h, r->t, &r->policy, WR_PROXY_OFF);
	wr_body_turn(r->pool, r->turn != 0 ? r->turn : UINT64_MAX);
	for (size_t i = 0; on && i < n;) {
		size_t len = cut != 0 && cut < n - i ? cut : n - i;
		uint8_t *copy;
		struct wr_span in;
		struct wr_http_out out;
		enum wr_http_ev ev;

		if (i < at && at - i < len)
			len = at - i;
		copy = malloc(len);
		memcpy(copy, p + i, len);
		in = (struct wr_span){ copy, copy + len, i, NULL };
		do {
			ev = wr_http_req_next(&r->lc, &r->h, &in, &out);
			on = run_http(r, ev, &out);
		} while (on && ev != WR_HTTP_MORE);
		free(copy);
		i += len;
	}
	if (r->b != NULL)
		wr_body_close(r->b);
	r->b = NULL;
	wr_http_req_close(&r->h);
}

static uint64_t run_mix(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 0x100000001b3ull;
	return (h ^ n) * 0x100000001b3ull;
}

/* What must not depend on how the bytes were cut. */
__attribute__((unused)) static uint64_t body_run_signature(const struct body_run *r)
{
	uint64_t h = run_mix(0xcbf29ce484222325ull, &r->reason, sizeof(r->reason));
	int derived = r->nobjects > 0 && r->object[0].kind == WR_BODY_WHOLE;

	/* What was already given when it was refused does depend on it. */
	if (r->reason != WR_R_NONE)
		return h;
	h = run_mix(h, &r->note, sizeof(r->note));
	h = run_mix(h, &r->requests, sizeof(r->requests));
	h = run_mix(h, &r->nobjects, sizeof(r->nobjects));
	for (uint32_t i = 0; i < r->nobjects; i++) {
		const struct run_object *o = &r->object[i];

		h = run_mix(h, &o->kind, 6); /* kind .. lost */
		h = run_mix(h, o->name, strlen(o->name));
		h = run_mix(h, o->filename, strlen(o->filename));
		h = run_mix(h, o->type, strlen(o->type));
		h = run_mix(h, o->view[0].p, o->view[0].n);
		/* A decoder that finds an error may have held output back. */
		if (r->note == WR_R_NONE)
			h = run_mix(h, o->view[1].p, o->view[1].n);
		if (!derived)
			h = run_mix(h, &o->hold, sizeof(o->hold));
	}
	return h;
}

#endif
