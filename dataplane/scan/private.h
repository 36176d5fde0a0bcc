/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside scan/ only: the streams of one worker. */
#ifndef WR_SCAN_PRIVATE_H
#define WR_SCAN_PRIVATE_H

#include <hs.h>
#include <stdatomic.h>

#include "mem/mem.h"
#include "scan/scan.h"

#define ST_TYPED   0x01u /* the object's type is known, or will never be */
#define ST_FAILED  0x02u /* the engine failed once: no more bytes count as scanned */
#define ST_ENDED   0x04u
#define ST_MORE    0x08u /* hits were let go */
#define ST_WAITING 0x10u /* some rule that waits for the type has hit */

/* Hits stand at the front of their row; those that wait for the type stand at its end. */
struct stream {
	WR_ALIGNED(64) hs_stream_t *hs; /* NULL until the first byte */
	const struct wr_ruleset *rs;
	const struct wr_meta_rule *rule;
	const uint32_t *pattern; /* of the group that scans */
	uint64_t *seen;          /* bitmap over the ruleset's rules, at the slot's end */
	uint64_t bytes, types;
	uint16_t group;
	uint8_t flags, nhits, nwaiting, fresh; /* fresh: new hits since the caller was told */
	uint8_t lines;                         /* cache lines of engine state worth fetching */
	uint8_t pad;
};
static_assert(sizeof(struct stream) == 64, "one stream, one line");

struct stream_hits {
	struct wr_hit h[WR_SCAN_HITS];
};

struct scan_scratch {     /* made on the main lcore, adopted by the worker */
	hs_scratch_t *hs; /* NULL: no ruleset with patterns yet */
	uint32_t nrules;  /* room in fresh */
	uint32_t fresh[]; /* rules hit in this call that some condition names */
};

struct wr_scan {
	/* worker */
	struct wr_pool *slots;
	struct stream *st;        /* by slot index */
	struct stream_hits *hits; /* by slot index */
	struct scan_scratch *scratch;
	struct wr_lcore *lc; /* of the call */
	uint32_t slot_bytes, opening;
	uint32_t nfresh, cur; /* of the call: the queue in scratch, the stream */
	uint32_t bursts;      /* since the start; some are timed */
	/* between main lcore and worker */
	_Atomic(struct scan_scratch *) staged, retired;
	/* main lcore */
	hs_scratch_t *proto; /* grows with every ruleset, never scans */
	uint32_t nrules;
};

/* Stream storage: hs_set_stream_allocator's two functions. */
void *wr_scan_slot_alloc(size_t size);
void wr_scan_slot_free(void *p);

#endif
