/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bundle - a seeded bundle for the bench, compiled by the real weir-compile and loaded.
 */
#ifndef WR_TESTS_PERF_BUNDLE_H
#define WR_TESTS_PERF_BUNDLE_H

#include <stdint.h>

#include "ruleset/ruleset.h"

struct bench_bundle {
	struct wr_shard_store *store;
	struct wr_ruleset *rs;
	char dir[64];
};

/*
 * `rules` regular expressions and one literal, PEER_PLANT; three lists (MD5, SHA-1, SHA-256) of
 * `entries` made-up digests each, the SHA-256 of `listed` (n bytes) among them. All flag, so that
 * nothing is blocked. Ends the program with a line on stderr when anything fails.
 */
void bench_bundle_new(struct bench_bundle *b, const char *weir_compile, uint32_t rules,
                      uint32_t entries, const uint8_t *listed, uint32_t n);
void bench_bundle_free(struct bench_bundle *b);

#endif
