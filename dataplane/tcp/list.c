/* SPDX-License-Identifier: BSD-3-Clause */
#include "tcp/list.h"

#include <rte_ip.h>

#include "base/bytes.h"

#define TCP_CKSUM_OFF 16u

static uint64_t charge(const struct rte_mbuf *m)
{
	return m->buf_len + sizeof(*m);
}

static uint32_t seg_new(struct wr_tcp *t, struct wr_pkt *p, uint64_t off, uint64_t end, uint64_t s)
{
	uint32_t i = wr_pool_get(t->segs);
	struct wr_seg *g;

	WR_ASSERT(i != 0); /* the caller made sure that enough are free */
	g = seg_at(t, i);
	g->off = off;
	g->m = p->m;
	g->next = 0;
	g->data = (uint16_t)(p->payload + (off - s));
	g->len = (uint16_t)(end - off);
	g->flags = 0;
	g->over = 0;
	rte_mbuf_refcnt_update(p->m, 1);
	t->kept_bytes += charge(p->m);
	return i;
}

static void seg_put(struct wr_tcp *t, uint32_t i)
{
	struct wr_seg *g = seg_at(t, i);

	t->kept_bytes -= charge(g->m);
	rte_pktmbuf_free(g->m);
	wr_pool_put(t->segs, i);
}

void seg_pop_head(struct wr_tcp *t, struct wr_half *h)
{
	uint32_t i = h->head;

	h->head = seg_at(t, i)->next;
	if (h->head == 0)
		h->tail = 0;
	h->nsegs--;
	seg_put(t, i);
}

void seg_pop_early(struct wr_tcp *t, struct wr_half *h)
{
	uint32_t i = h->ohead;

	h->ohead = seg_at(t, i)->next;
	if (h->ohead == 0)
		h->otail = 0;
	h->nooo--;
	seg_put(t, i);
}

void seg_cut(struct wr_tcp *t, struct wr_half *h, uint64_t end)
{
	uint32_t last = 0, i = h->head;

	for (; i != 0 && seg_at(t, i)->off < end; i = seg_at(t, i)->next)
		last = i;
	while (i != 0) {
		uint32_t next = seg_at(t, i)->next;

		h->nsegs--;
		seg_put(t, i);
		i = next;
	}
	h->tail = last;
	if (last == 0) {
		h->head = 0;
		return;
	}
	seg_at(t, last)->next = 0;
	if (seg_end(seg_at(t, last)) > end)
		seg_at(t, last)->len = (uint16_t)(end - seg_at(t, last)->off);
}

static void link_tail(struct wr_tcp *t, struct wr_half *h, uint32_t i)
{
	struct wr_seg *g = seg_at(t, i);

	g->next = 0;
	if (h->tail != 0)
		seg_at(t, h->tail)->next = i;
	else
		h->head = i;
	h->tail = i;
	h->nsegs++;
	if (h->cursor == 0)
		h->cursor = i;
	if (h->unsent == 0 && !(g->flags & WR_SEG_SENT))
		h->unsent = i;
}

void seg_append(struct wr_tcp *t, struct wr_half *h, struct wr_pkt *p, uint64_t e)
{
	uint64_t s = (uint64_t)wr_half_off(h, p->seq), pos = h->nxt;
	uint32_t last = 0;

	if (pos == e) { /* a FIN alone */
		last = seg_new(t, p, e, e, e);
		link_tail(t, h, last);
	}
	for (;;) {
		uint32_t o = h->ohead;

		if (o != 0 && seg_at(t, o)->off <= pos) {
			h->ohead = seg_at(t, o)->next;
			if (h->ohead == 0)
				h->otail = 0;
			h->nooo--;
			pos = seg_end(seg_at(t, o));
			link_tail(t, h, o);
		} else if (pos < e) {
			uint64_t end = o != 0 ? wr_min_u64(e, seg_at(t, o)->off) : e;

			last = seg_new(t, p, pos, end, s);
			link_tail(t, h, last);
			pos = end;
		} else {
			break;
		}
	}
	WR_ASSERT(last != 0); /* the byte at nxt was in no list, so p brought it */
	seg_at(t, last)->flags |= WR_SEG_FRAME;
	seg_at(t, last)->over = (uint16_t)(e - seg_end(seg_at(t, last)));
	if (p->tcp_flags & WR_TCP_FIN)
		seg_at(t, last)->flags |= WR_SEG_FIN;
	/* A run of early segments that were already sent may stand behind: unsent is still right,
	 * as it names the first of the new parts. */
	h->nxt = pos;
	rte_mbuf_refcnt_update(p->m, -1);
}

/* The last early segment that begins at or before off; 0 = none. */
static uint32_t early_before(const struct wr_tcp *t, const struct wr_half *h, uint64_t off)
{
	uint32_t prev = 0;

	if (h->otail != 0 && seg_at(t, h->otail)->off <= off)
		return h->otail; /* segments mostly come in order even behind a gap */
	for (uint32_t i = h->ohead; i != 0 && seg_at(t, i)->off <= off; i = seg_at(t, i)->next)
		prev = i;
	return prev;
}

static void link_early(struct wr_tcp *t, struct wr_half *h, uint32_t prev, uint32_t i)
{
	struct wr_seg *g = seg_at(t, i);

	g->next = prev != 0 ? seg_at(t, prev)->next : h->ohead;
	if (prev != 0)
		seg_at(t, prev)->next = i;
	else
		h->ohead = i;
	if (g->next == 0)
		h->otail = i;
	h->nooo++;
}

uint32_t seg_add_early(struct wr_tcp *t, struct wr_half *h, struct wr_pkt *p, uint64_t s,
                       uint64_t e, uint8_t flags)
{
	uint32_t prev = early_before(t, h, s), last = 0, added = 0;
	uint64_t pos = s;

	if (prev != 0)
		pos = wr_max_u64(pos, seg_end(seg_at(t, prev)));
	if (s ==
	    e) { /* an early FIN alone: its place is remembered by the caller, nothing to keep */
		return 0;
	}
	while (pos < e && h->nooo < WR_TCP_OOO_MAX && wr_pool_free_count(t->segs) > 0) {
		uint32_t next = prev != 0 ? seg_at(t, prev)->next : h->ohead;
		uint64_t end = next != 0 ? wr_min_u64(e, seg_at(t, next)->off) : e;

		if (pos < end) {
			last = seg_new(t, p, pos, end, s);
			seg_at(t, last)->flags = flags & (uint8_t)~WR_SEG_FRAME;
			link_early(t, h, prev, last);
			added++;
			prev = last;
		}
		if (next == 0)
			break;
		pos = wr_max_u64(end, seg_end(seg_at(t, next)));
		prev = next;
	}
	if (last != 0) {
		seg_at(t, last)->flags |= flags;
		seg_at(t, last)->over = (uint16_t)(e - seg_end(seg_at(t, last)));
	}
	return added;
}

bool seg_any_unsent_early(const struct wr_tcp *t, const struct wr_half *h, uint64_t s, uint64_t e)
{
	for (uint32_t i = h->ohead; i != 0 && seg_at(t, i)->off < e; i = seg_at(t, i)->next)
		if (seg_end(seg_at(t, i)) > s && !(seg_at(t, i)->flags & WR_SEG_SENT))
			return true;
	return false;
}

/* Compares, and where they differ writes, the kept bytes of one segment over the frame. */
static bool fix_from(const struct wr_tcp *t, uint32_t i, uint8_t *data, uint64_t s, uint64_t e)
{
	const struct wr_seg *g = seg_at(t, i);
	uint64_t a = wr_max_u64(g->off, s), b = wr_min_u64(seg_end(g), e);
	const uint8_t *kept = rte_pktmbuf_mtod_offset(g->m, const uint8_t *, g->data);

	if (a >= b || memcmp(data + (a - s), kept + (a - g->off), b - a) == 0)
		return false;
	memcpy(data + (a - s), kept + (a - g->off), b - a);
	return true;
}

enum wr_reason seg_fix(struct wr_lcore *lc, struct wr_tcp *t, const struct wr_half *h,
                       struct wr_pkt *p, int64_t s)
{
	uint8_t *data = wr_pkt_payload(p), *ck;
	uint64_t from = s < 0 ? 0 : (uint64_t)s, e = (uint64_t)(s + p->len);
	uint64_t kept = h->head != 0 ? seg_at(t, h->head)->off : h->nxt;
	bool conflict = false, blank = false, old, early;
	uint32_t before, after;

	(void)lc;
	if (p->len == 0)
		return WR_R_NONE;
	old = from < h->nxt;
	early = h->otail != 0 && seg_end(seg_at(t, h->otail)) > from;
	if (!old && !early)
		return WR_R_NONE;
	before = rte_raw_cksum(data, p->len);
	if (s <
	    (int64_t)kept) { /* acknowledged and let go: the store has them and reads no others */
		uint64_t n = s + p->len <= (int64_t)kept ? p->len : (uint64_t)((int64_t)kept - s);

		memset(data, 0, n);
		blank = true;
	}
	if (s + p->len > 0) {
		uint8_t *base = data + (from - (uint64_t)s);

		for (uint32_t i = old ? h->head : 0; i != 0 && seg_at(t, i)->off < e;
		     i = seg_at(t, i)->next)
			conflict |= fix_from(t, i, base, from, e);
		for (uint32_t i = early ? h->ohead : 0; i != 0 && seg_at(t, i)->off < e;
		     i = seg_at(t, i)->next)
			conflict |= fix_from(t, i, base, from, e);
	}
	if (!conflict && !blank)
		return WR_R_NONE;
	/* RFC 1624: only the payload's part of the sum changed; it begins at an even offset. */
	after = rte_raw_cksum(data, p->len);
	ck = rte_pktmbuf_mtod_offset(p->m, uint8_t *, p->l4 + TCP_CKSUM_OFF);
	{
		uint16_t was;
		uint32_t sum;

		memcpy(&was, ck, 2);
		sum = (uint16_t)~was + (uint32_t)(uint16_t)~before + after;
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		was = (uint16_t)~sum;
		memcpy(ck, &was, 2);
	}
	return conflict ? WR_R_OVERLAP_CONFLICT : WR_R_OVERLAP_REWRITTEN;
}
