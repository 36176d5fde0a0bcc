/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig - a whole worker between two hosts on an in-memory wire with a virtual clock. No EAL.
 *
 * Every frame is copied as it crosses the wire, so what a host sends or gets is never an mbuf of
 * Weir's. Loss, delay, reordering and duplication come from one seed; a failing seed is replayed
 * with `sim --seed N -v`. The hosts' TCP and HTTP (peer.c) share no code with the product.
 */
#ifndef WR_SIM_RIG_H
#define WR_SIM_RIG_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_MAX  1600u
#define STREAM_MAX (96u * 1024u)

struct rng {
	uint64_t s;
};

uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0..n-1 */
bool rng_chance(struct rng *r, uint32_t percent);

struct frame {
	uint64_t at;
	uint32_t len;
	struct frame *next;
	uint8_t b[FRAME_MAX];
};

enum hop { CLIENT_TO_WEIR, WEIR_TO_STORE, STORE_TO_WEIR, WEIR_TO_CLIENT, HOPS };

struct wire {
	struct frame *q[HOPS]; /* sorted by arrival */
	uint64_t now;
	uint32_t loss, dup, reorder; /* percent, per hop */
	uint64_t delay_ns;
	uint64_t carried[HOPS], lost[HOPS];
};

void wire_put(struct wire *w, struct rng *r, enum hop h, const uint8_t *b, uint32_t len);
struct frame *wire_get(struct wire *w, enum hop h); /* one that has arrived, or NULL; free() it */
uint64_t wire_next(const struct wire *w); /* arrival of the next frame, UINT64_MAX = none */
void wire_clear(struct wire *w);

/* What a frame says, for the hosts. */
struct seg {
	uint32_t seq, ack;
	uint16_t sport, dport, window;
	uint8_t flags, wscale;
	bool has_ts, has_wscale, csum_ok;
	uint32_t ts, ecr;
	const uint8_t *data;
	uint32_t len;
};
#define F_FIN 1u
#define F_SYN 2u
#define F_RST 4u
#define F_PSH 8u
#define F_ACK 16u

struct addr {
	uint8_t ip[4];
	uint16_t port;
};
uint32_t frame_make(uint8_t *b, const struct addr *from, const struct addr *to,
                    const struct seg *s);
bool frame_read(const uint8_t *b, uint32_t len, struct seg *s);

/* --- hosts
 * ----------------------------------------------------------------------------------------- */

enum overlap { FIRST_WINS, LAST_WINS, LINUX_LIKE, OVERLAPS };

struct host {
	struct addr me, peer;
	bool is_store, ts, open, dead, got_rst, fin_sent, fin_got, fin_acked, want_fin;
	uint32_t isn, peer_isn;
	uint32_t una, nxt, out_len; /* stream offsets of what this host sends */
	uint32_t rcv;               /* in-order bytes received */
	uint32_t wnd;               /* what the peer offers */
	uint32_t ts_recent, ts_now;
	uint64_t rto_at, rto, syn_at;
	uint32_t dupacks;
	enum overlap policy;
	uint8_t out[STREAM_MAX]; /* bytes to send */
	uint8_t in[STREAM_MAX];  /* bytes received, by offset */
	uint8_t have[STREAM_MAX];
	uint32_t in_top;
	/* the client only */
	uint32_t mss, burst;
	uint8_t decoy[STREAM_MAX]; /* a second version of out, for overlaps with other bytes */
	bool evil;
	/* the store only */
	uint32_t parsed, commits, bad_commits, responded, slow_ms;
	uint64_t answer_at;
	uint8_t body[STREAM_MAX];
};

struct sim;
void host_init(struct host *h, bool store, struct rng *r, uint16_t client_port);
void host_segment(struct sim *s, struct host *h, const struct seg *g);
void host_tick(struct sim *s, struct host *h);
uint64_t host_next(const struct host *h, uint64_t now);

/* How often a situation came up, over all schedules. */
#define SITUATIONS(X)                                                                              \
	X(CONFLICT, "overlap with other bytes")                                                    \
	X(EARLY, "segment behind a gap")                                                           \
	X(REPEAT, "retransmission")                                                                \
	X(HELD_REPEAT, "repeat of a held byte")                                                    \
	X(WRAP, "sequence numbers wrap inside a body")                                             \
	X(RTO, "client's timer fired")                                                             \
	X(BLOCKED, "upload blocked")                                                               \
	X(ANSWER_READ, "client read the answer")                                                   \
	X(CHALLENGE, "store spoke after the reset")                                                \
	X(CLEAN_COMMIT, "clean upload committed")                                                  \
	X(PIPELINE, "more than one request on the connection")                                     \
	X(CHUNKED, "chunked body")                                                                 \
	X(MARK_SPLIT, "marked bytes over two segments")                                            \
	X(BOGUS_RST, "RST outside the expected number")                                            \
	X(BAD_SUM, "segment with a bad checksum")                                                  \
	X(GAP_RESET, "pipelined behind a gap: both reset")                                         \
	X(OLD_TS, "segment with an old timestamp")
enum situation {
#define X(e, s) SIT_##e,
	SITUATIONS(X)
#undef X
	        SIT_COUNT
};

struct sim {
	struct rng rng;
	struct wire wire;
	struct host client, store;
	struct wr_worker *worker;
	uint64_t seed;
	bool verbose;
	uint8_t seen[SIT_COUNT];
	const char *mark; /* the bytes that no store may have */
};

void host_send(struct sim *s, struct host *h, const struct seg *g);

#endif
