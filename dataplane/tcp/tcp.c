/* SPDX-License-Identifier: BSD-3-Clause */
#include "tcp/tcp.h"

#include "tcp/list.h"

struct wr_tcp *wr_tcp_new(uint32_t segs, uint64_t kept_max)
{
	struct wr_tcp *t = wr_mem_alloc("tcp", sizeof(*t));

	if (t == NULL)
		return NULL;
	t->segs = wr_pool_new("tcp segments", segs, sizeof(struct wr_seg));
	t->kept_max = kept_max;
	if (t->segs == NULL) {
		wr_mem_free(t);
		return NULL;
	}
	return t;
}

void wr_tcp_free(struct wr_tcp *t)
{
	if (t == NULL)
		return;
	wr_pool_free(t->segs);
	wr_mem_free(t);
}

void wr_half_init(struct wr_half *h, uint32_t isn)
{
	memset(h, 0, sizeof(*h));
	h->isn = isn;
	h->fin = WR_TCP_NONE;
	h->has_isn = 1;
}

enum wr_reason wr_tcp_check(const struct wr_half *h, const struct wr_pkt *p)
{
	int64_t s = wr_half_off(h, p->seq), e = s + p->len;

	/* RFC 9293 3.10.7.4: without ACK a segment is dropped, whatever else it carries. */
	if (!(p->tcp_flags & (WR_TCP_ACK | WR_TCP_RST)))
		return WR_R_TCP_BAD_FLAGS;
	/* RFC 7323 5.3; an RST is exempt, it is judged by its sequence number alone. */
	if (h->has_ts && (p->opt & WR_PKT_TSTAMP) && !(p->tcp_flags & WR_TCP_RST) &&
	    wr_seq_diff(p->ts_val, h->ts_recent) < 0)
		return WR_R_TCP_OLD_TIMESTAMP;
	if (p->len == 0 && !(p->tcp_flags & WR_TCP_FIN))
		return WR_R_NONE;
	if ((s < 0 && e > 0) || e < -1)
		return WR_R_TCP_OUT_OF_WINDOW;
	/* One byte beyond the edge is a window probe, RFC 9293 3.8.6.1. */
	if (e > (int64_t)h->edge + 1)
		return WR_R_TCP_OUT_OF_WINDOW;
	if (h->fin != WR_TCP_NONE &&
	    (e > (int64_t)h->fin || ((p->tcp_flags & WR_TCP_FIN) && e != (int64_t)h->fin)))
		return WR_R_TCP_OUT_OF_WINDOW;
	if ((p->tcp_flags & WR_TCP_FIN) && e < (int64_t)h->nxt)
		return WR_R_TCP_OUT_OF_WINDOW; /* a FIN inside what was already delivered */
	return WR_R_NONE;
}

struct rte_mbuf *wr_tcp_compact(struct wr_lcore *lc, const struct rte_mbuf *m)
{
	struct rte_mempool *mp = m->data_len <= WR_SMALL_BYTES ? lc->pools.small : lc->pools.large;
	struct rte_mbuf *c;

	if (mp == NULL || m->data_len > WR_LARGE_BYTES)
		return NULL;
	c = rte_pktmbuf_alloc(mp);
	if (c == NULL || rte_pktmbuf_tailroom(c) < m->data_len) {
		if (c != NULL)
			rte_pktmbuf_free(c);
		return NULL;
	}
	memcpy(rte_pktmbuf_mtod(c, void *), rte_pktmbuf_mtod(m, const void *), m->data_len);
	c->data_len = m->data_len;
	c->pkt_len = m->data_len;
	c->vlan_tci = m->vlan_tci;
	c->ol_flags = m->ol_flags;
	return c;
}

/* Everything in p is old: send it again with the bytes that were scanned, or absorb it. */
static enum wr_place place_repeat(struct wr_lcore *lc, struct wr_tcp *t, struct wr_half *h,
                                  struct wr_pkt *p, enum wr_reason *why)
{
	int64_t s = wr_half_off(h, p->seq), e = s + p->len;

	if (h->unsent != 0) {
		const struct wr_seg *u = seg_at(t, h->unsent);

		if (e > (int64_t)u->off || ((p->tcp_flags & WR_TCP_FIN) && e >= (int64_t)u->off)) {
			*why = WR_R_HELD_REPEAT;
			return WR_PLACE_ABSORB;
		}
	}
	*why = seg_fix(lc, t, h, p, s);
	return WR_PLACE_SEND;
}

static enum wr_place place_early(struct wr_lcore *lc, struct wr_tcp *t, struct wr_half *h,
                                 struct wr_pkt *p, bool holding, enum wr_reason *why)
{
	uint64_t s = (uint64_t)wr_half_off(h, p->seq), e = s + p->len;
	uint32_t added;

	/* It would carry bytes that wait in another frame: then it waits with them. */
	holding = holding || seg_any_unsent_early(t, h, s, e);
	*why = seg_fix(lc, t, h, p, (int64_t)s);
	added = seg_add_early(t, h, p, s, e, holding ? WR_SEG_FRAME : WR_SEG_SENT);
	if (p->tcp_flags & WR_TCP_FIN)
		h->fin = e;
	if (holding) {
		/* Nothing new in it: what it repeats is kept already. */
		if (added == 0) {
			*why = WR_R_HELD_REPEAT;
			return WR_PLACE_ABSORB;
		}
		rte_mbuf_refcnt_update(p->m, -1); /* the list's references carry it on */
		return WR_PLACE_QUEUED;
	}
	h->top = wr_max_u64(h->top, e);
	if (*why == WR_R_NONE)
		*why = WR_R_TCP_OOO;
	return WR_PLACE_SEND;
}

static enum wr_place place_in_order(struct wr_lcore *lc, struct wr_tcp *t, struct wr_half *h,
                                    struct wr_pkt *p, enum wr_reason *why)
{
	int64_t s = wr_half_off(h, p->seq);
	uint64_t e = (uint64_t)(s + p->len);

	/* The whole frame is made to agree with what is kept before anyone refers to it. */
	if (s < (int64_t)h->nxt || h->ohead != 0)
		*why = seg_fix(lc, t, h, p, s);
	if (p->tcp_flags & WR_TCP_FIN)
		h->fin = e;
	seg_append(t, h, p, e);
	return WR_PLACE_NEW;
}

#define SMALL_CHARGE 640u /* a compact copy: room, headers, the mbuf itself */

/*
 * How much one direction may keep depends on what is left: at most as much again as the worker has
 * free. So one that hoards leaves half, a thousand that hoard leave a thousandth for everybody, and
 * a connection that keeps nothing may always go on in order. Early segments are a convenience (the
 * client would repeat them): they stop at half of everything.
 */
static bool may_keep(const struct wr_lcore *lc, const struct wr_tcp *t, const struct wr_half *h,
                     const struct wr_pkt *p, bool early)
{
	uint32_t segs = wr_pool_free_count(t->segs), own = (uint32_t)h->nsegs + h->nooo;
	bool small = p->m->data_len <= WR_SMALL_BYTES;
	uint64_t left, each = small ? SMALL_CHARGE : p->m->buf_len + sizeof(*p->m);

	if (h->nsegs >= WR_TCP_SEGS_MAX || t->kept_bytes >= t->kept_max || segs < h->nooo + 2u)
		return false;
	left = t->kept_max - t->kept_bytes;
	if (early && (left < t->kept_max / 2 || segs < t->segs->n / 2))
		return false;
	if (own == 0)
		return true;
	if (!small && lc->pools.rx_reserve != 0 && lc->pools.rx_free < lc->pools.rx_low_water &&
	    own > lc->pools.rx_free - wr_min_u32(lc->pools.rx_free, lc->pools.rx_reserve))
		return false;
	return own <= segs && own * each <= left;
}

enum wr_place wr_tcp_place(struct wr_lcore *lc, struct wr_tcp *t, struct wr_half *h,
                           struct wr_pkt *p, bool holding, enum wr_reason *why)
{
	int64_t s = wr_half_off(h, p->seq), e = s + p->len;
	bool fin = (p->tcp_flags & WR_TCP_FIN) != 0;
	bool fin_new = fin && h->fin == WR_TCP_NONE, early = s > (int64_t)h->nxt;

	*why = WR_R_NONE;
	if (e <= (int64_t)h->nxt && !fin_new)
		return place_repeat(lc, t, h, p, why);

	if (early && h->nooo >= WR_TCP_OOO_MAX) {
		*why = WR_R_TCP_OOO_LIMIT;
		return WR_PLACE_DROP;
	}
	if (!may_keep(lc, t, h, p, early)) {
		*why = WR_R_KEEP_LIMIT;
		return WR_PLACE_DROP;
	}
	if (p->m->data_len <= WR_SMALL_BYTES || lc->pools.rx_free < lc->pools.rx_low_water) {
		struct rte_mbuf *c = wr_tcp_compact(lc, p->m);

		if (c != NULL) {
			rte_pktmbuf_free(p->m);
			p->m = c;
		} else if (lc->pools.rx_free <
		           (early ? lc->pools.rx_low_water : lc->pools.rx_reserve)) {
			*why = WR_R_POOL_LOW;
			return WR_PLACE_DROP;
		}
	}
	if (!early)
		return place_in_order(lc, t, h, p, why);
	return place_early(lc, t, h, p, holding, why);
}

bool wr_tcp_peek(struct wr_tcp *t, struct wr_half *h, struct wr_span *out)
{
	while (h->cursor != 0) {
		const struct wr_seg *s = seg_at(t, h->cursor);
		uint64_t skip = h->dlv - s->off;

		if (skip < s->len) {
			const uint8_t *b = rte_pktmbuf_mtod_offset(s->m, uint8_t *, s->data);

			out->p = b + skip;
			out->end = b + s->len;
			out->off = h->dlv;
			out->owner = s->m;
			return true;
		}
		h->cursor = s->next;
	}
	return false;
}

void wr_tcp_delivered(struct wr_tcp *t, struct wr_half *h, uint64_t upto)
{
	WR_DCHECK(upto >= h->dlv && upto <= h->nxt);
	h->dlv = upto;
	while (h->cursor != 0 && seg_end(seg_at(t, h->cursor)) <= upto)
		h->cursor = seg_at(t, h->cursor)->next;
}

/* The segment that carries the frame of the unsent segment u. */
static uint32_t frame_of(const struct wr_tcp *t, uint32_t u)
{
	const struct rte_mbuf *m = seg_at(t, u)->m;

	for (uint32_t i = u; i != 0; i = seg_at(t, i)->next)
		if (seg_at(t, i)->m == m && (seg_at(t, i)->flags & WR_SEG_FRAME))
			return i;
	wr_assert_fail("an unsent segment has its frame behind it", __FILE__, __LINE__);
}

/* How far the other end has bytes without a gap once it has everything below `end`. */
static uint64_t run_from(const struct wr_tcp *t, uint32_t i, uint64_t end)
{
	for (; i != 0; i = seg_at(t, i)->next) {
		const struct wr_seg *s = seg_at(t, i);

		if (seg_end(s) <= end)
			continue;
		if (s->off > end || !(s->flags & WR_SEG_SENT))
			break;
		end = seg_end(s);
	}
	return end;
}

/* The frame of f went out up to `end`: what lies below is sent, frames that it covers need not go.
 */
static void mark_sent(struct wr_tcp *t, struct wr_half *h, uint32_t f, uint64_t end)
{
	const struct rte_mbuf *m = seg_at(t, f)->m;
	uint32_t i;

	seg_at(t, f)->flags = (uint8_t)((seg_at(t, f)->flags & ~WR_SEG_FRAME) | WR_SEG_SENT);
	for (i = h->unsent; i != 0 && seg_at(t, i)->off < end; i = seg_at(t, i)->next) {
		struct wr_seg *g = seg_at(t, i);

		if (seg_end(g) > end && g->m != m)
			continue;
		if (g->flags & WR_SEG_FRAME)
			t->covered++;
		g->flags = (uint8_t)((g->flags & ~WR_SEG_FRAME) | WR_SEG_SENT);
	}
	for (i = h->unsent; i != 0 && (seg_at(t, i)->flags & WR_SEG_SENT);)
		i = seg_at(t, i)->next;
	h->unsent = i;
}

struct rte_mbuf *wr_tcp_send_next(struct wr_tcp *t, struct wr_half *h, uint64_t gate)
{
	struct wr_seg *s;
	uint64_t end, run;
	uint32_t f;

	if (h->unsent == 0)
		return NULL;
	f = frame_of(t, h->unsent);
	s = seg_at(t, f);
	/* What the store would have without a gap once this frame arrives. */
	end = seg_end(s) + s->over;
	run = run_from(t, h->unsent, end);
	if (run > gate)
		return NULL;
	mark_sent(t, h, f, end);
	h->sent = run;
	h->top = wr_max_u64(h->top, run);
	rte_mbuf_refcnt_update(s->m, 1);
	return s->m;
}

struct rte_mbuf *wr_tcp_send_below(struct wr_tcp *t, struct wr_half *h, uint64_t end, uint64_t gate,
                                   uint64_t *upto)
{
	struct wr_seg *s;
	uint64_t run;
	uint32_t f;

	if (h->unsent == 0 || seg_at(t, h->unsent)->off >= end)
		return NULL;
	f = frame_of(t, h->unsent);
	s = seg_at(t, f);
	*upto = seg_end(s) + s->over;
	run = run_from(t, h->unsent, wr_min_u64(*upto, end));
	if (run > gate)
		return NULL;
	mark_sent(t, h, f, wr_min_u64(*upto, end));
	h->sent = run;
	h->top = wr_max_u64(h->top, run);
	rte_mbuf_refcnt_update(s->m, 1);
	return s->m;
}

bool wr_tcp_lacks(const struct wr_tcp *t, const struct wr_half *h, uint64_t end)
{
	return h->unsent != 0 && seg_at(t, h->unsent)->off < end;
}

void wr_tcp_cut(struct wr_tcp *t, struct wr_half *h, uint64_t end)
{
	while (h->ohead != 0)
		seg_pop_early(t, h);
	seg_cut(t, h, end);
	h->cursor = h->unsent = 0;
}

enum wr_reason wr_tcp_fix(struct wr_lcore *lc, struct wr_tcp *t, struct wr_half *h,
                          struct wr_pkt *p)
{
	return seg_fix(lc, t, h, p, wr_half_off(h, p->seq));
}

void wr_tcp_ack(struct wr_tcp *t, struct wr_half *h, uint64_t off)
{
	if (off <= h->acked)
		return;
	h->acked = off;
	while (h->head != 0 && h->head != h->cursor) {
		const struct wr_seg *s = seg_at(t, h->head);

		if (seg_end(s) > off || !(s->flags & WR_SEG_SENT))
			break;
		seg_pop_head(t, h);
	}
}

uint32_t wr_tcp_unsent(const struct wr_tcp *t, const struct wr_half *h)
{
	uint32_t n = 0;

	for (uint32_t i = h->unsent; i != 0; i = seg_at(t, i)->next)
		n += (seg_at(t, i)->flags & WR_SEG_FRAME) != 0;
	for (uint32_t i = h->ohead; i != 0; i = seg_at(t, i)->next)
		n += (seg_at(t, i)->flags & WR_SEG_FRAME) != 0;
	return n;
}

uint32_t wr_tcp_clear(struct wr_tcp *t, struct wr_half *h)
{
	uint32_t n = wr_tcp_unsent(t, h);

	while (h->head != 0)
		seg_pop_head(t, h);
	while (h->ohead != 0)
		seg_pop_early(t, h);
	h->cursor = h->unsent = 0;
	return n;
}

bool wr_tcp_watch(struct wr_lcore *lc, struct wr_tcp *t, struct wr_half *h, const struct wr_pkt *p,
                  struct wr_span *out)
{
	int64_t s = wr_half_off(h, p->seq), e = s + p->len;
	struct wr_pkt copy;

	if (p->len == 0 || e <= (int64_t)h->nxt || s < 0)
		return false;
	if (s <= (int64_t)h->nxt) {
		out->p = wr_pkt_payload(p) + ((int64_t)h->nxt - s);
		out->end = wr_pkt_payload(p) + p->len;
		out->off = h->nxt;
		out->owner = NULL;
		h->nxt = (uint64_t)e;
		return true;
	}
	copy = *p;
	copy.m = NULL;
	if (h->nooo < WR_TCP_OOO_MAX && wr_pool_free_count(t->segs) >= h->nooo + 2u &&
	    t->kept_bytes < t->kept_max)
		copy.m = wr_tcp_compact(lc, p->m);
	if (copy.m == NULL) {
		h->lost = 1;
		return false;
	}
	seg_add_early(t, h, &copy, (uint64_t)s, (uint64_t)e, WR_SEG_SENT);
	rte_pktmbuf_free(copy.m);
	return false;
}

bool wr_tcp_watch_more(struct wr_tcp *t, struct wr_half *h, struct wr_span *out)
{
	while (h->ohead != 0) {
		struct wr_seg *s = seg_at(t, h->ohead);
		const uint8_t *b = rte_pktmbuf_mtod_offset(s->m, uint8_t *, s->data);

		if (s->off > h->nxt)
			return false;
		if (seg_end(s) <= h->nxt) {
			seg_pop_early(t, h);
			continue;
		}
		out->p = b + (h->nxt - s->off);
		out->end = b + s->len;
		out->off = h->nxt;
		out->owner = NULL;
		/* Popped at the next call: until then the bytes are lent. */
		h->nxt = seg_end(s);
		return true;
	}
	return false;
}
