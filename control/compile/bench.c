/* SPDX-License-Identifier: BSD-3-Clause */
#include "compile/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#define CORPUS_BYTES (1u << 20)
#define SAMPLE_BYTES (1u << 16) /* for a rule alone */
#define PIECE        1460u
#define ROUNDS       5u
#define DEAR_ALONE   0.75 /* cycles per byte of a rule alone that are worth a second look */

static uint64_t step(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Text, digits and hex in runs, random bytes: what rules without a literal trip over. */
static void corpus(uint8_t *p, size_t n)
{
	static const char *const word[] = { "the ",   "upload ", "of ",     "a ",    "file ",
		                            "user@",  "mail.",   "example", ".org ", "4111 1111 ",
		                            "0x",     "<div>",   "=\"",     "\r\n",  "https://",
		                            "Photo ", "2026-11", "-23T",    "var ",  "function(" };
	uint64_t x = 0x9e3779b97f4a7c15ull;
	size_t at = 0;

	while (at < n) {
		uint64_t kind = step(&x) % 4, len = 64 + step(&x) % 1024;

		for (uint64_t i = 0; i < len && at < n; i++) {
			uint64_t r = step(&x) >> 11;
			const char *w = word[r % WR_COUNT_OF(word)];

			switch (kind) {
			case 0: p[at++] = (uint8_t)r; break;
			case 1: p[at++] = (uint8_t) "0123456789abcdef"[r & 15]; break;
			default:
				while (*w != '\0' && at < n)
					p[at++] = (uint8_t)*w++;
			}
		}
	}
}

static int ignore(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                  void *ctx)
{
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	(void)ctx;
	return 0;
}

/* The best of some rounds: what else runs on the machine only ever adds. < 0: the engine failed. */
static double measure(const hs_database_t *db, const uint8_t *p, size_t n)
{
	hs_scratch_t *scratch = NULL;
	hs_stream_t *stream = NULL;
	double best = -1;

	if (hs_alloc_scratch(db, &scratch) != HS_SUCCESS)
		return -1;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint64_t begin;
		double cpb;

		if (hs_open_stream(db, 0, &stream) != HS_SUCCESS)
			break;
		begin = __rdtsc();
		for (size_t at = 0; at < n; at += PIECE)
			if (hs_scan_stream(stream, (const char *)p + at,
			                   (unsigned)(n - at < PIECE ? n - at : PIECE), 0, scratch,
			                   ignore, NULL) != HS_SUCCESS)
				break;
		cpb = (double)(__rdtsc() - begin) / (double)n;
		hs_close_stream(stream, NULL, NULL, NULL);
		if (best < 0 || cpb < best)
			best = cpb;
	}
	hs_free_scratch(scratch);
	return best;
}

static int measure_rules(struct wr_compile *c, const uint32_t *pattern, uint32_t n,
                         const uint8_t *p, size_t bytes, double *out, struct wr_bundle_errors *e)
{
	hs_database_t *db;
	/* A rule that counts once falls silent at its first hit; most uploads never hit it. */
	int rc = wr_hs_compile(c, pattern, n, HS_FLAG_SINGLEMATCH, &db, e);

	if (rc != 0)
		return rc;
	*out = measure(db, p, bytes);
	hs_free_database(db);
	return *out < 0 ? -EIO : 0;
}

static void remember(struct wr_compile *c, uint32_t rule, double cpb)
{
	uint32_t at = c->ndear;

	if (at == WR_COMPILE_DEAR_MAX && c->dear[at - 1].cycles_per_byte >= cpb)
		return;
	if (at < WR_COMPILE_DEAR_MAX)
		c->ndear++;
	else
		at--;
	for (; at != 0 && c->dear[at - 1].cycles_per_byte < cpb; at--)
		c->dear[at] = c->dear[at - 1];
	c->dear[at] = (struct wr_compile_dear){ .rule = rule, .cycles_per_byte = cpb };
}

/* How much cheaper the ruleset is without this one rule. */
static int without(struct wr_compile *c, uint32_t rule, const uint8_t *p, double *saved,
                   struct wr_bundle_errors *e)
{
	const struct wr_plan_group *all = &c->group[0];
	uint32_t *rest = calloc(all->npatterns, sizeof(*rest)), n = 0;
	double cpb = 0;
	int rc = 0;

	if (rest == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < all->npatterns; i++)
		if (all->pattern[i] != rule)
			rest[n++] = all->pattern[i];
	if (n != 0)
		rc = measure_rules(c, rest, n, p, CORPUS_BYTES, &cpb, e);
	free(rest);
	*saved = c->bench_cycles_per_byte - cpb;
	return rc;
}

static int find_dear(struct wr_compile *c, const uint8_t *p, struct wr_bundle_errors *e)
{
	const struct wr_plan_group *all = &c->group[0];
	struct wr_compile_dear seen[WR_COMPILE_DEAR_MAX];
	uint32_t n;

	for (uint32_t i = 0; i < all->npatterns; i++) {
		double cpb;
		int rc = measure_rules(c, &all->pattern[i], 1, p, SAMPLE_BYTES, &cpb, e);

		if (rc != 0)
			return rc;
		if (cpb >= DEAR_ALONE)
			remember(c, all->pattern[i], cpb);
	}
	n = c->ndear;
	memcpy(seen, c->dear, sizeof(seen));
	c->ndear = 0;
	for (uint32_t i = 0; i < n; i++) {
		double saved;
		int rc = without(c, seen[i].rule, p, &saved, e);

		if (rc != 0)
			return rc;
		/* Two dear rules may share a cost: then taking one away saves nothing, but it is
		 * dear all the same. */
		remember(c, seen[i].rule,
		         saved > seen[i].cycles_per_byte ? saved : seen[i].cycles_per_byte);
	}
	return 0;
}

int wr_compile_bench(struct wr_compile *c, struct wr_bundle_errors *e)
{
	const struct wr_plan_group *all = &c->group[0];
	double budget = c->nbundles == 1 ? c->bundle[0]->budgets.cycles_per_byte : 0;
	uint8_t *p = malloc(CORPUS_BYTES);
	int rc;

	if (p == NULL)
		return -ENOMEM;
	corpus(p, CORPUS_BYTES);
	rc = measure_rules(c, all->pattern, all->npatterns, p, CORPUS_BYTES,
	                   &c->bench_cycles_per_byte, e);
	if (rc == 0)
		rc = find_dear(c, p, e);
	free(p);
	if (rc == 0 && budget > 0 && c->bench_cycles_per_byte > budget) {
		const struct wr_bundle_rule *r = c->ndear != 0 ? c->rule[c->dear[0].rule].r : NULL;

		wr_bundle_error_add(
		        e, r != NULL ? r->file : "manifest.yaml", r != NULL ? r->line : 0,
		        "the rules cost %.2f cycles per byte, the budget is %.2f; the "
		        "dearest is `%s`",
		        c->bench_cycles_per_byte, budget, r != NULL ? r->id : "none alone");
		rc = -E2BIG;
	}
	return rc;
}
