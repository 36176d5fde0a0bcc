/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compile - bundles in, shards out (abi/artifact.h). The only room that links Hyperscan's compiler.
 *
 * takes    bundles (bundle/), loaded; a folder to write to
 * gives    shards in that folder, the meta shard's hash, and a report
 * owns     struct wr_compile, until wr_compile_free()
 * threads  one
 * limits   WR_META_*, the budgets of bundles and of the command line
 * fails    -errno and at least one line in the errors
 * see      docs/concepts/patterns.md, docs/concepts/lists.md, tests/unit/compile
 *
 * It runs in weir-compile: a process of its own that enters its sandbox (sandbox.c) before it reads
 * the first byte of a bundle, because YAML, seventeen list formats and a regex compiler are a lot
 * of parser, and weir-control holds keys.
 */
#ifndef WR_COMPILE_COMPILE_H
#define WR_COMPILE_COMPILE_H

#include <stdio.h>

#include "abi/artifact.h"
#include "bundle/bundle.h"
#include "compile/out.h"
#include "compile/regex.h"

#define WR_COMPILE_DEAR_MAX 8u

struct wr_compile_opts {
	const char *region;          /* NULL: compile every list whatever its regions */
	uint64_t stream_state_bytes; /* 0 = no limit */
	uint64_t memory_bytes;       /* 0 = no limit */
	uint64_t now;                /* unix seconds */
	bool bench;                  /* measure what the rules cost */
};

struct wr_plan_rule { /* position = index in the meta shard */
	const struct wr_bundle_rule *r;
	uint32_t bundle, op, nops, watch, nwatch;
	uint64_t types;
	uint8_t mode, at_end;
	struct wr_expr expr; /* patterns that are on */
};

struct wr_plan_list {
	const struct wr_bundle_list *l;
	uint32_t bundle, algo;
	uint32_t owner, source;
	uint8_t mode;
	uint8_t shard[32]; /* zero: none */
	uint64_t entries, bad_lines;
};

struct wr_plan_group {
	uint64_t types;
	uint32_t *pattern; /* rule indices */
	uint32_t npatterns;
	uint8_t shard[32];
	uint64_t shard_bytes;
	uint32_t stream_bytes;
	bool reused;
};

struct wr_compile_dear { /* what a rule adds to every byte, when all the others are there too */
	uint32_t rule;
	double cycles_per_byte;
};

struct wr_compile { /* everything below is the result; zero-initialised by the caller */
	const struct wr_compile_opts *opts;
	struct wr_out *out;
	struct wr_bundle **bundle;
	uint8_t (*bundle_sha256)[32];
	uint32_t nbundles;
	struct wr_plan_rule *rule;
	uint32_t nrules;
	uint32_t **rule_index; /* by bundle, by its rules[]: position in rule */
	uint32_t *op, *watch;
	uint32_t nops, nwatch;
	char *type[WR_META_TYPES_MAX];
	uint32_t ntypes;
	struct wr_plan_group group[WR_META_GROUPS_MAX];
	uint32_t ngroups;
	struct wr_plan_list *list;
	uint32_t nlists;
	struct wr_meta_suppressed *suppressed;
	uint32_t nsuppressed;
	uint64_t recompile_at, memory_bytes;
	uint32_t stream_state_bytes;
	uint8_t meta[32];
	double bench_cycles_per_byte;
	struct wr_compile_dear dear[WR_COMPILE_DEAR_MAX];
	uint32_t ndear;
};

/* Does it all; c->bundle, nbundles, out and opts are set. */
WR_MUST_USE int wr_compile_run(struct wr_compile *c, struct wr_bundle_errors *e);
void wr_compile_free(struct wr_compile *c); /* not the bundles */
/* One JSON line. */
void wr_compile_report(const struct wr_compile *c, int rc, const struct wr_bundle_errors *e,
                       FILE *out);

/* The steps, each in its file. */
WR_MUST_USE int wr_plan_rules(struct wr_compile *c, struct wr_bundle_errors *e);
WR_MUST_USE int wr_plan_groups(struct wr_compile *c, struct wr_bundle_errors *e);
WR_MUST_USE int wr_compile_group(struct wr_compile *c, struct wr_plan_group *g,
                                 struct wr_bundle_errors *e);
WR_MUST_USE int wr_compile_lists(struct wr_compile *c, struct wr_bundle_errors *e);
WR_MUST_USE int wr_compile_meta(struct wr_compile *c, struct wr_bundle_errors *e);
/*
 * The streaming database of n patterns. *db: hs_free_database(). drop_flags: flags to leave out.
 * -EBADMSG: e says which rule.
 */
WR_MUST_USE int wr_hs_compile(const struct wr_compile *c, const uint32_t *pattern, uint32_t n,
                              uint32_t drop_flags, hs_database_t **db, struct wr_bundle_errors *e);

/* sandbox.c: no way back. NULL, or what could not be had (the caller decides). */
struct wr_sandbox {
	const int *read_fd; /* folders whose files may be read */
	uint32_t nread;
	int write_fd; /* the folder that may be written */
	uint64_t memory_bytes, seconds;
};
WR_MUST_USE int wr_sandbox_enter(const struct wr_sandbox *s, char *warning, size_t size);

#endif
