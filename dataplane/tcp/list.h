/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * list - the two segment lists of a half: in order, and early (behind a gap). Private to tcp/.
 *
 * Both are sorted and free of overlap. An early segment moves to the in-order list when the gap
 * before it closes; its flags say whether its bytes are already with the other end.
 */
#ifndef WR_TCP_LIST_H
#define WR_TCP_LIST_H

#include "tcp/tcp.h"

static inline struct wr_seg *seg_at(const struct wr_tcp *t, uint32_t i)
{
	return wr_pool_at(t->segs, i);
}

static inline uint64_t seg_end(const struct wr_seg *s)
{
	return s->off + s->len;
}

/* Makes the payload of p equal to every kept byte it overlaps; bytes that were acknowledged and let
 * go are blanked. Fixes the checksum. The reason says what was found (NONE: nothing differed). */
enum wr_reason seg_fix(struct wr_lcore *lc, struct wr_tcp *t, const struct wr_half *h,
                       struct wr_pkt *p, int64_t s);
/* Appends the new parts of p, which reaches to e, and all early segments that now follow. Takes
 * p->m. */
void seg_append(struct wr_tcp *t, struct wr_half *h, struct wr_pkt *p, uint64_t e);
/* Adds the new parts of [s, e) to the early list, each with a reference; returns how many. The last
 * one gets `flags`, with WR_SEG_FRAME the others get none of it. */
uint32_t seg_add_early(struct wr_tcp *t, struct wr_half *h, struct wr_pkt *p, uint64_t s,
                       uint64_t e, uint8_t flags);
bool seg_any_unsent_early(const struct wr_tcp *t, const struct wr_half *h, uint64_t s, uint64_t e);
/* Shortens the in-order list to what lies below end. */
void seg_cut(struct wr_tcp *t, struct wr_half *h, uint64_t end);
void seg_pop_head(struct wr_tcp *t, struct wr_half *h);
void seg_pop_early(struct wr_tcp *t, struct wr_half *h);

#endif
