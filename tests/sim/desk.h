/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * desk - a whole worker, one thing at a time: each segment by hand, each frame that leaves looked
 * at.
 *
 * What the seeded schedules of sim prove in the mass, scripts on this desk pin down singly, so that
 * a planted fault has a name at once. Frames are made and read by wire.c, which shares no code with
 * the product. One connection at a time; connected() begins the next.
 */
#ifndef TESTS_SIM_DESK_H
#define TESTS_SIM_DESK_H

#include <string.h>

#include "abi/conf.h"
#include "abi/record.h"
#include "abi/ring.h"
#include "abi/stats.h"
#include "sim/rig.h"
#include "worker/worker.h"

#define MS       1000000ull
#define S        1000000000ull
#define RING     (64u << 10)
#define F_URG    32u
#define LISTED   3000u
#define OUT_MAX  256u
#define CLIENT   0
#define STORE    1
#define C_ISN    1000u
#define S_ISN    9000u
#define REAL     (1700000000 * S)
#define HEAD(n)  "PUT /o HTTP/1.1\r\nHost: store\r\nContent-Length: " #n "\r\n\r\n"
#define CREATED  "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
#define IN(a, b) ((a) != NULL && strstr((a), (b)) != NULL)
#define MARK     ((uint32_t)sizeof(mark) - 1)

extern const char mark[69];

struct got {
	struct seg seg;
	uint8_t b[FRAME_MAX + 1]; /* one more: payload of text may be read as a string */
};

extern struct wr_conf conf;
extern struct wr_stats stats;
extern struct wr_ring *records, *events;
extern struct wr_worker *worker;
extern struct wr_ruleset *ruleset;
extern struct got out[2][OUT_MAX]; /* [where to] */
extern uint32_t nout[2], marks;    /* marks: frames to the store with the marked bytes */
extern struct addr client;
extern uint64_t now;
extern bool stamps;
extern uint16_t window[2];
extern uint32_t sent[2], acked[2]; /* stream offsets, as each host counts them */

/* 0, or -1 and a line on stderr. */
int boot(const char *compiler, const char *bundle);
void turn(void);
void later(uint64_t ns);
void put(int side, const struct seg *s);
/* A segment of `side` at stream offset off (-1 = the SYN's place). */
struct seg segment(int side, int64_t off, const void *data, uint32_t n, uint8_t flags);
void send_at(int side, uint32_t off, const void *data, uint32_t n);
void say(int side, const char *text);
void ack(int side, uint32_t off);
/* A connection of its own for each script: the next port. */
void connect_with(const void *syn_data, uint32_t n, uint16_t offered);
void connected(void);
/* What left in the last turn. */
const struct seg *flagged(int to, uint8_t flag);
uint32_t payload(int to);
const char *answer(void);          /* the first payload towards the client */
uint64_t reason(enum wr_reason r); /* counted since the last question */
/* The oldest record, taken off the ring; verdict 0xff when there is none. */
struct wr_record record(void);
uint64_t hashed(void); /* coverage of the oldest record's first view; takes it off */
void no_records(void);

#endif
