/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp - places the segments of one direction of a connection, each byte once (RFC 9293).
 *
 * takes    frames that pkt/ has validated and worker/ has assigned to a connection
 * gives    in-order bytes to deliver, frames that may leave, frames that must not
 * owns     references on the frames it keeps: until the other end has acknowledged them
 * cumulatively (never by SACK: receivers may renege) and they were delivered lends    segment
 * bytes: valid until they are acknowledged, dropped or cleared threads  lcore-local limits
 * WR_TCP_SEGS_MAX kept and WR_TCP_OOO_MAX out-of-order segments per direction, the worker's byte
 * budget (charged by buffer size), of which a direction gets no more than is left (may_keep); then
 * the segment is not forwarded: TCP repeats it fails    never
 * by return code: a placement and a reason see      docs/concepts/reassembly.md, tests/unit/tcp,
 * tests/sim
 *
 * Offsets are 64-bit stream offsets, 0 = the byte after the SYN; they never wrap, sequence numbers
 * do.
 *
 *      acked        sent          dlv          nxt                         top
 *  ------|------------|------------|------------|       [ooo]    [ooo]------|
 *   gone | kept, sent | kept, held | undelivered|  gap, kept, already sent  |
 *
 * The one rule that the store's safety hangs on is in wr_tcp_send_next(): a frame leaves only when
 * the whole contiguous run that the store would then have lies below the gate.
 */
#ifndef WR_TCP_TCP_H
#define WR_TCP_TCP_H

#include "handoff/piece.h"
#include "handoff/pkt.h"
#include "lcore/lcore.h"
#include "mem/mem.h"

#define WR_TCP_SEGS_MAX 8192u
#define WR_TCP_OOO_MAX  1024u
#define WR_TCP_NONE     UINT64_MAX

#define WR_SEG_SENT  1u /* its bytes went out at least once */
#define WR_SEG_FRAME 2u /* `m` is the frame to transmit when it is due */
#define WR_SEG_FIN   4u

struct wr_seg {
	uint64_t off;
	struct rte_mbuf *m; /* one reference */
	uint32_t next;
	uint16_t data, len; /* offset in m's data, bytes */
	uint16_t over;      /* with FRAME: bytes of the frame behind this segment, kept as others */
	uint8_t flags, pad[5];
};

struct wr_half { /* what one end has sent */
	/* The first line is all that an in-order segment of the watched direction, or an
	 * acknowledgement that brings nothing new, touches. */
	uint64_t nxt, sent, acked;
	uint64_t edge; /* largest right edge that the other end ever offered */
	uint64_t fin;  /* offset of the FIN, WR_TCP_NONE = none seen */
	uint32_t isn, ts_recent;
	uint32_t head, ohead; /* in-order list; out-of-order list, behind a gap */
	uint8_t wscale, has_wscale, has_ts, has_isn, fin_acked,
	        lost; /* lost: a watched half lost track */
	uint16_t mss;
	/* What is kept. */
	uint64_t dlv, top;
	uint32_t tail, cursor, unsent, otail; /* cursor: first not wholly delivered */
	uint16_t nsegs, nooo, last_window;
};
static_assert(offsetof(struct wr_half, dlv) == WR_CACHE_LINE, "hot fields in one line");

struct wr_tcp { /* one per worker */
	struct wr_pool *segs;
	uint64_t kept_bytes, kept_max;
	uint32_t covered; /* frames that need not go any more: another one carried their bytes */
};

/*
 * Ask for what is about to be touched: entry i of the list (0 = none); once that is near, the frame
 * that it keeps.
 */
static inline void wr_tcp_warm(const struct wr_tcp *t, uint32_t i)
{
	if (i != 0)
		wr_prefetch(wr_pool_at(t->segs, i));
}

static inline void wr_tcp_warm_frame(const struct wr_tcp *t, uint32_t i)
{
	const struct wr_seg *g = i != 0 ? wr_pool_at(t->segs, i) : NULL;

	if (g == NULL || g->m == NULL)
		return;
	wr_prefetch(g->m);
	wr_prefetch((const char *)g->m + WR_CACHE_LINE); /* its pool, its next segment */
}

enum wr_place {
	WR_PLACE_NEW,    /* in order: deliver, then wr_tcp_send_next(); the list owns the frame */
	WR_PLACE_SEND,   /* the caller sends the frame now */
	WR_PLACE_ABSORB, /* the caller frees it and counts it absorbed */
	WR_PLACE_DROP,   /* the caller frees it and counts it dropped, with the reason */
	WR_PLACE_QUEUED, /* out of order while something is held: the list owns it, nothing to
	                    deliver */
};

WR_MUST_USE struct wr_tcp *wr_tcp_new(uint32_t segs, uint64_t kept_max);
void wr_tcp_free(struct wr_tcp *t);

void wr_half_init(struct wr_half *h, uint32_t isn);
/* The 64-bit offset of a sequence number; negative: before the stream. */
static inline int64_t wr_half_off(const struct wr_half *h, uint32_t seq)
{
	return (int64_t)h->nxt + (int32_t)(seq - (h->isn + 1u + (uint32_t)h->nxt));
}

static inline uint32_t wr_half_seq(const struct wr_half *h, uint64_t off)
{
	return h->isn + 1u + (uint32_t)off;
}

/* PAWS and the reach of the segment; WR_R_NONE = may be placed. Changes no state. */
enum wr_reason wr_tcp_check(const struct wr_half *h, const struct wr_pkt *p);

/*
 * Places payload or FIN of p. holding: something of this half waits for a verdict, so nothing new
 * leaves out of order. May replace p->m by a compact copy (then p->payload still fits).
 */
enum wr_place wr_tcp_place(struct wr_lcore *lc, struct wr_tcp *t, struct wr_half *h,
                           struct wr_pkt *p, bool holding, enum wr_reason *why);
/* The bytes to deliver next, up to one segment; false: nothing. Then wr_tcp_delivered(). */
bool wr_tcp_peek(struct wr_tcp *t, struct wr_half *h, struct wr_span *out);
void wr_tcp_delivered(struct wr_tcp *t, struct wr_half *h, uint64_t upto);
/*
 * The next frame that may leave, with a reference for the send; NULL = none. What the store would
 * then have without a gap must lie below the gate.
 */
struct rte_mbuf *wr_tcp_send_next(struct wr_tcp *t, struct wr_half *h, uint64_t gate);
/* The other end acknowledged everything below off: kept segments go. */
void wr_tcp_ack(struct wr_tcp *t, struct wr_half *h, uint64_t off);
/*
 * After a block, for what stands before the blocked request, which begins at `end`: the next frame
 * that was never sent and begins below end, with a reference; *upto: where it ends (the caller
 * sends the part below end only). NULL: none, or it would close a gap to bytes at or above the
 * gate. Then wr_tcp_cut() forgets everything from end on.
 */
struct rte_mbuf *wr_tcp_send_below(struct wr_tcp *t, struct wr_half *h, uint64_t end, uint64_t gate,
                                   uint64_t *upto);
void wr_tcp_cut(struct wr_tcp *t, struct wr_half *h, uint64_t end);
/* True when bytes below end were never sent. */
bool wr_tcp_lacks(const struct wr_tcp *t, const struct wr_half *h, uint64_t end);
/* Makes a repeat of kept bytes equal to them; its payload must lie below what is kept. */
enum wr_reason wr_tcp_fix(struct wr_lcore *lc, struct wr_tcp *t, struct wr_half *h,
                          struct wr_pkt *p);
/* Drops all that is kept. Returns how many frames had never been sent. */
uint32_t wr_tcp_clear(struct wr_tcp *t, struct wr_half *h);
/* Frames that are in the half and were never sent. */
uint32_t wr_tcp_unsent(const struct wr_tcp *t, const struct wr_half *h);

/*
 * The store's direction is only watched: frames go on at once, copies of early segments are kept so
 * that the response parser sees bytes in order. Returns the in-order part of p as a span (len 0 =
 * none); then wr_tcp_watch_more() until it gives false.
 */
bool wr_tcp_watch(struct wr_lcore *lc, struct wr_tcp *t, struct wr_half *h, const struct wr_pkt *p,
                  struct wr_span *out);
bool wr_tcp_watch_more(struct wr_tcp *t, struct wr_half *h, struct wr_span *out);

/* A copy of the whole frame in a compact buffer, or NULL. */
struct rte_mbuf *wr_tcp_compact(struct wr_lcore *lc, const struct rte_mbuf *m);

#endif
