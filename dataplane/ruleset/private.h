/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside ruleset/ only (and its tests): what is proved about shards, and the mapped ruleset.
 */
#ifndef WR_RULESET_PRIVATE_H
#define WR_RULESET_PRIVATE_H

#include <hs.h>
#include <stdatomic.h>

#include "ruleset/ruleset.h"

/* --- check.c: pure functions over the bytes of one shard -----------------------------------------
 */

/* A section's first byte; checked already. */
#define AT(shard, range) ((const void *)((const uint8_t *)(shard) + (range).off))

/* NULL when everything that these bytes claim holds inside them, else what does not. */
const char *wr_check_shard(const uint8_t *p, uint64_t bytes);
const char *wr_check_meta(const struct wr_meta *m);
const char *wr_check_hsdb(const struct wr_hsdb *h);
const char *wr_check_table(const struct wr_table *t);

/* --- lookup.c ------------------------------------------------------------------------------------
 */

#define WR_NO_ENTRY UINT64_MAX

uint64_t wr_table_find(const struct wr_table *t, const uint8_t *digest, uint64_t hash);
void wr_table_name(const struct wr_table *t, uint64_t entry, char *out, uint32_t size);

/* --- the store and the ruleset -------------------------------------------------------------------
 */

struct shard_entry {
	uint8_t sha256[32];
	const uint8_t *p;
	uint64_t bytes;
	void *map; /* what to unmap: p lies in it */
	uint64_t map_bytes;
	uint32_t refs, kind;
	hs_database_t *db; /* HSDB: made at its first use */
};

/* A reference on the shard of this hash, or NULL. */
struct shard_entry *wr_shard_get(struct wr_shard_store *s, const uint8_t sha256[32]);
void wr_shard_put(struct shard_entry *e);
/* The database of an HSDB shard; NULL and a line in err when Hyperscan refuses it. */
hs_database_t *wr_shard_db(struct shard_entry *e, char *err, size_t err_size);

struct table_ref { /* one list that is on */
	const struct wr_table *table;
	uint32_t list, pad;
};

struct open_count {
	WR_ALIGNED(64) _Atomic uint64_t n;
};

struct wr_ruleset {
	struct open_count open[WR_WORKERS_MAX];
	const struct wr_meta *meta;
	uint64_t generation;
	uint8_t meta_sha256[32];
	uint32_t algos, state_bytes;
	uint32_t nrules, nlists, ngroups, nshards, nendings;
	uint32_t *ending;
	struct wr_item *rule, *list;
	const struct wr_table **list_table; /* by list; NULL = off */
	struct table_ref *table[WR_ALGO_COUNT];
	uint32_t ntables[WR_ALGO_COUNT];
	hs_database_t *db[WR_META_GROUPS_MAX];
	struct shard_entry **shards; /* references that this ruleset holds */
};

#endif
