/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hold - what happens to a connection after a block: when to reset the store, how to answer the
 * client.
 *
 * takes    the clock and what worker/ knows of the connection
 * gives    what to send next; worker/ writes the frames
 * owns     struct wr_block, one in each connection's cold entry
 * threads  lcore-local, pure
 * limits   WR_HOLD_WAIT_NS for earlier responses, WR_HOLD_TRIES repeats, conf drain_bytes,
 * drain_time see      docs/concepts/hold.md, tests/unit/hold, tests/sim
 */
#ifndef WR_HOLD_HOLD_H
#define WR_HOLD_HOLD_H

#include "abi/conf.h"
#include "base/base.h"
#include "handoff/head.h"

#define WR_HOLD_WAIT_NS    5000000000ull /* for earlier responses and the client's ACK of them */
#define WR_HOLD_FIRST_NS   200000000ull  /* first repeat; doubled each time */
#define WR_HOLD_TRIES      6u
#define WR_HOLD_ANSWER_MAX 1200u

enum wr_block_phase {
	WR_BLOCK_NONE,
	WR_BLOCK_WAIT, /* the store's bytes flow until all earlier responses are with the client */
	WR_BLOCK_ANSWER, /* store reset (repeated), answer sent (repeated), client's data drained */
	WR_BLOCK_RESET,  /* both sides reset, nothing was injected */
	WR_BLOCK_LINGER, /* done; late segments are still answered with RST */
};

struct wr_block {
	uint64_t since, answer_at, store_at, drain_until;
	uint64_t answer_off; /* s2c stream offset of the answer's first byte */
	uint64_t drained;
	uint16_t answer_len;
	uint8_t phase, answer_tries, store_tries, answered, store_dead, client_fin;
};

struct wr_hold_view { /* what worker/ sees right now */
	uint64_t now;
	bool earlier_done; /* responses to all earlier requests are complete */
	bool client_acked; /* the client has acknowledged all that the store sent */
	bool begun;        /* the store has begun to answer this request */
	bool no_answer;    /* not a request we can answer (no HTTP): reset */
};

enum wr_hold_do {
	WR_HOLD_NOTHING = 0,
	WR_HOLD_RST_STORE = 1,
	WR_HOLD_RST_CLIENT = 2,
	WR_HOLD_SEND_ANSWER = 4,
};

void wr_block_start(struct wr_block *b, uint64_t now);
/* Looks at the clock and the view; returns what to do now, a set of enum wr_hold_do. */
uint32_t wr_block_step(struct wr_block *b, const struct wr_hold_view *v,
                       const struct wr_conf *conf);
/* The client acknowledged the answer up to this s2c offset (FIN included = offset after its end).
 */
void wr_block_acked(struct wr_block *b, uint64_t off, uint64_t now);
/* When wr_block_step wants to be called again. */
uint64_t wr_block_next(const struct wr_block *b);

/* Writes the answer of formats.md section 3 into buf; returns its length (<= WR_HOLD_ANSWER_MAX).
 */
uint32_t wr_hold_answer(const struct wr_conf *conf, const struct wr_http_head *head,
                        const uint8_t decision_id[16], char *buf, uint32_t size);

#endif
