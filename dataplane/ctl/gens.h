/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gens - rulesets by generation: at most one staged, one in force, the rest draining. Private to
 * ctl/.
 *
 * A ruleset that left force is freed when every worker has used a newer one and no upload that
 * began under it is open: D4, a request is judged by one ruleset from first byte to last.
 */
#ifndef WR_CTL_GENS_H
#define WR_CTL_GENS_H

#include "ruleset/ruleset.h"
#include "worker/worker.h"

struct wr_gens {
	struct wr_shard_store *store;
	struct wr_worker *const *worker;
	uint32_t nworkers;
	struct wr_ruleset *staged, *live;
	struct wr_ruleset *draining[WR_RULESETS_MAX];
	uint32_t ndraining;
	/* Between the first HAVE or SHARD of a push and the end of its STAGE no shard may go: the
	 * push counts on those it brought and on those it was told are there. */
	bool pushing, unswept;
};

WR_MUST_USE int wr_gens_init(struct wr_gens *g, struct wr_worker *const *worker, uint32_t nworkers);
void wr_gens_fini(struct wr_gens *g); /* the workers have stopped */
/* -EAGAIN: as many as can be mapped are in use; -EINVAL: the generation does not grow. */
WR_MUST_USE int wr_gens_stage(struct wr_gens *g, const uint8_t meta_sha256[32], uint64_t generation,
                              const char *region, char *err, size_t n);
/* Forgets what is staged and every shard that only a push brought. */
void wr_gens_drop(struct wr_gens *g);
void wr_gens_pushing(struct wr_gens *g);
/* Publishes what is staged. -ENOENT: nothing is, or another one. */
WR_MUST_USE int wr_gens_commit(struct wr_gens *g, uint64_t generation);
/* Has every worker used the live one? */
bool wr_gens_seen(const struct wr_gens *g);
/* Index of a worker that has not; nworkers when all have. */
uint32_t wr_gens_behind(const struct wr_gens *g);
void wr_gens_sweep(struct wr_gens *g);
uint32_t wr_gens_mapped(const struct wr_gens *g);
uint64_t wr_gens_oldest(const struct wr_gens *g);
uint64_t wr_gens_draining_uploads(const struct wr_gens *g);

#endif
