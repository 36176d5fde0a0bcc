/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ruleset - the mapped view of one compiled artifact: rules, lists, pattern databases, digest
 * tables.
 *
 * takes    sealed shards (abi/artifact.h): read-only memory and its size; each is validated in full
 *          (magic, ABI, kind, every offset and count inside the shard) before anything is believed
 * gives    const views to scan/, verdict/ and worker/; lookups of digests
 * owns     the mapping of its shards (reference-counted by content hash: two rulesets share what is
 *          equal), its deserialized Hyperscan databases
 * threads  _new/_free and shard calls: main lcore. Everything const: any worker. The open count is
 * one cache line per worker, written by that worker only. limits   WR_RULESETS_MAX generations
 * mapped at once fails    _new: -errno and one line in err
 */
#ifndef WR_RULESET_RULESET_H
#define WR_RULESET_RULESET_H

#include <stdint.h>

#include "abi/artifact.h"
#include "abi/conf.h"
#include "abi/record.h"
#include "base/base.h"
#include "handoff/decision.h"

#define WR_RULESETS_MAX WR_GENERATIONS_MAX

struct wr_ruleset;
struct hs_database;

/* --- boot and staging: main lcore --------------------------------------------------------------
 */

struct wr_shard_store; /* shards mapped, by SHA-256 */

WR_MUST_USE struct wr_shard_store *wr_shard_store_new(void);
void wr_shard_store_free(struct wr_shard_store *s);
/* Is a shard of this hash mapped? */
bool wr_shard_have(const struct wr_shard_store *s, const uint8_t sha256[32]);
/* Maps fd (a memfd sealed against write, grow and shrink), checks its SHA-256. Takes no fd. */
WR_MUST_USE int wr_shard_add(struct wr_shard_store *s, int fd, uint64_t bytes,
                             const uint8_t sha256[32], char *err, size_t err_size);
/* As wr_shard_add, from a shard file that weir-compile wrote: it is copied into a sealed memfd. */
WR_MUST_USE int wr_shard_add_file(struct wr_shard_store *s, int dirfd, const uint8_t sha256[32],
                                  char *err, size_t err_size);
/* Unmaps shards that no ruleset uses. */
void wr_shard_sweep(struct wr_shard_store *s);

/* Builds the ruleset of a meta shard already in the store. Regions: lists outside are off. */
WR_MUST_USE int wr_ruleset_new(struct wr_shard_store *s, const uint8_t meta_sha256[32],
                               uint64_t generation, const char *region, struct wr_ruleset **out,
                               char *err, size_t err_size);
/* Offline engine and tests: adds the meta shard and all it names from folder dir, then builds. */
WR_MUST_USE int wr_ruleset_load(struct wr_shard_store *s, const char *dir,
                                const uint8_t meta_sha256[32], uint64_t generation,
                                const char *region, struct wr_ruleset **out, char *err,
                                size_t err_size);
/* Only when wr_ruleset_open_count() is 0 and no worker can reach it any more. */
void wr_ruleset_free(struct wr_ruleset *rs);

/* --- what a worker asks --------------------------------------------------------------------------
 */

uint64_t wr_ruleset_generation(const struct wr_ruleset *rs);
const uint8_t *wr_ruleset_meta_sha256(const struct wr_ruleset *rs);
void wr_ruleset_open(struct wr_ruleset *rs, uint32_t worker);  /* one more upload judged by it */
void wr_ruleset_close(struct wr_ruleset *rs, uint32_t worker); /* one less */
uint64_t wr_ruleset_open_count(const struct wr_ruleset *rs);

/* WR_HAS_* of the digests that some list that is not off asks for. */
uint32_t wr_ruleset_algos(const struct wr_ruleset *rs);

struct wr_item { /* a rule or a list, as verdict/ needs it; strings live as long as the ruleset */
	const char *id, *bundle, *category, *basis; /* the last two may be empty */
	uint64_t bundle_version;
	uint8_t mode, action, severity,
	        allow; /* wr_item_mode, wr_action; allow: 1 for an allow list */
	uint8_t algo, kind, helper,
	        pad; /* lists: wr_algo; kind: wr_match_kind; helper: action none */
	uint32_t canary_ppm;
	uint32_t owner;          /* allow lists exempt deny lists with the same owner number only */
	uint64_t valid_until;    /* unix seconds, 0 = always */
	uint64_t bundle_expires; /* unix seconds, 0 = never */
};

uint32_t wr_ruleset_nrules(const struct wr_ruleset *rs);
uint32_t wr_ruleset_nlists(const struct wr_ruleset *rs);
const struct wr_item *wr_ruleset_rule(const struct wr_ruleset *rs, uint32_t i);
const struct wr_item *wr_ruleset_list(const struct wr_ruleset *rs, uint32_t i);

/* Bundles in force, for the record; returns how many were written. */
uint32_t wr_ruleset_bundles(const struct wr_ruleset *rs, struct wr_record_bundle *out,
                            uint32_t max);

/*
 * Looks the digests up in every list that is not off; writes item (list index), entry, kind EXACT,
 * algo; modes and actions are verdict/'s business. Returns the number written, at most max.
 */
uint32_t wr_ruleset_lookup(const struct wr_ruleset *rs, const struct wr_digests *d,
                           struct wr_match *out, uint32_t max);
/* Copies the entry's own id (may be empty) to out. */
void wr_ruleset_entry_name(const struct wr_ruleset *rs, uint32_t list, uint32_t entry, char *out,
                           uint32_t size);

/* One PDQ list that is not off: n hashes of 32 bytes, ascending; entry = position. NULL: not PDQ.
 */
const uint8_t *wr_ruleset_pdq(const struct wr_ruleset *rs, uint32_t list, uint64_t *n,
                              const struct wr_meta_list **how);

/* --- what scan/ asks -----------------------------------------------------------------------------
 */

/* One stream slot must hold this much (engine state of the largest group and the rule bitmap). */
uint32_t wr_ruleset_state_bytes(const struct wr_ruleset *rs);
/* The set of media types that rules name and that cover this sniffed type; 0 = none does. */
uint64_t wr_ruleset_types(const struct wr_ruleset *rs, const char *media_type);
/* The group that scans exactly what such an object needs, or 0: the union. */
uint32_t wr_ruleset_group_of(const struct wr_ruleset *rs, uint64_t types);
/* The compiled rules (abi/artifact.h), indexed like wr_ruleset_rule(). */
const struct wr_meta_rule *wr_ruleset_rules(const struct wr_ruleset *rs);
const uint32_t *wr_ruleset_ops(const struct wr_ruleset *rs);
const uint32_t *wr_ruleset_watch(const struct wr_ruleset *rs);
/* Conditions that can only be judged at the end of an object, each behind those it names. */
const uint32_t *wr_ruleset_endings(const struct wr_ruleset *rs, uint32_t *n);
/* Id of a group's database -> rule index. */
const uint32_t *wr_ruleset_patterns(const struct wr_ruleset *rs, uint32_t group, uint32_t *n);
/* Pattern groups: the union group is 0 and always there when any rule is on. */
uint32_t wr_ruleset_ngroups(const struct wr_ruleset *rs);
/* "any" for the union, else its media types with a '+' between; cut where it is too long. */
void wr_ruleset_group_name(const struct wr_ruleset *rs, uint32_t group, char *out, uint32_t size);
const struct hs_database *wr_ruleset_group_db(const struct wr_ruleset *rs, uint32_t group);

#endif
