/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * look - what people may ask about connections while frames flow: QUERY and TRACE of abi/msg.h.
 *
 * A QUERY is answered with a memfd of struct wr_look_row, as many as RESULT's value says. A worker
 * fills rows at the end of its turns, a bounded slice of its table each time; nobody stops it and
 * nobody reads its memory. A TRACE copies frames of one client, headers only unless it was asked
 * for more, until so many frames or seconds have passed.
 *
 * units    in the names. Strings are NUL-terminated and come from the wire: escape them.
 */
#ifndef WR_ABI_LOOK_H
#define WR_ABI_LOOK_H

#include <stdint.h>

#include "base/base.h"

#define WR_LOOK_ROWS_MAX 10000u /* of one answer */

#define WR_TRACE_PACKETS_MAX 100000u
#define WR_TRACE_SECONDS_MAX 3600u
#define WR_TRACE_BYTES_MAX   (32u << 20) /* of the file; then the trace ends */
#define WR_TRACE_SNAP        2048u       /* of one frame */

enum wr_look_what { WR_LOOK_FLOWS, WR_LOOK_HOLDS, WR_LOOK_WHATS };

/* Whose connections: all zero = everybody's. */
struct wr_look_filter {
	uint8_t client[16]; /* IPv4 mapped; zero = any */
	uint16_t port;      /* the client's; 0 = any */
	uint16_t pad[3];
};

#define WR_LOOK_PHASES(X)                                                                          \
	X(OPENING, "opening") /* SYN seen, not both */                                             \
	X(INSPECTED, "inspected")                                                                  \
	X(PASSED, "passed") /* let through unscanned, by policy */                                 \
	X(BLOCKED, "blocked")                                                                      \
	X(ENDED, "ended")

enum wr_look_phase {
#define X(e, s) WR_LOOK_##e,
	WR_LOOK_PHASES(X)
#undef X
	        WR_LOOK_PHASE_COUNT
};

/* Why bytes that have come do not go on. */
#define WR_LOOK_WAITS(X)                                                                           \
	X(NOTHING, "-")                                                                            \
	X(GAP, "gap")         /* a segment before them is missing */                               \
	X(VERDICT, "verdict") /* the upload is complete: its digests, then its verdict */          \
	X(RECORD, "record")   /* judged; the verdict record finds no room */                       \
	X(TAIL, "tail")       /* the last bytes of an upload, or what stands behind them */        \
	X(ANSWER, "answer")   /* nothing is held: the store has not answered yet */

enum wr_look_wait {
#define X(e, s) WR_LOOK_WAIT_##e,
	WR_LOOK_WAITS(X)
#undef X
	        WR_LOOK_WAIT_COUNT
};

struct wr_look_row {
	uint8_t client[16], store[16]; /* IPv4 mapped */
	uint16_t client_port, store_port, vlan;
	uint8_t phase, wait; /* enums above */
	uint8_t service, state, framing,
	        worker; /* state: 1 an upload is being received or judged */
	uint32_t requests;
	uint64_t age_ns, idle_ns, held_ns;      /* held_ns: since the upload's last byte */
	uint64_t c2s_bytes, s2c_bytes;          /* in order */
	uint64_t held_bytes;                    /* have come, were not sent on */
	uint32_t kept_segments, early_segments; /* not acknowledged yet; behind a gap */
	uint64_t upload_bytes, upload_length;   /* length UINT64_MAX = not told */
	uint8_t upload_id[16];
	char method[16], host[64], target[96];
};
static_assert(sizeof(struct wr_look_row) % 8 == 0, "no padding behind the last string");

/* One traced frame in a worker's ring: this, then `cap` bytes. */
struct wr_trace_frame {
	uint64_t tsc;
	uint32_t len, cap; /* on the wire; here */
	uint8_t side, out; /* 0 client, 1 store; out: sent there, else received there */
	uint8_t pad[6];
};

#endif
