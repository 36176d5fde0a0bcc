/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scan - Hyperscan streams of many uploads, one per object and view.
 *
 * takes    pieces of objects, a burst of jobs at a time; the ruleset an object was opened with
 * gives    hits, per stream, in the order found; each rule at most once per stream
 * owns     stream state in fixed slots, scratch per worker, the hit bitmap of each stream
 * threads  one struct wr_scan per worker; a stream is closed by the worker that opened it.
 *          hs_set_stream_allocator is process-global: set once at boot, it finds the worker's slots
 * by a thread-local pointer that wr_scan_enter() sets (the only __thread variable in Weir). limits
 * streams, state bytes per stream (conf), WR_SCAN_HITS hits kept per stream fails    open: 0 and
 * WR_R_STREAM_STATE_LIMIT; an engine error sets `failed` on the job see docs/concepts/patterns.md,
 * tests/unit/scan, floors.md's figures in docs/operate/capacity.md
 */
#ifndef WR_SCAN_SCAN_H
#define WR_SCAN_SCAN_H

#include "handoff/piece.h"
#include "lcore/lcore.h"
#include "ruleset/ruleset.h"

#define WR_SCAN_HITS 32u

struct wr_scan;

/*
 * Boot: slots for `streams` streams of at most state_bytes each (wr_ruleset_state_bytes(): engine
 * state and one bit per rule). A ruleset that needs more is refused by wr_scan_stage().
 */
WR_MUST_USE struct wr_scan *wr_scan_new(uint32_t streams, uint32_t state_bytes);
void wr_scan_free(struct wr_scan *s);
/* Main lcore, at staging: scratch large enough for rs too, made apart; the worker adopts it. */
WR_MUST_USE int wr_scan_stage(struct wr_scan *s, const struct wr_ruleset *rs, char *err, size_t n);
/* "5.4.0": the version of the Hyperscan that runs, not the one that was compiled against. */
void wr_scan_engine(char *out, size_t n);
/* Worker, at the start of a turn: sets the thread-local, adopts staged scratch. */
void wr_scan_enter(struct wr_scan *s);

/* 0 = no slot. All rules scan (the union group) until wr_scan_type() says what the object is. */
uint32_t wr_scan_open(struct wr_lcore *lc, struct wr_scan *s, const struct wr_ruleset *rs);

/*
 * The sniffed media type, once known; NULL: sniffed, and nothing that has a name. Told before the
 * first byte is scanned, the stream runs in the type's own group; told later it stays in the union,
 * so that no match is torn. Rules for other types are dropped either way. 1 when hits came out that
 * had waited for it. When it is never told, rules for any type apply, but only from wr_scan_end()
 * on.
 */
int wr_scan_type(struct wr_lcore *lc, struct wr_scan *s, uint32_t stream, const char *media_type);

struct wr_scan_job {
	uint32_t stream;
	uint8_t failed, hit; /* out: engine error (once failed, a stream stays failed); new hits */
	uint8_t pad[2];
	struct wr_piece piece;
};
/* Scans every piece of the burst, prefetching state and payload ahead. Jobs of one stream in order.
 */
void wr_scan_burst(struct wr_lcore *lc, struct wr_scan *s, struct wr_scan_job *job, uint32_t n);
/* End of the object: end-anchored rules and combinations with `!` fire. 1 when there are new hits.
 */
int wr_scan_end(struct wr_lcore *lc, struct wr_scan *s, uint32_t stream);
/*
 * Hits so far (rules and combinations, helpers left out); *more = some were let go. In the order
 * found until there are too many: then one may be replaced in place, so after `hit` look at all of
 * them.
 */
uint32_t wr_scan_hits(const struct wr_scan *s, uint32_t stream, const struct wr_hit **hit,
                      bool *more);
uint64_t wr_scan_bytes(const struct wr_scan *s, uint32_t stream); /* scanned so far */
/*
 * A stream that goes on where `stream` of `from` stands, hits included, with no tie to it: 0 = no
 * slot. from may be another worker's, as long as that worker leaves the stream alone for the call.
 */
uint32_t wr_scan_fork(struct wr_lcore *lc, struct wr_scan *s, const struct wr_scan *from,
                      uint32_t stream);
void wr_scan_close(struct wr_lcore *lc, struct wr_scan *s, uint32_t stream);

#endif
