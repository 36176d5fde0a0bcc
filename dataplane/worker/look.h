/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * look - a worker answers questions about its connections, and copies frames of one client.
 * Private to worker/; what main asks is in worker.h.
 *
 * A question is a word that main sets and the worker looks at once a turn; its answer grows by at
 * most LOOK_SLICE entries of the table a turn, so that asking costs a worker microseconds, however
 * many connections there are. Tracing costs one load per burst while it is off.
 */
#ifndef WR_WORKER_LOOK_H
#define WR_WORKER_LOOK_H

#include <stdatomic.h>

#include "abi/look.h"
#include "abi/ring.h"
#include "handoff/pkt.h"

#define LOOK_ROWS  256u /* of one answer; main takes them and asks on */
#define LOOK_SLICE 256u /* entries a turn: as many cache lines, then some for each that is used */
#define TRACE_RING (1u << 20)

enum look_state { LOOK_IDLE, LOOK_ASKED, LOOK_READY };

struct look {
	_Atomic uint32_t state; /* main: IDLE, READY -> ASKED; the worker: ASKED -> READY */
	uint32_t what, cursor;  /* cursor: next entry, 0 = the table has been seen to its end */
	uint32_t nrows;
	struct wr_look_filter filter;
	struct wr_look_row row[LOOK_ROWS];
};

struct trace {
	_Atomic uint32_t on, seen;    /* on: 0, 1 headers, 2 whole; seen: the worker's last turn */
	struct wr_look_filter filter; /* main writes it while on and seen are 0 */
	struct wr_ring *ring;
};

struct wr_worker;
struct rte_mbuf;

WR_MUST_USE bool look_new(struct wr_worker *w); /* boot */
void look_free(struct wr_worker *w);
void look_turn(struct wr_worker *w);
void trace_frames(struct wr_worker *w, enum wr_side side, bool out, struct rte_mbuf *const *m,
                  uint16_t n);

#endif
