/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bundle - the model of a bundle of format weir-bundle/1, and the reader of its lists.
 *
 * takes    a folder, by path or by an open directory fd; every file in it is hostile input
 * gives    struct wr_bundle: manifest, rules, lists, suppressions, test cases, all checked; list
 *          entries one by one, normalised
 * owns     everything inside struct wr_bundle, until wr_bundle_free()
 * lends    list entries: valid for the call of the callback only
 * threads  none of its own; one bundle is used by one thread at a time
 * limits   WR_BUNDLE_*; each is refused with file, line and the limit's value
 * fails    -errno, and at least one line in wr_bundle_errors (-ENOMEM excepted)
 * see      docs/rules/reference.md, tests/unit/bundle, tests/fuzz/bundle
 *
 * Why openat and nothing else: weir-compile opens the folder, enters its sandbox and only then
 * reads. So no absolute path, no symlink (O_NOFOLLOW on every component), no /proc and no child
 * process here.
 */
#ifndef WR_BUNDLE_BUNDLE_H
#define WR_BUNDLE_BUNDLE_H

#include <stdint.h>
#include <stdio.h>

#include "abi/record.h"
#include "abi/verdict.h"
#include "base/base.h"

#define WR_BUNDLE_FORMAT "weir-bundle/1"

#define WR_BUNDLE_NAME_MAX    39u     /* fits struct wr_record_bundle */
#define WR_BUNDLE_ID_MAX      64u     /* rule and list ids: [a-z0-9._-] */
#define WR_BUNDLE_ENTRY_MAX   71u     /* entry ids are cut to this; fits struct wr_record_match */
#define WR_BUNDLE_RULES_MAX   200000u /* Hyperscan's own ids are 32 bits; memory is the limit */
#define WR_BUNDLE_LISTS_MAX   4096u
#define WR_BUNDLE_FILES_MAX   8192u     /* rule files and list files together */
#define WR_BUNDLE_PATTERN_MAX 16384u    /* bytes of one pattern */
#define WR_BUNDLE_YAML_MAX    67108864u /* bytes of one YAML file: 64 MiB */
#define WR_BUNDLE_TYPES_MAX   32u
#define WR_BUNDLE_REGIONS_MAX 64u
#define WR_BUNDLE_ERRORS_MAX  200u /* lines kept; more are counted */
#define WR_LIST_LINE_MAX      65536u

/* --- errors ---------------------------------------------------------------------- */

/* Where: file is relative to the bundle, line is 1-based and 0 when it concerns the whole file. */
struct wr_bundle_error {
	char *file, *message;
	uint32_t line;
	uint8_t warning, pad[3]; /* warnings do not make a load fail */
};

struct wr_bundle_errors { /* zero-initialised by the caller */
	struct wr_bundle_error *e;
	uint32_t n, room;
	uint32_t nerrors, nwarnings; /* also those that were not kept */
};

void wr_bundle_error_add(struct wr_bundle_errors *s, const char *file, uint32_t line,
                         const char *fmt, ...) WR_PRINTF(4, 5);
void wr_bundle_warning_add(struct wr_bundle_errors *s, const char *file, uint32_t line,
                           const char *fmt, ...) WR_PRINTF(4, 5);
/* "FILE:LINE: error: MESSAGE", a line each. */
void wr_bundle_errors_print(const struct wr_bundle_errors *s, FILE *out);
void wr_bundle_errors_free(struct wr_bundle_errors *s);

/* --- the model ------------------------------------------------------------------- */

enum wr_rule_kind { WR_RULE_PATTERN, WR_RULE_LITERAL, WR_RULE_HEX, WR_RULE_CONDITION };

#define WR_RULE_CASELESS  1u
#define WR_RULE_DOTALL    2u
#define WR_RULE_MULTILINE 4u

enum wr_severity { WR_SEVERITY_LOW, WR_SEVERITY_MEDIUM, WR_SEVERITY_HIGH, WR_SEVERITY_CRITICAL };
enum wr_at { WR_AT_ANY, WR_AT_RANGE, WR_AT_END };

/* Strings are never NULL unless said so; an absent one is "". */
struct wr_bundle_rule {
	char *id, *description, *category; /* category: meta.category */
	char *text; /* the pattern, literal, hex or condition as written; NUL-terminated ... */
	uint32_t text_len; /* ... but a literal may hold NUL bytes */
	uint8_t kind;      /* enum wr_rule_kind */
	uint8_t flags;     /* WR_RULE_* */
	uint8_t at;        /* enum wr_at; RANGE: the whole match lies in [at_from, at_to) */
	uint8_t action;    /* enum wr_action; PASS = none: a helper of combinations */
	uint8_t mode;      /* enum wr_item_mode */
	uint8_t severity;  /* enum wr_severity */
	uint8_t pad[2];
	uint32_t ntypes;
	uint64_t at_from, at_to; /* at_to UINT64_MAX = no upper end */
	uint32_t canary_ppm;     /* with mode canary: uploads of a million */
	uint32_t line;
	char **types; /* sniffed media types; none = every object */
	char *file;   /* relative to the bundle */
	uint64_t added_in;
};

enum wr_list_format { /* what to expect in the file; AUTO is resolved when the file is read */
	              WR_LF_AUTO,
	              WR_LF_PLAIN,
	              WR_LF_BSD,
	              WR_LF_CSV,
	              WR_LF_HASHDEEP,
	              WR_LF_CLAMAV,
	              WR_LF_SURICATA,
	              WR_LF_SURICATA_DATAREP,
	              WR_LF_VICS,
	              WR_LF_NCMEC,
	              WR_LF_ICSE,
	              WR_LF_STIX,
	              WR_LF_MISP,
	              WR_LF_NSRL,
	              WR_LF_THREATEXCHANGE,
	              WR_LF_TE,
	              WR_LF_STOPNCII,
	              WR_LF_TAT,
	              WR_LF_PDQ,
	              WR_LF_COUNT
};

struct wr_bundle_list {
	char *id, *path, *owner, *basis, *category;
	uint8_t format;                              /* enum wr_list_format */
	uint8_t allow;                               /* class: 1 = allow, 0 = deny */
	uint8_t action;                              /* enum wr_action */
	uint8_t mode;                                /* enum wr_item_mode */
	uint8_t severity;                            /* enum wr_severity */
	uint8_t max_distance, min_quality, dihedral; /* PDQ entries */
	uint32_t canary_ppm;
	uint32_t nregions, ncategories;
	char **categories;    /* of the source; only entries of these are taken; none = all */
	char **regions;       /* none = everywhere */
	uint64_t valid_until; /* unix seconds, 0 = always */
	uint64_t max_bad_lines;
	uint32_t line; /* in manifest.yaml */
};

struct wr_bundle_suppress {
	char *item; /* "rule:ID" or "list:ID" */
	char *reason, *ticket;
	uint8_t has_digest, algo; /* a single entry of a list: enum wr_algo */
	uint8_t digest[32];
	uint64_t expires; /* unix seconds, 0 = until removed */
	uint32_t line;
};

struct wr_bundle_budgets { /* 0 = not stated */
	uint64_t stream_state_bytes, memory_bytes;
	double cycles_per_byte;
};

struct wr_bundle {
	int dirfd; /* owned; list files are opened relative to it */
	char *name, *min_engine, *category;
	uint64_t version, rolls_back_to; /* rolls_back_to 0 = none */
	uint64_t created, expires;       /* unix seconds, 0 = not stated */
	struct wr_bundle_budgets budgets;
	struct wr_bundle_rule *rules; /* in the order of file name, then line */
	struct wr_bundle_list *lists; /* in the order of the manifest */
	struct wr_bundle_suppress *suppress;
	uint32_t nrules, nlists, nsuppress;
	struct wr_bundle_private *priv;
};

/* Loads and checks the folder. On failure *out is NULL and e says why. Takes no fd: it is dup'ed.
 */
WR_MUST_USE int wr_bundle_load(const char *dir, struct wr_bundle **out, struct wr_bundle_errors *e);
WR_MUST_USE int wr_bundle_load_at(int dirfd, struct wr_bundle **out, struct wr_bundle_errors *e);
void wr_bundle_free(struct wr_bundle *b);

/* The rule or list of this id, or NULL. */
const struct wr_bundle_rule *wr_bundle_rule_get(const struct wr_bundle *b, const char *id);
const struct wr_bundle_list *wr_bundle_list_get(const struct wr_bundle *b, const char *id);

/*
 * A condition as postfix operations, the order in which a stack machine evaluates them; `!` binds
 * closest, then `&`, then `|`. The load has already refused what this refuses. Takes free(*op).
 */
#define WR_CONDITION_OPS_MAX 1024u
enum wr_condition_kind { WR_COND_RULE, WR_COND_NOT, WR_COND_AND, WR_COND_OR };
struct wr_condition_op {
	uint32_t kind; /* enum wr_condition_kind */
	uint32_t rule; /* index into rules[] */
};
WR_MUST_USE int wr_condition_parse(const struct wr_bundle *b, const struct wr_bundle_rule *r,
                                   struct wr_condition_op **op, uint32_t *n,
                                   struct wr_bundle_errors *e);

/* --- list entries ---------------------------------------------------------------- */

struct wr_list_entry {
	uint8_t algo;    /* enum wr_algo */
	uint8_t deleted; /* the source withdraws this digest: earlier entries of it do not count */
	uint8_t quality; /* PDQ: as stated by the source, 100 when it is silent */
	uint8_t len;     /* digest bytes: 16, 20, 32 */
	uint8_t digest[32];
	uint64_t size;  /* object bytes when the source states them, else UINT64_MAX */
	uint64_t line;  /* in the file; JSON and XML: line of the record's end */
	const char *id; /* the source's own id of this entry; "" when it has none */
};

struct wr_list_stats {
	uint64_t entries[WR_ALGO_COUNT];
	uint64_t deleted;     /* withdrawals seen */
	uint64_t empty_file;  /* digests of the empty file, dropped */
	uint64_t zero_pdq;    /* all-zero PDQ hashes, dropped */
	uint64_t low_quality; /* PDQ hashes below min_quality, dropped */
	uint64_t unsupported; /* records with only kinds of hashes that Weir does not match */
	uint64_t bad_lines;   /* reported in errors; fatal beyond max_bad_lines */
	uint64_t lines;
	uint8_t format; /* enum wr_list_format: what AUTO resolved to */
};

/*
 * Reads list l of bundle b once, front to back, in bounded memory. The callback returns 0 or
 * -errno, which ends the reading and is returned. Entries that the list itself withdraws are handed
 * over with `deleted`; a withdrawal concerns the same digest, wherever in the file it stands.
 * -EBADMSG: more bad lines than max_bad_lines; the lines are in e (as warnings while within the
 * limit).
 */
WR_MUST_USE int wr_list_read(const struct wr_bundle *b, const struct wr_bundle_list *l,
                             int (*entry)(void *ctx, const struct wr_list_entry *e), void *ctx,
                             struct wr_list_stats *st, struct wr_bundle_errors *e);

const char *wr_list_format_name(enum wr_list_format f);
const char *wr_severity_name(enum wr_severity s);
const char *wr_item_mode_name(enum wr_item_mode m);
const char *wr_algo_name(enum wr_algo a);

#endif
