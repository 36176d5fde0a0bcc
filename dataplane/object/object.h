/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * object - the life of one upload: identity, sizes, coverage, the slots of its scanners.
 *
 * takes    a slot from the worker's pool when a request with a body begins
 * gives    a place where the stages' handles and results meet; it calls none of them
 * owns     nothing but its own slot: the worker opens and closes streams, digests and heads
 * threads  lcore-local
 * limits   uploads per worker (conf->uploads): then WR_R_OBJECT_LIMIT
 * see      docs/concepts/object.md, tests/unit/object
 */
#ifndef WR_OBJECT_OBJECT_H
#define WR_OBJECT_OBJECT_H

#include "abi/record.h"
#include "handoff/decision.h"
#include "handoff/head.h"
#include "handoff/pkt.h"
#include "lcore/lcore.h"
#include "mem/mem.h"
#include "object/look.h"
#include "ruleset/ruleset.h"

enum wr_object_state {
	WR_OBJ_RECEIVING, /* bytes are coming */
	WR_OBJ_DRAINING,  /* an object in several requests: kept parts are being scanned */
	WR_OBJ_FINISHING, /* all bytes are here, digests run behind */
	WR_OBJ_WHOLE,     /* a piece that is judged and waits for the whole's verdict */
	WR_OBJ_RECORDS,   /* decided; waits for room in the record ring */
	WR_OBJ_ANSWER,    /* decided and released: waits for the store's answer */
	WR_OBJ_DONE,      /* everything is known: the record can be written */
};

/* The views that are given bytes; the trimmed ones end with the format in them. */
#define WR_LOOKS 2u
static_assert(WR_VIEW_RAW < WR_LOOKS && WR_VIEW_DECODED < WR_LOOKS, "each has its look");
static_assert(WR_VIEW_TRIMMED == WR_VIEW_RAW + WR_LOOKS &&
                      WR_VIEW_DECODED_TRIMMED == WR_VIEW_DECODED + WR_LOOKS,
              "trimmed view = view + WR_LOOKS");

struct wr_view_state {
	uint32_t stream, digest; /* slots in scan/ and digest/, 0 = none */
	uint8_t used, coding, digested, pad;
	uint64_t bytes;   /* given to the view */
	uint64_t scanned; /* of them seen by the pattern scan */
	uint64_t hashed;  /* of them in the digests */
	struct wr_digests digests;
};

struct wr_object {
	uint32_t conn, next; /* connection; next in its queue, 0 = last */
	uint32_t req;        /* number of the request on its connection */
	uint8_t state, service, kind,
	        early; /* kind: enum wr_record_kind; early: 1 answered early, 2 with 2xx */
	uint8_t norecord, part, has_hits, observe; /* has_hits: new since the last look */
	uint8_t committed, answered, partial, pad;
	uint32_t causes; /* 1 << enum wr_cause */
	uint16_t reason; /* enum wr_reason that decided, 0 = none */
	uint16_t framing_bits;
	uint32_t piece; /* in worker/: what this request is to an object in several, 0 = none */
	uint32_t spare3;
	struct wr_ruleset *rs;
	struct wr_http_head *head; /* shared by the parts of a form; the last one gives it back */
	uint64_t bytes;
	uint64_t first_ns, last_ns, verdict_ns, release_ns; /* monotonic */
	uint64_t done_ns, forwarded;
	struct wr_flow_key key; /* copied when the connection is done with it */
	uint8_t proxy_src[16];
	uint16_t proxy_port;
	uint8_t proxy_source, spare[5];
	uint8_t id[16], decision_id[16];
	struct wr_ruleset *scan_rs;    /* of the pattern stream, when that is older; else NULL */
	const struct wr_hit *far_hits; /* of another worker's stream, while the verdict is made */
	uint32_t nfar_hits, spare4;
	uint8_t object_id[16]; /* shared by the pieces of an object and the whole, zero = none */
	struct wr_view_state view[WR_VIEW_COUNT];
	struct wr_decision decision;
	char filename[256], declared[128], type[64];
	struct wr_look look[WR_LOOKS]; /* at the raw view, at the decoded one */
	/* Not cleared for a new object: what counts of it is what look[].nprefix says. */
	uint8_t prefix[WR_LOOKS][WR_SNIFF_BYTES];
};

/* A zeroed object, 0 = none left. The index is the handle. */
uint32_t wr_object_get(struct wr_pool *pool, struct wr_lcore *lc, uint32_t conn);
static inline struct wr_object *wr_object_at(const struct wr_pool *pool, uint32_t i)
{
	return wr_pool_at(pool, i);
}

/* Asks for the lines that a piece of the body touches. */
static inline void wr_object_warm(const struct wr_pool *pool, uint32_t i)
{
	const char *o = wr_pool_at(pool, i);

	wr_prefetch(o);
	wr_prefetch(o + WR_CACHE_LINE);
	for (size_t at = offsetof(struct wr_object, view) & ~(size_t)(WR_CACHE_LINE - 1);
	     at < offsetof(struct wr_object, view) + sizeof(struct wr_view_state);
	     at += WR_CACHE_LINE)
		wr_prefetch(o + at);
}

static inline void wr_object_cause(struct wr_object *o, enum wr_cause c)
{
	o->causes |= 1u << c;
}

static inline bool wr_object_undecided(const struct wr_object *o)
{
	return o->state <= WR_OBJ_FINISHING;
}

/* Where the canary looks: 0..999999, the same for an id on every machine. */
uint32_t wr_object_canary(const struct wr_object *o);
/* True when every byte of every view was seen by every scanner that was asked for. */
bool wr_object_complete(const struct wr_object *o);

#endif
