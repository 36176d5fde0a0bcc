/* SPDX-License-Identifier: BSD-3-Clause */
/* head - request line and header lines, one byte at a time where it matters, in runs where it does
 * not. */
#include "http/int.h"

#define METHOD_MAX  32u
#define VERSION_MAX 16u

static const struct {
	struct wr_str name;
	uint16_t off, max;
	uint8_t flags;
} field_of[] = {
#define X(field, text, max, flags)                                                                 \
	{ { (text), sizeof(text) - 1 }, offsetof(struct wr_http_head, field), (max), (flags) },
	WR_HEAD_FIELDS(X)
#undef X
};
static_assert(WR_COUNT_OF(field_of) < 255, "the index fits the state, 0 = not kept");

#define FAULT(why)                                                                                 \
	do {                                                                                       \
		if (!wr_http_tolerates(lc, h, why))                                                \
			return why;                                                                \
	} while (0)
#define REFUSE(why) return (wr_count(lc, why, 1), why)

struct eat { /* the part of the span that the limits let us read */
	const uint8_t *p, *end;
};

/* On the first request of a connection a broken line may be another protocol altogether. */
static enum wr_reason line_fault(const struct wr_http_req *h)
{
	return h->flags & F_LATER ? WR_R_BAD_REQUEST_LINE : WR_R_NEAR_HTTP;
}

static struct wr_str *field_str(struct head_slot *s, uint32_t field)
{
	return (struct wr_str *)(void *)((char *)&s->head + field_of[field - 1].off);
}

/* A head longer than most: the value that is being read goes on in a large buffer. Those before it
 * stay where they are, in the same slot. */
static void grow(struct wr_http *t, struct head_slot *s)
{
	uint16_t have = (uint16_t)(s->used - s->from);

	if (s->large != 0 || t->lfree == 0)
		return;
	s->large = t->lfree;
	t->lfree = t->large[s->large - 1].next;
	s->buf = t->large[s->large - 1].b;
	memcpy(s->buf, s->small + s->from, have);
	s->from = 0;
	s->used = have;
}

static void keep(struct wr_lcore *lc, struct wr_http_req *h, struct head_slot *s, const uint8_t *p,
                 uint32_t n, uint32_t max)
{
	uint32_t room, have = (uint32_t)(s->used - s->from);

	if (wr_min_u32(n, have < max ? max - have : 0) > head_room(s) - s->used) {
		grow(h->t, s);
		if (s->large == 0)
			wr_count(lc, WR_R_OVERLOAD, 1);
	}
	room = head_room(s) - s->used;
	room = wr_min_u32(room, have < max ? max - have : 0);
	if (n > room)
		h->flags |= F_CUT;
	n = wr_min_u32(n, room);
	memcpy(s->buf + s->used, p, n);
	s->used = (uint16_t)(s->used + n);
}

/* The value of the field that is being read. Of a list that grows at its end, the end is kept. */
static void keep_value(struct wr_lcore *lc, struct wr_http_req *h, struct head_slot *s,
                       const uint8_t *p, uint32_t n)
{
	uint32_t max = field_of[h->field - 1].max, have = (uint32_t)(s->used - s->from), over;
	bool tail = (field_of[h->field - 1].flags & WR_HF_TAIL) != 0;

	if (tail && have + n > max) {
		h->flags |= F_CUT;
		if (n > max) {
			p += n - max;
			n = max;
		}
		over = have + n - max;
		have -= over;
		memmove(s->buf + s->from, s->buf + s->from + over, have);
		s->used = (uint16_t)(s->used - over);
	}
	keep(lc, h, s, p, n, max);
	if (tail && (uint32_t)(s->used - s->from) < have + n)
		s->head.xff_cut |= WR_XFF_END_CUT; /* no room for a larger head: now it is the end
		                                      that lacks */
}

static struct wr_str close_str(struct head_slot *s)
{
	struct wr_str r = { s->buf + s->from, (uint32_t)(s->used - s->from) };

	s->from = s->used;
	return r;
}

/* ------------------------------------------------------------------------------ request line ---
 */

static enum wr_reason method_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct eat *e)
{
	struct head_slot *s = slot_of(h);
	const uint8_t c = *e->p;

	if (is_token(c)) {
		if (s->used - s->from >= (int)METHOD_MAX)
			REFUSE(line_fault(h));
		keep(lc, h, s, e->p++, 1, METHOD_MAX);
		return WR_R_NONE;
	}
	/* A line of one word is no request for anybody. */
	if ((c == '\r' || c == '\n') && !(h->flags & F_LATER))
		REFUSE(WR_R_NOT_HTTP);
	if (c != ' ')
		REFUSE(line_fault(h));
	e->p++;
	s->head.method = close_str(s);
	if (!(h->flags & F_LATER) && s->head.method.len == 5 &&
	    memcmp(s->head.method.p, "PROXY", 5) == 0)
		REFUSE(WR_R_PROXY_UNEXPECTED);
	h->state = S_TARGET;
	h->digits = 0;
	return WR_R_NONE;
}

static enum wr_reason target_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct eat *e)
{
	struct head_slot *s = slot_of(h);
	const uint8_t *from = e->p;

	while (e->p < e->end && wr_http_class[*e->p] & C_URI)
		e->p++;
	if (e->p > from) {
		h->digits = 1; /* not empty */
		keep(lc, h, s, from, (uint32_t)(e->p - from), WR_HTTP_TARGET_KEEP);
		return WR_R_NONE;
	}
	if (*e->p == '\r' || *e->p == '\n') /* HTTP/0.9 */
		REFUSE(line_fault(h));
	if (*e->p != ' ')
		REFUSE(WR_R_BAD_REQUEST_LINE);
	if (h->digits == 0) {
		FAULT(WR_R_BAD_REQUEST_LINE);
		e->p++;
		return WR_R_NONE;
	}
	e->p++;
	s->head.target = close_str(s);
	if (h->flags & F_CUT)
		s->head.cut = 1;
	h->flags &= (uint8_t)~F_CUT;
	s->nname = 0;
	h->state = S_VERSION;
	return WR_R_NONE;
}

static enum wr_reason check_version(struct wr_lcore *lc, struct wr_http_req *h)
{
	struct head_slot *s = slot_of(h);

	if (s->nname < 5 || memcmp(s->name, "HTTP/", 5) != 0)
		REFUSE(line_fault(h));
	if (s->nname == 8 && memcmp(s->name, "HTTP/1.", 7) == 0 && s->name[7] >= '0' &&
	    s->name[7] <= '9') {
		s->head.version_minor = s->name[7] == '0' ? 0 : 1;
		if (s->name[7] > '1')
			FAULT(WR_R_BAD_VERSION);
		return WR_R_NONE;
	}
	if (s->nname == 8 && memcmp(s->name, "HTTP/2.0", 8) == 0 && s->head.method.len == 3 &&
	    memcmp(s->head.method.p, "PRI", 3) == 0)
		REFUSE(WR_R_H2_PREFACE);
	REFUSE(WR_R_BAD_VERSION);
}

/* RFC 9112 3.2: origin-form, absolute-form, authority-form for CONNECT, * for OPTIONS. */
static bool target_form_ok(const struct wr_http_head *d)
{
	if (wr_str_is(d->method, WR_STR("CONNECT")))
		return d->target.p[0] != '/';
	if (d->target.p[0] == '/')
		return true;
	if (d->target.len == 1 && d->target.p[0] == '*')
		return wr_str_is(d->method, WR_STR("OPTIONS"));
	return wr_str_starts(d->target, WR_STR("http://")) ||
	       wr_str_starts(d->target, WR_STR("https://"));
}

static enum wr_reason line_done(struct wr_lcore *lc, struct wr_http_req *h)
{
	struct head_slot *s = slot_of(h);
	enum wr_reason why = check_version(lc, h);

	if (why != WR_R_NONE)
		return why;
	if (!target_form_ok(&s->head))
		REFUSE(WR_R_BAD_REQUEST_LINE);
	/* Two different upload ids: which one counts is the store's choice, so none is kept. */
	if (wr_str_query(s->head.target, WR_STR("uploadId"), &s->head.upload_id) == 0)
		wr_str_query(s->head.target, WR_STR("upload_id"), &s->head.upload_id);
	s->head.is_head = wr_str_is(s->head.method, WR_STR("HEAD"));
	s->head.is_connect = wr_str_is(s->head.method, WR_STR("CONNECT"));
	h->state = S_HDR;
	h->field = 0;
	return WR_R_NONE;
}

static enum wr_reason version_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct eat *e)
{
	struct head_slot *s = slot_of(h);
	const uint8_t c = *e->p;

	switch (c) {
	case '\r':
		e->p++;
		h->state = S_LINE_CR;
		return WR_R_NONE;
	case '\n':
		FAULT(WR_R_BARE_LF);
		e->p++;
		return line_done(lc, h);
	case ' ':
		if (s->nname != 0)
			REFUSE(WR_R_BAD_REQUEST_LINE);
		FAULT(WR_R_BAD_REQUEST_LINE);
		e->p++;
		return WR_R_NONE;
	default: break;
	}
	if (s->nname >= VERSION_MAX || !(wr_http_class[c] & C_URI))
		REFUSE(WR_R_BAD_REQUEST_LINE);
	s->name[s->nname++] = (char)c;
	e->p++;
	return WR_R_NONE;
}

static enum wr_reason line_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct eat *e)
{
	const uint8_t *from = e->p;
	enum wr_reason why;

	/* Equality, so that an observed overlong line is counted once. */
	if (h->line == WR_HTTP_LINE_MAX) {
		FAULT(WR_R_REQUEST_LINE_LIMIT);
		h->line++;
	}
	if (h->line < WR_HTTP_LINE_MAX && e->end - e->p > (int)(WR_HTTP_LINE_MAX - h->line))
		e->end = e->p + (WR_HTTP_LINE_MAX - h->line);
	switch (h->state) {
	case S_METHOD: why = method_bytes(lc, h, e); break;
	case S_TARGET: why = target_bytes(lc, h, e); break;
	case S_VERSION: why = version_bytes(lc, h, e); break;
	default:
		if (*e->p != '\n')
			REFUSE(WR_R_BARE_CR);
		e->p++;
		why = line_done(lc, h);
	}
	h->line = (uint16_t)wr_min_u64(UINT16_MAX, h->line + (uint64_t)(e->p - from));
	return why;
}

/* ------------------------------------------------------------------------------- header lines ---
 */

static uint8_t find_field(const struct head_slot *s)
{
	struct wr_str name = { s->name, s->nname };

	for (uint32_t i = 0; i < WR_COUNT_OF(field_of); i++)
		if (field_of[i].name.len == name.len && wr_str_is(name, field_of[i].name))
			return (uint8_t)(i + 1);
	return 0;
}

/* A gateway that passes headers through environment variables reads these as the real ones. */
static bool looks_like_framing(const struct head_slot *s)
{
	struct wr_str name = { s->name, s->nname };

	return wr_str_is(name, WR_STR("content_length")) ||
	       wr_str_is(name, WR_STR("transfer_encoding"));
}

static enum wr_reason name_done(struct wr_lcore *lc, struct wr_http_req *h)
{
	struct head_slot *s = slot_of(h);
	struct wr_str *v;

	h->state = S_VALUE_WS;
	h->flags &= (uint8_t) ~(F_CUT | F_DUP);
	s->from = s->used;
	h->field = s->nname <= NAME_KEEP ? find_field(s) : 0;
	if (h->field == 0) {
		if (s->nname <= NAME_KEEP && looks_like_framing(s))
			FAULT(WR_R_BAD_HEADER);
		return WR_R_NONE;
	}
	v = field_str(s, h->field);
	if (v->p == NULL)
		return WR_R_NONE;
	if (field_of[h->field - 1].flags & WR_HF_LIST) {
		/* Joined into a new region: what was kept in between lies behind the first part. */
		keep_value(lc, h, s, (const uint8_t *)v->p, v->len);
		keep_value(lc, h, s, (const uint8_t *)", ", 2);
		return WR_R_NONE;
	}
	if (field_of[h->field - 1].flags & WR_HF_CL) {
		FAULT(WR_R_CL_TWICE);
		h->flags |= F_DUP;
		return WR_R_NONE;
	}
	FAULT(field_of[h->field - 1].flags & WR_HF_HOST   ? WR_R_HOST_TWICE
	      : field_of[h->field - 1].flags & WR_HF_ONCE ? WR_R_HEADER_TWICE
	                                                  : WR_R_BAD_HEADER);
	h->field = 0; /* the first one stands */
	return WR_R_NONE;
}

static enum wr_reason value_done(struct wr_lcore *lc, struct wr_http_req *h)
{
	struct head_slot *s = slot_of(h);
	struct wr_str v;

	h->state = S_HDR;
	if (h->field == 0)
		return WR_R_NONE;
	v = wr_str_trim((struct wr_str){ s->buf + s->from, (uint32_t)(s->used - s->from) });
	s->used = (uint16_t)(s->from + (v.p - (s->buf + s->from)) + v.len);
	if (h->flags & F_CUT) {
		if (field_of[h->field - 1].flags & WR_HF_KEY)
			REFUSE(WR_R_HEADER_LIMIT);
		s->head.cut = 1;
		if (field_of[h->field - 1].flags & WR_HF_TAIL)
			s->head.xff_cut |= WR_XFF_FRONT_CUT;
	}
	if (h->flags & F_DUP) {
		/* Observed: equal ones are one (RFC 9112 6.3), different ones have no reading. */
		if (!wr_str_is(v, *field_str(s, h->field)))
			return WR_R_CL_TWICE;
		return WR_R_NONE;
	}
	*field_str(s, h->field) = v;
	return WR_R_NONE;
}

static enum wr_reason hdr_begin(struct wr_lcore *lc, struct wr_http_req *h, struct eat *e)
{
	struct head_slot *s = slot_of(h);
	const uint8_t c = *e->p;

	if (c == '\r') {
		e->p++;
		h->state = S_HEAD_CR;
		return WR_R_NONE;
	}
	if (c == '\n') {
		FAULT(WR_R_BARE_LF);
		e->p++;
		h->state = S_HEAD_DONE;
		return WR_R_NONE;
	}
	if (c == ' ' || c == '\t') {
		/* Before the first header line some servers drop the line, some read it: no
		 * reading. */
		if (h->nheaders == 0)
			REFUSE(WR_R_BAD_HEADER);
		FAULT(WR_R_OBS_FOLD);
		e->p++;
		if (h->field != 0)
			keep_value(lc, h, s, (const uint8_t *)" ", 1);
		h->state = S_VALUE_WS;
		return WR_R_NONE;
	}
	if (h->nheaders == h->t->conf.headers)
		FAULT(WR_R_HEADER_LIMIT);
	if (h->nheaders < UINT16_MAX)
		h->nheaders++;
	s->nname = 0;
	h->state = S_NAME;
	return WR_R_NONE;
}

static enum wr_reason name_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct eat *e)
{
	struct head_slot *s = slot_of(h);

	for (; e->p < e->end && is_token(*e->p); e->p++) {
		if (s->nname == WR_HTTP_NAME_MAX)
			REFUSE(WR_R_HEADER_LIMIT);
		if (s->nname < NAME_KEEP)
			s->name[s->nname] = (char)*e->p;
		s->nname++;
	}
	if (e->p == e->end)
		return WR_R_NONE;
	switch (*e->p) {
	case ':':
		if (s->nname == 0)
			REFUSE(WR_R_BAD_HEADER);
		e->p++;
		return name_done(lc, h);
	case ' ':
	case '\t':
		if (s->nname == 0)
			REFUSE(WR_R_BAD_HEADER);
		e->p++;
		h->state = S_NAME_WS;
		return WR_R_NONE;
	default:
		REFUSE(*e->p < 0x20 && *e->p != '\r' && *e->p != '\n' ? WR_R_CTL_IN_HEADER
		                                                      : WR_R_BAD_HEADER);
	}
}

static enum wr_reason value_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct eat *e)
{
	struct head_slot *s = slot_of(h);
	const uint8_t *from = e->p;

	while (e->p < e->end && is_value(*e->p))
		e->p++;
	if (h->field != 0)
		keep_value(lc, h, s, from, (uint32_t)(e->p - from));
	if (e->p == e->end)
		return WR_R_NONE;
	if (*e->p == '\r') {
		e->p++;
		h->state = S_VALUE_CR;
		return WR_R_NONE;
	}
	if (*e->p == '\n') {
		FAULT(WR_R_BARE_LF);
		e->p++;
		return value_done(lc, h);
	}
	FAULT(WR_R_CTL_IN_HEADER);
	if (h->field != 0)
		keep_value(lc, h, s, e->p, 1);
	e->p++;
	return WR_R_NONE;
}

static enum wr_reason field_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct eat *e)
{
	switch (h->state) {
	case S_HDR: return hdr_begin(lc, h, e);
	case S_NAME: return name_bytes(lc, h, e);
	case S_NAME_WS:
		if (*e->p == ' ' || *e->p == '\t') {
			e->p++;
			return WR_R_NONE;
		}
		if (*e->p != ':')
			REFUSE(WR_R_BAD_HEADER);
		FAULT(WR_R_WS_BEFORE_COLON);
		e->p++;
		return name_done(lc, h);
	case S_VALUE_WS:
		while (e->p < e->end && (*e->p == ' ' || *e->p == '\t'))
			e->p++;
		if (e->p < e->end)
			h->state = S_VALUE;
		return WR_R_NONE;
	case S_VALUE: return value_bytes(lc, h, e);
	case S_VALUE_CR:
		if (*e->p == '\n') {
			e->p++;
			return value_done(lc, h);
		}
		FAULT(WR_R_BARE_CR);
		if (h->field != 0)
			keep_value(lc, h, slot_of(h), (const uint8_t *)" ", 1);
		h->state = S_VALUE;
		return WR_R_NONE;
	default: /* S_HEAD_CR */
		if (*e->p != '\n')
			REFUSE(WR_R_BARE_CR);
		e->p++;
		h->state = S_HEAD_DONE;
		return WR_R_NONE;
	}
}

enum wr_reason wr_http_head_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in)
{
	enum wr_reason why = WR_R_NONE;

	while (why == WR_R_NONE && in->p < in->end && h->state < S_HEAD_DONE) {
		struct eat e = { in->p, in->end };
		uint32_t room = h->flags & F_OVER ? UINT32_MAX : h->t->conf.header_bytes - h->bytes;

		if (room == 0) {
			FAULT(WR_R_HEADER_LIMIT);
			h->flags |= F_OVER;
			continue;
		}
		if ((uint64_t)(e.end - e.p) > room)
			e.end = e.p + room;
		why = h->state < S_HDR ? line_bytes(lc, h, &e) : field_bytes(lc, h, &e);
		if (!(h->flags & F_OVER))
			h->bytes += (uint32_t)(e.p - in->p);
		in->off += (uint64_t)(e.p - in->p);
		in->p = e.p;
	}
	return why;
}
