/* SPDX-License-Identifier: BSD-3-Clause */
/* run - drives the stack of layers: one event a call. */
#include "body/int.h"

bool wr_body_tolerates(struct wr_lcore *lc, struct wr_body *b, enum wr_reason why)
{
	wr_count(lc, why, 1);
	if (b->policy == NULL || b->policy->on_reason[why] != WR_ON_INSPECT)
		return false;
	b->note = (uint16_t)why;
	return true;
}

enum run wr_body_refuse(struct wr_lcore *lc, struct wr_body_out *out, enum wr_reason why)
{
	if (lc != NULL)
		wr_count(lc, why, 1);
	out->reason = why;
	return RUN_BAD;
}

enum run wr_body_lose(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                      struct wr_body_out *out, enum wr_reason why)
{
	wr_count(lc, why, 1);
	l->dead = 1;
	l->owed = 0;
	layer_take(l, (uint64_t)(l->in.end - l->in.p));
	if (l->kind == L_CODING && l->slot != 0) {
		wr_decoder_put(b->pool, l->slot);
		l->slot = 0;
	}
	out->reason = why;
	out->obj = l->obj != NO_OBJ ? l->obj : 0;
	out->lost = 1;
	return RUN_NOTE;
}

enum run wr_body_give(struct wr_body *b, struct layer *l, struct wr_piece piece, uint64_t off,
                      bool derived, struct wr_body_out *out)
{
	uint32_t i = (uint32_t)(l - b->layer) + 1;

	if (i < b->nlayers) {
		b->layer[i].in = (struct wr_span){ piece.p, piece.p + piece.len, off, piece.owner };
		b->layer[i].derived = derived;
	}
	if (l->obj == NO_OBJ)
		return RUN_AGAIN;
	out->obj = l->obj;
	out->view = l->view;
	out->piece = piece;
	return RUN_DATA;
}

struct layer *wr_body_push(struct wr_body *b, enum layer_kind kind)
{
	struct layer *l;

	if (b->nlayers == WR_BODY_LAYERS)
		return NULL;
	l = &b->layer[b->nlayers++];
	memset(l, 0, sizeof(*l));
	l->kind = (uint8_t)kind;
	l->obj = NO_OBJ;
	return l;
}

void wr_body_pop(struct wr_body *b)
{
	struct layer *l = &b->layer[--b->nlayers];

	if (l->kind == L_CODING && l->slot != 0)
		wr_decoder_put(b->pool, l->slot);
	if (l->kind == L_MULTI) {
		wr_multi_put(b->pool, l->slot);
		b->depth--;
	}
	l->slot = 0;
}

static enum run run_layer(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                          struct wr_body_out *out)
{
	struct wr_piece piece;
	uint64_t off;

	switch (l->kind) {
	case L_AWS: return wr_aws_run(lc, b, l, out);
	case L_CODING: return wr_coding_run(lc, b, l, out);
	case L_MULTI: return wr_multi_run(lc, b, l, out);
	case L_BASE64:
	case L_QP: return wr_cte_run(lc, b, l, out);
	default: break;
	}
	piece = (struct wr_piece){ l->in.p, (uint32_t)(l->in.end - l->in.p), l->in.owner };
	off = l->in.off;
	layer_take(l, piece.len);
	return wr_body_give(b, l, piece, off, false, out);
}

/* The input of layer i has ended: its own last words, then those below it. */
enum run wr_body_finish(struct wr_lcore *lc, struct wr_body *b, uint32_t i, struct wr_body_out *out)
{
	struct layer *l = &b->layer[i];
	enum run r = RUN_DONE;

	if (l->fin == 0) {
		switch (l->kind) {
		case L_AWS: r = wr_aws_finish(lc, b, l, out); break;
		case L_CODING: r = wr_coding_finish(lc, b, l, out); break;
		case L_MULTI: r = wr_multi_finish(lc, b, l, out); break;
		case L_BASE64:
		case L_QP: r = wr_cte_finish(lc, b, l, out); break;
		default: break;
		}
		if (r != RUN_DONE && r != RUN_AGAIN)
			return r;
		/* A withheld tail may have gone to the layer below: it runs before it is ended. */
		if (r == RUN_AGAIN)
			return RUN_AGAIN;
		l->fin = 1;
	}
	if (i + 1u < b->nlayers) {
		r = wr_body_finish(lc, b, i + 1, out);
		if (r != RUN_DONE)
			return r;
		wr_body_pop(b);
	}
	if (l->kind == L_MULTI && multi_of(b, l)->obj != NO_OBJ) {
		out->obj = multi_of(b, l)->obj;
		out->lost = 1;
		multi_of(b, l)->obj = l->obj = NO_OBJ;
		return RUN_END;
	}
	return RUN_DONE;
}

static enum wr_body_ev bad(struct wr_body *b, struct wr_body_out *out)
{
	b->bad = 1;
	b->reason = (uint16_t)out->reason;
	return WR_BODY_BAD;
}

static void clear(struct wr_body_out *out)
{
	memset(out, 0, sizeof(*out));
	out->hold = WR_BODY_HOLD_NONE;
}

/* Inner ones end first: it is the last one. */
static void open_forget(struct wr_body *b, uint32_t obj)
{
	uint32_t i = b->nopen;

	while (i > 0 && b->open[i - 1] != obj)
		i--;
	if (i == 0)
		return;
	for (; i < b->nopen; i++)
		b->open[i - 1] = b->open[i];
	b->nopen--;
}

/* What one step came to; MORE: nothing to tell yet. */
static enum wr_body_ev told(struct wr_body *b, enum run r, struct wr_body_out *out)
{
	switch (r) {
	case RUN_DATA: return WR_BODY_DATA;
	case RUN_BEGIN:
		/* Each layer has one at most, so there is room; yet the order is the wire's doing,
		 * and nothing that the wire does may stop a worker. */
		if (b->nopen == WR_COUNT_OF(b->open)) {
			out->reason = WR_R_MULTIPART_LIMIT;
			return bad(b, out);
		}
		b->open[b->nopen++] = out->obj;
		return WR_BODY_OBJ_BEGIN;
	case RUN_END: open_forget(b, out->obj); return WR_BODY_OBJ_END;
	case RUN_NOTE: return WR_BODY_NOTE;
	case RUN_PAUSE: return WR_BODY_PAUSE;
	case RUN_BAD: return bad(b, out);
	default: return WR_BODY_MORE;
	}
}

static enum wr_body_ev note(struct wr_body *b, struct wr_body_out *out)
{
	out->reason = (enum wr_reason)b->note;
	out->obj = b->nopen > 0 ? b->open[b->nopen - 1] : WR_BODY_NO_OBJ;
	out->lost = b->lost;
	b->note = b->lost = 0;
	return WR_BODY_NOTE;
}

/* Things that are owed whatever the input. */
static enum wr_body_ev first(struct wr_body *b, struct wr_body_out *out)
{
	if (!b->begun) {
		b->begun = 1;
		if (b->whole) {
			out->obj = 0;
			out->meta = &b->meta;
			return told(b, RUN_BEGIN, out);
		}
	}
	/* A note waits for the object that it is about: a part's headers come before the part. */
	if (b->note != 0 && b->nopen > 0)
		return note(b, out);
	return WR_BODY_MORE;
}

static struct layer *deepest(struct wr_body *b)
{
	for (uint32_t i = b->nlayers; i-- > 0;)
		if (b->layer[i].in.p < b->layer[i].in.end || b->layer[i].owed)
			return &b->layer[i];
	return NULL;
}

enum wr_body_ev wr_body_next(struct wr_lcore *lc, struct wr_body *b, struct wr_span *in,
                             struct wr_body_out *out)
{
	enum wr_body_ev ev;

	for (;;) {
		struct layer *l;

		clear(out);
		out->reason = (enum wr_reason)b->reason;
		if (b->bad)
			return WR_BODY_BAD;
		ev = first(b, out);
		if (ev != WR_BODY_MORE)
			return ev;
		l = deepest(b);
		if (l == NULL) {
			if (in->p >= in->end)
				return WR_BODY_MORE;
			b->layer[0].in = *in;
			b->sent += (uint64_t)(in->end - in->p);
			in->off += (uint64_t)(in->end - in->p);
			in->p = in->end;
			continue;
		}
		ev = told(b, run_layer(lc, b, l, out), out);
		if (ev != WR_BODY_MORE)
			return ev;
	}
}

enum wr_body_ev wr_body_end(struct wr_lcore *lc, struct wr_body *b, struct wr_body_out *out)
{
	struct wr_span none = { NULL, NULL, 0, NULL };
	enum wr_body_ev ev;
	enum run r;

	for (;;) {
		ev = wr_body_next(lc, b, &none, out);
		if (ev != WR_BODY_MORE)
			return ev;
		clear(out);
		if (b->ended == 0) {
			r = wr_body_finish(lc, b, 0, out);
			ev = told(b, r, out);
			if (ev != WR_BODY_MORE)
				return ev;
			/* AGAIN: a withheld tail went down a layer and runs first. */
			b->ended = r == RUN_DONE;
			continue;
		}
		if (b->ended == 1 && b->whole) {
			b->ended = 2;
			out->obj = 0;
			return told(b, RUN_END, out);
		}
		return b->note != 0 ? note(b, out) : WR_BODY_DONE;
	}
}

void wr_body_warm(const struct wr_body *b)
{
	const char *l = (const char *)b->layer;

	wr_prefetch(b);
	wr_prefetch((const char *)b + WR_CACHE_LINE);
	wr_prefetch(l);
	wr_prefetch(l + WR_CACHE_LINE);
}

uint64_t wr_body_hold_from(const struct wr_body *b)
{
	return b->hold;
}
