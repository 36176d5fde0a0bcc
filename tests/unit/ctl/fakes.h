/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fakes - workers, rulesets and shards that do nothing but count: ctl/ and main/ are tested against
 * the contracts of worker.h, ruleset.h and scan.h, not against their engines. The fake worker
 * forwards every frame to the other side and drops what the port does not take.
 */
#ifndef WR_TESTS_CTL_FAKES_H
#define WR_TESTS_CTL_FAKES_H

#include "worker/worker.h"

struct wr_worker {
	struct wr_worker_args a;
	struct wr_ruleset *_Atomic published;
	_Atomic uint64_t seen;
	bool stuck, drained; /* stuck: does not take what is published */
	uint32_t staged;     /* calls of wr_scan_stage */
	/* QUERY: `rows` connections, answered in slices; TRACE: `frames` are waiting */
	struct wr_look_row row[8];
	uint32_t what, rows, cursor, frames;
	bool asked, answered, tracing, whole;
	struct wr_trace_frame frame;
};

struct wr_ruleset {
	uint64_t generation, open;
	uint8_t meta[32];
};

extern int fake_rulesets;            /* alive */
extern int fake_shards;              /* added */
extern int fake_new_error;           /* what wr_ruleset_new answers */
extern int fake_stage_error;         /* what wr_scan_stage answers */
extern struct wr_ruleset *fake_last; /* the newest alive, or NULL */
void fake_end_uploads(void);

#endif
