/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resp - follows the store's stream far enough to pair responses with requests.
 *
 * Unlike requests, responses come from the side that is being protected and are only followed, so
 * line ends are read leniently. What cannot be followed ends in RESPONSE_BAD: the commit state is
 * unknown.
 */
#include "http/int.h"

#define R_HEAD_MAX  65536u
#define R_VALUE_MAX 512u

enum rstate {
	R_IDLE,
	R_STATUS,
	R_HDR,
	R_NAME,
	R_VALUE,
	R_HEAD_CR,
	R_BODY,
	R_BODY_EOF,
	R_SIZE,
	R_SIZE_REST,
	R_DATA,
	R_DATA_END,
	R_TRAILER,
	R_TRAILER_REST,
	R_DONE, /* END is to be said */
	R_RAW,
	R_BAD,
};

enum { M_OTHER, M_HEAD, M_CONNECT };

enum rfield { RF_NONE, RF_LENGTH, RF_CODING, RF_CONNECTION, RF_KEPT };

static const struct {
	struct wr_str name;
	uint16_t off;
} kept[] = {
#define K(text, field)                                                                             \
	{                                                                                          \
		{ (text), sizeof(text) - 1 }, offsetof(struct wr_http_rhead, field)                \
	}
	K("location", location),
	K("range", range),
	K("upload-offset", upload_offset),
	K("upload-length", upload_length),
	K("upload-complete", upload_complete),
	K("etag", etag),
	K("x-goog-upload-url", session),
#undef K
};

#define FR_LENGTH  0x01u /* Content-Length came */
#define FR_CHUNKED 0x02u
#define FR_CODED                                                                                   \
	0x04u /* a Transfer-Encoding that is not chunked: the body ends with the connection */
#define FR_CLOSE 0x08u
#define FR_CUT   0x10u

static struct rhead_slot *rslot_of(const struct wr_http_resp *r)
{
	return r->slot == 0 ? NULL : &r->t->rslot[r->slot - 1];
}

static void rslot_put(struct wr_http_resp *r)
{
	if (r->slot == 0)
		return;
	rslot_of(r)->next = r->t->rfree;
	r->t->rfree = r->slot;
	r->slot = 0;
}

void wr_http_resp_init(struct wr_http_resp *r, struct wr_http *t)
{
	memset(r, 0, sizeof(*r));
	r->t = t;
}

void wr_http_resp_close(struct wr_http_resp *r)
{
	rslot_put(r);
	r->state = R_BAD;
}

bool wr_http_resp_push(struct wr_lcore *lc, struct wr_http_resp *r, const struct wr_http_head *head)
{
	uint32_t m = head->is_head ? M_HEAD : head->is_connect ? M_CONNECT : M_OTHER;

	if (r->nfifo == WR_HTTP_FIFO_MAX) {
		wr_count(lc, WR_R_PIPELINE_LIMIT, 1);
		return false;
	}
	r->fifo |= m << 2 * r->nfifo;
	r->nfifo++;
	return true;
}

const struct wr_http_rhead *wr_http_resp_head(const struct wr_http_resp *r)
{
	WR_ASSERT(r->slot != 0);
	return &rslot_of(r)->head;
}

static bool begin(struct wr_http_resp *r)
{
	struct rhead_slot *s;

	if (r->t->rfree == 0)
		return false;
	r->slot = r->t->rfree;
	s = rslot_of(r);
	r->t->rfree = s->next;
	memset(&s->head, 0, sizeof(s->head));
	s->used = s->from = s->nname = 0;
	r->bytes = 0;
	r->flags = 0;
	r->left = 0;
	r->state = R_STATUS;
	return true;
}

/* "HTTP/1.1 200 ..." */
static bool status_done(struct wr_http_resp *r)
{
	struct rhead_slot *s = rslot_of(r);
	const char *n = s->name;

	if (s->nname < 12 || memcmp(n, "HTTP/1.", 7) != 0 || n[7] < '0' || n[7] > '9' ||
	    n[8] != ' ' || (s->nname > 12 && n[12] != ' ' && n[12] != '\r'))
		return false;
	r->status = 0;
	for (int i = 9; i < 12; i++) {
		if (n[i] < '0' || n[i] > '9')
			return false;
		r->status = (uint16_t)(r->status * 10 + (n[i] - '0'));
	}
	s->head.keep_alive = n[7] != '0';
	s->head.status = r->status;
	r->state = R_HDR;
	r->field = RF_NONE;
	return r->status >= 100;
}

static uint8_t rfield_of(const struct rhead_slot *s)
{
	struct wr_str name = { s->name, s->nname };

	while (name.len > 0 && (name.p[name.len - 1] == ' ' || name.p[name.len - 1] == '\t'))
		name.len--;
	if (s->nname > NAME_KEEP)
		return RF_NONE;
	if (wr_str_is(name, WR_STR("content-length")))
		return RF_LENGTH;
	if (wr_str_is(name, WR_STR("transfer-encoding")))
		return RF_CODING;
	if (wr_str_is(name, WR_STR("connection")))
		return RF_CONNECTION;
	for (uint32_t i = 0; i < WR_COUNT_OF(kept); i++)
		if (wr_str_is(name, kept[i].name))
			return (uint8_t)(RF_KEPT + i);
	return RF_NONE;
}

static bool length_done(struct wr_http_resp *r, struct wr_str v)
{
	uint64_t n = 0;

	if (v.len == 0 || v.len > 18)
		return false;
	for (uint32_t i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	if (r->flags & FR_LENGTH && n != r->left)
		return false;
	r->left = n;
	r->flags |= FR_LENGTH;
	return true;
}

static bool rvalue_done(struct wr_http_resp *r)
{
	struct rhead_slot *s = rslot_of(r);
	struct wr_str v = { s->buf + s->from, (uint32_t)(s->used - s->from) }, item;

	if (v.len > 0 && v.p[v.len - 1] == '\r')
		v.len--;
	v = wr_str_trim(v);
	r->state = R_HDR;
	switch (r->field) {
	case RF_NONE: return true;
	case RF_LENGTH: s->used = s->from; return !(r->flags & FR_CUT) && length_done(r, v);
	case RF_CODING:
		s->used = s->from;
		/* Only the last coding frames the body. */
		while (wr_str_next(&v, &item)) {
			r->flags &= (uint8_t) ~(FR_CHUNKED | FR_CODED);
			r->flags |= wr_str_is(item, WR_STR("chunked")) ? FR_CHUNKED : FR_CODED;
		}
		return !(r->flags & FR_CUT);
	case RF_CONNECTION:
		s->used = s->from;
		while (wr_str_next(&v, &item))
			if (wr_str_is(item, WR_STR("close")))
				s->head.keep_alive = 0;
		return true;
	default: break;
	}
	if (r->flags & FR_CUT)
		s->head.cut = 1;
	*(struct wr_str *)(void *)((char *)&s->head + kept[r->field - RF_KEPT].off) = v;
	s->from = s->used;
	return true;
}

static bool head_byte(struct wr_http_resp *r, uint8_t c)
{
	struct rhead_slot *s = rslot_of(r);

	if (++r->bytes > R_HEAD_MAX)
		return false;
	switch (r->state) {
	case R_STATUS:
		if (c == '\n')
			return status_done(r);
		if (s->nname < NAME_KEEP)
			s->name[s->nname++] = (char)c;
		return true;
	case R_HDR:
		if (c == '\r') {
			r->state = R_HEAD_CR;
			return true;
		}
		if (c == '\n') {
			r->state = R_HEAD_CR;
			return head_byte(r, c);
		}
		if (c == ' ' || c == '\t') { /* folded: part of the value, which we only need whole
			                        when simple */
			if (r->field == RF_LENGTH || r->field == RF_CODING)
				return false;
			r->field = RF_NONE;
			r->state = R_VALUE;
			return true;
		}
		s->nname = 0;
		r->state = R_NAME;
		/* fall through */
	case R_NAME:
		if (c == '\n')
			return false;
		if (c == ':') {
			r->field = rfield_of(s);
			r->flags &= (uint8_t)~FR_CUT;
			s->from = s->used;
			r->state = R_VALUE;
			return true;
		}
		if (s->nname < NAME_KEEP)
			s->name[s->nname] = (char)c;
		s->nname = (uint16_t)wr_min_u32(UINT16_MAX - 1, s->nname + 1u);
		return true;
	default: /* R_VALUE */
		if (c == '\n')
			return rvalue_done(r);
		if (r->field == RF_NONE)
			return true;
		if (s->used - s->from >= (int)R_VALUE_MAX || s->used >= sizeof(s->buf))
			r->flags |= FR_CUT;
		else
			s->buf[s->used++] = (char)c;
		return true;
	}
}

static void pop(struct wr_http_resp *r)
{
	r->fifo >>= 2;
	r->nfifo--;
	r->interim = 0;
}

/* RFC 9112 6.3: where this response's body ends. */
static enum wr_http_rev head_done(struct wr_http_resp *r, struct wr_http_resp_out *out)
{
	uint32_t m = r->fifo & 3u;
	bool final = r->status >= 200;

	out->status = r->status;
	out->interim = !final && r->status != 101;
	rslot_of(r)->head.interim = out->interim;
	if (out->interim) {
		r->state = R_IDLE;
		return ++r->interim > WR_HTTP_INTERIM_MAX ? WR_HTTP_RESP_BAD : WR_HTTP_RESP_HEAD;
	}
	if (r->status == 101 || (m == M_CONNECT && r->status < 300)) {
		pop(r);
		r->state = R_RAW;
		return WR_HTTP_RESP_RAW;
	}
	if (m == M_HEAD || r->status == 204 || r->status == 304)
		r->state = R_DONE;
	else if (r->flags & FR_CHUNKED)
		r->state = R_SIZE;
	else if (r->flags & FR_CODED || !(r->flags & FR_LENGTH))
		r->state = R_BODY_EOF;
	else
		r->state = r->left > 0 ? R_BODY : R_DONE;
	if (r->state == R_SIZE)
		r->left = r->digits = 0;
	return WR_HTTP_RESP_HEAD;
}

static bool chunk_byte(struct wr_http_resp *r, uint8_t c)
{
	uint8_t x = c | 0x20;
	int d = c >= '0' && c <= '9' ? c - '0' : x >= 'a' && x <= 'f' ? x - 'a' + 10 : -1;

	switch (r->state) {
	case R_SIZE:
		if (d >= 0) {
			r->left = r->left << 4 | (uint64_t)d;
			return ++r->digits <= 15;
		}
		if (r->digits == 0)
			return false;
		r->state = R_SIZE_REST;
		r->bytes = 0;
		/* fall through */
	case R_SIZE_REST:
		if (c == '\n')
			r->state = r->left > 0 ? R_DATA : R_TRAILER;
		return ++r->bytes < R_HEAD_MAX;
	case R_DATA_END:
		if (c == '\r')
			return true;
		r->state = R_SIZE;
		r->left = r->digits = 0;
		return c == '\n';
	case R_TRAILER:
		if (c == '\r')
			return true;
		r->state = c == '\n' ? R_DONE : R_TRAILER_REST;
		return true;
	default: /* R_TRAILER_REST */
		if (c == '\n')
			r->state = R_TRAILER;
		return ++r->bytes < R_HEAD_MAX;
	}
}

static enum wr_http_rev refuse(struct wr_lcore *lc, struct wr_http_resp *r,
                               struct wr_http_resp_out *out)
{
	if (r->state != R_BAD)
		wr_count(lc, WR_R_RESPONSE_BAD, 1);
	r->state = R_BAD;
	*out = (struct wr_http_resp_out){ .reason = WR_R_RESPONSE_BAD };
	return WR_HTTP_RESP_BAD;
}

static void skip(struct wr_http_resp *r, struct wr_span *in)
{
	uint64_t n = (uint64_t)(in->end - in->p);

	if (r->state != R_BODY_EOF) {
		n = wr_min_u64(n, r->left);
		r->left -= n;
		if (r->left == 0)
			r->state = r->state == R_BODY ? R_DONE : R_DATA_END;
	}
	in->p += n;
	in->off += n;
}

/* One byte of anything but a body. MORE: go on. */
static enum wr_http_rev take_byte(struct wr_http_resp *r, struct wr_span *in,
                                  struct wr_http_resp_out *out)
{
	uint8_t c = *in->p;

	/* A response that nobody asked for: the store spoke first, or 408 to an idle connection. */
	if (r->state == R_IDLE && (r->nfifo == 0 || !begin(r)))
		return WR_HTTP_RESP_BAD;
	in->p++;
	in->off++;
	if (r->state == R_HEAD_CR)
		return c == '\n' ? head_done(r, out) : WR_HTTP_RESP_BAD;
	if (r->state < R_HEAD_CR) {
		if (r->state == R_HDR && c == '\n')
			return head_done(r, out);
		return head_byte(r, c) ? WR_HTTP_RESP_MORE : WR_HTTP_RESP_BAD;
	}
	return chunk_byte(r, c) ? WR_HTTP_RESP_MORE : WR_HTTP_RESP_BAD;
}

enum wr_http_rev wr_http_resp_next(struct wr_lcore *lc, struct wr_http_resp *r, struct wr_span *in,
                                   struct wr_http_resp_out *out)
{
	enum wr_http_rev ev;

	*out = (struct wr_http_resp_out){ .status = r->status };
	if (r->state == R_IDLE || r->state > R_HEAD_CR)
		rslot_put(r);
	for (;;) {
		switch (r->state) {
		case R_BAD: return refuse(lc, r, out);
		case R_RAW: /* not ours any more: consumed, said once a span */
			if (in->p >= in->end)
				return WR_HTTP_RESP_MORE;
			in->off += (uint64_t)(in->end - in->p);
			in->p = in->end;
			return WR_HTTP_RESP_RAW;
		case R_DONE:
			r->state = R_IDLE;
			pop(r);
			return WR_HTTP_RESP_END;
		default: break;
		}
		if (in->p >= in->end)
			return WR_HTTP_RESP_MORE;
		if (r->state == R_BODY || r->state == R_BODY_EOF || r->state == R_DATA) {
			skip(r, in);
			continue;
		}
		ev = take_byte(r, in, out);
		if (ev == WR_HTTP_RESP_BAD)
			return refuse(lc, r, out);
		if (ev != WR_HTTP_RESP_MORE)
			return ev;
	}
}

enum wr_http_rev wr_http_resp_fin(struct wr_lcore *lc, struct wr_http_resp *r,
                                  struct wr_http_resp_out *out)
{
	*out = (struct wr_http_resp_out){ .status = r->status };
	if (r->state == R_IDLE || r->state > R_HEAD_CR)
		rslot_put(r);
	if (r->state == R_IDLE || r->state == R_RAW)
		return WR_HTTP_RESP_MORE;
	if (r->state != R_BODY_EOF && r->state != R_DONE)
		return refuse(lc, r, out);
	r->state = R_IDLE;
	pop(r);
	return WR_HTTP_RESP_END;
}

bool wr_http_resp_begun(const struct wr_http_resp *r)
{
	return r->state != R_IDLE;
}
