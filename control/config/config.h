/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config - weir.yaml, read once, checked against one table, resolved for both processes.
 *
 * takes    one or more YAML files; a later file is merged over the earlier ones (maps key by key,
 *          lists and scalars as a whole)
 * gives    struct wr_conf for the dataplane (abi/conf.h, every policy resolved per service), struct
 *          wr_control_conf for control, the effective configuration as YAML, a diff, the reference
 * owns     everything reachable from struct wr_config until wr_config_free()
 * lends    const views into it
 * threads  a loaded configuration is read-only: any thread
 * limits   WR_CONFIG_FILE_MAX bytes a file, 16 levels, 20,000 nodes; fixed arrays of abi/conf.h
 * fails    a report of file:line:col messages; an unknown key names the nearest known one
 * see      control/config/schema.c (one row per setting), docs/operate/config.md (generated from
 * it), tests/unit/config, tests/fuzz/config
 */
#ifndef WR_CONFIG_CONFIG_H
#define WR_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "abi/conf.h"
#include "base/base.h"

#define WR_CONFIG_FILE_MAX   (1u << 20)
#define WR_CONFIG_DIAGS      64u
#define WR_CONFIG_PATH       256u
#define WR_TRUST_BUNDLES_MAX 16u
#define WR_TRUST_KEYS_MAX    8u
#define WR_TRUST_MAY_MAX     16u

struct wr_config_diag {
	const char *file; /* lent by the configuration's file names; "" when it is about no file */
	unsigned line, col; /* from 1; 0 = about no place */
	char text[280];
};

struct wr_config_report {
	unsigned n, lost; /* lost: beyond WR_CONFIG_DIAGS */
	struct wr_config_diag d[WR_CONFIG_DIAGS];
};

struct wr_trust_key {
	char file[WR_CONFIG_PATH]; /* absolute, or relative to the configuration's folder, resolved
	                            */
	char may[WR_TRUST_MAY_MAX][96];
	unsigned nmay; /* 0 = anything */
};

struct wr_trust_bundle {
	char name[64];
	unsigned threshold, nkeys;
	struct wr_trust_key key[WR_TRUST_KEYS_MAX];
};

enum wr_fsync { WR_FSYNC_NEVER, WR_FSYNC_SECOND, WR_FSYNC_RECORD };

struct wr_control_conf { /* what only control needs */
	char api_socket[108], api_group[33], api_metrics[96];
	char push_listen[96], push_cert[WR_CONFIG_PATH], push_key[WR_CONFIG_PATH];
	char push_client_ca[WR_CONFIG_PATH];
	char records_path[WR_CONFIG_PATH], state_dir[WR_CONFIG_PATH];
	uint64_t records_rotate_bytes;
	uint32_t records_keep;
	enum wr_fsync records_fsync;
	char control_cpus[128]; /* as in weir.yaml: "0", "0-1,8" */
	bool allow_unsigned;
	struct { /* of the flood breaker, blocks of one item in a minute */
		uint32_t blocks, factor, floor, learn_minutes;
	} breaker;
	unsigned nbundles;
	struct wr_trust_bundle bundle[WR_TRUST_BUNDLES_MAX];
};

struct wr_config;

/* Reads, merges and checks. 0 and *out, or -EINVAL (report filled), -errno of a file (report too).
 */
WR_MUST_USE int wr_config_load(const char *const *files, unsigned nfiles, struct wr_config **out,
                               struct wr_config_report *rep);
/* The same from memory, for tests: name stands in messages. */
WR_MUST_USE int wr_config_load_text(const char *name, const char *text, size_t n,
                                    struct wr_config **out, struct wr_config_report *rep);
void wr_config_free(struct wr_config *c);
/* "file:line:col: text\n" for each message. */
void wr_config_report_print(const struct wr_config_report *rep, FILE *f);

const struct wr_conf *wr_config_dataplane(const struct wr_config *c);
const struct wr_control_conf *wr_config_control(const struct wr_config *c);

/* The effective configuration: every key, defaults included; loading it again gives the same. */
void wr_config_show(const struct wr_config *c, FILE *f);
/* A first weir.yaml with every key, its default and its help as comments. */
WR_MUST_USE int wr_config_init(FILE *f);

/* Who must restart for a change of a setting. */
enum wr_config_scope { WR_SCOPE_LIVE, WR_SCOPE_CONTROL, WR_SCOPE_DATAPLANE };
const char *wr_config_scope_name(enum wr_config_scope s);

/* Calls fn for every setting that differs, in schema order; was or is may be NULL (absent). */
typedef void wr_config_diff_fn(void *arg, const char *path, const char *was, const char *is,
                               enum wr_config_scope scope);
void wr_config_diff(const struct wr_config *a, const struct wr_config *b, wr_config_diff_fn *fn,
                    void *arg);

/* The reference page (Markdown), from the schema table. */
void wr_config_docs(FILE *f);
/* The word of weir.yaml for what happens to reason r in service s: "block", "observe", ... */
const char *wr_config_on_name(uint8_t on);

#endif
