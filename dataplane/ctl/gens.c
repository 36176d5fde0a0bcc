/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/gens.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int wr_gens_init(struct wr_gens *g, struct wr_worker *const *worker, uint32_t nworkers)
{
	memset(g, 0, sizeof(*g));
	g->worker = worker;
	g->nworkers = nworkers;
	g->store = wr_shard_store_new();
	return g->store == NULL ? -ENOMEM : 0;
}

void wr_gens_fini(struct wr_gens *g)
{
	wr_gens_drop(g);
	for (uint32_t i = 0; i < g->ndraining; i++)
		wr_ruleset_free(g->draining[i]);
	if (g->live != NULL)
		wr_ruleset_free(g->live);
	wr_shard_store_free(g->store);
	memset(g, 0, sizeof(*g));
}

uint32_t wr_gens_mapped(const struct wr_gens *g)
{
	return g->ndraining + (g->live != NULL) + (g->staged != NULL);
}

uint64_t wr_gens_oldest(const struct wr_gens *g)
{
	/* Generations grow, and the array keeps their order. */
	if (g->ndraining != 0)
		return wr_ruleset_generation(g->draining[0]);
	return g->live != NULL ? wr_ruleset_generation(g->live) : 0;
}

uint64_t wr_gens_draining_uploads(const struct wr_gens *g)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < g->ndraining; i++)
		n += wr_ruleset_open_count(g->draining[i]);
	return n;
}

static void unstage(struct wr_gens *g)
{
	if (g->staged != NULL)
		wr_ruleset_free(g->staged);
	g->staged = NULL;
}

static void sweep_shards(struct wr_gens *g)
{
	if (!g->unswept || g->pushing)
		return;
	wr_shard_sweep(g->store);
	g->unswept = false;
}

void wr_gens_pushing(struct wr_gens *g)
{
	g->pushing = true;
}

static int stage(struct wr_gens *g, const uint8_t meta_sha256[32], uint64_t generation,
                 const char *region, char *err, size_t n)
{
	struct wr_ruleset *rs = NULL;
	int rc;

	unstage(g);
	wr_gens_sweep(g);
	if (generation == 0 || generation == UINT64_MAX ||
	    (g->live != NULL && generation <= wr_ruleset_generation(g->live))) {
		snprintf(err, n, "generation %llu is not above the one in force",
		         (unsigned long long)generation);
		return -EINVAL;
	}
	if (wr_gens_mapped(g) >= WR_RULESETS_MAX) {
		snprintf(err, n,
		         "waiting for drain: %u generations are in use, %llu uploads on old ones",
		         WR_RULESETS_MAX, (unsigned long long)wr_gens_draining_uploads(g));
		return -EAGAIN;
	}
	rc = wr_ruleset_new(g->store, meta_sha256, generation, region, &rs, err, n);
	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < g->nworkers && rc == 0; i++)
		rc = wr_scan_stage(wr_worker_scan(g->worker[i]), rs, err, n);
	if (rc != 0) {
		wr_ruleset_free(rs);
		return rc;
	}
	g->staged = rs;
	return 0;
}

int wr_gens_stage(struct wr_gens *g, const uint8_t meta_sha256[32], uint64_t generation,
                  const char *region, char *err, size_t n)
{
	int rc = stage(g, meta_sha256, generation, region, err, n);

	/* One that waits for a drain comes again and wants its shards still there. */
	if (rc != -EAGAIN) {
		g->pushing = false;
		g->unswept = true;
	}
	return rc;
}

void wr_gens_drop(struct wr_gens *g)
{
	unstage(g);
	g->pushing = false;
	g->unswept = true;
	sweep_shards(g);
}

int wr_gens_commit(struct wr_gens *g, uint64_t generation)
{
	if (g->staged == NULL || wr_ruleset_generation(g->staged) != generation)
		return -ENOENT;
	if (g->live != NULL) {
		WR_ASSERT(g->ndraining < WR_RULESETS_MAX);
		g->draining[g->ndraining++] = g->live;
	}
	g->live = g->staged;
	g->staged = NULL;
	for (uint32_t i = 0; i < g->nworkers; i++)
		wr_worker_publish(g->worker[i], g->live);
	return 0;
}

uint32_t wr_gens_behind(const struct wr_gens *g)
{
	if (g->live == NULL)
		return g->nworkers;
	for (uint32_t i = 0; i < g->nworkers; i++) {
		uint64_t seen = wr_worker_seen(g->worker[i]);

		if (seen == UINT64_MAX || seen < wr_ruleset_generation(g->live))
			return i;
	}
	return g->nworkers;
}

bool wr_gens_seen(const struct wr_gens *g)
{
	return wr_gens_behind(g) == g->nworkers;
}

void wr_gens_sweep(struct wr_gens *g)
{
	uint32_t n = 0;

	/* Until every worker uses the live one, any of them may still open an upload on an old one.
	 */
	if (g->ndraining != 0 && wr_gens_seen(g)) {
		for (uint32_t i = 0; i < g->ndraining; i++) {
			if (wr_ruleset_open_count(g->draining[i]) == 0) {
				wr_ruleset_free(g->draining[i]);
				g->unswept = true;
			} else {
				g->draining[n++] = g->draining[i];
			}
		}
		g->ndraining = n;
	}
	sweep_shards(g);
}
