/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * msg - datagrams between control and the dataplane's main lcore (SOCK_SEQPACKET,
 * run_dir/dataplane.sock).
 *
 * 256 bytes, exact type and length, ABI version must match. Control connects; the dataplane serves
 * one connection at a time (a second is told EBUSY and closed).
 *
 * HELLO   c->d        answered by WELCOME with fds: [0] stats, then per worker records ring, events
 *                     ring. These areas are memfds sealed against shrink and grow: control refuses
 *                     others, because a truncated file would kill its reader.
 * SHARD   c->d, 1 fd  one sealed memfd of the ruleset being staged; the dataplane checks seals and
 *                     SHA-256. Answer RESULT, as for all below but STATUS.
 * HAVE    c->d        is this shard (by hash) mapped already? 0 or ENOENT; saves the fd
 * STAGE   c->d        all shards are there: build the ruleset of this meta shard
 * COMMIT  c->d        publish it; RESULT comes when every worker uses it for new requests
 * DROP    c->d        forget what was staged
 * STATUS  c->d        answered by STATUS_REPLY
 * DRAIN   c->d        what 1: no new connections from now on; 0: as before
 * WIRE    c->d
 * QUERY   c->d        flows, holds: RESULT with one memfd of rows (abi/look.h), `value` of them.
 *                     A worker that does not turn is left out after a while; the text names it.
 * TRACE   c->d        START (one at a time), STATE, STOP. STATE answers EAGAIN with the frames so
 *                     far, then once 0 with the memfd of a pcapng file; ENOENT: none was started
 *
 * Every request carries a `seq` that its answer repeats.
 */
#ifndef WR_ABI_MSG_H
#define WR_ABI_MSG_H

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "abi/look.h"
#include "base/base.h"

enum wr_msg_type {
	WR_MSG_HELLO = 1,
	WR_MSG_WELCOME,
	WR_MSG_RESULT,
	WR_MSG_HAVE,
	WR_MSG_SHARD,
	WR_MSG_STAGE,
	WR_MSG_COMMIT,
	WR_MSG_DROP,
	WR_MSG_STATUS,
	WR_MSG_STATUS_REPLY,
	WR_MSG_DRAIN,
	WR_MSG_WIRE,
	WR_MSG_QUERY,
	WR_MSG_TRACE
};

struct wr_msg {
	uint32_t type, len;
	uint8_t body[248];
};
static_assert(sizeof(struct wr_msg) == 256, "fixed-size datagram");

struct wr_msg_hello {
	uint32_t seq, abi, nreasons, ncauses;
	uint64_t stats_size, record_size;
};

struct wr_msg_welcome {
	uint32_t seq, abi, workers, pid;
	uint64_t stats_bytes, record_ring_bytes, event_ring_bytes; /* sizes of the mapped areas */
	uint64_t ruleset_generation, boot_id;
	uint8_t meta_sha256[32]; /* of the ruleset in force; zero = none */
};

struct wr_msg_result {
	uint32_t seq;
	int32_t error; /* 0 or -errno */
	uint64_t value;
	char text[200]; /* one line for people, when error != 0 */
};

struct wr_msg_shard { /* HAVE, SHARD, STAGE, COMMIT, DROP */
	uint32_t seq, flags;
	uint64_t bytes, generation; /* generation: control's number of this ruleset, grows */
	uint8_t sha256[32];
};

struct wr_msg_simple { /* STATUS, DRAIN, WIRE */
	uint32_t seq, what;
	uint64_t arg;
	char name[64];
};

struct wr_msg_look {        /* QUERY, TRACE */
	uint32_t seq, what; /* enum wr_look_what; enum wr_trace_op */
	struct wr_look_filter filter;
	uint32_t limit;   /* rows; frames */
	uint32_t seconds; /* TRACE START */
	uint32_t payload; /* TRACE START: 1 = whole frames, 0 = headers only */
	uint32_t pad;
};

enum wr_trace_op { WR_TRACE_START, WR_TRACE_STATE, WR_TRACE_STOP };

struct wr_msg_status {
	uint32_t seq, ready, draining, generations; /* rulesets mapped */
	uint64_t generation, oldest_generation, draining_uploads, rx_ok;
	uint8_t meta_sha256[32];
	char digest_engine[32], text[96];
};

static inline void wr_msg_put(struct wr_msg *m, uint32_t type, const void *body, size_t size)
{
	WR_ASSERT(size <= sizeof(m->body));
	memset(m, 0, sizeof(*m));
	m->type = type;
	m->len = (uint32_t)size;
	memcpy(m->body, body, size);
}

/* -EPROTO unless type and length match exactly: a short body is skew, a long one is a lie. */
WR_MUST_USE static inline int wr_msg_get(const struct wr_msg *m, uint32_t want, void *out,
                                         size_t size)
{
	if (m->type != want || m->len != size || size > sizeof(m->body))
		return -EPROTO;
	memcpy(out, m->body, size);
	return 0;
}

#endif
