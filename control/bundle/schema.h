/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * schema - the keys of every mapping in a bundle as tables: one row reads, checks and documents a
 * key.
 *
 * takes    a YAML mapping and the table of its keys
 * gives    fields of a C struct, filled; docs/rules/reference.md is printed from the same tables
 * fails    by lines in the errors; reading goes on, so that one run reports all mistakes of a file.
 *          -ENOMEM is the only return code besides 0
 */
#ifndef WR_BUNDLE_SCHEMA_H
#define WR_BUNDLE_SCHEMA_H

#include "bundle/yaml.h"

struct wr_reader { /* what every check needs to report where it is */
	struct wr_arena *a;
	const char *file;
	struct wr_bundle_errors *e;
	struct wr_bundle *b;
};

enum wr_key_kind {
	WR_K_STR,    /* char * */
	WR_K_ID,     /* char *: [a-z0-9._-]{1,64} */
	WR_K_U64,    /* uint64_t in [min, max] */
	WR_K_U8,     /* uint8_t in [min, max] */
	WR_K_F64,    /* double, at most four decimals */
	WR_K_PPM,    /* uint32_t: percent with up to four decimals, as parts of a million */
	WR_K_BOOL,   /* uint8_t */
	WR_K_TIME,   /* uint64_t, unix seconds */
	WR_K_WORD,   /* uint8_t: index into words */
	WR_K_WORDS,  /* uint8_t: set of 1 << index */
	WR_K_STRS,   /* char ** and uint32_t count, at most max */
	WR_K_META,   /* any mapping; its `category` goes to a char * */
	WR_K_CUSTOM, /* read() decides */
};

struct wr_key {
	const char *name;
	uint8_t kind, required;
	uint32_t at, count_at; /* offsets in the struct */
	const char *const *words;
	uint64_t min, max;
	int (*read)(struct wr_reader *r, const struct wr_node *n, void *obj);
	const char *dflt; /* applied before reading; NULL = zero */
	const char *form; /* custom kinds: what the reference says a value looks like */
	const char *help;
};

struct wr_schema {
	const char *name, *where, *help;
	const struct wr_key *key;
	uint32_t nkeys;
};

WR_MUST_USE int wr_schema_read(struct wr_reader *r, const struct wr_schema *s,
                               const struct wr_node *map, void *obj);

extern const struct wr_schema wr_schema_manifest, wr_schema_budgets, wr_schema_list, wr_schema_rule,
        wr_schema_rules, wr_schema_at, wr_schema_suppress, wr_schema_suppressions,
        wr_schema_overlays, wr_schema_cases;

/* One mapping as rows of a Markdown table. */
void wr_schema_print(const struct wr_schema *s, FILE *out);

#endif
