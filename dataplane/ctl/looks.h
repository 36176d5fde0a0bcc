/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * looks - questions of QUERY, put to the workers one after the other, and the one TRACE. Private to
 * ctl/.
 *
 * Nobody waits here: each poll takes what is there. A worker that does not answer within
 * WR_CTL_LOOK_NS is left out and named.
 */
#ifndef WR_CTL_LOOKS_H
#define WR_CTL_LOOKS_H

#include "abi/msg.h"
#include "ctl/ctl.h"

struct wr_looks {
	const struct wr_ctl_args *a;
	bool asking;
	struct wr_msg_look q;
	uint32_t worker, rows; /* being asked; answered so far */
	bool asked;            /* this worker has the question */
	uint64_t deadline_ns;
	int fd; /* the answer; -1 = none */
	char missing[64];
};

WR_MUST_USE int wr_looks_begin(struct wr_looks *k, const struct wr_msg_look *q, uint64_t now_ns);
/* 1: the answer is complete (k->fd, k->rows, k->missing): send it, then wr_looks_end(). */
WR_MUST_USE int wr_looks_poll(struct wr_looks *k, uint64_t now_ns);
void wr_looks_end(struct wr_looks *k);

struct wr_traces {
	const struct wr_ctl_args *a;
	bool running, finished; /* finished: fd holds a file that nobody has fetched yet */
	uint64_t deadline_ns, bytes;
	uint32_t frames, limit;
	int fd;
	struct wr_trace_file *file;
	char missing[64]; /* a worker that could not join */
};

/* -EBUSY: one runs; other errors: no file. */
WR_MUST_USE int wr_traces_start(struct wr_traces *t, const struct wr_msg_look *q, uint64_t now_ns);
void wr_traces_poll(struct wr_traces *t, uint64_t now_ns);
void wr_traces_stop(struct wr_traces *t);
void wr_traces_free(struct wr_traces *t);

#endif
