/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * multi - finds the delimiters of a multipart body (RFC 2046 5.1), one layer of them.
 *
 * Parsers disagree about what ends a part: CRLF or LF before the dashes, text behind the boundary,
 * data after the close delimiter. Weir knows one delimiter: CRLF "--" boundary, white space, CRLF.
 * Wherever else "--" boundary appears the body is refused, so that no other parser can find a part
 * we did not.
 *
 * What may be the beginning of a delimiter is withheld until it is decided. Withheld bytes of an
 * earlier span are known without being kept: they are a piece of the delimiter itself.
 */
#include "body/int.h"

enum {
	M_PREAMBLE,
	M_DATA,
	M_EPILOGUE, /* the three that scan; the others read a byte at a time */
	M_AFTER,
	M_DASH,
	M_PAD,
	M_CR,
	M_CLOSE,
	M_CLOSE_CR,
	M_HEAD,
	M_HEAD_CR,
	M_PART_END, /* owes the ends of what hangs below, and of the part */
};

/* What stands right before the matched "--boundary", or at the end of the data so far. */
enum {
	PRE_NONE,
	PRE_CR,
	PRE_CRLF,
	PRE_START
}; /* START: a line begins here, its CRLF is not data */

void wr_multi_put(struct wr_body_pool *p, uint32_t slot)
{
	p->multi[slot - 1].next = p->free_multi;
	p->free_multi = slot;
}

bool wr_multi_push(struct wr_body *b, struct wr_str boundary, bool form)
{
	uint32_t slot = b->pool->free_multi, k = 0;
	struct layer *l;
	struct multi *u;

	if (slot == 0 || (l = wr_body_push(b, L_MULTI)) == NULL)
		return false;
	l->slot = slot;
	l->state = M_PREAMBLE;
	u = multi_of(b, l);
	b->pool->free_multi = u->next;
	memset(u, 0, offsetof(struct multi, head));
	memcpy(u->delim, "\r\n--", 4);
	memcpy(u->delim + 4, boundary.p, boundary.len);
	u->nfind = (uint8_t)(2 + boundary.len);
	u->form = form;
	u->obj = u->around = NO_OBJ;
	u->pre = PRE_START;
	for (uint32_t i = 1; i < u->nfind; i++) {
		while (k > 0 && u->delim[2 + k] != u->delim[2 + i])
			k = u->fail[k - 1];
		k += u->delim[2 + k] == u->delim[2 + i];
		u->fail[i] = (uint8_t)k;
	}
	return true;
}

/* What precedes d, where [base, d) has been read with `pre` before it. */
static uint8_t before(const uint8_t *base, const uint8_t *d, uint8_t pre)
{
	if (d == base)
		return pre;
	if (d[-1] == '\n')
		return (d - base >= 2 ? d[-2] == '\r' : pre == PRE_CR) ? PRE_CRLF : PRE_NONE;
	return d[-1] == '\r' ? PRE_CR : PRE_NONE;
}

static uint32_t withheld(const struct multi *u)
{
	return u->m + (u->pre == PRE_CRLF ? 2u : u->pre == PRE_CR ? 1u : 0u);
}

/* Runs the automaton to the delimiter's end or the span's. Returns where it stopped. */
static const uint8_t *match(struct multi *u, const uint8_t *base, const uint8_t *end)
{
	const uint8_t *q = base, *find = u->delim + 2;
	uint8_t pre = u->pre; /* before base, while nothing is matched */

	while (q < end && u->m < u->nfind) {
		if (u->m == 0) {
			const uint8_t *d = memchr(q, '-', (size_t)(end - q));

			u->pre = before(base, d == NULL ? end : d, pre);
			if (d == NULL)
				return end;
			if (u->pre == PRE_CR)
				u->pre = PRE_NONE;
			u->m = 1;
			q = d + 1;
			continue;
		}
		while (u->m > 0 && find[u->m] != *q) {
			u->m = u->fail[u->m - 1];
			u->pre = PRE_NONE;
		}
		if (find[u->m] == *q) {
			u->m++;
			q++;
		} else if (q == base) {
			pre = PRE_NONE; /* a byte of the boundary stood before base */
		}
	}
	if (u->m == 0)
		u->pre = before(base, q, pre);
	return q;
}

/* Scans pending input; sets what is to be given and whether a delimiter was found. */
static void scan(struct multi *u, struct layer *l)
{
	const uint8_t *base = l->in.p, *q;
	uint8_t from = u->pre == PRE_CR || u->pre == PRE_CRLF ? 0 : 2;
	uint32_t carry = u->carry, hold, give, n;

	q = match(u, base, l->in.end);
	n = (uint32_t)(q - base);
	u->found = u->m == u->nfind;
	hold = withheld(u);
	give = carry + n - hold;
	u->cfrom = from;
	u->ncarry = (uint8_t)wr_min_u32(carry, give);
	u->run = base;
	u->nrun = give - u->ncarry;
	u->run_off = l->in.off;
	u->carry = u->found ? 0 : (uint8_t)hold;
	u->delim_off = l->derived ? l->in.off : l->in.off + n - hold;
	layer_take(l, n);
	l->owed = u->ncarry > 0 || u->nrun > 0 || u->found;
}

static enum run around_begin(struct wr_body *b, struct layer *l, struct multi *u,
                             struct wr_body_out *out)
{
	u->around = l->obj = b->next_obj++;
	l->view = WR_VIEW_RAW;
	memset(&u->meta, 0, sizeof(u->meta));
	u->meta.kind = WR_BODY_AROUND;
	u->meta.depth = (uint8_t)(b->depth);
	out->obj = u->around;
	out->meta = &u->meta;
	return RUN_BEGIN;
}

static enum run object_end(struct layer *l, struct wr_body_out *out, uint32_t *obj)
{
	out->obj = *obj;
	*obj = NO_OBJ;
	l->obj = NO_OBJ;
	return RUN_END;
}

/* A delimiter stands right behind what was given. */
static enum run delimiter(struct wr_lcore *lc, struct wr_body *b, struct layer *l, struct multi *u,
                          struct wr_body_out *out)
{
	bool at_line = u->pre == PRE_CRLF || u->pre == PRE_START;

	if (!at_line || l->state == M_EPILOGUE) {
		if (!wr_body_tolerates(lc, b, WR_R_MULTIPART_BAD))
			return wr_body_refuse(NULL, out, WR_R_MULTIPART_BAD);
		/* Observed: data. Its bytes are the delimiter's own. */
		u->cfrom = at_line && u->pre == PRE_CRLF ? 0 : 2;
		u->ncarry = (uint8_t)withheld(u);
		u->m = u->found = 0;
		u->pre = PRE_NONE;
		return RUN_AGAIN;
	}
	u->found = 0;
	u->m = 0;
	u->pre = PRE_NONE;
	if (l->state == M_DATA) {
		l->state = M_PART_END;
		if (u->is_file)
			b->hold = u->delim_off;
		return RUN_AGAIN;
	}
	l->state = M_AFTER;
	l->owed = 0;
	if (u->around != NO_OBJ)
		return object_end(l, out, &u->around);
	return RUN_AGAIN;
}

static enum run pay(struct wr_lcore *lc, struct wr_body *b, struct layer *l, struct multi *u,
                    struct wr_body_out *out)
{
	uint32_t n;

	if ((u->ncarry > 0 || u->nrun > 0) && l->state != M_DATA && u->around == NO_OBJ)
		return around_begin(b, l, u, out);
	if (u->ncarry > 0) {
		n = u->ncarry;
		u->ncarry = 0;
		return wr_body_give(b, l, (struct wr_piece){ u->delim + u->cfrom, n, NULL },
		                    u->run_off, true, out);
	}
	if (u->nrun > 0) {
		n = u->nrun;
		u->nrun = 0;
		return wr_body_give(b, l, (struct wr_piece){ u->run, n, l->in.owner }, u->run_off,
		                    l->derived, out);
	}
	if (u->found)
		return delimiter(lc, b, l, u, out);
	l->owed = 0;
	return RUN_AGAIN;
}

/* The layers below the part end, then the part. */
static enum run part_end(struct wr_lcore *lc, struct wr_body *b, struct layer *l, struct multi *u,
                         struct wr_body_out *out)
{
	uint32_t i = (uint32_t)(l - b->layer);
	enum run r;

	if (i + 1 < b->nlayers) {
		r = wr_body_finish(lc, b, i + 1, out);
		if (r != RUN_DONE)
			return r;
		wr_body_pop(b);
	}
	l->state = M_AFTER;
	l->owed = 0;
	out->hold = u->delim_off;
	return object_end(l, out, &u->obj);
}

static enum wr_reason head_byte(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                                struct multi *u, uint8_t c)
{
	enum wr_reason why;

	if (l->state == M_HEAD) {
		if (c == '\r') {
			l->state = M_HEAD_CR;
			return WR_R_NONE;
		}
		/* A bare LF ends the line for some parsers, a NUL the string. */
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return WR_R_MULTIPART_BAD;
		if (u->nhead == WR_BODY_PART_HEAD_MAX)
			return WR_R_MULTIPART_LIMIT;
		u->head[u->nhead++] = (char)c;
		return WR_R_NONE;
	}
	if (c != '\n')
		return WR_R_MULTIPART_BAD;
	if (u->nhead == u->line) {
		l->state = M_DATA;
		return wr_part_done(lc, b, u);
	}
	if (++u->nlines > WR_BODY_PART_LINES)
		return WR_R_MULTIPART_LIMIT;
	why = wr_part_line(lc, b, u);
	u->line = u->nhead;
	l->state = M_HEAD;
	return why;
}

static void head_begin(struct layer *l, struct multi *u)
{
	l->state = M_HEAD;
	u->nhead = u->line = u->nlines = 0;
	u->has_disposition = u->has_type = u->has_cte = u->is_file = u->cte = 0;
	u->type = (struct wr_str){ NULL, 0 };
	memset(&u->meta, 0, sizeof(u->meta));
}

static enum wr_reason delim_byte(struct layer *l, struct multi *u, uint8_t c)
{
	switch (l->state) {
	case M_AFTER:
		u->pad_bytes = 0;
		if (c == '-') {
			l->state = M_DASH;
			return WR_R_NONE;
		}
		l->state = M_PAD;
		/* fall through */
	case M_PAD:
		if (c == '\r') {
			l->state = M_CR;
			return WR_R_NONE;
		}
		if (c != ' ' && c != '\t')
			return WR_R_MULTIPART_BAD;
		return ++u->pad_bytes > WR_BODY_PADDING_MAX ? WR_R_MULTIPART_LIMIT : WR_R_NONE;
	case M_DASH:
		l->state = M_CLOSE;
		u->closed = 1;
		return c == '-' ? WR_R_NONE : WR_R_MULTIPART_BAD;
	case M_CR: head_begin(l, u); return c == '\n' ? WR_R_NONE : WR_R_MULTIPART_BAD;
	case M_CLOSE:
		if (c == '\r') {
			l->state = M_CLOSE_CR;
			return WR_R_NONE;
		}
		if (c != ' ' && c != '\t')
			return WR_R_MULTIPART_BAD;
		return ++u->pad_bytes > WR_BODY_PADDING_MAX ? WR_R_MULTIPART_LIMIT : WR_R_NONE;
	default: /* M_CLOSE_CR */
		l->state = M_EPILOGUE;
		u->pre = PRE_START;
		return c == '\n' ? WR_R_NONE : WR_R_MULTIPART_BAD;
	}
}

enum run wr_multi_run(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                      struct wr_body_out *out)
{
	struct multi *u = multi_of(b, l);

	if (l->state == M_PART_END)
		return part_end(lc, b, l, u, out);
	if (l->owed)
		return pay(lc, b, l, u, out);
	if (l->state <= M_EPILOGUE) {
		scan(u, l);
		return RUN_AGAIN;
	}
	while (l->in.p < l->in.end && l->state > M_EPILOGUE) {
		uint8_t c = *l->in.p;
		enum wr_reason why;

		layer_take(l, 1);
		why = l->state == M_HEAD || l->state == M_HEAD_CR ? head_byte(lc, b, l, u, c)
		                                                  : delim_byte(l, u, c);
		if (why == WR_R_COUNT)
			return wr_body_refuse(NULL, out, WR_R_MULTIPART_BAD);
		if (why != WR_R_NONE)
			return wr_body_refuse(lc, out, why);
		if (l->state == M_DATA) { /* the part begins */
			u->pre = PRE_START;
			u->obj = l->obj = b->next_obj++;
			l->view = WR_VIEW_RAW;
			out->obj = u->obj;
			out->meta = &u->meta;
			return RUN_BEGIN;
		}
	}
	return RUN_AGAIN;
}

enum run wr_multi_finish(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                         struct wr_body_out *out)
{
	struct multi *u = multi_of(b, l);
	bool cut = layer_orphaned(b, l);

	if (u->closed != 2) {
		bool good = u->closed && (l->state == M_CLOSE || l->state == M_EPILOGUE);

		u->closed = 2; /* said once */
		if (!cut && !good && !wr_body_tolerates(lc, b, WR_R_MULTIPART_BAD))
			return wr_body_refuse(NULL, out, WR_R_MULTIPART_BAD);
		/* What is withheld turns out to be data. */
		if (l->state <= M_EPILOGUE && u->carry > 0) {
			u->cfrom = u->pre == PRE_CR || u->pre == PRE_CRLF ? 0 : 2;
			u->ncarry = u->carry;
			u->nrun = u->carry = 0;
		}
		if (!good)
			out->lost = 1;
	}
	if (u->ncarry > 0)
		return pay(lc, b, l, u, out);
	if (u->around != NO_OBJ)
		return object_end(l, out, &u->around);
	return RUN_DONE;
}
