/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * world - the hosts of the simulation, what they exchange, and what is counted.
 *
 * plan.c    what a schedule is: connections, requests, bodies, faults of the wire
 * peer.c    a host's TCP: SACK, window scaling, timestamps, probes, timers
 * evil.c    what a client sends that no honest one would
 * store.c   the store: three rules for overlaps, HTTP, commits
 * rigs.c    workers between the hosts, their ports, the invariants after each turn
 * sim.c     the run of a schedule and its judgement
 */
#ifndef WR_SIM_WORLD_H
#define WR_SIM_WORLD_H

#include <stddef.h>

#include "sim/rig.h"

#define MS         1000000ull
#define S          1000000000ull
#define STREAM_MAX (72u * 1024u)
#define PAIRS      3u
#define REQ_MAX    24u
#define BAD_NONE   99u
#define MARK_LEN   68u
#define LISTED_LEN 3000u
#define FORM_LINE  "--sep4r8tor"

extern const char mark[MARK_LEN + 1];
extern uint8_t listed_body[LISTED_LEN];

enum kind { CLEAN, MARKED, LISTED, EVIL };
enum form { PLAIN, CHUNKED, FORM, GZIP, GZIP_CHUNKED, FORMS };
enum overlap { FIRST_WINS, LAST_WINS, LINUX_LIKE, OVERLAPS };
enum craft { MIX, DECOY_FIRST, MARK_EARLY, MARK_ON_SYN, CRAFTS };

struct request {
	enum form form;
	uint32_t start, body, end; /* stream offsets */
	bool expect;               /* waits for 100 Continue */
};

struct plan { /* what one connection is to do */
	enum kind kind;
	enum craft craft;
	uint32_t requests, bad; /* bad: the request that carries what must not arrive */
	struct request req[REQ_MAX];
	uint32_t mark_at, mark_end; /* stream offsets, 0 0 = none to be seen in the stream */
	bool in_turn;               /* each request waits for the answer to the one before */
	bool half_close;            /* FIN right behind the last request */
	bool noise;                 /* segments that go nowhere, from a third party */
	uint8_t hole;   /* lost once: 1 what ends the request before the bad one, 2 the first */
	bool reuse;     /* the 4-tuple of the connection before, once that has ended */
	uint64_t begin; /* when the client connects */
	uint32_t frag;  /* percent of segments in fragments */
};

struct host {
	struct addr me, peer;
	bool is_store, ts, sack, open, dead, got_rst, fin_sent, fin_got, fin_acked, want_fin;
	uint8_t pair, shift, peer_shift; /* shift: of the windows that it offers */
	bool has_wscale, scaled, linux_probe, probe_taken, renegs;
	uint32_t isn, peer_isn;
	uint32_t una, nxt, top, limit,
	        out_len; /* stream offsets of what it sends; top: highest ever */
	uint32_t edge;   /* right edge that the peer offers */
	uint32_t rcv, read, rbuf,
	        offered; /* received in order; of it read; buffer; own right edge */
	uint32_t in_top;
	uint32_t ts_recent, ts_now, mss, burst, dupacks, recover, sack_top;
	uint64_t again_at, rto_at, rto, syn_at, persist_at, alive_at, pause_from, pause_to;
	enum overlap policy;
	uint32_t parsed; /* client: responses read up to here */
	uint32_t ok, refused, continues;
	uint64_t expect_at;
	bool answer_lost;
	uint8_t out[STREAM_MAX], in[STREAM_MAX], have[STREAM_MAX], sacked[STREAM_MAX];
	uint8_t decoy[STREAM_MAX]; /* a second version of out, for overlaps with other bytes */
};

struct shop {                                 /* the store's HTTP */
	uint32_t at, body_len, want, scanned; /* at: parsed so far; want: bytes that a step needs */
	uint8_t state;
	bool chunked, gzip, form, early, broken, answered_early;
	uint32_t heads, commits, parts, bad_commits, responded, slow_ms, chunked_answers;
	uint64_t answer_at;
	uint8_t body[STREAM_MAX], plain[STREAM_MAX];
};

struct pair {
	struct plan plan;
	struct host client, store;
	struct shop shop;
	bool begun,
	        reset_ok; /* reset_ok: something happened after which nobody owes it an answer */
	uint8_t weir_have[STREAM_MAX];
	uint32_t weir_nxt, weir_top; /* what has come to Weir in order, for the statistics */
};

/* How often a situation came up, over all schedules. */
#define SITUATIONS(X)                                                                              \
	X(CONFLICT, "overlap with other bytes")                                                    \
	X(MARK_CONFLICT, "conflicting overlap on a marked byte")                                   \
	X(EARLY, "segment behind a gap")                                                           \
	X(GAP_MATCH, "gap filler that completes a match")                                          \
	X(REPEAT, "retransmission")                                                                \
	X(HELD_REPEAT, "repeat of a held byte")                                                    \
	X(RTO_HELD, "timer fired on a held tail")                                                  \
	X(PROBE_HELD, "probe on a held byte")                                                      \
	X(LONG_HOLD, "tail held for long (no room for records)")                                   \
	X(RTO, "client's timer fired")                                                             \
	X(WRAP, "sequence numbers wrap inside a body")                                             \
	X(SACK, "SACK blocks from the store")                                                      \
	X(SACK_REPEAT, "selective retransmission")                                                 \
	X(RENEGE, "store throws away what it had acknowledged by SACK")                            \
	X(WSCALE, "scaled windows")                                                                \
	X(NO_TS, "connection without timestamps")                                                  \
	X(OLD_TS, "segment with an old timestamp (PAWS)")                                          \
	X(ZERO_WINDOW, "store closes its window")                                                  \
	X(PROBE, "window probe beyond the edge")                                                   \
	X(KEEP_ALIVE, "keep-alive probe")                                                          \
	X(BOGUS_RST, "RST outside the expected number")                                            \
	X(BOGUS_FIN, "FIN that is not the stream's end")                                           \
	X(BAD_SUM, "segment with a bad checksum")                                                  \
	X(SYN_DATA, "data on a SYN")                                                               \
	X(URGENT, "URG set")                                                                       \
	X(FRAG_DROP, "TCP fragments, policy drop")                                                 \
	X(FRAG_WHOLE, "TCP fragments put together, IPv4")                                          \
	X(FRAG_WHOLE6, "TCP fragments put together, IPv6")                                         \
	X(FRAG_OVERLAP, "overlapping fragments")                                                   \
	X(IPV6, "IPv6")                                                                            \
	X(BLOCKED, "upload blocked")                                                               \
	X(ANSWER_READ, "client read the answer")                                                   \
	X(LOST_ANSWER, "answer lost on its way")                                                   \
	X(CHALLENGE, "store spoke after the reset")                                                \
	X(GAP_RESET, "pipelined behind a gap: both reset")                                         \
	X(CLEAN_COMMIT, "clean upload committed")                                                  \
	X(BETWEEN, "several connections at once")                                                  \
	X(REUSE, "addresses and ports used again")                                                 \
	X(IN_TURN, "several uploads, one after the other")                                         \
	X(PIPELINE, "pipelined uploads")                                                           \
	X(PIPELINE_LIMIT, "more requests without an answer than can be paired")                    \
	X(CHUNKED, "chunked body")                                                                 \
	X(FORM, "multipart form")                                                                  \
	X(GZIP, "gzip body")                                                                       \
	X(EXPECT, "Expect: 100-continue")                                                          \
	X(HALF_CLOSE, "half-close behind the last request")                                        \
	X(EARLY_ANSWER, "store answers before it has the request")                                 \
	X(MARK_SPLIT, "marked bytes over two segments")                                            \
	X(SWITCH, "ruleset switched in mid-upload")                                                \
	X(EPOCH, "wire opened in mid-upload")                                                      \
	X(FOREIGN, "two workers: frame handed over")                                               \
	X(SMALL_TURN, "turn's byte budget used up")
enum situation {
#define X(e, s) SIT_##e,
	SITUATIONS(X)
#undef X
	        SIT_COUNT
};

struct sim {
	struct rng rng;
	struct wire wire;
	struct pair pair[PAIRS];
	uint32_t npairs, workers;
	uint64_t seed, start;
	uint64_t hold_from, hold_to, switch_at, epoch_at; /* 0 = not in this schedule */
	bool verbose, reassemble, held;
	uint16_t port0;
	uint8_t seen[SIT_COUNT];
};
extern struct sim sim;

/* plan.c */
void plan_schedule(uint64_t seed);
/* peer.c */
void host_init(struct host *h, bool store, uint32_t pair);
void host_segment(struct host *h, const struct seg *g);
void host_tick(struct host *h);
uint64_t host_next(const struct host *h);
void host_ack(struct host *h);
void host_range(struct host *h, uint32_t a, uint32_t b, const uint8_t *src, uint8_t tags);
struct seg host_seg(const struct host *h, uint8_t flags, uint32_t off);
void host_send(struct host *h, const struct seg *g, struct meta meta); /* to the wire */
/* evil.c */
const uint8_t *evil_source(const struct host *h, uint32_t a, uint32_t b);
void evil_mischief(struct host *h);
void evil_syn(struct host *h, struct seg *g);
void evil_noise(struct host *h);
void evil_fragments(const struct host *h, const struct frame *whole, const struct seg *g);
/* store.c */
void host_place(struct host *h, uint32_t off, const struct seg *g);
void store_app(struct pair *p);
bool store_due(const struct pair *p, uint64_t now);
/* client.c */
void client_app(struct pair *p);
bool body_bad(const uint8_t *b, uint32_t n);

static inline struct pair *pair_of(const struct host *h)
{
	return &sim.pair[h->pair];
}

#endif
