/* SPDX-License-Identifier: BSD-3-Clause */
/* rigs - the workers of the simulation, their ports and pools, and what must hold after a turn. */
#ifndef WR_SIM_RIGS_H
#define WR_SIM_RIGS_H

#include <stddef.h>

#include "sim/rig.h"
#include "worker/worker.h"

#define RIG_WORKERS 3u /* one alone, two that exchange frames */

struct rigs {
	struct wr_worker *worker[RIG_WORKERS];
	struct wr_stats stats[RIG_WORKERS];
	struct wr_ring *records[RIG_WORKERS];
	struct wr_ruleset *ruleset[2];
	uint32_t first, n; /* those of this schedule */
	uint32_t now_rs, made, pieces;
	uint32_t tags, bytes; /* of the frames that the last turn took in */
	uint64_t held_repeats, conflicts, blocked, before[WR_R_COUNT];
	const char *broken; /* what is wrong whatever the hosts do */
};
extern struct rigs rigs;

void rigs_boot(const char *compiler, const char *bundle);
void rigs_begin(void);
void rigs_turn(void);
void rigs_deliver(bool to_store);
void rigs_drain(void);
void rigs_switch(void);
void rigs_epoch(void);
bool rigs_small(void);
uint64_t rigs_sum(size_t offset);
uint64_t rigs_reason(unsigned r);
uint64_t rigs_since(unsigned r); /* in this schedule */
const char *rigs_leftovers(void);

#endif
