/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * piece - bytes on their way through the stages.
 *
 * A span is in-order stream bytes, lent for the call. A piece is object bytes; when `owner` is set
 * the bytes live in that mbuf and whoever keeps the piece longer than the call takes a reference on
 * it (rte_mbuf_refcnt_update) and drops it with rte_pktmbuf_free. With owner NULL the bytes are
 * valid for the call only and must be consumed or copied.
 */
#ifndef WR_HANDOFF_PIECE_H
#define WR_HANDOFF_PIECE_H

#include <stdint.h>

struct rte_mbuf;

struct wr_piece {
	const uint8_t *p;
	uint32_t len;
	struct rte_mbuf *owner;
};

/* What a parser eats from: p moves, the bytes in [p, end) are offered. */
struct wr_span {
	const uint8_t *p, *end;
	uint64_t off; /* stream offset of p */
	struct rte_mbuf *owner;
};

/* A pattern hit as scan/ reports it: the rule's index in the ruleset and the end offset. */
struct wr_hit {
	uint32_t rule;
	uint32_t pad;
	uint64_t offset;
};

#endif
