/* SPDX-License-Identifier: BSD-3-Clause */
#include "http/int.h"

#define T  (C_TOKEN | C_VALUE | C_URI)
#define VU (C_VALUE | C_URI)
/* clang-format off */
const uint8_t wr_http_class[256] = {
	['\t'] = C_VALUE, [' '] = C_VALUE,
	['!'] = T, ['"'] = VU, ['#'] = T, ['$'] = T, ['%'] = T, ['&'] = T, ['\''] = T, ['('] = VU,
	[')'] = VU, ['*'] = T, ['+'] = T, [','] = VU, ['-'] = T, ['.'] = T, ['/'] = VU,
	['0' ... '9'] = T,
	[':' ... '@'] = VU,
	['A' ... 'Z'] = T,
	['['] = VU, ['\\'] = VU, [']'] = VU, ['^'] = T, ['_'] = T, ['`'] = T,
	['a' ... 'z'] = T,
	['{'] = VU, ['|'] = T, ['}'] = VU, ['~'] = T,
	[0x80 ... 0xff] = VU,
};
/* clang-format on */

bool wr_http_tolerates(struct wr_lcore *lc, struct wr_http_req *h, enum wr_reason why)
{
	struct head_slot *s = slot_of(h);

	wr_count(lc, why, 1);
	if (h->policy == NULL || h->policy->on_reason[why] != WR_ON_INSPECT)
		return false;
	if (s != NULL && s->head.observed == 0)
		s->head.observed = (uint16_t)why;
	return true;
}

/* ------------------------------------------------------------------------------------- slots ---
 */

uint32_t wr_http_heads_free(const struct wr_http *t)
{
	return t->nfree;
}

static bool slot_get(struct wr_http_req *h, uint64_t off)
{
	struct wr_http *t = h->t;
	struct head_slot *s;

	if (t->free == 0)
		return false;
	h->head = t->free;
	s = &t->slot[h->head - 1];
	h->serial = ++s->serial;
	t->free = s->next;
	t->nfree--;
	memset(&s->head, 0, sizeof(s->head));
	s->head.start = off;
	s->used = s->from = s->nname = s->taken = 0;
	s->large = 0;
	s->buf = s->small;
	return true;
}

void wr_http_head_put(struct wr_http *t, struct wr_http_head *head)
{
	struct head_slot *s = (struct head_slot *)(void *)head;

	WR_ASSERT(s >= t->slot && s < t->slot + t->conf.heads);
	if (s->large != 0) {
		t->large[s->large - 1].next = t->lfree;
		t->lfree = s->large;
		s->large = 0;
	}
	s->serial++;
	s->next = t->free;
	t->free = (uint32_t)(s - t->slot) + 1;
	t->nfree++;
}

void wr_http_req_done(struct wr_http_req *h)
{
	struct head_slot *s = slot_of(h);

	if (s != NULL && !s->taken)
		wr_http_head_put(h->t, &s->head);
	h->head = 0;
}

struct wr_http_head *wr_http_head_take(struct wr_http_req *h)
{
	struct head_slot *s = slot_of(h);

	WR_ASSERT(s != NULL && !s->taken);
	s->taken = 1;
	return &s->head;
}

const struct wr_http_head *wr_http_req_head(const struct wr_http_req *h)
{
	struct head_slot *s = slot_of(h);

	return s == NULL ? NULL : &s->head;
}

/* ---------------------------------------------------------------------------------- the parser ---
 */

void wr_http_req_init(struct wr_http_req *h, struct wr_http *t, const struct wr_policy *policy,
                      uint8_t proxy)
{
	memset(h, 0, sizeof(*h));
	h->t = t;
	h->policy = policy;
	h->proxy = proxy;
	h->hold = WR_HTTP_HOLD_NONE;
	h->state = proxy == WR_PROXY_OFF ? S_IDLE : S_PROXY;
}

void wr_http_req_close(struct wr_http_req *h)
{
	wr_http_req_done(h);
	h->state = S_BAD;
	h->reason = WR_R_NONE;
}

bool wr_http_req_idle(const struct wr_http_req *h)
{
	return h->state == S_IDLE || h->state == S_IDLE_CR;
}

static enum wr_reason first_byte(struct wr_lcore *lc, struct wr_http_req *h, uint8_t c)
{
	enum wr_reason why;

	if (is_token(c))
		return WR_R_NONE;
	if (h->flags & F_LATER)
		why = WR_R_BAD_REQUEST_LINE;
	else if (c == 0x16)
		why = WR_R_TLS;
	else if (c == 0 && (h->flags & F_EMPTY) == 2 * F_EMPTY1) /* CRLF CRLF NUL: v2's signature */
		why = WR_R_PROXY_UNEXPECTED;
	else if ((c < 0x20 && c != '\t' && c != '\n' && c != '\v' && c != '\f') || c >= 0x7f)
		why = WR_R_NOT_HTTP;
	else
		why = WR_R_NEAR_HTTP;
	wr_count(lc, why, 1);
	return why;
}

/* Between requests: empty lines, then the first byte. BUSY when there is no slot for it. */
static enum wr_http_ev idle_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in,
                                  enum wr_reason *why)
{
	uint8_t c = *in->p;

	if (h->state == S_IDLE && c == '\r') {
		h->state = S_IDLE_CR;
	} else if (h->state == S_IDLE_CR) {
		if (c != '\n')
			goto refuse_cr;
		if ((h->flags & F_EMPTY) == WR_HTTP_EMPTY_MAX * F_EMPTY1)
			goto refuse_line;
		h->flags = (uint8_t)(h->flags + F_EMPTY1);
		h->state = S_IDLE;
	} else {
		*why = first_byte(lc, h, c);
		if (*why != WR_R_NONE)
			return WR_HTTP_BAD;
		wr_http_req_done(h);
		if (!slot_get(h, in->off)) {
			wr_count(lc, WR_R_OVERLOAD, 1);
			return WR_HTTP_BUSY;
		}
		h->state = S_METHOD;
		h->bytes = h->nheaders = h->line = 0;
		h->hold = WR_HTTP_HOLD_NONE;
		h->flags &= F_LATER;
		return WR_HTTP_MORE;
	}
	in->p++;
	in->off++;
	return WR_HTTP_MORE;
refuse_cr:
	wr_count(lc, *why = WR_R_BARE_CR, 1);
	return WR_HTTP_BAD;
refuse_line:
	wr_count(lc, *why = WR_R_BAD_REQUEST_LINE, 1);
	return WR_HTTP_BAD;
}

static enum wr_http_ev body_bytes(struct wr_http_req *h, struct wr_span *in,
                                  struct wr_http_out *out)
{
	uint64_t n = wr_min_u64(h->left, (uint64_t)(in->end - in->p));

	out->body = (struct wr_piece){ in->p, (uint32_t)n, in->owner };
	out->off = in->off;
	in->p += n;
	in->off += n;
	h->left -= n;
	if (h->left == 0)
		h->state = h->state == S_BODY ? S_END : S_DATA_END;
	return WR_HTTP_BODY;
}

static enum wr_http_ev proxy_bytes(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in,
                                   struct wr_http_out *out, enum wr_reason *why)
{
	int r;

	if (h->head == 0 && !slot_get(h, in->off)) {
		wr_count(lc, WR_R_OVERLOAD, 1);
		return WR_HTTP_BUSY;
	}
	r = wr_http_proxy_bytes(h, in, &out->proxy);
	if (r == 0)
		return WR_HTTP_MORE;
	if (r < 0) {
		wr_count(lc, *why = WR_R_PROXY_BAD, 1);
		return WR_HTTP_BAD;
	}
	wr_http_req_done(h);
	h->state = S_IDLE;
	return WR_HTTP_PROXY;
}

/* One step; MORE means: look at the state again while bytes are left. */
static enum wr_http_ev step(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in,
                            struct wr_http_out *out, enum wr_reason *why)
{
	if (h->state == S_PROXY)
		return proxy_bytes(lc, h, in, out, why);
	if (h->state <= S_IDLE_CR)
		return idle_bytes(lc, h, in, why);
	if (h->state == S_BODY || h->state == S_DATA)
		return body_bytes(h, in, out);
	if (h->state < S_HEAD_DONE) {
		*why = wr_http_head_bytes(lc, h, in);
		if (*why == WR_R_NONE && h->state == S_HEAD_DONE) {
			*why = wr_http_head_finish(lc, h, in->off);
			if (*why == WR_R_NONE)
				return WR_HTTP_HEAD;
		}
	} else {
		*why = wr_http_chunk_bytes(lc, h, in);
	}
	return *why == WR_R_NONE ? WR_HTTP_MORE : WR_HTTP_BAD;
}

enum wr_http_ev wr_http_req_next(struct wr_lcore *lc, struct wr_http_req *h, struct wr_span *in,
                                 struct wr_http_out *out)
{
	enum wr_http_ev ev = WR_HTTP_MORE;
	enum wr_reason why = WR_R_NONE;

	out->reason = h->state == S_BAD ? (enum wr_reason)h->reason : WR_R_NONE;
	out->body = (struct wr_piece){ 0 };
	if (h->state == S_BAD)
		return WR_HTTP_BAD;
	for (;;) {
		if (h->state == S_END) {
			h->state = S_IDLE;
			h->flags = F_LATER;
			return WR_HTTP_END;
		}
		if (in->p >= in->end)
			return WR_HTTP_MORE;
		ev = step(lc, h, in, out, &why);
		if (ev == WR_HTTP_BAD) {
			h->state = S_BAD;
			h->reason = (uint16_t)why;
			out->reason = why;
		}
		if (ev != WR_HTTP_MORE)
			return ev;
	}
}
