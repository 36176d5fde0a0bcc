/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer - both ends of the wire for the pipeline bench: clients that upload prepared frames over
 * many connections, a store that acknowledges and answers. In the worker's own thread, or on an
 * lcore of its own (source.h).
 *
 * takes    what the worker sends, by the ports' function pointers; it never writes to such a frame
 * gives    frames: payload mbufs that were filled once and whose header is patched before each use,
 *          and only when nobody else holds a reference
 * owns     its mbufs; its own time is counted in ticks of the time stamp counter
 * fails    a frame that it did not expect ends the bench: this wire loses and reorders nothing
 */
#ifndef WR_TESTS_PERF_PEER_H
#define WR_TESTS_PERF_PEER_H

#include <rte_mbuf.h>
#include <stdint.h>

#include "port/port.h"

#define PEER_MSS    1460u
#define PEER_DELAYS 65536u
/* What a rule of the bench looks for; put into some payload frames. */
#define PEER_PLANT "weir-bench-planted-pattern-7f3a"

enum peer_content { PEER_RANDOM, PEER_JPEG, PEER_TEXT };

struct peer_opts {
	uint32_t conns, body_bytes, frames; /* frames: payload mbufs in turn */
	uint32_t window;                    /* segments in flight per connection */
	uint32_t burst;                     /* segments of one connection in a row */
	uint32_t requests;     /* uploads per connection, then it closes and another opens */
	uint32_t plant_frames; /* payload mbufs that carry PEER_PLANT */
	uint32_t listed_every; /* every so many uploads one is the listed body; 0 = none */
	enum peer_content content;
	bool eal; /* its frames are freed by another thread: pools of EAL */
};

struct peer_conn {
	uint32_t c_nxt, c_una,
	        c_end;         /* client's sequence numbers: next, acknowledged, end of upload */
	uint32_t s_rcv, s_nxt; /* store's: next expected byte, next own byte */
	uint32_t body_left, uploads;
	uint16_t port;
	uint8_t phase, queued, reply,
	        unacked; /* reply: frames that the store owes; unacked: segments */
	uint8_t planted, listed, staggered;
	uint64_t last_in; /* CPU time, ns, when the upload's last frame went to the worker */
};

struct peer {
	struct peer_opts o;
	struct peer_conn *conn;
	uint32_t *ready, ready_head, nready; /* connections whose client may send */
	uint32_t *owed, owed_head, nowed;    /* connections whose store owes frames */
	struct rte_mempool *payload_mp, *small_mp;
	struct rte_mbuf **frame, *listed;
	uint64_t *frame_sum; /* checksum of the payload alone */
	uint8_t *frame_planted;
	uint64_t listed_sum;
	uint32_t next_frame;
	uint64_t seed;
	bool stop; /* no new uploads */
	/* counters */
	uint64_t ticks_rx, ticks_tx; /* spent in here, inside the worker's rx and tx stages */
	uint64_t body_bytes, uploads, planted, listed_uploads, opened, starved;
	uint64_t c2s_in, c2s_out, s2c_in, s2c_out, unexpected;
	uint64_t delay[PEER_DELAYS]; /* ns of CPU time; a ring of the latest */
	uint64_t ndelays;
	/* body bytes per ns of CPU time; 0 = as fast as the worker takes them */
	double pace;
	uint64_t pace_from, pace_bytes;
};

/* From now on uploads come at this rate, by the thread's CPU time: who is on the core beside us
 * does not count. 0 = without limit. */
void peer_pace(struct peer *p, double bytes_per_ns);
struct peer *peer_new(const struct peer_opts *o, uint64_t seed);
void peer_free(struct peer *p);
struct wr_port peer_client_port(struct peer *p);
struct wr_port peer_store_port(struct peer *p);
/* The listed body: 1,460 bytes. */
const uint8_t *peer_listed_body(const struct peer *p);
/* All uploads answered and all connections closed (after stop). */
bool peer_quiet(const struct peer *p);

#endif
