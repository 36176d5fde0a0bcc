/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frag - puts TCP datagrams together from IP fragments, where a service's policy asks for it.
 *
 * takes    fragments that the sort of a burst meets (copied; the frame itself ends there)
 * gives    whole frames of at most the largest fragment's size, to be sorted like received ones
 * owns     WR_FRAG_DATAGRAMS linear buffers, frames not yet fetched
 * threads  lcore-local
 * limits   WR_FRAG_DATAGRAMS at once: the oldest gives way (FRAG_LIMIT); WR_FRAG_PIECES fragments
 * of one (FRAG_LIMIT); WR_FRAG_NS from the first to the last (FRAG_TIMEOUT) fails    never: what
 * cannot be put together is dropped with a reason see      docs/concepts/one-burst.md,
 * tests/unit/pkt/test_frag.c
 *
 * Fragments that overlap are the oldest way to show two readers two texts (RFC 1858, 3128, 5722),
 * so a datagram with any overlap is dropped whole and what follows of it too. A repeat of a
 * fragment that says the same at the same place is how networks duplicate: it changes nothing.
 */
#ifndef WR_PKT_FRAG_H
#define WR_PKT_FRAG_H

#include "handoff/pkt.h"
#include "lcore/lcore.h"

#define WR_FRAG_DATAGRAMS 64u
#define WR_FRAG_PIECES    64u /* 65,535 bytes on a wire of 1,500 are 45 */
#define WR_FRAG_NS        5000000000ull
#define WR_FRAG_OUT       256u /* segments waiting to be fetched: more than two datagrams of 576 */

struct wr_frag;

/* Boot. NULL when the system has no memory for it. */
WR_MUST_USE struct wr_frag *wr_frag_new(void);
void wr_frag_free(struct wr_frag *f); /* NULL is allowed */
/* Does any service of c reassemble? */
bool wr_frag_wanted(const struct wr_conf *c);

/* True: m is a fragment to (or from) an address that reassembles, and what it says was taken. m
 * stays the caller's, who ends it. */
bool wr_frag_take(struct wr_lcore *lc, struct wr_frag *f, enum wr_side side,
                  const struct rte_mbuf *m);
/* Frames of one side that are whole, at most max; they belong to the caller. */
uint16_t wr_frag_fetch(struct wr_frag *f, enum wr_side side, struct rte_mbuf **m, uint16_t max);

#endif
