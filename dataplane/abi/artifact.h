/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * artifact - what weir-compile writes and the dataplane maps: shards.
 *
 * A shard is one immutable file, named by the SHA-256 of its bytes. META says what there is and
 * names the other shards by hash: one HSDB per pattern group, one DIGEST (or PDQ) table per list
 * and algorithm. So a changed list leaves the pattern databases alone, and two rulesets share what
 * is equal.
 *
 * Every section is a wr_range of elements inside its own shard; offsets are from the shard's first
 * byte and multiples of 8. Little endian, no pointers. ruleset/ proves every range, index and
 * string offset before it believes one; what is not proved at staging (slots of a digest table) is
 * checked at each use. limits   WR_SHARD_*, WR_META_*: both sides hold to them see
 * docs/concepts/patterns.md, docs/concepts/lists.md, control/compile, dataplane/ruleset
 */
#ifndef WR_ABI_ARTIFACT_H
#define WR_ABI_ARTIFACT_H

#include <stdint.h>
#include <string.h>

#include "abi/record.h"
#include "base/base.h"
#include "base/mix.h"

#define WR_SHARD_MAGIC      0x3144524148535257ull /* "WRSHARD1", little endian */
#define WR_ARTIFACT_VERSION 3u
#define WR_SHARD_BYTES_MAX  (1ull << 38)

#define WR_GENERATIONS_MAX 8u /* rulesets that a dataplane holds at once; one more waits */

#define WR_META_BUNDLES_MAX WR_RECORD_BUNDLES
#define WR_META_RULES_MAX   200000u
#define WR_META_LISTS_MAX   4096u
#define WR_META_GROUPS_MAX  16u
#define WR_META_TYPES_MAX   64u      /* media types that rules name: one bit each */
#define WR_META_OPS_MAX     1048576u /* words of all condition programs */
#define WR_META_STACK_MAX   32u      /* depth of one condition program */
#define WR_META_TEXT_MAX    255u     /* bytes of a category or basis; more is not compiled in */

enum wr_shard_kind { WR_SHARD_META = 1, WR_SHARD_HSDB, WR_SHARD_DIGEST, WR_SHARD_PDQ };

struct wr_shard {
	uint64_t magic;
	uint32_t version, kind;
	uint64_t bytes;     /* of the whole shard, this header included */
	uint8_t source[32]; /* SHA-256 of all that it was compiled from */
	uint64_t zero;
};
static_assert(sizeof(struct wr_shard) == 64, "one line");

struct wr_range {
	uint64_t off, count; /* count elements from this byte of the shard on */
};

/* --- META
 * ------------------------------------------------------------------------------------------ */

struct wr_meta {
	struct wr_shard shard;
	char region[16];             /* lists outside it were not compiled; "" = all were */
	uint64_t memory_bytes;       /* of all shards and databases */
	uint64_t recompile_at;       /* unix seconds: the first suppression that ends; 0 = none */
	uint32_t stream_state_bytes; /* one slot of scan/: engine state and rule bitmap */
	uint32_t npatterns;
	struct wr_range bundles; /* struct wr_meta_bundle */
	struct wr_range rules;   /* struct wr_meta_rule; a condition follows the rules it names */
	struct wr_range lists;   /* struct wr_meta_list */
	struct wr_range groups;  /* struct wr_meta_group; [0] scans every pattern */
	struct wr_range
	        patterns;      /* uint32_t rule indices: by group, an id of its database -> rule */
	struct wr_range ops;   /* uint32_t words of condition programs */
	struct wr_range watch; /* uint32_t rule indices: by rule, the conditions that name it */
	struct wr_range types; /* uint32_t string offsets: bit i of a type set */
	struct wr_range regions;    /* uint32_t string offsets */
	struct wr_range suppressed; /* struct wr_meta_suppressed, sorted */
	struct wr_range strings;    /* char; offset 0 is "", the last byte is NUL */
};

struct wr_meta_bundle {
	uint64_t version, expires; /* unix seconds, 0 = never */
	uint8_t sha256[32];
	uint32_t name, pad;
};

struct wr_meta_rule {
	uint64_t types; /* bits of meta.types; 0 = every object */
	uint32_t id, bundle;
	uint32_t canary_ppm;
	uint32_t op, nops;      /* condition: its program in ops; nops 0 = a pattern */
	uint32_t watch, nwatch; /* in watch */
	uint8_t mode, action, severity, helper;
	uint8_t at_end; /* a condition with `!`: true only at the end of the object */
	uint8_t rank;   /* which hits are kept when there are too many: higher first */
	uint8_t pad[2];
	uint32_t category; /* string */
};
static_assert(sizeof(struct wr_meta_rule) == 48, "no hidden padding");

/* A word of a condition program in postfix order: operator in the top bits, rule index below. */
#define WR_OP_RULE  (0u << 30)
#define WR_OP_AND   (1u << 30)
#define WR_OP_OR    (2u << 30)
#define WR_OP_NOT   (3u << 30)
#define WR_OP_KIND  (3u << 30)
#define WR_OP_INDEX (~WR_OP_KIND)

struct wr_meta_list { /* one per list and algorithm */
	uint64_t valid_until, entries;
	uint8_t shard[32]; /* zero: off, no table */
	uint32_t id, bundle;
	uint32_t owner; /* same number = same owner of the same bundle */
	uint32_t canary_ppm;
	uint32_t region, nregions; /* in regions; none = everywhere */
	uint32_t source; /* position in its bundle's manifest: algorithms of one list share it */
	uint8_t mode, action, severity, allow;
	uint8_t algo, max_distance, min_quality, dihedral;
	uint32_t category, basis; /* strings */
	uint8_t pad[4];
};
static_assert(sizeof(struct wr_meta_list) == 96, "no hidden padding");

struct wr_meta_group {
	uint64_t types;    /* the set of types whose objects it scans; group 0: any */
	uint8_t shard[32]; /* HSDB */
	uint32_t pattern, npatterns;
};

struct wr_meta_suppressed { /* one entry of a list switched off */
	uint32_t list, pad;
	uint8_t digest[32]; /* zero behind the digest's length */
};

/* --- HSDB
 * ------------------------------------------------------------------------------------------ */

struct wr_hsdb {
	struct wr_shard shard;
	char hs_version[64];
	uint64_t cpu_features;
	uint32_t stream_bytes, npatterns;
	struct wr_range db; /* bytes of hs_serialize_database() */
};

/* --- DIGEST, PDQ
 * ----------------------------------------------------------------------------------- */

/*
 * One cache line decides a miss: eight slots, each 32 bits of the keyed hash and 31 bits of entry
 * number + 1. A slot that agrees proves nothing, so the full digest is compared. A bucket that ran
 * over says so in its first slot; the search then goes on in the next line, `probes` lines at most.
 */
#define WR_BUCKET_SLOTS      8u
#define WR_BUCKET_OVER       0x80000000ull /* in slot 0 */
#define WR_SLOT_ENTRY        0x7fffffffull
#define WR_TABLE_ENTRIES_MAX 0x7ffffffeull
#define WR_TABLE_PROBES_MAX  64u
#define WR_NAMES_BLOCK       16u /* entries that share one offset into the names */

struct wr_bucket {
	WR_ALIGNED(64) uint64_t slot[WR_BUCKET_SLOTS];
};

struct wr_table {
	struct wr_shard shard;
	struct wr_mix_key key; /* from `source`: crafted digests cannot aim at one bucket */
	uint32_t algo, digest_bytes;
	uint32_t probes, pad;
	struct wr_range buckets; /* struct wr_bucket; none in a PDQ table */
	struct wr_range
	        digests; /* digest_bytes each, ascending, no two equal: entry number = position */
	struct wr_range blocks; /* uint64_t: where in names each WR_NAMES_BLOCK entries begin; may
	                           be empty */
	struct wr_range names;  /* {u8 length, bytes} per entry in order */
};

static inline uint32_t wr_algo_bytes(uint32_t algo)
{
	static const uint8_t bytes[WR_ALGO_COUNT] = { 16, 20, 32, 32 };

	return algo < WR_ALGO_COUNT ? bytes[algo] : 0;
}

/*
 * n: 16, 20 or 32 bytes. Two multiplications side by side and one to join them: a lookup is waiting
 * for memory, and the shorter its code, the more lookups a core overlaps.
 */
static inline uint64_t wr_table_hash(const struct wr_mix_key *key, const uint8_t *digest,
                                     uint32_t n)
{
	uint64_t w[4] = { 0 }, a, b;

	if (n == 32)
		memcpy(w, digest, 32);
	else
		memcpy(w, digest, n == 20 ? 20 : 16);
	a = wr_mix_fold(w[0] ^ key->k[0], w[1] ^ key->k[1]);
	b = wr_mix_fold(w[2] ^ key->k[2], w[3] ^ key->k[3]);
	return wr_mix_fold(a ^ key->k[3], b ^ key->k[0]);
}

static inline uint64_t wr_table_bucket(uint64_t hash, uint64_t nbuckets)
{
	return (hash >> 32) * nbuckets >> 32;
}

static inline uint64_t wr_table_slot(uint64_t hash, uint64_t entry)
{
	return hash << 32 | (entry + 1);
}

#endif
